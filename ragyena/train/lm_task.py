"""Stages that train a causal language model: on prose (``LanguageTask``), or on tasks of recall (``recall_task``)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ragyena.config import CausalModelConfig, LanguageStageConfig, LanguageTrainConfig, RecallStageConfig
from ragyena.errors import ConfigError
from ragyena.model.checkpoint import Storage, load_into
from ragyena.model.flops import TRAINING
from ragyena.model.language_model import CausalLM
from ragyena.train.lm_data import LanguageBatch, Stream, TokenStream, windows
from ragyena.train.ranks import Ranks
from ragyena.train.step_graphs import compiled
from ragyena.train.task import load_trained
from ragyena.types import Progress

__all__ = ["CausalTask", "LanguageTask"]


class CausalTask:
    """Base of the stages of language models: the model, its loss and its FLOPs. ``runs`` holds the checkpoints of
    earlier stages."""

    def __init__(
        self, stage: LanguageStageConfig | RecallStageConfig, *, runs: Path, device: str, ranks: Ranks
    ) -> None:
        self.device, self.ranks = device, ranks
        self.model = _started(stage.model, stage.start, runs).to(device).train()
        self.dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
        self.compiled = stage.compile and device.startswith("cuda")
        self.layers = compiled(self.model.backbone.layers) if self.compiled else None
        self._flops: dict[int, float] = {}  # a token, by length

    def mean_loss(self, batch: LanguageBatch) -> Tensor:
        """Mean cross-entropy of the batch's targets, in nats."""
        return self.model.loss(
            batch.ids, targets_BL=batch.targets, dtype=self.dtype, layers=self.layers, compiled=self.compiled
        )

    def loss(self, batch: LanguageBatch, done: float) -> tuple[Tensor, dict[str, Tensor]]:
        """``mean_loss``, and itself as the only part."""
        loss = self.mean_loss(batch)
        return loss, {"loss": loss}

    def flops(self, batch: LanguageBatch) -> float:
        """Model FLOPs of a step on the batch."""
        length = batch.ids.shape[1]
        if length not in self._flops:
            self._flops[length] = TRAINING * self.model.flops(length)
        return self._flops[length] * batch.tokens

    def finish(self, progress: Progress) -> dict[str, float]:
        return {}

    def state(self) -> dict[str, Tensor]:
        return {}

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """There is no state but that of the model and its optimizer."""


class LanguageTask(CausalTask):
    """A stage of language modelling on one device."""

    held_out_loss = "held-out loss"

    def __init__(
        self,
        config: LanguageTrainConfig,
        stage: LanguageStageConfig,
        stream: Stream,
        *,
        runs: Path,
        tokenizer: Path,
        device: str,
        ranks: Ranks = Ranks(),  # noqa: B008 - frozen
    ) -> None:
        if stream.vocab_size > stage.model.vocab_size:
            raise ConfigError(
                f"stage {stage.name}: a vocabulary of {stream.vocab_size} needs model.vocab_size as large",
                hint=f"set it to {stream.vocab_size} in the recipe",
            )
        self.length = stage.sequence_tokens
        sequences = stage.tokens_per_step // self.length
        if sequences % ranks.count:
            raise ConfigError(
                f"stage {stage.name}: {sequences} sequences a step cannot be shared evenly by {ranks.count} processes",
                hint="let tokens_per_step be a multiple of sequence_tokens times the number of processes",
            )
        self.stage, self.tokenizer, self.recordable = stage, tokenizer, stage.cuda_graphs
        self.train = TokenStream(stream.train, length=self.length, sequences=sequences, seed=config.seed, ranks=ranks)
        self.dev, self.sequences = stream.dev, sequences // ranks.count
        super().__init__(stage, runs=runs, device=device, ranks=ranks)

    @property
    def storage(self) -> Mapping[str, Storage]:
        """Storage of the finished model; filters always in fp32."""
        return {"*filter*": "float32", "*": self.stage.storage}

    def batch(self, step: int) -> LanguageBatch:
        """This rank's share of the batch of a step: the same at every call."""
        return self.train.batch(step)

    def every_shape(self) -> list[LanguageBatch]:
        """The one shape there is."""
        return [self.train.batch(0)]

    @torch.no_grad()
    def held_out(self) -> dict[str, float]:
        """Loss and perplexity of the held-out documents, in adjacent windows as long as those trained on.

        Batches are of one size, that of a step where there are enough windows; a remainder is left out.
        """
        count = (len(self.dev) - 1) // self.length // self.ranks.count
        if count < 1:
            return {}
        each = min(self.sequences, count)
        batches = count // each
        total = torch.zeros((), dtype=torch.float64, device=self.dev.device)
        for number in range(batches):
            first = (number * self.ranks.count + self.ranks.rank) * each
            rows = range(first, first + each)
            total += self.mean_loss(windows(self.dev, [self.length * row for row in rows], self.length))
        loss = float(self.ranks.sum(total)) / (batches * self.ranks.count)
        return {self.held_out_loss: loss, "held-out perplexity": math.exp(min(loss, 100.0))}


def _started(config: CausalModelConfig, start: str, runs: Path) -> CausalLM:
    """A new model, with the weights of an earlier stage in ``runs`` or of a checkpoint folder where it starts there."""
    model = CausalLM(config)
    if start != "scratch":
        trained = load_trained(start, runs, CausalModelConfig, CausalLM, "a language model")
        load_into(model, trained.state_dict(), f"stage or checkpoint {start}")
    return model
