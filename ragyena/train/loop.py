"""The training loop: stages one after another, each resumable, each ending in a checkpoint folder.

A run is a folder: ``<stage>/`` holds ``checkpoint/`` (when done), ``best/`` (the weights with the least held-out loss),
``log.jsonl`` (``ragyena.train.log``), ``tensorboard/``, and ``resume.safetensors`` until it is done. A stage with a
checkpoint is not run again. A killed run resumes from its last ``resume.safetensors``, to the same result.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ragyena.config import TrainingStage
from ragyena.errors import MissingDependencyError, TrainingError
from ragyena.model.checkpoint import save_checkpoint, saved
from ragyena.model.flops import peak_flops
from ragyena.parsing import parse_json
from ragyena.train.log import LOG_FILE, TrainingLog
from ragyena.train.optimizer import ReaderOptimizer, schedule
from ragyena.train.ranks import Ranks
from ragyena.train.step_graphs import StepGraphs
from ragyena.train.task import Task
from ragyena.types import Progress

__all__ = ["StageResult", "finished", "run", "write_resume"]

_LOG_STEPS = 25  # steps between points of the log; losses are read back from the device only then
_NOTE_POINTS = 8  # points between lines kept on the screen


@dataclass(frozen=True, slots=True)
class StageResult:
    """One finished stage."""

    name: str
    checkpoint: Path
    steps: int
    tokens: int
    seconds: float
    losses: dict[str, float]
    """Means of the parts of the loss over the last steps, and measures of the end."""


def run(
    stages: Sequence[TrainingStage],
    make_task: Callable[[Any], Task],
    folder: Path,
    *,
    seed: int,
    device: str,
    progress: Progress,
    ranks: Ranks = Ranks(),  # noqa: B008 - frozen
) -> list[StageResult]:
    """Runs every stage that is not done yet; ``make_task`` makes the task of a stage when its turn comes.

    Raises TrainingError where memory is out or numbers are no longer finite, StorageError where the disk is full.
    """
    results = []
    for stage in stages:
        if finished(folder, stage.name):
            progress.note(f"stage {stage.name}: done before, in {folder / stage.name / 'checkpoint'}")
            continue
        torch.manual_seed(seed)
        trainer = _Stage(stage, make_task(stage), folder / stage.name, device, progress, ranks)
        results.append(trainer.train())
        ranks.wait()  # for the checkpoint, which the next stage may start from
    return results


def finished(folder: Path, stage: str) -> bool:
    """True where a run's folder holds the checkpoint of a finished stage."""
    return saved(folder / stage / "checkpoint")


