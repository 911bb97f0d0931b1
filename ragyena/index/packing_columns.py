"""Columns that packing needs of each candidate of a question: read row by row, or kept in memory.

A long context has two thousand candidates, anywhere in the store: finding their rows takes four microseconds each.
After some such questions the rows of all passages are read once, in the order of the file, and kept until something is
written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ragyena.documents.packing_rows import SIGNATURE_BYTES, read_signatures
from ragyena.errors import IndexCorruptError
from ragyena.index import kept_passages
from ragyena.index.kept_passages import KeptPassages, Loading, narrow
from ragyena.index.storage import REPAIR
from ragyena.index.store_reading import StoreReader
from ragyena.types import Passage

__all__ = ["Columns", "PackingColumnsReader", "checked_bytes", "damage"]

PACKING = (
    "coalesce(length(k.token_ids), 0), coalesce(length(k.header_ids), 0), k.signature,"
    " k.token_ids IS NULL OR k.offsets IS NULL OR k.header_ids IS NULL OR k.signature IS NULL"
)
PACKING_TYPES = (int, int, object, int)
JOINED = " FROM passages p LEFT JOIN packing k ON k.passage_id = p.passage_id AND k.tokenizer_id = {tokenizer_id:d}"
ROWS = f"SELECT p.passage_id, p.document_id, p.start, p.end, {PACKING} {JOINED}"
TYPES = (*(int,) * 4, *PACKING_TYPES)
ALL_ROWS = (
    f"SELECT p.passage_id, {PACKING}, {kept_passages.COLUMNS} {JOINED} WHERE p.passage_id > ?"
    " ORDER BY p.passage_id LIMIT ?"
)
ALL_TYPES = (int, *PACKING_TYPES, *kept_passages.TYPES)
BATCH = 2048
MANY = 500
"""Candidates of a question that counts..."""
KEPT_AFTER = 8
"""...as one of so many, after which all rows are read: it takes as long as some ten of them save."""
KEPT_MOST = 250_000
"""Passages of which all rows are kept, at some 120 bytes each, and ``SHARED_BYTES`` at most."""
NO_SIGNATURE = bytes(SIGNATURE_BYTES)

IntArray = npt.NDArray[np.int64]


class Columns(NamedTuple):
    """The rows of passages that are in the store, in the order of their ids as asked for."""

    held: npt.NDArray[np.bool_]
    """By id asked for: whether there is such a passage."""
    passage_ids: IntArray
    document_ids: IntArray
    starts: IntArray
    ends: IntArray
    text_bytes: IntArray
    header_bytes: IntArray
    missing: npt.NDArray[np.bool_]
    """True where the store keeps no whole row for the tokenizer; what is below then means nothing."""
    shingles: IntArray
    bitmaps: npt.NDArray[np.uint8]
    """The signatures, as ``read_signatures`` gives them."""


class _Kept(NamedTuple):
    """The rows of all passages."""

    columns: Columns
    """By id; of all ``held``, and numbers in smaller types."""
    passages: KeptPassages | None
    origins: dict[int, str]


class PackingColumnsReader:
    """The columns of one store. Use it as its connection is used: one thread at a time."""

    def __init__(self, store: StoreReader) -> None:
        self._store = store
        self._state: object = None
        self._asked = 0
        self._kept: _Kept | None = None

    def read(self, tokenizer_id: int, ids: IntArray) -> Columns:
        """The columns of these passages, for tokens of this tokenizer. Raises IndexCorruptError."""
        self._follow(tokenizer_id)
        if len(ids) >= MANY and self._asked <= KEPT_AFTER:
            self._asked += 1
            # Looked at once until something is written: to count the passages of a large store takes milliseconds.
            if self._asked > KEPT_AFTER and (count := self._store.extent()[1]) <= KEPT_MOST:
                self._kept = self._all_rows(tokenizer_id, count)
        return self._selected(tokenizer_id, ids) if self._kept is None else self._found(self._kept.columns, ids)

    def origins(self, document_ids: Sequence[int]) -> dict[int, str]:
        """The first origins of documents of which passages were just read, and maybe of others."""
        return self._kept.origins if self._kept is not None else self._store.first_origins(document_ids)

    def passages(self, ids: IntArray, origins: Mapping[int, str]) -> list[Passage]:
        """As ``StoreReader.passages``, of passages whose columns were read, if not in the present state of the store.

        ``origins`` are those of their documents.
        """
        kept, state = self._kept, (self._store.version(), self._tokenizer_id)
        if kept is not None and kept.passages is not None and state == self._state:
            held, places = _places(kept.columns, ids)
            if held.all():
                return kept.passages.read(self._store, places, ids.tolist(), origins)
        return self._store.passages(ids.tolist(), origins)

    def _follow(self, tokenizer_id: int) -> None:
        self._tokenizer_id = tokenizer_id
        state = self._store.version(), tokenizer_id
        if state != self._state:
            self._state, self._asked, self._kept = state, 0, None

    def _selected(self, tokenizer_id: int, ids: IntArray) -> Columns:
        statement = ROWS.format(tokenizer_id=tokenizer_id)
        wanted = ids.tolist()
        stored = {row[0]: row for row in self._store.select(statement, wanted, key="p.passage_id", types=TYPES)}
        columns: list[Sequence[Any]] = list(zip(*(stored[i] for i in wanted if i in stored))) or [()] * len(TYPES)
        *numbers, signatures, missing = columns
        held = np.fromiter((i in stored for i in wanted), np.bool_, len(wanted))
        arrays = [np.array(column, np.int64) for column in numbers]
        return Columns._make([held, *arrays, *_signatures(self._store.path, signatures, missing)])

    @staticmethod
    def _found(kept: Columns, ids: IntArray) -> Columns:
        held, places = _places(kept, ids)
        *numbers, missing, shingles, bitmaps = kept[1:]
        gathered = (column[places].astype(np.int64) for column in numbers)
        counts = shingles[places].astype(np.int64)
        return Columns._make([held, *gathered, missing[places], counts, bitmaps[places]])

    def _all_rows(self, tokenizer_id: int, count: int) -> _Kept | None:
        """All rows; None where one is damaged: that is said when it is read."""
        statement = ALL_ROWS.format(tokenizer_id=tokenizer_id)
        passages = Loading(kept_passages.SHARED_BYTES * count)
        ids = [np.empty(0, np.int64)]
        sizes: list[list[npt.NDArray[np.integer]]] = [[np.empty(0, np.uint8)] * 2]
        signed = [_signatures(self._store.path, (), ())]
        last, more = 0, True
        while more:
            try:
                rows = self._store.rows(statement, (last, BATCH), types=ALL_TYPES)
                columns: list[Sequence[Any]] = list(zip(*rows)) or [()] * len(ALL_TYPES)
                signed.append(_signatures(self._store.path, columns[3], columns[4]))
            except IndexCorruptError:
                return None
            ids.append(np.array(columns[0], np.int64))
            sizes.append([narrow(np.array(column, np.int64)) for column in columns[1:3]])
            passages.add(columns[5:])
            last = rows[-1][0] if rows else last
            more = len(rows) == BATCH
        numbers = passages.numbers()
        missing, shingles, bitmaps = map(np.concatenate, zip(*signed))
        all_ids = np.concatenate(ids)
        numbered = (*numbers[:3], *map(np.concatenate, zip(*sizes)))
        whole = Columns._make([np.ones(len(all_ids), np.bool_), all_ids, *numbered, missing, narrow(shingles), bitmaps])
        origins = self._store.first_origins(np.unique(numbers[0]).tolist())
        return _Kept(whole, passages.finished(self._store, numbers), origins)


def _places(kept: Columns, ids: IntArray) -> tuple[npt.NDArray[np.bool_], IntArray]:
    """For each id, whether it is among all, and the places of those that are."""
    if not len(kept.passage_ids):
        return np.zeros(len(ids), np.bool_), np.empty(0, np.int64)
    places = np.minimum(np.searchsorted(kept.passage_ids, ids), len(kept.passage_ids) - 1)
    held = kept.passage_ids[places] == ids
    return held, places[held]


def _signatures(
    path: Path, signatures: Sequence[Any], missing: Sequence[int]
) -> tuple[npt.NDArray[np.bool_], IntArray, npt.NDArray[np.uint8]]:
    """For each row, whether it is missing, and the signatures of the others. Raises IndexCorruptError."""
    checked_bytes(path, signatures)
    known = [NO_SIGNATURE if gone else signature for signature, gone in zip(signatures, missing)]
    try:
        return np.array(missing, np.bool_), *read_signatures(known)
    except ValueError as error:
        raise damage(path, str(error)) from error


def checked_bytes(path: Path, column: Sequence[Any]) -> None:
    """Raises IndexCorruptError where a value is neither bytes nor missing."""
    if wrong := set(map(type, column)) - {bytes, type(None)}:
        raise damage(path, f"a value of type {wrong.pop().__name__} where there should be bytes")


def damage(path: Path, problem: str) -> IndexCorruptError:
    """The error that says what is wrong with the rows of the store at ``path``."""
    return IndexCorruptError(f"{path} is damaged: {problem}", hint=REPAIR)
