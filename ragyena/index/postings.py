"""The passages of each word of a full text index, and how often it stands in them, as arrays that are kept in memory.

SQLite's ``bm25()`` takes over a microsecond a row, every time. The same numbers, read once a word from FTS5's own
lists, take a fifth of that at first, and a hundredth of a microsecond a row from then on. They are dropped when
anything is written to the store. The arithmetic is that of SQLite, step for step: scores are equal to the last bit.
"""

from __future__ import annotations

import math
import sqlite3
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ragyena.index.database import Database
from ragyena.index.schema import created

__all__ = ["HEADER_WEIGHT", "WORD_TABLES", "Postings", "Totals", "inverse_frequency"]

WORD_TABLES = ("lexicon", "characters")
"""The full text indexes."""
HEADER_WEIGHT = 2.5
"""BM25 weight of title and headings; the text has 1."""
GRAIN = 0.5
"""Weighted counts of a phrase are multiples of this."""
K1 = 1.2
B = 0.75
LEAST_WEIGHT = 1e-6
"""The weight SQLite gives a phrase that stands in more than half of the rows."""
COLUMNS = 2
AVERAGES = 1
"""The row of an FTS5 table's data that holds its totals."""
KEPT_BYTES = 128 * 2**20
"""Bytes of all lists together; the one that was used longest ago is dropped first."""
KEPT_NUMBERS = 50_000
"""Counts and stems that are kept; more are forgotten together."""
LONGEST_VARINT = 8
"""Bytes: those of nine are too large for any number of rows or words."""

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


@dataclass(slots=True)
class _List:
    """The rows with a phrase."""

    places: IdArray
    """Their places among all rows, ascending."""
    counts: npt.NDArray[np.float32]
    """The weighted number of times that it stands in each."""
    scored: tuple[float, float, FloatArray] | None = None
    """Weight and mean words of the last scores, and these."""

    @property
    def size(self) -> int:
        """Bytes, once it was scored."""
        return 20 * len(self.places)


