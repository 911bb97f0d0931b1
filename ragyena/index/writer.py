"""Writing to an index on the disk: the lock, the writable store, and the vector file that is derived from it.

Many may read an index, one may write. A reader that has it open goes on meanwhile: it keeps its vector file and reads a
consistent state of the store.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import (
    IndexCorruptError,
    IndexFormatError,
    RagyenaError,
    UsageError,
)
from ragyena.index.embedder import Embedder
from ragyena.index.manifest import MANIFEST_NAME, Manifest, is_index
from ragyena.index.naming import matching_origins
from ragyena.index.storage import LOCK_NAME, OWNER_NAME, REBUILD, connect, flush_folder, storage_errors, writer_lock
from ragyena.index.store import STORE_NAME, Store
from ragyena.index.tracking import follow_folder, moved_with_folder
from ragyena.index.vectors import VectorFile, VectorIndex, write_vectors

__all__ = [
    "Writer",
    "create",
    "create_like",
    "delete_files",
    "discard_if_empty",
    "foreign_files",
    "remove_log",
]

STORE_FILES = (STORE_NAME, f"{STORE_NAME}-wal", f"{STORE_NAME}-shm", f"{STORE_NAME}-journal")
INDEX_FILES = (MANIFEST_NAME, f"{MANIFEST_NAME}.unfinished", *STORE_FILES, OWNER_NAME, LOCK_NAME)
"""Every file of an index but for its vector files."""
VECTOR_FILES = "vectors-*.faiss*"
EXTEND_REMOVED = 0.2
"""Approximate vector files are built from scratch, not extended, once more than this part of them was removed."""
EXTEND_GROWTH = 2.0
"""...or once the store has grown by this factor since their clusters were learned."""
BEHIND_LEAST = 2_000
BEHIND_SHARE = 0.02
"""A vector file is left as it is while so few passages, or so small a part of all, were added or removed since it was
written: searches read the added ones from the store. Writing it again costs time for every passage there is; so it is
paid by so many new ones."""
SMALL = 20_000
"""...but that of so few passages, which takes a moment to write, is always kept up to date."""


def create(folder: Path, config: IndexConfig, tokenizer: Tokenizer) -> Embedder:
    """Create an empty index; returns its embedder.

    What a process left that died while it did this is removed. Raises IndexFormatError where the folder holds an index
    or anything else, IndexCorruptError where it holds documents without a manifest, ConfigError or
    MissingDependencyError for the embedder, IndexLockedError and StorageError.
    """
    with _new_index(folder):
        embedder = Embedder.open(config.embedder)
        Store(folder / STORE_NAME, create=True).close()
        Manifest.new(config, embedder, tokenizer).write(folder)
        return embedder


def create_like(folder: Path, manifest: Manifest) -> None:
    """Create an empty index that is made as the one of ``manifest``, for rows of that. Raises as ``create`` does, but
    for the embedder, which is not loaded."""
    with _new_index(folder):
        Store(folder / STORE_NAME, create=True).close()
        manifest.emptied().write(folder)


@contextmanager
def _new_index(folder: Path) -> Iterator[None]:
    """An empty folder under the writer's lock, in which to create an index."""
    with storage_errors(folder):
        if folder.exists() and not folder.is_dir():
            raise IndexFormatError(f"{folder} is a file, not a folder", hint="name another place for the index")
        if is_index(folder):
            raise IndexFormatError(f"{folder} is an index already", hint="open it, or name another place")
        if not folder.exists():
            folder.mkdir(parents=True, exist_ok=True)
            flush_folder(folder.parent)
        if others := foreign_files(folder):
            raise IndexFormatError(
                f"{folder} holds {others[0]} and is no index", hint="name an empty or a new folder for the index"
            )
    with writer_lock(folder):
        _remove_unfinished_store(folder)
        yield


def foreign_files(folder: Path) -> list[str]:
    """Names in a folder that are not those of an index's files."""
    names = sorted(path.name for path in folder.iterdir())
    return [name for name in names if name not in INDEX_FILES and not fnmatchcase(name, VECTOR_FILES)]


