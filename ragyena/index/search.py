"""Search of an open index: dense (vectors), lexical (BM25), and both fused (``fusion``).

Dense search covers the vector file and, from the store, the passages added since it was written. A lexical query is
the OR of its words, each quoted, so that no text is a syntax error. Stopwords are left out unless there is nothing
else, and so are words of very many passages while rarer ones remain: they cost the most and rank the least. In a large
index the words that are looked for have a limited number of passages together. Text written without spaces is looked
for by its characters in a full text index of its own; a passage scores the sum of both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ragyena.config import RetrieverConfig
from ragyena.documents.words import read_words
from ragyena.errors import IndexCorruptError
from ragyena.index.fusion import Matches, fused
from ragyena.index.manifest import Manifest
from ragyena.index.storage import REPAIR
from ragyena.index.store import Store
from ragyena.index.unspaced import phrases, separate
from ragyena.index.vectors import VectorIndex
from ragyena.types import ScoredPassage

__all__ = [
    "OPEN_TRIES",
    "STOPWORDS",
    "DenseView",
    "Ranking",
    "common_from",
    "filter_condition",
    "filtered_passages",
    "lexical_search",
    "query_phrases",
    "rank",
    "rarest",
    "search",
    "terms",
]

OPEN_TRIES = 5
"""A vector file may be replaced between reading the manifest and opening it; then the manifest is read again."""
EXACT_MOST = 5_000
"""Most passages kept by filters of which each is compared, whatever the kind of the vector file."""
MOST_TERMS = 32
MOST_CONSIDERED = 512
"""Different words of a query that are looked up at all."""
COMMON = 0.1
"""A word in more than this part of all passages is left out while there are rarer ones."""
LEAST_RARE = 2
"""...at least this many."""
LARGE = 100_000
"""Rows of a full text index up to which the rows of a query are not limited."""
ROWS_MOST = 300_000
"""Rows that the words of a query may have together: some ten milliseconds once their lists are read."""

STOPWORDS = frozenset(read_words(__file__, "stopwords"))

_WORD = re.compile(r"[^\W_]+")


def search(
    store: Store,
    dense: DenseView | None,
    query: str,
    query_vector: npt.NDArray[np.float32] | None,
    config: RetrieverConfig,
    k: int,
    filters: Mapping[str, str] | None,
) -> list[ScoredPassage]:
    """The best ``k`` passages, best first, with strictly decreasing scores; equal ones by id.

    ``dense`` and ``query_vector`` [D] are needed unless ``config.mode`` is lexical.
    """
    with store.snapshot():
        ranking = rank(store, dense, query, query_vector, config, k, filters)
        passages = {p.passage_id: p for p in store.passages(ranking.ranked.ids.tolist())}
    dense_scores, lexical_scores, similarities = ranking.components()
    return [
        ScoredPassage(passages[i], score, dense_scores.get(i), lexical_scores.get(i), similarities.get(i))
        for i, score in ranking.ranked
        if i in passages
    ]


class Ranking(NamedTuple):
    """The result of a search before any passage is read."""

    ranked: Matches
    """At most as many as wanted, with strictly decreasing scores."""
    by_vector: Matches
    by_words: Matches
    bundled: bool
    """The vectors are those of the bundled embedder."""

    def components(self) -> tuple[dict[int, float], dict[int, float], dict[int, float]]:
        """Cosines and BM25 scores by id, and the cosines once more where they are those of the bundled embedder."""
        cosines = dict(self.by_vector)
        return cosines, dict(self.by_words), cosines if self.bundled else {}


def rank(
    store: Store,
    dense: DenseView | None,
    query: str,
    query_vector: npt.NDArray[np.float32] | None,
    config: RetrieverConfig,
    k: int,
    filters: Mapping[str, str] | None,
) -> Ranking:
    """Rank the best ``k`` passages, in a snapshot of the caller; arguments as for ``search``."""
    candidates = max(k, config.candidates)
    by_vector = by_words = Matches.of()
    if config.mode != "lexical":
        assert dense is not None and query_vector is not None
        by_vector = dense.search(store, query_vector, candidates, filters)
    if config.mode != "dense":
        by_words = lexical_search(store, query, candidates, filters)
    ranked = fused(by_vector, by_words, config, most=k)
    return Ranking(ranked, by_vector, by_words, dense is not None and dense.bundled)


# --- dense -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class DenseView:
    """An open vector file, and the vectors of the passages added since it was written."""

    file: VectorIndex | None
    tail_ids: npt.NDArray[np.int64]
    tail: npt.NDArray[np.float32]
    bundled: bool
    """The vectors are those of the bundled embedder."""

    @classmethod
    def open(cls, folder: Path, manifest: Manifest, store: Store) -> DenseView:
        """Open the vector file that the manifest of ``folder`` names. Raises IndexCorruptError."""
        file = None
        for attempt in range(OPEN_TRIES):
            try:
                file = (
                    VectorIndex.open(folder, manifest.vectors, manifest.dimension)
                    if manifest.vectors is not None
                    else None
                )
                break
            except FileNotFoundError as error:
                missing, manifest = manifest.vectors, Manifest.read(folder)
                if attempt == OPEN_TRIES - 1 or manifest.vectors == missing:
                    raise IndexCorruptError(
                        f"{error.filename} is missing",
                        hint=REPAIR,
                    ) from error
        after = manifest.vectors.last_id if manifest.vectors is not None else 0
        batches = [*store.vectors(manifest.dimension, after=after)]
        return cls(
            file,
            np.concatenate([np.empty(0, np.int64), *(ids for ids, _ in batches)]),
            np.concatenate([np.empty((0, manifest.dimension), np.float32), *(vectors for _, vectors in batches)]),
            manifest.has_bundled_embedder,
        )

    def search(
        self, store: Store, query: npt.NDArray[np.float32], count: int, filters: Mapping[str, str] | None
    ) -> Matches:
        """Ids and cosines of the nearest passages that are in the store now."""
        allowed = filtered_passages(store, filters) if filters else None
        ids, scores = np.empty(0, np.int64), np.empty(0, np.float32)
        if self.file is not None and not self.file.exact:
            few = allowed is not None and len(allowed) <= EXACT_MOST
            near = allowed if allowed is not None and few else self.file.search(query, count, allowed)[0]
            ids, stored = store.vectors_of(near.tolist(), len(query))
            scores = stored.astype(np.float32) @ query
            if few:
                return _best(store, ids, scores, count)  # those of the tail are among them
        elif self.file is not None:
            ids, scores = self.file.search(query, count, allowed)
        tail_ids, tail = self.tail_ids, self.tail
        if allowed is not None:
            kept = np.isin(tail_ids, allowed)
            tail_ids, tail = tail_ids[kept], tail[kept]
        ids, scores = np.concatenate([ids, tail_ids]), np.concatenate([scores, tail @ query])
        return _best(store, ids, scores, count, all_present=self._all_present(store))

    def _all_present(self, store: Store) -> bool:
        """True where no passage of an exact view was removed since, which costs no look at any of them: ids are never
        used again, so that the store holds these passages, and as many, or fewer of them."""
        if self.file is None or not self.file.exact:
            return False
        last = int(self.tail_ids[-1]) if len(self.tail_ids) else self.file.last_id
        newest, total = store.extent()
        return newest <= last and total == self.file.count + len(self.tail_ids)


def _best(
    store: Store,
    ids: npt.NDArray[np.int64],
    scores: npt.NDArray[np.float32],
    count: int,
    *,
    all_present: bool = False,
) -> Matches:
    """The ``count`` best of these passages that are in the store, equal ones by id. Raises IndexCorruptError."""
    if not np.isfinite(scores).all():
        raise IndexCorruptError(f"vectors of {store.path.parent} are damaged: they are no numbers", hint=REPAIR)
    order = np.lexsort((ids, -scores))
    if all_present:
        best = order[:count]
        return Matches(ids[best], scores[best])
    kept, held = [order[:0]], 0
    for first in range(0, len(order), max(1, count)):  # of those removed since, there are few
        some = order[first : first + count]
        present = store.existing(ids[some].tolist())
        if len(present) < len(some):
            some = some[np.array([i in present for i in ids[some].tolist()], np.bool_)]
        kept.append(some)
        held += len(some)
        if held >= count:
            break
    best = np.concatenate(kept)[:count]
    return Matches(ids[best], scores[best])


# --- lexical ---------------------------------------------------------------------------------------------------


def terms(query: str) -> list[str]:
    """The different words of ``query``, folded, in order; stopwords only where there is nothing else."""
    words = list(dict.fromkeys(word.casefold() for word in _WORD.findall(query)))
    return [word for word in words if word not in STOPWORDS] or words


def query_phrases(query: str) -> dict[str, list[str]]:
    """The quoted phrases to look for, by full text index; of very many the first."""
    spaced, unspaced = separate(query)
    return {
        "lexicon": [_quoted(word) for word in terms(spaced)][:MOST_CONSIDERED],
        "characters": [_quoted(phrase) for phrase in phrases(query) if unspaced][:MOST_CONSIDERED],
    }


def lexical_search(store: Store, query: str, count: int, filters: Mapping[str, str] | None = None) -> Matches:
    """Passage ids and BM25 scores (larger is better), best first, equal ones by id; within what ``filters`` keep."""
    if count == 0:
        return Matches.of()
    scored = [
        store.postings.score(table, chosen)
        for table, words in query_phrases(query).items()
        if words and (chosen := _chosen(store, table, words))
    ]
    if not scored:
        return Matches.of()
    ids, scores = scored[0] if len(scored) == 1 else _sums(scored)
    if filters:
        kept = np.isin(ids, filtered_passages(store, filters), assume_unique=True)
        ids, scores = ids[kept], scores[kept]
    if len(ids) > count:
        least = np.partition(scores, len(scores) - count)[len(scores) - count]
        kept = scores >= least
        ids, scores = ids[kept], scores[kept]
    best = np.lexsort((ids, -scores))[:count]
    return Matches(ids[best], scores[best])


def _sums(
    scored: Sequence[tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Ids and the sums of their scores."""
    ids, places = np.unique(np.concatenate([some for some, _ in scored]), return_inverse=True)
    sums = np.zeros(len(ids))
    np.add.at(sums, places, np.concatenate([some for _, some in scored]))
    return ids, sums


