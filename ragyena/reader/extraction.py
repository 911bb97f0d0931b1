"""The best spans of a context by start and end probabilities.

Legend: B contexts, P passages, S slot tokens.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ragyena.model.inputs import on_device
from ragyena.reader.boundaries import whole_words
from ragyena.reader.pieces import past_name, piece_starts
from ragyena.types import Context, Span

__all__ = ["ScoredSpan", "best_spans_of_batch", "span_at"]

_MARKUP = frozenset("*_#|`~")  # trimmed from the ends of an answer; some of it (`) stays in slots
_STOPS = frozenset(".,;!?)]}…")  # alone they are no answer: a start and an end that belong to two spans meet there
_IN_PIECES = 32
"""Passages of a context, the likeliest to hold its answer, whose pieces are told apart: a tenth of a millisecond for
each."""

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ScoredSpan:
    """A span and the logarithm of its probability: that of its start plus that of its end."""

    span: Span
    log_probability: float


def best_spans_of_batch(
    start_BPS: Tensor, end_BPS: Tensor, contexts: Sequence[Context], *, max_tokens: int, count: int
) -> list[tuple[list[ScoredSpan], FloatArray]]:
    """For each context at most ``count`` spans that do not overlap, best first, and each slot's best score [P].

    Scores are log probabilities, as are ``start_BPS`` and ``end_BPS``, whose entries beyond a context's own shape are
    padding. A span lies in one passage's text, has at most ``max_tokens`` tokens before the words at its ends are made
    whole, and its text is cut from the passage by its char offsets. In the likeliest passages of a context it lies in
    one piece (``ragyena.reader.pieces``): one sentence, line or cell.
    """
    batch, passages, slot = start_BPS.shape
    text = np.zeros((batch, passages, slot), np.bool_)
    for row, context in enumerate(contexts):
        text[row, : context.token_ids.shape[0], : context.token_ids.shape[1]] = context.text_mask
    outside_BPS = on_device(torch.from_numpy(~text), start_BPS.device)
    start_BPS = start_BPS.float().masked_fill(outside_BPS, -math.inf)
    end_BPS = end_BPS.float().masked_fill(outside_BPS, -math.inf)
    likeliest = (start_BPS.amax(2) + end_BPS.amax(2)).topk(min(_IN_PIECES, passages), dim=1).indices.tolist()
    piece_BPS = _pieces(contexts, likeliest, (batch, passages, slot))
    if piece_BPS is not None:
        piece_BPS = on_device(piece_BPS, start_BPS.device)
    best_BPS = torch.full_like(start_BPS, -math.inf)  # of the spans that start here
    width_BPS = torch.zeros(best_BPS.shape, dtype=torch.int16, device=best_BPS.device)  # of the best, less one
    for width in range(min(max_tokens, slot)):
        joint = start_BPS[..., : slot - width] + end_BPS[..., width:]
        if piece_BPS is not None and width:
            joint.masked_fill_(piece_BPS[..., : slot - width] != piece_BPS[..., width:], -math.inf)
        best, widths = best_BPS[..., : slot - width], width_BPS[..., : slot - width]
        better = joint > best
        widths.masked_fill_(better, width)
        torch.maximum(best, joint, out=best)
    # overlapping spans crowd the top: enough candidates are taken that ``count`` of them do not overlap
    top = best_BPS.flatten(1).topk(min(count * max_tokens, passages * slot))
    widths_of_top = width_BPS.flatten(1).gather(1, top.indices)
    # All in one transfer, for which the device is waited for once; a double holds each of them exactly.
    parts = [part.double() for part in (best_BPS.amax(2), top.values, top.indices, widths_of_top)]
    slot_scores, values, places, widest = np.split(
        torch.cat(parts, dim=1).cpu().numpy(), np.cumsum([part.shape[1] for part in parts[:-1]]), axis=1
    )
    result = []
    for row, context in enumerate(contexts):
        order = np.lexsort((places[row], -values[row]))  # equal ones by place, whatever the device makes of ties
        starts = ((int(places[row, i]), int(widest[row, i]), float(values[row, i])) for i in order)
        spans = _apart(starts, context, slot, count)
        result.append((spans, slot_scores[row, : context.token_ids.shape[0]].astype(np.float32)))
    return result


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
    """The tokens without markup at either end; ``first > last`` where nothing is left."""
    passage = context.passages[row].passage

    def is_markup(token: int) -> bool:
        begin, stop = (int(offsets[row, token]) - passage.start for offsets in (context.char_starts, context.char_ends))
        return _MARKUP.issuperset(passage.text[begin:stop])

    while first <= last and is_markup(first):
        first += 1
    while first <= last and is_markup(last):
        last -= 1
    return first, last


def _pieces(
    contexts: Sequence[Context], likeliest: Sequence[Sequence[int]], shape: tuple[int, int, int]
) -> Tensor | None:
    """[B, P, S] for each token of the ``likeliest`` passages of each context the number of its piece; None where all
    of these are of one piece. Other passages, too many in a long context to look at each, are one piece."""
    result: npt.NDArray[np.int32] | None = None
    for index, (context, rows) in enumerate(zip(contexts, likeliest)):
        for row in rows:
            if row >= len(context.passages):  # padding
                continue
            passage = context.passages[row].passage
            borders = piece_starts(passage.text, passage.kind)
            if len(borders):
                result = np.zeros(shape, np.int32) if result is None else result
                starts = context.char_starts[row] - passage.start
                result[index, row, : len(starts)] = np.searchsorted(borders, starts, side="right")
    return None if result is None else torch.from_numpy(result)
