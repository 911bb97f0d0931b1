"""Places of the answers of training questions: a passage, and token ranges in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ragyena.config import DataConfig
from ragyena.data.document_questions import DocumentQuestion, load_documents, read_documents
from ragyena.data.qa_files import Question
from ragyena.documents.sentences import sentence_span
from ragyena.train.cutting import Cut, token_range

__all__ = ["MORE_SPANS", "NOTHING", "Documents", "Place", "place_arrays", "place_of", "without_documents"]

MORE_SPANS = 7  # items of a list beside the first that training uses
NOTHING = (-1, 0, 0)


@dataclass(frozen=True, slots=True)
class Place:
    """A passage, and token ranges in it (first, one after the last)."""

    passage: int
    answer: tuple[int, int] | None
    """The answer's tokens; for a yes/no question, those of its evidence."""
    sentence: tuple[int, int] | None
    """The answer's sentence, where taking it out takes the answer out and leaves something."""
    required: bool = False
    """The passage is never left out of a context: others of its table would seem to answer the question."""
    settled: bool = True
    """False where the passage is one of several of the context, to be settled by the retriever."""
    missing: bool = False
    """The context holds no answer."""
    more: tuple[tuple[int, int], ...] = ()
    """The other items of a list in the passage."""
    further: tuple[int, int, int] = NOTHING
    """Another passage that the answer needs, and tokens of it."""
    listed: bool = False
    """The question asks for a list."""


def place_of(question: Question, cut: Cut) -> Place | None:
    """None where no passage of the question's context holds the whole answer.

    An answer that is no span of its context has no range; its passage is settled by the retriever among those of its
    context (``ragyena.train.mining``).
    """
    context_id = question.context_id or ""
    bounds = cut.bounds[context_id]
    if question.items:
        return _of_list([match for item in question.items if (match := cut.find(context_id, *item))])
    if question.answer_start < 0:
        return Place(bounds[0], None, None, settled=False, missing=not question.answers) if bounds else None
    start, end = question.answer_start, question.answer_start + len(question.answers[0])
    match = cut.find(context_id, start, end)
    if match is None:
        return None
    index, tokens = match
    return Place(index, tokens, _sole_sentence(cut, index, question.answers[0], start, end))


def _of_list(found: Sequence[tuple[int, tuple[int, int]]]) -> Place | None:
    """The passage that holds most items of a list, and those it holds; None where none holds one."""
    if not found:
        return None
    index = Counter(passage for passage, _ in found).most_common(1)[0][0]
    inside = list(dict.fromkeys(tokens for passage, tokens in found if passage == index))
    return Place(index, inside[0], None, more=tuple(inside[1 : MORE_SPANS + 1]), listed=True)


def _sole_sentence(cut: Cut, index: int, answer: str, start: int, end: int) -> tuple[int, int] | None:
    """The tokens of the answer's sentence; None where its passage holds the answer elsewhere, or nothing else."""
    passage = cut.passages[index]
    first, last = sentence_span(passage.text, start - passage.start, end - passage.start)
    rest = passage.text[:first] + passage.text[last:]
    if answer.lower() in rest.lower() or not rest.strip():
        return None
    return token_range(cut.encodings[index], first, last)


