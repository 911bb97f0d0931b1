"""Tables of ``store.sqlite``. Frozen: a change is a new version; ``indexes/README.md`` explains every column.

sources ──< origins >── documents ──< passages ── embeddings
                                               ├─ lexicon, characters (FTS5)
                                               └─ packing >── tokenizers

New columns of a version stand last in their table, with a default, so that ``ALTER TABLE`` makes the same text.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

__all__ = ["SCHEMA", "Schema", "created", "schema_problem"]


class Schema(NamedTuple):
    """A version of the tables, which is the ``user_version`` of a store, and the SQL that makes them."""

    version: int
    sql: str


SCHEMA = Schema(
    2,
    """
CREATE TABLE sources (
    source_id     INTEGER PRIMARY KEY AUTOINCREMENT,
    path          TEXT    NOT NULL UNIQUE,
    content_hash  BLOB    NOT NULL,
    size          INTEGER NOT NULL,
    complete      INTEGER NOT NULL,
    modified      INTEGER,
    seen          INTEGER,
    missing_since INTEGER,
    skipped       TEXT    NOT NULL DEFAULT '[]'
);
CREATE TABLE documents (
    document_id  INTEGER PRIMARY KEY AUTOINCREMENT,
    content_hash BLOB    NOT NULL UNIQUE,
    title        TEXT    NOT NULL,
    metadata     TEXT    NOT NULL,
    page_starts  TEXT    NOT NULL,
    headings     TEXT    NOT NULL,
    text         BLOB    NOT NULL,
    page_labels  TEXT    NOT NULL DEFAULT '[]',
    blocks       TEXT    NOT NULL DEFAULT '[]'
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
    heading_path TEXT    NOT NULL,
    kind         TEXT    NOT NULL DEFAULT 'prose',
    table_header TEXT    NOT NULL DEFAULT '[]',
    page_label   TEXT
);
CREATE INDEX passages_by_document ON passages (document_id, start);
CREATE TABLE embeddings (
    passage_id   INTEGER PRIMARY KEY REFERENCES passages,
    vector       BLOB    NOT NULL
);
CREATE VIRTUAL TABLE lexicon USING fts5 (
    header, text, content = '', tokenize = 'porter unicode61 remove_diacritics 2'
);
CREATE VIRTUAL TABLE characters USING fts5 (
    header, text, content = '', tokenize = 'ascii'
);
CREATE TABLE tokenizers (
    tokenizer_id INTEGER PRIMARY KEY,
    fingerprint  TEXT    NOT NULL UNIQUE
);
CREATE TABLE packing (
    passage_id   INTEGER PRIMARY KEY REFERENCES passages,
    tokenizer_id INTEGER NOT NULL REFERENCES tokenizers,
    token_ids    BLOB,
    offsets      BLOB,
    header_ids   BLOB,
    signature    BLOB
);
""",
)

Objects = dict[str, tuple[str, str, str]]
"""Name -> type, table and SQL of an object of a database."""

_SHADOWS = {
    "data": "id INTEGER PRIMARY KEY, block BLOB",
    "idx": "segid, term, pgno, PRIMARY KEY(segid, term)) WITHOUT ROWID",
    "docsize": "id INTEGER PRIMARY KEY, sz BLOB",
    "config": "k PRIMARY KEY, v) WITHOUT ROWID",
}
"""The tables in which FTS5 keeps an index, as SQLite makes them today: a later SQLite may make others."""


def created(name: str) -> str:
    """The statement that creates a table or index of ``SCHEMA``."""
    return next(part for part in SCHEMA.sql.split(";") if re.search(rf"(?:TABLE|INDEX) {name}\b", part))


def schema_problem(db: sqlite3.Connection, schema: Schema) -> str | None:
    """The first difference between the objects of a store and those of ``schema``; None where there is none.

    A store is read only when this finds nothing: no view, trigger or table with other columns gets to answer a query.
    """
    held = _objects(db.execute("SELECT name, type, tbl_name, sql FROM sqlite_master"))
    wanted = _wanted(schema.sql)
    for name in sorted(held.keys() | wanted.keys(), key=str):
        if name not in wanted:
            return f"it holds something that is no part of an index: {name!r:.80}"
        if name not in held:
            return f"{name} is missing"
        if held[name] != wanted[name] and held[name] != _shadow(name, wanted[name]):
            return f"{name} is not what it should be"
    return None


@cache
def _wanted(sql: str) -> Objects:
    db = sqlite3.connect(":memory:")
    try:
        db.executescript(sql)
        return _objects(db.execute("SELECT name, type, tbl_name, sql FROM sqlite_master"))
    finally:
        db.close()


def _objects(rows: Iterable[tuple[str, str, str, str | None]]) -> Objects:
    return {name: (kind, table, _plain(sql)) for name, kind, table, sql in rows}


def _shadow(name: str, wanted: tuple[str, str, str]) -> tuple[str, str, str]:
    """Type, table and SQL of ``name``: by ``_SHADOWS`` for a part of a full text index, else ``wanted``."""
    table, _, part = name.rpartition("_")
    if table not in ("lexicon", "characters") or part not in _SHADOWS:
        return wanted
    sql = f"CREATE TABLE '{name}'({_SHADOWS[part]}" + ("" if "WITHOUT" in _SHADOWS[part] else ")")
    return wanted[0], wanted[1], _plain(sql)


def _plain(sql: object) -> str:
    """``sql`` in one spelling of white space."""
    return re.sub(r"\s*([(),=])\s*", r"\1", " ".join(str(sql or "").split()))
