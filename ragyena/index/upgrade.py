"""From format 1 of an index to format 2, in place; nothing is embedded again.

The store changes in one transaction, the manifest after it: a process that dies leaves the store of one format or of
the other, and upgrading again finishes. Then the tokens of passages are kept for packing, where they are not yet, some
thousand passages a transaction. What format 1 did not keep (block kinds, table headers, page labels) stays
empty until the files are read again.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import IndexFormatError
from ragyena.index.encoding import storable
from ragyena.index.manifest import FORMAT_VERSION, Manifest, format_of
from ragyena.index.packing_fill import fill_packing
from ragyena.index.schema import SCHEMA, Schema, created
from ragyena.index.storage import writer_lock
from ragyena.index.store import STORE_NAME, Store, StoreCounts, has_characters
from ragyena.types import Progress, Silent

__all__ = ["SCHEMA_1", "UpgradeReport", "upgrade"]

SCHEMA_1 = Schema(
    1,
    """
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
""",
)
"""The tables of format 1."""

ADDED_COLUMNS = (
    "sources ADD COLUMN modified INTEGER",
    "sources ADD COLUMN seen INTEGER",
    "sources ADD COLUMN missing_since INTEGER",
    "sources ADD COLUMN skipped TEXT NOT NULL DEFAULT '[]'",
    "documents ADD COLUMN page_labels TEXT NOT NULL DEFAULT '[]'",
    "documents ADD COLUMN blocks TEXT NOT NULL DEFAULT '[]'",
    "passages ADD COLUMN kind TEXT NOT NULL DEFAULT 'prose'",
    "passages ADD COLUMN table_header TEXT NOT NULL DEFAULT '[]'",
    "passages ADD COLUMN page_label TEXT",
)
ADDED_TABLES = ("characters", "tokenizers", "packing")


@dataclass(frozen=True, slots=True)
class UpgradeReport:
    """The result of an upgrade."""

    index: Path
    from_version: int
    to_version: int
    """Equal to ``from_version`` where the index was of the present format already."""
    counts: StoreCounts
    unspaced: int
    """Passages whose text without spaces can be searched now."""
    packing: int
    """Passages whose tokens are kept for packing now."""


def upgrade(folder: Path, *, tokenizer: Tokenizer | None = None, progress: Progress | None = None) -> UpgradeReport:
    """Bring an index of an older format to the present one. Killed at any moment, it can be run again.

    ``tokenizer`` is the reader's; tokens are kept for packing where the passages were cut by it.

    Raises IndexNotFoundError, IndexFormatError (a later format), IndexCorruptError, IndexLockedError and StorageError;
    the index then is what it was.
    """
    path = folder / STORE_NAME
    format_of(folder)  # no lock is taken in a folder that is no index
    with writer_lock(folder):
        version = format_of(folder)
        if version not in (1, FORMAT_VERSION):
            Manifest.read(folder)  # says what is wrong with it
        manifest = Manifest.upgraded(folder)
        unspaced = 0
        if version == 1:
            try:
                with closing(Store(path, writable=True, schema=SCHEMA_1)) as store:
                    unspaced = _upgrade_store(store, progress or Silent())
            except IndexFormatError:
                pass  # an upgrade that was killed had finished with the store
        with closing(Store(path, writable=True)) as store:
            counts = store.counts()
            if version == 1:
                manifest.write(folder)
            fits = tokenizer is not None and tokenizer.fingerprint == manifest.tokenizer_fingerprint
            packing = fill_packing(store, tokenizer, progress or Silent()) if tokenizer is not None and fits else 0
    return UpgradeReport(folder, version, FORMAT_VERSION, counts, unspaced, packing)


def _upgrade_store(store: Store, progress: Progress) -> int:
    """Add columns and tables, and move text without spaces to a full text index of its own; returns of how many
    passages."""
    moved = 0
    with store.transaction():
        for column in ADDED_COLUMNS:
            store.execute(f"ALTER TABLE {column}")
        for table in ADDED_TABLES:
            store.execute(created(table))
        documents = store.rows("SELECT document_id FROM documents", types=(int,))
        progress.start("upgrading", len(documents), "documents")
        for (document_id,) in documents:
            for passage in filter(has_characters, store.passages_of(document_id)):
                # As format 1 wrote it: a contentless FTS5 table needs the indexed text again to delete it.
                store.execute(
                    "INSERT INTO lexicon (lexicon, rowid, header, text) VALUES ('delete', ?, ?, ?)",
                    (passage.passage_id, storable(passage.header), storable(passage.text)),
                )
                store.write_words(passage)
                moved += 1
            progress.advance(1)
        store.execute(f"PRAGMA user_version = {SCHEMA.version}")
    return moved
