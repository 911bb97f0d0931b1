"""The use case of ``ragyena train calibrate``: a reader's confidence and what it withholds, fitted anew.

The reader reads questions that it was not trained on, each on its own document and some end to end among all documents.
The fit needs the scores of these readings alone, which can be kept: the next fit then reads nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import FiniteFloat

from ragyena.config import PipelineConfig
from ragyena.config.strict import Strict
from ragyena.data.document_questions import DocumentQuestion, LoadedDocuments, load_documents, read_documents
from ragyena.data.rows import valid_rows
from ragyena.documents.passages import split
from ragyena.errors import DataError, UsageError
from ragyena.eval.document_scores import score
from ragyena.eval.documents import evidence_packed, freeze_documents, packed_contexts
from ragyena.eval.journal import write_text
from ragyena.model.confidence import FEATURES, FEATURES_OF_TEXT, save_calibration
from ragyena.model.input_ranges import RangeMeter, save_ranges
from ragyena.reader.calibrating import LEAST_OF_A_SOURCE, Examples, Fit, SourceScore, fit_calibration, score_sources
from ragyena.reader.opening import folders_of, in_floating_point
from ragyena.reader.packing import pack
from ragyena.reader.reader import Reader, Reading
from ragyena.readers import installed_readers, reader_folder
from ragyena.types import Context, Passage, Progress, ScoredPassage

__all__ = ["CalibrationData", "Recalibrated", "recalibrate"]

_OWN, _PACKED, _PASSAGES, _ABSENT = "own document", "end to end", "own passages", "without its document"
_BATCH = 32  # questions read between two lines of progress
_MOST_ALONE = 3  # passages with the evidence of a question
_MISSING = 0.17
"""Fraction of questions without an answer that is fitted for: that of questions that people ask of documents, those
whose evidence is not packed included (of the 1,379 dev questions of ``eval real``: 16.4% and 0.5%)."""


@dataclass(frozen=True, slots=True)
class CalibrationData:
    """Questions to fit to."""

    questions: Sequence[str]
    """Files of rows as in ``data/real``."""
    documents: Sequence[str]
    split: str = "train"
    limit: int = 1000
    """The most questions that are asked on their own document, as many of each kind as there are; 0 for all."""
    packed: int = 300
    """The most that are asked end to end."""
    passages: int = 0
    """The most that are asked on the passages with their evidence alone, or with what nearly answers them; a half of
    them have no answer, as far as there are so many."""
    absent: int = 0
    """The most of those asked end to end that are asked again where their document is not among the others."""


class _Kept(Strict):
    """A line of a file of readings."""

    id: str
    source: str
    features: dict[str, FiniteFloat]
    right: bool
    missing: bool


@dataclass(frozen=True, slots=True)
class Recalibrated:
    """A new fit beside the one before."""

    fit: Fit
    before: tuple[SourceScore, ...]
    """Scores of the calibration that the reader had, on the same questions."""
    path: Path | None
    """The file that was written; None where it was not to be."""


def recalibrate(
    settings: PipelineConfig,
    data: CalibrationData | None,
    progress: Progress,
    *,
    readings: Path | None = None,
    write: bool = True,
) -> Recalibrated:
    """Fit the confidence of the reader of ``settings`` to the questions of ``data`` and write it beside its weights;
    where something was read, also the ranges that int8 arithmetic needs.

    ``readings`` is a file for the scores of what was read: they are added to it, and fitted to without ``data``.
    Raises UsageError for the name of a reader, DataError for too few questions, and what reading and loading raise.
    """
    folder, *beside = folders_of(settings.reader.checkpoint)
    if write and folder in {reader_folder(name) for name in installed_readers()}:
        raise UsageError(
            f"the reader '{settings.reader.checkpoint}' is a part of a package, in which nothing is written",
            hint="give a checkpoint's folder (a copy of the reader), or only look: --dry-run",
        )
    reader = Reader.open(in_floating_point(settings.reader).model_copy(update={"threshold": 0.0}))
    rows = _read_kept(readings) if readings is not None and readings.is_file() else []
    meter = RangeMeter(reader.model)
    if data is not None:
        with meter:
            rows += _read(reader, data, settings, progress)
        if readings is not None:
            write_text(readings, "".join(row.model_dump_json() + "\n" for row in rows), hint="choose another file")
    examples = Examples(
        [row.features for row in rows],
        [row.right for row in rows],
        [row.missing for row in rows],
        [row.source for row in rows],
        missing_share=_MISSING,
    )
    _check(examples)
    fit = fit_calibration(examples, {"contexts": _described(rows), "missing_share": _MISSING})
    path = save_calibration(folder, fit.calibration, beside) if write else None
    if write and meter.ranges is not None:
        save_ranges(folder, meter.ranges)
    return Recalibrated(fit, score_sources(reader.calibration, examples), path)


def _described(rows: Sequence[_Kept]) -> dict[str, int]:
    """The number of questions by what they were asked on."""
    ways = (_OWN, _PACKED, _PASSAGES, _ABSENT)
    return {way: count for way in ways if (count := sum(row.id.endswith(f" {way}") for row in rows))}


def _check(examples: Examples) -> None:
    counts = {name: examples.source.count(name) for name in dict.fromkeys(examples.source)}
    few = [name for name, count in counts.items() if count < LEAST_OF_A_SOURCE]
    if len(counts) < 2 or few or not any(examples.missing) or all(examples.missing):
        raise DataError(
            f"{len(examples.source)} questions of {len(counts)} kinds, {sum(examples.missing)} of them without an "
            f"answer{'; too few of ' + ', '.join(few) if few else ''}: that is not enough to fit a confidence to",
            hint=f"give questions of two kinds or more, {LEAST_OF_A_SOURCE} or more of each, some without an answer",
        )


def _read_kept(path: Path) -> list[_Kept]:
    problems: list[str] = []
    rows = [row for _, row in valid_rows([str(path)], _Kept, problems)]
    if problems or any(row.features.keys() != {*FEATURES, *FEATURES_OF_TEXT} for row in rows):
        raise DataError(
            f"{path} holds no readings of this version: {problems[0] if problems else 'other features'}",
            hint="delete it, and read again",
        )
    return rows


# ---------------------------------------------------------------------------------------------------------------
# Reading
# ---------------------------------------------------------------------------------------------------------------


def _read(reader: Reader, data: CalibrationData, settings: PipelineConfig, progress: Progress) -> list[_Kept]:
    given = read_documents(data.questions, data.documents, split=data.split)
    loaded = load_documents(given)
    alone = _of_each_kind(loaded.questions, data.limit, seed=0)
    packed = _of_each_kind(loaded.questions, data.packed, seed=1) if data.packed else []
    rows = _readings(reader, alone, _alone(alone, loaded, reader, settings), progress, _OWN)
    if packed:
        frozen = freeze_documents(replace(given, questions=tuple(packed)), settings, progress)
        contexts = packed_contexts(packed, frozen, reader.tokenizer, settings)
        rows += _readings(reader, packed, contexts, progress, _PACKED)
        if data.absent:
            absent = _of_each_kind(packed, data.absent, seed=4)
            contexts = packed_contexts(absent, frozen, reader.tokenizer, settings, absent=True)
            rows += _readings(reader, absent, contexts, progress, _ABSENT)
    if data.passages:
        some = _in_halves(loaded.questions, data.passages)
        chosen = [(row, own) for row in some if (own := _own_passages(row, loaded, reader, settings))]
        rows += _readings(
            reader, [row for row, _ in chosen], _of_passages(chosen, reader, settings), progress, _PASSAGES
        )
    return rows


def _of_each_kind(rows: Sequence[DocumentQuestion], limit: int, *, seed: int) -> list[DocumentQuestion]:
    """At most ``limit`` questions, as many of each kind as there are; the same ones for the same seed."""
    kinds: dict[str, list[DocumentQuestion]] = {}
    for row in sorted(rows, key=lambda row: row.id):
        kinds.setdefault(row.source, []).append(row)
    if not limit or limit >= len(rows):
        return list(rows)
    chooser, chosen, left = random.Random(seed), [], limit
    for number, kind in enumerate(
        sorted(kinds, key=lambda kind: len(kinds[kind]))
    ):  # what small ones leave, others take
        taken = min(len(kinds[kind]), left // (len(kinds) - number))
        chosen += chooser.sample(kinds[kind], taken)
        left -= taken
    chooser.shuffle(chosen)
    return chosen


def _alone(
    rows: Sequence[DocumentQuestion], loaded: LoadedDocuments, reader: Reader, settings: PipelineConfig
) -> Iterator[Context]:
    """The context of each question: its document, from the beginning, as much as the packer holds."""
    packer = settings.packer.model_copy(update={"near_duplicate": 1.0, "order": "document"})
    for row in rows:
        passages = split(loaded.documents[row.document_id], reader.tokenizer, settings.index.passage_tokens)
        passages = [replace(passage, source=row.document_id) for passage in passages]
        candidates = [ScoredPassage(passage, 1 - place / len(passages)) for place, passage in enumerate(passages)]
        limit = settings.reader.max_question_tokens
        yield pack(row.question, candidates, reader.tokenizer, packer, max_question_tokens=limit)


def _in_halves(rows: Sequence[DocumentQuestion], limit: int) -> list[DocumentQuestion]:
    """At most ``limit`` questions, half of them without an answer but with what nearly is one."""
    missing = [row for row in rows if row.answer_type == "none" and row.near]
    known = [row for row in rows if row.answer_type != "none"]
    half = _of_each_kind(missing, limit // 2, seed=2)
    return [*half, *_of_each_kind(known, limit - len(half), seed=3)]


def _own_passages(
    row: DocumentQuestion, loaded: LoadedDocuments, reader: Reader, settings: PipelineConfig
) -> list[Passage]:
    """The passages that hold most of a place of the evidence, or of what nearly answers the question; none where these
    are many."""
    places = (*row.evidence, *row.spans) or row.near
    own = [
        replace(passage, source=row.document_id)
        for passage in split(loaded.documents[row.document_id], reader.tokenizer, settings.index.passage_tokens)
        if any(min(end, passage.end) - max(start, passage.start) > 0.5 * (end - start) for start, end in places)
    ]
    return own if len(own) <= _MOST_ALONE else []


def _of_passages(
    chosen: Sequence[tuple[DocumentQuestion, Sequence[Passage]]], reader: Reader, settings: PipelineConfig
) -> Iterator[Context]:
    packer = settings.packer.model_copy(update={"near_duplicate": 1.0, "order": "document"})
    for row, own in chosen:
        candidates = [ScoredPassage(passage, 1 - place / len(own)) for place, passage in enumerate(own)]
        limit = settings.reader.max_question_tokens
        yield pack(row.question, candidates, reader.tokenizer, packer, max_question_tokens=limit)


def _readings(
    reader: Reader, rows: Sequence[DocumentQuestion], contexts: Iterator[Context], progress: Progress, what: str
) -> list[_Kept]:
    progress.start(f"reading, {what}", len(rows), "questions")
    kept: list[_Kept] = []
    for begin in range(0, len(rows), _BATCH):
        some = rows[begin : begin + _BATCH]
        of_some = [next(contexts) for _ in some]
        for row, context, reading in zip(some, of_some, reader.read_batch(of_some), strict=True):
            if reading.features and reading.text:
                kept.append(_kept(row, context, reading, what))
        progress.advance(len(some))
    return kept


def _kept(row: DocumentQuestion, context: Context, reading: Reading, what: str) -> _Kept:
    absent = what == _ABSENT
    missing = absent or row.answer_type == "none" or not evidence_packed(row, context)
    right = not absent and row.answer_type != "none" and score(row, reading.text)[0]
    return _Kept(
        id=f"{row.id} {what}", source=row.source, features=dict(reading.features), right=right, missing=missing
    )
