"""Counts and files of an index; the check of every file, row, offset and vector; repair of what is derived."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import IndexCorruptError, IndexLockedError, StorageError
from ragyena.index.encoding import document_hash
from ragyena.index.manifest import Manifest
from ragyena.index.packing_fill import fill_packing, remove_packing, wrong_packing
from ragyena.index.rebuild import restore_replaced
from ragyena.index.store import STORE_NAME, WORD_TABLES, Store, StoreCounts, has_characters
from ragyena.index.vectors import VectorIndex
from ragyena.index.writer import Writer
from ragyena.types import Progress, Silent, Skipped

__all__ = ["IndexStatus", "SourceStatus", "VerifyReport", "status", "verify"]

SHOWN = 5
"""Problems of one kind that are named one by one."""
WORDS_SECONDS = 60.0
WORDS_BYTES = 1_000_000
"""The check of a full text index may take so many seconds, and one more for so many bytes of its store."""
WORDS_BUSY = 5
WORDS_CHECK = f"""
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
db.execute("PRAGMA trusted_schema = OFF")
try:
    db.execute(f"INSERT INTO {{sys.argv[2]}} ({{sys.argv[2]}}) VALUES ('integrity-check')")
    db.execute(f"CREATE VIRTUAL TABLE temp.words USING fts5vocab(main, {{sys.argv[2]}}, row)")
    db.execute("BEGIN")
    held = db.execute("SELECT coalesce(sum(cnt), 0) FROM words").fetchone()[0]
    said = 0  # the sizes are varints: the low seven bits of each byte, the eighth where another follows
    for (sizes,) in db.execute(f"SELECT sz FROM {{sys.argv[2]}}_docsize"):
        size = 0
        for byte in sizes:
            size = size << 7 | byte & 127
            if byte < 128:
                said, size = said + size, 0
    sys.exit(held != said)
except sqlite3.Error as error:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    sys.exit({WORDS_BUSY} if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY) else 1)
"""
UNIT_TOLERANCE = 0.01
"""Largest distance of a stored vector's length from 1."""


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """A file in an index, or a document given in Python."""

    path: str
    size: int
    """Bytes of the file when it was read."""
    documents: int
    complete: bool
    missing: bool
    """True where the file was gone when the index last looked."""
    skipped: tuple[Skipped, ...]
    """Parts of it that were not read; of an incomplete file also the reason why it ended, where it was not a process
    that died."""


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """Counts and files of an index, and the settings it was made with."""

    index: Path
    manifest: Manifest
    counts: StoreCounts
    pending: int
    """Passages that are not in the vector file yet; searches find them all the same."""
    size: int
    """Bytes on the disk."""
    sources: tuple[SourceStatus, ...]

    @property
    def documents(self) -> int:
        return self.counts.documents

    @property
    def passages(self) -> int:
        return self.counts.passages


def status(folder: Path, store: Store) -> IndexStatus:
    """Read counts and files of the index at ``folder``. Raises the IndexProblems of a damaged one."""
    manifest = Manifest.read(folder)
    with store.snapshot():
        documents = dict(
            store.rows("SELECT source_id, count(*) FROM origins GROUP BY source_id", types=(int, int)),
        )
        held = store.sources()
        last_id = manifest.vectors.last_id if manifest.vectors else 0
        (pending,) = store.row("SELECT count(*) FROM passages WHERE passage_id > ?", (last_id,), types=(int,))
        counts = store.counts()
    size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    sources = tuple(
        SourceStatus(
            source.path,
            source.size,
            documents.get(source.source_id, 0),
            source.complete,
            missing=source.missing_since is not None,
            skipped=source.skipped,
        )
        for source in held
    )
    return IndexStatus(folder, manifest, counts, pending, size, sources)


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """The result of a check."""

    index: Path
    counts: StoreCounts | None
    """None where the store could not be read."""
    problems: tuple[str, ...]
    """Problems there are now, after any repair."""
    repaired: tuple[str, ...]
    """Problems there were, now repaired."""

    @property
    def sound(self) -> bool:
        return not self.problems


def verify(
    folder: Path, *, repair: bool = False, tokenizer: Tokenizer | None = None, progress: Progress | None = None
) -> VerifyReport:
    """Check every file, row, offset and vector of the index at ``folder``, which may be too damaged to open.

    ``repair`` builds the full text indexes, the tokens kept for packing and the vector file again where nothing else is
    wrong. ``tokenizer`` is the reader's: tokens are compared with, and made by, it, where the passages were cut by it.
    Raises IndexNotFoundError and IndexFormatError; any other damage is in the report.
    """
    progress = progress or Silent()
    restore_replaced(folder)
    found = _check(folder, tokenizer, progress)
    if not repair or found.lasting or not (found.words or found.packing or found.vectors):
        return VerifyReport(folder, found.counts, found.problems, ())
    try:
        with Writer(folder) as writer:
            if found.words:
                with writer.store.transaction():
                    writer.store.rebuild_words()
            if found.packing:
                with writer.store.transaction():
                    remove_packing(writer.store, found.packing_rows)
                if tokenizer is not None and tokenizer.fingerprint == writer.manifest.tokenizer_fingerprint:
                    fill_packing(writer.store, tokenizer, progress)
            writer.refresh(force=bool(found.vectors))
    except IndexCorruptError as error:
        return VerifyReport(folder, found.counts, (*found.problems, f"the repair failed: {error.message}"), ())
    left = _check(folder, tokenizer, progress)
    return VerifyReport(folder, left.counts, left.problems, found.problems)


