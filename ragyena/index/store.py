"""Documents, passages, vectors and full text of an index in one SQLite file, from which everything else is derived.

A *source* is a file, or a document given in Python. A document is stored once however many sources hold it; each place
is an *origin*, and a document without origins is deleted. Transactions hold whole documents: a process that dies leaves
each document in or out. Ids are never used again, so ids alone tell how far a vector file lags behind the store.

Text is kept as UTF-8 bytes, not as SQLite text: offsets stay exact for any Python string (zero chars, lone
surrogates), and a passage is read without its document.
"""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from ragyena.documents.packing_rows import PackingRow, PackingRows
from ragyena.errors import IndexCorruptError
from ragyena.index.database import Database
from ragyena.index.encoding import (
    DOCUMENT_COLUMNS,
    LARGEST,
    PASSAGE_COLUMNS,
    PASSAGE_ROW,
    SOURCE_COLUMNS,
    Source,
    Types,
    byte_offsets,
    document_row,
    passage_row,
    read_document,
    read_passages,
    read_source,
    skipped_json,
    storable,
)
from ragyena.index.unspaced import separate
from ragyena.types import Document, Passage, Skipped

__all__ = ["STORE_NAME", "WORD_TABLES", "Source", "Store", "StoreCounts", "has_characters"]

STORE_NAME = "store.sqlite"

WORD_TABLES = ("lexicon", "characters")
"""The full text indexes."""
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


