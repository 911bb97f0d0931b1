"""Causal language modelling: what a stage of it trains on and for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from ragyena.config import CausalModelConfig, LanguageStageConfig, LanguageTrainConfig
from ragyena.errors import ConfigError, TrainingError
from ragyena.model.checkpoint import Storage, load_config, load_into, load_state
from ragyena.model.language_model import CausalLM
from ragyena.train.flops import language_model_flops
from ragyena.train.lm_data import LanguageBatch, Stream, TokenStream, windows
from ragyena.train.ranks import Ranks
from ragyena.types import Progress

__all__ = ["LanguageTask", "compiled_layers", "started"]

_COMPILED_VARIANTS = 64


class LanguageTask:
    """A stage of language modelling on one device. ``runs`` holds the checkpoints of earlier stages."""

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
        self.stage, self.ranks, self.tokenizer = stage, ranks, tokenizer
        self.recordable = stage.cuda_graphs
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
        self.train = TokenStream(stream.train, length=self.length, sequences=sequences, seed=config.seed, ranks=ranks)
        self.dev, self.sequences = stream.dev, sequences // ranks.count
        self.model = started(stage.model, stage.start, runs).to(device).train()
        self.dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
        self.compiled = stage.compile and device.startswith("cuda")
        self.layers = compiled_layers(self.model) if self.compiled else None
        self.flops_per_token = language_model_flops(self.model, stage.model, self.length)

    # -- what the loop asks for ----------------------------------------------------------------------------------

    @property
    def storage(self) -> Mapping[str, Storage]:
        """How the finished model is stored; filters always in fp32."""
        return {"*filter*": "float32", "*": self.stage.storage}

    def batch(self, step: int) -> LanguageBatch:
        """This rank's share of the batch of a step: the same whenever it is asked for."""
        return self.train.batch(step)

    def every_shape(self) -> list[LanguageBatch]:
        """The one shape there is."""
        return [self.train.batch(0)]

    def loss(self, batch: LanguageBatch, done: float) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean cross-entropy in nats a token."""
        loss = self.model.loss(
            batch.ids, targets_BL=batch.targets, dtype=self.dtype, layers=self.layers, compiled=self.compiled
        )
        return loss, {"loss": loss}

    def flops(self, batch: LanguageBatch) -> float:
        """Model FLOPs of a step on the batch."""
        return self.flops_per_token * batch.tokens

    @torch.no_grad()
    def held_out(self) -> dict[str, float]:
        """Loss and perplexity of the held-out documents, in windows side by side as long as those trained on.

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
            batch = windows(self.dev, [self.length * row for row in range(first, first + each)], self.length)
            total += self.model.loss(
                batch.ids, targets_BL=batch.targets, dtype=self.dtype, layers=self.layers, compiled=self.compiled
            )
        loss = float(self.ranks.sum(total)) / (batches * self.ranks.count)
        return {self.held_out_loss: loss, "held-out perplexity": math.exp(min(loss, 100.0))}

    def finish(self, progress: Progress) -> dict[str, float]:
        return {}

    def state(self) -> dict[str, Tensor]:
        return {}

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """There is no state beside the model and its optimizer."""


def started(config: CausalModelConfig, start: str, runs: Path) -> CausalLM:
    """A new model, or the one of an earlier stage in ``runs`` or of a checkpoint folder, which must be alike."""
    model = CausalLM(config)
    if start == "scratch":
        return model
    folder = runs / start / "checkpoint"
    if not folder.is_dir():
        folder = Path(start)
    if not isinstance(load_config(folder), CausalModelConfig):
        raise TrainingError(
            f"{folder} is not a language model", hint="name a language model's checkpoint or an earlier stage"
        )
    load_into(model, load_state(folder), str(folder))
    return model


def compiled_layers(model: CausalLM) -> list[nn.Module]:
    """The model's layers through ``torch.compile``; layers of one kind share what is compiled."""
    torch._dynamo.config.recompile_limit = _COMPILED_VARIANTS
    return [cast(nn.Module, torch.compile(layer, dynamic=False)) for layer in model.backbone.layers]