def _chosen(store: Store, table: str, words: list[str]) -> list[str]:
    """``words`` without those in too many passages, the rarest ones if they are too many."""
    total = store.postings.totals(table).rows
    if len(words) > LEAST_RARE:
        limit = common_from(total)
        words = rarest(words, store.postings.count(table, words, limit), limit)
    return words if total <= LARGE else _affordable(words, store.postings.count(table, words))


def _affordable(words: Sequence[str], counts: Sequence[int]) -> list[str]:
    """The rarest of ``words``, in order, that are in ``ROWS_MOST`` passages together; one at least."""
    ranked = sorted(range(len(words)), key=lambda place: counts[place])
    rows = np.cumsum([counts[place] for place in ranked])
    return [words[place] for place in sorted(ranked[: max(1, int(np.count_nonzero(rows <= ROWS_MOST)))])]


def common_from(total: int) -> int:
    """The number of passages, of ``total``, from which on a word in them is a common one."""
    return max(1, int(COMMON * total)) + 1


def rarest(words: Sequence[str], counts: Sequence[int], limit: int) -> list[str]:
    """The subset of ``words``, in order, to look for: the rare ones where there are enough of them, the rarest
    ``MOST_TERMS`` at most. ``counts`` are passages with each word, ``limit`` for that and more."""
    counted = sorted((count, position, word) for position, (word, count) in enumerate(zip(words, counts)) if count)
    rare = [entry for entry in counted if entry[0] < limit]
    kept = (rare if len(rare) >= LEAST_RARE else counted)[:MOST_TERMS]
    return [word for _, _, word in sorted(kept, key=lambda entry: entry[1])]


