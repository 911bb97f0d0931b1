"""The no-answer score fitted alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from ragyena.config import ReaderModelConfig, StageConfig
from ragyena.errors import TrainingError
from ragyena.model.reader_model import ReaderModel
from ragyena.train.calibration import fit_null
from ragyena.train.sampler import Sampler
from ragyena.types import Silent

Stages = Callable[..., StageConfig]
Models = Callable[..., ReaderModelConfig]


@pytest.fixture
def reader(tiny_model: Models) -> ReaderModel:
    torch.manual_seed(0)
    return ReaderModel(tiny_model("hyena", null_width=16)).eval()


def sampler(world: Any, stage: StageConfig) -> Sampler:
    return Sampler(world.data, stage, seed=0, question_tokens=world.config.question_tokens)


def test_the_no_answer_score_gets_better_and_nothing_else_moves(world: Any, stage: Stages, reader: ReaderModel) -> None:
    drawn = sampler(world, stage(model=reader.config, unanswerable=0.5, tokens_per_step=4096))
    before = {name: tensor.clone() for name, tensor in reader.state_dict().items()}
    result = fit_null(reader, drawn, torch.float32, 40_000, seed=0, progress=Silent())
    assert result["loss"] < result["loss before"]
    moved = {name for name, tensor in reader.state_dict().items() if not torch.equal(tensor, before[name])}
    assert "null_of_span.contract.weight" in moved
    assert all(name.startswith("null") for name in moved)
    again = ReaderModel(reader.config).eval()
    again.load_state_dict(before)
    assert fit_null(again, drawn, torch.float32, 40_000, seed=0, progress=Silent()) == result


def test_a_score_that_cannot_improve_stays(world: Any, stage: Stages, reader: ReaderModel) -> None:
    """Contexts that all hold their answer cannot improve a score that is minimal already."""
    drawn = sampler(
        world, stage(model=reader.config, unanswerable=0.0, sentence_removed=0.0, perturbed=0.0, tokens_per_step=4096)
    )
    with torch.no_grad():
        reader.null.bias.fill_(-1e6)
    before = {name: tensor.clone() for name, tensor in reader.state_dict().items()}
    result = fit_null(reader, drawn, torch.float32, 12_000, seed=0, progress=Silent())
    assert result["loss"] == result["loss before"] == 0.0
    assert all(torch.equal(tensor, before[name]) for name, tensor in reader.state_dict().items())


def test_too_few_contexts_are_refused(world: Any, stage: Stages, reader: ReaderModel) -> None:
    with pytest.raises(TrainingError, match="one batch"):
        fit_null(reader, sampler(world, stage(model=reader.config)), torch.float32, 1, seed=0, progress=Silent())
    with pytest.raises(ValueError, match="null_width"):
        stage(fit_null=1000)
