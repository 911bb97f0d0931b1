"""Questions on whole documents, as people keep and ask them: spans, lists, yes/no, comparisons, and questions without
an answer that almost have one. Offsets are string indices into the document's text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ragyena.config import IndexConfig
from ragyena.data.qa_files import ContextRow, read_contexts
from ragyena.data.rows import valid_rows
from ragyena.documents.loading import load
from ragyena.documents.moved_text import follow
from ragyena.errors import DataError
from ragyena.types import Document, Skipped

__all__ = ["AnswerType", "DocumentQuestion", "DocumentQuestions", "load_documents", "read_documents", "write_files"]

AnswerType = Literal["span", "list", "yes", "no", "compare", "none"]
Place = tuple[int, int]
"""Chars of a document: the first, and one after the last."""

_MARKDOWN = re.compile(r"^(?:#{1,6} \S|[=-]{4,}$)", re.MULTILINE)
_NAME_CHARS = 60


class DocumentQuestion(BaseModel):
    """A question on a document."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str
    source: str
    """The kind of documents it belongs to."""
    document_id: str
    question: str = Field(min_length=1)
    answers: tuple[str, ...]
    """Acceptable answers; the items of a list; the word of a yes/no question; empty for ``none``."""
    answer_type: AnswerType
    spans: tuple[Place, ...] = ()
    """Places of the answer; for a list, those of all its items."""
    evidence: tuple[Place, ...] = ()
    """Places of the evidence that decides the answer."""
    near: tuple[Place, ...] = ()
    """For ``none``: a near miss, the answer that a careless reader would give."""
    split: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> DocumentQuestion:
        if (self.answer_type == "none") != (not self.answers):
            raise ValueError(f"a question of type {self.answer_type} with {len(self.answers)} answers")
        if self.answer_type in ("span", "list", "compare") and not self.spans:
            raise ValueError(f"a question of type {self.answer_type} without spans")
        return self


@dataclass(frozen=True, slots=True)
class DocumentQuestions:
    """Questions in file order, their documents, and the rows that could not be used."""

    questions: tuple[DocumentQuestion, ...]
    documents: Mapping[str, ContextRow] = field(repr=False)
    """Documents of the given split by id, those without questions too."""
    problems: tuple[str, ...] = ()


def read_documents(questions: Sequence[str], documents: Sequence[str], *, split: str) -> DocumentQuestions:
    """The questions of ``questions`` and the documents of ``documents`` that belong to ``split``, or to none.

    Raises PathNotFoundError for a missing file, DataError for one that cannot be read or without a usable row.
    """
    stored = read_contexts(documents)
    texts = {row.id: row for row in stored.contexts if row.split in ("", split)}
    known = {row.id for row in stored.contexts}
    problems = list(stored.problems)
    kept: list[DocumentQuestion] = []
    usable = 0
    for place, row in valid_rows(questions, DocumentQuestion, problems):
        try:
            if row.document_id not in known:
                raise ValueError(f"document_id '{row.document_id}' is in none of the document files")
            if row.document_id in texts:
                _check_places(row, texts[row.document_id].text)
        except ValueError as error:
            problems.append(f"{place.where}: {error}")
            continue
        usable += 1
        if row.document_id in texts and row.split in ("", split):
            kept.append(row)
    if not usable:
        raise DataError(
            f"no row of {', '.join(questions)} can be used" + (f"; the first: {problems[0]}" if problems else ""),
            hint="rows are {id, source, document_id, question, answers, answer_type, spans, evidence, near, split}",
        )
    return DocumentQuestions(tuple(kept), texts, tuple(problems))


def _check_places(row: DocumentQuestion, text: str) -> None:
    for start, end in (*row.spans, *row.evidence, *row.near):
        if not 0 <= start < end <= len(text):
            raise ValueError(f"[{start}, {end}] is no stretch of the document")


def write_files(rows: Iterable[ContextRow], folder: Path) -> dict[Path, str]:
    """Writes documents as the files a person would have, named by their title; the id of each. Text with Markdown
    headings becomes a ``.md`` file, any other a ``.txt`` file."""
    written: dict[Path, str] = {}
    for row in rows:
        title = re.sub(r"[^\w.() -]+", " ", row.title).strip()[:_NAME_CHARS].strip() or "document"
        suffix = ".md" if _MARKDOWN.search(row.text) else ".txt"
        path = folder / f"{title}{suffix}"
        number = 2
        while path in written:
            path = folder / f"{title} {number}{suffix}"
            number += 1
        path.write_bytes(row.text.encode("utf-8", errors="surrogatepass"))
        written[path] = row.id
    return written


@dataclass(frozen=True, slots=True)
class LoadedDocuments:
    """Questions whose places are in the text of their documents as loaders give it."""

    questions: tuple[DocumentQuestion, ...]
    documents: Mapping[str, Document] = field(repr=False)
    """By id."""
    problems: tuple[str, ...] = ()


def load_documents(given: DocumentQuestions) -> LoadedDocuments:
    """Load the documents as the loaders of files do, with the headings and titles that an index would have.

    The places of questions follow what a loader changes. Documents and questions that cannot be followed are left out
    and named.
    """
    documents: dict[str, Document] = {}
    follows: dict[str, Callable[[int, int], Place | None]] = {}
    problems: list[str] = []
    with TemporaryDirectory() as folder:
        for path, key in write_files(given.documents.values(), Path(folder)).items():
            row = given.documents[key]
            for document in load(path, IndexConfig()):
                if isinstance(document, Skipped):
                    problems.append(f"document '{key}': {document.message}")
                    continue
                if document.text != row.text:
                    moved = follow(row.text, document.text)
                    if moved is None:
                        problems.append(f"document '{key}': its lines change where it is loaded from a file")
                        continue
                    follows[key] = moved
                documents[key] = replace(document, source=row.source)
    questions = []
    for question in given.questions:
        if question.document_id not in documents:
            continue
        placed = _moved(question, follows.get(question.document_id))
        if placed is None:
            problems.append(f"question '{question.id}': its answer is not in its document as it is loaded from a file")
        else:
            questions.append(placed)
    return LoadedDocuments(tuple(questions), documents, tuple(problems))


def _moved(question: DocumentQuestion, follows: Callable[[int, int], Place | None] | None) -> DocumentQuestion | None:
    """The question at its places in the loaded text; None where an answer is not kept."""
    if follows is None:
        return question
    fields = {}
    for name in ("spans", "evidence", "near"):
        places = [follows(*place) for place in getattr(question, name)]
        if name == "spans" and None in places:
            return None
        fields[name] = tuple(place for place in places if place is not None)
    return question.model_copy(update=fields)
