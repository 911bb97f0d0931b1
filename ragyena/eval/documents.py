"""Evaluation on real documents, end to end: all documents in one index, each question answered
from the passages that are retrieved and packed for it.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypedDict

import numpy as np

from ragyena.config import PackerConfig, PipelineConfig
from ragyena.data.document_questions import (
    AnswerType,
    DocumentQuestion,
    DocumentQuestions,
    load_documents,
    read_documents,
    write_files,
)
from ragyena.data.qa_files import Question
from ragyena.documents.tokenizer import Tokenizer
from ragyena.eval import machine
from ragyena.eval.contexts import Frozen, Hits
from ragyena.eval.journal import json_lines, write_text
from ragyena.eval.metrics import Estimate, auroc, estimate, normalize
from ragyena.eval.recipe import Setup
from ragyena.reader.packing import capacity, pack
from ragyena.reader.reader import Reader, Reading
from ragyena.types import Context, Passage, Progress, Silent

__all__ = [
    "LIST_RIGHT",
    "SPAN_RIGHT",
    "DocumentAnswer",
    "ask",
    "evaluate_documents",
    "freeze_documents",
    "list_items",
    "packed_contexts",
    "score",
    "summarize",
]

SPAN_RIGHT, LIST_RIGHT = 0.6, 0.7
"""The F1 from which a span or comparison, and the mean best F1 over its items from which a list counts as right."""
_ITEM_BORDER = re.compile(r"\n+|;|,(?!\d)|\|| and | or ")
_BULLET = re.compile(r"^(?:[-*•]|and |or )\s*")
_SPANS_KEPT = 8
_BATCH = 64  # questions packed before they are read


class DocumentAnswer(TypedDict):
    """The answer to one question, and how it scored."""

    id: str
    source: str
    document_id: str
    answer_type: AnswerType
    question: str
    answers: list[str]
    kind: str
    """As in ``ragyena.types.AnswerKind``."""
    text: str
    """The answer, also where it is withheld."""
    confidence: float
    no_answer_probability: float
    withheld: bool
    spans: list[tuple[str, float, str, int, int]]
    """Candidates, best first: text, score, document, first char and the one after the last."""
    evidence_packed: bool | None
    """True if all evidence was in the context; None for questions without an answer."""
    cited: bool | None
    """True if the best candidate lies in the evidence."""
    passages: int
    right: bool
    f1: float
    """F1; 0 for a withheld answer, unless the question has none."""


def evaluate_documents(setup: Setup, contexts: Path | None = None) -> tuple[dict[str, Any], Path]:
    """Asks the questions of a recipe under each of its context lengths; the figures and the file they are written to,
    in ``setup.out``, with the answers in a file of the same name. ``contexts``: a file of frozen contexts; made, and
    written there, where it does not exist.

    Raises DataError, PathNotFoundError, CheckpointError, IndexProblem, MissingDependencyError and StorageError.
    """
    config, progress = setup.files, setup.progress or Silent()
    data = read_documents(config.questions, config.documents, split=config.split)
    loaded = load_documents(data)
    rows = [row for row in loaded.questions if not config.sources or row.source in config.sources]
    if config.limit and config.limit < len(rows):
        rows = sorted(random.Random(config.seed).sample(rows, config.limit), key=lambda row: row.id)
    reader = Reader.open(setup.settings.reader.model_copy(update={"threshold": 0.0}))
    longest = setup.settings.model_copy(update={"packer": _with_length(setup.settings, max(config.context_tokens))})
    if contexts is not None and contexts.is_file():
        frozen = Frozen.load(contexts)
    else:
        frozen = freeze_documents(replace(data, questions=tuple(rows)), longest, progress)
        if contexts is not None:
            frozen.save(contexts)
    conditions, answers = {}, []
    for length in config.context_tokens:
        settings = setup.settings.model_copy(update={"packer": _with_length(setup.settings, length)})
        given = packed_contexts(rows, frozen, reader.tokenizer, settings)
        answered = ask(rows, given, reader.read_batch, progress, threshold=settings.reader.threshold)
        conditions[f"open-{length}"] = summarize(answered, resamples=config.resamples)
        answers += [{"condition": f"open-{length}", **answer} for answer in answered]
    date = time.strftime("%Y-%m-%d")
    report = {
        "schema": "ragyena document evaluation 1",
        "recipe": setup.name,
        "date": date,
        "reader": {
            "name": reader.name,
            "fingerprint": reader.fingerprint,
            "parameters": reader.parameters,
            "device": reader.device,
            "dtype": reader.dtype,
        },
        "threshold": setup.settings.reader.threshold,
        "settings": dict(frozen.facts),
        "left_out": [*data.problems, *loaded.problems],
        "machine": machine.describe(),
        "conditions": conditions,
    }
    stem = f"{date}-{setup.name}-{Path(reader.name).name}-{reader.fingerprint[:8]}"
    write_text(setup.out / f"{stem}.answers.jsonl", json_lines(answers))
    path = setup.out / f"{stem}.json"
    write_text(path, json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    return report, path


def _with_length(settings: PipelineConfig, context_tokens: int) -> PackerConfig:
    return settings.packer.model_copy(update={"context_tokens": context_tokens})


def freeze_documents(data: DocumentQuestions, settings: PipelineConfig, progress: Progress) -> Frozen:
    """Every document in one index, and what it finds for each question. The passages of the result have the id of
    their document as ``source``."""
    from ragyena.index.index import Index

    hits: dict[str, Hits] = {}
    passages: dict[int, Passage] = {}
    places: dict[int, int] = {}
    with TemporaryDirectory() as folder:
        files, place = Path(folder) / "documents", Path(folder) / "index"
        files.mkdir()
        ids = {str(path): key for path, key in write_files(data.documents.values(), files).items()}
        with Index.open(place, create=True, lazy=True, settings=settings) as index:
            report = index.add([files], progress=progress)
        with Index.open(place, settings=settings) as index:
            progress.start("searching", len(data.questions), "questions")
            most = capacity(settings.packer)
            for row in data.questions:
                results = index.search(row.question, k=most)
                for hit in results:
                    passages.setdefault(hit.passage.passage_id, hit.passage)
                    places.setdefault(hit.passage.passage_id, len(places))
                numbers = [places[hit.passage.passage_id] for hit in results]
                hits[row.id] = Hits(np.array(numbers, np.int32), np.array([hit.score for hit in results], np.float32))
                progress.advance(1)
    kept = tuple(_of_document(passage, ids[passage.source], number) for number, passage in enumerate(passages.values()))
    facts = {
        "tokenizer": Reader.tokenizer_of(settings.reader).fingerprint,
        "passage_tokens": settings.index.passage_tokens,
        "packer": settings.packer.model_dump(mode="json"),
        "retriever": settings.retriever.model_dump(mode="json"),
        "documents": len(data.documents),
        "passages": report.total_passages,
    }
    return Frozen(
        kind="search",
        facts=facts,
        answerable=tuple(_question(row) for row in data.questions if row.answers),
        unanswerable=tuple(_question(row) for row in data.questions if not row.answers),
        passages=kept,
        own={},
        hits=hits,
        problems=data.problems,
    )


def _of_document(passage: Passage, document_id: str, number: int) -> Passage:
    return replace(passage, source=document_id, passage_id=number, document_id=-1, metadata={"id": document_id})


def _question(row: DocumentQuestion) -> Question:
    return Question(row.id, row.source, row.question, row.answers, row.document_id, -1, row.split)


def packed_contexts(
    rows: Sequence[DocumentQuestion], frozen: Frozen, tokenizer: Tokenizer, settings: PipelineConfig
) -> Iterator[Context]:
    """The context of each of ``rows``: its hits, as many as ``settings.packer.context_tokens`` hold."""
    known = {question.id: question for question in (*frozen.answerable, *frozen.unanswerable)}
    for row in rows:
        yield pack(
            row.question,
            frozen.hits_of(known[row.id]),
            tokenizer,
            settings.packer,
            max_question_tokens=settings.reader.max_question_tokens,
        )


def ask(
    rows: Sequence[DocumentQuestion],
    contexts: Iterable[Context],
    read: Callable[[Sequence[Context]], Sequence[Reading]],
    progress: Progress,
    *,
    threshold: float,
) -> list[DocumentAnswer]:
    """The answers to ``rows`` in their ``contexts``. ``read`` withholds nothing: answers less probable than
    ``threshold`` are marked here."""
    progress.start("reading", len(rows), "questions")
    answers: list[DocumentAnswer] = []
    remaining = iter(contexts)
    for begin in range(0, len(rows), _BATCH):
        some = rows[begin : begin + _BATCH]
        of_some = list(islice(remaining, len(some)))
        for row, context, reading in zip(some, of_some, read(of_some), strict=True):
            answers.append(_answer(row, context, reading, threshold))
        progress.advance(len(some))
    return answers


def _answer(row: DocumentQuestion, context: Context, reading: Reading, threshold: float) -> DocumentAnswer:
    withheld = not reading.text or reading.confidence < threshold
    right, f1 = score(row, "" if withheld else reading.text)
    spans = [
        (span.text, round(span.score, 6), context.passages[span.slot].passage.source, span.start, span.end)
        for span in reading.spans[:_SPANS_KEPT]
    ]
    decides = row.evidence or row.spans
    return DocumentAnswer(
        id=row.id,
        source=row.source,
        document_id=row.document_id,
        answer_type=row.answer_type,
        question=row.question,
        answers=list(row.answers),
        kind=reading.kind,
        text=reading.text,
        confidence=round(reading.confidence, 6),
        no_answer_probability=round(reading.no_answer_probability, 6),
        withheld=withheld,
        spans=spans,
        evidence_packed=all(_packed(place, row, context) for place in decides) if row.answers else None,
        cited=bool(spans) and _inside(spans[0], row) if row.answers else None,
        passages=len(context.passages),
        right=right,
        f1=round(f1, 6),
    )


def _packed(place: tuple[int, int], row: DocumentQuestion, context: Context) -> bool:
    """True if more than half of a stretch of the document is in the context."""
    own = [p.passage for p in context.passages if p.passage.source == row.document_id]
    held = sum(max(0, min(place[1], passage.end) - max(place[0], passage.start)) for passage in own)
    return held > 0.5 * (place[1] - place[0])


def _inside(span: tuple[str, float, str, int, int], row: DocumentQuestion) -> bool:
    _, _, document, start, end = span
    return document == row.document_id and any(
        start < last and first < end for first, last in row.evidence or row.spans
    )


# -- scores ------------------------------------------------------------------------------------------------------


def score(row: DocumentQuestion, text: str) -> tuple[bool, float]:
    """Correctness and F1 of an answer; the empty text stands for a withheld one.

    A span or comparison is right from an F1 of 0.6 against one of the answers, a list from a mean best F1 of 0.7 over
    its items, yes and no where the word is; nothing is right where there is no answer.
    """
    if row.answer_type == "none":
        return not text, float(not text)
    if not text:
        return False, 0.0
    if row.answer_type in ("yes", "no"):
        same = normalize(text) == row.answers[0].lower()
        return same, float(same)
    if row.answer_type == "list":
        pieces = list_items(text)
        f1 = float(np.mean([max(_f1(piece, item) for piece in pieces) for item in row.answers]))
        return f1 >= LIST_RIGHT, f1
    f1 = max(_f1(text, answer) for answer in row.answers)
    return f1 >= SPAN_RIGHT, f1


def list_items(text: str) -> list[str]:
    """A text and its parts between commas, semicolons, bars, line breaks, "and" and "or"."""
    parts = (_BULLET.sub("", part.strip()).strip() for part in _ITEM_BORDER.split(text))
    return [text, *(part for part in parts if part and part != text)]


def _f1(text: str, answer: str) -> float:
    mine, gold = normalize(text).split(), normalize(answer).split()
    if not mine or not gold:
        return float(" ".join(text.split()) == " ".join(answer.split()))
    common = sum((Counter(mine) & Counter(gold)).values())
    return 2 * common / (len(mine) + len(gold))


_BINS = (0.0, 0.15, 0.3, 0.5, 0.7, 0.85, 0.95, 1.0001)


def summarize(answers: Sequence[DocumentAnswer], *, resamples: int = 2000) -> dict[str, Any]:
    """The figures of all answers, by answer type and by source, with 95% bootstrap intervals over documents; how well
    the confidence of extracted answers sorts and means right from wrong."""
    groups: dict[str, list[DocumentAnswer]] = {"all": list(answers)}
    for answer in answers:
        kind = "yes/no" if answer["answer_type"] in ("yes", "no") else answer["answer_type"]
        groups.setdefault(f"type {kind}", []).append(answer)
    for answer in answers:
        groups.setdefault(f"source {answer['source']}", []).append(answer)
    return {
        "questions": len(answers),
        "documents": len({answer["document_id"] for answer in answers}),
        "groups": {name: _figures(some, resamples) for name, some in groups.items()},
        "confidence": _reliability(answers),
    }


def _figures(answers: Sequence[DocumentAnswer], resamples: int) -> dict[str, Any]:
    answerable = [answer for answer in answers if answer["answer_type"] != "none"]
    figures: dict[str, Any] = {"n": len(answers), "answerable": len(answerable)}
    of: Mapping[str, list[tuple[float, str]]] = {
        "right": [(float(a["right"]), a["document_id"]) for a in answers],
        "f1": [(a["f1"], a["document_id"]) for a in answers],
        "withheld": [(float(a["withheld"]), a["document_id"]) for a in answers],
        "evidence_packed": [(float(bool(a["evidence_packed"])), a["document_id"]) for a in answerable],
        "cited": [(float(bool(a["cited"])), a["document_id"]) for a in answerable],
    }
    for name, values in of.items():
        if values:
            interval = estimate(*zip(*values), bounds=(0.0, 1.0), resamples=resamples)
            figures[name] = _percent(interval)
    return figures


def _percent(interval: Estimate) -> list[float]:
    return [round(100 * value, 1) for value in (interval.mean, interval.low, interval.high)]


def _reliability(answers: Sequence[DocumentAnswer]) -> dict[str, Any]:
    """Reliability of the confidence over all answers, withheld ones included."""
    truth: list[tuple[float, bool]] = []
    for answer in answers:
        if answer["answer_type"] in ("yes", "no", "list") or not answer["text"]:
            continue
        f1 = max((_f1(answer["text"], gold) for gold in answer["answers"]), default=0.0)
        truth.append((answer["confidence"], f1 >= SPAN_RIGHT))
    bins = []
    error = 0.0
    for low, high in pairwise(_BINS):
        inside = [(c, ok) for c, ok in truth if low <= c < high]
        if inside:
            confidence, right = (float(np.mean(values)) for values in zip(*inside))
            error += len(inside) * abs(confidence - right)
            bins.append({"from": low, "n": len(inside), "confidence": round(confidence, 3), "right": round(right, 3)})
    return {
        "n": len(truth),
        "calibration_error": round(error / max(len(truth), 1), 3),
        "auroc": auroc([c for c, ok in truth if ok], [c for c, ok in truth if not ok]),
        "bins": bins,
    }
