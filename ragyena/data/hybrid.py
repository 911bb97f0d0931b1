"""Documents of a table and the articles its cells link to, with questions whose evidence is in several places of them
(HybridQA; Chen et al. 2020).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from ragyena.data.qa_files import ContextRow
from ragyena.data.rows import valid_rows
from ragyena.types import Document, Heading

__all__ = ["HybridDocument", "HybridQuestion", "HybridSet", "parts", "read_hybrid"]


class _HybridRow(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str = Field(min_length=1)
    split: str = ""


class HybridDocument(_HybridRow):
    """A table under an introduction, and the articles that it links to."""

    title: str = ""
    section: str = ""
    """The heading over the table."""
    intro: str = ""
    rows: tuple[str, ...] = ()
    """Rows of the table, each ``COLUMN: CELL; COLUMN: CELL; ...``."""
    passages: tuple[str, ...] = ()
    """Ids of the linked articles."""


class HybridQuestion(_HybridRow):
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
        """The places of the answer, as a source to report by."""
        return "answer in " + " and ".join(sorted(self.answer_in)) if self.answer_in else "answer anywhere"


@dataclass(frozen=True, slots=True)
class HybridSet:
    """Questions, documents, and the rows that could not be used."""

    questions: tuple[HybridQuestion, ...]
    documents: Mapping[str, HybridDocument]
    """By id; also those without a question."""
    problems: tuple[str, ...]


def read_hybrid(
    questions: Sequence[str], documents: Sequence[str], articles: Mapping[str, ContextRow], *, split: str
) -> HybridSet:
    """Documents, and the questions on them that are of ``split`` or name none.

    ``articles`` by id are those that documents link to; a document that links to another one is left out.
    Raises PathNotFoundError and DataError for files that cannot be used.
    """
    problems: list[str] = []
    by_id: dict[str, HybridDocument] = {}
    for row, document in valid_rows(documents, HybridDocument, problems):
        missing = [name for name in document.passages if name not in articles]
        if missing:
            problems.append(f"{row.where}: linked articles {', '.join(missing[:3])} are in none of the prose files")
        else:
            by_id[document.id] = document
    chosen = []
    for row, question in valid_rows(questions, HybridQuestion, problems):
        if question.split not in ("", split):
            continue
        if question.doc_id in by_id:
            chosen.append(question)
        else:
            problems.append(
                f"{row.where}: document {question.doc_id} is in none of the document files, or was left out"
            )
    return HybridSet(tuple(chosen), by_id, tuple(problems))


def parts(document: HybridDocument, articles: Mapping[str, ContextRow]) -> list[Document]:
    """The texts of a document that are not blank: introduction, table (under its section's heading), linked articles.

    Articles come in the order of their links and are named by their id.
    """
    table = "\n".join(document.rows)
    headings = (Heading(0, 1, document.section),) if document.section else ()
    texts = [
        Document(f"{document.id} intro", document.intro, document.title),
        Document(f"{document.id} table", table, document.title, headings=headings),
        *(Document(name, articles[name].text, articles[name].title) for name in document.passages),
    ]
    return [text for text in texts if text.text.strip()]