def delete_files(folder: Path) -> None:
    """Delete the files of an index. The manifest goes first: without it, what is left is no index."""
    (folder / MANIFEST_NAME).unlink(missing_ok=True)
    flush_folder(folder)
    for path in [*folder.glob(VECTOR_FILES), *(folder / name for name in INDEX_FILES)]:
        path.unlink(missing_ok=True)


def _remove_unfinished_store(folder: Path) -> None:
    """Delete a store that was never finished: a manifest follows at once, before any document is stored.

    Raises IndexCorruptError where it holds documents, so that something else took the manifest away."""
    path = folder / STORE_NAME
    if not path.is_file():
        return
    with storage_errors(path):
        with closing(connect(path, writable=True)) as store:  # a journal beside it is rolled back or moved into it
            tables = store.execute("SELECT 1 FROM sqlite_master WHERE name = 'documents'").fetchone()
            if tables and store.execute("SELECT 1 FROM documents").fetchone():
                raise IndexCorruptError(f"{folder} holds documents, but no {MANIFEST_NAME}", hint=REBUILD)
        for name in STORE_FILES:
            (folder / name).unlink(missing_ok=True)


def discard_if_empty(folder: Path, *, with_folder: bool) -> None:
    """Delete an index without documents, and its folder too where ``with_folder``.

    An index stays that another process writes, or that cannot be read or locked.
    """
    if not is_index(folder):
        return
    with suppress(RagyenaError), writer_lock(folder):
        with closing(Store(folder / STORE_NAME)) as store:
            if store.counts().documents:
                return
        with storage_errors(folder):
            delete_files(folder)
    with storage_errors(folder):
        if with_folder and not any(folder.iterdir()):
            folder.rmdir()


def remove_log(folder: Path) -> None:
    """Move the log of a store into it: a read-only connection that is closed last leaves it."""
    with suppress(RagyenaError), closing(Store(folder / STORE_NAME, writable=True)):
        pass


