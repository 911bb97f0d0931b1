"""Tasks of stages that train a causal language model: on prose, or on synthetic recall at any length: associative
recall and induction (Poli et al. 2023, section 4.1 and appendix A.1).

Shape suffixes: B sequences, L positions, K keys, N pairs, Q queries.

Symbols of recall: 0 .. S/2 - 1 are keys and S/2 .. S - 1 values, or all are text; S is the filler or the special token.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ragyena.config import (
    CausalModelConfig,
    LanguageStageConfig,
    LanguageTrainConfig,
    RecallStageConfig,
    RecallTrainConfig,
)
from ragyena.errors import ConfigError
from ragyena.model.checkpoint import Storage, load_into
from ragyena.model.flops import TRAINING
from ragyena.model.language_model import CausalLM
from ragyena.train.lm_data import LanguageBatch, Stream, TokenStream, windows
from ragyena.train.ranks import Ranks
from ragyena.train.step_graphs import compiled
from ragyena.train.task import Task, load_trained

__all__ = ["LanguageTask", "RecallTask", "sequences"]


class _CausalTask(Task):
    """Base of the stages of language models: the model, its loss and its FLOPs. ``runs`` holds the checkpoints of
    earlier stages."""

    model: CausalLM

    def __init__(
        self, stage: LanguageStageConfig | RecallStageConfig, *, runs: Path, device: str, ranks: Ranks
    ) -> None:
        super().__init__(stage, device, ranks)
        model = CausalLM(stage.model)
        if stage.start != "scratch":
            trained = load_trained(stage.start, runs, CausalModelConfig, CausalLM, "a language model")
            load_into(model, trained.state_dict(), f"stage or checkpoint {stage.start}")
        self.model = model.to(device).train()
        self.layers = compiled(self.model.backbone.layers) if self.compiled else None
        self._flops: dict[int, float] = {}  # a token, by length

    def mean_loss(self, batch: LanguageBatch) -> Tensor:
        """Mean cross-entropy of the batch's targets, in nats."""
        return self.model.loss(
            batch.ids, targets_BL=batch.targets, dtype=self.dtype, layers=self.layers, compiled=self.compiled
        )

    def loss(self, batch: LanguageBatch, done: float) -> tuple[Tensor, dict[str, Tensor]]:
        loss = self.mean_loss(batch)
        return loss, {"loss": loss}

    def flops(self, batch: LanguageBatch) -> float:
        length = batch.ids.shape[1]
        if length not in self._flops:
            self._flops[length] = TRAINING * self.model.flops(length)
        return self._flops[length] * batch.tokens


class LanguageTask(_CausalTask):
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
        return self.train.batch(step)

    def every_shape(self) -> list[LanguageBatch]:
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


