"""Crossings of two measured curves: the length at which one reader becomes the faster one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Crossover", "crossovers"]

Curve = Sequence[tuple[float, float]]
"""(x, y), both above 0."""


@dataclass(frozen=True, slots=True)
class Crossover:
    """One crossing."""

    x: float
    """Interpolated on logarithmic axes, straight between measured points."""
    after: float
    before: float
    """The measured places that it lies between."""
    lower_after: int
    """The curve that is lower beyond it: 0 the first, 1 the second."""


def crossovers(first: Curve, second: Curve) -> list[Crossover]:
    """The crossings of two curves where both were measured, from left to right; curves that touch do not cross."""
    a, b = sorted(first), sorted(second)
    if not a or not b:
        return []
    low, high = max(a[0][0], b[0][0]), min(a[-1][0], b[-1][0])
    places = sorted({x for x, _ in (*a, *b) if low <= x <= high})
    gaps = [(x, _log_at(a, x) - _log_at(b, x)) for x in places]
    apart = [(x, gap) for x, gap in gaps if not math.isclose(gap, 0.0, abs_tol=1e-12)]
    crossings = []
    for (x1, gap1), (x2, gap2) in pairwise(apart):
        if gap1 * gap2 < 0:
            share = gap1 / (gap1 - gap2)
            x = math.exp(math.log(x1) + share * (math.log(x2) - math.log(x1)))
            crossings.append(Crossover(x, x1, x2, 0 if gap2 < 0 else 1))
    return crossings


def _log_at(curve: Curve, x: float) -> float:
    """log y at ``x``, straight between the points on logarithmic axes."""
    for (x1, y1), (x2, y2) in pairwise(curve):
        if x1 <= x <= x2:
            share = math.log(x / x1) / math.log(x2 / x1) if x2 > x1 else 0.0
            return math.log(y1) + share * (math.log(y2) - math.log(y1))
    return math.log(next(y for at, y in curve if at == x))
