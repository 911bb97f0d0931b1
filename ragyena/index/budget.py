"""BM25 of a large full text index within a budget: which rows are worth a score.

FTS5 takes about a microsecond to score a row and a thirtieth of that to pass over one. In a million passages a word of
a question is in tens of thousands; scoring all of them takes longer than everything else together. So the words are
ordered by how many passages hold them, and scored are

    passages with a rare word          with all their words
    passages with common words         one of either of two groups, or the rarest, as few as the budget allows

The first are as many as the budget allows, too. A passage that holds a single common word of the question is left out:
it would stand behind most of these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import NamedTuple

from ragyena.index.store import Store

__all__ = ["LARGE", "Part", "estimate_rows", "parts"]

LARGE = 100_000
"""Rows of an index up to which everything that matches is scored."""
ROWS_MOST = 12_000
"""Rows to score for each part of a query."""
PASSED_MOST = 100_000
"""Rows of common words to pass over; the commonest words beyond it are left out."""
SLICES = 4
SLICE_SHARE = 1 / 256
"""Rows with a word are estimated from so many slices of the ids, each of this share of all."""
CERTAIN = 16
"""Fewer than so many in the slices say too little: they are then counted in all rows, which are few."""


class Part(NamedTuple):
    """An FTS5 expression, and the factor for the scores of the rows that match it."""

    expression: str
    factor: float


def parts(words: Sequence[str], counts: Sequence[int], count_rows: Callable[[str], int], wanted: int) -> list[Part]:
    """The parts to score for a query of these quoted words, which ``counts`` rows hold; a row scores its best part.

    ``count_rows`` counts the rows of an expression; ``wanted`` is the number of rows that are to be found.
    """
    ranked = [word for _, word in sorted(zip(counts, words), key=lambda pair: pair[0])]
    sums = [*accumulate(sorted(counts))]
    rare = [word for word, total in zip(ranked, sums) if total <= ROWS_MOST]
    passed = sums[len(rare) - 1] if rare else 0
    common = [word for word, total in zip(ranked, sums) if word not in rare and total - passed <= PASSED_MOST]
    if not rare and len(common) < 2:  # of very common words, the two rarest
        common = ranked[:2]
    chosen: list[Part] = []
    if rare and common:  # all of them twice, and the sum halved: there is no other way to score a word where it stands
        chosen.append(Part(f"({_any(rare)}) AND ({_any([*rare, *common, *common])})", 0.5))
    elif rare:
        return [Part(_any(rare), 1.0)]
    held = 0
    for expression in _together(common):
        held = count_rows(expression)
        if held <= ROWS_MOST:
            if held:
                chosen.append(Part(expression, 1.0))
            break
    if not chosen or (not rare and held < wanted and sums[0] <= PASSED_MOST):
        chosen.append(Part(ranked[0], 1.0))
    return chosen


def estimate_rows(store: Store, table: str, word: str, first: int, last: int) -> int:
    """About how many rows hold a quoted word, of those with ids from ``first`` to ``last``."""
    length = max(1, int(SLICE_SHARE * (last - first + 1)))
    starts = [first + (2 * i + 1) * (last - first + 1) // (2 * SLICES) for i in range(SLICES)]
    slice_count = f"(SELECT count(*) FROM {table} WHERE {table} MATCH ? AND rowid BETWEEN ? AND ?)"
    parameters = [value for start in starts for value in (word, start, start + length - 1)]
    statement = f"SELECT {' + '.join([slice_count] * SLICES)}"
    (some,) = store.row(statement, parameters, types=(int,))
    if some >= CERTAIN:
        return int(some * (last - first + 1) / (SLICES * length))
    (all_rows,) = store.row(f"SELECT count(*) FROM {table} WHERE {table} MATCH ?", (word,), types=(int,))
    return int(all_rows)


def _together(common: Sequence[str]) -> list[str]:
    """Expressions for passages that hold some of these words, which begin with the rarest: ever fewer passages."""
    if len(common) < 2:
        return []
    widest = f"({_any(common[::2])}) AND ({_any(common[1::2])})"
    return [widest, *(" AND ".join(common[:n]) for n in range(2, len(common) + 1))]


def _any(words: Sequence[str]) -> str:
    return " OR ".join(words)