class Store(Database):
    """One connection to a store. Not shared between threads that write; reading threads take turns."""

    # --- writing, inside a transaction

    def put_source(
        self,
        path: str,
        content_hash: bytes,
        size: int,
        *,
        complete: bool,
        modified: int | None = None,
        skipped: Sequence[Skipped] = (),
    ) -> int:
        """Insert or update a source, which is there now; returns its id."""
        (source_id,) = self.row(
            "INSERT INTO sources (path, content_hash, size, complete, modified, seen, skipped)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (path) DO UPDATE SET content_hash = excluded.content_hash, size = excluded.size,"
            " complete = excluded.complete, modified = excluded.modified, seen = excluded.seen, missing_since = NULL,"
            " skipped = excluded.skipped RETURNING source_id",
            (storable(path), content_hash, size, int(complete), modified, time.time_ns(), skipped_json(skipped)),
            types=(int,),
        )
        return int(source_id)

    def mark_seen(self, source_id: int, *, modified: int | None) -> None:
        """Note that the file of a source is there now, with the content it had and this modification time."""
        self.execute(
            "UPDATE sources SET seen = ?, modified = ?, missing_since = NULL WHERE source_id = ?",
            (time.time_ns(), modified, source_id),
        )

    def move_source(self, source: Source, path: str, *, modified: int | None) -> None:
        """Give a source, and the origins of its documents, another path at which its file is now."""
        self.execute(
            "UPDATE sources SET path = ?, seen = ?, modified = ?, missing_since = NULL WHERE source_id = ?",
            (storable(path), time.time_ns(), modified, source.source_id),
        )
        self.execute(
            "UPDATE origins SET origin = ? || substr(origin, ?) WHERE source_id = ?",
            (storable(path), len(source.path) + 1, source.source_id),
        )

    def mark_missing(self, source_ids: Iterable[int]) -> None:
        """Note that the files of these sources are not there; the time at which that was first seen stays."""
        now = time.time_ns()
        for source_id in source_ids:
            self.execute(
                "UPDATE sources SET missing_since = coalesce(missing_since, ?) WHERE source_id = ?", (now, source_id)
            )

    def add_document(
        self,
        source_id: int,
        document: Document,
        content_hash: bytes,
        passages: Sequence[Passage],
        vectors: npt.NDArray[np.floating],
        packing: PackingRows | None = None,
    ) -> bool:
        """Store a document of a source with its passages, their vectors [P, D] and what packing needs of them.

        Returns False where the same content is stored already; the source is then a further origin of it.
        """
        known = self.document_id(content_hash)
        document_id = known if known is not None else self._insert_document(document, content_hash)
        self.execute(
            "INSERT OR IGNORE INTO origins (source_id, document_id, origin) VALUES (?, ?, ?)",
            (source_id, document_id, storable(document.source)),
        )
        if known is not None:
            return False
        offsets = byte_offsets(document.text, passages)
        halves = np.ascontiguousarray(vectors, dtype=np.float16)
        first = self._next_passage_id()
        ids = range(first, first + len(passages))
        self.execute_many(
            "INSERT INTO passages (passage_id, document_id, start, end, byte_start, byte_end, line_start, line_end,"
            " page, page_label, heading_path, kind, table_header) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            ((i, document_id, *passage_row(p, *span)) for i, p, span in zip(ids, passages, offsets, strict=True)),
        )
        self.execute_many(
            "INSERT INTO embeddings VALUES (?, ?)", ((i, half.tobytes()) for i, half in zip(ids, halves, strict=True))
        )
        if packing is not None:
            tokenizer_id = self.tokenizer_id(packing.fingerprint)
            self.execute_many(
                "INSERT INTO packing VALUES (?, ?, ?, ?, ?, ?)",
                ((i, tokenizer_id, *row) for i, row in zip(ids, packing.rows, strict=True)),
            )
        words: dict[str, list[tuple[int, str, str]]] = {table: [] for table in WORD_TABLES}
        for i, passage in zip(ids, passages):
            for table, texts in _words(passage).items():
                words[table].append((i, *texts))
        for table, rows in words.items():
            self.execute_many(f"INSERT INTO {table} (rowid, header, text) VALUES (?, ?, ?)", rows)
        return True

    def _next_passage_id(self) -> int:
        """The id that AUTOINCREMENT gives the next passage: one that none ever had."""
        (last,) = self.row(
            "SELECT max(coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = 'passages'), 0),"
            " coalesce((SELECT max(passage_id) FROM passages), 0))",
            types=(int,),
        )
        if last >= LARGEST:
            raise self.damage(f"its largest passage id is {last}")
        return 1 + int(last)

    def tokenizer_id(self, fingerprint: str) -> int:
        """The id of a tokenizer, which is inserted where it is new."""
        rows = self.rows("SELECT tokenizer_id FROM tokenizers WHERE fingerprint = ?", (fingerprint,), types=(int,))
        return rows[0][0] if rows else self._inserted("INSERT INTO tokenizers (fingerprint) VALUES (?)", (fingerprint,))

    def put_packing(self, passage_id: int, tokenizer_id: int, row: PackingRow) -> None:
        """Insert or replace what packing needs of a passage."""
        self.execute("INSERT OR REPLACE INTO packing VALUES (?, ?, ?, ?, ?, ?)", (passage_id, tokenizer_id, *row))

    def set_title(self, document_id: int, title: str) -> None:
        """Give a document another title, in the full text indexes too; its vectors stay."""
        for passage in self.passages_of(document_id):
            self.write_words(passage, delete=True)
        self.execute("UPDATE documents SET title = ? WHERE document_id = ?", (json.dumps(title), document_id))
        # Header tokens are those of the old title: they are made again by what adds to, or packs, these passages.
        self.execute(
            "DELETE FROM packing WHERE passage_id IN (SELECT passage_id FROM passages WHERE document_id = ?)",
            (document_id,),
        )
        for passage in self.passages_of(document_id):
            self.write_words(passage)

    def _insert_document(self, document: Document, content_hash: bytes) -> int:
        return self._inserted(
            "INSERT INTO documents (content_hash, title, metadata, page_starts, page_labels, headings, blocks, text)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (content_hash, *document_row(document)),
        )

    def _inserted(self, statement: str, parameters: Sequence[Any]) -> int:
        row_id = self.execute(statement, parameters).lastrowid
        assert row_id is not None
        return row_id

    def write_words(self, passage: Passage, passage_id: int | None = None, *, delete: bool = False) -> None:
        """Write a passage into the full text indexes, or ``delete`` it there."""
        for table, (header, text) in _words(passage).items():
            row = (passage.passage_id if passage_id is None else passage_id, header, text)
            if delete:  # a contentless FTS5 table needs the indexed text again to delete it
                self.execute(f"INSERT INTO {table} ({table}, rowid, header, text) VALUES ('delete', ?, ?, ?)", row)
            else:
                self.execute(f"INSERT INTO {table} (rowid, header, text) VALUES (?, ?, ?)", row)

    def rebuild_words(self) -> None:
        """Write the full text indexes again from the passages; a transaction must be open."""
        for table in WORD_TABLES:
            self.execute(f"INSERT INTO {table} ({table}) VALUES ('delete-all')")
        for (document_id,) in self.rows("SELECT document_id FROM documents ORDER BY document_id", types=(int,)):
            for passage in self.passages_of(document_id):
                self.write_words(passage)

    def detach(self, source_id: int, origins: Iterable[str]) -> list[int]:
        """Remove origins of a source; returns the ids of their documents, for ``remove_orphans``."""
        detached: list[int] = []
        for origin in origins:
            rows = self.rows(
                "DELETE FROM origins WHERE source_id = ? AND origin = ? RETURNING document_id",
                (source_id, storable(origin)),
                types=(int,),
            )
            detached += [document_id for (document_id,) in rows]
        return detached

    def remove_orphans(self, document_ids: Iterable[int]) -> int:
        """Delete those of the documents that no source holds; returns how many."""
        removed = 0
        for document_id in dict.fromkeys(document_ids):
            if not self.rows("SELECT 1 FROM origins WHERE document_id = ? LIMIT 1", (document_id,), types=(int,)):
                self._remove_document(document_id)
                removed += 1
        return removed

    def remove_source(self, source_id: int) -> int:
        """Delete a source and every document that no other source holds; returns how many documents."""
        removed = self.remove_orphans(self.detach(source_id, list(self.origins(source_id))))
        self.execute("DELETE FROM sources WHERE source_id = ?", (source_id,))
        return removed

    def _remove_document(self, document_id: int) -> None:
        ids = self.passage_ids(document_id).tolist()
        for passage in self.passages_of(document_id):
            self.write_words(passage, delete=True)
        for passage_id in ids:
            self.execute("DELETE FROM embeddings WHERE passage_id = ?", (passage_id,))
            self.execute("DELETE FROM packing WHERE passage_id = ?", (passage_id,))
        self.execute("DELETE FROM passages WHERE document_id = ?", (document_id,))
        self.execute("DELETE FROM documents WHERE document_id = ?", (document_id,))

    # --- reading

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


def has_characters(passage: Passage) -> bool:
    """True where a passage has text without spaces, so that it stands in ``characters`` too."""
    return "characters" in _words(passage)


def _words(passage: Passage) -> dict[str, tuple[str, str]]:
    """Header and text of a passage as they go into each full text index."""
    header, header_characters = separate(storable(passage.header))
    text, text_characters = separate(storable(passage.text))
    rows = {"lexicon": (header, text)}
    if header_characters or text_characters:
        rows["characters"] = (header_characters, text_characters)
    return rows
