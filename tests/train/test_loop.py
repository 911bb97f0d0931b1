"""Runs of tiny models: they learn, resume exactly, and stop when numbers overflow."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from ragyena import recipes
from ragyena.config import ReaderModelConfig, StageConfig, TrainConfig
from ragyena.errors import TrainingError
from ragyena.model.checkpoint import load_config, load_into, load_state
from ragyena.model.reader_model import ReaderModel
from ragyena.train import loop
from ragyena.train.loop import StageResult, run
from ragyena.train.reader_task import ReaderTask

Stages = Callable[..., StageConfig]
Models = Callable[..., ReaderModelConfig]
pytestmark = pytest.mark.usefixtures("small_evaluations")
STEPS = 11  # a step is a little over 1000 tokens


class Killed(BaseException):
    """Stands for a killed process: nothing in the loop may catch it."""


def train(world: Any, folder: Path, stages: list[StageConfig], progress: Any) -> list[StageResult]:
    config = TrainConfig(data=world.config, stages=tuple(stages))

    def task(stage: StageConfig) -> ReaderTask:
        return ReaderTask(
            config,
            stage,
            world.data,
            runs=folder,
            encoder=folder / "none.safetensors",
            device="cpu",
            tokenizer=recipes.asset("reader") / "tokenizer.json",
        )

    return run(config.stages, task, folder, seed=config.seed, device="cpu", progress=progress)


def two_stages(stage: Stages, tiny_model: Models) -> list[StageConfig]:
    teacher = stage(name="teacher", model=tiny_model("attention"), tokens=2_000)
    student = stage(
        name="student", start="teacher", teacher="teacher", tokens=STEPS * 1000, cloze=0.3, unanswerable=0.1, alias=0.3,
        checkpoint_seconds=1,
    )  # fmt: skip
    return [teacher, student]


def watch(
    monkeypatch: pytest.MonkeyPatch, losses: list[tuple[int, float]], kill_at: int | None, part: str = "loss"
) -> None:
    """Records each step's loss, or a part of it, and ends the run before the step ``kill_at`` of the student."""
    original = loop._Stage._update

    def update(self: Any, batch: Any) -> dict[str, torch.Tensor]:
        if self.stage.name == "student" and self.step == kill_at:
            raise Killed
        parts = original(self, batch)
        if self.stage.name == "student":
            losses.append((self.step, float(parts[part])))
        return parts

    monkeypatch.setattr(loop._Stage, "_update", update)


