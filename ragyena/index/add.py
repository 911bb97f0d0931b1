"""Files into an open index: read, cut, embed, commit.

Three steps. *Reading*: each file is hashed, and what is new or changed is read and cut into passages. *Embedding*:
passages become vectors, and every few hundred of them their documents are committed; whatever happens then, they stay.
A file that changed is replaced in one transaction; a new one may be committed in parts, and is marked as complete with
the last of them: until then, the next run goes on with the rest of it.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ragyena.config import IndexConfig
from ragyena.documents.loading import load
from ragyena.documents.passages import split
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import InputError
from ragyena.index.index import Index
from ragyena.index.store import document_hash
from ragyena.types import Document, Passage, Progress

__all__ = ["Adder", "Duplicate", "Failure", "Tally", "embedding_text"]

READ_AHEAD = 20_000
"""Passages read before embedding begins: so many are held in memory, and their number is known for the progress."""
READ_AHEAD_CHARS = 64_000_000
COMMIT_PASSAGES = 256
"""Passages embedded between two commits: a process that dies loses the work on at most about so many."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be added, and why."""

    path: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A document whose content the index held already."""

    source: str
    same_as: str


@dataclass(slots=True)
class _File:
    """A file on its way into the index."""

    path: str
    content_hash: bytes
    size: int
    replaces: bool
    """It is in the index with other content."""
    resumed: bool
    """A part of this content is in the index."""
    unread: int = 0
    """Documents of it that wait in the queue."""
    whole: bool = False
    """All its documents have been read."""
    failed: bool = False


@dataclass(slots=True)
class _Prepared:
    """A document that waits to be embedded and stored."""

    file: _File
    document: Document
    content_hash: bytes
    passages: list[Passage]


@dataclass(slots=True)
class Tally:
    """What was done."""

    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    removed: int = 0
    documents: int = 0
    passages: int = 0
    embedding_seconds: float = 0.0
    duplicates: list[Duplicate] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)


def embedding_text(passage: Passage) -> str:
    """What stands for a passage in the dense search: title and headings, then its text, so that a passage is found
    that never names its subject."""
    return f"{passage.header}\n{passage.text}" if passage.header else passage.text


class Adder:
    """Reads, embeds and stores files."""

    def __init__(
        self, index: Index, config: IndexConfig, tokenizer: Tokenizer, tally: Tally, progress: Progress
    ) -> None:
        self._index = index
        self._store = index.store
        self._config = config
        self._tokenizer = tokenizer
        self._tally = tally
        self._progress = progress

    def add(self, files: Sequence[Path]) -> None:
        queue: list[_Prepared] = []
        waiting: list[_File] = []  # read, but not marked as complete yet
        passages = chars = 0
        self._progress.start("reading", len(files), "files")
        for path in files:
            file = self._look_at(path)
            if file is not None:
                waiting.append(file)
                for prepared in self._read(file):
                    queue.append(prepared)
                    passages += len(prepared.passages)
                    chars += len(prepared.document.text)
                    # A file that replaces another is stored in one go, so it is read in one go.
                    if (passages >= READ_AHEAD or chars >= READ_AHEAD_CHARS) and not file.replaces:
                        self._store_all(queue, waiting)
                        passages = chars = 0
                        self._progress.start("reading", None, "files")
            self._progress.advance(1)
        self._store_all(queue, waiting)

    def _look_at(self, path: Path) -> _File | None:
        """What is to be done with a file; None for nothing."""
        try:
            with path.open("rb") as opened:
                content_hash = hashlib.file_digest(opened, "sha256").digest()
                size = os.fstat(opened.fileno()).st_size
        except OSError:
            content_hash, size = b"", 0  # load() says what is wrong with it
        record = self._store.source(str(path))
        if record is not None and record.content_hash == content_hash and record.complete:
            self._tally.unchanged += 1
            return None
        same = record is not None and record.content_hash == content_hash
        return _File(str(path), content_hash, size, replaces=record is not None and not same, resumed=same)

    def _read(self, file: _File) -> Iterator[_Prepared]:
        """The documents of a file that are not in the index yet, cut into passages."""
        held: dict[str, bytes] = {}
        if file.resumed:
            source = self._store.source(file.path)
            held = self._store.origins(source.source_id) if source is not None else {}
        try:
            for document in load(Path(file.path), self._config):
                content_hash = document_hash(document, file.path)
                if held.get(document.source) == content_hash:
                    continue
                passages = split(document, self._tokenizer, self._index.config.passage_tokens)
                file.unread += 1
                yield _Prepared(file, document, content_hash, passages)
            file.whole = True
        except InputError as error:
            file.failed = True
            self._tally.failed.append(Failure(file.path, error.message, error.hint))

    # -----------------------------------------------------------------------------------------------------------
    # Storing
    # -----------------------------------------------------------------------------------------------------------

    def _store_all(self, queue: list[_Prepared], waiting: list[_File]) -> None:
        """Embeds and stores the queue, and marks as complete the files that are; empties both."""
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

    def _store_batch(self, batch: Sequence[_Prepared], done: Sequence[_File]) -> None:
        """Embeds some documents and commits them in one transaction, with the files that this completes."""
        vectors = self._embed(batch)
        finished = list(done)
        tally = Tally()
        with self._store.transaction():
            source_ids: dict[str, int] = {}
            detached: list[int] = []
            for prepared in batch:
                file = prepared.file
                if file.path not in source_ids:
                    source_ids[file.path], left = self._begin(file, batch)
                    detached += left
                self._store_document(source_ids[file.path], prepared, vectors.get(id(prepared)), tally)
                file.unread -= 1
                if file.whole and not file.unread:
                    finished.append(file)
            for file in finished:
                self._store.put_source(file.path, file.content_hash, file.size, complete=True)
            self._store.remove_orphans(detached)
        for file in finished:
            self._tally.replaced += file.replaces
            self._tally.added += not file.replaces
        self._tally.documents += tally.documents
        self._tally.passages += tally.passages
        self._tally.duplicates += tally.duplicates

    def _begin(self, file: _File, batch: Sequence[_Prepared]) -> tuple[int, list[int]]:
        """The id of a file's source, and documents that it held and holds no longer: they are removed last, for they
        may come back elsewhere in it."""
        source_id = self._store.put_source(file.path, file.content_hash, file.size, complete=False)
        if file.replaces:
            new = {p.document.source: p.content_hash for p in batch if p.file is file}
            held = self._store.origins(source_id)
            return source_id, self._store.detach(source_id, [o for o, digest in held.items() if new.get(o) != digest])
        if file.resumed:
            return source_id, self._store.detach(source_id, [p.document.source for p in batch if p.file is file])
        return source_id, []

    def _store_document(
        self, source_id: int, prepared: _Prepared, vectors: npt.NDArray[np.float32] | None, tally: Tally
    ) -> None:
        held = self._store.document_id(prepared.content_hash)
        if vectors is None:  # the store holds this content
            vectors = np.empty((0, self._index.manifest.dimension), np.float32)
        new = self._store.add_document(source_id, prepared.document, prepared.content_hash, prepared.passages, vectors)
        if new:
            tally.documents += 1
            tally.passages += len(prepared.passages)
        elif held is not None:
            same_as = self._store.document(held).source
            if same_as != prepared.document.source:
                tally.duplicates.append(Duplicate(prepared.document.source, same_as))

    def _embed(self, batch: Sequence[_Prepared]) -> dict[int, npt.NDArray[np.float32]]:
        """Vectors of the documents of a batch that the store does not hold, by the id() of each."""
        fresh: list[_Prepared] = []
        seen: set[bytes] = set()
        for prepared in batch:
            if prepared.content_hash in seen or self._store.document_id(prepared.content_hash) is not None:
                self._progress.advance(len(prepared.passages))
            else:
                seen.add(prepared.content_hash)
                fresh.append(prepared)
        began = time.perf_counter()
        texts = [embedding_text(passage) for prepared in fresh for passage in prepared.passages]
        vectors = self._index.embedder().embed(texts, on_progress=self._progress.advance)
        self._tally.embedding_seconds += time.perf_counter() - began
        result, first = {}, 0
        for prepared in fresh:
            result[id(prepared)] = vectors[first : first + len(prepared.passages)]
            first += len(prepared.passages)
        return result
