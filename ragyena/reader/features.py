"""The features of a reading that its two probabilities are computed from (``ragyena.model.confidence``).

Legend: B contexts, P passages, S slot tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ragyena.model.confidence import Form, features_of
from ragyena.model.reader_model import SpanScores
from ragyena.reader.extraction import ScoredSpan
from ragyena.reader.wording import wording
from ragyena.types import Context, Span

__all__ = ["log_probabilities", "reading_features", "span_scores_of"]

_NEAR = 0.4
"""Cosine of a question and the passage nearest to it from which on a larger one says nothing of the answer: of values
from 0.3 to 0.6 the one of the least log loss on kinds of documents left out (680 readings of ``data/real``)."""


def reading_features(
    form: Form,
    context: Context,
    spans: Sequence[ScoredSpan],
    *,
    answer: float,
    null: float,
    score: float,
    idf: npt.NDArray[np.float32],
    items: Sequence[ScoredSpan] = (),
) -> dict[str, float]:
    """The features of an answer to ``context``, from its log probability and that of there being none, and from the
    candidate ``spans``, best first: no margin but an infinite one without a second.

    ``score`` is that of the best span before the softmax, ``idf`` the weight of each word piece. The ``items`` of a
    list share the probability that a span has alone: they are no rivals of each other, and the score is that of all.
    """
    best = spans[0].span if spans else None
    if items:
        rivals = [one for one in spans if not any(_overlap(one.span, item.span) for item in items)]
        likeliest = max(item.log_probability for item in items)
        margin = likeliest - rivals[0].log_probability if rivals else math.inf
        score += math.log(len(items))
    else:
        margin = spans[0].log_probability - spans[1].log_probability if len(spans) > 1 else math.inf
    tokens = best.token_end - best.token_start if best else 0
    features = features_of(form, answer=answer, null=null, margin=margin, tokens=tokens)
    words = wording(context, best, idf)
    features |= {"score": score, "covered": words["covered"], "asked": words["asked"]}
    return {**features, "similarity": _similarity(context)}


def _similarity(context: Context) -> float:
    """By how much the largest similarity of a passage falls short of ``_NEAR``, negative. 0 where none is known: what
    no dense search found is taken for near, as texts that are given with a question mostly are."""
    known = [one.similarity for one in context.passages if one.similarity is not None]
    return min(max(known) - _NEAR, 0.0) if known else 0.0


def _overlap(one: Span, other: Span) -> bool:
    return one.slot == other.slot and one.token_start < other.token_end and other.token_start < one.token_end


def span_scores_of(spans: Sequence[Sequence[ScoredSpan]], scores: SpanScores) -> list[float]:
    """For each context the mean of the start and end score of its best span, 0 without one."""
    result = []
    for row, some in enumerate(spans):
        if not some:
            result.append(0.0)
            continue
        best = some[0].span
        start = scores.start[row, best.slot, best.token_start]
        end = scores.end[row, best.slot, best.token_end - 1]
        result.append(float(start + end) / 2)
    return result


def log_probabilities(spans: Sequence[Sequence[ScoredSpan]], start_BPS: Tensor, end_BPS: Tensor) -> list[float]:
    """The log probability of each context's answer, a span or a list of them: of starting and of ending in any of its
    spans; of nothing where there is none."""
    result = []
    for row, some in enumerate(spans):
        if len(some) > 1:
            slots = [s.span.slot for s in some]
            starts = start_BPS[row, slots, [s.span.token_start for s in some]]
            ends = end_BPS[row, slots, [s.span.token_end - 1 for s in some]]
            result.append(float(starts.logsumexp(0) + ends.logsumexp(0)))
        else:
            result.append(some[0].log_probability if some else -math.inf)
    return result
