"""Columns that packing needs of each candidate of a question: read row by row, or kept in memory.

A long context has two thousand candidates, anywhere in the store: finding their rows takes four microseconds each.
After some such questions the rows of all passages are read once, in the order of the file, and kept until something is
written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ragyena.index.store_reading import StoreReader

__all__ = ["Columns", "PackingColumnsReader"]

ROWS = (
    "SELECT p.passage_id, p.document_id, p.start, p.end, coalesce(length(k.token_ids), 0),"
    " coalesce(length(k.header_ids), 0), k.signature,"
    " k.token_ids IS NULL OR k.offsets IS NULL OR k.header_ids IS NULL OR k.signature IS NULL"
    " FROM passages p LEFT JOIN packing k ON k.passage_id = p.passage_id AND k.tokenizer_id = {tokenizer_id:d}"
)
TYPES = (*(int,) * 6, object, int)
NUMBERS = 6
BATCH = 16_384
MANY = 500
"""Candidates of a question that counts..."""
KEPT_AFTER = 8
"""...as one of so many, after which all rows are read: it takes as long as some ten of them save."""
KEPT_MOST = 250_000
"""Passages of which all rows are kept, at some 250 bytes each."""


class Columns(NamedTuple):
    """The rows of passages that are in the store, in the order of their ids as asked for."""

    held: Sequence[bool]
    """By id asked for: whether there is such a passage."""
    passage_ids: Sequence[int]
    document_ids: Sequence[int]
    starts: Sequence[int]
    ends: Sequence[int]
    text_bytes: Sequence[int]
    header_bytes: Sequence[int]
    signatures: Sequence[Any]
    missing: Sequence[int]
    """Not 0 where the store keeps no whole row for the tokenizer."""


class _Kept(NamedTuple):
    """The rows of all passages."""

    numbers: npt.NDArray[np.int64]
    """[NUMBERS, N]"""
    signatures: list[Any]
    missing: npt.NDArray[np.bool_]
    origins: dict[int, str]


class PackingColumnsReader:
    """The columns of one store. Use it as its connection is used: one thread at a time."""

    def __init__(self, store: StoreReader) -> None:
        self._store = store
        self._state: object = None
        self._asked = 0
        self._kept: _Kept | None = None

    def read(self, tokenizer_id: int, ids: Sequence[int]) -> Columns:
        """The columns of these passages, for tokens of this tokenizer. Raises IndexCorruptError."""
        self._follow(tokenizer_id)
        if len(ids) >= MANY and self._asked <= KEPT_AFTER:
            self._asked += 1
            # Looked at once until something is written: to count the passages of a large store takes milliseconds.
            if self._asked > KEPT_AFTER and self._store.extent()[1] <= KEPT_MOST:
                self._kept = self._all_rows(tokenizer_id)
        return self._found(ids) if self._kept is not None else self._selected(tokenizer_id, ids)

    def origins(self, document_ids: Sequence[int]) -> dict[int, str]:
        """The first origins of documents of which passages were just read, and maybe of others."""
        return self._kept.origins if self._kept is not None else self._store.first_origins(document_ids)

    def _follow(self, tokenizer_id: int) -> None:
        state = self._store.version(), tokenizer_id
        if state != self._state:
            self._state, self._asked, self._kept = state, 0, None

    def _selected(self, tokenizer_id: int, ids: Sequence[int]) -> Columns:
        statement = ROWS.format(tokenizer_id=tokenizer_id)
        stored = {row[0]: row for row in self._store.select(statement, ids, key="p.passage_id", types=TYPES)}
        columns: list[Sequence[Any]] = list(zip(*(stored[i] for i in ids if i in stored))) or [()] * len(TYPES)
        return Columns._make([[i in stored for i in ids], *columns])

    def _found(self, ids: Sequence[int]) -> Columns:
        assert self._kept is not None
        wanted, all_ids = np.array(ids, np.int64), self._kept.numbers[0]
        places = np.minimum(np.searchsorted(all_ids, wanted), max(len(all_ids) - 1, 0))
        held = all_ids[places] == wanted if len(all_ids) else np.zeros(len(ids), np.bool_)
        places = places[held]
        signatures = [self._kept.signatures[place] for place in places.tolist()]
        numbers = self._kept.numbers[:, places].tolist()
        return Columns._make([held.tolist(), *numbers, signatures, self._kept.missing[places].tolist()])

    def _all_rows(self, tokenizer_id: int) -> _Kept:
        statement = f"{ROWS.format(tokenizer_id=tokenizer_id)} WHERE p.passage_id > ? ORDER BY p.passage_id LIMIT ?"
        numbers = [np.empty((NUMBERS, 0), np.int64)]
        signatures: list[Any] = []
        missing: list[int] = []
        last, more = 0, True
        while more:
            rows = self._store.rows(statement, (last, BATCH), types=TYPES)
            if rows:
                columns = list(zip(*rows))
                numbers.append(np.array(columns[:NUMBERS], np.int64))
                signatures += columns[NUMBERS]
                missing += columns[NUMBERS + 1]
                last = rows[-1][0]
            more = len(rows) == BATCH
        together = np.concatenate(numbers, axis=1)
        origins = self._store.first_origins(set(together[1].tolist()))
        return _Kept(together, signatures, np.array(missing, np.bool_), origins)
