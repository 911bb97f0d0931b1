"""Adding to an open index: read, cut into passages, embed, commit.

Each file is hashed, and what is new or changed is read and cut into passages. Passages are embedded, and every few
hundred of them their documents are committed; whatever happens then, they stay. A file that changed is replaced in one
transaction; a new one may be committed in parts and is marked as complete with the last of them: until then, the next
run resumes with the rest of it.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ragyena.config import IndexConfig
from ragyena.documents.loading import load, prepare, valid_unicode
from ragyena.documents.passages import split
from ragyena.documents.tokenizer import Tokenizer
from ragyena.documents.walk import Found, find_files
from ragyena.errors import InputError, NothingToIndexError, UnreadableDocumentError, UsageError
from ragyena.files import open_file
from ragyena.index.embedder import Embedder, embedding_text
from ragyena.index.encoding import document_hash
from ragyena.index.vectors import VectorFile
from ragyena.index.writer import Writer
from ragyena.types import Document, Passage, Progress, Skipped

__all__ = ["AddReport", "Duplicate", "Failure", "Sources", "add", "gather"]

READ_AHEAD = 20_000
"""Passages read before embedding begins: so many are held in memory, and their number is known for the progress."""
READ_AHEAD_CHARS = 64_000_000
COMMIT_PASSAGES = 256
"""Passages embedded between two commits: a process that dies loses the work on at most about so many."""

Sources = str | os.PathLike[str] | Document | Iterable[str | os.PathLike[str] | Document] | Mapping[str, str]
"""Input of ``Index.add``: a path, a document, several of them, or texts by the name of their source."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be added, and the reason."""

    path: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A document whose content the index held already."""

    source: str
    same_as: str


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
    removed: int
    """Files that had vanished and were removed (``prune``)."""
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


def gather(sources: Sources, exclude: Sequence[str], index: Path) -> tuple[list[Path], list[Path | Document], Found]:
    """The paths among ``sources``, the files under them followed by the documents, and the result of the walk.

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
            documents[source.source] = valid_unicode(source)
    found = find_files(paths, exclude, outside=index)
    if found.files:
        prepare()
    return paths, [*found.files, *documents.values()], found


def add(
    writer: Writer,
    work: Sequence[Path | Document],
    config: IndexConfig,
    tokenizer: Tokenizer,
    embedder: Embedder,
    *,
    found: Found,
    prune: Sequence[Path] = (),
    progress: Progress,
) -> AddReport:
    """Bring an index in line with files and documents.

    ``found`` is the walk that ``work`` is from: what it could not read goes into the report.

    ``prune`` removes the files under these paths that have vanished. A file that cannot be read is in ``failed`` and
    stops nothing. Raises NothingToIndexError where the index stays empty, and StorageError.
    """
    began = time.perf_counter()
    store = writer.store
    created = writer.manifest.generation == 0 and store.counts().sources == 0
    adder = _Adder(writer, config, tokenizer, embedder, progress)
    tally = adder.tally
    tally.failed += [Failure(unread.source, unread.message, unread.hint) for unread in found.unread]
    adder.add(work)
    removed = _prune(writer, prune)
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
        files=len(work) + len(found.unread),
        added=tally.added,
        replaced=tally.replaced,
        unchanged=tally.unchanged,
        removed=removed,
        documents=tally.documents,
        passages=tally.passages,
        duplicates=tuple(tally.duplicates),
        failed=tuple(tally.failed),
        skipped=tuple(tally.skipped),
        left_out=found.left_out,
        total_documents=counts.documents,
        total_passages=counts.passages,
        vectors=writer.manifest.vectors,
        seconds=time.perf_counter() - began,
        embedding_seconds=tally.embedding_seconds,
    )


def _prune(writer: Writer, roots: Sequence[Path]) -> int:
    """Remove the sources under ``roots`` whose file has vanished; returns how many."""
    tops = [Path(os.path.abspath(root)) for root in roots]  # noqa: PTH100
    removed = 0
    for source in writer.store.sources() if tops else ():
        path = Path(source.path)
        vanished = any(path.is_relative_to(top) for top in tops) and not path.exists()
        if vanished and writer.store.is_file(source):
            with writer.store.transaction():
                writer.store.remove_source(source.source_id)
            removed += 1
    return removed


