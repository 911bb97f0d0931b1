"""Tables of ``store.sqlite``. Frozen: a change is a new version; ``indexes/README.md`` explains every column.

sources ──< origins >── documents ──< passages ── embeddings
                                               └─ lexicon (FTS5)
"""

from __future__ import annotations

__all__ = ["SCHEMA", "SCHEMA_VERSION"]

SCHEMA_VERSION = 1

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
