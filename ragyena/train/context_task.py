"""The base of tasks on questions in contexts: batches, this process's share of each, the held-out loss, files."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ragyena.config import ContextStageConfig, TrainConfig
from ragyena.config.training import Sampling
from ragyena.errors import TrainingError
from ragyena.model.reader_model import SpanScores
from ragyena.train.objectives import span_loss
from ragyena.train.packed import Batch, PackedData
from ragyena.train.ranks import Ranks
from ragyena.train.sampler import Sampler
from ragyena.train.step_graphs import compiled
from ragyena.types import Progress

__all__ = ["ContextTask"]


class ContextTask(ABC):
    """A stage on one device, for the share of one rank. ``runs`` holds the checkpoints of earlier stages."""

    held_out_loss = "held-out span"

    def __init__(
        self,
        config: TrainConfig,
        stage: ContextStageConfig,
        packed: PackedData,
        *,
        runs: Path,
        device: str,
        tokenizer: Path | None,
        ranks: Ranks,
    ) -> None:
        self.runs, self.device, self.tokenizer, self.ranks = runs, device, tokenizer, ranks
        self._context_stage = stage
        self.compiles = stage.compile and device.startswith("cuda")
        self.dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
        self.sampler = Sampler(packed, stage, seed=config.seed, question_tokens=config.data.question_tokens)

    def batch(self, step: int) -> Batch:
        """This rank's share of the batch of a step: the same whenever it is asked for."""
        return self._share(self.sampler.batch(step))

    def every_shape(self) -> list[Batch]:
        """A batch of each shape that steps can have, to compile for."""
        return [self._share(self.sampler.batch(0, shape=shape)) for shape in self.sampler.shapes()]

    @abstractmethod
    def held_out_scores(self, batch: Batch) -> SpanScores:
        """The scores behind the held-out loss."""

    @torch.no_grad()
    def held_out(self) -> dict[str, float]:
        """The span loss on questions never trained on, among as many passages as the stage has."""
        if not len(self.sampler.held_out):
            return {}
        losses = []
        for passages in self._context_stage.passages:
            for step in range(Sampling.HELD_OUT_BATCHES):
                batch = self.sampler.held_out_batch(step, passages)
                losses.append(span_loss(self.held_out_scores(batch), batch))
        return {self.held_out_loss: float(torch.stack(losses).mean())}

    def layers_of(self, model: nn.Module) -> list[nn.Module]:
        """The layers of a model, compiled where the stage says so."""
        layers = model.layers
        assert isinstance(layers, nn.ModuleList)
        return compiled(layers) if self.compiles else list(layers)

    def state(self) -> dict[str, Tensor]:
        """State that a resumed run needs besides the model and its optimizer."""
        return {}

    def load_state(self, tensors: dict[str, Tensor]) -> None:  # noqa: B027 - most have none
        """Takes what ``state`` gave."""

    def finish(self, progress: Progress) -> dict[str, float]:
        """Finish the stage when training is over; returns measurements."""
        return {}

    def _share(self, batch: Batch) -> Batch:
        """This rank's contexts of a batch; ranks have equally many."""
        ranks = self.ranks
        if ranks.count == 1:
            return batch
        each = len(batch.start) // ranks.count
        if not each:
            raise TrainingError(
                f"stage {self._context_stage.name}: a step has {len(batch.start)} contexts for {ranks.count} processes",
                hint="raise tokens_per_step, or start fewer processes",
            )
        mine = slice(ranks.rank * each, (ranks.rank + 1) * each)
        values = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
        rows: dict[str, Any] = {name: value[mine] for name, value in values.items() if isinstance(value, Tensor)}
        return dataclasses.replace(batch, inputs=batch.inputs.rows(mine), **rows)
