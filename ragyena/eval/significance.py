"""Significance of differences between two sets of answers to the same questions.

Questions on one context are not independent of each other, so whole contexts are resampled and permuted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ragyena.eval.metrics import NUMBERS_AT_ONCE, Estimate, bootstrap, estimate, scipy_stats

__all__ = [
    "SIGNIFICANT",
    "Difference",
    "Scored",
    "Spread",
    "corrected",
    "difference",
    "differences",
    "holm",
    "paired",
    "spread",
]

SIGNIFICANT = 0.05
"""The level of the p-value under which a difference is called one."""
_PERMUTATIONS = 9999


@dataclass(frozen=True, slots=True)
class Scored:
    """The scores of one answer, each between 0 and 1."""

    context_id: str
    source: str
    em: float
    f1: float


@dataclass(frozen=True, slots=True)
class Difference:
    """Difference of the mean scores of two sets of answers to the same questions, in percent points."""

    first: str
    second: str
    source: str
    measure: str
    """``em`` or ``f1``; of retrieval ``ndcg_10``, or ``answer_recall@k``."""
    n: int
    first_mean: float
    second_mean: float
    difference: Estimate
    """First less second, with the 95% interval of a paired bootstrap over contexts."""
    p: float
    """Two-sided p-value of a paired permutation test over contexts."""
    verdict: str
    """``first``, ``second`` (the better one) or ``neither`` (no difference is shown), by ``p_holm``."""
    p_holm: float | None = None
    """``p`` corrected (Holm 1979) for the other tests that are shown with it: those over all questions are one family,
    those of single sources another. None in results from before there was a correction, whose verdict is by ``p``."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Greatest less least mean over several conditions on the same questions, in percent points.

    Chance alone makes it greater than 0; the interval is of a paired bootstrap over contexts.
    """

    conditions: tuple[str, ...]
    em: Estimate
    f1: Estimate


def differences(
    first: Mapping[str, Scored],
    second: Mapping[str, Scored],
    names: tuple[str, str],
    *,
    resamples: int,
    seed: int,
) -> list[Difference]:
    """Differences in both measures, for all questions and, where there are several sources, for each.

    Scores are by question id; questions that only one side answered do not enter. Raises ValueError where there
    is no common one.
    """
    common = [question for question in first if question in second]
    if not common:
        raise ValueError("there is no common question")
    sources = sorted({first[question].source for question in common})
    results = []
    for source in ["all", *(sources if len(sources) > 1 else ())]:
        chosen = [question for question in common if source in ("all", first[question].source)]
        a, b = [first[question] for question in chosen], [second[question] for question in chosen]
        for measure in ("em", "f1"):
            results.append(difference(a, b, names, source, measure, resamples=resamples, seed=seed))
    return results


def difference(
    first: Sequence[Scored],
    second: Sequence[Scored],
    names: tuple[str, str],
    source: str,
    measure: str,
    *,
    resamples: int,
    seed: int,
) -> Difference:
    """The difference in one measure; the two sequences are in the same order of questions."""
    sides = [[getattr(scored, measure) for scored in side] for side in (first, second)]
    groups = [scored.context_id for scored in first]
    return paired(sides[0], sides[1], groups, names, source, measure, resamples=resamples, seed=seed)


def paired(
    first: Sequence[float],
    second: Sequence[float],
    groups: Sequence[str],
    names: tuple[str, str],
    source: str,
    measure: str,
    *,
    resamples: int,
    seed: int,
) -> Difference:
    """The difference of scores between 0 and 1 of the same questions in the same order; ``groups`` are resampled."""
    a, b = 100 * np.array(first, np.float64), 100 * np.array(second, np.float64)
    gap = estimate((a - b).tolist(), groups, bounds=(-100.0, 100.0), resamples=resamples, seed=seed)
    p = _permuted(a, b, groups, seed)
    return Difference(*names, source, measure, len(a), float(a.mean()), float(b.mean()), gap, p, _verdict(gap, p), p)


def _verdict(gap: Estimate, p: float) -> str:
    return "neither" if p >= SIGNIFICANT else "first" if gap.mean > 0 else "second"


def corrected(tests: Sequence[Difference]) -> list[Difference]:
    """Tests that are shown together, in their order, each with its p-value and verdict corrected for the others."""
    results = list(tests)
    for family in (
        [place for place, test in enumerate(results) if test.source == "all"],
        [place for place, test in enumerate(results) if test.source != "all"],
    ):
        for place, p in zip(family, holm([results[at].p for at in family]), strict=True):
            results[place] = replace(results[place], p_holm=p, verdict=_verdict(results[place].difference, p))
    return results


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values corrected for their number, in their order: the family-wise error rate stays under the level however
    the tests depend on each other (Holm 1979)."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, least = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        least = max(least, min(1.0, (len(order) - rank) * p_values[place]))
        adjusted[place] = least
    return adjusted


def spread(conditions: Mapping[str, Mapping[str, Scored]], *, resamples: int, seed: int) -> Spread:
    """The spread over two conditions or more, all of the same questions; scores by condition and question id."""
    questions = [*next(iter(conditions.values()))]
    groups = [next(iter(conditions.values()))[question].context_id for question in questions]
    values = {
        measure: _spread(
            np.array([[100 * getattr(scores[q], measure) for q in questions] for scores in conditions.values()]),
            groups,
            resamples,
            seed,
        )
        for measure in ("em", "f1")
    }
    return Spread(tuple(conditions), values["em"], values["f1"])


def _spread(scores_CQ: npt.NDArray[np.float64], groups: Sequence[str], resamples: int, seed: int) -> Estimate:
    """C conditions, Q questions."""
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    sums = [np.bincount(group, weights=scores) for scores in scores_CQ]
    counts = np.bincount(group).astype(np.float64)
    means = scores_CQ.mean(1)
    value = float(means.max() - means.min())
    if len(counts) < 2:
        return Estimate(value, 0.0, 100.0)
    if np.all(scores_CQ == scores_CQ[0]):  # every resample has the spread 0
        return Estimate(value, 0.0, 0.0)

    def statistic(*columns: npt.NDArray[Any], axis: int) -> npt.NDArray[Any]:
        *condition_sums, number = columns
        ratios = np.stack([column.sum(axis) for column in condition_sums]) / number.sum(axis)
        return np.asarray(ratios.max(0) - ratios.min(0))

    return Estimate(value, *bootstrap((*sums, counts), statistic, resamples=resamples, seed=seed))


def _permuted(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64], groups: Sequence[str], seed: int) -> float:
    """The p-value: the two sides of whole contexts change places at random."""
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    sums_a, sums_b = np.bincount(group, weights=a), np.bincount(group, weights=b)
    differing = ~np.isclose(sums_a, sums_b)
    if not differing.any():
        return 1.0
    if differing.sum() == 1:  # it changes places or not: half of all permutations are as extreme on either side
        return 1.0

    def statistic(x: npt.NDArray[Any], y: npt.NDArray[Any], axis: int) -> npt.NDArray[Any]:
        return np.asarray((x - y).sum(axis))

    test = scipy_stats().permutation_test(
        (sums_a[differing], sums_b[differing]),
        statistic,
        permutation_type="samples",
        vectorized=True,
        n_resamples=_PERMUTATIONS,
        batch=max(1, NUMBERS_AT_ONCE // int(differing.sum())),
        alternative="two-sided",
        rng=np.random.default_rng(seed),
    )
    return float(test.pvalue)
