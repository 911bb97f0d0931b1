"""The sentences that decide a yes or a no.

A reader decides from all that it reads, while its best spans only point at sentences. A sentence that by itself decides
the other way is no support for an answer, whatever its span scores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ragyena.documents.sentences import sentence_span
from ragyena.types import AnswerKind, Context, Span

__all__ = ["LEAST_SHARE", "sentence_alone", "supporting"]

LEAST_SHARE = 0.01
"""Share of the best place's probability below which a place does not support the answer."""

_OPPOSITE: dict[AnswerKind, AnswerKind] = {"yes": "no", "no": "yes"}
_READ = 5
"""Sentences that are read alone at most: a twentieth of a second each on a CPU."""


def supporting(
    spans: Sequence[Span], context: Context, answer: AnswerKind, decide: Callable[[Context], AnswerKind]
) -> list[Span]:
    """The ``spans``, best first, whose sentence does not speak against ``answer``, as ``decide`` answers where it
    reads nothing else; of all ``spans`` the first where each does that is likely enough to support anything.

    Spans that are too unlikely to be cited beside the first are kept as they are, after it.
    """
    least = LEAST_SHARE * spans[0].score if spans else 0.0
    verdicts: dict[tuple[int, int, int], AnswerKind] = {}
    kept: list[Span] = []
    for span in spans:
        if span.score < least:
            kept += [] if kept else spans[:1]  # all that could support it read otherwise alone: the likeliest stands
            kept.append(span)
            continue
        passage = context.passages[span.slot].passage
        start, end = sentence_span(passage.text, span.start - passage.start, span.end - passage.start)
        place = (span.slot, passage.start + start, passage.start + end)
        if place not in verdicts:
            if len(verdicts) == _READ:
                continue
            verdicts[place] = decide(sentence_alone(context, *place))
        if verdicts[place] != _OPPOSITE[answer]:
            kept.append(span)
    return kept or list(spans[:1])


def sentence_alone(context: Context, slot: int, start: int, end: int) -> Context:
    """The question with one passage: of passage ``slot`` its header and the chars [start, end) of its document."""
    text = context.text_mask[slot]
    inside = text & (context.char_starts[slot] >= start) & (context.char_ends[slot] <= end)
    kept = np.flatnonzero(inside | (context.token_mask[slot] & ~text))
    arrays = ("token_ids", "token_mask", "text_mask", "char_starts", "char_ends")
    values = {name: getattr(context, name)[slot, kept][None] for name in arrays}
    return replace(context, passages=(context.passages[slot],), **values)
