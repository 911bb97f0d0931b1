"""Training in two real processes: the result of one, ended and resumed as one."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from ragyena.config import ReaderModelConfig, StageConfig, TrainConfig
from ragyena.errors import TrainingError, UsageError
from ragyena.model.checkpoint import load_state
from ragyena.train.launch import Run, process_count, run_together
from ragyena.types import Silent

Stages = Callable[..., StageConfig]
SILENT = partial(nullcontext, Silent())


def run_of(world: Any, stages: list[StageConfig], folder: Path) -> Run:
    """Contexts of four passages, an even number a step."""
    return Run(TrainConfig(data=world.config, stages=tuple(stages)), folder, world.report.path, None, None, "cpu")


@pytest.mark.slow
def test_two_processes_train_as_one_with_the_whole_batch(
    world: Any, stage: Stages, tiny_model: Callable[..., ReaderModelConfig], tmp_path: Path
) -> None:
    each: dict[str, Any] = {"passages": [4], "passage_weights": [1.0], "tokens_per_step": 8 * 960, "alias": 0.3}
    teacher = stage(name="teacher", model=tiny_model("attention", decoder_layers=0), tokens=16_000, **each)
    model = tiny_model(decoder_layers=0, selected_tokens=[0, 8], null_width=8)
    student = stage(name="student", model=model, start="teacher", teacher="teacher", tokens=30_000, **each)
    one = run_of(world, [teacher, student], tmp_path / "one").train(Silent())
    two = run_together(run_of(world, [teacher, student], tmp_path / "two"), 2, SILENT)
    assert [(r.name, r.steps, r.tokens) for r in one] == [(r.name, r.steps, r.tokens) for r in two]
    for mine, theirs in zip(one, two):
        for name in ("span", "loss", "held-out span"):
            assert theirs.losses[name] == pytest.approx(mine.losses[name], rel=1e-4)
    before = load_state(tmp_path / "one" / "teacher" / "checkpoint")
    single, double = (load_state(tmp_path / name / "student" / "checkpoint") for name in ("one", "two"))
    for name in ("layers.1.ffn.expand.weight", "layers.0.ffn_norm.bias"):
        moved = float((single[name] - before[name]).norm())
        assert float((double[name] - single[name]).norm()) < 0.05 * moved
    summary = json.loads((tmp_path / "two" / "summary.json").read_text(encoding="utf-8"))
    assert summary["processes"] == 2
    assert sorted(p.name for p in (tmp_path / "two" / "student" / "checkpoint").iterdir()) == [
        "calibration.json", "config.json", "model.safetensors", "tokenizer.json"
    ]  # fmt: skip


@pytest.mark.slow
def test_a_killed_process_ends_the_run_and_the_next_resumes_it(world: Any, stage: Stages, tmp_path: Path) -> None:
    long = stage(
        name="reader", passages=[4], passage_weights=[1.0], tokens_per_step=2 * 960, tokens=600_000,
        held_out_tokens=0, checkpoint_seconds=1,
    )  # fmt: skip
    resume = tmp_path / "run" / "reader" / "resume.safetensors"

    def kill() -> None:
        while not resume.exists():
            time.sleep(0.05)
        victim = sorted(multiprocessing.active_children(), key=lambda process: process.pid or 0)[-1]
        os.kill(victim.pid or 0, signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    with pytest.raises(TrainingError, match="process 2 of 2 was ended by SIGKILL") as caught:
        run_together(run_of(world, [long], tmp_path / "run"), 2, SILENT)
    assert "resumes the run from its last checkpoint" in str(caught.value.hint)
    assert not multiprocessing.active_children() and not (resume.parent / "checkpoint").exists()
    short = long.model_copy(update={"tokens": 1})
    reached = load_progress(resume)
    short = long.model_copy(update={"tokens": reached + 20_000})
    (result,) = run_together(run_of(world, [short], tmp_path / "run"), 2, SILENT)
    assert reached < result.tokens <= reached + 22_000 and (result.checkpoint / "config.json").is_file()
    assert all(torch.isfinite(t).all() for t in load_state(result.checkpoint).values() if t.is_floating_point())


def load_progress(resume: Path) -> int:
    from safetensors import safe_open

    with safe_open(resume, framework="pt") as file:
        return int(json.loads(file.metadata()["progress"])["tokens"])


@pytest.mark.slow
def test_an_error_of_a_process_is_the_runs(world: Any, stage: Stages, tmp_path: Path) -> None:
    alone = stage(passages=[4], passage_weights=[1.0], tokens_per_step=960)  # one context, for two processes
    with pytest.raises(TrainingError, match="a step has 1 contexts for 2 processes") as caught:
        run_together(run_of(world, [alone], tmp_path / "run"), 2, SILENT)
    assert "fewer processes" in str(caught.value.hint)


def test_as_many_processes_as_are_wanted_and_one_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert process_count(None, "cpu") == 1 and process_count(3, "cpu") == 3
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert process_count(None, "auto") == process_count(None, "cuda") == 2
    assert process_count(None, "cuda:1") == process_count(1, "auto") == 1
    with pytest.raises(UsageError, match="4 processes on cuda"):
        process_count(4, "auto")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert process_count(None, "auto") == 1