@dataclass(frozen=True, slots=True)
class Documents:
    """Questions on documents whose passages are in ``cut``."""

    rows: Mapping[str, DocumentQuestion]
    """By the id of the ``Question`` that stands for each."""

    @classmethod
    def read(cls, cut: Cut, config: DataConfig, left_out: Counter[str]) -> Documents:
        """Documents and questions that ``config`` names. The documents are loaded as files would be and cut into
        ``cut``; unusable rows are counted in ``left_out``. Raises PathNotFoundError and DataError."""
        if not config.document_questions:
            return cls({})
        read = read_documents(config.document_questions, config.documents, split="train")
        loaded = load_documents(read)
        left_out["unusable row of documents"] += len(read.problems) + len(loaded.problems)
        for key, document in loaded.documents.items():
            cut.add(_key(key), document)
        return cls({f"document {row.id}": row for row in loaded.questions})

    def questions(self) -> list[Question]:
        """The questions as any other. A list's answer is its first item."""
        return [
            Question(key, row.source, row.question, row.answers, _key(row.document_id), -1, row.split)
            for key, row in self.rows.items()
        ]

    def place(self, question: Question, cut: Cut) -> Place | None:
        """None where the passages do not hold the answer whole, or nothing is known of where it is."""
        row = self.rows[question.id]
        context = _key(row.document_id)
        if row.answer_type == "none":
            match = _most_of(cut, context, row.near)
            return Place(match[0], None, None, missing=True) if match else None
        if row.answer_type in ("yes", "no"):
            match = _most_of(cut, context, row.evidence)
            if not match:
                return None
            return Place(match[0], (match[1], match[2]), None, further=_elsewhere(cut, context, row, match[0]))
        spans = [place for start, end in row.spans if (place := cut.find(context, start, end))]
        if not spans:
            return None
        index = Counter(passage for passage, _ in spans).most_common(1)[0][0]
        inside = list(dict.fromkeys(tokens for passage, tokens in spans if passage == index))
        sentence = None
        if row.answer_type == "span":
            sentence = _sole_sentence(cut, index, row.answers[0], *row.spans[0])
            inside = inside[:1]
        more = tuple(inside[1 : MORE_SPANS + 1])
        listed = row.answer_type == "list"
        further = _elsewhere(cut, context, row, index)
        return Place(index, inside[0], sentence, more=more, further=further, listed=listed)


def _key(document_id: str) -> str:
    return f"document {document_id}"


def _most_of(cut: Cut, context: str, places: Sequence[tuple[int, int]]) -> tuple[int, int, int] | None:
    """The passage that holds most of the first of ``places``, and the tokens of it there."""
    for start, end in places:
        best = NOTHING
        for index in cut.bounds[context]:
            passage = cut.passages[index]
            tokens = token_range(cut.encodings[index], start - passage.start, end - passage.start)
            if tokens[1] - tokens[0] > best[2] - best[1]:
                best = (index, *tokens)
        if best[0] >= 0:
            return best
    return None


def _elsewhere(cut: Cut, context: str, row: DocumentQuestion, gold: int) -> tuple[int, int, int]:
    """The first evidence that stands in another passage than the ``gold`` one."""
    for place in row.evidence:
        match = _most_of(cut, context, [place])
        if match is not None and match[0] != gold:
            return match
    return NOTHING


def place_arrays(places: Sequence[Place]) -> dict[str, npt.NDArray[np.generic]]:
    """The arrays of the questions' places, in their order."""
    more = np.full((len(places), MORE_SPANS, 2), -1, np.int16)
    for row, place in zip(more, places):
        if place.more:
            row[: len(place.more)] = place.more
    return {
        "gold": np.array([place.passage for place in places], np.int32),
        "span": np.array([place.answer or (-1, -1) for place in places], np.int16).reshape(-1, 2),
        "sentence": np.array([place.sentence or (-1, -1) for place in places], np.int16).reshape(-1, 2),
        "more_spans": more,
        "further_evidence": np.array([place.further for place in places], np.int32).reshape(-1, 3),
        "missing": np.array([place.missing for place in places], bool),
        "listed": np.array([place.listed for place in places], bool),
        "required": np.array([place.required for place in places], bool),
        "settled": np.array([place.settled for place in places], bool),
    }


def without_documents(spans: npt.NDArray[np.generic]) -> dict[str, npt.NDArray[np.generic]]:
    """The arrays that questions on documents need, for as many questions as there are ``spans``, none on a document."""
    count = len(spans)
    return {
        "more_spans": np.full((count, MORE_SPANS, 2), -1, np.int16),
        "further_evidence": np.tile(np.array(NOTHING, np.int32), (count, 1)),
        "missing": np.zeros(count, bool),
        "listed": np.zeros(count, bool),
        "required": np.zeros(count, bool),
        "settled": np.asarray(spans)[:, 0] >= 0,
        "repeat": np.ones(count, np.int16),
        "source": np.zeros(count, np.int16),
        "source_names": np.frombuffer(b"unknown", np.uint8),
    }
