"""The measures of SQuAD 2.0's official evaluation script (Rajpurkar et al. 2018), on any questions of which some have
no answer: a withheld answer is the empty string, right where there is none, wrong elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ragyena.eval.metrics import Estimate, Score, estimate
from ragyena.model.confidence import Withholding

__all__ = ["Asked", "Squad2", "Squad2Part", "best_threshold", "squad2"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and the answer to it."""

    context_id: str
    has_answer: bool
    text: str
    """The answer as it would be without a threshold."""
    score: Score
    """Scores of ``text``; against the empty string where there is no answer (``metrics.score``)."""
    confidence: float
    no_answer: float
    """The probability of there being no answer."""


@dataclass(frozen=True, slots=True)
class Squad2Part:
    """Scores of some questions, in percent."""

    n: int
    em: Estimate
    f1: Estimate


@dataclass(frozen=True, slots=True)
class Squad2:
    """Exact match and F1 as the official script gives them."""

    threshold: float
    """Answers of less confidence are withheld, and those of less than ``odds`` times that of there being none."""
    odds: float
    whole: Squad2Part
    has_answer: Squad2Part
    no_answer: Squad2Part
    best_em: float
    """Percent, at the threshold that is best for these questions, which the script looks for with their answers."""
    best_em_threshold: float
    best_f1: float
    best_f1_threshold: float


def squad2(asked: Sequence[Asked], withholding: Withholding, *, resamples: int, seed: int) -> Squad2 | None:
    """None where all the questions have an answer, or none has one."""
    parts = [list(asked), [one for one in asked if one.has_answer], [one for one in asked if not one.has_answer]]
    if not all(parts):
        return None

    def scored(some: Sequence[Asked]) -> Squad2Part:
        at = [_at(one, withholding) for one in some]
        contexts = [one.context_id for one in some]
        em, f1 = (
            estimate([100 * v for v in values], contexts, bounds=(0.0, 100.0), resamples=resamples, seed=seed)
            for values in ([score.em for score in at], [score.f1 for score in at])
        )
        return Squad2Part(len(some), em, f1)

    best_em, em_threshold = best_threshold(asked, [one.score.em for one in asked])
    best_f1, f1_threshold = best_threshold(asked, [one.score.f1 for one in asked])
    whole, has_answer, no_answer = map(scored, parts)
    return Squad2(*withholding, whole, has_answer, no_answer, best_em, em_threshold, best_f1, f1_threshold)


def _at(one: Asked, withholding: Withholding) -> Score:
    if not withholding.withholds(one.confidence, one.no_answer):
        return one.score
    right = float(not one.has_answer)
    return Score(right, right)


def best_threshold(asked: Sequence[Asked], scores: Sequence[float]) -> tuple[float, float]:
    """The best mean of ``scores`` in percent, and the least confidence that is answered for it; 1 where it is best to
    answer nothing.

    As the script's ``find_best_thresh``: answers are added one by one, the surest first; those of one confidence too,
    so that the threshold may stand between them.
    """
    total = float(sum(not one.has_answer for one in asked))  # nothing is answered
    best, threshold = total, 1.0
    for place in sorted(range(len(asked)), key=lambda place: -asked[place].confidence):
        one = asked[place]
        if one.has_answer:
            total += scores[place]
        elif one.text:
            total -= 1
        if total > best:
            best, threshold = total, one.confidence
    return 100 * best / len(asked), threshold
