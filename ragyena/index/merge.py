"""Merging indexes into one by copying their rows. Interrupted, it goes on where it was.

Indexes that share no id, as the shards of one build, keep their ids, which are those that one process would have given.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from ragyena.errors import UsageError
from ragyena.index.copying import Copier, SourceRecords
from ragyena.index.manifest import Manifest, is_index
from ragyena.index.store import STORE_NAME, Store
from ragyena.index.vectors import VectorFile
from ragyena.index.writer import Writer, create_like, remove_log
from ragyena.types import Progress, Silent

__all__ = ["COMMIT_PASSAGES", "MergeReport", "merge"]

COMMIT_PASSAGES = 4096
"""Passages copied between two commits."""


@dataclass(frozen=True, slots=True)
class MergeReport:
    """The result of merging indexes into one."""

    index: Path
    merged: tuple[Path, ...]
    documents: int
    """Documents copied now."""
    passages: int
    """Passages copied now."""
    present: int
    """Documents that it held already: of an interrupted merge, or that stand in several of the indexes."""
    ids_kept: bool
    """True where every passage has the id it had."""
    total_documents: int
    total_passages: int
    vectors: VectorFile | None
    seconds: float


@dataclass(frozen=True, slots=True)
class _Document:
    """A document of one of the indexes that are merged."""

    shard: int
    document_id: int
    content_hash: bytes


def merge(folders: Sequence[Path], into: Path, *, progress: Progress | None = None) -> MergeReport:
    """Copy the documents of the indexes in ``folders`` into the one in ``into``, which is made where there is none.

    A document that several hold is stored once, with all its places. Raises UsageError where nothing is named, ``into``
    is among ``folders``, or two hold different contents of one file; IndexMismatchError where they were not made alike;
    and what opening an index raises.
    """
    began = time.perf_counter()
    progress = progress or Silent()
    if not folders or into in folders:
        raise UsageError(
            f"{into} cannot be merged into itself" if folders else "no index to merge was named",
            hint="name the indexes to merge, and another one after --index",
        )
    manifests = [Manifest.read(folder) for folder in folders]
    for folder, manifest in zip(folders, manifests):
        manifests[0].check_alike(folders[0], manifest, folder)
    if is_index(into):
        Manifest.read(into).check_alike(into, manifests[0], folders[0])
    else:
        create_like(into, manifests[0])
    with ExitStack() as opened:
        shards = [opened.enter_context(closing(Store(folder / STORE_NAME))) for folder in folders]
        for shard in shards:
            opened.enter_context(shard.snapshot())
        writer = opened.enter_context(Writer(into))
        store = writer.store
        records = SourceRecords(store)
        for shard in [store, *shards]:
            records.take(shard)
        documents = [document for number, shard in enumerate(shards) for document in _documents(number, shard)]
        kept = _ids_can_stay(documents, shards, store)
        if kept:
            documents.sort(key=lambda document: document.document_id)  # rows are appended in the order of their ids
        copiers = [Copier(shard, store) for shard in shards]
        progress.start("merging", sum(shard.counts().passages for shard in shards), "passages")
        copied = passages = 0
        for batch in _batches(documents, shards):
            with store.transaction():
                for document, count in batch:
                    new = _copy(document, copiers[document.shard], shards[document.shard], store, records, keep=kept)
                    copied, passages = copied + new, passages + new * count
            progress.advance(sum(count for _, count in batch))
        with store.transaction():
            records.finish()
        counts = store.counts()
        progress.start("writing vectors", counts.passages, "passages")
        writer.refresh()
        progress.advance(counts.passages)
        vectors = writer.manifest.vectors
    remove_log(into)
    return MergeReport(
        index=into,
        merged=tuple(folders),
        documents=copied,
        passages=passages,
        present=len(documents) - copied,
        ids_kept=kept,
        total_documents=counts.documents,
        total_passages=counts.passages,
        vectors=vectors,
        seconds=time.perf_counter() - began,
    )


def _documents(number: int, shard: Store) -> list[_Document]:
    rows = shard.rows("SELECT document_id, content_hash FROM documents ORDER BY document_id", types=(int, bytes))
    return [_Document(number, document_id, content_hash) for document_id, content_hash in rows]


def _ids_can_stay(documents: Sequence[_Document], shards: Sequence[Store], target: Store) -> bool:
    """True where no two of the documents, each taken once, and none of those in the target share an id of a document or
    of a passage. Documents that an interrupted merge has copied with their ids do not count."""
    first: dict[bytes, _Document] = {}
    for document in documents:
        first.setdefault(document.content_hash, document)
    held = {document.content_hash: document.document_id for document in _documents(-1, target)}
    copied = {content_hash for content_hash, one in first.items() if held.get(content_hash) == one.document_id}
    taken = [(target, document_id) for content_hash, document_id in held.items() if content_hash not in copied]
    taken += [(shards[document.shard], document.document_id) for document in first.values()]
    if len({document_id for _, document_id in taken}) < len(taken):
        return False
    passages = [passage_id for store, document_id in taken for passage_id in store.passage_ids(document_id).tolist()]
    return len(set(passages)) == len(passages)


def _batches(documents: Sequence[_Document], shards: Sequence[Store]) -> Iterator[list[tuple[_Document, int]]]:
    """The documents with their numbers of passages, in batches of about ``COMMIT_PASSAGES`` of these."""
    batch: list[tuple[_Document, int]] = []
    size = 0
    for document in documents:
        count = len(shards[document.shard].passage_ids(document.document_id))
        batch.append((document, count))
        size += count
        if size >= COMMIT_PASSAGES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _copy(
    document: _Document, copier: Copier, shard: Store, target: Store, records: SourceRecords, *, keep: bool
) -> bool:
    """Copy a document, unless the target holds its content, and note its places; True where it was copied."""
    document_id = target.document_id(document.content_hash)
    new = document_id is None
    if document_id is None:
        passage_ids = {i: i for i in shard.passage_ids(document.document_id).tolist()} if keep else None
        document_id = copier.document(document.document_id, document.document_id if keep else None, passage_ids)
    for path, origin in copier.origins(document.document_id):
        records.add_origin(path, origin, document_id)
    return new
