"""The training loop: stages one after another, each resumable, each ending in a checkpoint folder.

A run is a folder: ``<stage>/`` holds ``checkpoint/`` (when done), ``resume.safetensors`` (until then) and
``tensorboard/``. A stage whose checkpoint is there is not run again. A run that is killed goes on from its last
``resume.safetensors`` and computes what it would have computed.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ragyena.config import StageConfig, TrainConfig
from ragyena.errors import MissingDependencyError, TrainingError
from ragyena.model.checkpoint import save_checkpoint
from ragyena.training.optimizer import ReaderOptimizer, schedule
from ragyena.training.packed import Batch, PackedData
from ragyena.training.reader_task import ReaderTask
from ragyena.types import Progress

__all__ = ["StageResult", "run"]

log = logging.getLogger(__name__)

_LOG_STEPS = 25  # steps between lines on the screen and points in TensorBoard; losses are read back only then


@dataclass(frozen=True, slots=True)
class StageResult:
    """One finished stage."""

    name: str
    checkpoint: Path
    steps: int
    tokens: int
    seconds: float
    losses: dict[str, float]
    """Mean of each part of the loss over the last steps."""


def run(
    config: TrainConfig,
    packed: PackedData,
    folder: Path,
    *,
    encoder: Path,
    tokenizer: Path,
    device: str,
    progress: Progress,
) -> list[StageResult]:
    """Runs every stage that is not done yet.

    ``encoder`` is a BERT-layout model.safetensors to start from, ``tokenizer`` the tokenizer.json of the checkpoints.
    """
    results = []
    for stage in config.stages:
        checkpoint = folder / stage.name / "checkpoint"
        if (checkpoint / "model.safetensors").is_file():
            progress.note(f"stage {stage.name}: done before, in {checkpoint}")
            continue
        trainer = _Stage(config, stage, packed, folder, encoder, tokenizer, device, progress)
        results.append(trainer.train())
    return results


class _Stage:
    def __init__(
        self,
        config: TrainConfig,
        stage: StageConfig,
        packed: PackedData,
        folder: Path,
        encoder: Path,
        tokenizer: Path,
        device: str,
        progress: Progress,
    ) -> None:
        self.stage, self.progress, self.device, self.tokenizer = stage, progress, device, tokenizer
        self.folder = folder / stage.name
        self.folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(config.seed)
        self.task = ReaderTask(config, stage, packed, runs=folder, encoder=encoder, device=device)
        self.model = self.task.model
        self.optimizer = ReaderOptimizer(self.model, stage.optimizer)
        self.step, self.tokens, self.seconds = 0, 0, 0.0

    # -- the loop ------------------------------------------------------------------------------------------------

    def train(self) -> StageResult:
        self._resume()
        self._compile_shapes()
        self.progress.start(f"stage {self.stage.name}", self.stage.tokens, "tokens")
        self.progress.advance(self.tokens)
        writer = _summary_writer(self.folder / "tensorboard")
        sums: dict[str, Tensor] = {}
        counts: Counter[str] = Counter()
        means: dict[str, float] = {}
        begun, saved, since, since_tokens = time.monotonic(), time.monotonic(), time.monotonic(), self.tokens
        try:
            while self.tokens < self.stage.tokens:
                batch = self.task.batch(self.step)
                parts = self._update(batch)
                self.step += 1
                self.tokens += batch.tokens
                for name, value in parts.items():
                    sums[name] = sums[name] + value if name in sums else value
                    counts[name] += 1
                if self.step % _LOG_STEPS == 0 or self.tokens >= self.stage.tokens:
                    means = {name: float(total) / counts[name] for name, total in sums.items()}
                    sums, counts = {}, Counter()
                    self._check(means)
                    now = time.monotonic()
                    rate = (self.tokens - since_tokens) / (now - since)
                    self.progress.advance(self.tokens - since_tokens)
                    since, since_tokens = now, self.tokens
                    for name, mean in (*means.items(), ("tokens per second", rate), ("rate", self._multiplier())):
                        writer(name, mean, self.tokens)
                    if self.step % (8 * _LOG_STEPS) == 0:
                        shown = "  ".join(f"{name} {mean:.3f}" for name, mean in means.items())
                        self.progress.note(
                            f"{self.stage.name} {self.tokens / 1e6:.1f}M tokens  {rate / 1e6:.2f}M/s  {shown}"
                        )
                if time.monotonic() - saved > self.stage.checkpoint_seconds:
                    self._check({name: float(value) for name, value in parts.items()})  # never resume from NaN
                    self._save_resume(self.seconds + time.monotonic() - begun)
                    saved = time.monotonic()
        except torch.OutOfMemoryError as error:
            raise TrainingError(
                f"stage {self.stage.name}: out of memory at step {self.step}",
                hint=f"lower tokens_per_step (now {self.stage.tokens_per_step}); the run goes on from its checkpoint",
            ) from error
        self.seconds += time.monotonic() - begun
        self.model.eval()
        fit = self.task.finish()
        if not fit:
            self.progress.note("nothing is held out (data.held_out): the confidence stays uncalibrated")
        means |= fit
        checkpoint = self.folder / "checkpoint"
        state = {name: tensor.detach() for name, tensor in self.model.state_dict().items()}
        save_checkpoint(
            checkpoint,
            state,
            self.stage.model,
            tokenizer=self.tokenizer,
            card=None,
            storage=self.task.storage,
        )
        (self.folder / "resume.safetensors").unlink(missing_ok=True)
        return StageResult(self.stage.name, checkpoint, self.step, self.tokens, self.seconds, means)

    def _multiplier(self) -> float:
        return schedule(self.tokens / self.stage.tokens, self.stage.optimizer)

    def _update(self, batch: Batch) -> dict[str, Tensor]:
        """One step; the parts of the loss, still on the device."""
        loss, parts = self.task.loss(batch, self.tokens / self.stage.tokens)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.stage.optimizer.clip_norm)
        self.optimizer.step(self._multiplier())
        self.optimizer.zero_grad()
        return {**{name: value.detach() for name, value in parts.items()}, "gradient norm": norm}

    def _check(self, means: dict[str, float]) -> None:
        bad = [name for name, mean in means.items() if not math.isfinite(mean)]
        if bad:
            raise TrainingError(
                f"stage {self.stage.name}: {', '.join(bad)} not finite at step {self.step}",
                hint="lower optimizer.muon_rate and optimizer.adamw_rate; the run goes on from its last checkpoint",
            )

    def _compile_shapes(self) -> None:
        """Compiles every batch shape, so that it does not count as training time nor trip up the rate shown."""
        if not (self.stage.compile and self.device.startswith("cuda")):
            return
        begun = time.monotonic()
        batches = self.task.every_shape()
        for batch in batches:
            loss, _ = self.task.loss(batch, 0.0)
            loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.zero_grad()
        torch.cuda.synchronize()
        self.progress.note(f"compiled {len(batches)} shapes in {time.monotonic() - begun:.0f} s")

    # -- resume --------------------------------------------------------------------------------------------------

    def _save_resume(self, seconds: float) -> None:
        parts = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state(),
            "task": self.task.state(),
        }
        tensors = {
            f"{part}.{name}": tensor.detach().cpu().clone(memory_format=torch.contiguous_format)  # none shares memory
            for part, named in parts.items()
            for name, tensor in named.items()
        }
        target = self.folder / "resume.safetensors"
        partial = target.with_suffix(".partial")
        values = {"step": self.step, "tokens": self.tokens, "seconds": seconds}
        save_file(tensors, partial, metadata={"progress": json.dumps(values)})
        partial.replace(target)

    def _resume(self) -> None:
        path = self.folder / "resume.safetensors"
        if not path.is_file():
            return
        with safe_open(path, framework="pt") as file:
            values = json.loads(file.metadata()["progress"])
        tensors = load_file(path)

        def part(prefix: str) -> dict[str, Tensor]:
            return {n.removeprefix(prefix): t.to(self.device) for n, t in tensors.items() if n.startswith(prefix)}

        self.model.load_state_dict(part("model."))
        self.optimizer.load_state(part("optimizer."))
        self.task.load_state(part("task."))
        self.step, self.tokens, self.seconds = values["step"], values["tokens"], values["seconds"]
        self.progress.note(f"stage {self.stage.name}: resumed at step {self.step}, {self.tokens / 1e6:.1f}M tokens")


def _summary_writer(folder: Path) -> Callable[[str, float, int], None]:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingDependencyError("TensorBoard is not installed", hint="pip install 'ragyena[train]'") from error
    writer = SummaryWriter(str(folder))

    def write(name: str, value: float, tokens: int) -> None:
        writer.add_scalar(name, value, tokens)

    return write
