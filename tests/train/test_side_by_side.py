"""Stages that train at once in two real processes: the weights of stages trained in turn, with seeds and failures."""

from __future__ import annotations

import json
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from ragyena.config import RecallTrainConfig
from ragyena.errors import TrainingError, UsageError
from ragyena.model.checkpoint import load_state
from ragyena.train.launch import Run
from ragyena.train.side_by_side import run_side_by_side, with_seeds, worker_count
from ragyena.types import Silent

SILENT = partial(nullcontext, Silent())
MODEL = {"vocab_size": 9, "width": 8, "depth": 1, "ffn_width": 8, "heads": 2, "max_length": 32, "filter_width": 4}


def stage(name: str, **values: Any) -> dict[str, Any]:
    shared = {
        "name": name, "task": "associative", "symbols": 8, "queries": 2, "lengths": [16, 32], "model": MODEL,
        "tokens": 640, "tokens_per_step": 64, "held_out_tokens": 320, "held_out_sequences": 4,
    }  # fmt: skip
    return shared | values


def run_of(folder: Path, *stages: dict[str, Any]) -> Run:
    config = RecallTrainConfig.model_validate({"kind": "recall", "stages": stages})
    return Run(config, folder, None, None, None, "cpu")


class Kept(Silent):
    """Progress that keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.total, self.done = 0, 0

    def start(self, description: str, total: int | None, unit: str) -> None:
        self.total = total or 0

    def advance(self, amount: int, status: str = "") -> None:
        self.done += amount

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.mark.slow
def test_stages_and_seeds_have_the_weights_that_they_have_in_turn(tmp_path: Path) -> None:
    attention = {**MODEL, "mixers": ["attention"]}
    stages = stage("first"), stage("second", start="first"), stage("third", model=attention)
    kept = Kept()
    results = run_side_by_side(run_of(tmp_path / "two", *stages), 2, 2, lambda: nullcontext(kept))
    titles = ["first", "second", "third", "seed-1/first", "seed-1/second", "seed-1/third"]
    assert [result.name for result in results] == titles
    assert kept.total == kept.done == 6 * 640
    for each in with_seeds(run_of(tmp_path / "one", *stages), 2):
        each.train(Silent())
    weights = {}
    for title in titles:
        weights[title], expected = (load_state(tmp_path / name / title / "checkpoint") for name in ("two", "one"))
        for name, tensor in expected.items():
            torch.testing.assert_close(weights[title][name], tensor, rtol=1e-3, atol=1e-5)
        assert (tmp_path / "two" / title / "log.jsonl").is_file()
    embedding = "backbone.embeddings.word_embeddings.weight"
    assert not torch.allclose(weights["third"][embedding], weights["seed-1/third"][embedding], atol=1e-3)
    recipe = json.loads((tmp_path / "two" / "seed-1" / "recipe.json").read_text("utf-8"))
    assert recipe["seed"] == 1 and len(recipe["stages"]) == 3
    summary = json.loads((tmp_path / "two" / "summary.json").read_text("utf-8"))
    assert [each["name"] for each in summary["stages"]] == ["first", "second", "third"]
    again = Kept()
    assert run_side_by_side(run_of(tmp_path / "two", *stages), 2, 2, lambda: nullcontext(again)) == []
    assert again.notes == [f"{title}: done before" for title in titles]


@pytest.mark.slow
def test_a_stage_that_fails_takes_those_with_it_that_need_it(tmp_path: Path) -> None:
    lost = stage("lost", start=str(tmp_path / "nowhere"))
    stages = lost, stage("after", start="lost"), stage("other"), stage("more")
    with pytest.raises(TrainingError, match=r"1 of 4 stages failed \(lost\); not begun: after; the first: .*nowhere"):
        run_side_by_side(run_of(tmp_path / "run", *stages), 2, 1, SILENT)
    for name in ("other", "more"):
        assert (tmp_path / "run" / name / "checkpoint" / "config.json").is_file()
    assert not (tmp_path / "run" / "after").exists()


def test_processes_are_those_wanted_else_one_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert worker_count(None, "cpu") == 1 and worker_count(3, "cpu") == 3
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert worker_count(None, "auto") == 2 and worker_count(4, "cuda") == 4 and worker_count(None, "cuda:1") == 1
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="torchrun"):
        worker_count(None, "auto")
