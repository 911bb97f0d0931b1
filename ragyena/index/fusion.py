"""Reciprocal rank fusion: several rankings of the same things into one (Cormack, Clarke and Büttcher 2009)."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["fuse", "strictly_decreasing"]


def fuse(rankings: Sequence[Sequence[int]], k: int) -> list[tuple[int, float]]:
    """Ids with fused scores, best first: an id scores the sum of 1 / (k + rank) over the rankings that hold it, ranks
    from 1. Scores are strictly decreasing; of equal sums the smaller id comes first.

    A ranking lists each id at most once.
    """
    ranks: dict[int, list[int]] = {}
    for ranking in rankings:
        for rank, item in enumerate(ranking, start=1):
            ranks.setdefault(item, []).append(rank)
    # Summed in order of rank, so that equal sets of ranks make equal sums to the last bit.
    sums = [(item, math.fsum(1.0 / (k + rank) for rank in sorted(held))) for item, held in ranks.items()]
    return strictly_decreasing(sorted(sums, key=lambda pair: (-pair[1], pair[0])))


def strictly_decreasing(ranked: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """``ranked``, whose scores never rise, with each score that equals the one before lowered by the least there is."""
    result: list[tuple[int, float]] = []
    for item, score in ranked:
        if result and score >= result[-1][1]:
            score = math.nextafter(result[-1][1], -math.inf)
        result.append((item, score))
    return result
