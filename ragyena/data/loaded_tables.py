"""Tables of question rows, read as files are.

Question sets keep tables as Markdown. No reader meets one: loaders write a row as ``Name: value; Name: value``
(``ragyena.documents.tables``), and that is what passages are cut from and answers stand in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from ragyena.data.qa_files import ContextRow, Question, QuestionSet
from ragyena.documents.markdown_text import has_table, with_tables
from ragyena.documents.moved_text import follow
from ragyena.types import Document

__all__ = ["LoadedRows", "load_tables"]

Move = Callable[[int, int], tuple[int, int] | None]


@dataclass(frozen=True, slots=True)
class LoadedRows:
    """Question rows whose tables are as loaders write them."""

    questions: tuple[Question, ...]
    contexts: Mapping[str, ContextRow] = field(repr=False)
    """By id, all those given."""
    documents: Mapping[str, Document] = field(repr=False)
    """Contexts that hold a table, by id, with its place and its names."""
    problems: tuple[str, ...]
    """Problems given, and the questions whose answer is not kept."""


def load_tables(given: QuestionSet) -> LoadedRows:
    """The rows with the text of each context that holds a Markdown table as loaders make it.

    Places of answers follow. A question whose answer is not in the loaded text is left out and named. Answers stay as
    they are written.
    """
    documents = {
        key: with_tables(Document(row.source, row.text, row.title))
        for key, row in given.contexts.items()
        if has_table(row.text)
    }
    moves = {
        key: follow(given.contexts[key].text, documents[key].text)
        for key in {question.context_id for question in given.questions}
        if key in documents
    }
    problems = list(given.problems)
    questions: list[Question] = []
    for question in given.questions:
        key = question.context_id or ""
        moved = _moved(question, documents[key].text, moves[key]) if key in documents else question
        if moved is None:
            problems.append(f"question '{question.id}': its answer is not in its table as loaders write it")
        else:
            questions.append(moved)
    contexts = {
        key: replace(row, text=documents[key].text) if key in documents else row for key, row in given.contexts.items()
    }
    return LoadedRows(tuple(questions), contexts, documents, tuple(problems))


def _moved(question: Question, text: str, move: Move | None) -> Question | None:
    """The question at its places in the loaded ``text``; None where an answer is not kept."""
    start, end = question.answer_start, question.answer_start + len(question.answers[0]) if question.answers else 0
    spans = [*([(start, end)] if start >= 0 else []), *question.items]
    if not spans:
        return question
    places = [place for span in spans if move is not None and (place := move(*span)) is not None]
    if len(places) < len(spans):
        return None
    if start < 0:
        return replace(question, items=tuple(places))
    first, last = places[0]
    # without the marks that it had in Markdown, the answer is another string
    return replace(question, answer_start=first, answers=tuple(dict.fromkeys((text[first:last], *question.answers))))
