"""A pair reader beside a reader: it reads the passages that the reader finds likeliest again, each with the question.

The reader has read the whole context, in time linear in it; the pair reader is larger and sees question and passage as
one sequence, which a few passages are worth (retrieve and rerank: Nogueira and Cho 2019, for passages). Where it has
layers for that, it also says yes or no.

Legend: B contexts, P passages, S slot tokens, K passages that are read again.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ragyena.model.inputs import ContextShape, ReaderInput
from ragyena.model.pair_reader import PairReader
from ragyena.model.polar_branch import PolarBranch
from ragyena.model.reader_model import SpanScores

__all__ = ["POLAR_PASSAGES", "Rereader", "Verdict", "some_passages"]

log = logging.getLogger(__name__)

_PASSAGES = 8  # of a context that are read again
_SHARE = 0.5  # of the pair readers in the log probabilities
POLAR_PASSAGES = 3  # of a context that a yes or a no is looked for in
_POLAR_SHARE = 0.75  # of the pair readers in the log odds of yes
_SURE = 1e-6  # the least probability of a yes or a no that counts
_NOT_AGAIN = -20.0  # a pair reader's log probability of a start or end in a passage that it has not read


class Verdict(NamedTuple):
    """Probabilities that passages say yes, and that they say no; the rest is that of their deciding nothing."""

    yes: float
    no: float

    def joined(self, yes: float) -> float:
        """The probability of yes, given that of the reader, by a weighted mean of both log odds."""
        own, theirs = (math.log(max(p, _SURE) / max(q, _SURE)) for p, q in ((yes, 1 - yes), self))
        return 1 / (1 + math.exp(-((1 - _POLAR_SHARE) * own + _POLAR_SHARE * theirs)))


class Rereader:
    """Pair readers that read some passages again; the log probabilities of several are averaged."""

    def __init__(
        self, models: Sequence[PairReader], dtype: torch.dtype, branches: Sequence[PolarBranch | None] = ()
    ) -> None:
        """``branches`` are the layers of each of ``models`` that decide yes or no, None for a model without."""
        self.models, self._dtype = tuple(models), dtype
        self.deciding = tuple((model, branch) for model, branch in zip(models, branches) if branch is not None)

    @property
    def parameters(self) -> int:
        """Number of parameters, of all models."""
        all_models = (*self.models, *(branch for _, branch in self.deciding))
        return sum(p.numel() for model in all_models for p in model.parameters())

    def takes(self, shape: ContextShape) -> bool:
        """True where pairs of a whole question and a whole slot, padding included, are not too long."""
        separators = max(model.config.separators for model in self.models)
        return shape.question + separators + shape.slot <= min(model.longest() for model in self.models)

    def scores(self, first: SpanScores, batch: ReaderInput, *, trim: bool = True) -> SpanScores:
        """The log probabilities of the reader, given its scores, and of the pair readers, averaged.

        Of passages that are not read again those of the reader count, far below those that are. ``trim``: the padding
        that all of these share is not read; the host waits for the device to know how much it is.
        """
        start_BPS, end_BPS, null_B2 = first.log_probabilities()
        best_BP = start_BPS.amax(2) + end_BPS.amax(2)
        places_BK = best_BP.topk(min(_PASSAGES, best_BP.shape[1]), dim=1).indices
        again = self._read(some_passages(batch, places_BK, trim=trim))
        place_BKS = places_BK[..., None].expand(-1, -1, again.start.shape[2])  # S: of the longest that is read again

        def joined(one_BPS: Tensor, other_BKS: Tensor) -> Tensor:
            spread = torch.full_like(one_BPS, _NOT_AGAIN).scatter(1, place_BKS, other_BKS)
            return (1 - _SHARE) * one_BPS + _SHARE * spread

        null = (1 - _SHARE) * null_B2 + _SHARE * again.null
        return SpanScores(joined(start_BPS, again.start), joined(end_BPS, again.end), null)

    def verdict(self, batch: ReaderInput, slot_scores: npt.NDArray[np.floating]) -> Verdict | None:
        """The verdict of the likeliest passages of one context on its yes/no question; None where no model decides,
        nothing was read, or the passages are too long for them. ``slot_scores`` [P] are log probabilities of the answer
        standing in each."""
        if not self.deciding or not np.isfinite(slot_scores).any():
            return None
        if not self.takes(batch.shape):
            log.info("a pair of %s is too long for the pair reader: the reader decides yes or no", batch.shape)
            return None
        places = np.argsort(-slot_scores, kind="stable")[:POLAR_PASSAGES]
        weights_K = torch.from_numpy(slot_scores[places]).double().softmax(0)
        again = some_passages(batch, torch.from_numpy(places)[None].to(batch.token_ids.device), trim=True)
        scores = [branch.scores(model, again, dtype=self._dtype) for model, branch in self.deciding]
        says_K3 = torch.stack([each.softmax(2)[0] for each in scores]).mean(0).double().cpu()
        yes, no, _ = (weights_K @ says_K3).tolist()
        return Verdict(yes, no)

    def _read(self, batch: ReaderInput) -> SpanScores:
        """The log probabilities of the pair readers over the passages of ``batch``."""
        scores = [model.span_scores(batch, dtype=self._dtype) for model in self.models]
        return SpanScores.averaged([SpanScores(*one.log_probabilities()) for one in scores])


def some_passages(batch: ReaderInput, places_BK: Tensor, *, trim: bool) -> ReaderInput:
    """The batch with some of its passages alone; to ``trim`` is to leave out the padding that all of them share."""
    place_BKS = places_BK[..., None].expand(-1, -1, batch.token_ids.shape[2])
    taken = {name: getattr(batch, name).gather(1, place_BKS) for name in ("token_ids", "token_mask", "text_mask")}
    if not trim:
        return replace(batch, **taken)
    longest = int(taken["token_mask"].sum(2).amax())
    return replace(batch, **{name: each[..., :longest] for name, each in taken.items()})
