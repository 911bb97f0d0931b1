"""Fusion of a dense and a lexical ranking: by a weighted sum of their scores, or by reciprocal rank."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Self, overload

import numpy as np
import numpy.typing as npt

from ragyena.config import RetrieverConfig

__all__ = ["UNSEEN", "Matches", "convex", "fuse", "fused", "strictly_decreasing"]

UNSEEN = 0.6
"""The cosine of a passage that the dense search did not return, as a part of the lowest that it did."""
_MINUS_ZERO = np.int64(-(2**63))
"""The bits of it."""


class Matches(Sequence[tuple[int, float]]):
    """Passage ids with scores, best first, each id once. They are kept as columns, since a long context is chosen from
    thousands; a pair is made when it is looked at."""

    __slots__ = ("ids", "scores")

    def __init__(self, ids: npt.NDArray[np.int64], scores: npt.NDArray[np.floating]) -> None:
        """Ids [N] and scores [N]."""
        self.ids = ids
        self.scores: npt.NDArray[np.float64] = scores.astype(np.float64, copy=False)

    @classmethod
    def of(cls, pairs: Sequence[tuple[int, float]] = ()) -> Self:
        """The matches of pairs that are in order."""
        ids, scores = zip(*pairs) if pairs else ((), ())
        return cls(np.array(ids, np.int64), np.array(scores, np.float64))

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[tuple[int, float]]:
        return zip(self.ids.tolist(), self.scores.tolist())

    @overload
    def __getitem__(self, place: int) -> tuple[int, float]: ...
    @overload
    def __getitem__(self, place: slice) -> Matches: ...
    def __getitem__(self, place: int | slice) -> tuple[int, float] | Matches:
        if isinstance(place, slice):
            return Matches(self.ids[place], self.scores[place])
        return int(self.ids[place]), float(self.scores[place])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Matches):
            return NotImplemented
        return np.array_equal(self.ids, other.ids) and np.array_equal(self.scores, other.scores)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Matches.of({[*self]})"


def fused(by_vector: Matches, by_words: Matches, config: RetrieverConfig, *, most: int | None = None) -> Matches:
    """The matches of a search, best first, ``most`` of them, with strictly decreasing scores. In a mode other than
    hybrid one of the two is empty."""
    if config.mode != "hybrid":
        return strictly_decreasing((by_vector or by_words)[:most])
    if config.fusion == "rrf":
        return fuse([by_vector.ids.tolist(), by_words.ids.tolist()], config.rrf_k, most=most)
    return convex(by_vector, by_words, config.dense_weight, most=most)


def convex(by_vector: Matches, by_words: Matches, dense_weight: float, *, most: int | None = None) -> Matches:
    """Convex combination (Bruch, Gai and Ingber 2022): ids with fused scores, best first, ``most`` of them.

    An id scores ``dense_weight`` times its cosine and the rest times its BM25 score as a share of the best one. One
    that the dense search did not return has ``UNSEEN`` of the lowest cosine returned, one without the words a BM25
    score of 0. Equal ones by id.
    """
    cosines, scores = by_vector.scores, by_words.scores
    best, lowest = scores.max(initial=0.0), cosines.min() if len(cosines) else 0.0
    ids = np.sort(np.concatenate([by_vector.ids, by_words.ids]))
    first_of_id = np.ones(len(ids), np.bool_)
    np.not_equal(ids[1:], ids[:-1], out=first_of_id[1:])
    ids = ids[first_of_id]
    cosines_N = np.full(len(ids), lowest * UNSEEN if lowest > 0 else lowest)
    cosines_N[np.searchsorted(ids, by_vector.ids)] = cosines
    sums_N = dense_weight * cosines_N
    if best > 0:
        scores_N = np.zeros(len(ids))
        scores_N[np.searchsorted(ids, by_words.ids)] = scores
        sums_N += (1 - dense_weight) * (scores_N / best)
    first = np.argsort(-sums_N, kind="stable")[:most]
    return strictly_decreasing(Matches(ids[first], sums_N[first]))


def fuse(rankings: Sequence[Sequence[int]], k: int, *, most: int | None = None) -> Matches:
    """Reciprocal rank fusion (Cormack, Clarke and Büttcher 2009): ids with fused scores, best first, ``most`` of them.

    An id scores the sum of 1 / (k + rank) over the rankings that hold it, ranks from 1. Scores are strictly decreasing;
    of equal sums the smaller id comes first. A ranking lists each id at most once.
    """
    weights = [1.0 / (k + rank) for rank in range(1, 1 + max(map(len, rankings), default=0))]
    held: dict[int, list[float]] = {}
    sums: dict[int, float] = {}
    for ranking in rankings:
        for item, weight in zip(ranking, weights):
            if item in sums:
                held.setdefault(item, [sums[item]]).append(weight)
            else:
                sums[item] = weight
    # Summed in order of rank, so that equal sets of ranks make equal sums to the last bit.
    sums.update((item, math.fsum(sorted(some, reverse=True))) for item, some in held.items())
    ids, scores = np.array([*sums], np.int64), np.array([*sums.values()], np.float64)
    best = np.lexsort((ids, -scores))[:most]
    return strictly_decreasing(Matches(ids[best], scores[best]))


def strictly_decreasing(ranked: Matches) -> Matches:
    """Lower each score that does not fall below the one before to the next float below that; ``ranked`` has scores that
    never rise."""
    scores = ranked.scores
    return ranked if (scores[1:] < scores[:-1]).all() else Matches(ranked.ids, _lowered(scores))


def _lowered(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    # Floats in order are integers in order, neighbours one apart, once those below zero, which grow with their size,
    # are turned around. Each score is then the least of its own and of one less than the one before.
    numbers = scores.view(np.int64)
    places = np.arange(len(scores))
    ordered = np.where(numbers < 0, _MINUS_ZERO - numbers, numbers)
    ordered = np.minimum.accumulate(ordered + places) - places
    lowered: npt.NDArray[np.float64] = np.where(ordered < 0, _MINUS_ZERO - ordered, ordered).view(np.float64)
    return lowered
