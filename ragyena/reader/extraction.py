"""The best spans of a context by start and end probabilities. Legend: P passages, S slot tokens, W span widths."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ragyena.types import Context, Span

__all__ = ["ScoredSpan", "best_spans"]

_MARKUP = frozenset("*_#|`~")  # trimmed from the ends of an answer; some of it (`) stays in slots
_BLANK_LINE = re.compile(r"\n[ \t]*\n")

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ScoredSpan:
    """A span and the logarithm of its probability: that of its start plus that of its end."""

    span: Span
    log_probability: float


def best_spans(
    start: FloatArray, end: FloatArray, context: Context, *, max_tokens: int, count: int
) -> tuple[list[ScoredSpan], FloatArray]:
    """At most ``count`` spans that do not overlap, best first, and each slot's best log probability [P].

    start, end: [>= P, >= S] log probabilities; entries beyond the context's own shape are padding. A span lies in one
    passage's text and in one paragraph, has at most ``max_tokens`` tokens, and its text
    is cut from the passage by its char offsets.
    """
    passages, slot = context.token_ids.shape
    start, end = start[:passages, :slot], end[:passages, :slot]
    start = np.where(context.text_mask, start, -np.inf)
    end = np.where(context.text_mask, end, -np.inf)
    widths = min(max_tokens, slot)
    joint = np.full((widths, passages, slot), -np.inf, np.float32)  # [W, P, S]: starts at S, W more tokens
    paragraph = _paragraphs(context)
    for width in range(widths):
        within = paragraph[:, : slot - width] == paragraph[:, width:]
        joint[width, :, : slot - width] = np.where(within, start[:, : slot - width] + end[:, width:], -np.inf)
    best_of_start = joint.max(0)
    slot_scores = best_of_start.max(1).astype(np.float32)
    spans: list[ScoredSpan] = []
    order = np.argsort(-best_of_start, axis=None, kind="stable")[: count * widths]
    for flat in order:
        row, first = divmod(int(flat), slot)
        log_probability = float(best_of_start[row, first])
        if not np.isfinite(log_probability) or len(spans) == count:
            break
        last = first + int(joint[:, row, first].argmax())
        first, last = _trim(context, row, first, last)
        if first > last:
            continue
        if any(s.span.slot == row and first < s.span.token_end and last >= s.span.token_start for s in spans):
            continue
        passage = context.passages[row].passage
        begin, stop = int(context.char_starts[row, first]), int(context.char_ends[row, last])
        span = Span(
            slot=row,
            token_start=first,
            token_end=last + 1,
            start=begin,
            end=stop,
            text=passage.text[begin - passage.start : stop - passage.start],
            score=float(np.exp(log_probability)),
        )
        spans.append(ScoredSpan(span, log_probability))
    return spans, slot_scores


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


def _paragraphs(context: Context) -> npt.NDArray[np.int64]:
    """[P, S] for each token the number of blank lines before it in its passage."""
    result = np.zeros(context.token_ids.shape, np.int64)
    for row, scored in enumerate(context.passages):
        borders = [match.start() for match in _BLANK_LINE.finditer(scored.passage.text)]
        result[row] = np.searchsorted(borders, context.char_starts[row] - scored.passage.start)
    return result
