"""Files and documents into an open index: read, cut into passages, embed, commit.

What is new or changed is read and cut into passages. Passages are embedded, and every few hundred of them their
documents are committed; whatever happens then, they stay. A file that changed is replaced in one transaction; a new one
may be committed in parts and is marked as complete with the last of them: until then, the next run resumes with the
rest of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from ragyena.config import IndexConfig
from ragyena.documents.loading import load
from ragyena.documents.packing_rows import PackingRows, packing_rows
from ragyena.documents.passages import split_encoded
from ragyena.documents.reading import named
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import InputError, UnreadableDocumentError
from ragyena.index.embed_processes import Embedding, Waiting, process_count
from ragyena.index.embedder import Embedder, embedding_text
from ragyena.index.encoding import document_hash
from ragyena.index.store import Source
from ragyena.index.tracking import Stamp, content_hash
from ragyena.index.writer import Writer
from ragyena.types import Document, Passage, Progress, Skipped

__all__ = ["Change", "Duplicate", "Failure", "Ingest"]

READ_AHEAD = 20_000
"""Passages read before embedding begins: so many are held in memory, and their number is known for the progress."""
READ_AHEAD_CHARS = 64_000_000
COMMIT_PASSAGES = 256
"""Passages embedded between two commits: a process that dies loses the work on at most about so many."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be added, and the reason."""

    path: str
    message: str
    hint: str
    busy: bool = False
    """True where it changed while it was read: it may be whole later."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A document whose content the index held already."""

    source: str
    same_as: str


@dataclass(frozen=True, slots=True)
class Change:
    """The change made for one file, or one document given in Python."""

    kind: Literal["added", "replaced", "renamed", "removed"]
    path: str
    was: str = ""
    """The former path of one that was renamed."""


class _BusyError(UnreadableDocumentError):
    pass


@dataclass(slots=True)
class SourceFile:
    """A file or a document on its way into the index."""

    path: str
    content_hash: bytes
    size: int
    stamp: Stamp | None
    """Size and modification time before it was read; None for a document given in Python."""
    document: Document | None
    """The document, where it was given as one."""
    replaces: bool
    """The index holds other content of this path."""
    resumed: bool
    """The index holds a part of this content."""
    place: int | None = None
    """Bytes of it that were read; None where that is not known before its end."""
    unread: int = 0
    """Its documents that wait in the queue."""
    whole: bool = False
    """All its documents have been read."""
    failed: bool = False
    skipped: list[Skipped] = field(default_factory=list)
    """Its parts that could not be read."""


@dataclass(slots=True)
class Prepared:
    """A document that waits to be embedded and stored."""

    file: SourceFile
    document: Document
    content_hash: bytes
    passages: list[Passage]
    packing: PackingRows
    vectors: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))
    """[P, D]; empty where the store holds this content."""


@dataclass(slots=True)
class Batch:
    """Documents that are being embedded, to be committed in one transaction."""

    documents: list[Prepared]
    done: list[SourceFile]
    """Files that this completes though none of these documents is theirs."""
    fresh: dict[bytes, Prepared]
    """By content, those that neither the store nor an earlier batch holds: they get vectors."""
    waiting: Waiting


@dataclass(slots=True)
class Tally:
    """Changes made, and problems."""

    changes: list[Change] = field(default_factory=list)
    unchanged: int = 0
    documents: int = 0
    passages: int = 0
    embedding_seconds: float = 0.0
    duplicates: list[Duplicate] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


