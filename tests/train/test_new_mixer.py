"""The walkthrough "A new mixer" of CONTRIBUTING: a mixer in a registry is trained, timed and loaded like any other."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn

from ragyena.bench.reader import architectures, bench_reader
from ragyena.bench.train import bench_train
from ragyena.config import ReaderModelConfig
from ragyena.errors import CheckpointError, ConfigError
from ragyena.model.checkpoint import load_config, load_into, load_state
from ragyena.model.inputs import ContextShape
from ragyena.model.mixers import READER_MIXERS
from ragyena.model.mixers.attention import AttentionMixer
from ragyena.model.mixers.base import Mixer, ReaderMixer, Selected, matrix_entries
from ragyena.model.reader_model import ReaderModel
from ragyena.ops.linear import Linear
from ragyena.train.optimizer import ReaderOptimizer
from ragyena.train.run import load, train

CONTRIBUTING = Path(__file__).resolve().parents[2] / "CONTRIBUTING.md"


class MovingAverage(ReaderMixer):
    """A gated, two-sided exponential average of each passage's tokens, with a learned decay a channel."""

    FILTERS = ("log_decay",)  # no weight decay

    def __init__(self, config: ReaderModelConfig, layer: int) -> None:
        super().__init__(config, layer)
        self.project = Linear(config.width, 2 * config.width, maps=2)  # gate, value
        self.out = Linear(config.width, config.width)
        self.log_decay = nn.Parameter(torch.zeros(config.width))

    def forward(
        self,
        question_BQD: Tensor,
        passages_BPSD: Tensor,
        question_mask_BQ: Tensor,
        token_mask_BPS: Tensor,
        selected: Selected | None = None,
    ) -> tuple[Tensor, Tensor]:
        return self._mix(question_BQD, question_mask_BQ), self._mix(passages_BPSD, token_mask_BPS)

    def _mix(self, x: Tensor, mask: Tensor) -> Tensor:
        gate, value = (self.project(x) * mask[..., None]).chunk(2, -1)
        position_S = torch.arange(x.shape[-2], device=x.device)
        distance_SS = (position_S[:, None] - position_S).abs()
        weight_SSD = torch.exp(-distance_SS[..., None] * self.log_decay.exp()).to(x.dtype)
        return self.out(gate * torch.einsum("tsd,...sd->...td", weight_SSD, value))

    def flops(self, shape: ContextShape) -> float:
        return 2.0 * matrix_entries(self) + 2.0 * shape.slot * self.out.in_features

    def init_from(self, other: Mixer) -> None:
        if isinstance(other, AttentionMixer):
            self.out.load_state_dict(other.out.state_dict())
        else:
            super().init_from(other)


pytestmark = pytest.mark.usefixtures("small_evaluations")


@pytest.fixture
def recipe(world: Any, tiny_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Two short stages: an attention reader, and one with the new mixer that starts from it."""
    monkeypatch.setitem(READER_MIXERS, "moving_average", MovingAverage)
    common = {"tokens": 3000, "tokens_per_step": 1000, "passages": [1, 4], "cloze": 0.0, "compile": False}
    size = tiny_model().model_dump(mode="json", exclude={"mixers", "context_channels", "selected_tokens"})
    stages = [
        {"name": "attention", "start": "scratch", "model": size | {"mixers": ["attention"] * 2}, **common},
        {"name": "average", "start": "attention", "model": size | {"mixers": ["moving_average"] * 2}, **common},
    ]
    path = tmp_path / "average.yaml"
    path.write_text(yaml.safe_dump({"data": world.config.model_dump(mode="json"), "stages": stages}), encoding="utf-8")
    return str(path)


def test_a_new_mixer_is_trained_timed_and_loaded(
    recipe: str, world: Any, tmp_path: Path, progress: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragyena.bench.reader._CPU_SECONDS", 0.01)
    monkeypatch.setattr("ragyena.bench.roofline._SIZE", 512)
    run, packed = tmp_path / "run", world.report.path
    results = train(
        load(recipe, Path()), run, packed=packed, encoder=None, pair_encoder=None, device="cpu", progress=progress
    )
    assert [result.name for result in results] == ["attention", "average"] and results[1].steps > 1
    checkpoint = run / "average" / "checkpoint"
    config = load_config(checkpoint)
    assert isinstance(config, ReaderModelConfig) and config.mixers == ("moving_average",) * 2
    model = ReaderModel(config)
    load_into(model, load_state(checkpoint), str(checkpoint))
    groups = ReaderOptimizer(model, load(recipe, Path()).stages[1].optimizer)
    assert {"layers.0.mixer.project.weight", "layers.0.mixer.out.weight"} <= set(groups.matrices)
    assert model.flops(ContextShape(8, 4, 16)) == 2 * (2 * (3 * 24**2 + 2 * 24 * 48) + 2 * 16 * 24)
    prefill = bench_reader(
        [str(checkpoint), f"{recipe}:average"], [64], slot_tokens=16, question_tokens=8, device="cpu", compiled=False,
        seconds=60, say=print,
    )  # fmt: skip
    assert "moving_average" in architectures()
    assert prefill.setting["failures"] == {} and all(figure.value > 0 for figure in prefill.figures)
    speed = bench_train(  # in the folder where the negatives are mined already
        recipe, run, stage="average", packed=packed, sequence_tokens=None, steps=2, rounds=1,
        device="cpu", progress=progress,
    )  # fmt: skip
    assert {figure.name: figure.value for figure in speed.figures}["model FLOPs"] > 0


def test_a_new_mixer_starts_from_those_that_it_names(recipe: str) -> None:
    attention, average = (stage.model for stage in load(recipe, Path()).stages)
    source = AttentionMixer(attention, 0)
    target = MovingAverage(average, 0)
    target.init_from(source)
    assert torch.equal(target.out.weight, source.out.weight)
    with pytest.raises(CheckpointError, match="MovingAverage cannot become those of AttentionMixer"):
        source.init_from(target)


def test_an_unknown_mixer_is_named_with_the_known_ones(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(READER_MIXERS, "moving_average")
    problem = "unknown mixer 'moving_average' of a reader; known: hyena, attention, local_attention"
    with pytest.raises(ConfigError, match=problem):
        load(recipe, Path())
    with pytest.raises(ConfigError, match=problem):
        ReaderModel(ReaderModelConfig(mixers=("moving_average",) * 2))


@pytest.mark.skipif(not CONTRIBUTING.is_file(), reason="runs in a checkout")
def test_the_walkthrough_shows_this_mixer() -> None:
    text = CONTRIBUTING.read_text(encoding="utf-8").partition("## A new mixer")[2]
    imports, _, code = text.partition("```python\n")[2].partition("```")[0].partition("\n\n\n")
    assert code == inspect.getsource(MovingAverage)
    here = Path(__file__).read_text(encoding="utf-8").splitlines()
    assert all(line in here for line in imports.splitlines())
    assert '"moving_average": MovingAverage' in text
