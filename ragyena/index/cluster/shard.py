"""A shard that is open for searching, in a process of its own on one of the nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ragyena.config import PipelineConfig
from ragyena.index.encoding import LARGEST
from ragyena.index.fusion import Matches
from ragyena.index.index import Index
from ragyena.index.listing import IndexedFile
from ragyena.index.postings import WORD_TABLES, Totals
from ragyena.index.search import DenseView, filtered_passages
from ragyena.types import Document, FileState, Passage

__all__ = ["LexicalQuery", "OpenShard"]


@dataclass(frozen=True, slots=True)
class LexicalQuery:
    """The phrases to look for in a full text index, and what is known of all shards."""

    phrases: tuple[str, ...]
    weights: tuple[float, ...]
    """Their inverse frequencies."""
    mean_words: float
    """Words a passage."""


class OpenShard:
    """An open shard. Ids are those of its passages and documents, which no other shard has."""

    def __init__(self, folder: str, settings: PipelineConfig) -> None:
        """Raises IndexNotFoundError, IndexFormatError, IndexCorruptError and StorageError."""
        self._index = Index.open(Path(folder), settings=settings)
        self._dense = DenseView.open(self._index.folder, self._index.manifest, self._index.store)

    def totals(self) -> dict[str, Totals]:
        """Rows and words of each full text index."""
        return {table: self._index.store.postings.totals(table) for table in WORD_TABLES}

    def count(self, table: str, phrases: Sequence[str], most: int) -> list[int]:
        """Passages with each phrase; counting ends at ``most``, unless that is negative."""
        return self._index.store.postings.count(table, phrases, most)

    def search(
        self,
        vector: npt.NDArray[np.float32] | None,
        lexical: Mapping[str, LexicalQuery],
        count: int,
        filters: Mapping[str, str] | None,
    ) -> tuple[Matches, Matches]:
        """The nearest passages to ``vector`` by cosine, and the best by BM25: ids and scores, best first."""
        store = self._index.store
        with store.snapshot():
            by_vector = self._dense.search(store, vector, count, filters) if vector is not None else Matches.of()
            by_words: dict[int, float] = {}
            for table, query in lexical.items():
                ids, scores = store.postings.score(table, query.phrases, query.weights, query.mean_words)
                if filters:
                    kept = np.isin(ids, filtered_passages(store, filters))
                    ids, scores = ids[kept], scores[kept]
                for passage_id, score in zip(ids.tolist(), scores.tolist()):
                    by_words[passage_id] = by_words.get(passage_id, 0.0) + score
        best = sorted(by_words.items(), key=lambda match: (-match[1], match[0]))
        return by_vector, Matches.of(best[:count])

    def passages(self, ids: Sequence[int]) -> list[Passage]:
        """The passages of ``ids`` that are here, in their order."""
        return self._index.passages(ids)

    def holds_document(self, document_id: int) -> bool:
        """True where a document is here."""
        return bool(
            self._index.store.rows("SELECT 1 FROM documents WHERE document_id = ?", (document_id,), types=(int,))
        )

    def neighbours(self, passage_id: int, distance: int) -> list[Passage]:
        """As ``Index.neighbours``; none where the passage is not here."""
        return self._index.neighbours(passage_id, distance)

    def document(self, document_id: int) -> Document:
        """As ``Index.document``."""
        return self._index.document(document_id)

    def file_state(self, document_id: int, source: str) -> tuple[str, FileState | None]:
        """As ``Index.file_state``, as this node sees the file."""
        return self._index.file_state(document_id, source)

    def files(self, containing: str) -> tuple[IndexedFile, ...]:
        """All files with ``containing`` in their path of which a document is here, as ``Index.files`` gives some."""
        return self._index.files(containing=containing, limit=LARGEST).files

    def refresh(self) -> bool:
        """As ``Index.refresh``."""
        changed = self._index.refresh()
        if changed:
            self._dense = DenseView.open(self._index.folder, self._index.manifest, self._index.store)
        return changed