class RecallTask(_CausalTask):
    """A stage of training on one synthetic task."""

    held_out_loss = "held-out error"

    def __init__(
        self,
        config: RecallTrainConfig,
        stage: RecallStageConfig,
        *,
        runs: Path,
        device: str,
        ranks: Ranks = Ranks(),  # noqa: B008 - frozen
    ) -> None:
        self.stage, self.seed = stage, config.seed
        if stage.tokens_per_step < max(stage.lengths) * ranks.count:
            raise ConfigError(
                f"stage {stage.name}: {stage.tokens_per_step} tokens a step are less than a sequence of "
                f"{max(stage.lengths)} for each of {ranks.count} processes",
                hint="raise tokens_per_step, or start fewer processes",
            )
        super().__init__(stage, runs=runs, device=device, ranks=ranks)

    @property
    def storage(self) -> Mapping[str, Storage]:
        return {"*": "float32"}

    def batch(self, step: int) -> LanguageBatch:
        return self._share(step, self.stage.lengths[step % len(self.stage.lengths)])

    def every_shape(self) -> list[LanguageBatch]:
        return [self._share(0, length) for length in self.stage.lengths]

    @torch.no_grad()
    def held_out(self) -> dict[str, float]:
        """The share of right answers on new sequences of each length, and of wrong ones over all."""
        stage = self.stage
        measured = {}
        for length in stage.lengths:
            each = max(1, min(stage.tokens_per_step // length // self.ranks.count, stage.held_out_sequences))
            right = torch.zeros((), device=self.device)
            batches = -(-stage.held_out_sequences // (each * self.ranks.count))
            for number in range(batches):
                batch = self._generated(f"held out {number} {self.ranks.rank}", length, each)
                states_BLD = self.model.states(batch.ids, dtype=self.dtype, layers=self.layers)
                counted = batch.targets >= 0
                logits = states_BLD[counted].float() @ self.model.lm_head.weight.float().t()
                right += (logits.argmax(-1) == batch.targets[counted]).float().mean()
            measured[f"held-out accuracy {length}"] = float(self.ranks.sum(right)) / (batches * self.ranks.count)
        return {self.held_out_loss: 1 - sum(measured.values()) / len(measured), **measured}

    def _share(self, step: int, length: int) -> LanguageBatch:
        each = self.stage.tokens_per_step // length // self.ranks.count
        whole = self._generated(f"step {step}", length, each * self.ranks.count)
        mine = slice(self.ranks.rank * each, (self.ranks.rank + 1) * each)
        return LanguageBatch(whole.ids[mine], whole.targets[mine])

    def _generated(self, name: str, length: int, count: int) -> LanguageBatch:
        digest = hashlib.sha256(f"{self.seed} {name} {length}".encode()).digest()
        generator = torch.Generator(self.device).manual_seed(int.from_bytes(digest[:7]))
        return sequences(self.stage, length, count, generator)


def sequences(stage: RecallStageConfig, length: int, count: int, generator: torch.Generator) -> LanguageBatch:
    """``count`` new sequences of a stage's task; targets are -1 where nothing is to be predicted."""
    if stage.task == "induction":
        return _induction(stage.symbols, length, count, generator)
    return _associative(stage, length, count, generator)


def _induction(symbols: int, length: int, count: int, generator: torch.Generator) -> LanguageBatch:
    device = generator.device
    ids_BL = torch.randint(symbols, (count, length), generator=generator, device=device)
    place_B = torch.randint(length - 2, (count,), generator=generator, device=device)
    ids_BL.scatter_(1, place_B[:, None], symbols)
    ids_BL[:, -1] = symbols
    targets_BL = torch.full_like(ids_BL, -1)
    targets_BL[:, -1] = ids_BL.gather(1, place_B[:, None] + 1)[:, 0]
    return LanguageBatch(ids_BL, targets_BL)


def _associative(stage: RecallStageConfig, length: int, count: int, generator: torch.Generator) -> LanguageBatch:
    device, keys, queries = generator.device, stage.symbols // 2, stage.queries

    def below(limit: int, *shape: int) -> Tensor:
        return torch.randint(limit, shape, generator=generator, device=device)

    value_BK = keys + below(stage.symbols - keys, count, keys)
    pairs = length // 2 - queries
    if stage.task == "associative":
        key_BN = below(keys, count, pairs)
        query_BQ = key_BN.gather(1, below(pairs, count, queries))  # one that was stated
        stated_BN2 = torch.stack([key_BN, value_BK.gather(1, key_BN)], -1)
    else:
        query_BQ = below(keys, count, queries)
        places_BK = torch.rand(count, pairs, generator=generator, device=device).argsort(1)[:, :keys]
        pair_BK2 = torch.stack([torch.arange(keys, device=device).expand(count, -1), value_BK], -1)
        stated_BN2 = torch.full((count, pairs, 2), stage.symbols, device=device)
        stated_BN2.scatter_(1, places_BK[..., None].expand(-1, -1, 2), pair_BK2)
    answer_BQ = value_BK.gather(1, query_BQ)
    ids_BL = torch.cat([stated_BN2, torch.stack([query_BQ, answer_BQ], -1)], 1).flatten(1)
    targets_BL = torch.full_like(ids_BL, -1)
    targets_BL[:, -2 * queries :: 2] = answer_BQ
    missing = length - ids_BL.shape[1]  # an odd length begins with filler
    pad = torch.nn.functional.pad
    return LanguageBatch(pad(ids_BL, (missing, 0), value=stage.symbols), pad(targets_BL, (missing, 0), value=-1))
