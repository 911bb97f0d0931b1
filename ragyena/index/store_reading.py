"""Sources, documents, passages and vectors, as they are read from a store."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ragyena.errors import IndexCorruptError
from ragyena.index.database import Database
from ragyena.index.encoding import (
    DOCUMENT_COLUMNS,
    PASSAGE_COLUMNS,
    PASSAGE_ROW,
    SOURCE_COLUMNS,
    Source,
    Types,
    read_document,
    read_passages,
    read_source,
    storable,
)
from ragyena.index.postings import Postings
from ragyena.index.schema import SCHEMA, Schema
from ragyena.types import Document, Passage

__all__ = ["StoreCounts", "StoreReader"]

SQL_VARIABLES = 500
"""The most ids named in one statement."""
FIRST_ORIGIN = (
    "SELECT origin FROM origins o JOIN sources USING (source_id) WHERE o.document_id = DOCUMENT"
    " ORDER BY missing_since IS NOT NULL, origin_id LIMIT 1"
)
"""The origin by which a document is named: the first one whose file is not known to be gone."""
PASSAGE = (
    "p.start, p.end, p.line_start, p.line_end, p.page, d.title, p.heading_path,"
    f" ({FIRST_ORIGIN.replace('DOCUMENT', 'p.document_id')}),"
    " p.passage_id, p.document_id, d.metadata, p.kind, p.table_header, p.page_label"
)
"""The columns of a passage but for its text, as ``read_passages`` takes them."""
DOCUMENT_ROW = (
    "SELECT document_id, title, metadata, CASE typeof(text) WHEN 'blob' THEN x'' ELSE substr(text, 1, 1) END"
    " FROM documents"
)
"""The last value is a blob where the text is one, which is not read."""

IdArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class StoreCounts:
    """Numbers of sources, documents and passages."""

    sources: int
    incomplete: int
    documents: int
    passages: int


class StoreReader(Database):
    """The half of ``Store`` that changes nothing."""

    def __init__(self, path: Path, *, writable: bool = False, create: bool = False, schema: Schema = SCHEMA) -> None:
        """As ``Database``."""
        super().__init__(path, writable=writable, create=create, schema=schema)
        self.postings = Postings(self)
        """The full text indexes, for scores."""

    def close(self) -> None:
        self.postings.close()
        super().close()

    def counts(self) -> StoreCounts:
        return StoreCounts(
            *self.row(
                "SELECT (SELECT count(*) FROM sources), (SELECT count(*) FROM sources WHERE NOT complete),"
                " (SELECT count(*) FROM documents), (SELECT count(*) FROM passages)",
                types=(int,) * 4,
            )
        )

    def sources(self, path: str | None = None) -> list[Source]:
        """All sources by path, or the one of ``path``."""
        condition, parameters = ("", ()) if path is None else ("WHERE path = ?", (storable(path),))
        rows = self.rows(
            "SELECT source_id, path, content_hash, size, complete, modified, seen, missing_since, skipped"
            f" FROM sources {condition} ORDER BY path",
            parameters,
            types=SOURCE_COLUMNS,
        )
        return self.decoded(read_source, rows)

    def source(self, path: str) -> Source | None:
        return next(iter(self.sources(path)), None)

    def origins(self, source_id: int) -> dict[str, bytes]:
        """The content hash of each document of a source, by origin."""
        return dict(
            self.rows(
                "SELECT origin, content_hash FROM origins JOIN documents USING (document_id) WHERE source_id = ?",
                (source_id,),
                types=(str, bytes),
            )
        )

    def is_file(self, source: Source) -> bool:
        """False for a document given in Python, whatever its name: its hash is that of what it holds."""
        return source.content_hash not in self.origins(source.source_id).values()

    def document_id(self, content_hash: bytes) -> int | None:
        rows = self.rows("SELECT document_id FROM documents WHERE content_hash = ?", (content_hash,), types=(int,))
        return int(rows[0][0]) if rows else None

    def document(self, document_id: int) -> Document:
        """Read a document. Raises IndexCorruptError where there is none of this id."""
        rows = self.rows(
            "SELECT title, metadata, page_starts, page_labels, headings, blocks, text,"
            f" ({FIRST_ORIGIN.replace('DOCUMENT', 'd.document_id')})"
            " FROM documents d WHERE document_id = ?",
            (document_id,),
            types=DOCUMENT_COLUMNS,
        )
        if not rows:
            raise IndexCorruptError(
                f"{self.path} holds no document {document_id}",
                hint="it was removed since this index was opened: open it again, or check it: ragyena index verify",
            )
        document: Document = self.decoded(read_document, rows)[0]
        first = self.rows(
            "SELECT start, line_start FROM passages WHERE document_id = ? ORDER BY start LIMIT 1",
            (document_id,),
            types=(int, int),
        )
        lines = [line - document.text.count("\n", 0, start) for start, line in first]
        return replace(document, first_line=lines[0]) if lines and lines[0] > 1 else document

    def passages(self, ids: Sequence[int], origins: Mapping[int, str] | None = None) -> list[Passage]:
        """The passages of these ids, in their order; ids that are not in the store are left out.

        ``origins`` are the first origins of their documents, where they are known.
        """
        columns = (
            "SELECT document_id, byte_start, byte_end, start, end, line_start, line_end, page, heading_path,"
            " passage_id, kind, table_header, page_label FROM passages"
        )
        rows = self.select(columns, ids, types=PASSAGE_ROW)
        rows.sort(key=itemgetter(0, 1))
        held = {row[0] for row in rows}
        documents = self.select(DOCUMENT_ROW, held, key="document_id", types=(int, str, str, bytes))
        named = {i: (title, metadata) for i, title, metadata, _ in documents}
        rows = [row for row in rows if row[0] in named]
        if not rows:
            return []
        origins = self.first_origins(held) if origins is None else origins
        # Of a document no more is read than these passages: SQL would read the whole of a long one for each.
        texts = self.parts("documents", "text", [row[:3] for row in rows])

        document_ids, _, _, *places, paths, passage_ids, kinds, table_headers, page_labels = zip(*rows)
        made = self._read_passages(
            [
                *(texts, *places, [named[i][0] for i in document_ids], paths, list(map(origins.get, document_ids))),
                *(passage_ids, document_ids, [named[i][1] for i in document_ids], kinds, table_headers, page_labels),
            ]
        )
        stored = dict(zip(passage_ids, made))
        return [stored[i] for i in map(int, ids) if i in stored]

    def first_origins(self, document_ids: Iterable[int]) -> dict[int, str]:
        """The origin by which each document is named, as ``FIRST_ORIGIN``."""
        rows = self.select(
            "SELECT document_id, origin FROM origins", set(document_ids), key="document_id", types=(int, str)
        )
        first = dict(rows)
        if len(first) < len(rows):  # some have several
            several = [document_id for document_id, count in Counter(i for i, _ in rows).items() if count > 1]
            columns = (
                "SELECT document_id, missing_since IS NOT NULL, origin_id, origin"
                " FROM origins JOIN sources USING (source_id)"
            )
            found = self.select(columns, several, key="document_id", types=(int, int, int, str))
            first |= {document_id: origin for document_id, *_, origin in sorted(found, reverse=True)}
        return first

    def passages_of(self, document_id: int) -> list[Passage]:
        """All passages of a document in its order, whose text is read once."""
        texts = self.rows("SELECT text FROM documents WHERE document_id = ?", (document_id,), types=(bytes,))
        rows = self.rows(
            f"SELECT p.byte_start, p.byte_end, {PASSAGE} FROM passages p JOIN documents d USING (document_id)"
            " WHERE document_id = ? ORDER BY start",
            (document_id,),
            types=(int, int, *PASSAGE_COLUMNS),
        )
        if any(not 0 <= start <= end for start, end, *_ in rows):
            raise self.damage(f"a passage of document {document_id} is outside it")
        if not rows:
            return []
        starts, ends, *columns = zip(*rows)
        return self._read_passages([[texts[0][0][start:end] for start, end in zip(starts, ends)], *columns])

    def _read_passages(self, columns: Sequence[Sequence[Any]]) -> list[Passage]:
        try:
            return read_passages(columns)
        except ValueError as error:
            raise self.damage(str(error)) from error

    def neighbours(self, passage_id: int, distance: int) -> list[int]:
        """Ids of up to ``distance`` passages before and after one in its document, nearest first, the earlier first."""
        rows = self.rows(
            "SELECT document_id, start FROM passages WHERE passage_id = ?", (passage_id,), types=(int, int)
        )
        before, after = (
            [
                neighbour
                for row in rows
                for neighbour in self.rows(
                    f"SELECT passage_id FROM passages WHERE document_id = ? AND {rest} LIMIT ?",
                    (*row, distance),
                    types=(int,),
                )
            ]
            for rest in ("start < ? ORDER BY start DESC", "start > ? ORDER BY start")
        )
        return [i for pair in itertools.zip_longest(before, after) for row in pair if row for i in row]

    def existing(self, ids: Sequence[int]) -> set[int]:
        """The subset of ``ids`` that are passages now."""
        wanted = set(map(int, ids))
        # Nearly always all are: counting them makes no value of Python for each.
        counts = self.select("SELECT count(*) FROM passages", wanted, types=(int,))
        if sum(count for (count,) in counts) == len(wanted):
            return wanted
        return {i for (i,) in self.select("SELECT passage_id FROM passages", wanted, types=(int,))}

    def select(
        self, columns: str, ids: Iterable[int], *, types: Types, key: str = "passage_id"
    ) -> list[tuple[Any, ...]]:
        """Rows of a SELECT for these passage ids, or values of another ``key``, a bounded number a statement."""
        wanted = sorted(map(int, ids))  # neighbours in the file follow each other
        rows: list[tuple[Any, ...]] = []
        for first in range(0, len(wanted), SQL_VARIABLES):
            some = wanted[first : first + SQL_VARIABLES]
            rows += self.rows(f"{columns} WHERE {key} IN ({','.join('?' * len(some))})", some, types=types)
        return rows

    def passage_ids(self, document_id: int | None = None) -> IdArray:
        """All passage ids, ascending; those of one document, in its order."""
        condition, parameters = (
            ("ORDER BY passage_id", ())
            if document_id is None
            else ("WHERE document_id = ? ORDER BY start", (document_id,))
        )
        rows = self.rows(f"SELECT passage_id FROM passages {condition}", parameters, types=(int,))
        return np.fromiter((i for (i,) in rows), np.int64, len(rows))

    def extent(self) -> tuple[int, int]:
        """The largest passage id, 0 without passages, and the number of passages."""
        return self.row(
            "SELECT (SELECT coalesce(max(passage_id), 0) FROM passages), (SELECT count(*) FROM passages)",
            types=(int, int),
        )

    def count_after(self, passage_id: int) -> int:
        """The number of passages with an id above this one."""
        (count,) = self.row("SELECT count(*) FROM passages WHERE passage_id > ?", (passage_id,), types=(int,))
        return int(count)

    def vectors(
        self, dimension: int, *, after: int = 0, batch: int = 65_536
    ) -> Iterator[tuple[IdArray, npt.NDArray[np.float16]]]:
        """Ids [N] and vectors [N, dimension] of the passages with an id above ``after``, by id, in batches.

        Raises IndexCorruptError where a stored vector has another length."""
        while True:
            rows = self.rows(
                "SELECT passage_id, vector FROM embeddings WHERE passage_id > ? ORDER BY passage_id LIMIT ?",
                (after, batch),
                types=(int, bytes),
            )
            if rows:
                after = rows[-1][0]
                yield self._stacked(rows, dimension)
            if len(rows) < batch:
                return

    def vectors_of(self, ids: Sequence[int], dimension: int) -> tuple[IdArray, npt.NDArray[np.float16]]:
        """Ids and vectors, as ``vectors`` gives them, of those of ``ids`` that are in the store, by id."""
        columns = "SELECT passage_id, vector FROM embeddings"
        return self._stacked(sorted(self.select(columns, sorted({int(i) for i in ids}), types=(int, bytes))), dimension)

    def _stacked(self, rows: Sequence[tuple[Any, ...]], dimension: int) -> tuple[IdArray, npt.NDArray[np.float16]]:
        if any(len(vector) != 2 * dimension for _, vector in rows):
            raise self.damage(f"stored vectors are not all of {dimension} half floats")
        vectors = np.frombuffer(b"".join(vector for _, vector in rows), np.float16).reshape(len(rows), dimension)
        return np.fromiter((row[0] for row in rows), np.int64, len(rows)), vectors
