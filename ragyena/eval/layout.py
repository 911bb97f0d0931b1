"""The results of an evaluation: measures with their intervals, and the settings and machine behind them.

``Report`` is the layout of the results file, ``AnswerRow`` that of a line of the answers beside it. Both are published
(``docs/eval-results.schema.json``, ``docs/eval-answers.schema.json``): within a number of ``SCHEMA`` fields are added,
never renamed or taken away.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NotRequired

from pydantic import ConfigDict, TypeAdapter
from typing_extensions import TypedDict

from ragyena.eval.answers import Prediction
from ragyena.eval.conditions import Condition
from ragyena.eval.cost import Cost
from ragyena.eval.metrics import SPAN_RIGHT, Estimate, RiskCoverage, Score, estimate, risk_coverage, score
from ragyena.eval.questions import Question
from ragyena.eval.reliability import Reliability, reliability
from ragyena.eval.significance import Difference, Spread
from ragyena.eval.squad2 import Asked, Squad2, squad2
from ragyena.eval.timing import Latency
from ragyena.model.confidence import Withholding
from ragyena.reader.reliability import auroc

__all__ = [
    "SCHEMA",
    "Abstention",
    "AnswerRow",
    "ConditionReport",
    "Report",
    "SourceReport",
    "answer_row",
    "left_out",
    "schema_of",
    "summarize",
    "summarize_abstention",
]

SCHEMA: Final = "ragyena.eval/1"
"""The ``schema`` of a results file; older files have none."""
_PROBLEMS_KEPT = 20  # rows left out that a report names; it counts them all
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True, slots=True)
class SourceReport:
    """Answers to the questions of one source, or of all."""

    source: str
    n: int
    em: Estimate
    """Exact match in percent, with its 95% interval."""
    f1: Estimate
    """F1 in percent, with its 95% interval."""


@dataclass(frozen=True, slots=True)
class Abstention:
    """Separation, by confidence, of questions whose context holds the answer from those whose context does not."""

    answerable: int
    unanswerable: int
    auroc: float | None
    """AUROC of ``confidence``, answerable questions as positives."""
    auroc_no_answer: float | None
    """AUROC of ``no_answer_probability``, unanswerable questions as positives."""
    auroc_right: float | None
    """AUROC of ``confidence``, right (exactly matching) answers as positives, all other questions as negatives."""
    threshold: float
    """``reader.threshold`` of the settings, else the reader's own rule, at which the next three hold: answers of less
    confidence are withheld,"""
    odds: float
    """and those of less than this many times the probability of there being no answer."""
    answered: float
    """Fraction of the answerable questions that are answered."""
    answered_em: float | None
    """Exact match, in percent, over these."""
    withheld: float
    """Fraction of the unanswerable questions that are not answered."""


@dataclass(frozen=True, slots=True)
class ConditionReport:
    """One evaluation condition."""

    name: str
    title: str
    parameters: Mapping[str, Any]
    """Numbers that define the condition: passages, context tokens, position."""
    whole: SourceReport
    sources: tuple[SourceReport, ...]
    own_first: Estimate | None
    """Percent of questions for which the best slot is of the question's own context; None where there is no other."""
    own_packed: Estimate | None
    """Percent of questions with a passage of their own context in what was read; None where it is always there, or no
    question has one."""
    answer_packed: Estimate | None
    """Percent of questions with an answer, as a string, in what was read; None where it is always there."""
    passages: float
    """Passages in a context, on average."""
    kinds: Mapping[str, int]
    """Answers by kind (``ragyena.types.AnswerKind``)."""
    unasked: int
    """Questions that could not be asked (too long, empty); they count as wrong."""
    tokens: int
    """Tokens read, padding included."""
    seconds: float
    """Seconds spent reading them."""
    peak_memory_gib: float | None
    """The most GPU memory allocated while a batch was read, the reader's own included; None on a CPU."""
    peak_resident_gib: float | None
    """The most memory of the process that was resident while a batch was read, all it holds included; None where the
    system does not count it."""
    latency: Latency | None
    """Times of contexts read one by one; None where none was timed (``timed`` of the recipe)."""
    risk_coverage: RiskCoverage
    """Risk-coverage curve over all questions of the condition."""
    abstention: Abstention | None
    tokens_per_second: float
    """Tokens a second, read in batches, padding included; 0 where nothing was read."""
    cost: Cost | None = None
    """Cost of the readings of ``latency``: their parts, memory, energy; None where none was timed."""
    confidence: Reliability | None = None
    """Confidence against the answer being right, an F1 of 0.6 or more, over all questions of the condition. None in
    results from before."""
    no_answer: Reliability | None = None
    """The no-answer probability against there being no answer in what was read."""
    squad2: Squad2 | None = None
    """The official measures of SQuAD 2.0; None where no unanswerable question was asked."""


