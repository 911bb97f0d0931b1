"""Risk and coverage: how often a reader is wrong if it answers only the questions it is most confident of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["CoveragePoint", "RiskCoverage", "risk_coverage"]

_MOST_POINTS = 101  # a curve of more shows no more


@dataclass(frozen=True, slots=True)
class CoveragePoint:
    """What answering at one threshold of confidence comes to."""

    threshold: float
    """The least confidence that is answered."""
    coverage: float
    """Fraction of all questions that is answered."""
    risk: float
    """Fraction of these whose answer does not match exactly."""


@dataclass(frozen=True, slots=True)
class RiskCoverage:
    """The curve over all questions asked, those without an answer included: any answer to them is wrong."""

    n: int
    aurc: float
    """Area under the curve: the mean over k of the risk of the k most confident answers (Geifman and El-Yaniv 2017).
    Answers of one confidence count as in a random order."""
    points: tuple[CoveragePoint, ...]
    """From the most confident answers to all; one for each confidence that occurs, evenly thinned where many do."""


def risk_coverage(confidences: Sequence[float], exact_matches: Sequence[float]) -> RiskCoverage:
    """Raises ValueError where there is no answer or the two are not of one length."""
    confidence = np.asarray(confidences, np.float64)
    wrong = 1.0 - np.asarray(exact_matches, np.float64)
    if not len(confidence) or len(confidence) != len(wrong):
        raise ValueError(f"{len(confidence)} confidences, {len(wrong)} scores")
    order = np.argsort(-confidence, kind="stable")
    confidence, wrong = confidence[order], wrong[order]
    # answers of one confidence enter together: which of them comes first would be chance
    last = np.flatnonzero(np.append(confidence[1:] != confidence[:-1], True))
    counts = last + 1.0
    errors = np.cumsum(wrong)[last]
    ranks = np.arange(1, len(wrong) + 1)
    expected = np.interp(ranks, np.append(0.0, counts), np.append(0.0, errors))
    kept = np.unique(np.linspace(0, len(last) - 1, min(len(last), _MOST_POINTS)).round().astype(int))
    return RiskCoverage(
        n=len(wrong),
        aurc=float((expected / ranks).mean()),
        points=tuple(
            CoveragePoint(float(confidence[last[i]]), float(counts[i] / len(wrong)), float(errors[i] / counts[i]))
            for i in kept
        ),
    )
