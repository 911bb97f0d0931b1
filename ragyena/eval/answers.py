"""A reader's answers to every question of a condition, kept as they come: a stopped run is continued.

Contexts are built in one thread while the reader reads in another: on a GPU, building takes as long as reading.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from ragyena import machine
from ragyena.documents.sentences import sentence_span
from ragyena.errors import UsageError
from ragyena.eval.conditions import BuiltContext, Condition
from ragyena.eval.journal import Journal
from ragyena.eval.questions import Question
from ragyena.eval.whole_documents import RowAnswers
from ragyena.reader.reader import Reader, Reading
from ragyena.types import Progress

__all__ = ["Prediction", "predict"]

_MOST_QUESTIONS = 512  # read between two lines of the journal: a run that is stopped loses the work on at most so many


@dataclass(frozen=True, slots=True)
class Prediction:
    """One answer of a reader, as the journal keeps it; the fields are those of ``layout.AnswerRow``."""

    question_id: str
    condition: str
    kind: str
    text: str
    confidence: float
    no_answer_probability: float
    own_first: bool
    own_packed: bool
    answer_packed: bool | None
    passages: int
    tokens: int
    seconds: float
    peak_memory_gib: float | None = None
    """Memory, here and below, as in ``layout.ConditionReport``, while the batch of the question was read."""
    peak_resident_gib: float | None = None
    evidence: str = ""
    problem: str = ""
    """Such an answer counts as empty."""


@dataclass(slots=True, eq=False)
class _Group:
    """Questions that are read together."""

    ready: list[tuple[Question, list[BuiltContext], bool | None]] = field(default_factory=list)
    """Each with its contexts and ``answer_packed``."""
    unasked: list[Prediction] = field(default_factory=list)
    tokens: int = 0

    def __len__(self) -> int:
        return len(self.ready) + len(self.unasked)


def predict(
    reader: Reader,
    questions: Sequence[Question],
    condition: Condition,
    journal: Journal,
    progress: Progress | None,
    by_rows: RowAnswers,
) -> dict[str, Prediction]:
    """The reader's answers by question id, those that ``by_rows`` gives in their place. Those that the journal holds
    already are taken from it."""
    known = [Prediction(**row) for row in journal.rows if row["condition"] == condition.name]
    wanted = {question.id for question in questions}
    done = {prediction.question_id: prediction for prediction in known if prediction.question_id in wanted}
    # contexts of like length are read together, so that few slots are padding
    missing = sorted((q for q in questions if q.id not in done), key=condition.size)
    if progress:
        progress.start(f"reading, {condition.title}", len(missing), "questions")
    groups = _groups(missing, condition, reader.group_tokens)
    with ThreadPoolExecutor(max_workers=1) as builder:
        coming = builder.submit(next, groups, None)
        while (group := coming.result()) is not None:
            coming = builder.submit(next, groups, None)
            predictions = [*group.unasked, *_read(reader, group, condition, by_rows)]
            journal.append(asdict(prediction) for prediction in predictions)
            done.update({prediction.question_id: prediction for prediction in predictions})
            if progress:
                progress.advance(len(group))
    return done


def _groups(questions: Sequence[Question], condition: Condition, tokens: int) -> Iterator[_Group]:
    """The questions with their contexts, about ``tokens`` tokens a group."""
    group = _Group()
    for question in questions:
        try:
            contexts = condition.contexts(question)
        except UsageError as error:  # empty, or longer than the reader takes
            group.unasked.append(_unasked(question, condition, error.message))
        else:
            length = sum(built.context.length for built in contexts)
            if group.ready and group.tokens + length > tokens:
                yield group
                group = _Group()
            recalls = condition.recalls and bool(question.answers)
            packed = any(condition.holds_answer(b.context, question) for b in contexts) if recalls else None
            group.ready.append((question, contexts, packed))
            group.tokens += length
        if len(group) >= _MOST_QUESTIONS:
            yield group
            group = _Group()
    if len(group):
        yield group


def _read(reader: Reader, group: _Group, condition: Condition, by_rows: RowAnswers) -> list[Prediction]:
    machine.forget_peak_memory(reader.device)
    began = time.perf_counter()
    readings = iter(reader.read_batch([built.context for _, contexts, _ in group.ready for built in contexts]))
    seconds = time.perf_counter() - began
    gpu_memory, resident_memory = machine.peak_memory_gib(reader.device), machine.peak_resident_gib()
    predictions = []
    for question, contexts, answer_packed in group.ready:
        its_readings = [next(readings) for _ in contexts]
        chosen = condition.choose(its_readings)
        built = contexts[chosen]
        reading = by_rows(its_readings[chosen], built.context)
        scores: Any = reading.slot_scores
        tokens = sum(built.context.length for built in contexts)
        predictions.append(
            Prediction(
                question_id=question.id,
                condition=condition.name,
                kind=reading.kind,
                text=reading.text,
                confidence=reading.confidence,
                no_answer_probability=reading.no_answer_probability,
                own_first=len(scores) > 0 and int(scores.argmax()) in built.own_slots,
                own_packed=any(b.own_slots for b in contexts),
                answer_packed=answer_packed,
                passages=sum(len(b.context.passages) for b in contexts),
                tokens=tokens,
                seconds=seconds * tokens / max(group.tokens, 1),
                peak_memory_gib=gpu_memory,
                peak_resident_gib=resident_memory,
                evidence=_evidence(reading, built),
            )
        )
    return predictions


def _evidence(reading: Reading, built: BuiltContext) -> str:
    if not reading.spans:
        return ""
    span = reading.spans[0]
    passage = built.context.passages[span.slot].passage
    if not passage.start <= span.start < span.end <= passage.end:  # of a table of which this part was not packed
        return ""
    begin, end = sentence_span(passage.text, span.start - passage.start, span.end - passage.start)
    return passage.text[begin:end]


def _unasked(question: Question, condition: Condition, problem: str) -> Prediction:
    packed = False if condition.recalls and question.answers else None
    return Prediction(
        question.id, condition.name, "withheld", "", 0.0, 1.0, False, False, packed, 0, 0, 0.0, problem=problem
    )
