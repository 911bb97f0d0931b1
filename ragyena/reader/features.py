"""The features of a reading that its two probabilities are computed from (``ragyena.model.confidence``)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from ragyena.model.confidence import Form, features_of
from ragyena.reader.device_steps import SlotRows
from ragyena.reader.extraction import ScoredSpan
from ragyena.reader.wording import wording
from ragyena.types import Context, Span

__all__ = ["log_probability", "reading_features", "span_score_of"]

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


def span_score_of(spans: Sequence[ScoredSpan], rows: SlotRows) -> float:
    """The mean of the start and end score of the best span, given the scores in its passage; 0 without one."""
    if not spans:
        return 0.0
    best = spans[0].span
    start, end = rows.start_score[best.token_start], rows.end_score[best.token_end - 1]
    return float(np.float32(start) + np.float32(end)) / 2


def log_probability(spans: Sequence[ScoredSpan], rows: SlotRows) -> float:
    """The log probability of an answer, a span or a list of them in one passage, given the log probabilities there: of
    starting and of ending in any of its spans; of nothing where there is none."""
    if len(spans) < 2:
        return spans[0].log_probability if spans else -math.inf
    starts = torch.from_numpy(rows.start[[one.span.token_start for one in spans]]).float()
    ends = torch.from_numpy(rows.end[[one.span.token_end - 1 for one in spans]]).float()
    return float(starts.logsumexp(0) + ends.logsumexp(0))
