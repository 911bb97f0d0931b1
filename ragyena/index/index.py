"""An index on the disk: a folder with a manifest, a store (the truth) and a vector file (made from the store).

    with Index.open(folder) as index:
        for hit in index.search("When was the bridge built?", config, top_k=10): ...

Many may read, one may write. A reader that opened an index goes on working while it is written: it keeps its vector
file and reads a consistent state of the store.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from ragyena.config import IndexConfig, RetrieverConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import IndexCorruptError, IndexFormatError, IndexMismatchError
from ragyena.index import lexical
from ragyena.index.embedder import Embedder
from ragyena.index.fusion import fuse, strictly_decreasing
from ragyena.index.manifest import MANIFEST_NAME, Manifest, is_index
from ragyena.index.storage import storage_errors
from ragyena.index.store import Store
from ragyena.index.vectors import VectorIndex, write_vectors
from ragyena.index.writer_lock import LOCK_NAME, OWNER_NAME, WriterLock
from ragyena.types import Passage, ScoredPassage

__all__ = ["INDEX_FILES", "STORE_NAME", "Index"]

STORE_NAME = "store.sqlite"
INDEX_FILES = (
    *(STORE_NAME, f"{STORE_NAME}-wal", f"{STORE_NAME}-shm"),
    *(MANIFEST_NAME, f"{MANIFEST_NAME}.unfinished", LOCK_NAME, OWNER_NAME),
)
"""Every file of an index but for its vector files."""
OPEN_TRIES = 5
"""A vector file may be replaced between reading the manifest and opening it; then the manifest is read again."""
EXTEND_REMOVED = 0.2
"""Approximate vector files are made anew, not extended, once more than this part of them is of removed passages."""
EXTEND_GROWTH = 1.5
"""...or once the store has grown by this factor since their clusters were learned."""

Hits = list[tuple[int, float]]


class Index:
    """An open index; make one with ``create`` or ``open``, close it or use it as a context manager."""

    def __init__(self, folder: Path, manifest: Manifest, store: Store, lock: WriterLock | None) -> None:
        self.folder = folder
        self.manifest = manifest
        self.store = store
        self._lock = lock
        self._vectors: VectorIndex | None = None
        self._tail: tuple[npt.NDArray[np.int64], npt.NDArray[np.float16]] | None = None
        self._embedder: Embedder | None = None
        self._loading = threading.Lock()

    @property
    def config(self) -> IndexConfig:
        """The settings the index was made with."""
        return self.manifest.config

    # -----------------------------------------------------------------------------------------------------------
    # Opening and closing
    # -----------------------------------------------------------------------------------------------------------

    @classmethod
    def create(cls, folder: Path, config: IndexConfig, tokenizer: Tokenizer, embedder: Embedder | None = None) -> Index:
        """Makes an empty index, open for writing. ``embedder`` is one of ``config`` that is loaded already.

        Raises IndexFormatError where the folder holds something else or an index, IndexLockedError, StorageError.
        """
        with storage_errors(folder):
            if folder.exists() and not folder.is_dir():
                raise IndexFormatError(f"{folder} is a file, not a folder", hint="name another place for the index")
            if is_index(folder):
                raise IndexFormatError(f"{folder} is an index already", hint="open it, or name another place")
            folder.mkdir(parents=True, exist_ok=True)
            if others := sorted(p.name for p in folder.iterdir() if p.name not in INDEX_FILES):
                raise IndexFormatError(
                    f"{folder} holds {others[0]} and is no index", hint="name an empty or a new folder for the index"
                )
        lock = WriterLock.take(folder)
        store = None
        try:
            embedder = embedder or Embedder.open(config.embedder)
            manifest = Manifest.new(config, embedder, tokenizer)
            store = Store(folder / STORE_NAME, writable=True)
            manifest.write(folder)
        except BaseException:
            if store is not None:
                store.close()
            lock.release()
            raise
        index = cls(folder, manifest, store, lock)
        index._embedder = embedder
        return index

    @classmethod
    def open(cls, folder: Path, *, writable: bool = False, with_vectors: bool = True) -> Index:
        """Opens an index; without vectors, they are opened when a search needs them.

        Raises IndexNotFoundError, IndexFormatError, IndexCorruptError, StorageError, and IndexLockedError where
        another process writes and this one wants to. A writable index may have a damaged vector file: ``refresh``
        makes it anew.
        """
        Manifest.read(folder)  # no lock is taken in a folder that is no index
        lock = WriterLock.take(folder) if writable else None
        store = None
        try:
            manifest = Manifest.read(folder)
            path = folder / STORE_NAME
            if not path.is_file():
                raise IndexCorruptError(
                    f"{path} is missing",
                    hint="build the index again from the documents: ragyena index add PATH --rebuild",
                )
            store = Store(path, writable=writable)
            index = cls(folder, manifest, store, lock)
            if with_vectors and not writable:
                index._open_vectors()
            return index
        except BaseException:
            if store is not None:
                store.close()
            if lock is not None:
                lock.release()
            raise

    def close(self) -> None:
        """Closes the files and gives the writer's lock back. An index may be closed twice."""
        self._vectors, self._tail = None, None
        self.store.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Index:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def embedder(self) -> Embedder:
        """The embedder of this index, loaded when it is first asked for.

        Raises IndexMismatchError where the weights of that name are not those the index was made with.
        """
        with self._loading:
            if self._embedder is None:
                embedder = Embedder.open(self.manifest.embedder)
                if embedder.fingerprint != self.manifest.embedder_fingerprint:
                    raise IndexMismatchError(
                        f"{self.folder} was made with other weights of '{self.manifest.embedder}'"
                        f" ({self.manifest.embedder_fingerprint[:12]}, not {embedder.fingerprint[:12]})",
                        hint="put those weights back, or embed everything again: ragyena index add PATH --rebuild",
                    )
                self._embedder = embedder
            return self._embedder

    # -----------------------------------------------------------------------------------------------------------
    # Searching
    # -----------------------------------------------------------------------------------------------------------

    def search(
        self, query: str, config: RetrieverConfig, *, top_k: int, filters: Mapping[str, str] | None = None
    ) -> list[ScoredPassage]:
        """The best ``top_k`` passages for ``query``, best first, with strictly decreasing scores; ties by id.

        ``filters`` keeps to documents whose ``source``, ``title`` or metadata field matches a value (wildcards
        ``*``, ``?``). An empty query finds nothing. Raises IndexCorruptError and IndexMismatchError.
        """
        if not query.strip() or top_k <= 0:
            return []
        hits = max(top_k, config.candidates)
        vector = self.embedder().embed_question(query) if config.mode != "lexical" else None
        with self.store.snapshot():
            dense = self._search_dense(vector, hits, filters) if vector is not None else []
            words = lexical.search(self.store, query, hits, filters) if config.mode != "dense" else []
            if config.mode == "hybrid":
                ranked = fuse([[i for i, _ in dense], [i for i, _ in words]], config.rrf_k)
            else:
                ranked = strictly_decreasing(dense or words)
            passages = {p.passage_id: p for p in self.store.passages([i for i, _ in ranked[:top_k]])}
        dense_scores, word_scores = dict(dense), dict(words)
        return [
            ScoredPassage(passages[i], score, dense_scores.get(i), word_scores.get(i))
            for i, score in ranked[:top_k]
            if i in passages
        ]

    def _search_dense(self, query: npt.NDArray[np.float32], hits: int, filters: Mapping[str, str] | None) -> Hits:
        """Ids and cosines of the nearest passages that are in the store now."""
        vectors, (tail_ids, tail) = self._open_vectors()
        allowed = self.store.matching_passages(filters) if filters else None
        found, scores = vectors.search(query, hits, allowed) if vectors is not None else _NOTHING
        if vectors is not None and not vectors.exact:
            found, stored = self.store.vectors_of(found.tolist(), self.manifest.dimension)
            scores = stored.astype(np.float32) @ query
        if allowed is not None:
            kept = np.isin(tail_ids, allowed)
            tail_ids, tail = tail_ids[kept], tail[kept]
        ids = np.concatenate([found, tail_ids])
        scores = np.concatenate([scores, tail.astype(np.float32) @ query])
        order = np.lexsort((ids, -scores))
        hits_found = [(int(ids[i]), float(scores[i])) for i in order]
        there = self.store.existing([i for i, _ in hits_found])
        return [(i, score) for i, score in hits_found if i in there][:hits]

    # -----------------------------------------------------------------------------------------------------------
    # Reading
    # -----------------------------------------------------------------------------------------------------------

    def passages(self, ids: Sequence[int]) -> list[Passage]:
        """The passages of these ids, in their order; ids that are not there are left out."""
        with self.store.snapshot():
            return self.store.passages(ids)

    def neighbours(self, passage_id: int, distance: int) -> list[Passage]:
        """Up to ``distance`` passages before and after one in its document, nearest first."""
        with self.store.snapshot():
            return self.store.passages(self.store.neighbours(passage_id, distance))

    def read(self, document_id: int, start: int, end: int) -> str:
        """``document.text[start:end]``, from the store. Raises IndexCorruptError where it has no such document."""
        return self.document_text(document_id)[start:end]

    def document_text(self, document_id: int) -> str:
        """The whole text of a document. Raises IndexCorruptError where the store has none of this id."""
        return self.store.document(document_id).text

    # -----------------------------------------------------------------------------------------------------------
    # The vector file
    # -----------------------------------------------------------------------------------------------------------

    def _open_vectors(self) -> tuple[VectorIndex | None, tuple[npt.NDArray[np.int64], npt.NDArray[np.float16]]]:
        """The vector file, and ids and vectors of the passages added since it was written. Opened once."""
        with self._loading:
            if self._tail is None:
                for attempt in range(OPEN_TRIES):
                    file = self.manifest.vectors
                    try:
                        self._vectors = VectorIndex.open(self.folder, file) if file is not None else None
                        break
                    except FileNotFoundError as error:
                        self.manifest = Manifest.read(self.folder)
                        if attempt == OPEN_TRIES - 1 or self.manifest.vectors == file:
                            raise IndexCorruptError(
                                f"{error.filename} is missing",
                                hint="nothing is lost, it is made from the store: ragyena index verify --repair",
                            ) from error
                after = self.manifest.vectors.last_id if self.manifest.vectors is not None else 0
                dimension = self.manifest.dimension
                batches = [*self.store.vectors(dimension, after=after)]
                self._tail = (
                    np.concatenate([np.empty(0, np.int64), *(ids for ids, _ in batches)]),
                    np.concatenate([np.empty((0, dimension), np.float16), *(vectors for _, vectors in batches)]),
                )
            return self._vectors, self._tail

    def refresh(self, *, force: bool = False) -> bool:
        """Brings vector file and manifest in line with the store, in a new generation; False if they were.

        ``force`` makes the vector file anew whatever is there. Needs a writable index. Raises StorageError.
        """
        assert self._lock is not None, "refresh needs an index opened with writable=True"
        ids = self.store.passage_ids()
        old = None if force else self._sound_vectors()
        self._vectors, self._tail = None, None
        if old is not None and np.array_equal(np.sort(old.ids()), ids):
            self._write_manifest()
            self._remove_old_files()
            return False
        generation = self.manifest.generation + 1
        extend = None
        if old is not None and self.manifest.vectors is not None and not old.exact:
            removed = len(np.setdiff1d(old.ids(), ids))
            small = len(ids) <= EXTEND_GROWTH * self.manifest.vectors_trained_on
            if small and removed <= EXTEND_REMOVED * len(ids) and self.config.vector_index in ("auto", old.kind):
                extend = self.folder / self.manifest.vectors.name
        file = write_vectors(
            self.folder / f"vectors-{generation}.faiss",
            lambda after: self.store.vectors(self.manifest.dimension, after=after),
            dimension=self.manifest.dimension,
            count=len(ids),
            last_id=int(ids[-1]) if len(ids) else 0,
            setting=self.config.vector_index,
            extend=extend,
            extend_after=self.manifest.vectors.last_id if extend is not None and self.manifest.vectors else 0,
        )
        trained_on = self.manifest.vectors_trained_on if extend is not None else len(ids)
        self._write_manifest(generation=generation, vectors=file, vectors_trained_on=trained_on)
        self._remove_old_files()
        return True

    def _sound_vectors(self) -> VectorIndex | None:
        if self.manifest.vectors is None:
            return None
        try:
            return VectorIndex.open(self.folder, self.manifest.vectors)
        except (FileNotFoundError, IndexCorruptError):
            return None  # it is about to be made anew from the store, which is the truth

    def _write_manifest(self, **changes: object) -> None:
        counts = self.store.counts()
        self.manifest = self.manifest.changed(
            sources=counts.sources, documents=counts.documents, passages=counts.passages, **changes
        )
        self.manifest.write(self.folder)

    def _remove_old_files(self) -> None:
        """Vector files of earlier generations, and what a writer that died left; readers keep what they have open."""
        current = self.manifest.vectors.name if self.manifest.vectors is not None else ""
        with storage_errors(self.folder):
            for path in [*self.folder.glob("vectors-*.faiss*"), *self.folder.glob(f"{MANIFEST_NAME}.unfinished")]:
                if path.name != current:
                    path.unlink(missing_ok=True)


_NOTHING = (np.empty(0, np.int64), np.empty(0, np.float32))
