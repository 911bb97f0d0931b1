"""Preparation of training data: rows of text become packed token arrays of questions, passages and synthetic data.

Everything slow happens once: the result is one ``.npz`` file named by what it was made from. Hard negatives are mined
where the training runs (``ragyena.train.mining``).
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ragyena.config import DataConfig
from ragyena.config.training import Sampling
from ragyena.data.alias import question_name
from ragyena.data.clozes import KINDS, clozes, mentions
from ragyena.data.loaded_tables import load_tables
from ragyena.data.qa_files import ContextRow, Question, read_contexts, read_questions
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import DataError
from ragyena.train.arrays import Arrays, made_of, made_once
from ragyena.train.augment.perturb import Perturber
from ragyena.train.augment.records import definitions, synthetic_records
from ragyena.train.augment.row_questions import SOURCE as ROWS
from ragyena.train.augment.row_questions import row_questions
from ragyena.train.augment.table_data import SOURCE, Tables
from ragyena.train.augment.words import word_lists
from ragyena.train.cut_parts import Cutter
from ragyena.train.cutting import Cut, encode, flat, token_range
from ragyena.train.places import Documents, place_arrays, place_of
from ragyena.types import Document, Progress

__all__ = ["PreparedReport", "made_record", "prepare"]

_POLAR = ("yes", "no")
_NOT_EXTRACTED = ("computed", "freeform")  # counts, sums and free text: nothing of them teaches a span, or yes or no
_BRIDGE_WORDS = ("the", "whose", "is", "with", ":", ";")  # in the order in which ``Aliases`` takes them
_WITHOUT = "without an answer:"  # begins the ids of questions that have none in their context
_MADE = "15"  # to be raised when the same settings and files give other data
_NOTE = 240  # chars of a passage that may stand among a synthetic record's fields


@dataclass(frozen=True, slots=True)
class PreparedReport:
    """Counts of what a packed file holds and what was left out, with reasons."""

    path: Path
    questions: int
    clozes: int
    passages: int
    prose_tokens: int
    left_out: dict[str, int]
    """Rows left out, by reason."""


def prepare(
    config: DataConfig,
    tokenizer: Tokenizer,
    cache: Path,
    progress: Progress,
    *,
    neighbours: Mapping[str, Sequence[str]],
    processes: int = 1,
) -> PreparedReport:
    """The packed file for ``config``, made in ``cache`` unless it is there already. ``neighbours`` of words perturb
    questions (``ragyena.train.augment.perturb``). Texts are cut in ``processes``; what a stopped preparation had cut
    is used.

    Raises DataError where no question is usable.
    """
    parts = (_MADE, config.model_dump_json(), tokenizer.fingerprint, json.dumps(neighbours, sort_keys=True))
    files = (
        *(*config.questions, *config.unanswerable, *config.passages, *config.prose, *config.hybrid_questions),
        *(*config.hybrid_documents, *config.document_questions, *config.documents),
    )
    cutter = Cutter(tokenizer, config.passage_tokens, cache / "cut", processes)
    record = made_record(config, tokenizer)
    path, values = made_once(
        cache / "packed", parts, files, lambda: _packed(config, cutter, progress, neighbours), record
    )
    shutil.rmtree(cutter.folder, ignore_errors=True)
    return PreparedReport(path=path, **values)


def made_record(config: DataConfig, tokenizer: Tokenizer) -> dict[str, Any]:
    """The settings that the packed file of ``config`` is made of (``ragyena.train.arrays.check_made_of``)."""
    return made_of(config, _MADE, tokenizer)


def _packed(
    config: DataConfig, cutter: Cutter, progress: Progress, neighbours: Mapping[str, Sequence[str]]
) -> tuple[Arrays, dict[str, Any]]:
    """The arrays of training data, and their counts."""
    tokenizer = cutter.tokenizer
    rows = load_tables(read_questions(config.questions, config.passages, split="train"))
    given = list(rows.questions)
    contexts, problems = dict(rows.contexts), len(rows.problems)
    if config.unanswerable:
        without = load_tables(read_questions(config.unanswerable, config.passages, split="train"))
        given += [replace(q, answers=(), answer_start=-1, id=f"{_WITHOUT} {q.id}") for q in without.questions]
        contexts |= without.contexts
        problems += len(without.problems)
    context_ids = {q.context_id for q in given if q.context_id is not None}
    cut = Cut(tokenizer, config.passage_tokens)
    progress.start("cutting passages", len(context_ids), "texts")
    asked = {key: _document(row) for key, row in contexts.items() if key in context_ids}
    for key, parts in zip(asked, cutter.cut(asked.values())):
        cut.take(key, parts.passages, parts.encodings)
        progress.advance(1)
    idf = _idf([encoding.ids for encoding in cut.encodings], tokenizer.vocab_size)
    names = [p.text[a:b] for p in cut.passages for a, b, kind in list(mentions(p.text))[1:3] if kind == "name"]
    names = names or ["Nobody"]
    record_contexts, synthetic = synthetic_records(
        config.synthetic_records, names, [passage.text[:_NOTE] for passage in cut.passages]
    )
    for row in record_contexts:
        cut.add(row.id, _document(row))
    prose, prose_tokens = _add_prose(cut, cutter, config, progress)
    synthetic += definitions(prose, config.definitions)
    left_out: Counter[str] = Counter({"unusable row": problems})
    tables = Tables.read(cut, config, left_out)
    synthetic += tables.questions()
    documents = Documents.read(cut, config, left_out)
    synthetic += documents.questions()
    on_documents = {q.context_id or "" for q in documents.questions()}
    parts_of = {key: cut.passages[cut.bounds[key].start : cut.bounds[key].stop] for key in {*asked, *on_documents}}
    on_rows = row_questions(parts_of, config.row_questions, config.row_seed)
    synthetic += [q if q.answers else replace(q, id=f"{_WITHOUT} {q.id}") for q in on_rows]
    perturber = Perturber(names, neighbours)
    kept, arrays = _questions([*given, *synthetic], documents, cut, perturber, tokenizer, config, left_out, progress)
    if not kept:
        raise DataError(
            "no training question is usable", hint=f"left out: {dict(left_out)}; check data.questions and data.passages"
        )
    arrays["idf"] = idf
    arrays["repeat"] = np.array([config.document_repeat if q.id in documents.rows else 1 for q in kept], np.int16)
    arrays |= _source_arrays(kept)
    arrays |= tables.arrays(kept, arrays["gold"], cut, config)
    arrays |= _clozes(cut, config, progress)
    arrays |= flat("passages", [encoding.ids for encoding in cut.encodings])
    arrays |= flat(
        "headers", [e.ids[: config.header_tokens] for e in encode((p.header for p in cut.passages), tokenizer)]
    )
    arrays["context_of"] = np.zeros(len(cut.passages), np.int32)
    for number, bounds in enumerate(cut.bounds.values()):
        arrays["context_of"][bounds.start : bounds.stop] = number
    arrays["held_out"] = np.array([q.source != SOURCE and _is_held_out(q, on_documents, config) for q in kept])
    arrays |= _words(tokenizer)
    return arrays, {
        "questions": len(kept),
        "clozes": len(arrays["cloze_passage"]),
        "passages": len(cut.passages),
        "prose_tokens": prose_tokens,
        "left_out": dict(left_out),
    }


def _document(row: ContextRow) -> Document:
    return Document(source=row.source, text=row.text, title=row.title)


# -- questions ---------------------------------------------------------------------------------------------------


def _questions(
    questions: Sequence[Question],
    documents: Documents,
    cut: Cut,
    perturber: Perturber,
    tokenizer: Tokenizer,
    config: DataConfig,
    left_out: Counter[str],
    progress: Progress,
) -> tuple[list[Question], Arrays]:
    """Usable questions and their arrays: tokens, gold passage, ranges, answer tokens, kind, perturbations."""
    progress.start("placing answers", len(questions), "questions")
    chooser = random.Random(0)
    kept: list[Question] = []
    words, perturbed, answers, places, name_ranges, polar = [], [], [], [], [], []
    encodings = encode((q.question for q in questions), tokenizer)
    for question, encoding in zip(questions, encodings):
        progress.advance(1)
        on_document = question.id in documents.rows
        missing = question.id.startswith(_WITHOUT) or (on_document and not question.answers)
        if question.context_id is None or not (question.answers or missing):
            left_out["no context or no answer"] += 1
            continue
        if question.answer_type in _NOT_EXTRACTED:
            left_out["answer is no part of the text"] += 1
            continue
        if not 0 < len(encoding.ids) <= config.question_tokens:
            left_out["question too long"] += 1
            continue
        place = documents.place(question, cut) if on_document else place_of(question, cut)
        if place is None:
            left_out["answer crosses a passage border"] += 1
            continue
        if question.source == ROWS and question.answers:
            place = replace(place, sentence=None, required=True)  # without its row, another one is the answer
        answer = tokenizer.encode(question.answers[0]).ids if question.answers else np.zeros(0, np.int32)
        if place.answer is None and len(answer) >= Sampling.ANSWER_TOKENS:
            left_out["answer too long"] += 1
            continue
        kept.append(question)
        places.append(place)
        words.append(encoding.ids)
        answers.append(np.append(answer[: Sampling.ANSWER_TOKENS - 1], tokenizer.sep_id))
        is_polar = bool(question.answers) and question.answers[0].lower() in _POLAR
        is_polar = documents.rows[question.id].answer_type in _POLAR if on_document else is_polar
        extracted = place.answer is not None and not (on_document and is_polar)
        polar.append(0 if extracted or (on_document and missing) else 1 if is_polar else -1)
        name_ranges.append((-1, -1))
        others: list[str] = []
        if extracted and not place.more and question.source not in (SOURCE, ROWS):
            text = cut.passages[place.passage].text
            name = question_name(question.question, [text], question.answers)
            if name is not None:
                start = question.question.index(name)
                name_ranges[-1] = token_range(encoding, start, start + len(name))
            others = perturber.several(question.question, text, question.answers[0], config.perturbations, chooser)
        rows = (tokenizer.encode(other).ids for other in others)
        fitting = [ids for ids in rows if len(ids) <= config.question_tokens and not np.array_equal(ids, encoding.ids)]
        fitting = fitting or [np.zeros(0, np.int32)]
        # As many rows for each question: where there are fewer perturbations, they come again.
        perturbed += [fitting[k % len(fitting)] for k in range(config.perturbations)]
    return kept, {
        **flat("questions", words),
        **flat("perturbed", perturbed),
        **flat("answers", answers),
        **place_arrays(places),
        "name": np.array(name_ranges, np.int16).reshape(-1, 2),
        "polar": np.array(polar, np.int8),
    }


# -- prose -------------------------------------------------------------------------------------------------------


def _add_prose(cut: Cut, cutter: Cutter, config: DataConfig, progress: Progress) -> tuple[list[ContextRow], int]:
    """Cuts prose to passages, evenly from the files; its rows, and their number of tokens."""
    kept: list[ContextRow] = []
    progress.start("cutting prose", config.prose_tokens if config.prose else 0, "tokens")
    total, left = 0, config.prose_tokens
    for number, name in enumerate(config.prose):
        share, taken = left // (len(config.prose) - number), 0
        rows = [row for row in read_contexts([name]).contexts if row.split in ("", "train")]
        for row, parts in zip(rows, cutter.cut(map(_document, rows))):
            kept.append(ContextRow(f"prose {name} {row.id}", row.title, row.text, row.source))
            added = cut.take(kept[-1].id, parts.passages, parts.encodings)
            progress.advance(added)
            taken += added
            if taken >= share:
                break
        total, left = total + taken, left - taken
    return kept, total


def _clozes(cut: Cut, config: DataConfig, progress: Progress) -> Arrays:
    """Cloze questions on every passage, as token ranges of it."""
    progress.start("making cloze questions", len(cut.passages), "passages")
    chooser = random.Random(1)
    passages, ranges, kinds = [], [], []
    for index, (passage, encoding) in enumerate(zip(cut.passages, cut.encodings)):
        progress.advance(1)
        for cloze in clozes(passage.text, chooser, config.clozes) if config.clozes else ():
            sentence, answer = token_range(encoding, *cloze.sentence), token_range(encoding, *cloze.answer)
            if answer[0] < answer[1] and sentence[1] - sentence[0] <= config.question_tokens:
                elsewhere = token_range(encoding, *cloze.elsewhere) if cloze.elsewhere else (-1, -1)
                passages.append(index)
                ranges.append((sentence, answer, elsewhere))
                kinds.append(KINDS.index(cloze.kind))
    columns = np.array(ranges, np.int16).reshape(-1, 3, 2)
    return {
        "cloze_passage": np.array(passages, np.int32),
        "cloze_sentence": columns[:, 0],
        "cloze_answer": columns[:, 1],
        "cloze_elsewhere": columns[:, 2],
        "cloze_kind": np.array(kinds, np.int8),
    }


# -- words -------------------------------------------------------------------------------------------------------


def _words(tokenizer: Tokenizer) -> Arrays:
    """Tokens that sampled questions are built with: blanks, alias phrases, pieces of names, words of table rows."""
    vocabulary = tokenizer.vocabulary()
    heads = [i for word, i in vocabulary.items() if re.fullmatch(r"[a-z]{3,5}", word)]
    tails = [i for word, i in vocabulary.items() if re.fullmatch(r"##[a-z]{2,4}", word)]
    words = word_lists("sampling")
    blanks = [(kind, tokenizer.encode(word).ids) for kind, name in enumerate(KINDS) for word in words["blanks"][name]]
    if "[MASK]" in vocabulary:  # a blank as a masked language model's encoder knows it
        blanks += [(kind, np.array([vocabulary["[MASK]"]], np.int32)) for kind in range(len(KINDS))]
    texts = {
        "row_heads": words["row_heads"].split(),
        "row_keys": words["row_keys"].split(),
        "row_values": [*words["row_values"].split(), *map(str, range(1, 100)), *map(str, range(1850, 2024))],
        "row_words": _BRIDGE_WORDS,
        "alias_phrases": words["alias_phrases"],
    }
    arrays = flat("blanks", [ids for _, ids in blanks])
    for name, some in texts.items():
        arrays |= flat(name, [tokenizer.encode(text).ids for text in some])
    return arrays | {
        "blank_kinds": np.array([kind for kind, _ in blanks], np.int8),
        "name_heads": np.array(sorted(heads), np.int32),
        "name_tails": np.array(sorted(tails), np.int32),
        "full_stop": tokenizer.encode(".").ids.astype(np.int32),
    }


def _idf(texts: Sequence[npt.NDArray[np.int32]], vocab_size: int) -> npt.NDArray[np.float32]:
    """log(passages / passages that hold the piece), scaled so that the rarest piece has 1."""
    frequency = np.zeros(vocab_size)
    for ids in texts:
        frequency[np.unique(ids)] += 1
    idf = np.log(len(texts) / (1 + frequency)).clip(min=0)
    return np.asarray(idf / max(idf.max(), 1e-9), np.float32)


def _source_arrays(questions: Sequence[Question]) -> Arrays:
    """The source of each question, as a number, and the names of all."""
    names = sorted({question.source for question in questions})
    numbers = {name: number for number, name in enumerate(names)}
    return {
        "source": np.array([numbers[question.source] for question in questions], np.int16),
        "source_names": np.frombuffer("\n".join(names).encode(), np.uint8),
    }


def _is_held_out(question: Question, on_documents: Collection[str], config: DataConfig) -> bool:
    """True for a held-out context. It is decided by the context: no training question is on a held-out passage."""
    fraction = config.document_held_out if question.context_id in on_documents else config.held_out
    digest = hashlib.sha256((question.context_id or "").encode()).digest()
    return int.from_bytes(digest[:8]) < fraction * 2**64
