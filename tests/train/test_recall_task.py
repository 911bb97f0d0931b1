"""Recall tasks have answers in their sequences, and a tiny hybrid learns one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from ragyena.config import RecallStageConfig, RecallTrainConfig
from ragyena.errors import ConfigError
from ragyena.train.lm_data import LanguageBatch
from ragyena.train.lm_task import RecallTask, sequences
from ragyena.train.log import read_log
from ragyena.train.loop import run
from ragyena.train.ranks import Ranks

MODEL = {"vocab_size": 13, "width": 16, "depth": 1, "ffn_width": 16, "heads": 2, "max_length": 64, "filter_width": 8}


def stage(task: str, **values: Any) -> RecallStageConfig:
    defaults = {"name": "recall", "model": MODEL, "task": task, "symbols": 12, "lengths": [32], "tokens": 1000,
                "tokens_per_step": 256}  # fmt: skip
    return RecallStageConfig.model_validate(defaults | values)


def made(config: RecallStageConfig, length: int) -> LanguageBatch:
    return sequences(config, length, 40, torch.Generator().manual_seed(3))


@pytest.mark.parametrize("length", [32, 33, 64])
@pytest.mark.parametrize("task", ["associative", "associative_once"])
def test_recalled_values_are_those_of_the_sequence(task: str, length: int) -> None:
    queries = 3
    batch = made(stage(task, queries=queries), length)
    assert batch.ids.shape == batch.targets.shape == (40, length)
    assert ((batch.targets >= 0).sum(1) == queries).all()
    for ids, targets in zip(batch.ids.tolist(), batch.targets.tolist()):
        stated = ids[: length - 2 * queries]
        for place in range(length - 2 * queries, length, 2):
            key, value = ids[place], targets[place]
            assert key < 6 <= value < 12 and ids[place + 1] == value
            places = [at for at, token in enumerate(stated) if token == key]
            assert places and all(stated[at + 1] == value for at in places)
            assert task == "associative" or len(places) == 1


def test_the_target_of_induction_followed_the_special_token() -> None:
    batch = made(stage("induction"), 32)
    for ids, targets in zip(batch.ids.tolist(), batch.targets.tolist()):
        first, last = (at for at, token in enumerate(ids) if token == 12)
        assert last == 31 and targets[31] == ids[first + 1] and targets[:31] == [-1] * 31
    assert len(set(batch.targets[:, -1].tolist())) > 6


def test_batches_depend_on_the_step_alone_and_ranks_share_them(tmp_path: Path) -> None:
    config = RecallTrainConfig(kind="recall", stages=(stage("associative", lengths=[16, 32]),))

    def task(ranks: Ranks = Ranks()) -> RecallTask:  # noqa: B008 - frozen
        return RecallTask(config, config.stages[0], runs=tmp_path, device="cpu", ranks=ranks)

    alone = task()
    assert [alone.batch(step).ids.shape for step in range(3)] == [(16, 16), (8, 32), (16, 16)]
    assert torch.equal(alone.batch(2).ids, task().batch(2).ids)
    assert not torch.equal(alone.batch(0).ids, alone.batch(2).ids)
    shares = [task(Ranks(rank, 2)).batch(1).ids for rank in range(2)]
    assert torch.equal(torch.cat(shares), alone.batch(1).ids)
    with pytest.raises(ConfigError, match="for each of 16 processes"):
        task(Ranks(0, 16))


@pytest.mark.slow
def test_a_hybrid_learns_to_recall(tmp_path: Path, progress: Any) -> None:
    """Layer 1 marks each value with its key (a short convolution is enough), layer 2 retrieves the queried key."""
    model = MODEL | {"width": 32, "depth": 2, "ffn_width": 64, "mixers": ["hyena", "attention"]}
    rate = 1e-2
    config = RecallTrainConfig(
        kind="recall",
        stages=(
            stage(
                "associative", model=model, symbols=12, queries=8, lengths=[32], tokens=2048 * 400,
                tokens_per_step=2048, held_out_tokens=2048 * 50, held_out_sequences=128,
                optimizer={"muon_rate": rate, "adamw_rate": rate, "embedding_rate": rate},
            ),
        ),
    )  # fmt: skip

    def task(each: RecallStageConfig) -> RecallTask:
        return RecallTask(config, each, runs=tmp_path, device="cpu")

    run(config.stages, task, tmp_path, seed=0, device="cpu", progress=progress)
    rows = [row["held_out"] for row in read_log(tmp_path / "recall" / "log.jsonl") if "held_out" in row]
    assert rows[-1]["held-out accuracy 32"] > 0.85 > 0.6 > rows[0]["held-out accuracy 32"]
    assert rows[-1]["held-out error"] == pytest.approx(1 - rows[-1]["held-out accuracy 32"])


def test_settings_are_checked() -> None:
    for task, wrong in (
        ("induction", {"queries": 2}), ("associative", {"symbols": 13}), ("associative", {"tokens_per_step": 16}),
        ("associative", {"queries": 16}), ("associative_once", {"lengths": [16], "queries": 4}),
    ):  # fmt: skip
        with pytest.raises(ValidationError):
            stage(task, **wrong)
