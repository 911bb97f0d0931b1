"""Documents, passages, vectors and full text of an index in one SQLite file, from which everything else is derived.

A *source* is a file, or a document given in Python. A document is stored once however many sources hold it; each place
is an *origin*, and a document without origins is deleted. Transactions hold whole documents: a process that dies leaves
each document in or out. Ids are never used again, so ids alone tell how far a vector file lags behind the store.

Text is kept as UTF-8 bytes, not as SQLite text: offsets stay exact for any Python string (zero chars, lone
surrogates), and a passage is read without its document.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ragyena.errors import IndexCorruptError, IndexFormatError
from ragyena.index.schema import SCHEMA, SCHEMA_VERSION
from ragyena.index.storage import REBUILD, connect, storage_errors
from ragyena.types import Document, Heading, Passage

__all__ = ["STORE_NAME", "Source", "Store", "StoreCounts", "document_hash"]

STORE_NAME = "store.sqlite"

SQL_VARIABLES = 500
"""The most ids named in one statement."""

IdArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Source:
    """A file, or a document given in Python."""

    source_id: int
    path: str
    content_hash: bytes
    """sha256 of the file when it was read; of a document given in Python its ``document_hash``."""
    size: int
    complete: bool
    """False while documents of it are still missing: the next ``index add`` resumes there."""


@dataclass(frozen=True, slots=True)
class StoreCounts:
    """Numbers of sources, documents and passages."""

    sources: int
    incomplete: int
    documents: int
    passages: int


class Store:
    """One connection to a store. Not shared between threads that write; reading threads take turns."""

    def __init__(self, path: Path, *, writable: bool = False, create: bool = False) -> None:
        """Open a store, or ``create`` one.

        Raises IndexCorruptError (missing, damaged), IndexFormatError (another schema version) and StorageError.
        """
        self.path = path
        if not create and not path.is_file():
            raise IndexCorruptError(f"{path} is missing", hint=REBUILD)
        with storage_errors(path):
            self._db = connect(path, writable=writable or create)
            try:
                (version,) = self._db.execute("PRAGMA user_version").fetchone()
                if version == 0 and create and not self._db.execute("SELECT 1 FROM sqlite_master").fetchone():
                    self._db.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
                    version = SCHEMA_VERSION
            except BaseException:
                self._db.close()
                raise
        if version != SCHEMA_VERSION:
            self._db.close()
            raise IndexFormatError(
                f"{path} has schema version {version}, this ragyena reads version {SCHEMA_VERSION}",
                hint=REBUILD,
            )

    def close(self) -> None:
        """Close the connection; a writable one first moves its log into the main file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write everything inside together or, whatever is raised, nothing."""
        with storage_errors(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read everything inside from one state of the store."""
        with storage_errors(self.path):
            if self._db.in_transaction:
                yield
                return
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                self._db.execute("ROLLBACK")

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run one statement, for the modules of this package. Errors of SQLite are raised as those of ragyena."""
        with storage_errors(self.path):
            return self._db.execute(statement, parameters)

    # --- writing, inside a transaction

    def put_source(self, path: str, content_hash: bytes, size: int, *, complete: bool) -> int:
        """Insert or update a source; returns its id."""
        (source_id,) = self._db.execute(
            "INSERT INTO sources (path, content_hash, size, complete) VALUES (?, ?, ?, ?) ON CONFLICT (path) DO UPDATE"
            " SET content_hash = excluded.content_hash, size = excluded.size, complete = excluded.complete"
            " RETURNING source_id",
            (_storable(path), content_hash, size, int(complete)),
        ).fetchone()
        return int(source_id)

    def add_document(
        self,
        source_id: int,
        document: Document,
        content_hash: bytes,
        passages: Sequence[Passage],
        vectors: npt.NDArray[np.floating],
    ) -> bool:
        """Store a document of a source with its passages and their vectors [P, D].

        Returns False where the same content is stored already; the source is then a further origin of it.
        """
        known = self.document_id(content_hash)
        document_id = known if known is not None else self._insert_document(document, content_hash)
        self._db.execute(
            "INSERT OR IGNORE INTO origins (source_id, document_id, origin) VALUES (?, ?, ?)",
            (source_id, document_id, _storable(document.source)),
        )
        if known is not None:
            return False
        offsets = _byte_offsets(document.text, passages)
        halves = np.ascontiguousarray(vectors, dtype=np.float16)
        for p, (byte_start, byte_end), half in zip(passages, offsets, halves, strict=True):
            cursor = self._db.execute(
                "INSERT INTO passages (document_id, start, end, byte_start, byte_end, line_start, line_end, page,"
                " heading_path) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(document_id, p.start, p.end, byte_start, byte_end, p.line_start, p.line_end, p.page),
                    json.dumps(p.heading_path),
                ),
            )
            self._db.execute("INSERT INTO embeddings VALUES (?, ?)", (cursor.lastrowid, half.tobytes()))
            self._db.execute(
                "INSERT INTO lexicon (rowid, header, text) VALUES (?, ?, ?)",
                (cursor.lastrowid, _storable(p.header), _storable(p.text)),
            )
        return True

    def _insert_document(self, document: Document, content_hash: bytes) -> int:
        cursor = self._db.execute(
            "INSERT INTO documents (content_hash, title, metadata, page_starts, headings, text) VALUES (?,?,?,?,?,?)",
            (
                content_hash,
                json.dumps(document.title),
                json.dumps(dict(document.metadata)),
                json.dumps(document.page_starts),
                json.dumps([[h.start, h.level, h.text] for h in document.headings]),
                _encoded(document.text),
            ),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def detach(self, source_id: int, origins: Iterable[str]) -> list[int]:
        """Remove origins of a source; returns the ids of their documents, for ``remove_orphans``."""
        detached: list[int] = []
        for origin in origins:
            rows = self._db.execute(
                "DELETE FROM origins WHERE source_id = ? AND origin = ? RETURNING document_id",
                (source_id, _storable(origin)),
            ).fetchall()
            detached += [document_id for (document_id,) in rows]
        return detached

    def remove_orphans(self, document_ids: Iterable[int]) -> int:
        """Delete those of the documents that no source holds; returns how many."""
        removed = 0
        for document_id in dict.fromkeys(document_ids):
            if not self._db.execute("SELECT 1 FROM origins WHERE document_id = ?", (document_id,)).fetchone():
                self._remove_document(document_id)
                removed += 1
        return removed

    def remove_source(self, source_id: int) -> int:
        """Delete a source and every document that no other source holds; returns how many documents."""
        removed = self.remove_orphans(self.detach(source_id, list(self.origins(source_id))))
        self._db.execute("DELETE FROM sources WHERE source_id = ?", (source_id,))
        return removed

    def _remove_document(self, document_id: int) -> None:
        ids = [i for (i,) in self._db.execute("SELECT passage_id FROM passages WHERE document_id = ?", (document_id,))]
        for passage in self.passages(ids):
            # A contentless FTS5 table needs the indexed text again to delete it.
            self._db.execute(
                "INSERT INTO lexicon (lexicon, rowid, header, text) VALUES ('delete', ?, ?, ?)",
                (passage.passage_id, _storable(passage.header), _storable(passage.text)),
            )
        self._db.executemany("DELETE FROM embeddings WHERE passage_id = ?", [(i,) for i in ids])
        self._db.execute("DELETE FROM passages WHERE document_id = ?", (document_id,))
        self._db.execute("DELETE FROM documents WHERE document_id = ?", (document_id,))

    # --- reading

    def counts(self) -> StoreCounts:
        row = self.execute(
            "SELECT (SELECT count(*) FROM sources), (SELECT count(*) FROM sources WHERE NOT complete),"
            " (SELECT count(*) FROM documents), (SELECT count(*) FROM passages)"
        ).fetchone()
        return StoreCounts(*row)

    def sources(self, path: str | None = None) -> list[Source]:
        """All sources by path, or the one of ``path``."""
        condition, parameters = ("", ()) if path is None else ("WHERE path = ?", (_storable(path),))
        rows = self.execute(
            f"SELECT source_id, path, content_hash, size, complete FROM sources {condition} ORDER BY path", parameters
        )
        return [Source(i, name, bytes(digest), size, bool(complete)) for i, name, digest, size, complete in rows]

    def source(self, path: str) -> Source | None:
        return next(iter(self.sources(path)), None)

    def origins(self, source_id: int) -> dict[str, bytes]:
        """The content hash of each document of a source, by origin."""
        rows = self.execute(
            "SELECT origin, content_hash FROM origins JOIN documents USING (document_id) WHERE source_id = ?",
            (source_id,),
        )
        return {origin: bytes(digest) for origin, digest in rows}

    def is_file(self, source: Source) -> bool:
        """False for a document given in Python, whatever its name: its hash is that of what it holds."""
        return source.content_hash not in self.origins(source.source_id).values()

    def document_id(self, content_hash: bytes) -> int | None:
        row = self.execute("SELECT document_id FROM documents WHERE content_hash = ?", (content_hash,)).fetchone()
        return int(row[0]) if row else None

    def document(self, document_id: int) -> Document:
        """Read a document. Raises IndexCorruptError where there is none of this id."""
        row = self.execute(
            "SELECT title, metadata, page_starts, headings, text, (SELECT origin FROM origins o"
            " WHERE o.document_id = d.document_id ORDER BY origin_id LIMIT 1) FROM documents d WHERE document_id = ?",
            (document_id,),
        ).fetchone()
        if row is None:
            raise IndexCorruptError(
                f"{self.path} holds no document {document_id}",
                hint="it was removed since this index was opened: open it again, or check it: ragyena index verify",
            )
        title, metadata, page_starts, headings, text, origin = row
        return Document(
            source=origin or "",
            text=_decoded(text),
            title=json.loads(title),
            page_starts=tuple(json.loads(page_starts)),
            headings=tuple(Heading(*heading) for heading in json.loads(headings)),
            metadata=json.loads(metadata),
        )

    def passages(self, ids: Sequence[int]) -> list[Passage]:
        """The passages of these ids, in their order; ids that are not in the store are left out."""
        columns = (
            "SELECT substr(d.text, p.byte_start + 1, p.byte_end - p.byte_start), p.start, p.end, p.line_start,"
            " p.line_end, p.page, d.title, p.heading_path,"
            " (SELECT origin FROM origins o WHERE o.document_id = p.document_id ORDER BY origin_id LIMIT 1),"
            " p.passage_id, p.document_id, d.metadata FROM passages p JOIN documents d USING (document_id)"
        )
        stored: dict[int, Passage] = {}
        for row in self._select(columns, ids):
            text, start, end, line_start, line_end, page, title, path, origin, passage_id, document_id, metadata = row
            stored[passage_id] = Passage(
                *(_decoded(text), start, end, line_start, line_end, page),
                title=json.loads(title),
                heading_path=tuple(json.loads(path)),
                source=origin or "",
                passage_id=passage_id,
                document_id=document_id,
                metadata=json.loads(metadata),
            )
        return [stored[int(i)] for i in ids if int(i) in stored]

    def neighbours(self, passage_id: int, distance: int) -> list[int]:
        """Ids of up to ``distance`` passages before and after one in its document, nearest first, the earlier first."""
        row = self.execute("SELECT document_id, start FROM passages WHERE passage_id = ?", (passage_id,)).fetchone()
        if row is None:
            return []
        before, after = (
            self.execute(
                f"SELECT passage_id FROM passages WHERE document_id = ? AND {rest} LIMIT ?", (*row, distance)
            ).fetchall()
            for rest in ("start < ? ORDER BY start DESC", "start > ? ORDER BY start")
        )
        return [i for pair in zip_longest(before, after) for row in pair if row for i in row]

    def existing(self, ids: Sequence[int]) -> set[int]:
        """The subset of ``ids`` that are passages now."""
        return {i for (i,) in self._select("SELECT passage_id FROM passages", ids)}

    def _select(self, columns: str, ids: Sequence[int]) -> Iterator[tuple[Any, ...]]:
        """Rows of a SELECT for these passage ids, a bounded number of ids a statement."""
        for first in range(0, len(ids), SQL_VARIABLES):
            some = [int(i) for i in ids[first : first + SQL_VARIABLES]]
            yield from self.execute(f"{columns} WHERE passage_id IN ({','.join('?' * len(some))})", some).fetchall()

    def passage_ids(self) -> IdArray:
        """All passage ids, ascending."""
        rows = self.execute("SELECT passage_id FROM passages ORDER BY passage_id")
        return np.fromiter((i for (i,) in rows), np.int64)

    def vectors(
        self, dimension: int, *, after: int = 0, batch: int = 65_536
    ) -> Iterator[tuple[IdArray, npt.NDArray[np.float16]]]:
        """Ids [N] and vectors [N, dimension] of the passages with an id above ``after``, by id, in batches.

        Raises IndexCorruptError where a stored vector has another length."""
        while True:
            rows = self.execute(
                "SELECT passage_id, vector FROM embeddings WHERE passage_id > ? ORDER BY passage_id LIMIT ?",
                (after, batch),
            ).fetchall()
            if rows:
                after = rows[-1][0]
                yield np.fromiter((row[0] for row in rows), np.int64, len(rows)), self._stacked(rows, dimension)
            if len(rows) < batch:
                return

    def vectors_of(self, ids: Sequence[int], dimension: int) -> tuple[IdArray, npt.NDArray[np.float16]]:
        """Ids and vectors, as ``vectors`` gives them, of those of ``ids`` that are in the store, by id."""
        rows = sorted(self._select("SELECT passage_id, vector FROM embeddings", sorted({int(i) for i in ids})))
        return np.fromiter((row[0] for row in rows), np.int64, len(rows)), self._stacked(rows, dimension)

    def _stacked(self, rows: Sequence[tuple[Any, ...]], dimension: int) -> npt.NDArray[np.float16]:
        data = b"".join(row[1] for row in rows)
        if len(data) != 2 * dimension * len(rows):
            raise IndexCorruptError(
                f"{self.path} is damaged: stored vectors are not all of {dimension} half floats",
                hint=REBUILD,
            )
        return np.frombuffer(data, np.float16).reshape(len(rows), dimension)


# --- encoding ---


def document_hash(document: Document, *, titled: bool) -> bytes:
    """sha256 of text, pages, headings and metadata, and of the title where ``titled``.

    The title counts for a row of a file. That of a whole file may stem from its name, and copies of one text under
    two names are the same document.
    """
    shape = [document.title if titled else "", sorted(document.metadata.items()), document.page_starts]
    shape.append([(h.start, h.level, h.text) for h in document.headings])
    digest = hashlib.sha256(json.dumps(shape).encode("ascii"))
    digest.update(_encoded(document.text))
    return digest.digest()


def _byte_offsets(text: str, passages: Sequence[Passage]) -> list[tuple[int, int]]:
    """Convert char offsets of ``passages``, which are in order, to byte offsets in the stored text."""
    offsets, char, byte = [], 0, 0
    for passage in passages:
        byte += len(_encoded(text[char : passage.start]))
        end = byte + len(_encoded(text[passage.start : passage.end]))
        offsets.append((byte, end))
        char, byte = passage.end, end
    return offsets


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _decoded(data: bytes) -> str:
    return bytes(data).decode("utf-8", "surrogatepass")


def _storable(text: str) -> str:
    """Replace what SQLite text cannot hold: lone surrogates (undecodable bytes of a path) and zero chars."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", " ")
