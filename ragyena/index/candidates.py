"""Passages for packing: what a context needs of thousands of them, in a few statements.

Columns are read, and their types checked, as a whole. Of most candidates a context takes nothing but a line in its log:
texts are read, and passages made, of those alone that are looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, overload

import numpy as np

from ragyena.documents.candidates import StoredCandidates
from ragyena.documents.packing_rows import PackingColumns
from ragyena.errors import IndexCorruptError
from ragyena.index.packing_columns import checked_bytes, damage
from ragyena.index.search import Ranking
from ragyena.index.store import Store
from ragyena.types import ScoredPassage, in_bulk

__all__ = ["Candidates"]

TOKENS = "SELECT passage_id, token_ids, offsets, header_ids FROM packing"


class Candidates(StoredCandidates):
    """The passages of a ranking that are in a store. Read the texts of those that are wanted in the same snapshot."""

    def __init__(
        self,
        store: Store,
        ranking: Ranking,
        fingerprint: str,
    ) -> None:
        """``fingerprint`` is that of the tokenizer of the tokens that are wanted."""
        self._store = store
        self._ranking = ranking
        known = store.rows("SELECT tokenizer_id FROM tokenizers WHERE fingerprint = ?", (fingerprint,), types=(int,))
        columns = store.packing_columns.read(known[0][0] if known else -1, ranking.ranked.ids)
        self.passage_ids, self.document_ids = columns.passage_ids, columns.document_ids
        self.starts, self.ends = columns.starts, columns.ends
        self.text_bytes, self.header_bytes = columns.text_bytes, columns.header_bytes
        self.shingles, self.bitmaps = columns.shingles, columns.bitmaps
        self.without_tokens = np.flatnonzero(columns.missing).tolist()
        self.scores = ranking.ranked.scores[columns.held]
        documents = self.document_ids.tolist()
        self._origins = store.packing_columns.origins(documents)
        self.sources = [self._origins.get(i, "") for i in documents]
        self._made: dict[int, ScoredPassage] = {}

    def __len__(self) -> int:
        return len(self.passage_ids)

    @overload
    def __getitem__(self, position: int) -> ScoredPassage: ...
    @overload
    def __getitem__(self, position: slice) -> list[ScoredPassage]: ...
    def __getitem__(self, position: int | slice) -> ScoredPassage | list[ScoredPassage]:
        places = range(len(self))[position]
        return self.scored([places])[0] if isinstance(places, int) else self.scored(places)

    def tokens(self, positions: Sequence[int]) -> PackingColumns:
        ids = self.passage_ids[np.array(positions, np.int64)].tolist()
        rows = {row[0]: row for row in self._store.select(TOKENS, ids, types=(int, object, object, object))}
        if len(rows) < len(ids):
            raise self._removed(len(ids) - len(rows))
        columns: list[Sequence[Any]] = list(zip(*(rows[i] for i in ids))) or [()] * 4
        for column in columns[1:]:
            checked_bytes(self._store.path, column)
        return PackingColumns(*columns[1:])

    def text(self, position: int) -> str:
        if position not in self._made:  # a pair is compared: read what the better one is near to as well
            self.scored([position])
        return self._made[position].passage.text

    def damage(self, problem: str) -> IndexCorruptError:
        return damage(self._store.path, problem)

    def scored(self, positions: Sequence[int]) -> list[ScoredPassage]:
        unmade = [i for i in positions if i not in self._made]
        if unmade:
            places = np.array(unmade, np.int64)
            ids = self.passage_ids[places]
            passages = self._store.packing_columns.passages(ids, self._origins)
            if len(passages) < len(unmade):
                raise self._removed(len(unmade) - len(passages))
            dense, lexical, similarities = ([*map(some.get, ids.tolist())] for some in self._components)
            columns: dict[str, Sequence[object]] = {
                "passage": passages,
                "score": self.scores[places].tolist(),
                "dense_score": dense,
                "lexical_score": lexical,
                "similarity": similarities,
            }
            self._made.update(zip(unmade, in_bulk(ScoredPassage, len(unmade), columns)))
        return [self._made[i] for i in positions]

    @cached_property
    def _components(self) -> tuple[dict[int, float], ...]:
        return self._ranking.components()

    def _removed(self, count: int) -> IndexCorruptError:
        return IndexCorruptError(
            f"{self._store.path} no longer holds {count} of the passages found",
            hint="they were removed since: ask again, or check the index: ragyena index verify",
        )