@dataclass(frozen=True, slots=True)
class _Found:
    """The result of a check: counts of the store, if it can be read, and problems."""

    counts: StoreCounts | None
    lasting: tuple[str, ...]
    """Problems of what the store alone holds."""
    words: tuple[str, ...] = ()
    """Problems of the full text indexes, which are derived from the passages."""
    packing: tuple[str, ...] = ()
    """Problems of what is kept for packing, which is derived from the passages."""
    packing_rows: tuple[int, ...] = ()
    """Ids of the passages whose rows of that are wrong."""
    vectors: tuple[str, ...] = ()
    """Problems of the vector file, which is derived from the store."""

    @property
    def problems(self) -> tuple[str, ...]:
        return (*self.lasting, *self.words, *self.packing, *self.vectors)


def _check(folder: Path, tokenizer: Tokenizer | None, progress: Progress) -> _Found:
    try:
        manifest = Manifest.read(folder)
    except IndexCorruptError as error:
        return _Found(None, (error.message,))
    path = folder / STORE_NAME
    words = _words_problems(path)  # before a snapshot is held, which a writable connection may wait for
    try:
        with closing(Store(path)) as store, store.snapshot():
            problems = _sqlite_problems(store)
            if problems:
                return _Found(None, tuple(problems))
            counts = store.counts()
            progress.start("checking documents", counts.documents, "documents")
            document_problems, unspaced_problems = _document_problems(store, progress)
            problems = _row_problems(store) + document_problems
            words += _lexicon_problems(store, path) + unspaced_problems
            packing, packing_rows = ([], []) if problems else _packing_problems(store, manifest, tokenizer, progress)
            progress.start("checking vectors", counts.passages, "passages")
            problems += _embedding_problems(store, manifest.dimension)
            vectors = [] if problems else _vector_problems(folder, manifest, store)
            progress.advance(counts.passages)
    except (IndexCorruptError, StorageError) as error:
        return _Found(None, (error.message,))
    return _Found(counts, tuple(problems), tuple(words), tuple(packing), tuple(packing_rows), tuple(vectors))


def _sqlite_problems(store: Store) -> list[str]:
    rows = store.rows("PRAGMA integrity_check(5)", types=(str,))
    problems = [f"{store.path}: {line}" for (line,) in rows if line != "ok"]
    broken = store.rows("PRAGMA foreign_key_check", types=(str, int | None, str, int))
    broken = [row for row in broken if row[0] != "packing"]  # which has a check, and a repair, of its own
    return problems + [f"{store.path}: row {row[1]} of {row[0]} lacks its {row[2]}" for row in broken[:SHOWN]]


def _words_problems(path: Path) -> list[str]:
    """Faults that FTS5 finds in the full text indexes, and words of passages that these lack: FTS5 does not know.

    Its check needs a writable connection, and has a process of its own: in some versions of SQLite a damaged index
    ends the process that checks it.
    """
    try:
        Store(path, writable=True).close()
    except (IndexCorruptError, StorageError, IndexLockedError):
        return []  # damaged, on a read-only disk or being written: the other checks say so, or stand
    problems = []
    for table in WORD_TABLES:
        seconds = WORDS_SECONDS + path.stat().st_size / WORDS_BYTES
        command = [sys.executable, "-I", "-c", WORDS_CHECK, str(path), table]
        try:
            ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            problems.append(f"{path}: the check of the full text index {table} does not end")
            continue
        if ended.returncode not in (0, WORDS_BUSY):
            problems.append(f"{path}: the full text index {table} is damaged")
    return problems


def _lexicon_problems(store: Store, path: Path) -> list[str]:
    """Passages that the full text indexes lack, and those that they alone have."""
    problems = []
    lost = store.row(
        "SELECT (SELECT count(*) FROM passages WHERE passage_id NOT IN (SELECT id FROM lexicon_docsize)),"
        " (SELECT count(*) FROM lexicon_docsize WHERE id NOT IN (SELECT passage_id FROM passages)),"
        " (SELECT count(*) FROM characters_docsize WHERE id NOT IN (SELECT passage_id FROM passages))",
        types=(int, int, int),
    )
    if lost != (0, 0, 0):
        problems.append(
            f"{path}: the full text index lacks {lost[0]} passages and has {lost[1] + lost[2]} that are not there"
        )
    return problems


