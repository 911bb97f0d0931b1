"""Passages for packing: what a context needs of thousands of them, in a few statements.

Columns are read, and their types checked, as a whole. Of most candidates a context takes nothing but a line in its log:
texts are read, and passages made, of those alone that are looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

from ragyena.documents.candidates import StoredCandidates
from ragyena.documents.packing_rows import PackingColumns
from ragyena.errors import IndexCorruptError
from ragyena.index.search import Ranking
from ragyena.index.store import Store
from ragyena.index.vectors import REPAIR
from ragyena.types import ScoredPassage, in_bulk

__all__ = ["Candidates"]

ROWS = (
    "SELECT p.passage_id, p.document_id, p.start, p.end, k.token_ids, k.offsets, k.header_ids, k.signature"
    " FROM passages p LEFT JOIN packing k ON k.passage_id = p.passage_id AND k.tokenizer_id = {tokenizer_id:d}"
)
TYPES = (*(int, int, int, int), *(object,) * 4)


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
        statement = ROWS.format(tokenizer_id=known[0][0] if known else -1)
        stored = {
            row[0]: row for row in store.select(statement, [i for i, _ in ranked], key="p.passage_id", types=TYPES)
        }
        held = [(*stored[i], score) for i, score in ranked if i in stored]
        columns: list[Sequence[Any]] = list(zip(*held)) or [()] * 9
        self.passage_ids, self.document_ids, self.starts, self.ends = columns[:4]
        self.scores = columns[8]
        for column in columns[4:8]:
            if wrong := set(map(type, column)) - {bytes, type(None)}:
                raise self.damage(f"a value of type {wrong.pop().__name__} where there should be bytes")
        self.packing = PackingColumns(*columns[4:8])
        self._origins = store.first_origins(self.document_ids)
        self.sources = [self._origins.get(i, "") for i in self.document_ids]
        self._dense = list(map(ranking.dense_scores.get, self.passage_ids))
        self._lexical = list(map(ranking.lexical_scores.get, self.passage_ids))
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
                raise IndexCorruptError(
                    f"{self._store.path} no longer holds {len(unmade) - len(passages)} of the passages found",
                    hint="they were removed since: ask again, or check the index: ragyena index verify",
                )
            columns: dict[str, Sequence[object]] = {
                "passage": passages,
                "score": [self.scores[i] for i in unmade],
                "dense_score": [self._dense[i] for i in unmade],
                "lexical_score": [self._lexical[i] for i in unmade],
            }
            self._made.update(zip(unmade, in_bulk(ScoredPassage, len(unmade), columns)))
        return [self._made[i] for i in positions]
