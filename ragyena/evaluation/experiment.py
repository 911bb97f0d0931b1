"""Has a reader answer every question of a condition. Each answer is kept as it comes: a stopped run goes on."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ragyena.config import PackerConfig
from ragyena.errors import UsageError
from ragyena.evaluation.contexts import BuiltContext, Distractors, build
from ragyena.evaluation.datasets import Question
from ragyena.evaluation.journal import Journal
from ragyena.reader.reader import Reader, Reading
from ragyena.types import Passage, Progress

__all__ = ["Condition", "Prediction", "predict"]

_PASSAGES_AT_ONCE = 64  # passages of all contexts handed to the reader together


@dataclass(frozen=True, slots=True)
class Prediction:
    """One answer of a reader, as the journal keeps it."""

    question_id: str
    among: int
    """The condition: 1 for the question's own context alone, K for its passages among K."""
    kind: str
    text: str
    confidence: float
    no_answer_probability: float
    own_first: bool
    """Whether the slot that the reader finds best holds a passage of the question's own context."""
    passages: int
    tokens: int
    """Tokens read, padding included."""
    seconds: float
    """The question's share of the time its batch was read in."""
    problem: str = ""
    """Why the question could not be asked; empty where it was. Such an answer counts as empty."""


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """How contexts are made."""

    among: int
    own: Mapping[str, Sequence[Passage]]
    """Passages of each question's context, by context id."""
    distractors: Distractors | None
    """Needed where ``among`` is more than 1."""
    packer: PackerConfig
    max_question_tokens: int
    seed: int

    def build(self, question: Question, reader: Reader) -> BuiltContext:
        own = self.own[question.context_id or ""]
        others: list[Passage] = []
        if self.distractors is not None and self.among > 1:
            others = self.distractors.of(question, own, self.among - len(own))
        return build(
            question,
            own,
            others,
            reader.tokenizer,
            self.packer,
            max_question_tokens=self.max_question_tokens,
            seed=self.seed,
        )


def predict(
    reader: Reader, questions: Sequence[Question], condition: Condition, journal: Journal, progress: Progress | None
) -> dict[str, Prediction]:
    """The reader's answers by question id. Those that the journal holds already are taken from it."""
    known = [Prediction(**row) for row in journal.rows if row["among"] == condition.among]
    wanted = {question.id for question in questions}
    done = {prediction.question_id: prediction for prediction in known if prediction.question_id in wanted}
    # contexts of like length are read together, so that few slots are padding
    missing = sorted(
        (q for q in questions if q.id not in done), key=lambda q: _length(condition.own[q.context_id or ""])
    )
    if condition.distractors is not None and condition.among > 1:
        condition.distractors.prepare(missing, condition.among, progress)
    if progress:
        name = "own context" if condition.among == 1 else f"among {condition.among}"
        progress.start(f"reading, {name}", len(missing), "questions")
    at_once = max(1, _PASSAGES_AT_ONCE // condition.among)
    for begin in range(0, len(missing), at_once):
        group = missing[begin : begin + at_once]
        predictions = _predict_group(reader, group, condition)
        journal.append(asdict(prediction) for prediction in predictions)
        done.update({prediction.question_id: prediction for prediction in predictions})
        if progress:
            progress.advance(len(group))
    return done


def _predict_group(reader: Reader, questions: Sequence[Question], condition: Condition) -> list[Prediction]:
    predictions: list[Prediction] = []
    built: list[tuple[Question, BuiltContext]] = []
    for question in questions:
        try:
            built.append((question, condition.build(question, reader)))
        except UsageError as error:  # empty, or longer than the reader takes
            predictions.append(_unasked(question, condition.among, error.message))
    began = time.perf_counter()
    readings = reader.read_batch([b.context for _, b in built])
    seconds = time.perf_counter() - began
    total = sum(b.context.length for _, b in built)
    for (question, b), reading in zip(built, readings, strict=True):
        share = seconds * b.context.length / max(total, 1)
        predictions.append(_prediction(question, condition.among, b, reading, share))
    return predictions


def _prediction(question: Question, among: int, built: BuiltContext, reading: Reading, seconds: float) -> Prediction:
    scores: Any = reading.slot_scores
    return Prediction(
        question_id=question.id,
        among=among,
        kind=reading.kind,
        text=reading.text,
        confidence=reading.confidence,
        no_answer_probability=reading.no_answer_probability,
        own_first=len(scores) > 0 and int(scores.argmax()) in built.own_slots,
        passages=len(built.context.passages),
        tokens=built.context.length,
        seconds=seconds,
    )


def _unasked(question: Question, among: int, problem: str) -> Prediction:
    return Prediction(question.id, among, "abstained", "", 0.0, 1.0, False, 0, 0, 0.0, problem)


def _length(passages: Sequence[Passage]) -> tuple[int, int]:
    return len(passages), max((len(passage.text) for passage in passages), default=0)