class _Stage:
    def __init__(
        self, stage: TrainingStage, task: Task, folder: Path, device: str, progress: Progress, ranks: Ranks
    ) -> None:
        self.stage, self.task, self.folder, self.device = stage, task, folder, device
        self.progress, self.ranks = progress, ranks
        self.folder.mkdir(parents=True, exist_ok=True)
        self.model = task.model
        self.optimizer = ReaderOptimizer(self.model, stage.optimizer)
        self.loss: Callable[[Any, float], tuple[Tensor, dict[str, Tensor]]] = task.loss
        if ranks.count > 1:
            self.loss = DistributedDataParallel(_Loss(task), broadcast_buffers=False, find_unused_parameters=True)
        self.compiles = stage.compile and device.startswith("cuda")
        self.passes: Callable[[Any, float], dict[str, Tensor]] = self._passes
        if self.compiles and task.recordable and ranks.count == 1:
            self.passes = StepGraphs(self._passes, [p for p in self.model.parameters() if p.requires_grad])
        self.peak = peak_flops(device)
        self.step, self.tokens, self.flops, self.seconds, self.begun = 0, 0, 0.0, 0.0, 0.0
        self.sums: dict[str, Tensor] = {}  # of each part of the loss since the last point of the log
        self.counts: Counter[str] = Counter()
        self.best = math.inf
        self.best_state: dict[str, Tensor] | None = None  # the best weights, while they are not on the disk

    # -- the loop ------------------------------------------------------------------------------------------------

    def train(self) -> StageResult:
        try:
            return self._train()
        except torch.OutOfMemoryError as error:
            raise TrainingError(
                f"stage {self.stage.name}: out of memory at step {self.step}",
                hint=f"lower tokens_per_step (now {self.stage.tokens_per_step}), or, where a step holds a single one, "
                "the stage's longest context or sequence; the run resumes from its checkpoint",
            ) from error

    def _train(self) -> StageResult:
        self._resume()  # before anything is recorded: graphs keep to the tensors they were recorded with
        self._compile_shapes()
        self.ranks.wait()
        total = self.stage.tokens
        self.progress.start(f"stage {self.stage.name}", max(total - self.tokens, 1), "tokens")
        points = _Points(self)
        saved = self.begun = time.monotonic()
        means: dict[str, float] = {}
        held_out: dict[str, float] = {}
        while self.tokens < total:
            batch = self.task.batch(self.step)
            before = self.tokens
            self._count(self._update(batch))
            self.step += 1
            self.tokens += batch.tokens * self.ranks.count
            self.flops += self.task.flops(batch) * self.ranks.count
            if self.step % _LOG_STEPS == 0 or self.tokens >= total:
                means = self._means()
                points.losses(means)
            every = self.stage.held_out_tokens
            if every and (self.tokens // every > before // every or self.tokens >= total):
                held_out = self._measure(points)
            if time.monotonic() - saved > self.stage.checkpoint_seconds:
                self._save_resume()
                saved = time.monotonic()
        self.seconds = self._elapsed()
        points.close()
        self.model.eval()
        means |= held_out | self.task.finish(self.progress)
        checkpoint = self.folder / "checkpoint"
        if self.ranks.first:
            self._save_best()
            self._save(checkpoint, self.model.state_dict())
            self.task.save_beside(checkpoint)
            (self.folder / "resume.safetensors").unlink(missing_ok=True)
        return StageResult(self.stage.name, checkpoint, self.step, self.tokens, self.seconds, means)

    def multiplier(self) -> float:
        return schedule(self.tokens / self.stage.tokens, self.stage.optimizer)

    def _elapsed(self) -> float:
        return self.seconds + time.monotonic() - self.begun

    def _update(self, batch: Any) -> dict[str, Tensor]:
        """One step; the parts of the loss, still on the device."""
        parts = self.passes(batch, self.tokens / self.stage.tokens)
        self.optimizer.step(self.multiplier())
        self.optimizer.zero_grad()
        return parts

    def _passes(self, batch: Any, done: float) -> dict[str, Tensor]:
        """Forward and backward: leaves clipped gradients, returns the parts of the loss."""
        loss, parts = self.loss(batch, done)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.stage.optimizer.clip_norm)
        return {**{name: value.detach() for name, value in parts.items()}, "gradient norm": norm}

    def _count(self, parts: dict[str, Tensor]) -> None:
        for name, value in parts.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value
            self.counts[name] += 1

    def _means(self) -> dict[str, float]:
        """The means since the last call, over all ranks."""
        names = sorted(self.sums)
        sums = self.ranks.sum(torch.stack([self.sums[name].float() for name in names])) / self.ranks.count
        means = {name: value / self.counts[name] for name, value in zip(names, sums.tolist())}
        self.sums, self.counts = {}, Counter()
        self._check(means)
        return means

    def _measure(self, points: _Points) -> dict[str, float]:
        """Measures the held-out loss; keeps the weights where it is the least so far."""
        begun = time.monotonic()
        self.model.eval()
        measured = self.task.held_out()
        self.model.train()
        if not measured:
            return {}
        self._check(measured)
        loss = measured[self.task.held_out_loss]
        if loss < self.best:
            self.best = loss
            if self.ranks.first:
                self.best_state = {name: t.detach().clone() for name, t in self.model.state_dict().items()}
        points.held_out(measured, time.monotonic() - begun)
        return measured

    def _check(self, means: dict[str, float]) -> None:
        bad = [name for name, mean in means.items() if not math.isfinite(mean)]
        if bad:
            raise TrainingError(
                f"stage {self.stage.name}: {', '.join(bad)} not finite at step {self.step}",
                hint="lower optimizer.muon_rate and optimizer.adamw_rate; the run resumes from its last checkpoint",
            )

    def _compile_shapes(self) -> None:
        """Compiles every batch shape beforehand, so that it counts neither as training time nor in the speed."""
        if not self.compiles or not self.stage.tokens:
            return
        begun = time.monotonic()
        batches = self.task.every_shape()
        for batch in batches:
            self.passes(batch, 0.0)
            self.optimizer.zero_grad()
        if self.stage.held_out_tokens:
            self.model.eval()
            self.task.held_out()
            self.model.train()
        torch.cuda.synchronize()
        self.progress.note(f"compiled {len(batches)} shapes in {time.monotonic() - begun:.0f} s")

    # -- files ---------------------------------------------------------------------------------------------------

    def _save(self, folder: Path, state: dict[str, Tensor]) -> None:
        state = {name: tensor.detach() for name, tensor in state.items()}
        save_checkpoint(
            folder, state, self.task.model_config, tokenizer=self.task.tokenizer, card=None, storage=self.task.storage
        )

    def _save_best(self) -> None:
        """Brings the best weights to the disk. Killed at any moment, ``best`` or ``best.old`` is whole."""
        if self.best_state is None:
            return
        best, new, old = (self.folder / name for name in ("best", "best.new", "best.old"))
        shutil.rmtree(new, ignore_errors=True)
        self._save(new, self.best_state)
        if best.exists():
            shutil.rmtree(old, ignore_errors=True)
            best.rename(old)
        new.rename(best)
        shutil.rmtree(old, ignore_errors=True)
        self.best_state = None

    def _save_resume(self) -> None:
        if not self.ranks.first:
            return
        self._check({name: float(value) for name, value in self.sums.items()})  # never resume from NaN
        self._save_best()
        parts = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state(),
            "task": self.task.state(),
            "sums": self.sums,
        }
        values = {
            "step": self.step,
            "tokens": self.tokens,
            "flops": self.flops,
            "seconds": self._elapsed(),
            "counts": self.counts,
            "best": self.best if math.isfinite(self.best) else None,
        }
        write_resume(self.folder / "resume.safetensors", parts, values)

    def _resume(self) -> None:
        best, old = self.folder / "best", self.folder / "best.old"
        if self.ranks.first and old.exists() and not best.exists():
            old.rename(best)
        path = self.folder / "resume.safetensors"
        if not path.is_file():
            return
        with safe_open(path, framework="pt") as file:
            values = parse_json(file.metadata()["progress"])
        tensors = load_file(path)

        def part(prefix: str) -> dict[str, Tensor]:
            return {n.removeprefix(prefix): t.to(self.device) for n, t in tensors.items() if n.startswith(prefix)}

        self.model.load_state_dict(part("model."))
        self.optimizer.load_state(part("optimizer."))
        self.task.load_state(part("task."))
        self.step, self.tokens, self.seconds = values["step"], values["tokens"], values["seconds"]
        self.flops, self.best = values["flops"], math.inf if values["best"] is None else values["best"]
        self.sums, self.counts = part("sums."), Counter(values["counts"])
        self.progress.note(f"stage {self.stage.name}: resumed at step {self.step}, {self.tokens / 1e6:.1f}M tokens")


