"""BM25 of a full text index that is spread over several stores: the same scores as one store of all passages gives.

SQLite's ``bm25()`` weighs a phrase by the rows of its own table. Here every store says how many rows and words it has
and how many rows hold each phrase; with the sums of these, each store scores its own rows. How often a phrase stands in
a row is not to be had from SQL: it follows, exactly, from the score that SQLite gives the row for that phrase alone.
The arithmetic is that of SQLite, step for step, so that equal scores stay equal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ragyena.index.store import Store

__all__ = ["HEADER_WEIGHT", "Totals", "count_rows", "inverse_frequency", "score_rows", "totals"]

HEADER_WEIGHT = 2.5
"""BM25 weight of title and headings; the text has 1."""
GRAIN = 0.5
"""Weighted counts of a phrase are multiples of this."""
K1 = 1.2
B = 0.75
LEAST_WEIGHT = 1e-6
"""The weight SQLite gives a phrase that stands in more than half of the rows."""
AVERAGES = 1
"""The row of an FTS5 table's data that holds its totals."""
VARINT_MOST = 9

IdArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Totals:
    """Rows of a full text index, and words in all of them."""

    rows: int
    words: int

    def __add__(self, other: Totals) -> Totals:
        return Totals(self.rows + other.rows, self.words + other.words)

    @property
    def mean_words(self) -> float:
        """Words a row."""
        return self.words / self.rows if self.rows else 0.0


def totals(store: Store, table: str) -> Totals:
    """The totals as FTS5 keeps them for its own scores."""
    rows = store.rows(f"SELECT block FROM {table}_data WHERE id = ?", (AVERAGES,), types=(bytes,))
    values = _varints(rows[0][0]) if rows else []
    return Totals(values[0], sum(values[1:])) if values else Totals(0, 0)


def count_rows(store: Store, table: str, phrase: str, most: int = -1) -> int:
    """Rows with a quoted phrase; counting ends at ``most``, unless that is negative."""
    statement = f"SELECT count(*) FROM (SELECT 1 FROM {table} WHERE {table} MATCH ? LIMIT ?)"
    ((count,),) = store.rows(statement, (phrase, most), types=(int,))
    return int(count)


def inverse_frequency(rows: int, of: int) -> float:
    """The weight of a phrase that stands in ``rows`` of ``of`` rows."""
    weight = math.log((of - rows + 0.5) / (rows + 0.5))
    return weight if weight > 0 else LEAST_WEIGHT


def score_rows(
    store: Store, table: str, phrases: Sequence[str], weights: Sequence[float], mean_words: float
) -> tuple[IdArray, FloatArray]:
    """Ids, ascending, of the rows with any of the quoted phrases, and their scores (larger is better).

    ``weights`` are the phrases' inverse frequencies and ``mean_words`` the words a row, both over all stores.
    """
    own = totals(store, table)
    counts: list[tuple[IdArray, FloatArray]] = []
    matched = [_matches(store, table, phrase) for phrase in phrases]
    ids = np.unique(np.concatenate([np.empty(0, np.int64), *(match[0] for match in matched)]))
    words_N = np.zeros(len(ids))
    for match_ids, scores, words in matched:
        place = np.searchsorted(ids, match_ids)
        words_N[place] = words
        counts.append((place, _occurrences(scores, words, own)))
    scores_N = np.zeros(len(ids))
    norm_N = K1 * (1 - B + B * words_N / (mean_words or 1.0))
    for weight, (place, count) in zip(weights, counts, strict=True):
        scores_N[place] += weight * ((count * (K1 + 1.0)) / (count + norm_N[place]))
    return ids, scores_N


def _matches(store: Store, table: str, phrase: str) -> tuple[IdArray, FloatArray, FloatArray]:
    """Ids of the rows with a phrase, SQLite's scores of it, and words of the rows."""
    rows = store.rows(
        f"SELECT {table}.rowid, -bm25({table}, {HEADER_WEIGHT}, 1.0), sz FROM {table} JOIN {table}_docsize d"
        f" ON d.id = {table}.rowid WHERE {table} MATCH ?",
        (phrase,),
        types=(int, float, bytes),
    )
    ids = np.fromiter((row[0] for row in rows), np.int64, len(rows))
    scores = np.fromiter((row[1] for row in rows), np.float64, len(rows))
    words = np.fromiter((sum(_varints(row[2])) for row in rows), np.float64, len(rows))
    return ids, scores, words


def _occurrences(scores: FloatArray, words: FloatArray, own: Totals) -> FloatArray:
    """The weighted counts of a phrase in rows of ``words`` words that its store scored so."""
    share = scores / inverse_frequency(len(scores), own.rows)
    norm = K1 * (1 - B + B * words / (own.mean_words or 1.0))
    counts: FloatArray = np.round(share * norm / (K1 + 1.0 - share) / GRAIN) * GRAIN
    return counts


def _varints(data: bytes) -> list[int]:
    """The numbers of a blob of SQLite's varints: seven bits of each byte, the eighth where another follows; all eight
    of a ninth."""
    values, value, length = [], 0, 0
    for byte in data:
        length += 1
        if length == VARINT_MOST:
            values.append(value << 8 | byte)
            value = length = 0
            continue
        value = value << 7 | byte & 127
        if byte < 128:
            values.append(value)
            value = length = 0
    return values
