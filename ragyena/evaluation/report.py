"""What an evaluation came to: figures with their intervals, and what they were measured with."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ragyena.evaluation.datasets import Question
from ragyena.evaluation.experiment import Prediction
from ragyena.evaluation.metrics import Estimate, Score, auroc, estimate, score

__all__ = ["Abstention", "ConditionReport", "Report", "SourceReport", "summarize", "summarize_abstention"]


@dataclass(frozen=True, slots=True)
class SourceReport:
    """Answers to the questions of one source, or of all."""

    source: str
    n: int
    em: Estimate
    """Exact match in percent, with its 95% interval."""
    f1: Estimate
    """In percent."""


@dataclass(frozen=True, slots=True)
class Abstention:
    """How well the reader tells questions whose context holds the answer from those whose context does not."""

    answerable: int
    unanswerable: int
    auroc: float | None
    """Of ``confidence``, answerable questions as positives."""
    auroc_no_answer: float | None
    """Of ``no_answer_probability``, unanswerable questions as positives."""
    auroc_right: float | None
    """Of ``confidence``, right (exactly matching) answers as positives, all other questions as negatives."""
    threshold: float
    """The pipeline's ``reader.threshold``, at which the next three hold."""
    answered: float
    """Fraction of the answerable questions that are answered."""
    answered_em: float | None
    """Exact match, in percent, over these."""
    withheld: float
    """Fraction of the unanswerable questions that are not answered."""


@dataclass(frozen=True, slots=True)
class ConditionReport:
    """One condition: ``among`` passages compete."""

    among: int
    whole: SourceReport
    sources: tuple[SourceReport, ...]
    own_first: Estimate | None
    """Percent of questions for which the best slot is of the question's own context; None where there is no other."""
    passages: float
    """Passages in a context, on average."""
    kinds: Mapping[str, int]
    """Answers extracted, written, abstained."""
    unasked: int
    """Questions that could not be asked (too long, empty); they count as wrong."""
    tokens: int
    """Tokens read, padding included."""
    seconds: float
    """Spent reading them."""
    abstention: Abstention | None

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """A whole evaluation."""

    recipe: str
    date: str
    conditions: tuple[ConditionReport, ...]
    reader: Mapping[str, Any]
    """Name, fingerprint, parameters, device and dtype."""
    config: Mapping[str, Any]
    settings: Mapping[str, Any]
    """Pipeline settings that matter: how passages are cut, headed and retrieved."""
    data: Mapping[str, Any]
    """Numbers of questions and contexts, and the rows left out."""
    machine: Mapping[str, Any]
    seconds: float
    """Wall time of this run; figures of a resumed run include what earlier runs read."""


def summarize(
    among: int,
    questions: Sequence[Question],
    predictions: Mapping[str, Prediction],
    *,
    abstention: Abstention | None,
    resamples: int,
    seed: int,
) -> ConditionReport:
    """The figures of a condition over its answerable ``questions``, all of which have a prediction."""
    scores = {q.id: score(predictions[q.id].text, q.answers) for q in questions}

    def percent(values: Sequence[float], chosen: Sequence[Question]) -> Estimate:
        groups = [q.context_id or "" for q in chosen]
        return estimate([100 * v for v in values], groups, bounds=(0.0, 100.0), resamples=resamples, seed=seed)

    def of(source: str, chosen: Sequence[Question]) -> SourceReport:
        return SourceReport(
            source=source,
            n=len(chosen),
            em=percent([scores[q.id].em for q in chosen], chosen),
            f1=percent([scores[q.id].f1 for q in chosen], chosen),
        )

    asked = [predictions[q.id] for q in questions]
    return ConditionReport(
        among=among,
        whole=of("all", questions),
        sources=tuple(of(s, [q for q in questions if q.source == s]) for s in sorted({q.source for q in questions})),
        own_first=None if among == 1 else percent([float(p.own_first) for p in asked], questions),
        passages=statistics.fmean(p.passages for p in asked),
        kinds=dict(Counter(p.kind for p in asked)),
        unasked=sum(bool(p.problem) for p in asked),
        tokens=sum(p.tokens for p in asked),
        seconds=sum(p.seconds for p in asked),
        abstention=abstention,
    )


def summarize_abstention(
    answerable: Sequence[Question],
    unanswerable: Sequence[Question],
    predictions: Mapping[str, Prediction],
    *,
    threshold: float,
) -> Abstention | None:
    """None where there are no unanswerable questions."""
    if not unanswerable:
        return None
    with_answer = [predictions[q.id] for q in answerable]
    without = [predictions[q.id] for q in unanswerable]
    scores: list[Score] = [score(predictions[q.id].text, q.answers) for q in answerable]
    right = [p.confidence for p, s in zip(with_answer, scores) if s.em]
    wrong = [p.confidence for p, s in zip(with_answer, scores) if not s.em] + [p.confidence for p in without]
    answered = [100 * s.em for p, s in zip(with_answer, scores) if p.confidence >= threshold]
    return Abstention(
        answerable=len(with_answer),
        unanswerable=len(without),
        auroc=auroc([p.confidence for p in with_answer], [p.confidence for p in without]),
        auroc_no_answer=auroc(
            [p.no_answer_probability for p in without], [p.no_answer_probability for p in with_answer]
        ),
        auroc_right=auroc(right, wrong),
        threshold=threshold,
        answered=len(answered) / len(with_answer),
        answered_em=statistics.fmean(answered) if answered else None,
        withheld=statistics.fmean(p.confidence < threshold for p in without),
    )
