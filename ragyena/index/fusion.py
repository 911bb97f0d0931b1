"""Fusion of a dense and a lexical ranking: by a weighted sum of their scores, or by reciprocal rank."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ragyena.config import RetrieverConfig

__all__ = ["UNSEEN", "Matches", "convex", "fuse", "fused", "strictly_decreasing"]

Matches = list[tuple[int, float]]
"""Passage ids with scores, best first."""

UNSEEN = 0.6
"""The cosine of a passage that the dense search did not return, as a part of the lowest that it did."""


def fused(by_vector: Matches, by_words: Matches, config: RetrieverConfig, *, most: int | None = None) -> Matches:
    """The matches of a search, best first, ``most`` of them, with strictly decreasing scores. In a mode other than
    hybrid one of the two is empty."""
    if config.mode != "hybrid":
        return strictly_decreasing((by_vector or by_words)[:most])
    if config.fusion == "rrf":
        return fuse([[i for i, _ in by_vector], [i for i, _ in by_words]], config.rrf_k, most=most)
    return convex(by_vector, by_words, config.dense_weight, most=most)


def convex(by_vector: Matches, by_words: Matches, dense_weight: float, *, most: int | None = None) -> Matches:
    """Convex combination (Bruch, Gai and Ingber 2022): ids with fused scores, best first, ``most`` of them.

    An id scores ``dense_weight`` times its cosine and the rest times its BM25 score as a share of the best one. One
    that the dense search did not return has ``UNSEEN`` of the lowest cosine returned, one without the words a BM25
    score of 0. Equal ones by id. A ranking lists each id at most once.
    """
    cosines, scores = dict(by_vector), dict(by_words)
    best = max(scores.values(), default=0.0)
    lowest = min(cosines.values(), default=0.0)
    unseen = lowest * UNSEEN if lowest > 0 else lowest
    held = [*cosines, *(i for i in scores if i not in cosines)]
    ids = np.array(held, np.int64)
    sums = dense_weight * np.array([cosines.get(i, unseen) for i in held], np.float64)
    if best > 0:
        sums += (1 - dense_weight) * (np.array([scores.get(i, 0.0) for i in held], np.float64) / best)
    first = np.lexsort((ids, -sums))[:most]
    return strictly_decreasing([*zip(ids[first].tolist(), sums[first].tolist())])


def fuse(rankings: Sequence[Sequence[int]], k: int, *, most: int | None = None) -> list[tuple[int, float]]:
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
    return strictly_decreasing([*zip(ids[best].tolist(), scores[best].tolist())])


def strictly_decreasing(ranked: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Lower each score that equals the one before by the least float; ``ranked`` has scores that never rise."""
    result: list[tuple[int, float]] = []
    for item, score in ranked:
        if result and score >= result[-1][1]:
            score = math.nextafter(result[-1][1], -math.inf)
        result.append((item, score))
    return result
