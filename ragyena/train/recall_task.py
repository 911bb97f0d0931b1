"""Synthetic recall: associative recall and induction at any length (Poli et al. 2023, section 4.1 and appendix A.1).

Shape suffixes: B sequences, L positions, K keys, N pairs, Q queries.

Symbols 0 .. S/2 - 1 are keys and S/2 .. S - 1 values, or all are text; S itself is the filler or the special token.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ragyena.config import RecallStageConfig, RecallTrainConfig
from ragyena.errors import ConfigError
from ragyena.model.checkpoint import Storage
from ragyena.train.lm_data import LanguageBatch
from ragyena.train.lm_task import CausalTask
from ragyena.train.ranks import Ranks

__all__ = ["RecallTask", "sequences"]


class RecallTask(CausalTask):
    """A stage of training on one synthetic task."""

    held_out_loss = "held-out error"
    recordable = False  # never measured
    tokenizer: Path | None = None

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
        """Storage of the finished model."""
        return {"*": "float32"}

    def batch(self, step: int) -> LanguageBatch:
        """This rank's share of the batch of a step: the same at every call."""
        return self._share(step, self.stage.lengths[step % len(self.stage.lengths)])

    def every_shape(self) -> list[LanguageBatch]:
        """A batch of each length."""
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