def test_a_killed_run_resumes_to_the_same_losses_and_weights(
    world: Any, stage: Stages, tiny_model: Models, tmp_path: Path, progress: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = two_stages(stage, tiny_model)
    whole: list[tuple[int, float]] = []
    with monkeypatch.context() as patch:
        watch(patch, whole, None)
        results = train(world, tmp_path / "whole", stages, progress)
    # every look at this clock costs 0.3 s, so that a checkpoint is due every few steps
    ticks = itertools.count(step=0.3)
    before: list[tuple[int, float]] = []
    with monkeypatch.context() as patch:
        watch(patch, before, 7)
        patch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
        with pytest.raises(Killed):
            train(world, tmp_path / "killed", stages, progress)
    resume = tmp_path / "killed" / "student" / "resume.safetensors"
    assert resume.is_file()
    after: list[tuple[int, float]] = []
    with monkeypatch.context() as patch:
        watch(patch, after, None)
        resumed = train(world, tmp_path / "killed", stages, progress)
    assert [r.name for r in resumed] == ["student"]  # the teacher was done
    begin = after[0][0]
    assert 0 < begin <= 7 and any(f"resumed at step {begin}" in note for note in progress.notes)
    assert before == whole[:7]
    assert after == whole[begin:]
    assert resumed[0].losses == results[1].losses
    assert (resumed[0].steps, resumed[0].tokens) == (results[1].steps, results[1].tokens)
    one, other = (load_state(tmp_path / name / "student" / "checkpoint") for name in ("whole", "killed"))
    assert list(one) == list(other)
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name
    assert not resume.exists()
    progress.notes.clear()
    assert train(world, tmp_path / "killed", stages, progress) == []
    assert len(progress.notes) == 2 and all("done before" in note for note in progress.notes)


def test_a_long_stage_that_starts_from_a_finished_reader_resumes_exactly(
    world: Any, stage: Stages, tiny_model: Models, tmp_path: Path, progress: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in ``configs/train/reader-long.yaml``: more passages than hard negatives, one context a step."""
    model = tiny_model(selected_tokens=[0, 6], null_width=8)
    (reader,) = train(world, tmp_path / "reader", [stage(model=model, tokens=2_000)], progress)
    long = stage(
        name="student", model=model, start=str(reader.checkpoint), tokens=20_000, tokens_per_step=9_600, cloze=0.3,
        passages=[40], passage_weights=[1.0], related=0.7, alias=0.3, perturbed=0.2, held_out_tokens=0,
        checkpoint_seconds=1,
    )  # fmt: skip
    whole: list[tuple[int, float]] = []
    with monkeypatch.context() as patch:
        watch(patch, whole, None)
        (result,) = train(world, tmp_path / "whole", [long], progress)
    assert len(whole) == 3 and {"span", "evidence"} <= set(result.losses)
    ticks = itertools.count(step=2.0)
    with monkeypatch.context() as patch:
        watch(patch, [], 2)
        patch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
        with pytest.raises(Killed):
            train(world, tmp_path / "killed", [long], progress)
    after: list[tuple[int, float]] = []
    with monkeypatch.context() as patch:
        watch(patch, after, None)
        train(world, tmp_path / "killed", [long], progress)
    assert after == whole[after[0][0] :] and after[0][0] > 0


def test_memory_that_is_out_ends_the_run_with_a_way_out(
    world: Any, stage: Stages, tmp_path: Path, progress: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Any, batch: Any, done: float) -> Any:
        raise torch.OutOfMemoryError

    for step, part in enumerate(("loss", "finish")):
        with monkeypatch.context() as patch:
            patch.setattr(ReaderTask, part, full if part == "loss" else lambda self, _: full(self, None, 0.0))
            with pytest.raises(TrainingError, match=r"stage reader: out of memory at step") as error:
                train(world, tmp_path / str(step), [stage(tokens=2_000)], progress)
        assert "tokens_per_step (now 1000)" in error.value.hint and "longest context" in error.value.hint


def test_a_stage_learns_and_leaves_a_whole_checkpoint(
    world: Any, stage: Stages, tmp_path: Path, progress: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses: list[tuple[int, float]] = []
    watch(monkeypatch, losses, None, part="span")
    rates = {"muon_rate": 5e-3, "adamw_rate": 5e-3, "embedding_rate": 5e-3}
    config = stage(name="student", tokens=40_000, passages=[1], passage_weights=[1.0], optimizer=rates)
    (result,) = train(world, tmp_path, [config], progress)
    assert result.tokens >= config.tokens and result.steps == len(losses)
    first, last = (sum(value for _, value in part) / 10 for part in (losses[:10], losses[-10:]))
    assert last < 0.8 * first
    assert all(math.isfinite(value) for value in result.losses.values())
    assert {"span", "write", "polar", "loss", "left-out right", "left-out calibration error"} <= set(result.losses)
    assert load_config(result.checkpoint) == config.model
    model = ReaderModel(config.model)
    load_into(model, load_state(result.checkpoint), "the checkpoint")
    assert torch.equal(model.idf, world.data["idf"])
    assert (result.checkpoint / "tokenizer.json").is_file()
    assert list((tmp_path / "student" / "tensorboard").iterdir())


def test_numbers_that_overflow_end_the_run(world: Any, stage: Stages, tmp_path: Path, progress: Any) -> None:
    config = stage(optimizer={"muon_rate": 1e30, "adamw_rate": 1e30})
    with pytest.raises(TrainingError, match=r"stage reader: .*not finite at step") as error:
        train(world, tmp_path, [config], progress)
    assert "muon_rate" in (error.value.hint or "")
    assert not (tmp_path / "reader" / "checkpoint").exists()


@pytest.mark.parametrize("mixer", ["attention", "local_attention"])
def test_a_distilled_copy_of_the_teacher_starts_without_an_error(
    mixer: str,
    world: Any,
    stage: Stages,
    tiny_model: Models,
    tmp_path: Path,
    progress: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A student that starts as its teacher and moves nowhere has no distillation loss at any step."""
    parts: list[dict[str, float]] = []
    original = ReaderTask.loss

    def loss(self: Any, batch: Any, done: float) -> Any:
        total, each = original(self, batch, done)
        parts.append({name: float(value.detach()) for name, value in each.items()})
        return total, each

    model = tiny_model(mixer)
    still = {"muon_rate": 0.0, "adamw_rate": 0.0, "weight_decay": 0.0}
    teacher = stage(name="teacher", model=model, tokens=4_000)
    copy = stage(name="copy", model=model, start="teacher", teacher="teacher", optimizer=still, tokens=4_000)
    train(world, tmp_path, [teacher], progress)
    monkeypatch.setattr(ReaderTask, "loss", loss)
    train(world, tmp_path, [teacher, copy], progress)
    assert parts
    for step in parts:
        assert step["hidden"] == pytest.approx(0, abs=1e-6) and step["teacher"] == pytest.approx(0, abs=1e-5)
        assert step["span"] > 0.1
