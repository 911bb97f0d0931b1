"""An index that is open for reading: search, passages, status."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from ragyena.config import PipelineConfig, RetrieverConfig
from ragyena.config.pipeline import SEARCH_RESULTS
from ragyena.errors import (
    ConfigError,
    EmptyQuestionError,
    IndexLockedError,
    IndexMismatchError,
    StorageError,
    UsageError,
)
from ragyena.index.candidates import Candidates
from ragyena.index.embedder import Embedder
from ragyena.index.encoding import storable
from ragyena.index.inspection import IndexStatus, status
from ragyena.index.listing import Origin, Page, list_files, origins
from ragyena.index.manifest import MANIFEST_NAME, Manifest
from ragyena.index.naming import named_document
from ragyena.index.search import OPEN_TRIES, DenseView, filter_condition, rank, search
from ragyena.index.spelling import corrections, counts_in, replaced
from ragyena.index.storage import REBUILD
from ragyena.index.store import STORE_NAME, Store
from ragyena.index.tracking import cited_at, moved_with_folder
from ragyena.index.writer import Writer
from ragyena.parsing import replace_surrogates
from ragyena.settings import Overrides, resolve
from ragyena.types import Document, FileState, Passage, ScoredPassage

__all__ = ["IndexView", "checked_query"]

log = logging.getLogger(__name__)


class IndexView:
    """The reading half of an ``Index``. Several threads may use it at once."""

    def __init__(self, folder: Path, settings: PipelineConfig, *, lazy: bool = False) -> None:
        """Open the index in ``folder``; where ``lazy``, its vector file at the first search only."""
        self.folder = folder
        self.settings = settings
        self._state = _state(folder)
        self.manifest = Manifest.read(folder)
        self.store = Store(folder / STORE_NAME)
        self._dense: DenseView | None = None
        self._embedder: Embedder | None = None
        self._turn = threading.RLock()  # a connection to the store serves one thread at a time
        try:
            if moved_with_folder(self.store, self.manifest.folder, folder):
                with suppress(IndexLockedError, StorageError), Writer(folder):  # which follows
                    self._reload()
            if not lazy:
                self._open_dense()
        except BaseException:
            self.store.close()
            raise

    def close(self) -> None:
        """Close the files. An index may be closed twice."""
        self._dense = None
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def embedder(self) -> Embedder:
        """The embedder of this index, loaded at the first call.

        Raises:
            IndexMismatchError: The weights of that name are not those the index was made with.
            ConfigError, MissingDependencyError: There is no such embedder.
        """
        with self._turn:
            if self._embedder is None:
                self._embedder = self.manifest.open_embedder(self.folder)
            return self._embedder

    def use_embedder(self, embedder: Embedder) -> None:
        """Embed with ``embedder`` from now on. Raises IndexMismatchError where it is not that of this index.

        Example:
            >>> with Index.open("./bridges") as index:
            ...     index.use_embedder(index.embedder())
        """
        if embedder.fingerprint != self.manifest.embedder_fingerprint or embedder.dimension != self.manifest.dimension:
            raise IndexMismatchError(
                f"{self.folder} was made with '{self.manifest.embedder}', not with these weights of '{embedder.name}'",
                hint=f"use the embedder it was made with, or {REBUILD}",
            )
        with self._turn:
            self._embedder = embedder

    def search(
        self,
        query: str,
        *,
        k: int | None = None,
        filters: Mapping[str, str] | None = None,
        settings: Overrides = None,
    ) -> list[ScoredPassage]:
        """Find passages.

        Args:
            query: A question or words.
            k: How many passages; by default the setting ``retriever.top_k``, or 10 where that is 0.
            filters: Keep to documents whose ``source``, ``title`` or metadata field matches a value, in which ``*`` and
                ``?`` are wildcards.
            settings: Overrides for this call, such as ``{"retriever.mode": "lexical"}``.

        Returns:
            Passages, best first, with strictly decreasing scores. They are those of ``spelt(query)``.

        Raises:
            EmptyQuestionError: The query is empty.
            ConfigError: A setting is wrong.
            IndexCorruptError, IndexMismatchError: The index is damaged, or its embedder has changed.

        Example:
            >>> with Index.open("./bridges") as index:
            ...     [match.passage.source for match in index.search("bridge", settings={"retriever.mode": "lexical"})]
            ['iron']
        """
        retriever = resolve(settings, self.settings).retriever
        if retriever.rerank != "none":
            raise ConfigError(
                f"an index has no {retriever.rerank} to rank its passages (setting retriever.rerank)",
                hint="search with a pipeline: ragyena.open(INDEX).search(QUERY)",
            )
        k = (retriever.top_k or SEARCH_RESULTS) if k is None else k
        query, filters = checked_query(query, filters)
        if k <= 0:
            return []
        with self._turn:
            return search(self.store, *self._looked_up(query, retriever), retriever, k, filters)

    def candidates(
        self,
        query: str,
        *,
        k: int,
        filters: Mapping[str, str] | None = None,
        settings: Overrides = None,
    ) -> Candidates:
        """Find passages to pack: those of ``search``, in its order, with the tokens that the index keeps.

        Arguments and errors as for ``search``. Passages are read when they are looked at: pack them inside of
        ``with index.reading():`` where others may write meanwhile.

        Example:
            >>> with Index.open("./bridges") as index, index.reading():
            ...     candidates = index.candidates("Who built the bridge?", k=2)
            ...     len(candidates), candidates[0].passage.source
            (2, 'iron')
        """
        query, filters = checked_query(query, filters)
        retriever = resolve(settings, self.settings).retriever
        with self.reading():
            found = rank(self.store, *self._looked_up(query, retriever), retriever, k, filters)
            return Candidates(self.store, found, self.manifest.tokenizer_fingerprint)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read everything inside from one state of the index, whatever is written meanwhile.

        Example:
            >>> with Index.open("./bridges") as index, index.reading():
            ...     len(index.passages([1, 2]))
            2
        """
        with self._turn, self.store.snapshot():
            yield

    def spelt(self, query: str, *, settings: Overrides = None) -> str:
        """The query that ``search`` looks for: misspelt words that no passage holds are those that one does.

        A word is taken for another where it has four Latin letters or more, is no English word that the reader knows,
        and is one error away. With the setting ``retriever.spelling`` off, the query as it is.

        Example:
            >>> with Index.open("./bridges") as index:
            ...     index.spelt("When was the irno brigde built?")
            'When was the iron bridge built?'
        """
        query = replace_surrogates(query)
        if not resolve(settings, self.settings).retriever.spelling:
            return query
        with self._turn:
            return replaced(query, corrections(counts_in(self.store), query))

    def nearest(
        self, vector: npt.NDArray[np.float32], *, k: int, filters: Mapping[str, str] | None = None
    ) -> list[ScoredPassage]:
        """Find the passages nearest to a vector.

        Args:
            vector: [dimension] of this index's embedder, of unit length.
            k: How many passages.
            filters: As for ``search``.

        Returns:
            Passages by cosine similarity, best first.

        Raises:
            UsageError: The vector is of another dimension.
            IndexCorruptError: The index is damaged.

        Example:
            >>> with Index.open("./bridges") as index:
            ...     vector = index.embedder().embed_question("Who built the bridge?")
            ...     [match.passage.source for match in index.nearest(vector, k=1)]
            ['iron']
        """
        if vector.shape != (self.manifest.dimension,):
            raise UsageError(
                f"a vector of shape {vector.shape} for an index of dimension {self.manifest.dimension}",
                hint=f"embed with the model of the index: {self.manifest.embedder}",
            )
        dense = RetrieverConfig(mode="dense")
        with self._turn:
            return search(self.store, self._open_dense(), "", vector, dense, k, filters) if k > 0 else []

    def refresh(self) -> bool:
        """Take notice of what other processes have written since, an index built again included.

        Cheap where nothing was written: call it before a question. Between two calls ids keep their meaning. Where
        there is no index in the folder any more, what was opened stays open.

        Returns:
            True where there was something.

        Raises:
            IndexFormatError, IndexCorruptError, StorageError: The new index cannot be opened; the old one stays open.

        Example:
            >>> with Index.open("./bridges") as index:
            ...     index.refresh()
            False
        """
        with self._turn:
            state = _state(self.folder)
            if state is None or state == self._state:
                return False
            if self._state is None or state.store != self._state.store:
                self._reopen()
            else:
                self._reload()
            return True

    def status(self) -> IndexStatus:
        """Counts, files and size. Raises IndexCorruptError.

        Example:
            >>> with Index.open("./bridges") as index:
            ...     [source.path for source in index.status().sources]
            ['iron', 'tea']
        """
        with self._turn:
            return status(self.folder, self.store)

    def passages(self, ids: Sequence[int]) -> list[Passage]:
        """The passages of these ids, in their order; ids that are not in the index are left out."""
        with self._turn, self.store.snapshot():
            return self.store.passages(ids)

    def neighbours(self, passage_id: int, distance: int) -> list[Passage]:
        """Up to ``distance`` passages before and after one in its document, nearest first."""
        with self._turn, self.store.snapshot():
            return self.store.passages(self.store.neighbours(passage_id, distance))

    def file_state(self, document_id: int, source: str) -> tuple[str, FileState | None]:
        """Path to cite a document by, and whether the file there is still what was indexed.

        That is ``source`` where its file is unchanged, else another file of the same content that is, else one that has
        changed. The state is None for a document given in Python and for a file that cannot be read.

        Example:
            >>> with Index.open("./bridges") as index:
            ...     passage = index.search("Who built the bridge?", k=1)[0].passage
            ...     index.file_state(passage.document_id, passage.source)
            ('iron', None)
        """
        with self._turn:
            return cited_at(self.store, document_id, source, self.settings.index.max_file_mb * 1_000_000)

    def document(self, document_id: int) -> Document:
        """A document with its whole text. Raises IndexCorruptError where there is none of this id."""
        with self._turn:
            return self.store.document(document_id)

    def held(self, source: str) -> Document | None:
        """The first document of the source of exactly this name, None where there is none.

        Example:
            >>> with Index.open("./bridges") as index:
            ...     index.held("iron").text, index.held("coffee")
            ('The iron bridge was built in 1932.', None)
        """
        with self._turn, self.store.snapshot():
            rows = self.store.rows(
                "SELECT document_id FROM sources JOIN origins USING (source_id) WHERE path = ?"
                " ORDER BY origin_id LIMIT 1",
                (storable(source),),
                types=(int,),
            )
            return self.store.document(rows[0][0]) if rows else None

    def sources(self, filters: Mapping[str, str] | None = None) -> list[str]:
        """The files and documents given in Python by name, or those that ``filters`` keep, as ``search`` takes them.

        Example:
            >>> with Index.open("./bridges") as index:
            ...     index.sources({"source": "i*"})
            ['iron']
        """
        condition, parameters = filter_condition(filters or {})
        with self._turn:
            statement = (
                f"SELECT DISTINCT path FROM sources JOIN origins USING (source_id) WHERE {condition} ORDER BY path"
            )
            return [path for (path,) in self.store.rows(statement, parameters, types=(str,))]

    def find(self, document: str) -> Document:
        """A document by its source, a file's path or the end of one, or one row as ``path#row``.

        Raises PathNotFoundError where there is none, UsageError where there are several.

        Example:
            >>> with Index.open("./bridges") as index:
            ...     index.find("iron").text
            'The iron bridge was built in 1932.'
        """
        with self._turn, self.store.snapshot():
            return self.store.document(named_document(self.store, document))

    def files(self, *, containing: str = "", offset: int = 0, limit: int = 100) -> Page:
        """Some of the files by path, and how many there are in all: those with ``containing`` in their path, whatever
        its case.

        Example:
            >>> with Index.open("./bridges") as index:
            ...     page = index.files(containing="TEA")
            ...     page.total, page.files[0].path, page.files[0].documents
            (1, 'tea', 1)
        """
        with self._turn:
            return list_files(self.store, containing=containing, offset=offset, limit=limit)

    def origins(self, document_id: int) -> list[Origin]:
        """The places a document was read from, the first one first; none where there is no such document.

        Example:
            >>> with Index.open("./bridges") as index:
            ...     [origin.source for origin in index.origins(index.search("bridge", k=1)[0].passage.document_id)]
            ['iron']
        """
        with self._turn:
            return origins(self.store, document_id)

    # --- details

    def _looked_up(
        self, query: str, retriever: RetrieverConfig
    ) -> tuple[DenseView | None, str, npt.NDArray[np.float32] | None]:
        """The vectors to search, where they are searched, the query to look for, and its vector."""
        if retriever.spelling and (changes := corrections(counts_in(self.store), query)):
            query = replaced(query, changes)
            log.info("searched for: %s", query)
        if retriever.mode == "lexical":
            return None, query, None
        return self._open_dense(), query, self.embedder().embed_question(query)

    def _open_dense(self) -> DenseView:
        with self._turn:
            if self._dense is None:
                self._dense = DenseView.open(self.folder, self.manifest, self.store)
            return self._dense

    def _reload(self) -> None:
        """Take notice of what was written."""
        with self._turn:
            self._state = _state(self.folder)
            self.manifest = Manifest.read(self.folder)
            self._dense = None

    def _reopen(self) -> None:
        """Open the index that has taken the place of this one."""
        for _ in range(OPEN_TRIES):
            state = _state(self.folder)
            manifest, store = Manifest.read(self.folder), Store(self.folder / STORE_NAME)
            if state == _state(self.folder):
                break
            store.close()  # of another index than the manifest
        else:
            raise IndexLockedError(f"{self.folder} is being replaced all the time", hint="try again when that is over")
        if manifest.embedder_fingerprint != self.manifest.embedder_fingerprint:
            self._embedder = None
        self.store.close()
        self._state, self.manifest, self.store, self._dense = state, manifest, store, None


def checked_query(query: str, filters: Mapping[str, str] | None) -> tuple[str, dict[str, str]]:
    """Query and filters in valid Unicode. Raises EmptyQuestionError."""
    if not query.strip():
        raise EmptyQuestionError("the query is empty", hint='search for something: ragyena index search "bridges"')
    return replace_surrogates(query), {
        replace_surrogates(key): replace_surrogates(value) for key, value in (filters or {}).items()
    }


class _State(NamedTuple):
    """The files of an index as the system knows them: what is written replaces the manifest, a rebuild the store."""

    manifest: tuple[int, int]
    store: int


def _state(folder: Path) -> _State | None:
    """None where there is no index, as between the two renames that end a rebuild."""
    try:
        manifest, store = (folder / MANIFEST_NAME).stat(), (folder / STORE_NAME).stat()
    except OSError:
        return None
    return _State((manifest.st_ino, manifest.st_mtime_ns), store.st_ino)