def write_resume(target: Path, parts: Mapping[str, Mapping[str, Tensor]], values: Mapping[str, Any]) -> None:
    """Writes the state to resume from, atomically: tensors by part and name, and plain values."""
    tensors = {
        f"{part}.{name}": tensor.detach().cpu().clone(memory_format=torch.contiguous_format)  # none shares memory
        for part, named in parts.items()
        for name, tensor in named.items()
    }
    partial = target.with_suffix(".partial")
    save_file(tensors, partial, metadata={"progress": json.dumps(values)})
    partial.replace(target)


class _Loss(nn.Module):
    """A task's loss as a module's forward pass, for DistributedDataParallel to average its gradients."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task, self.model = task, task.model

    def forward(self, batch: Any, done: float) -> tuple[Tensor, dict[str, Tensor]]:
        return self.task.loss(batch, done)


class _Points:
    """The points of a stage's curve, written to the log, TensorBoard and the screen by the first rank."""

    def __init__(self, stage: _Stage) -> None:
        self.stage = stage
        self.shown = 0
        self.since, self.since_tokens, self.since_flops = time.monotonic(), stage.tokens, stage.flops
        if stage.ranks.first:
            self.log = TrainingLog(stage.folder / LOG_FILE, step=stage.step)
            self.writer = _summary_writer(stage.folder / "tensorboard", stage.tokens)

    def losses(self, means: dict[str, float]) -> None:
        """A point of the losses, with the speed since the last one."""
        stage, now = self.stage, time.monotonic()
        passed, done = max(now - self.since, 1e-9), stage.tokens - self.since_tokens
        rate, flops = done / passed, (stage.flops - self.since_flops) / passed
        mfu = flops / (stage.peak * stage.ranks.count) if stage.peak else None
        self.since, self.since_tokens, self.since_flops = now, stage.tokens, stage.flops
        if not stage.ranks.first:
            return
        multiplier = stage.multiplier()
        self.log.write(self._place() | {"losses": means, "rate": multiplier, "tokens_per_second": rate, "mfu": mfu})
        scalars = means | {"tokens per second": rate, "rate": multiplier} | ({} if mfu is None else {"MFU": mfu})
        for name, value in scalars.items():
            self.writer.add_scalar(name, value, stage.tokens)
        speed = f"{rate / 1e6:.2f}M tokens/s" if rate > 1e5 else f"{rate:,.0f} tokens/s"
        if mfu is not None:
            speed += f"  {mfu:.1%} MFU"
        stage.progress.advance(done, f"{speed}  loss {means['loss']:.3f}")
        self.shown += 1
        if self.shown % _NOTE_POINTS == 0:
            stage.progress.note(f"{stage.stage.name} {stage.tokens / 1e6:.1f}M tokens  {speed}  {_shown(means)}")

    def held_out(self, measured: dict[str, float], seconds: float) -> None:
        """A point of a measurement that took ``seconds``, which do not count in the speed."""
        stage = self.stage
        self.since += seconds
        if not stage.ranks.first:
            return
        self.log.write(self._place() | {"held_out": measured})
        for name, value in measured.items():
            self.writer.add_scalar(f"held-out/{name}", value, stage.tokens)
        stage.progress.note(f"{stage.stage.name} {stage.tokens / 1e6:.1f}M tokens  held out: {_shown(measured)}")

    def _place(self) -> dict[str, Any]:
        stage = self.stage
        seconds = round(stage._elapsed(), 3)
        return {"step": stage.step, "tokens": stage.tokens, "seconds": seconds, "flops": stage.flops}

    def close(self) -> None:
        if self.stage.ranks.first:
            self.log.close()
            self.writer.close()


def _shown(values: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.3f}" for name, value in values.items())


def _summary_writer(folder: Path, tokens: int) -> Any:
    """A TensorBoard writer that hides what an earlier process wrote beyond ``tokens``."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingDependencyError("TensorBoard is not installed", hint="pip install 'ragyena[train]'") from error
    return cast(Any, SummaryWriter)(str(folder), purge_step=tokens or None)
