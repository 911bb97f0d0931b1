"""The base of the tasks on questions in contexts: their batches, the share of a rank, and of those that find spans the
held-out loss."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

import torch
from torch import Tensor, nn

from ragyena.config import ContextStageConfig, TrainConfig
from ragyena.config.training import Sampling
from ragyena.errors import TrainingError
from ragyena.model.reader_model import SpanScores
from ragyena.model.tensor_fields import mapped
from ragyena.train.objectives import span_loss
from ragyena.train.packed import Batch, PackedData
from ragyena.train.ranks import Ranks
from ragyena.train.sampler import Sampler
from ragyena.train.step_graphs import compiled
from ragyena.train.task import Task

__all__ = ["ContextTask", "SpanTask"]


class ContextTask(Task):
    """A stage on one device, for the share of one rank. ``runs`` holds the checkpoints of earlier stages, ``asked`` is
    True for the questions of the stage, all where it is not given."""

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
        asked: Tensor | None = None,
    ) -> None:
        super().__init__(stage, device, ranks)
        self.context_stage, self.runs, self.tokenizer = stage, runs, tokenizer
        self.sampler = Sampler(
            packed, stage, seed=config.seed + stage.seed, question_tokens=config.data.question_tokens, asked=asked
        )

    def batch(self, step: int) -> Batch:
        return self._share(self.sampler.batch(step))

    def every_shape(self) -> list[Batch]:
        return [self._share(self.sampler.batch(0, shape=shape)) for shape in self.sampler.shapes()]

    def averaged(self) -> list[tuple[str, float]]:
        """The names and shares of the other models in the finished one."""
        stage = self.context_stage
        return [(stage.start if name == "start" else name, share) for name, share in stage.average.items() if share]

    def layers_of(self, model: nn.Module) -> list[nn.Module]:
        """The layers of a model, compiled where the stage says so."""
        layers = model.layers
        assert isinstance(layers, nn.ModuleList)
        return compiled(layers) if self.compiled else list(layers)

    def _share(self, batch: Batch) -> Batch:
        """This rank's contexts of a batch; ranks have equally many."""
        ranks = self.ranks
        if ranks.count == 1:
            return batch
        each = len(batch.start) // ranks.count
        if not each:
            raise TrainingError(
                f"stage {self.context_stage.name}: a step has {len(batch.start)} contexts for {ranks.count} processes",
                hint="raise tokens_per_step, or start fewer processes",
            )
        mine = slice(ranks.rank * each, (ranks.rank + 1) * each)
        share: Batch = mapped(batch, lambda tensor: tensor[mine])
        return share


class SpanTask(ContextTask):
    """A stage whose model finds spans."""

    held_out_loss = "held-out span"

    @abstractmethod
    def held_out_scores(self, batch: Batch) -> SpanScores:
        """The scores behind the held-out loss."""

    @torch.no_grad()
    def held_out(self) -> dict[str, float]:
        """The span loss on questions never trained on, among as many passages as the stage has."""
        if not len(self.sampler.held_out):
            return {}
        losses = []
        for passages in self.context_stage.passages:
            for step in range(Sampling.HELD_OUT_BATCHES):
                batch = self.sampler.held_out_batch(step, passages)
                losses.append(span_loss(self.held_out_scores(batch), batch))
        return {self.held_out_loss: float(torch.stack(losses).mean())}
