"""Passages of an index into a store that is not ours, and out of it again.

Each passage has an id made of its source, place and text, so that writing the same again changes nothing, and an
interrupted export goes on where it was. After the passages of a source are in, those of it that the index no longer
holds are deleted. Where the store's embeddings are the index's, its vectors go along: nothing is embedded again.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from ragyena.errors import PathNotFoundError, StoreError
from ragyena.index.embedder import embedding_text
from ragyena.index.external import ExternalStore, GivesVectors, id_of
from ragyena.index.index import Index
from ragyena.types import Passage, Progress, Silent

__all__ = ["ExportReport", "export", "passage_id", "remove"]

BATCH = 256
"""Passages that go into the store at once."""
LOOKED_UP = 1000
"""Passages of a source that are looked up at once, to find those that are no longer in the index."""
_NAMESPACE = uuid.UUID("6f0dd0a6-3a0c-5c55-9a55-0a6a4f5a3a11")


@dataclass(frozen=True, slots=True)
class ExportReport:
    """The result of an export."""

    store: str
    passages: int
    """Passages of the index."""
    written: int
    """Passages that were new in the store."""
    removed: int
    """Passages that were deleted from the store."""
    reused_vectors: bool
    """True where the index's vectors went along, False where the store's own embeddings were computed."""


def export(index: Index, store: ExternalStore, *, progress: Progress | None = None) -> ExportReport:
    """Write all passages of an index into a store. Raises StoreError; what was written until then stays."""
    progress = progress or Silent()
    embeddings = [e for e in store.embeddings if e.model == index.manifest.embedder]
    total = index.manifest.passages
    empty = not store.documents("a", k=1)
    progress.start(f"writing to {store.name}", total, "passages")
    written = removed = 0
    kept: dict[str, set[str]] = {}  # of sources whose passages have been written, or some of them
    for passages in _batches(index):
        by_id = {passage_id(passage): passage for passage in passages}
        held = set() if empty else _held(store, list(by_id))
        new = {id: passage for id, passage in by_id.items() if id not in held}
        _write(index, store, embeddings, new)
        written += len(new)
        for id, passage in by_id.items():
            kept.setdefault(passage.source, set()).add(id)
        whole = [source for source in kept if source != passages[-1].source]
        removed += sum(_delete(store, source, keep=kept.pop(source)) for source in whole if not empty)
        progress.advance(len(passages), passages[-1].source)
    removed += sum(_delete(store, source, keep=ids) for source, ids in kept.items() if not empty)
    return ExportReport(store.name, total, written, removed, bool(embeddings))


def remove(store: ExternalStore, source: str) -> int:
    """Delete the passages of a source, which is named exactly, and return how many. Raises PathNotFoundError where the
    store has none, StoreError."""
    removed = _delete(store, source, keep=set())
    if not removed:
        raise PathNotFoundError(
            f"{store.name} holds nothing of '{source}'", hint="name the source as citations show it: the whole path"
        )
    return removed


def passage_id(passage: Passage) -> str:
    """A UUID of the source, the place and the embedded text of a passage."""
    parts = [passage.source, passage.start, passage.end, embedding_text(passage)]
    return str(uuid.uuid5(_NAMESPACE, json.dumps(parts)))


def metadata(passage: Passage) -> dict[str, Any]:
    """The fields of a passage's document, its place without what it does not have, and its id."""
    place = {
        "source": passage.source,
        "title": passage.title,
        "headings": list(passage.heading_path),
        "page": passage.page,
        "page_label": passage.page_label,
        "line_start": passage.line_start,
        "line_end": passage.line_end,
        "block_kind": passage.kind,
        "table_header": list(passage.table_header),
        "start": passage.start,
        "end": passage.end,
        "ragyena_id": passage_id(passage),
    }
    return {**passage.metadata, **{key: value for key, value in place.items() if value not in (None, "", [])}}


def _batches(index: Index) -> Iterator[list[Passage]]:
    """All passages, those of a document together."""
    rows = index.store.rows("SELECT passage_id FROM passages ORDER BY document_id, passage_id", types=(int,))
    for first in range(0, len(rows), BATCH):
        yield index.passages([id for (id,) in rows[first : first + BATCH]])


def _write(
    index: Index, store: ExternalStore, embeddings: Sequence[GivesVectors], passages: Mapping[str, Passage]
) -> None:
    """Put passages by id into a store, with the index's vectors where it embeds as the index does."""
    if not passages:
        return
    ids, vectors = index.store.vectors_of([p.passage_id for p in passages.values()], index.manifest.dimension)
    texts = {passage.passage_id: passage.text for passage in passages.values()}
    with ExitStack() as stack:
        for each in embeddings:
            stack.enter_context(each.given([texts[int(id)] for id in ids], vectors.astype(np.float32).tolist()))
        stack.enter_context(store.failures("written to"))
        store.store.add_texts(
            [passage.text for passage in passages.values()],
            [metadata(passage) for passage in passages.values()],
            ids=list(passages),
        )


def _held(store: ExternalStore, ids: list[str]) -> set[str]:
    """The part of ``ids`` that the store holds; none where it cannot say, so that they are written again."""
    with store.failures("read"):
        try:
            return {str(id_of(document)) for document in store.store.get_by_ids(ids)}
        except NotImplementedError:
            return set()


def _delete(store: ExternalStore, source: str, *, keep: set[str]) -> int:
    """Delete what the store holds of a source but for the ids to keep."""
    removed = 0
    count = LOOKED_UP + len(keep)
    while True:
        found = [document for document, _ in store.documents(source, k=count, filters={"source": source})]
        found = [document for document in found if document.metadata.get("source") == source]
        if any(id_of(document) is None for document in found):
            raise StoreError(
                f"{store.name} gives no ids of its documents: nothing can be deleted by source",
                hint="delete them with the store's own tools",
            )
        stale = {str(id_of(document)) for document in found} - keep
        if not stale:
            return removed
        with store.failures("deleted from"):
            store.store.delete(ids=sorted(stale))
        removed += len(stale)