@dataclass(slots=True)
class _Source:
    """A file or a document on its way into the index."""

    path: str
    content_hash: bytes
    size: int
    document: Document | None
    """The document, where it was given as one."""
    replaces: bool
    """The index holds other content of this path."""
    resumed: bool
    """The index holds a part of this content."""
    unread: int = 0
    """Its documents that wait in the queue."""
    whole: bool = False
    """All its documents have been read."""
    failed: bool = False


@dataclass(slots=True)
class _Prepared:
    """A document that waits to be embedded and stored."""

    file: _Source
    document: Document
    content_hash: bytes
    passages: list[Passage]
    vectors: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))
    """[P, D]; empty where the store holds this content."""


@dataclass(slots=True)
class _Tally:
    """Counts of what was done."""

    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    documents: int = 0
    passages: int = 0
    embedding_seconds: float = 0.0
    duplicates: list[Duplicate] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


class _Adder:
    """Reads, embeds and stores files and documents."""

    def __init__(
        self, writer: Writer, config: IndexConfig, tokenizer: Tokenizer, embedder: Embedder, progress: Progress
    ) -> None:
        self.tally = _Tally()
        self._store = writer.store
        self._made_with = writer.manifest.config
        self._config = config
        self._tokenizer = tokenizer
        self._embedder = embedder
        self._progress = progress

    def add(self, work: Sequence[Path | Document]) -> None:
        queue: list[_Prepared] = []
        waiting: list[_Source] = []  # read, but not marked as complete yet
        passages = chars = 0
        sizes = [_size(item) for item in work]
        unread = sum(sizes)
        self._progress.start("reading", unread, "bytes")
        for item, size in zip(work, sizes):
            self._progress.advance(0, (item if isinstance(item, Path) else Path(item.source)).name)
            file = self._changed(item)
            if file is not None:
                waiting.append(file)
                for prepared in self._read(file):
                    queue.append(prepared)
                    passages += len(prepared.passages)
                    chars += len(prepared.document.text)
                    part = min(len(prepared.document.text), size)
                    size, unread = size - part, unread - part
                    self._progress.advance(part)
                    # A file that replaces another is stored in one go, so it is read in one go.
                    if (passages >= READ_AHEAD or chars >= READ_AHEAD_CHARS) and not file.replaces:
                        self._store_all(queue, waiting)
                        passages = chars = 0
                        self._progress.start("reading", unread, "bytes")
            self._progress.advance(size)
            unread -= size
        self._store_all(queue, waiting)

    def _changed(self, item: Path | Document) -> _Source | None:
        """The source to read, None where the index holds it unchanged."""
        document = item if isinstance(item, Document) else None
        if isinstance(item, Document):
            path, content_hash, size = item.source, document_hash(item, titled=True), len(item.text.encode())
        else:
            path = str(item)
            try:
                with open_file(item, self._config.max_file_mb * 1_000_000) as opened:
                    content_hash = hashlib.file_digest(opened, "sha256").digest()  # type: ignore[arg-type]
                    size = opened.tell()
            except OSError:
                content_hash, size = b"", 0  # load() says what is wrong with it
        record = self._store.source(path)
        same = record is not None and record.content_hash == content_hash
        if record is not None and same and record.complete:
            self.tally.unchanged += 1
            return None
        return _Source(path, content_hash, size, document, replaces=record is not None and not same, resumed=same)

    def _documents(self, file: _Source) -> Iterator[Document | Skipped]:
        if file.document is None:
            yield from load(Path(file.path), self._config)
        elif any(char.isalnum() for char in file.document.text):
            yield file.document
        else:
            raise UnreadableDocumentError(f"{file.path} holds no text", hint="leave it out")

    def _read(self, file: _Source) -> Iterator[_Prepared]:
        """The documents of a file that are not in the index yet, cut into passages."""
        source = self._store.source(file.path) if file.resumed else None
        held = self._store.origins(source.source_id) if source is not None else {}
        skipped: list[Skipped] = []
        try:
            for document in self._documents(file):
                if isinstance(document, Skipped):
                    skipped.append(document)
                    continue
                # A title that stems from a file's name is no part of the content.
                titled = file.document is not None or document.source != file.path
                content_hash = document_hash(document, titled=titled)
                if held.get(document.source) == content_hash:
                    continue
                passages = split(document, self._tokenizer, self._made_with.passage_tokens)
                file.unread += 1
                yield _Prepared(file, document, content_hash, passages)
            file.whole = True
            self.tally.skipped += skipped
        except InputError as error:
            file.failed = True
            self.tally.failed.append(Failure(file.path, error.message, error.hint))

    # --- storing

    def _store_all(self, queue: list[_Prepared], waiting: list[_Source]) -> None:
        """Embed and store the queue, mark files as complete that are; empties both lists."""
        # A file that failed keeps the content it had in the index; of a new one, what could be read is stored.
        kept = [p for p in queue if not (p.file.failed and p.file.replaces)]
        self._progress.start("embedding", sum(len(p.passages) for p in kept), "passages")
        done = [file for file in waiting if file.whole and not file.unread]
        batch: list[_Prepared] = []
        size = 0
        for position, prepared in enumerate(kept):
            batch.append(prepared)
            size += len(prepared.passages)
            following = kept[position + 1].file if position + 1 < len(kept) else None
            inside_replacement = following is prepared.file and prepared.file.replaces
            if (size >= COMMIT_PASSAGES or following is None) and not inside_replacement:
                self._store_batch(batch, done)
                batch, size, done = [], 0, []
        if done:
            self._store_batch([], done)
        queue.clear()
        waiting[:] = [file for file in waiting if not file.whole and not file.failed]

    def _store_batch(self, batch: Sequence[_Prepared], done: Sequence[_Source]) -> None:
        """Embed some documents and commit them in one transaction, with the files that this completes."""
        self._embed(batch)
        finished = list(done)
        tally = _Tally()
        with self._store.transaction():
            source_ids: dict[str, int] = {}
            detached: list[int] = []
            for prepared in batch:
                file = prepared.file
                if file.path not in source_ids:
                    source_ids[file.path], left = self._begin(file, batch)
                    detached += left
                self._store_document(source_ids[file.path], prepared, tally)
                file.unread -= 1
                if file.whole and not file.unread:
                    finished.append(file)
            for file in finished:
                self._store.put_source(file.path, file.content_hash, file.size, complete=True)
            self._store.remove_orphans(detached)
        for file in finished:
            self.tally.replaced += file.replaces
            self.tally.added += not file.replaces
        self.tally.documents += tally.documents
        self.tally.passages += tally.passages
        self.tally.duplicates += tally.duplicates

    def _begin(self, file: _Source, batch: Sequence[_Prepared]) -> tuple[int, list[int]]:
        """The id of a file's source, and the documents it no longer holds: they are removed last, since they may come
        back elsewhere in it."""
        source_id = self._store.put_source(file.path, file.content_hash, file.size, complete=False)
        if file.replaces:
            new = {p.document.source: p.content_hash for p in batch if p.file is file}
            held = self._store.origins(source_id)
            return source_id, self._store.detach(source_id, [o for o, digest in held.items() if new.get(o) != digest])
        if file.resumed:
            return source_id, self._store.detach(source_id, [p.document.source for p in batch if p.file is file])
        return source_id, []

    def _store_document(self, source_id: int, prepared: _Prepared, tally: _Tally) -> None:
        document, digest = prepared.document, prepared.content_hash
        held = self._store.document_id(digest)
        if self._store.add_document(source_id, document, digest, prepared.passages, prepared.vectors):
            tally.documents += 1
            tally.passages += len(prepared.passages)
        elif held is not None:
            same_as = self._store.document(held).source
            if same_as != document.source:
                tally.duplicates.append(Duplicate(document.source, same_as))

    def _embed(self, batch: Sequence[_Prepared]) -> None:
        """Embed the documents of a batch that the store does not hold."""
        fresh: dict[bytes, _Prepared] = {}
        for prepared in batch:
            if prepared.content_hash in fresh or self._store.document_id(prepared.content_hash) is not None:
                self._progress.advance(len(prepared.passages))
            else:
                fresh[prepared.content_hash] = prepared
        began = time.perf_counter()
        texts = [embedding_text(passage) for prepared in fresh.values() for passage in prepared.passages]
        at = Path(batch[-1].file.path).name if batch else ""
        vectors = self._embedder.embed(texts, on_progress=lambda count: self._progress.advance(count, at))
        self.tally.embedding_seconds += time.perf_counter() - began
        first = 0
        for prepared in fresh.values():
            prepared.vectors = vectors[first : first + len(prepared.passages)]
            first += len(prepared.passages)


def _size(item: Path | Document) -> int:
    """Bytes of a file, 0 where it cannot be told, or of a document's text."""
    if isinstance(item, Document):
        return len(item.text)
    try:
        return item.stat().st_size
    except OSError:
        return 0
