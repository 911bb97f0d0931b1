"""The best spans of a context by start and end probabilities.

Legend: B contexts, P passages, S slot tokens, K passages whose pieces are told apart, N spans.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ragyena.documents.raised_marks import RAISED
from ragyena.reader.boundaries import whole_words
from ragyena.reader.pieces import past_name, piece_starts
from ragyena.types import Context, Span

__all__ = ["PieceNumbers", "ScoredSpan", "best_spans", "likeliest_passages", "span_at", "spans_apart"]

_MARKUP = frozenset("*_#|`~")  # trimmed from the ends of an answer; some of it (`) stays in slots
_MARK = re.compile(f"{RAISED}+")
_STOPS = frozenset(".,;!?)]}…")  # alone they are no answer: a start and an end that belong to two spans meet there
_IN_PIECES = 32
"""Passages of a context, the likeliest to hold its answer, whose pieces are told apart: a tenth of a millisecond for
each."""

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class ScoredSpan:
    """A span and the logarithm of its probability: that of its start plus that of its end."""

    span: Span
    log_probability: float


def likeliest_passages(start_BPS: Tensor, end_BPS: Tensor, text_mask_BPS: Tensor) -> Tensor:
    """[B, K] the passages that are likeliest to hold the answer, by the log probabilities of starts and ends: those
    whose pieces are told apart."""
    outside_BPS = ~text_mask_BPS
    best_start, best_end = (each.float().masked_fill(outside_BPS, -math.inf).amax(2) for each in (start_BPS, end_BPS))
    return (best_start + best_end).topk(min(_IN_PIECES, start_BPS.shape[1]), dim=1).indices


class PieceNumbers:
    """The number of the piece of each token in a context's passages, of a passage when it is asked for."""

    def __init__(self, context: Context, slot_tokens: int) -> None:
        """``slot_tokens`` are those of the batch that is read, padding included."""
        self._context, self._slot = context, slot_tokens
        self._known: dict[int, npt.NDArray[np.int16]] = {}

    def look_ahead(self) -> None:
        """Number the pieces of the passages packed first, often the likeliest ones, while the device is busy."""
        self.of(range(min(_IN_PIECES, len(self._context.passages))))

    def of(self, rows: Iterable[int]) -> npt.NDArray[np.int16]:
        """[K, S] of the passages in ``rows``; 0 in padding."""
        return np.stack([self._of(row) for row in rows])

    def _of(self, row: int) -> npt.NDArray[np.int16]:
        if row not in self._known:
            numbers = np.zeros(self._slot, np.int16)
            if row < len(self._context.passages):
                passage = self._context.passages[row].passage
                starts = self._context.char_starts[row] - passage.start
                borders = piece_starts(passage.text, passage.kind)
                numbers[: len(starts)] = np.searchsorted(borders, starts, side="right")
            self._known[row] = numbers
        return self._known[row]


