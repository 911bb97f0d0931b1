"""Evaluation on real documents, end to end: all documents in one index, each question answered
from the passages that are retrieved and packed for it.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ragyena import machine
from ragyena.config import PackerConfig, PipelineConfig
from ragyena.data.document_questions import (
    DocumentQuestion,
    DocumentQuestions,
    load_documents,
    read_documents,
    write_files,
)
from ragyena.data.qa_files import Question
from ragyena.documents.tokenizer import Tokenizer
from ragyena.eval.contexts import Frozen, Hits
from ragyena.eval.document_scores import DocumentAnswer, score, summarize
from ragyena.eval.journal import json_lines, write_text
from ragyena.eval.recipe import Setup
from ragyena.eval.results import DOCUMENT_SCHEMA
from ragyena.eval.whole_documents import KnownDocuments, RowAnswers
from ragyena.model.confidence import Withholding
from ragyena.reader.packing import capacity, pack
from ragyena.reader.reader import Reader, Reading
from ragyena.types import Context, Passage, Progress, Silent

__all__ = [
    "ask",
    "evaluate_documents",
    "evidence_packed",
    "freeze_documents",
    "packed_contexts",
]

_SPANS_KEPT = 8
_BATCH = 64  # questions packed before they are read


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
    withholding = reader.withholding(setup.settings.reader)
    longest = setup.settings.model_copy(update={"packer": _with_length(setup.settings, max(config.context_tokens))})
    if contexts is not None and contexts.is_file():
        frozen = Frozen.load(contexts)
    else:
        frozen = freeze_documents(replace(data, questions=tuple(rows)), longest, progress)
        if contexts is not None:
            frozen.save(contexts)
    by_rows = RowAnswers(KnownDocuments(loaded.documents), setup.settings.reader.table_chars)

    def read(contexts: Sequence[Context]) -> list[Reading]:
        return [by_rows(reading, context) for reading, context in zip(reader.read_batch(contexts), contexts)]

    conditions, answers = {}, []
    for length in config.context_tokens:
        settings = setup.settings.model_copy(update={"packer": _with_length(setup.settings, length)})
        given = packed_contexts(rows, frozen, reader.tokenizer, settings)
        answered = ask(rows, given, read, progress, withholding=withholding)
        conditions[f"open-{length}"] = summarize(answered, resamples=config.resamples)
        answers += [{"condition": f"open-{length}", **answer} for answer in answered]
    date = time.strftime("%Y-%m-%d")
    stem = f"{date}-{setup.name}-{Path(reader.name).name}-{reader.fingerprint[:8]}"
    report = {
        "schema": DOCUMENT_SCHEMA,
        "recipe": setup.name,
        "date": date,
        "answers": f"{stem}.answers.jsonl",
        "reader": {
            "name": reader.name,
            "fingerprint": reader.fingerprint,
            "parameters": reader.parameters,
            "device": reader.device,
            "dtype": reader.dtype,
        },
        **withholding._asdict(),
        "settings": dict(frozen.facts),
        "left_out": [*data.problems, *loaded.problems],
        "machine": machine.describe(),
        "conditions": conditions,
    }
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
                hits[row.id] = Hits.of(numbers, [hit.score for hit in results], [hit.similarity for hit in results])
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
    rows: Sequence[DocumentQuestion],
    frozen: Frozen,
    tokenizer: Tokenizer,
    settings: PipelineConfig,
    *,
    absent: bool = False,
) -> Iterator[Context]:
    """The context of each of ``rows``: its hits, as many as ``settings.packer.context_tokens`` hold; where ``absent``,
    those in other documents than its own."""
    known = {question.id: question for question in (*frozen.answerable, *frozen.unanswerable)}
    for row in rows:
        hits = frozen.hits_of(known[row.id])
        yield pack(
            row.question,
            [hit for hit in hits if hit.passage.source != row.document_id] if absent else hits,
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
    withholding: Withholding,
) -> list[DocumentAnswer]:
    """The answers to ``rows`` in their ``contexts``. ``read`` withholds nothing: what
    ``withholding`` withholds is marked here."""
    progress.start("reading", len(rows), "questions")
    answers: list[DocumentAnswer] = []
    remaining = iter(contexts)
    for begin in range(0, len(rows), _BATCH):
        some = rows[begin : begin + _BATCH]
        of_some = list(islice(remaining, len(some)))
        for row, context, reading in zip(some, of_some, read(of_some), strict=True):
            answers.append(_answer(row, context, reading, withholding))
        progress.advance(len(some))
    return answers


def _answer(row: DocumentQuestion, context: Context, reading: Reading, withholding: Withholding) -> DocumentAnswer:
    withheld = not reading.text or withholding.withholds(reading.confidence, reading.no_answer_probability)
    right, f1 = score(row, "" if withheld else reading.text)
    right_unwithheld = bool(reading.text) and score(row, reading.text)[0]
    spans = [
        (span.text, round(span.score, 6), context.passages[span.slot].passage.source, span.start, span.end)
        for span in reading.spans[:_SPANS_KEPT]
    ]
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
        evidence_packed=evidence_packed(row, context) if row.answers else None,
        cited=bool(spans) and _inside(spans[0], row) if row.answers else None,
        passages=len(context.passages),
        right=right,
        right_unwithheld=right_unwithheld,
        f1=round(f1, 6),
    )


def evidence_packed(row: DocumentQuestion, context: Context) -> bool:
    """True if all evidence of an answerable question is in the context."""
    return all(_packed(place, row, context) for place in row.evidence or row.spans)


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