def _quoted(word: str) -> str:
    return '"' + word.replace('"', '""') + '"'


# --- filters ---------------------------------------------------------------------------------------------------


def filter_condition(filters: Mapping[str, str]) -> tuple[str, list[str]]:
    """A condition on ``document_id`` in SQL, with its parameters, that keeps the documents ``filters`` name.

    ``source`` is matched against each path the document came from (or the end of one), ``title`` against its title, any
    other key against the metadata field of that name. ``*``, ``?`` and ``[...]`` are wildcards.
    """
    conditions, parameters = [], []
    for key, value in filters.items():
        pattern = value if any(c in value for c in "*?[") else value.replace("[", "[[]")
        if key == "source":
            tests = " OR ".join(["origin GLOB ?"] * 4)
            conditions.append(f"document_id IN (SELECT document_id FROM origins WHERE {tests})")
            parameters += [pattern, f"*/{pattern}", f"{pattern}#*", f"*/{pattern}#*"]
        elif key == "title":
            conditions.append("document_id IN (SELECT document_id FROM documents WHERE json_extract(title,'$') GLOB ?)")
            parameters.append(pattern)
        else:
            conditions.append(
                "document_id IN (SELECT d.document_id FROM documents d, json_each(d.metadata) m"
                " WHERE m.key = ? AND m.value GLOB ?)"
            )
            parameters += [key, pattern]
    return " AND ".join(conditions) or "1", parameters


def filtered_passages(store: Store, filters: Mapping[str, str]) -> npt.NDArray[np.int64]:
    condition, parameters = filter_condition(filters)
    statement = f"SELECT passage_id FROM passages WHERE {condition} ORDER BY passage_id"
    rows = store.rows(statement, parameters, types=(int,))
    return np.fromiter((i for (i,) in rows), np.int64, len(rows))