@dataclass(frozen=True, slots=True)
class Report:
    """A whole evaluation of one reader."""

    schema: Literal["ragyena.eval/1"]
    """``SCHEMA``: the version of this layout."""
    recipe: str
    date: str
    answers: str
    """The file next to the report that holds every answer and its scores."""
    conditions: tuple[ConditionReport, ...]
    differences: tuple[Difference, ...]
    """Differences between conditions, for tasks that compare them."""
    spreads: tuple[Spread, ...]
    """Spreads over conditions that differ only in the position of the own context."""
    reader: Mapping[str, Any]
    """Name, fingerprint, parameters, device and dtype."""
    reading: Mapping[str, Any]
    """The settings under ``reader`` with which it read."""
    config: Mapping[str, Any]
    """The recipe, with the flags given over it."""
    settings: Mapping[str, Any]
    """Pipeline settings that matter: how passages are cut, headed and retrieved."""
    data: Mapping[str, Any]
    """Numbers of questions and contexts, and the rows left out."""
    hashes: Mapping[str, str]
    """sha256 of the file of answers (``answers``), and a digest of the settings that shaped the contexts
    (``contexts``)."""
    machine: Mapping[str, Any]
    seconds: float
    """Wall time of this run; figures of a resumed run include what earlier runs read."""


class AnswerRow(TypedDict):
    """A line of the file of answers: one answer of the reader under one condition."""

    condition: str
    """Name of the condition."""
    question_id: str
    source: str
    context_id: str
    """Questions on one context are resampled and permuted together; empty where the question came without one."""
    question: str
    answers: list[str]
    """Gold answers; empty where the question has none."""
    answer: str
    evidence: str
    """The sentence that the reader's best span stands in; empty where there is none."""
    kind: str
    """As in ``ragyena.types.AnswerKind``."""
    confidence: float
    no_answer_probability: float
    passages: int
    """Passages in the context."""
    tokens: int
    """Tokens read, padding included."""
    seconds: float
    """The question's share of the time its batch was read in."""
    own_first: bool
    """The reader's best slot is of the question's own context."""
    own_packed: bool
    """A passage of the question's own context was read."""
    answer_packed: bool | None
    """An answer, as a string, stands in what was read; null where the condition does not measure it."""
    problem: str
    """Reason why the question was not answered (too long, empty); empty where it was."""
    em: NotRequired[float]
    """Exact match, 0 or 1; absent for questions without an answer."""
    f1: NotRequired[float]
    """F1 between 0 and 1; absent for questions without an answer."""


def schema_of(kind: type) -> dict[str, Any]:
    """The JSON schema of ``Report``, ``AnswerRow`` or ``RetrievalReport``."""
    # the tuple around it lends the class a configuration: its own would have to be pydantic's
    config = ConfigDict(use_attribute_docstrings=True)
    whole = TypeAdapter(tuple[kind], config=config).json_schema(mode="serialization")  # type: ignore[valid-type]
    definitions = whole["$defs"]
    main = definitions.pop(kind.__name__)
    return {"$schema": _DIALECT, **main, **({"$defs": definitions} if definitions else {})}


def left_out(problems: Sequence[str]) -> dict[str, Any]:
    """The rows of the data that were left out, for ``data`` of a report."""
    return {"left_out": len(problems), "left_out_first": list(problems[:_PROBLEMS_KEPT])}


def answer_row(question: Question, prediction: Prediction, score: Score | None) -> AnswerRow:
    """The row of one answer; ``score`` is None for a question without an answer."""
    row = AnswerRow(
        condition=prediction.condition,
        question_id=question.id,
        source=question.source,
        context_id=question.context_id or "",
        question=question.question,
        answers=list(question.answers),
        answer=prediction.text,
        evidence=prediction.evidence,
        kind=prediction.kind,
        confidence=round(prediction.confidence, 6),
        no_answer_probability=round(prediction.no_answer_probability, 6),
        passages=prediction.passages,
        tokens=prediction.tokens,
        seconds=round(prediction.seconds, 6),
        own_first=prediction.own_first,
        own_packed=prediction.own_packed,
        answer_packed=prediction.answer_packed,
        problem=prediction.problem,
    )
    if score is not None:
        row["em"], row["f1"] = score.em, round(score.f1, 6)
    return row


