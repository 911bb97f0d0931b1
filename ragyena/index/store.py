"""Documents, passages, vectors and full text of an index in one SQLite file, from which everything else is derived.

A *source* is a file, or a document given in Python. A document is stored once however many sources hold it; each place
is an *origin*, and a document without origins is deleted. Transactions hold whole documents: a process that dies leaves
each document in or out. Ids are never used again, so ids alone tell how far a vector file lags behind the store.

Text is kept as UTF-8 bytes, not as SQLite text: offsets stay exact for any Python string (zero chars, lone
surrogates), and a passage is read without its document.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ragyena.documents.packing_rows import PackingRow, PackingRows
from ragyena.index.encoding import (
    LARGEST,
    Source,
    byte_offsets,
    document_row,
    passage_row,
    skipped_json,
    storable,
)
from ragyena.index.packing_columns import PackingColumnsReader
from ragyena.index.postings import WORD_TABLES
from ragyena.index.schema import SCHEMA, Schema
from ragyena.index.store_reading import StoreCounts, StoreReader
from ragyena.index.unspaced import separate
from ragyena.types import Document, Passage, Skipped

__all__ = ["STORE_NAME", "WORD_TABLES", "Source", "Store", "StoreCounts", "has_characters"]

STORE_NAME = "store.sqlite"


class Store(StoreReader):
    """One connection to a store. Not shared between threads that write; reading threads take turns."""

    def __init__(self, path: Path, *, writable: bool = False, create: bool = False, schema: Schema = SCHEMA) -> None:
        """As ``Database``."""
        super().__init__(path, writable=writable, create=create, schema=schema)
        self.packing_columns = PackingColumnsReader(self)
        """The columns that packing needs of candidates."""

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