def _row_problems(store: Store) -> list[str]:
    checks = {
        "documents stand in no file": "SELECT document_id FROM documents WHERE document_id NOT IN"
        " (SELECT document_id FROM origins)",
        "passages have no vector": "SELECT passage_id FROM passages WHERE passage_id NOT IN"
        " (SELECT passage_id FROM embeddings)",
        "vectors have no passage": "SELECT passage_id FROM embeddings WHERE passage_id NOT IN"
        " (SELECT passage_id FROM passages)",
        "documents have no passage": "SELECT document_id FROM documents WHERE document_id NOT IN"
        " (SELECT document_id FROM passages)",
    }
    problems = []
    for name, statement in checks.items():
        ids = [str(i) for (i,) in store.rows(statement, types=(int,))]
        if ids:
            problems.append(f"{store.path}: {len(ids)} {name}: {', '.join(ids[:SHOWN])}")
    return problems


def _document_problems(store: Store, progress: Progress) -> tuple[list[str], list[str]]:
    """Documents whose content has another hash and passages that are not at their offsets; passages that should be in
    the full text index ``characters`` and are not, or the reverse."""
    problems, unspaced = [], []
    rows = store.rows("SELECT document_id, content_hash FROM documents ORDER BY document_id", types=(int, bytes))
    held = {i for (i,) in store.rows("SELECT id FROM characters_docsize", types=(int,))}
    for document_id, content_hash in rows:
        try:
            document = store.document(document_id)
            passages = store.passages_of(document_id)
        except IndexCorruptError as error:
            problems.append(f"document {document_id} cannot be read: {error.message}")
            continue
        # The title may or may not count, by the source that came first, which may be gone.
        if not any(content_hash == document_hash(document, titled=titled) for titled in (False, True)):
            problems.append(f"{store.path}: document {document_id} ({document.source}) is not what was stored")
        wrong = [p.passage_id for p in passages if document.text[p.start : p.end] != p.text]
        if wrong:
            problems.append(f"{store.path}: passages of {document.source} are not where they say: {wrong[:SHOWN]}")
        if lost := [p.passage_id for p in passages if has_characters(p) != (p.passage_id in held)]:
            unspaced.append(f"{store.path}: the full text index lacks text without spaces of passages {lost[:SHOWN]}")
        progress.advance(1)
    return problems, unspaced


def _packing_problems(
    store: Store, manifest: Manifest, tokenizer: Tokenizer | None, progress: Progress
) -> tuple[list[str], list[int]]:
    """Rows kept for packing that are not those of their passages; passages may have none."""
    fits = tokenizer is not None and tokenizer.fingerprint == manifest.tokenizer_fingerprint
    progress.start("checking tokens", store.counts().documents, "documents")
    wrong = wrong_packing(store, manifest.tokenizer_fingerprint, tokenizer if fits else None, progress)
    if not wrong:
        return [], []
    return [f"{store.path}: {len(wrong)} rows for packing are not those of their passages: {wrong[:SHOWN]}"], wrong


def _embedding_problems(store: Store, dimension: int) -> list[str]:
    wrong: list[int] = []
    try:
        for ids, vectors in store.vectors(dimension):
            lengths = np.linalg.norm(vectors.astype(np.float32), axis=1)
            wrong += ids[~(np.abs(lengths - 1.0) < UNIT_TOLERANCE)].tolist()
    except IndexCorruptError as error:
        return [error.message]
    return [f"{store.path}: {len(wrong)} vectors are not of unit length: {wrong[:SHOWN]}"] if wrong else []


def _vector_problems(folder: Path, manifest: Manifest, store: Store) -> list[str]:
    if manifest.vectors is None:
        return []
    path = folder / manifest.vectors.name
    try:
        vectors = VectorIndex.open(folder, manifest.vectors, manifest.dimension)
    except FileNotFoundError:
        return [f"{path} is missing"]
    except IndexCorruptError as error:
        return [error.message]
    ids = vectors.ids()
    problems = []
    missing = np.setdiff1d(store.passage_ids(), ids)
    missing = missing[missing <= manifest.vectors.last_id]
    if len(missing):
        problems.append(f"{path} lacks {len(missing)} passages: {missing[:SHOWN].tolist()}")
    if vectors.exact:
        held = vectors.stored()
        order = np.argsort(ids)
        for batch_ids, batch in store.vectors(manifest.dimension):
            there = np.isin(batch_ids, ids)
            rows = order[np.searchsorted(ids[order], batch_ids[there])]
            differ = ~np.all(held[rows] == batch[there].astype(np.float32), axis=1)
            if differ.any():
                problems.append(f"{path}: {int(differ.sum())} vectors are not those of the store")
    return problems
