"""The items of a list, from the scores of one passage's tokens.

A reader gives each item of a list a share of the probability, at its start and at its end. The best span of all may
therefore begin in one item and end in another. Here a passage is cut into parts where items could border on one
another, and a part holds one item at most; parts that the scores do not tell apart are one item.

Legend: P passages, S slot tokens, W widths of spans, N parts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ragyena.reader.extraction import ScoredSpan, span_at
from ragyena.reader.pieces import piece_starts
from ragyena.types import Context

__all__ = ["asked_count", "items_of", "likeliest_apart"]

_MOST_ITEMS = 24
_ITEM_SHARE = 1e-4
"""Share of the best span's probability from which another span of its passage is an item, too."""
_BETWEEN = re.compile(r"[,;]\s+(?:(?:and|or|then|as well as|plus|&)\s+)*|\s+(?:and|or|as well as|&)\s+", re.IGNORECASE)
"""Stands between the items of a sentence, and belongs to neither."""

_COUNTS = {"two": 2, "both": 2, "three": 3, "four": 4, "five": 5, "six": 6}
_COUNT = re.compile(
    r"(?:^|\b(?:which|what|the|name|list|all|these|her|his|its|their|your|our|my)\s+)"
    r"(?P<count>two|three|four|five|six|[2-6])\s+(?:[\w-]+\s+){0,2}?[\w-]+s\b|\b(?P<both>both)\b",
    re.IGNORECASE,
)
"""Number of items that a question names: right for 81 of the 84 questions for lists in which there is one."""

Floats = npt.NDArray[np.floating]


def asked_count(question: str) -> int | None:
    """The number of items that a question for a list asks for ("which three", "both"); None where it names none."""
    match = _COUNT.search(question)
    if match is None:
        return None
    word = (match["count"] or match["both"]).casefold()
    return _COUNTS.get(word) or int(word)


def items_of(
    start_S: Floats, end_S: Floats, context: Context, spans: Sequence[ScoredSpan], *, max_tokens: int
) -> list[ScoredSpan]:
    """The items of a list as they stand, from the best ``spans``, best first, and the log probabilities of the tokens
    in the passage of the first: spans of this passage that are not far less likely than that, or as many as the
    question asks for. Empty where there are fewer than two."""
    if not spans:
        return []
    slot = spans[0].span.slot
    least = spans[0].log_probability + math.log(_ITEM_SHARE)
    count = asked_count(context.question)
    apart = likeliest_apart(start_S, end_S, context, slot, max_tokens=max_tokens, least=least, count=count)
    kept: dict[str, ScoredSpan] = {}
    for one in sorted(apart, key=lambda one: -one.log_probability)[:_MOST_ITEMS]:
        kept.setdefault(one.span.text.casefold(), one)
    return sorted(kept.values(), key=lambda one: one.span.start) if len(kept) > 1 else []


def likeliest_apart(
    start_S: Floats,
    end_S: Floats,
    context: Context,
    slot: int,
    *,
    max_tokens: int,
    least: float,
    count: int | None = None,
) -> list[ScoredSpan]:
    """The spans of passage ``slot``, apart from each other, whose log probabilities exceed ``least`` by most in sum; as
    they stand. Each lies in one piece (``ragyena.reader.pieces``), has at most ``max_tokens`` tokens, and shares no
    part of its piece with another; parts end at commas, semicolons, "and" and "or". With ``count`` so many of them,
    where there are enough.

    ``start_S`` and ``end_S`` are log probabilities of the slot's tokens; what follows these is padding.
    """
    passage = context.passages[slot].passage
    size = context.text_mask.shape[1]
    offset_S = context.char_starts[slot] - passage.start
    usable_S = context.text_mask[slot].copy()
    pieces = piece_starts(passage.text, passage.kind)
    between = [match.span() for match in _BETWEEN.finditer(passage.text)]
    for first, last in between:
        usable_S &= (offset_S < first) | (offset_S >= last)
    cuts = np.unique([*pieces.tolist(), *(last for _, last in between)]).astype(np.int64)
    piece_S, part_S = (np.searchsorted(some, offset_S, side="right") for some in (pieces, cuts))

    # All spans, from the worst to the best: of those from one part to another the best is kept.
    start, end = (np.where(usable_S, scores[:size], -np.inf).astype(np.float64) for scores in (start_S, end_S))
    width = min(max_tokens, size)
    first_SW = np.repeat(np.arange(size)[:, None], width, axis=1)
    last_SW = first_SW + np.arange(width)
    first, last = first_SW[last_SW < size], last_SW[last_SW < size]
    joint = start[first] + end[last]
    kept = np.flatnonzero(np.isfinite(joint) & (joint > least) & (piece_S[first] == piece_S[last]))
    kept = kept[np.argsort(joint[kept], kind="stable")]
    parts = len(cuts) + 1
    score_NN = np.full((parts, parts), -np.inf)
    place_NN = np.zeros((parts, parts), np.int64)
    score_NN[part_S[first[kept]], part_S[last[kept]]] = joint[kept]
    place_NN[part_S[first[kept]], part_S[last[kept]]] = kept

    items: list[ScoredSpan] = []
    for one, other in _chosen(score_NN - least, count):
        place = place_NN[one, other]
        span = span_at(context, slot, int(first[place]), int(last[place]), math.exp(score_NN[one, other]))
        items += [ScoredSpan(span, float(score_NN[one, other]))] if span is not None else []
    return items


def _chosen(gain_NN: Floats, count: int | None) -> list[tuple[int, int]]:
    """The first and last part of each item: the stretches of parts that do not overlap, of the largest sum of gains;
    ``count`` of them, or as many as there are. Gains are over 0, or -inf where there is no item."""
    parts = len(gain_NN)
    rounds = parts if count is None else min(count, parts)
    # best[n, i]: the largest sum of n items in parts from i on; until[n, i]: one past the last part of the item that
    # begins in i, 0 where none does
    best = np.full((rounds + 1, parts + 1), -np.inf)
    best[0] = 0.0
    until = np.zeros((rounds + 1, parts), np.int64)
    for n in range(1, rounds + 1):
        for i in range(parts - 1, -1, -1):
            sums = gain_NN[i, i:] + best[n - 1, i + 1 :]
            j = int(np.argmax(sums))
            best[n, i] = best[n, i + 1]
            if sums[j] > best[n, i]:
                best[n, i], until[n, i] = sums[j], i + j + 1
        if best[n, 0] == -np.inf or (count is None and best[n, 0] <= best[n - 1, 0]):
            rounds = n - 1
            break
    chosen: list[tuple[int, int]] = []
    i, n = 0, rounds
    while n:
        if until[n, i]:
            chosen.append((i, int(until[n, i]) - 1))
            i, n = int(until[n, i]), n - 1
        else:
            i += 1
    return chosen