class Writer:
    """The one process that writes an index: holds its lock and a writable store. A context manager."""

    def __init__(self, folder: Path) -> None:
        """Open an index for writing; its vector file may be damaged, ``refresh`` replaces it.

        Raises IndexNotFoundError, IndexFormatError, IndexCorruptError, IndexLockedError and StorageError.
        """
        Manifest.read(folder)  # no lock is taken in a folder that is no index
        self.folder = folder
        with ExitStack() as opened:
            opened.enter_context(writer_lock(folder))
            self.manifest = Manifest.read(folder)
            self.store = opened.enter_context(closing(Store(folder / STORE_NAME, writable=True)))
            self._remove_old_files()
            self._follow_folder()
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Close the store and release the lock."""
        self._opened.close()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def remove(self, document: str) -> int:
        """Remove the documents that ``document`` names; returns how many.

        It is a source, a file's path or the end of one, a folder, a pattern with ``*`` or ``?``, or one row as
        ``path#row``. Raises PathNotFoundError where nothing matches, UsageError where a path's end fits several, and
        for a name that stands for wherever one is, such as ``.`` or nothing at all.
        """
        _check_named(document)
        with self.store.transaction():
            matches = matching_origins(self.store, document)
            for source_id, origins in matches.items():
                if set(origins) == set(self.store.origins(source_id)):
                    self.store.remove_source(source_id)
                else:
                    self.store.remove_orphans(self.store.detach(source_id, origins))
        self.refresh()
        return sum(max(1, len(origins)) for origins in matches.values())

    def discard(self, sources: Iterable[str]) -> int:
        """Remove what the sources of exactly these names hold; those that are not there are left out. How many were."""
        with self.store.transaction():
            held = [source for name in sources if (source := self.store.source(name)) is not None]
            for source in held:
                self.store.remove_source(source.source_id)
        self.refresh()
        return len(held)

    def _follow_folder(self) -> None:
        """Rename the sources that were moved together with the index since it was last written."""
        if self.manifest.folder != str(self.folder):
            if moved := moved_with_folder(self.store, self.manifest.folder, self.folder):
                follow_folder(self.store, moved)
            self._write_manifest()

    def refresh(self, *, force: bool = False, trained: Path | None = None) -> bool:
        """Bring the manifest in line with the store, and the vector file too where it is far enough behind: then in a
        new generation. False where the vector file stays as it was.

        ``force`` replaces the vector file whatever it holds; ``trained`` is as for ``write_vectors``. Raises
        StorageError.
        """
        last_id, total = self.store.extent()
        file = self.manifest.vectors
        sound = file is not None and not force and self._sound_vectors()
        behind = self._behind(file, total) if sound and file is not None else None
        if behind is not None and behind.few(total):
            self._write_manifest()
            self._remove_old_files()
            return False
        generation = self.manifest.generation + 1
        extend = file if file is not None and behind is not None and self._extends(file, behind, total) else None
        written = write_vectors(
            self.folder / f"vectors-{generation}.faiss",
            lambda after: self.store.vectors(self.manifest.dimension, after=after),
            dimension=self.manifest.dimension,
            count=total,
            last_id=last_id,
            setting=self.manifest.config.vector_index,
            extend=(self.folder / extend.name, extend) if extend else None,
            trained=trained,
        )
        trained_on = self.manifest.vectors_trained_on if extend else total
        self._write_manifest(generation=generation, vectors=written, vectors_trained_on=trained_on)
        self._remove_old_files()
        return True

    def _behind(self, file: VectorFile, total: int) -> _Behind:
        """Ids only grow, so those above the file's last are new, and what it holds beyond the rest was removed."""
        added = self.store.count_after(file.last_id)
        return _Behind(added, file.count - (total - added))

    def _extends(self, file: VectorFile, behind: _Behind, total: int) -> bool:
        """True where an approximate vector file is to be extended rather than built from scratch."""
        if file.kind == "flat" or self.manifest.config.vector_index not in ("auto", file.kind):
            return False
        grown = total > EXTEND_GROWTH * self.manifest.vectors_trained_on
        return not grown and behind.removed <= EXTEND_REMOVED * total

    def _sound_vectors(self) -> bool:
        if self.manifest.vectors is None:
            return False
        try:
            VectorIndex.open(self.folder, self.manifest.vectors, self.manifest.dimension)
        except (FileNotFoundError, IndexCorruptError):
            return False  # it is about to be built again from the store
        return True

    def _write_manifest(self, **changes: object) -> None:
        counts = self.store.counts()
        self.manifest = self.manifest.changed(
            sources=counts.sources,
            documents=counts.documents,
            passages=counts.passages,
            folder=str(self.folder),
            **changes,
        )
        self.manifest.write(self.folder)

    def _remove_old_files(self) -> None:
        """Delete vector files of earlier generations and what a dead writer left; readers keep what they have open."""
        current = self.manifest.vectors.name if self.manifest.vectors is not None else ""
        with storage_errors(self.folder):
            for path in [*self.folder.glob(VECTOR_FILES), *self.folder.glob(f"{MANIFEST_NAME}.unfinished")]:
                if path.name != current:
                    path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Behind:
    """Passages added to and removed from the store since the vector file was written."""

    added: int
    removed: int

    def few(self, total: int) -> bool:
        """True where the file, of a store of ``total`` passages, may stay."""
        if total <= SMALL:
            return self.added == self.removed == 0
        return self.added + self.removed <= max(BEHIND_LEAST, BEHIND_SHARE * total)


def _check_named(document: str) -> None:
    """Raises UsageError for a name of which the whole working directory or file system would follow."""
    parts = Path(os.path.normpath(document)).parts
    if document.strip() and any(part.strip(f" {os.sep}") not in ("", ".", "..") for part in parts):
        return
    raise UsageError(
        f"'{document}' does not name a document",
        hint="give a file, a folder by its name, or a pattern: '*' names every document",
    )