def best_spans(
    start_BPS: Tensor,
    end_BPS: Tensor,
    text_mask_BPS: Tensor,
    likeliest_BK: Tensor,
    piece_BKS: Tensor,
    *,
    max_tokens: int,
    count: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The best spans of each context: each slot's best score [B, P], then scores, flat places of the starts, and tokens
    more than one [B, N each], best first; so many that ``count`` of them do not overlap.

    ``start_BPS`` and ``end_BPS`` are log probabilities. A span lies in the text of one passage and has at most
    ``max_tokens`` tokens; in the ``likeliest`` passages it lies in one piece (``ragyena.reader.pieces``): one sentence,
    line or cell. Nothing here depends on values of the host, or has it wait for the device.
    """
    _, passages, slot = start_BPS.shape
    start_BPS = start_BPS.float().masked_fill(~text_mask_BPS, -math.inf)
    end_BPS = end_BPS.float().masked_fill(~text_mask_BPS, -math.inf)
    place_BKS = likeliest_BK[..., None].expand(-1, -1, slot)
    piece_BPS = torch.zeros(start_BPS.shape, dtype=piece_BKS.dtype, device=start_BPS.device)
    piece_BPS.scatter_(1, place_BKS, piece_BKS)
    best_BPS = torch.full_like(start_BPS, -math.inf)  # of the spans that start here
    width_BPS = torch.zeros(best_BPS.shape, dtype=torch.int16, device=best_BPS.device)  # of the best, less one
    for width in range(min(max_tokens, slot)):
        joint = start_BPS[..., : slot - width] + end_BPS[..., width:]
        if width:
            joint.masked_fill_(piece_BPS[..., : slot - width] != piece_BPS[..., width:], -math.inf)
        best, widths = best_BPS[..., : slot - width], width_BPS[..., : slot - width]
        better = joint > best
        widths.masked_fill_(better, width)
        torch.maximum(best, joint, out=best)
    # overlapping spans crowd the top: enough candidates are taken that ``count`` of them do not overlap
    top = best_BPS.flatten(1).topk(min(count * max_tokens, passages * slot))
    return best_BPS.amax(2), top.values, top.indices, width_BPS.flatten(1).gather(1, top.indices)


def spans_apart(
    scores_N: Floats, places_N: Floats, more_N: Floats, context: Context, slot_tokens: int, count: int
) -> list[ScoredSpan]:
    """At most ``count`` of the spans that ``best_spans`` found in one context, none overlapping another, best first.
    The words at the ends of a span are made whole, and its text is cut from the passage by its char offsets."""
    order = np.lexsort((places_N, -scores_N))  # equal ones by place, whatever the device makes of ties
    starts = ((int(places_N[i]), int(more_N[i]), float(scores_N[i])) for i in order)
    return _apart(starts, context, slot_tokens, count)


def _apart(starts: Iterable[tuple[int, int, float]], context: Context, slot: int, count: int) -> list[ScoredSpan]:
    """The first ``count`` of spans (flat place of the start, tokens more, log probability) that do not overlap."""
    spans: list[ScoredSpan] = []
    for flat, more, log_probability in starts:
        if len(spans) == count or not math.isfinite(log_probability):
            break
        row, first = divmod(flat, slot)
        span = span_at(context, row, first, first + more, math.exp(log_probability))
        if span is None or any(
            other.slot == row and span.token_start < other.token_end and other.token_start < span.token_end
            for other in (s.span for s in spans)
        ):
            continue
        spans.append(ScoredSpan(span, log_probability))
    return spans


def span_at(context: Context, slot: int, first: int, last: int, score: float) -> Span | None:
    """The span from token ``first`` to token ``last`` of a passage, without markup at either end, in whole words
    (``ragyena.reader.boundaries``) and, of a table's cell, without its name; None where nothing but markup, stops and
    closing brackets is in it."""
    first, last = _trim(context, slot, first, last)
    if first > last:
        return None
    passage = context.passages[slot].passage
    starts, ends = context.char_starts[slot], context.char_ends[slot]
    begin, stop = int(starts[first]) - passage.start, int(ends[last]) - passage.start
    if _STOPS.issuperset(passage.text[begin:stop]):
        return None
    whole_begin, whole_stop = whole_words(passage.text, begin, stop)
    if passage.kind == "table":
        whole_begin = past_name(passage.text, whole_begin, whole_stop)
    if (whole_begin, whole_stop) != (begin, stop):
        begin, stop = whole_begin, whole_stop
        inside = np.flatnonzero((starts >= begin + passage.start) & (ends <= stop + passage.start))
        first, last = int(inside[0]), int(inside[-1])
    text, begin, stop = passage.text[begin:stop], begin + passage.start, stop + passage.start
    return Span(slot=slot, token_start=first, token_end=last + 1, start=begin, end=stop, text=text, score=score)


def _trim(context: Context, row: int, first: int, last: int) -> tuple[int, int]:
    """The tokens without markup at either end, and without the mark of a footnote at the last; ``first > last`` where
    nothing is left."""
    passage = context.passages[row].passage

    def place(token: int) -> tuple[int, int]:
        return int(context.char_starts[row, token]) - passage.start, int(context.char_ends[row, token]) - passage.start

    def is_markup(token: int) -> bool:
        begin, stop = place(token)
        return _MARKUP.issuperset(passage.text[begin:stop])

    def is_mark(token: int) -> bool:
        begin, stop = place(token)
        return passage.text[begin - 1 : begin] == " " and _MARK.fullmatch(passage.text, begin, stop) is not None

    while first <= last and is_markup(first):
        first += 1
    while first <= last and is_markup(last):
        last -= 1
    while first < last and is_mark(last):
        last -= 1
    return first, last
