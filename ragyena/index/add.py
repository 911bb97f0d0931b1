"""Bringing an open index in line with files and documents: what is new, changed, renamed or gone."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.loading import prepare, valid_unicode
from ragyena.documents.markdown_text import with_tables
from ragyena.documents.tokenizer import Tokenizer
from ragyena.documents.walk import Found, find_files, listed_left_out
from ragyena.errors import NothingToIndexError, UsageError
from ragyena.index.embedder import Embedder
from ragyena.index.ingest import Change, Duplicate, Failure, Ingest
from ragyena.index.packing_fill import fill_packing
from ragyena.index.tracking import gone, relink
from ragyena.index.vectors import VectorFile
from ragyena.index.writer import Writer
from ragyena.types import Document, Progress, Skipped

__all__ = ["AddReport", "Change", "Duplicate", "Failure", "Gathered", "Sources", "add", "gather"]

Sources = str | os.PathLike[str] | Document | Iterable[str | os.PathLike[str] | Document] | Mapping[str, str]
"""Input of ``Index.add``: a path, a document, several of them, or texts by the name of their source."""


@dataclass(frozen=True, slots=True)
class AddReport:
    """The result of adding to an index. A document given in Python counts as one file."""

    index: Path
    created: bool
    """True where nothing had been added to the index before."""
    files: int
    """Files looked at."""
    added: int
    """Files that are new in the index, those of an interrupted run that were finished now included."""
    replaced: int
    """Files whose content had changed."""
    unchanged: int
    """Files skipped because their content is that in the index."""
    renamed: int
    """Files that were found under another path with the same content; they are not read or embedded again."""
    removed: int
    """Files that had vanished and were removed (``prune``)."""
    missing: tuple[str, ...]
    """Files under the named paths that have vanished and are still in the index."""
    changes: tuple[Change, ...]
    """The files added, replaced, renamed and removed, one by one."""
    documents: int
    """Documents added now."""
    passages: int
    """Passages added now."""
    duplicates: tuple[Duplicate, ...]
    failed: tuple[Failure, ...]
    """Files of which nothing was added, and folders that could not be opened."""
    skipped: tuple[Skipped, ...]
    """Parts of files that could not be read, such as bad rows, whose other parts were added."""
    left_out: Mapping[str, int]
    """Files in the folders walked whose type is not read: the number by suffix. Excluded files are not counted."""
    total_documents: int
    total_passages: int
    vectors: VectorFile | None
    seconds: float
    embedding_seconds: float


@dataclass(frozen=True, slots=True)
class Gathered:
    """Paths and documents that a user named, and the files under the paths."""

    roots: tuple[Path, ...]
    """The paths, absolute."""
    work: tuple[Path | Document, ...]
    """The files, then the documents."""
    found: Found
    """The result of the walk: what it could not read goes into the report."""

    def nothing(self) -> NothingToIndexError:
        """The error where there is no work."""
        names = ", ".join(str(path) for path in self.roots) or "nothing was named"
        left_out = f"; left out: {listed_left_out(self.found.left_out)}" if self.found.left_out else ""
        return NothingToIndexError(
            "; ".join([f"{names}: no files to index{left_out}", *(unread.message for unread in self.found.unread[:3])]),
            hint="see `ragyena index add --help` for the formats",
        )


def gather(sources: Sources, exclude: Sequence[str], index: Path) -> Gathered:
    """Look up what there is to add, without reading it.

    Files inside the folder ``index`` are left out. Raises PathNotFoundError, UnreadableDocumentError for a named file
    of an unknown format, and UsageError for documents without a source or with the same one.
    """
    if isinstance(sources, Mapping):
        sources = [Document(name, text) for name, text in sources.items()]
    elif isinstance(sources, str | os.PathLike | Document):
        sources = [sources]
    paths: list[Path] = []
    documents: dict[str, Document] = {}
    for source in sources:
        if not isinstance(source, Document):
            paths.append(Path(source))
        elif not source.source.strip() or source.source in documents:
            raise UsageError(
                f"two documents have the source '{source.source}', or it is empty",
                hint="give each document a source of its own: Document(source=..., text=...)",
            )
        else:
            documents[source.source] = with_tables(valid_unicode(source))
    found = find_files(paths, exclude, outside=index)
    if found.files:
        prepare()
    roots = tuple(Path(os.path.abspath(path)) for path in paths)  # noqa: PTH100 -- resolve() would replace links' names
    return Gathered(roots, (*found.files, *documents.values()), found)


def add(
    writer: Writer,
    gathered: Gathered,
    config: IndexConfig,
    tokenizer: Tokenizer,
    embedder: Embedder,
    *,
    prune: bool = False,
    progress: Progress,
) -> AddReport:
    """Bring an index in line with files and documents.

    Of the files known under the named paths, those that have vanished are looked for under other paths; of the rest,
    ``prune`` removes the documents. A file that cannot be read is in ``failed`` and stops nothing. Raises
    NothingToIndexError where the index stays empty, and StorageError.
    """
    began = time.perf_counter()
    store = writer.store
    created = writer.manifest.generation == 0 and store.counts().sources == 0
    vanished = gone(store, gathered.roots)
    renamed = relink(store, vanished, gathered.found.files, config.max_file_mb * 1_000_000)
    ingest = Ingest(writer, config, tokenizer, embedder, progress)
    tally = ingest.tally
    unread = gathered.found.unread
    tally.failed += [Failure(skipped.source, skipped.message, skipped.hint) for skipped in unread]
    ingest.add(gathered.work)
    if renamed:  # files whose title has changed with their name
        fill_packing(store, tokenizer, progress)
    former = {pair.old for pair in renamed}
    missing = [source for source in vanished if source.path not in former]
    if prune:
        for source in missing:
            with store.transaction():
                store.remove_source(source.source_id)
    elif missing:
        with store.transaction():
            store.mark_missing(source.source_id for source in missing)
    changes = [Change("renamed", pair.new, pair.old) for pair in renamed]
    changes += [*tally.changes, *(Change("removed", source.path) for source in missing if prune)]
    kinds = Counter(change.kind for change in changes)
    counts = store.counts()
    if created and counts.documents == 0:
        reasons = "; ".join(failure.message for failure in tally.failed[:3])
        raise NothingToIndexError(
            f"no file could be read: {reasons}",
            hint=tally.failed[0].hint if tally.failed else "name files that hold text",
        )
    progress.start("writing vectors", counts.passages, "passages")
    if writer.refresh() and writer.manifest.vectors is not None and writer.manifest.vectors.kind != "flat":
        file = writer.manifest.vectors
        progress.note(f"vector index: {file.kind} ({file.reason}), recall {file.recall:.3f}")
    progress.advance(counts.passages)
    return AddReport(
        index=writer.folder,
        created=created,
        files=len(gathered.work) + len(unread),
        added=kinds["added"],
        replaced=kinds["replaced"],
        unchanged=tally.unchanged - len(renamed),
        renamed=len(renamed),
        removed=kinds["removed"],
        missing=() if prune else tuple(source.path for source in missing),
        changes=tuple(changes),
        documents=tally.documents,
        passages=tally.passages,
        duplicates=tuple(tally.duplicates),
        failed=tuple(tally.failed),
        skipped=tuple(tally.skipped),
        left_out=gathered.found.left_out,
        total_documents=counts.documents,
        total_passages=counts.passages,
        vectors=writer.manifest.vectors,
        seconds=time.perf_counter() - began,
        embedding_seconds=tally.embedding_seconds,
    )