class Ingest:
    """Reads, embeds and stores files and documents."""

    def __init__(
        self, writer: Writer, config: IndexConfig, tokenizer: Tokenizer, embedder: Embedder, progress: Progress
    ) -> None:
        self.tally = Tally()
        self._store = writer.store
        self._made_with = writer.manifest.config
        self._config = config
        self._tokenizer = tokenizer
        self._embedding = Embedding(embedder, process_count(config.embed_processes))
        self._progress = progress
        self._embedded = 0
        """Passages that were embedded, or whose content the index held already."""
        self._seen: list[tuple[int, int | None]] = []
        """Unchanged sources to note as seen, with the modification time to keep."""

    def add(self, work: Sequence[Path | Document]) -> None:
        with self._embedding:
            self._add(work)
        self.tally.embedding_seconds = self._embedding.seconds

    def _add(self, work: Sequence[Path | Document]) -> None:
        queue: list[Prepared] = []
        waiting: list[SourceFile] = []  # read, but not marked as complete yet
        passages = chars = 0
        sizes = [_size(item) for item in work]
        total = unread = sum(sizes)
        self._progress.start("reading", unread, "bytes")
        for item, whole in zip(work, sizes):
            size = whole  # what is left of it
            self._progress.advance(0, (item if isinstance(item, Path) else Path(item.source)).name)
            file = self._changed(item)
            if file is not None:
                waiting.append(file)
                for prepared in self._read(file):
                    queue.append(prepared)
                    passages += len(prepared.passages)
                    chars += len(prepared.document.text)
                    part = len(prepared.document.text) if file.place is None else file.place - (whole - size)
                    part = max(0, min(part, size))
                    size, unread = size - part, unread - part
                    self._progress.advance(part)
                    # A file that replaces another is stored in one go, so it is read in one go.
                    if (passages >= READ_AHEAD or chars >= READ_AHEAD_CHARS) and not file.replaces:
                        self._store_all(queue, waiting, unread / max(1, total - unread))
                        passages = chars = 0
                        self._progress.start("reading", unread, "bytes")
            self._progress.advance(size)
            unread -= size
        self._store_all(queue, waiting)
        with self._store.transaction():
            for source_id, modified in self._seen:
                self._store.mark_seen(source_id, modified=modified)

    def _changed(self, item: Path | Document) -> SourceFile | None:
        """The source to read, None where the index holds it unchanged."""
        document = item if isinstance(item, Document) else None
        if isinstance(item, Document):
            path, digest, size = item.source, document_hash(item, titled=True), len(item.text.encode())
            stamp = None
        else:
            path = str(item)
            stamp = Stamp.of(item)
            record = self._store.source(path)
            if record is not None and record.complete and stamp is not None and stamp.matches(record):
                self._unchanged(record, stamp)
                return None
            try:
                digest = content_hash(item, self._config.max_file_mb * 1_000_000)
            except OSError:
                digest = b""  # load() says what is wrong with it
            size = stamp.size if stamp is not None and digest else 0
        record = self._store.source(path)
        same = record is not None and record.content_hash == digest
        if record is not None and same and record.complete:
            self._unchanged(record, stamp)
            return None
        replaces = record is not None and not same
        return SourceFile(path, digest, size, stamp, document, replaces=replaces, resumed=same)

    def _unchanged(self, record: Source, stamp: Stamp | None) -> None:
        self.tally.unchanged += 1
        modified = stamp.kept if stamp is not None else None
        if record.missing_since is not None or modified != record.modified:
            self._seen.append((record.source_id, modified))

    def _documents(self, file: SourceFile) -> Iterator[Document | Skipped]:
        def note(place: int) -> None:
            file.place = place

        if file.document is None:
            path = Path(file.path)
            for document in load(path, self._config, on_place=note):
                yield document if isinstance(document, Skipped) else named(document, path)
        elif any(char.isalnum() for char in file.document.text):
            yield file.document
        else:
            raise UnreadableDocumentError(f"{file.path} holds no text", hint="leave it out")

    def _read(self, file: SourceFile) -> Iterator[Prepared]:
        """The documents of a file that are not in the index yet, cut into passages."""
        source = self._store.source(file.path) if file.resumed else None
        held = self._store.origins(source.source_id) if source is not None else {}
        try:
            for document in self._documents(file):
                if isinstance(document, Skipped):
                    file.skipped.append(document)
                    continue
                # A title that stems from a file's name is no part of the content.
                titled = file.document is not None or document.source != file.path
                digest = document_hash(document, titled=titled)
                if held.get(document.source) == digest:
                    continue
                passages, encodings = split_encoded(document, self._tokenizer, self._made_with.passage_tokens)
                rows = packing_rows(passages, encodings, self._tokenizer)
                file.unread += 1
                yield Prepared(file, document, digest, passages, PackingRows(self._tokenizer.fingerprint, rows))
            if file.stamp is not None and not file.stamp.is_of(Stamp.of(Path(file.path))):
                raise _BusyError(
                    f"{file.path} changed while it was read", hint="add it again when it is no longer being written"
                )
            file.whole = True
            self.tally.skipped += file.skipped
        except InputError as error:
            file.failed = True
            file.skipped.append(Skipped(file.path, error.message, error.hint))
            self.tally.failed.append(Failure(file.path, error.message, error.hint, isinstance(error, _BusyError)))

    # --- storing

    def _store_all(self, queue: list[Prepared], waiting: list[SourceFile], rest: float = 0.0) -> None:
        """Embed and store the queue, mark files as complete that are; empties both lists.

        ``rest`` is what is left to read, in parts of what was read: it is expected to have as many passages for its
        size, so that the progress counts towards the whole rather than the queue.
        """
        # A file that failed keeps the content it had in the index; of a new one, what could be read is stored.
        kept = [p for p in queue if not (p.file.failed and p.file.replaces)]
        total = sum(len(p.passages) for p in kept)
        if total:
            self._progress.start("embedding", round((self._embedded + total) * (1 + rest)), "passages")
            self._progress.advance(self._embedded)
        self._embedded += total
        self._embedding.expect(total)
        done = [file for file in waiting if file.whole and not file.unread]
        under_way: deque[Batch] = deque()
        batch: list[Prepared] = []
        size = 0
        for position, prepared in enumerate(kept):
            batch.append(prepared)
            size += len(prepared.passages)
            following = kept[position + 1].file if position + 1 < len(kept) else None
            inside_replacement = following is prepared.file and prepared.file.replaces
            if (size >= COMMIT_PASSAGES or following is None) and not inside_replacement:
                under_way.append(self._embed(batch, done, under_way))
                batch, size, done = [], 0, []
                while len(under_way) > self._embedding.ahead:
                    self._store_batch(under_way.popleft())
        while under_way:
            self._store_batch(under_way.popleft())
        if done:
            self._store_batch(self._embed([], done, ()))
        with self._store.transaction():
            for file in waiting:  # status says why a file is not whole
                if file.failed and not file.replaces and self._store.source(file.path) is not None:
                    self._put_source(file, complete=False)
        queue.clear()
        waiting[:] = [file for file in waiting if not file.whole and not file.failed]

    def _store_batch(self, batch: Batch) -> None:
        """Commit embedded documents in one transaction, with the files that this completes."""
        self._give_vectors(batch)
        # Content that the store held when the batch was begun may have gone with a file that was replaced since.
        lost = [p for p in batch.documents if not len(p.vectors) and self._lacks(p.content_hash, [batch])]
        self._give_vectors(self._embed(lost, [], ()))
        finished = list(batch.done)
        tally = Tally()
        with self._store.transaction():
            source_ids: dict[str, int] = {}
            detached: list[int] = []
            for prepared in batch.documents:
                file = prepared.file
                if file.path not in source_ids:
                    source_ids[file.path], left = self._begin(file, batch.documents)
                    detached += left
                self._store_document(source_ids[file.path], prepared, tally)
                file.unread -= 1
                if file.whole and not file.unread:
                    finished.append(file)
            for file in finished:
                self._put_source(file, complete=True)
            self._store.remove_orphans(detached)
        for file in finished:
            self.tally.changes.append(Change("replaced" if file.replaces else "added", file.path))
        self.tally.documents += tally.documents
        self.tally.passages += tally.passages
        self.tally.duplicates += tally.duplicates

    def _begin(self, file: SourceFile, batch: Sequence[Prepared]) -> tuple[int, list[int]]:
        """The id of a file's source, and the documents it no longer holds: they are removed last, since they may come
        back elsewhere in it."""
        source_id = self._put_source(file, complete=False)
        if file.replaces:
            new = {p.document.source: p.content_hash for p in batch if p.file is file}
            held = self._store.origins(source_id)
            return source_id, self._store.detach(source_id, [o for o, digest in held.items() if new.get(o) != digest])
        if file.resumed:
            return source_id, self._store.detach(source_id, [p.document.source for p in batch if p.file is file])
        return source_id, []

    def _put_source(self, file: SourceFile, *, complete: bool) -> int:
        modified = file.stamp.kept if file.stamp is not None else None
        return self._store.put_source(
            file.path, file.content_hash, file.size, complete=complete, modified=modified, skipped=file.skipped
        )

    def _store_document(self, source_id: int, prepared: Prepared, tally: Tally) -> None:
        document, digest = prepared.document, prepared.content_hash
        held = self._store.document_id(digest)
        if self._store.add_document(source_id, document, digest, prepared.passages, prepared.vectors, prepared.packing):
            tally.documents += 1
            tally.passages += len(prepared.passages)
        elif held is not None:
            same_as = self._store.first_origins([held])[held]
            if same_as != document.source:
                tally.duplicates.append(Duplicate(document.source, same_as))

    def _embed(self, documents: list[Prepared], done: list[SourceFile], before: Iterable[Batch]) -> Batch:
        """Begin to embed the documents whose content neither the store nor the batches ``before`` hold."""
        fresh: dict[bytes, Prepared] = {}
        for prepared in documents:
            if prepared.content_hash not in fresh and self._lacks(prepared.content_hash, before):
                fresh[prepared.content_hash] = prepared
            else:
                self._progress.advance(len(prepared.passages))
        texts = [embedding_text(passage) for prepared in fresh.values() for passage in prepared.passages]
        return Batch(documents, done, fresh, self._embedding.submit(texts))

    def _lacks(self, content: bytes, batches: Iterable[Batch]) -> bool:
        """True where neither the store nor one of ``batches`` holds this content."""
        return not any(content in batch.fresh for batch in batches) and self._store.document_id(content) is None

    def _give_vectors(self, batch: Batch) -> None:
        """Wait for the vectors of a batch."""
        at = Path(batch.documents[-1].file.path).name if batch.documents else ""
        vectors = batch.waiting.result(lambda count: self._progress.advance(count, at))
        first = 0
        for prepared in batch.fresh.values():
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