def summarize(
    condition: Condition,
    questions: Sequence[Question],
    predictions: Mapping[str, Prediction],
    scores: Mapping[str, Score],
    *,
    unanswerable: Sequence[Question],
    latency: Latency | None,
    cost: Cost | None,
    abstention: Abstention | None,
    resamples: int,
    seed: int,
) -> ConditionReport:
    """The measures of a condition over its answerable ``questions``, all of which have a prediction and a score; the
    ``unanswerable`` ones, which have a prediction, enter risk and coverage alone."""

    def percent(values: Sequence[float], chosen: Sequence[Question]) -> Estimate:
        groups = [q.context_id or q.id for q in chosen]
        return estimate([100 * v for v in values], groups, bounds=(0.0, 100.0), resamples=resamples, seed=seed)

    def of(source: str, chosen: Sequence[Question]) -> SourceReport:
        return SourceReport(
            source=source,
            n=len(chosen),
            em=percent([scores[q.id].em for q in chosen], chosen),
            f1=percent([scores[q.id].f1 for q in chosen], chosen),
        )

    answers = [predictions[q.id] for q in questions]
    own = [q for q in questions if q.context_id is not None] if condition.searches else []
    tokens, seconds = sum(p.tokens for p in answers), sum(p.seconds for p in answers)
    every = [*questions, *unanswerable]
    asked = [
        Asked(
            q.context_id or q.id,
            bool(q.answers),
            p.text,
            scores.get(q.id) or score(p.text, ()),
            p.confidence,
            p.no_answer_probability,
        )
        for q, p in ((q, predictions[q.id]) for q in every)
    ]
    contexts, confidences = [one.context_id for one in asked], [one.confidence for one in asked]
    right = [one.has_answer and bool(one.text) and one.score.f1 >= SPAN_RIGHT for one in asked]
    missing = [not q.answers or predictions[q.id].answer_packed is False for q in every]
    no_answer = [predictions[q.id].no_answer_probability for q in every]
    drawn = {"resamples": resamples, "seed": seed}
    return ConditionReport(
        name=condition.name,
        title=condition.title,
        parameters=condition.parameters,
        whole=of("all", questions),
        sources=tuple(of(s, [q for q in questions if q.source == s]) for s in sorted({q.source for q in questions})),
        own_first=percent([float(p.own_first) for p in answers], questions) if condition.competes else None,
        own_packed=percent([float(predictions[q.id].own_packed) for q in own], own) if own else None,
        answer_packed=percent([float(bool(p.answer_packed)) for p in answers], questions)
        if condition.recalls
        else None,
        passages=statistics.fmean(p.passages for p in answers),
        kinds=dict(Counter(p.kind for p in answers)),
        unasked=sum(bool(p.problem) for p in answers),
        tokens=tokens,
        seconds=seconds,
        tokens_per_second=round(tokens / seconds, 1) if seconds else 0.0,
        peak_memory_gib=max((p.peak_memory_gib for p in answers if p.peak_memory_gib is not None), default=None),
        peak_resident_gib=max((p.peak_resident_gib for p in answers if p.peak_resident_gib is not None), default=None),
        latency=latency,
        cost=cost,
        risk_coverage=risk_coverage(confidences, [*(scores[q.id].em for q in questions), *(0.0 for _ in unanswerable)]),
        abstention=abstention,
        confidence=reliability(confidences, right, contexts, **drawn),
        no_answer=reliability(no_answer, missing, contexts, **drawn),
        squad2=squad2(asked, Withholding(abstention.threshold, abstention.odds), **drawn) if abstention else None,
    )


def summarize_abstention(
    answerable: Sequence[Question],
    unanswerable: Sequence[Question],
    predictions: Mapping[str, Prediction],
    scores: Mapping[str, Score],
    withholding: Withholding,
) -> Abstention | None:
    """None where there are no unanswerable questions."""
    if not unanswerable:
        return None
    with_answer = [predictions[q.id] for q in answerable]
    without = [predictions[q.id] for q in unanswerable]
    ems = [scores[q.id].em for q in answerable]
    right = [p.confidence for p, em in zip(with_answer, ems) if em]
    wrong = [p.confidence for p, em in zip(with_answer, ems) if not em] + [p.confidence for p in without]

    def is_withheld(prediction: Prediction) -> bool:
        return withholding.withholds(prediction.confidence, prediction.no_answer_probability)

    answered = [100 * em for p, em in zip(with_answer, ems) if not is_withheld(p)]
    return Abstention(
        answerable=len(with_answer),
        unanswerable=len(without),
        auroc=auroc([p.confidence for p in with_answer], [p.confidence for p in without]),
        auroc_no_answer=auroc(
            [p.no_answer_probability for p in without], [p.no_answer_probability for p in with_answer]
        ),
        auroc_right=auroc(right, wrong),
        threshold=withholding.threshold,
        odds=withholding.odds,
        answered=len(answered) / len(with_answer),
        answered_em=statistics.fmean(answered) if answered else None,
        withheld=statistics.fmean(map(is_withheld, without)),
    )
