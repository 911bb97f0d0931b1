"""Passages for packing: what a context needs of thousands of them, in a few statements.

Columns are read, and their types checked, as a whole. Of most candidates a context takes nothing but a line in its log:
texts are read, and passages made, of those alone that are looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import numpy as np

from ragyena.documents.candidates import StoredCandidates
from ragyena.documents.packing_rows import PackingColumns
from ragyena.errors import IndexCorruptError
from ragyena.index.search import Ranking
from ragyena.index.store import Store
from ragyena.index.vectors import REPAIR
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
        ranked = ranking.ranked
        known = store.rows("SELECT tokenizer_id FROM tokenizers WHERE fingerprint = ?", (fingerprint,), types=(int,))
        columns = store.packing_columns.read(known[0][0] if known else -1, [i for i, _ in ranked])
        self.passage_ids, self.document_ids = columns.passage_ids, columns.document_ids
        self.starts, self.ends = columns.starts, columns.ends
        self.text_bytes = np.array(columns.text_bytes, np.int64)
        self.header_bytes = np.array(columns.header_bytes, np.int64)
        self._check_bytes(columns.signatures)
        self.signatures = [signature or b"" for signature in columns.signatures]
        self.without_tokens = [i for i, missing in enumerate(columns.missing) if missing]
        self.scores = [score for (_, score), held in zip(ranked, columns.held) if held]
        self._origins = store.packing_columns.origins(self.document_ids)
        self.sources = [self._origins.get(i, "") for i in self.document_ids]
        self._dense = list(map(ranking.dense_scores.get, self.passage_ids))
        self._lexical = list(map(ranking.lexical_scores.get, self.passage_ids))
        self._similarities = list(map(ranking.similarities.get, self.passage_ids))
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
        ids = [self.passage_ids[i] for i in positions]
        rows = {row[0]: row for row in self._store.select(TOKENS, ids, types=(int, object, object, object))}
        if len(rows) < len(ids):
            raise self._removed(len(ids) - len(rows))
        columns: list[Sequence[Any]] = list(zip(*(rows[i] for i in ids))) or [()] * 4
        for column in columns[1:]:
            self._check_bytes(column)
        token_ids, offsets, header_ids = columns[1:]
        return PackingColumns(token_ids, offsets, header_ids, [self.signatures[i] for i in positions])

    def _check_bytes(self, column: Sequence[Any]) -> None:
        if wrong := set(map(type, column)) - {bytes, type(None)}:
            raise self.damage(f"a value of type {wrong.pop().__name__} where there should be bytes")

    def text(self, position: int) -> str:
        if position not in self._made:  # a pair is compared: read what the better one is near to as well
            self.scored([position])
        return self._made[position].passage.text

    def damage(self, problem: str) -> IndexCorruptError:
        return IndexCorruptError(f"{self._store.path} is damaged: {problem}", hint=REPAIR)

    def scored(self, positions: Sequence[int]) -> list[ScoredPassage]:
        unmade = [i for i in positions if i not in self._made]
        if unmade:
            passages = self._store.passages([self.passage_ids[i] for i in unmade], self._origins)
            if len(passages) < len(unmade):
                raise self._removed(len(unmade) - len(passages))
            columns: dict[str, Sequence[object]] = {
                "passage": passages,
                "score": [self.scores[i] for i in unmade],
                "dense_score": [self._dense[i] for i in unmade],
                "lexical_score": [self._lexical[i] for i in unmade],
                "similarity": [self._similarities[i] for i in unmade],
            }
            self._made.update(zip(unmade, in_bulk(ScoredPassage, len(unmade), columns)))
        return [self._made[i] for i in positions]

    def _removed(self, count: int) -> IndexCorruptError:
        return IndexCorruptError(
            f"{self._store.path} no longer holds {count} of the passages found",
            hint="they were removed since: ask again, or check the index: ragyena index verify",
        )
