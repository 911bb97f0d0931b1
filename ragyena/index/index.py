"""The index: documents in, passages out.

An index is a folder with a manifest, a store (SQLite, the truth) and a vector file derived from it; the format is
described in ``indexes/README.md``. Many may read it, one may write: ``Index`` reads, as an ``IndexView``, and takes the
writer's lock only while it adds, removes or repairs.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from ragyena.config import PipelineConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import CheckpointError, NothingToIndexError
from ragyena.index.add import AddReport, Gathered, Sources, add, gather
from ragyena.index.inspection import VerifyReport, verify
from ragyena.index.manifest import is_index, refuse_older
from ragyena.index.rebuild import begin_rebuild, finish_rebuild, held_sources, restore_replaced
from ragyena.index.storage import locate, writer_lock
from ragyena.index.store import STORE_NAME
from ragyena.index.sync import check_roots
from ragyena.index.view import IndexView
from ragyena.index.writer import Writer, create, discard_if_empty, remove_log
from ragyena.readers import reader_folder
from ragyena.settings import Overrides, resolve
from ragyena.types import Document, Progress, Silent

__all__ = ["Index", "tokenizer_if_there"]


class Index(IndexView):
    """A searchable collection of documents on the disk. Make one with ``create`` or ``open``; a context manager.

    Example:
        >>> from ragyena import Index
        >>> with Index.create("./notes") as index:
        ...     report = index.add({"iron": "The iron bridge was built in 1932.", "tea": "Brew tea at 70 degrees."})
        ...     best = index.search("When was the bridge built?", k=1)[0]
        >>> report.documents, best.passage.source, best.passage.text
        (2, 'iron', 'The iron bridge was built in 1932.')
    """

    def __init__(self, folder: Path, settings: PipelineConfig, *, lazy: bool = False) -> None:
        """Open the index in ``folder``; ``Index.open`` also takes names and overrides of settings."""
        self._on_close: tuple[bool, bool] = (False, False)  # discard if empty, and the folder with it
        self._wrote = False
        super().__init__(folder, settings, lazy=lazy)

    # --- opening and closing

    @classmethod
    def create(cls, path: str | os.PathLike[str], *, settings: Overrides = None) -> Index:
        """Create an empty index, and open it.

        Args:
            path: The folder, which must be new or empty. A string without a path separator is a name, as after
                ``--index``: the index then lives in the folder of the setting ``index_root``.
            settings: Overrides by dotted name, such as ``{"index.passage_tokens": 100}``, or a ``PipelineConfig``.

        Raises:
            IndexFormatError: The folder holds an index or something else.
            ConfigError, CheckpointError, MissingDependencyError: A setting is wrong, the embedder or reader not there.
            IndexLockedError, StorageError: Another process is writing it, or it cannot be written.

        Example:
            >>> with Index.create("./short", settings={"index.passage_tokens": 100}) as index:
            ...     index.status().documents
            0
        """
        config = resolve(settings)
        folder = locate(path, config)
        embedder = create(folder, config.index, _tokenizer(config))
        index = cls(folder, config)
        index._embedder = embedder
        return index

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        create: bool = False,
        lazy: bool = False,
        settings: Overrides = None,
    ) -> Index:
        """Open an index.

        Args:
            path: Its folder, or its name as after ``--index``; None for the default index.
            create: Create it where there is none; an index that is still empty when it is closed is then removed.
            lazy: Open the vector file at the first search only, so that an index with a damaged one can be looked at,
                added to and repaired.
            settings: As for ``create``.

        Raises:
            IndexNotFoundError: There is no index.
            IndexFormatError, IndexCorruptError: It is of another version of the format, or damaged.
            ConfigError, StorageError: A setting is wrong, or a file cannot be read.

        Example:
            >>> with Index.open("./bridges") as index:
            ...     index.status().passages
            2
        """
        config = resolve(settings)
        folder = locate(path, config)
        restore_replaced(folder)
        if not create or is_index(folder):
            return cls(folder, config, lazy=lazy)
        new_folder = not folder.exists()
        index = cls.create(folder, settings=config)
        index._on_close = (True, new_folder)
        return index

    def close(self) -> None:
        """Close the files. An index may be closed twice."""
        super().close()
        discard, with_folder = self._on_close
        if discard:
            self._on_close = (False, False)
            discard_if_empty(self.folder, with_folder=with_folder)
        if self._wrote:
            self._wrote = False
            remove_log(self.folder)

    # --- writing

    def add(self, sources: Sources, *, prune: bool = False, progress: Progress | None = None) -> AddReport:
        """Add files and documents: new ones are added, changed ones replaced, unchanged ones skipped.

        Every document is in the index whole or not at all, whatever happens; adding the same again resumes.

        Args:
            sources: Paths of files and folders, ``Document`` values, or both; or a mapping of source names to texts.
                Texts, and documents without blocks, headings and pages, are read as text files are: Markdown tables
                row for row with the names of their columns. Lines are kept; ``index.held(source)`` has the text that
                offsets count in.
            prune: Also remove files under these paths that have vanished.
            progress: Receives the stages and how far each is.

        Returns:
            Counts, duplicates, and the files that could not be read: they stop nothing.

        Raises:
            PathNotFoundError, NothingToIndexError: A path does not exist, or nothing could be read for an empty index.
            UsageError: Two documents have the same source.
            IndexMismatchError: The index was made with other settings, embedder or tokenizer.
            IndexLockedError, StorageError: Another process is writing, or there is no space or permission.

        Example:
            >>> from ragyena import Document
            >>> with Index.open("./bridges") as index:
            ...     report = index.add([Document("wood", "The wooden bridge burned down.", metadata={"lang": "en"})])
            ...     report.added, report.total_documents
            (1, 3)
        """
        gathered = gather(sources, self.settings.index.exclude, self.folder)
        if not gathered.work and not (prune and self.store.counts().sources):
            raise gathered.nothing()
        return self._add(gathered, progress, prune=prune)

    def sync(
        self,
        paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *,
        leave: Collection[Path] = (),
        progress: Progress | None = None,
    ) -> AddReport:
        """Follow the files under ``paths``: add new ones, replace changed ones, remove those that have vanished.

        A renamed file keeps its documents under its new path; nothing of it is embedded again.

        Args:
            paths: Files and folders.
            leave: Files to leave as they are in the index, such as those that are being written.
            progress: Receives the stages and how far each is.

        Raises:
            PathNotFoundError: One of ``paths`` does not exist, or is an empty folder of which many files are known: a
                disk that is not mounted erases nothing.
            IndexMismatchError, IndexLockedError, StorageError: As for ``add``.

        Example:
            >>> with Index.open("./bridges") as index:
            ...     report = index.sync("./minutes")
            ...     report.added, report.removed
            (1, 0)
        """
        named = [paths] if isinstance(paths, str | os.PathLike) else paths
        gathered = gather([Path(path) for path in named], self.settings.index.exclude, self.folder)
        left = set(leave)
        work = tuple(item for item in gathered.work if item not in left)
        return self._add(replace(gathered, work=work), progress, prune=True, careful=True)

    def _add(
        self, gathered: Gathered, progress: Progress | None, *, prune: bool = False, careful: bool = False
    ) -> AddReport:
        config = self.settings.index
        tokenizer = _tokenizer(self.settings)
        self._wrote = True
        with Writer(self.folder) as writer:
            self.manifest.check_settings(self.folder, config, tokenizer)
            if careful:
                check_roots(writer.store, gathered.roots)
            report = add(
                writer,
                gathered,
                config,
                tokenizer,
                self.embedder(),
                prune=prune,
                progress=progress or Silent(),
            )
        self._reload()
        return report

    def remove(self, document: str) -> int:
        """Remove documents from the index and return how many; files themselves stay where they are.

        Args:
            document: A source, a file's path or the end of one, a folder, a pattern with ``*`` or ``?``, or one row as
                ``path#row``.

        Raises:
            PathNotFoundError: Nothing matches.
            UsageError: The end of a path fits several files.
            IndexLockedError, StorageError: Another process is writing, or the disk cannot be written.

        Example:
            >>> with Index.open("./bridges") as index:
            ...     index.remove("tea")
            1
        """
        self._wrote = True
        with Writer(self.folder) as writer:
            removed = writer.remove(document)
        self._reload()
        return removed

    def discard(self, sources: Iterable[str]) -> int:
        """Remove the documents of exactly these sources; those that are not in the index are left out.

        Returns how many sources were removed. Raises IndexLockedError and StorageError as ``remove``.

        Example:
            >>> with Index.open("./bridges") as index:
            ...     index.discard(["tea", "coffee"])
            1
        """
        self._wrote = True
        with Writer(self.folder) as writer:
            removed = writer.discard(sources)
        self._reload()
        return removed

    def verify(self, *, repair: bool = False, progress: Progress | None = None) -> VerifyReport:
        """Check every file, row, offset and vector; ``repair`` builds the full text indexes, the tokens kept for
        packing and the vector file again where these alone are wrong.

        An index too damaged to be opened is checked by ``ragyena.index.inspection.verify(folder)``. Raises
        IndexLockedError and StorageError where a repair cannot write.

        Example:
            >>> with Index.open("./bridges") as index:
            ...     index.verify().sound
            True
        """
        report = verify(self.folder, repair=repair, tokenizer=tokenizer_if_there(self.settings), progress=progress)
        if report.repaired:
            self._reload()
        return report

    @classmethod
    def rebuild(
        cls,
        path: str | os.PathLike[str] | None = None,
        sources: Sources = (),
        *,
        settings: Overrides = None,
        progress: Progress | None = None,
    ) -> AddReport:
        """Build an index again, with present settings, from ``sources`` and what it holds.

        The old index can be searched until the new one takes its place. Interrupted, it resumes. Files that have
        vanished are left out; documents given in Python are taken from the old index.

        Raises:
            NothingToIndexError: There is nothing to build it from.
            IndexLockedError, StorageError, ConfigError: As for ``create`` and ``add``.

        Example:
            >>> Index.rebuild("./bridges", settings={"index.passage_tokens": 64}).total_documents
            2
        """
        config = resolve(settings)
        folder = locate(path, config)
        restore_replaced(folder)
        if not is_index(folder) and not (folder / STORE_NAME).is_file():
            with cls.open(folder, create=True, settings=config) as index:
                return index.add(sources, progress=progress)
        refuse_older(folder)
        gathered = gather(sources, config.index.exclude, folder)
        work = [*gathered.work]
        named = {_name(item) for item in work}
        work += [item for item in held_sources(folder) if _name(item) not in named]
        if not work:
            raise NothingToIndexError(f"{folder}: no files to build it from", hint="name files or folders")
        with writer_lock(folder):
            new = begin_rebuild(folder, config.index)
            with cls.open(new, create=True, lazy=True, settings=config) as index:
                report = index._add(replace(gathered, work=tuple(work)), progress)
            finish_rebuild(folder)
        return replace(report, index=folder, created=False)


def _name(item: Path | Document) -> str:
    return item.source if isinstance(item, Document) else str(item)


def _tokenizer(config: PipelineConfig) -> Tokenizer:
    return Tokenizer.from_folder(reader_folder(config.reader.checkpoint))


def tokenizer_if_there(config: PipelineConfig) -> Tokenizer | None:
    """The tokenizer of the reader in the settings; None where that reader is not on this machine, or is damaged: an
    index can be checked and upgraded all the same."""
    try:
        return _tokenizer(config)
    except CheckpointError:
        return None
