"""All of a store's passages but their texts, kept in memory, so that of thousands none is looked up in the file.

Numbers are arrays of the smallest type that holds them. Titles, headings and the like are kept once for all passages
that share them, and only as long as they are few: where each passage has its own, as rows of a table have, its row is
read when it is wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from ragyena.index.encoding import LARGEST, kind_of, label_of, metadata_of, names_of, text_of, title_of
from ragyena.index.store_reading import StoreReader
from ragyena.types import Passage, in_bulk

__all__ = ["COLUMNS", "NUMBERS", "TYPES", "KeptPassages", "Loading", "narrow"]

COLUMNS = (
    "p.document_id, p.start, p.end, p.byte_start, p.byte_end, p.line_start, p.line_end,"
    " CASE WHEN p.page IS NULL THEN 0 WHEN p.page < 1 THEN -1 ELSE p.page END,"
    " p.heading_path, p.kind, p.table_header, p.page_label"
)
"""The columns of ``passages p`` that are kept."""
TYPES = (*(int,) * 8, str, str, str, str | None)
NUMBERS = 8
"""The first of them are numbers."""
DOCUMENTS = "SELECT document_id, title, metadata, typeof(text) = 'blob' FROM documents"
SHARED_BYTES = 64
"""Bytes that what passages share may take for each of them..."""
VALUE_BYTES = 100
"""...where a value takes so many beside its characters."""

IntArray = npt.NDArray[np.integer]


def narrow(values: IntArray) -> IntArray:
    """The values in the smallest of a few types that holds them."""
    if values.min(initial=0) < 0 or values.max(initial=0) >= 2**32:
        return values
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))


class _Shared:
    """A column of values that many passages share, each kept once."""

    def __init__(self, read: Callable[[Any], object]) -> None:
        self._read = read
        self._numbers: dict[Any, int] = {}
        self._parts: list[IntArray] = [np.empty(0, np.uint8)]
        self.size = 0
        """Bytes of the values, at least."""

    def add(self, column: Sequence[Any]) -> None:
        numbers, before = self._numbers, len(self._numbers)
        self._parts.append(narrow(np.array([numbers.setdefault(value, len(numbers)) for value in column], np.int64)))
        new = islice(reversed(numbers), len(numbers) - before)
        self.size += sum(VALUE_BYTES + len(value or "") for value in new)

    def finished(self) -> tuple[IntArray, list[object]]:
        """The number of each passage's value [N], and the values. Raises ValueError."""
        return np.concatenate(self._parts), list(map(self._read, self._numbers))


class Loading:
    """The rows of all passages as they come, by id."""

    def __init__(self, most_bytes: int) -> None:
        """``most_bytes`` is how much may be kept of what passages share."""
        self._most = most_bytes
        self._numbers: list[list[IntArray]] = [[np.empty(0, np.uint8)] * NUMBERS]
        self._shared = [_Shared(read) for read in (names_of, kind_of, names_of, label_of)]
        self._fits = True

    def add(self, columns: Sequence[Sequence[Any]]) -> None:
        """Add rows, column by column."""
        self._numbers.append([narrow(np.array(column, np.int64)) for column in columns[:NUMBERS]])
        if self._fits:
            for shared, column in zip(self._shared, columns[NUMBERS:], strict=True):
                shared.add(column)
            self._fits = sum(shared.size for shared in self._shared) <= self._most

    def numbers(self) -> list[IntArray]:
        """The numbers of the passages, a column [N] each."""
        return [np.concatenate(parts) for parts in zip(*self._numbers)]

    def finished(self, store: StoreReader, numbers: Sequence[IntArray]) -> KeptPassages | None:
        """The passages with their ``numbers``; None where they share too little, or one is damaged: its row says so
        when it is read."""
        if not self._fits:
            return None
        try:
            return self._finished(store, numbers)
        except ValueError:
            return None

    def _finished(self, store: StoreReader, numbers: Sequence[IntArray]) -> KeptPassages | None:
        document_ids, starts, ends, _, _, first_lines, last_lines, _ = numbers
        in_order = (starts <= ends) & (first_lines >= 1) & (first_lines <= last_lines)
        in_range = all(column.min(initial=0) >= 0 and column.max(initial=0) <= LARGEST for column in numbers)
        if not (in_range and in_order.all()):
            return None
        (documents,) = store.row("SELECT count(*) FROM documents", types=(int,))
        if 2 * VALUE_BYTES * documents > self._most:  # not to read the titles of very many
            return None
        titles, all_metadata = _Shared(title_of), _Shared(metadata_of)
        rows = store.rows(DOCUMENTS, types=(int, str, str, int))
        ids, named, described, sound = zip(*rows) if rows else ((),) * 4
        titles.add(named)
        all_metadata.add(described)
        whole = titles.size + all_metadata.size + VALUE_BYTES * documents + sum(one.size for one in self._shared)
        if not all(sound) or whole > self._most or not np.isin(np.unique(document_ids), ids).all():
            return None
        (title_numbers, title_values), (metadata_numbers, metadata_values) = titles.finished(), all_metadata.finished()
        by_document = {
            i: (title_values[title], metadata_values[metadata])
            for i, title, metadata in zip(ids, title_numbers.tolist(), metadata_numbers.tolist())
        }
        return KeptPassages(numbers, [shared.finished() for shared in self._shared], by_document)


class KeptPassages:
    """Passages by their place in the order of their ids."""

    def __init__(
        self,
        numbers: Sequence[IntArray],
        shared: Sequence[tuple[IntArray, list[object]]],
        documents: Mapping[int, tuple[Any, Any]],
    ) -> None:
        """``numbers`` and ``shared`` are columns [N]; ``documents`` are titles and metadata."""
        self._numbers = numbers
        self._shared = shared
        self._documents = documents

    def read(
        self,
        store: StoreReader,
        places: npt.NDArray[np.int64],
        passage_ids: Sequence[int],
        origins: Mapping[int, str],
    ) -> list[Passage]:
        """The passages at these places, which have these ids, with their texts. Raises IndexCorruptError."""
        columns = [column[places].astype(np.int64) for column in self._numbers]
        document_ids, starts, ends, byte_starts, byte_ends, *_ = columns
        order = np.lexsort((byte_starts, document_ids))  # a document is opened once
        spans = (column[order].tolist() for column in (document_ids, byte_starts, byte_ends))
        read = store.parts("documents", "text", list(zip(*spans)))
        try:
            in_file_order = list(map(text_of, read))
        except ValueError as error:
            raise store.damage(str(error)) from error
        lengths = np.fromiter(map(len, in_file_order), np.int64, len(in_file_order))
        if not np.array_equal(lengths, (ends - starts)[order]):
            raise store.damage("passages are not where they say")
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        lists = [column.tolist() for column in columns]
        documents, pages = lists[0], lists[7]
        heading_paths, kinds, table_headers, page_labels = (
            [values[number] for number in numbers[places].tolist()] for numbers, values in self._shared
        )
        named = [self._documents[i] for i in documents]
        fields: dict[str, Sequence[object]] = {
            "text": [in_file_order[place] for place in back.tolist()],
            "start": lists[1],
            "end": lists[2],
            "line_start": lists[5],
            "line_end": lists[6],
            "page": [page or None for page in pages],
            "title": [title for title, _ in named],
            "heading_path": heading_paths,
            "source": [origins.get(i, "") for i in documents],
            "passage_id": passage_ids,
            "document_id": documents,
            "page_label": page_labels,
            "kind": kinds,
            "table_header": table_headers,
            "metadata": [dict(metadata) for _, metadata in named],
        }
        return in_bulk(Passage, len(places), fields)
