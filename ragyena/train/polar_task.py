"""The task of a stage that trains the layers that decide yes or no beside a pair reader.

Legend: B contexts, P passages.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ragyena.config import PolarModelConfig, PolarStageConfig, TrainConfig
from ragyena.config.training import Loss, Sampling
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import TrainingError
from ragyena.model.checkpoint import Storage, load_config, weights_key
from ragyena.model.flops import TRAINING
from ragyena.model.polar_branch import NO, UNDECIDED, YES, PolarBranch
from ragyena.train.context_task import ContextTask
from ragyena.train.packed import Batch, PackedData
from ragyena.train.pair_task import STORAGE, load_pair_reader
from ragyena.train.ranks import Ranks
from ragyena.train.step_graphs import compiled
from ragyena.train.task import average_with, load_trained, trained_folder
from ragyena.types import Progress

__all__ = ["PolarTask", "polar_targets"]


class PolarTask(ContextTask):
    """A stage that trains such layers, on yes/no questions alone."""

    model: PolarBranch
    held_out_loss = "held-out polar"
    recordable = False  # dropout draws anew in each step

    def __init__(
        self,
        config: TrainConfig,
        stage: PolarStageConfig,
        packed: PackedData,
        *,
        runs: Path,
        device: str,
        tokenizer: Path,
        ranks: Ranks = Ranks(),  # noqa: B008 - frozen
    ) -> None:
        super().__init__(
            config, stage, packed, runs=runs, device=device, tokenizer=None, ranks=ranks, asked=packed["polar"] == 1
        )
        self.stage = stage
        self.yes = Tokenizer.from_folder(tokenizer.parent).vocabulary()["yes"]
        trunk = load_pair_reader(stage.start, runs)
        branch = PolarBranch(stage.model.model_copy(update={"trunk": weights_key(trained_folder(stage.start, runs))}))
        if (reason := branch.misfit(trunk)) is not None:
            raise TrainingError(
                f"stage {stage.name}: {reason}", hint="give its model the shape of the pair reader that it starts from"
            )
        for name, _ in self.averaged():
            if load_config(trained_folder(name, runs)) != branch.config:
                raise TrainingError(
                    f"stage {stage.name} cannot be averaged with {name}: their models, or pair readers, differ",
                    hint="take it out of average, or give both the same model and the same start",
                )
        branch.start_from(trunk)
        self.model = branch.to(device).train()
        self.trunk = trunk.to(device).eval().requires_grad_(False)
        self.trunk.prepare_inference(self.dtype)
        self.layers = self.layers_of(self.model)
        self.trunk_layers = compiled(self.trunk.layers) if self.compiled else list(self.trunk.layers)

    @property
    def storage(self) -> Mapping[str, Storage]:
        return STORAGE[self.stage.storage]

    def flops(self, batch: Batch) -> float:
        shape = batch.inputs.shape
        share = 1 - self.stage.model.layers / self.trunk.config.depth
        return (TRAINING * self.model.flops(shape) + share * self.trunk.flops(shape)) * batch.tokens

    def loss(self, batch: Batch, done: float | Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        scores = self._scores(batch)
        targets, decides, known = polar_targets(batch, self.yes)
        each = F.cross_entropy(scores.flatten(0, 1), targets.flatten(), reduction="none").view_as(decides)
        polar, undecided = _mean(each, decides & known), _mean(each, ~decides & known)
        loss = polar + Loss.UNDECIDED_WEIGHT * undecided
        return loss, {"polar": polar, "undecided": undecided, "loss": loss}

    @torch.no_grad()
    def held_out(self) -> dict[str, float]:
        """The cross-entropy of yes and no in the passages that decide, and the share that is right, of questions never
        trained on."""
        losses, right = [], []
        for passages in self.stage.passages if len(self.sampler.held_out) else ():
            for step in range(Sampling.HELD_OUT_BATCHES):
                batch = self.sampler.held_out_batch(step, passages)
                scores = self._scores(batch)
                targets, decides, known = polar_targets(batch, self.yes)
                kept = decides & known
                losses.append(F.cross_entropy(scores[kept], targets[kept], reduction="none"))
                right.append(scores[kept][:, [YES, NO]].argmax(1) == targets[kept])
        if not losses:
            return {}
        return {
            self.held_out_loss: float(torch.cat(losses).mean()),
            "held-out right": float(torch.cat(right).float().mean()),
        }

    def finish(self, progress: Progress) -> dict[str, float]:
        """Averages the layers where the stage says so, and measures the average."""
        if not self.averaged():
            return {}
        others = [
            (load_trained(name, self.runs, PolarModelConfig, PolarBranch, "a polar branch"), share)
            for name, share in self.averaged()
        ]
        average_with(self.model, others)
        return {f"averaged {name}": value for name, value in self.held_out().items()}

    def _scores(self, batch: Batch) -> Tensor:
        return self.model.scores(
            self.trunk, batch.plain, dtype=self.dtype, layers=self.layers, trunk_layers=self.trunk_layers
        )


def polar_targets(batch: Batch, yes: int) -> tuple[Tensor, Tensor, Tensor]:
    """The targets of each passage [B, P] int64, whether it decides [B, P] bool, and whether that is known [B, P] bool.
    ``yes`` is the token that an answer of yes begins with.

    A passage with evidence decides, and where the evidence is not known the only one; of several nothing is known then.
    """
    with_evidence = batch.evidence.any(2)
    told = with_evidence.any(1)
    alone = batch.inputs.token_ids.shape[1] == 1
    decides = with_evidence | ~told[:, None] if alone else with_evidence
    answered = (batch.polar == 1) & batch.answer_mask[:, 0]
    known = answered & (told | alone)
    says = torch.where(batch.answer_ids[:, 0] == yes, YES, NO)
    targets = torch.where(decides, says[:, None], UNDECIDED)
    return targets, decides, known[:, None].expand_as(decides)


def _mean(each: Tensor, which: Tensor) -> Tensor:
    return (each * which).sum() / which.sum().clamp(min=1)
