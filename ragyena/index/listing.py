"""The files of an index by path, some at a time, and the places a document was read from."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ragyena.index.encoding import SOURCE_COLUMNS, Source, read_source, storable
from ragyena.index.store import Store
from ragyena.types import Skipped

__all__ = ["IndexedFile", "Origin", "Page", "list_files", "origins"]


@dataclass(frozen=True, slots=True)
class IndexedFile:
    """A file in an index, or a document given in Python."""

    source_id: int
    path: str
    size: int
    """Bytes of the file when it was read."""
    documents: int
    document_id: int | None
    """Its first document; None where nothing of it was read."""
    title: str
    """The title of that document."""
    complete: bool
    missing: bool
    """True where the file was gone when the index last looked."""
    seen: float | None
    """Time at which it was last read, in seconds since 1970."""
    skipped: tuple[Skipped, ...]
    """Parts of it that were not read."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the files of an index, and the number of all."""

    files: tuple[IndexedFile, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Origin:
    """A place that a document was read from."""

    source: str
    """The path of a file, followed by ``#row`` for a row of a table-like one; or the name of a document given in
    Python."""
    path: str
    """The path alone."""


def list_files(store: Store, *, containing: str, offset: int, limit: int) -> Page:
    """Files by path, those with ``containing`` in it, whatever its case. Raises IndexCorruptError."""
    escaped = storable(containing).replace("!", "!!").replace("%", "!%").replace("_", "!_")
    like = (f"%{escaped}%",)
    with store.snapshot():
        (total,) = store.row("SELECT count(*) FROM sources WHERE path LIKE ? ESCAPE '!'", like, types=(int,))
        rows = store.rows(
            "SELECT s.source_id, s.path, s.content_hash, s.size, s.complete, s.modified, s.seen, s.missing_since,"
            " s.skipped, count(o.document_id), (SELECT document_id FROM origins f WHERE f.source_id = s.source_id"
            " ORDER BY f.origin_id LIMIT 1) AS first_id"
            " FROM (SELECT * FROM sources WHERE path LIKE ? ESCAPE '!' ORDER BY path LIMIT ? OFFSET ?) s"
            " LEFT JOIN origins o USING (source_id) GROUP BY s.source_id ORDER BY s.path",
            (*like, limit, offset),
            types=(*SOURCE_COLUMNS, int, int | None),
        )
        held: list[Source] = store.decoded(lambda row: read_source(row[:9]), rows)
        titles = {row[10]: _title(store, row[10]) for row in rows if row[10] is not None}
    files = tuple(
        IndexedFile(
            source_id=source.source_id,
            path=source.path,
            size=source.size,
            documents=row[9],
            document_id=row[10],
            title=titles.get(row[10], ""),
            complete=source.complete,
            missing=source.missing_since is not None,
            seen=None if row[6] is None else row[6] / 1e9,
            skipped=source.skipped,
        )
        for source, row in zip(held, rows, strict=True)
    )
    return Page(files, total)


def origins(store: Store, document_id: int) -> list[Origin]:
    """The places a document was read from, the first one first. Raises IndexCorruptError."""
    rows = store.rows(
        "SELECT o.origin, s.path FROM origins o JOIN sources s USING (source_id) WHERE document_id = ?"
        " ORDER BY origin_id",
        (document_id,),
        types=(str, str),
    )
    return [Origin(source, path) for source, path in rows]


def _title(store: Store, document_id: int) -> str:
    rows = store.rows("SELECT title FROM documents WHERE document_id = ?", (document_id,), types=(str,))
    (title,) = store.decoded(lambda row: str(json.loads(row[0])), rows) or [""]
    return title
