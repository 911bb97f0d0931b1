"""Scores of answers, their intervals, and how well confidence separates right from wrong.

Exact match and F1 are SQuAD's (Rajpurkar et al. 2016, 2018): lower case, no punctuation, no articles, the best over
all gold answers. torchmetrics computes them.
"""

from __future__ import annotations

import importlib
import re
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ragyena.errors import MissingDependencyError

__all__ = [
    "NUMBERS_AT_ONCE",
    "SPAN_RIGHT",
    "CoveragePoint",
    "Estimate",
    "RiskCoverage",
    "Score",
    "bootstrap",
    "estimate",
    "exact_match",
    "normalize",
    "optional",
    "risk_coverage",
    "scipy_stats",
    "score",
]

SPAN_RIGHT = 0.6
"""The F1 from which a span counts as right, where right or wrong is asked."""
NUMBERS_AT_ONCE = 2_000_000  # of resamples
_MOST_POINTS = 101  # a curve of more shows no more


@dataclass(frozen=True, slots=True)
class Score:
    """Exact match and F1 of one answer, each between 0 and 1."""

    em: float
    f1: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95% bootstrap interval."""

    mean: float
    low: float
    high: float


def normalize(answer: str) -> str:
    """``answer`` as SQuAD's metrics compare it: lower case, without punctuation and articles, single spaces."""
    bare = "".join(char for char in answer.lower() if char not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())


def exact_match(prediction: str, answers: Sequence[str]) -> bool:
    """True where ``prediction`` is one of ``answers``, both normalised. Needs no optional package."""
    return normalize(prediction) in {normalize(answer) for answer in answers}


def score(prediction: str, answers: Sequence[str]) -> Score:
    """Exact match and F1 of ``prediction``, the best over ``answers``.

    Answers that are nothing but articles and punctuation do not count, unless all are; where there is no answer the
    empty prediction is right (the official script of SQuAD 2.0). Raises MissingDependencyError without torchmetrics.
    """
    squad = optional("torchmetrics.functional.text", "scoring").squad
    golds = [answer for answer in answers if normalize(answer)] or [""]
    target = {"id": "0", "answers": {"text": golds, "answer_start": [0] * len(golds)}}
    result = squad({"id": "0", "prediction_text": prediction}, target)
    return Score(em=float(result["exact_match"]) / 100, f1=float(result["f1"]) / 100)


def estimate(
    scores: Sequence[float], groups: Sequence[str], *, bounds: tuple[float, float], resamples: int, seed: int = 0
) -> Estimate:
    """The mean of ``scores`` and its interval. Whole groups are resampled: questions on one context are not
    independent of each other. With a single group nothing is known of the spread: the interval is ``bounds``, the
    least and the greatest a score can be.

    Raises MissingDependencyError without scipy, ValueError without scores.
    """
    values = np.asarray(scores, np.float64)
    if not len(values):
        raise ValueError("there are no scores to average")
    mean = float(values.mean())
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    sums, counts = np.bincount(group, weights=values), np.bincount(group)
    if len(sums) < 2:
        return Estimate(mean, *bounds)
    if np.all(values == values[0]):  # every resample has the same mean
        return Estimate(mean, mean, mean)

    def ratio(a: npt.NDArray[Any], b: npt.NDArray[Any], axis: int) -> npt.NDArray[Any]:
        return np.asarray(a.sum(axis) / b.sum(axis))

    interval = bootstrap((sums, counts.astype(np.float64)), ratio, resamples=resamples, seed=seed)
    return Estimate(mean, *interval)


@dataclass(frozen=True, slots=True)
class CoveragePoint:
    """Coverage and risk at one threshold of confidence."""

    threshold: float
    """The least confidence that is answered."""
    coverage: float
    """Fraction of all questions that is answered."""
    risk: float
    """Fraction of these whose answer does not match exactly."""


@dataclass(frozen=True, slots=True)
class RiskCoverage:
    """The curve over all questions, those without an answer included: any answer to them is wrong."""

    n: int
    aurc: float
    """Area under the curve: the mean over k of the risk of the k most confident answers (Geifman and El-Yaniv 2017).
    Answers of one confidence count as in a random order."""
    points: tuple[CoveragePoint, ...]
    """From the most confident answers to all; one for each confidence that occurs, evenly thinned where many do."""


def risk_coverage(confidences: Sequence[float], exact_matches: Sequence[float]) -> RiskCoverage:
    """The error rate of a reader that answers only the questions it is most confident of.

    Raises ValueError where there is no answer or the two are not of one length.
    """
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


def bootstrap(
    columns: Sequence[Any], statistic: Callable[..., Any], *, resamples: int, seed: int
) -> tuple[float, float]:
    """The 95% percentile interval of a statistic of rows that are resampled whole."""
    drawn = scipy_stats().bootstrap(
        columns,
        statistic,
        paired=True,
        vectorized=True,
        n_resamples=resamples,
        batch=max(1, NUMBERS_AT_ONCE // (len(columns) * len(columns[0]))),
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return float(drawn.confidence_interval.low), float(drawn.confidence_interval.high)


def scipy_stats() -> Any:
    """``scipy.stats``. Raises MissingDependencyError where scipy is not installed."""
    return optional("scipy.stats", "scoring")


def optional(module: str, purpose: str) -> Any:
    """A module of the extra ``train``. Raises MissingDependencyError where it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"{purpose} needs {module.partition('.')[0]}, which is not installed", hint="pip install 'ragyena[train]'"
        ) from error