class Postings:
    """The lists of a store's full text indexes. Use it as its connection is used: one thread at a time."""

    def __init__(self, db: Database) -> None:
        """``db`` must be in no transaction: what it makes for itself would go with that."""
        self._db = db
        for table in WORD_TABLES:  # FTS5's view of an index as its words; it takes no room, and is no part of the file
            db.execute(f"CREATE VIRTUAL TABLE temp.{table}_words USING fts5vocab(main, {table}, instance)")
        self._state: object = None
        self._forget()
        self._stems: dict[tuple[str, str], list[str]] = {}
        self._stemmer: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close what is not the store's own."""
        if self._stemmer is not None:
            self._stemmer.close()

    def totals(self, table: str) -> Totals:
        """The totals as FTS5 keeps them for its own scores."""
        self._follow()
        if table not in self._totals:
            rows = self._db.rows(f"SELECT block FROM {table}_data WHERE id = ?", (AVERAGES,), types=(bytes,))
            values = self._numbers(table, rows[0][0]).tolist() if rows else []
            self._totals[table] = Totals(values[0], sum(values[1:])) if values else Totals(0, 0)
        return self._totals[table]

    def count(self, table: str, phrases: Sequence[str], most: int = -1) -> list[int]:
        """Rows with each of the quoted phrases; counting ends at ``most``, unless that is negative."""
        self._follow()
        return [self._count(table, phrase, most) for phrase in phrases]

    def score(
        self,
        table: str,
        phrases: Sequence[str],
        weights: Sequence[float] | None = None,
        mean_words: float | None = None,
    ) -> tuple[IdArray, FloatArray]:
        """Ids, ascending, of the rows with any of the quoted phrases, and their BM25 scores (larger is better).

        ``weights`` are the phrases' inverse frequencies and ``mean_words`` the words a row; where they are given they
        are of several stores together, of which this is one. Raises IndexCorruptError.
        """
        of = self.totals(table)
        lists = [self._list(table, phrase) for phrase in phrases]
        if weights is None:
            weights = [inverse_frequency(len(one.places), of.rows) for one in lists]
        ids, words = self._rows(table)
        sums = np.zeros(len(ids))
        for weight, one in zip(weights, lists, strict=True):
            sums[one.places] += self._scores(one, words, weight, of.mean_words if mean_words is None else mean_words)
        matched = np.flatnonzero(sums)
        return ids[matched], sums[matched]

    # --- details

    def _follow(self) -> None:
        """Forget what was read before anything was written, by this connection or another."""
        state = self._db.version()
        if state != self._state:
            self._state = state
            self._forget()

    def _forget(self) -> None:
        self._totals: dict[str, Totals] = {}
        self._counts: dict[tuple[str, str], tuple[int, int]] = {}
        self._lists: OrderedDict[tuple[str, str], _List] = OrderedDict()
        self._kept = 0
        self._all_rows: dict[str, tuple[IdArray, FloatArray]] = {}

    def _count(self, table: str, phrase: str, most: int) -> int:
        key = table, phrase
        if key in self._lists:
            count = len(self._lists[key].places)
            return count if most < 0 else min(count, most)
        count, limit = self._counts.get(key, (0, 0))
        if 0 <= limit <= count and not 0 <= most <= limit:  # counting ended before
            statement = f"SELECT count(*) FROM (SELECT 1 FROM {table} WHERE {table} MATCH ? LIMIT ?)"
            (count,) = self._db.row(statement, (phrase, most), types=(int,))
            if len(self._counts) >= KEPT_NUMBERS:
                self._counts.clear()
            self._counts[key] = count, most
        return int(count) if most < 0 else min(count, most)

    def _list(self, table: str, phrase: str) -> _List:
        key = table, phrase
        if key in self._lists:
            self._lists.move_to_end(key)
            return self._lists[key]
        stems = self._stemmed(table, phrase)
        if not stems:
            return _List(np.empty(0, np.int64), np.empty(0, np.float32))
        read = self._of_word(table, stems[0]) if len(stems) == 1 else self._of_phrase(table, phrase)
        self._lists[key] = read
        self._kept += read.size
        while self._kept > KEPT_BYTES and len(self._lists) > 1:
            self._kept -= self._lists.popitem(last=False)[1].size
        return read

    def _of_word(self, table: str, word: str) -> _List:
        """The list of one word as the index holds it."""
        statement = f"SELECT group_concat(2 * doc + (col = 'header')) FROM temp.{table}_words WHERE term = ?"
        (joined,) = self._db.row(statement, (word,), types=(str | None,))
        stands = np.fromstring(joined or "", np.int64, sep=",")
        ids = stands >> 1
        first = np.flatnonzero(np.concatenate([np.ones(min(1, len(ids)), np.bool_), ids[1:] != ids[:-1]]))
        counts = np.add.reduceat(np.where(stands & 1, HEADER_WEIGHT, 1.0), first) if len(first) else np.empty(0)
        return _List(self._places(table, ids[first]), counts.astype(np.float32))

    def _of_phrase(self, table: str, phrase: str) -> _List:
        """The list of a phrase of several words. How often it stands in a row follows, exactly, from its score."""
        statement = f"SELECT rowid, -bm25({table}, {HEADER_WEIGHT}, 1.0) FROM {table} WHERE {table} MATCH ?"
        rows = self._db.rows(statement, (phrase,), types=(int, float))
        places = self._places(table, np.fromiter((row[0] for row in rows), np.int64, len(rows)))
        scores = np.fromiter((row[1] for row in rows), np.float64, len(rows))
        own = self.totals(table)
        share = scores / inverse_frequency(len(rows), own.rows)
        norm = K1 * (1 - B + B * self._rows(table)[1][places] / (own.mean_words or 1.0))
        counts = np.round(share * norm / (K1 + 1.0 - share) / GRAIN) * GRAIN
        return _List(places, counts.astype(np.float32))

    @staticmethod
    def _scores(one: _List, words: FloatArray, weight: float, mean_words: float) -> FloatArray:
        if one.scored is None or one.scored[:2] != (weight, mean_words):
            norm = K1 * (1 - B + B * words[one.places] / (mean_words or 1.0))
            counts = one.counts.astype(np.float64)
            one.scored = weight, mean_words, weight * ((counts * (K1 + 1.0)) / (counts + norm))
        return one.scored[2]

    def _rows(self, table: str) -> tuple[IdArray, FloatArray]:
        """All ids of a full text index, ascending, and the words of each row. Raises IndexCorruptError."""
        if table not in self._all_rows:
            statement = (
                "SELECT count(*), min(id), max(id), group_concat(hex(sz), '')"
                f" FROM (SELECT id, sz FROM {table}_docsize ORDER BY id)"
            )
            count, first, last, sizes = self._db.row(statement, types=(int, int | None, int | None, str | None))
            ids = np.arange(first or 0, (first or 0) + count)
            if count and last - first + 1 != count:  # some were removed
                statement = f"SELECT group_concat(id) FROM (SELECT id FROM {table}_docsize ORDER BY id)"
                (joined,) = self._db.row(statement, types=(str,))
                ids = np.fromstring(joined, np.int64, sep=",")
            words = self._numbers(table, bytes.fromhex(sizes or ""))
            if len(words) != COLUMNS * count:
                raise self._db.damage(f"{table} holds {len(words)} numbers of words for {count} passages")
            self._all_rows[table] = ids, words.reshape(count, COLUMNS).sum(axis=1).astype(np.float64)
        return self._all_rows[table]

    def _numbers(self, table: str, data: bytes) -> IdArray:
        try:
            return _varints(data)
        except ValueError as error:
            raise self._db.damage(f"{table}: {error}") from error

    def _places(self, table: str, ids: IdArray) -> IdArray:
        """Places of ascending ids among all rows. Raises IndexCorruptError."""
        all_ids = self._rows(table)[0]
        places = np.searchsorted(all_ids, ids)
        if len(ids) and (places[-1] >= len(all_ids) or not np.array_equal(all_ids[places], ids)):
            raise self._db.damage(f"{table} holds a word of a passage without a number of words")
        return places

    def _stemmed(self, table: str, phrase: str) -> list[str]:
        """The words of a quoted phrase as the index holds them."""
        key = table, phrase
        if key not in self._stems:
            if len(self._stems) >= KEPT_NUMBERS:
                self._stems.clear()
            self._stems[key] = self._stem(table, phrase)
        return self._stems[key]

    def _stem(self, table: str, phrase: str) -> list[str]:
        """By an index like it, in memory, to which nothing is added: no other way leads to FTS5's tokenizers."""
        if self._stemmer is None:
            self._stemmer = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            for name in WORD_TABLES:
                self._stemmer.execute(created(name))
                self._stemmer.execute(f"CREATE VIRTUAL TABLE {name}_words USING fts5vocab({name}, instance)")
        text = phrase[1:-1].replace('""', '"')
        self._stemmer.execute("BEGIN")
        self._stemmer.execute(f"INSERT INTO {table} (rowid, header, text) VALUES (1, '', ?)", (text,))
        found = self._stemmer.execute(f"SELECT term FROM {table}_words ORDER BY offset").fetchall()
        self._stemmer.execute("ROLLBACK")
        return [term for (term,) in found]


def inverse_frequency(rows: int, of: int) -> float:
    """The weight of a phrase that stands in ``rows`` of ``of`` rows."""
    weight = math.log((of - rows + 0.5) / (rows + 0.5))
    return weight if weight > 0 else LEAST_WEIGHT


def _varints(data: bytes) -> IdArray:
    """The numbers of a blob of SQLite's varints: seven bits of each byte, the eighth where another follows. Raises
    ValueError for longer ones than any that count something."""
    read = np.frombuffer(data, np.uint8)
    if (read < 128).all():
        return read.astype(np.int64)
    ends = np.flatnonzero(read < 128)
    starts = np.concatenate([[0], ends + 1])
    lengths = ends - starts[:-1] + 1
    if starts[-1] != len(read) or lengths.max() > LONGEST_VARINT:
        raise ValueError("it holds what are no numbers")
    values = np.zeros(len(ends), np.int64)
    for step in range(int(lengths.max())):
        more = np.flatnonzero(lengths > step)
        values[more] = values[more] << 7 | read[starts[more] + step] & 127
    return values
