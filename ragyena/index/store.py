"""The truth of an index: one SQLite file with sources, documents, passages, their vectors and their full text index.

    sources ──< origins >── documents ──< passages ── embeddings
                                                   └─ lexicon (FTS5)

A *source* is a file. A document is stored once however many sources hold it; each place is an *origin*. A document
without origins is deleted with all that hangs on it. Everything happens in transactions of whole documents: a process
that dies leaves each document in or out. Ids are never used again, so a vector file that lags behind the store is
told apart from it by ids alone.

Text is kept as UTF-8 bytes, not as SQLite text: offsets stay exact for any Python string (zero chars, lone
surrogates), and a passage is read without its document. Its columns and their meaning: ``indexes/README.md``.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ragyena.errors import IndexCorruptError, IndexFormatError
from ragyena.index.storage import connect, storage_errors
from ragyena.types import Document, Heading, Passage

__all__ = ["SCHEMA_VERSION", "Source", "Store", "StoreCounts", "document_hash"]

SCHEMA_VERSION = 1
SQL_VARIABLES = 500
"""The most ids named in one statement."""

IdArray = npt.NDArray[np.int64]

SCHEMA = """
CREATE TABLE sources (
    source_id    INTEGER PRIMARY KEY AUTOINCREMENT,
    path         TEXT    NOT NULL UNIQUE,
    content_hash BLOB    NOT NULL,
    size         INTEGER NOT NULL,
    complete     INTEGER NOT NULL
);
CREATE TABLE documents (
    document_id  INTEGER PRIMARY KEY AUTOINCREMENT,
    content_hash BLOB    NOT NULL UNIQUE,
    title        TEXT    NOT NULL,
    metadata     TEXT    NOT NULL,
    page_starts  TEXT    NOT NULL,
    headings     TEXT    NOT NULL,
    text         BLOB    NOT NULL
);
CREATE TABLE origins (
    origin_id    INTEGER PRIMARY KEY AUTOINCREMENT,
    source_id    INTEGER NOT NULL REFERENCES sources,
    document_id  INTEGER NOT NULL REFERENCES documents,
    origin       TEXT    NOT NULL
);
CREATE UNIQUE INDEX origins_by_source ON origins (source_id, origin);
CREATE INDEX origins_by_document ON origins (document_id, origin_id, origin);
CREATE TABLE passages (
    passage_id   INTEGER PRIMARY KEY AUTOINCREMENT,
    document_id  INTEGER NOT NULL REFERENCES documents,
    start        INTEGER NOT NULL,
    end          INTEGER NOT NULL,
    byte_start   INTEGER NOT NULL,
    byte_end     INTEGER NOT NULL,
    line_start   INTEGER NOT NULL,
    line_end     INTEGER NOT NULL,
    page         INTEGER,
    heading_path TEXT    NOT NULL
);
CREATE INDEX passages_by_document ON passages (document_id, start);
CREATE TABLE embeddings (
    passage_id   INTEGER PRIMARY KEY REFERENCES passages,
    vector       BLOB    NOT NULL
);
CREATE VIRTUAL TABLE lexicon USING fts5 (
    header, text, content = '', tokenize = 'porter unicode61 remove_diacritics 2'
);
"""


@dataclass(frozen=True, slots=True)
class Source:
    """A file in the index."""

    source_id: int
    path: str
    content_hash: bytes
    """sha256 of the file when it was read."""
    size: int
    complete: bool
    """False while documents of it are still missing: the next ``index add`` goes on there."""


@dataclass(frozen=True, slots=True)
class StoreCounts:
    sources: int
    incomplete: int
    documents: int
    passages: int


class Store:
    """One connection to a store. Not shared between threads that write; reading threads take turns."""

    def __init__(self, path: Path, *, writable: bool = False) -> None:
        """Raises IndexCorruptError, IndexFormatError (another schema version) and StorageError."""
        self.path = path
        with storage_errors(path):
            self._db = connect(path, writable=writable)
            try:
                (version,) = self._db.execute("PRAGMA user_version").fetchone()
                if version == 0 and writable and not self._db.execute("SELECT 1 FROM sqlite_master").fetchone():
                    self._db.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
                    version = SCHEMA_VERSION
            except BaseException:
                self._db.close()
                raise
        if version != SCHEMA_VERSION:
            self._db.close()
            raise IndexFormatError(
                f"{path} has schema version {version}, this ragyena reads version {SCHEMA_VERSION}",
                hint="build the index again with this version: ragyena index add PATH --rebuild",
            )

    def close(self) -> None:
        """Closes the connection; a writable one first moves its log into the main file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is written together or, whatever is raised, not at all."""
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
        """Everything read inside is of one state of the store."""
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
        """One statement, for the modules beside this one. Errors of SQLite come out as those of ragyena."""
        with storage_errors(self.path):
            return self._db.execute(statement, parameters)

    # -----------------------------------------------------------------------------------------------------------
    # Writing; each inside a transaction
    # -----------------------------------------------------------------------------------------------------------

    def put_source(self, path: str, content_hash: bytes, size: int, *, complete: bool) -> int:
        """Records a file, or what has become of one; returns its id."""
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
        """Stores a document of a source with its passages and their vectors [P, D]; False where the same content is
        there already, to which the source is then added as a further origin."""
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
        for passage, (byte_start, byte_end), half in zip(passages, offsets, halves, strict=True):
            cursor = self._db.execute(
                "INSERT INTO passages (document_id, start, end, byte_start, byte_end, line_start, line_end, page,"
                " heading_path) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    document_id,
                    passage.start,
                    passage.end,
                    byte_start,
                    byte_end,
                    passage.line_start,
                    passage.line_end,
                    passage.page,
                    json.dumps(passage.heading_path),
                ),
            )
            self._db.execute("INSERT INTO embeddings VALUES (?, ?)", (cursor.lastrowid, half.tobytes()))
            self._db.execute(
                "INSERT INTO lexicon (rowid, header, text) VALUES (?, ?, ?)",
                (cursor.lastrowid, _storable(passage.header), _storable(passage.text)),
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
        """Takes these origins from a source; returns the ids of their documents, for ``remove_orphans``."""
        detached: list[int] = []
        for origin in origins:
            rows = self._db.execute(
                "DELETE FROM origins WHERE source_id = ? AND origin = ? RETURNING document_id",
                (source_id, _storable(origin)),
            ).fetchall()
            detached += [document_id for (document_id,) in rows]
        return detached

    def remove_orphans(self, document_ids: Iterable[int]) -> int:
        """Deletes those of the documents that no source holds, and says how many."""
        removed = 0
        for document_id in dict.fromkeys(document_ids):
            if not self._db.execute("SELECT 1 FROM origins WHERE document_id = ?", (document_id,)).fetchone():
                self._remove_document(document_id)
                removed += 1
        return removed

    def remove_source(self, source_id: int) -> int:
        """Deletes a source and every document that no other source holds. Returns how many documents."""
        removed = self.remove_orphans(self.detach(source_id, list(self.origins(source_id))))
        self._db.execute("DELETE FROM sources WHERE source_id = ?", (source_id,))
        return removed

    def _remove_document(self, document_id: int) -> None:
        ids = [i for (i,) in self._db.execute("SELECT passage_id FROM passages WHERE document_id = ?", (document_id,))]
        for passage in self.passages(ids):
            # A full text index without content of its own must be told again what it is to forget.
            self._db.execute(
                "INSERT INTO lexicon (lexicon, rowid, header, text) VALUES ('delete', ?, ?, ?)",
                (passage.passage_id, _storable(passage.header), _storable(passage.text)),
            )
        self._db.executemany("DELETE FROM embeddings WHERE passage_id = ?", [(i,) for i in ids])
        self._db.execute("DELETE FROM passages WHERE document_id = ?", (document_id,))
        self._db.execute("DELETE FROM documents WHERE document_id = ?", (document_id,))

    # -----------------------------------------------------------------------------------------------------------
    # Reading
    # -----------------------------------------------------------------------------------------------------------

    def counts(self) -> StoreCounts:
        row = self.execute(
            "SELECT (SELECT count(*) FROM sources), (SELECT count(*) FROM sources WHERE NOT complete),"
            " (SELECT count(*) FROM documents), (SELECT count(*) FROM passages)"
        ).fetchone()
        return StoreCounts(*row)

    def sources(self) -> list[Source]:
        """All sources, by path."""
        rows = self.execute("SELECT source_id, path, content_hash, size, complete FROM sources ORDER BY path")
        return [Source(i, path, bytes(digest), size, bool(complete)) for i, path, digest, size, complete in rows]

    def source(self, path: str) -> Source | None:
        row = self.execute(
            "SELECT source_id, path, content_hash, size, complete FROM sources WHERE path = ?", (_storable(path),)
        ).fetchone()
        return Source(row[0], row[1], bytes(row[2]), row[3], bool(row[4])) if row else None

    def origins(self, source_id: int) -> dict[str, bytes]:
        """The content hash of each document of a source, by origin."""
        rows = self.execute(
            "SELECT origin, content_hash FROM origins JOIN documents USING (document_id) WHERE source_id = ?",
            (source_id,),
        )
        return {origin: bytes(digest) for origin, digest in rows}

    def document_id(self, content_hash: bytes) -> int | None:
        row = self.execute("SELECT document_id FROM documents WHERE content_hash = ?", (content_hash,)).fetchone()
        return int(row[0]) if row else None

    def document(self, document_id: int) -> Document:
        """A document as it was stored. Raises IndexCorruptError where there is none of this id."""
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
        found: dict[int, Passage] = {}
        for first in range(0, len(ids), SQL_VARIABLES):
            some = [int(i) for i in ids[first : first + SQL_VARIABLES]]
            rows = self.execute(
                "SELECT p.passage_id, p.document_id, p.start, p.end, p.line_start, p.line_end, p.page, p.heading_path,"
                " substr(d.text, p.byte_start + 1, p.byte_end - p.byte_start), d.title, d.metadata,"
                " (SELECT origin FROM origins o WHERE o.document_id = p.document_id ORDER BY origin_id LIMIT 1)"
                f" FROM passages p JOIN documents d USING (document_id) WHERE passage_id IN ({_marks(some)})",
                some,
            )
            for (
                passage_id,
                document_id,
                start,
                end,
                line_start,
                line_end,
                page,
                path,
                text,
                title,
                meta,
                origin,
            ) in rows:
                found[passage_id] = Passage(
                    text=_decoded(text),
                    start=start,
                    end=end,
                    line_start=line_start,
                    line_end=line_end,
                    page=page,
                    title=json.loads(title),
                    heading_path=tuple(json.loads(path)),
                    source=origin or "",
                    passage_id=passage_id,
                    document_id=document_id,
                    metadata=json.loads(meta),
                )
        return [found[int(i)] for i in ids if int(i) in found]

    def neighbours(self, passage_id: int, distance: int) -> list[int]:
        """Ids of the ``distance`` passages before and after one in its document, nearest first, the earlier of two
        equally near ones first."""
        row = self.execute("SELECT document_id, start FROM passages WHERE passage_id = ?", (passage_id,)).fetchone()
        if row is None:
            return []
        before, after = (
            [
                i
                for (i,) in self.execute(
                    f"SELECT passage_id FROM passages WHERE document_id = ? AND {rest} LIMIT ?", (*row, distance)
                )
            ]
            for rest in ("start < ? ORDER BY start DESC", "start > ? ORDER BY start")
        )
        return [i for pair in _interleaved(before, after) for i in pair]

    def existing(self, ids: Sequence[int]) -> set[int]:
        """Those of ``ids`` that are passages now."""
        found: set[int] = set()
        for first in range(0, len(ids), SQL_VARIABLES):
            some = list(ids[first : first + SQL_VARIABLES])
            rows = self.execute(f"SELECT passage_id FROM passages WHERE passage_id IN ({_marks(some)})", some)
            found.update(i for (i,) in rows)
        return found

    def passage_ids(self) -> IdArray:
        """All passage ids, ascending."""
        return np.fromiter(
            (i for (i,) in self.execute("SELECT passage_id FROM passages ORDER BY passage_id")), np.int64
        )

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
        """As ``vectors``, of the passages of these ids that there are, by id."""
        rows: list[tuple[int, bytes]] = []
        wanted = sorted({int(i) for i in ids})
        for first in range(0, len(wanted), SQL_VARIABLES):
            some = wanted[first : first + SQL_VARIABLES]
            statement = "SELECT passage_id, vector FROM embeddings WHERE passage_id IN (%s) ORDER BY passage_id"
            rows += self.execute(statement % _marks(some), some).fetchall()
        return np.fromiter((row[0] for row in rows), np.int64, len(rows)), self._stacked(rows, dimension)

    def _stacked(self, rows: Sequence[tuple[int, bytes]], dimension: int) -> npt.NDArray[np.float16]:
        data = b"".join(row[1] for row in rows)
        if len(data) != 2 * dimension * len(rows):
            raise IndexCorruptError(
                f"{self.path} is damaged: stored vectors are not all of {dimension} half floats",
                hint="build the index again from the documents: ragyena index add PATH --rebuild",
            )
        return np.frombuffer(data, np.float16).reshape(len(rows), dimension)

    def matching(self, filters: Mapping[str, str]) -> tuple[str, list[str]]:
        """A condition on ``document_id`` in SQL, with its parameters, that keeps the documents ``filters`` name.

        ``source`` is matched against each path the document came from (or the end of one), ``title`` against its
        title, any other key against the metadata field of that name. ``*``, ``?`` and ``[...]`` are wildcards.
        """
        conditions, parameters = [], []
        for key, value in filters.items():
            pattern = value if any(c in value for c in "*?[") else value.replace("[", "[[]")
            if key == "source":
                conditions.append(
                    "document_id IN (SELECT document_id FROM origins WHERE origin GLOB ? OR origin GLOB ?"
                    " OR origin GLOB ? OR origin GLOB ?)"
                )
                parameters += [pattern, f"*/{pattern}", f"{pattern}#*", f"*/{pattern}#*"]
            elif key == "title":
                conditions.append(
                    "document_id IN (SELECT document_id FROM documents WHERE json_extract(title,'$') GLOB ?)"
                )
                parameters.append(pattern)
            else:
                conditions.append(
                    "document_id IN (SELECT d.document_id FROM documents d, json_each(d.metadata) m"
                    " WHERE m.key = ? AND m.value GLOB ?)"
                )
                parameters += [key, pattern]
        return " AND ".join(conditions) or "1", parameters

    def matching_passages(self, filters: Mapping[str, str]) -> IdArray:
        """Ids of the passages of the documents that ``filters`` name, ascending."""
        condition, parameters = self.matching(filters)
        rows = self.execute(f"SELECT passage_id FROM passages WHERE {condition} ORDER BY passage_id", parameters)
        return np.fromiter((i for (i,) in rows), np.int64)


# ---------------------------------------------------------------------------------------------------------------
# Details
# ---------------------------------------------------------------------------------------------------------------


def document_hash(document: Document, path: str) -> bytes:
    """sha256 of what makes a document the one it is. The title counts where the document is a row of the file at
    ``path``; that of a whole file may stem from its name, and copies of one text are to be told as such."""
    title = document.title if document.source != path else ""
    shape = [title, sorted(document.metadata.items()), document.page_starts]
    shape.append([(h.start, h.level, h.text) for h in document.headings])
    digest = hashlib.sha256(json.dumps(shape).encode("ascii"))
    digest.update(_encoded(document.text))
    return digest.digest()


def _byte_offsets(text: str, passages: Sequence[Passage]) -> list[tuple[int, int]]:
    """Char offsets of ``passages``, which are in order, as byte offsets in the stored text."""
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
    """``text`` as SQLite can hold it: without lone surrogates (undecodable bytes of a path) and zero chars."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", " ")


def _interleaved(before: Sequence[int], after: Sequence[int]) -> Iterator[Sequence[int]]:
    for i in range(max(len(before), len(after))):
        yield [*before[i : i + 1], *after[i : i + 1]]


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))
