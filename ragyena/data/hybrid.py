"""Documents of a table and the articles its cells link to, and questions whose evidence lies in several places of them
(HybridQA; Chen et al. 2020), read from files of rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ragyena.data.qa_files import ContextRow, read_rows
from ragyena.types import Document, Heading

__all__ = ["HybridDocument", "HybridQuestion", "HybridSet", "parts", "read_hybrid"]


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str = Field(min_length=1)
    split: str = ""


class HybridDocument(_Row):
    """A table under an introduction, and the articles that it links to."""

    title: str = ""
    section: str = ""
    """The heading over the table."""
    intro: str = ""
    rows: tuple[str, ...] = ()
    """Of the table, each ``COLUMN: CELL; COLUMN: CELL; ...``."""
    passages: tuple[str, ...] = ()
    """Ids of the linked articles."""


class HybridQuestion(_Row):
    """A question on a document."""

    doc_id: str
    question: str = Field(min_length=1)
    answers: tuple[str, ...] = Field(min_length=1)
    answer_in: tuple[str, ...] = ()
    """``table``, ``passage``, or both."""
    gold_passages: tuple[str, ...] = ()
    """Ids of the linked articles that hold the answer."""

    @property
    def source(self) -> str:
        """Where the answer stands."""
        return "answer in " + " and ".join(sorted(self.answer_in)) if self.answer_in else "answer anywhere"


_Kind = TypeVar("_Kind", bound=_Row)


@dataclass(frozen=True, slots=True)
class HybridSet:
    """What was read, and the rows that could not be used."""

    questions: tuple[HybridQuestion, ...]
    documents: Mapping[str, HybridDocument]
    """By id; all of them, also those that no question is asked on."""
    problems: tuple[str, ...]


def read_hybrid(
    questions: Sequence[str], documents: Sequence[str], articles: Mapping[str, ContextRow], *, split: str
) -> HybridSet:
    """Documents, and the questions on them that are of ``split`` or name none. ``articles`` by id are those that
    documents link to; a document that links to another one is left out.

    Raises PathNotFoundError and DataError for files that cannot be used.
    """
    problems: list[str] = []
    found: dict[str, HybridDocument] = {}
    for where, document in _valid(documents, HybridDocument, problems):
        missing = [name for name in document.passages if name not in articles]
        if missing:
            problems.append(f"{where}: linked articles {', '.join(missing[:3])} are in none of the prose files")
        else:
            found[document.id] = document
    asked = []
    for where, question in _valid(questions, HybridQuestion, problems):
        if question.split not in ("", split):
            continue
        if question.doc_id in found:
            asked.append(question)
        else:
            problems.append(f"{where}: document {question.doc_id} is in none of the document files, or was left out")
    return HybridSet(tuple(asked), found, tuple(problems))


def parts(document: HybridDocument, articles: Mapping[str, ContextRow]) -> list[Document]:
    """The texts of a document: its introduction, its table (under the heading of its section), and the articles in the
    order of their links, by id; but for those without text."""
    table = "\n".join(document.rows)
    headings = (Heading(0, 1, document.section),) if document.section else ()
    texts = [
        Document(f"{document.id} intro", document.intro, document.title),
        Document(f"{document.id} table", table, document.title, headings=headings),
        *(Document(name, articles[name].text, articles[name].title) for name in document.passages),
    ]
    return [text for text in texts if text.text.strip()]


def _valid(names: Sequence[str], kind: type[_Kind], problems: list[str]) -> Iterator[tuple[str, _Kind]]:
    """Rows of the kind, with their places; others are noted in ``problems``."""
    for where, values in read_rows(names):
        try:
            yield where, kind.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            problems.append(f"{where}: '{'.'.join(map(str, first['loc'])) or 'row'}': {first['msg'].lower()}")
