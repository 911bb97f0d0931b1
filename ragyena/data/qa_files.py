"""Questions, the contexts they refer to, and plain texts, read from files or datasets (``ragyena.data.rows``).

A row that cannot be used is left out and named in ``problems``: records plus ``problems`` account for every row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ragyena import recipes
from ragyena.data.rows import Row, valid_rows
from ragyena.errors import DataError, PathNotFoundError

__all__ = ["ContextRow", "ContextSet", "Question", "QuestionSet", "read_contexts", "read_questions", "under"]

SHIPPED = "shipped:"
"""Begins the name of a file inside the package."""


def under(root: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Resolve names of data files: those below ``root`` become paths, ``shipped:NAME`` is looked up inside the package,
    others (files elsewhere, datasets on the hub) stay as they are.

    Raises PathNotFoundError for the name of a file that is nowhere.
    """
    names = [str(recipes.asset(n.removeprefix(SHIPPED))) if n.startswith(SHIPPED) else n for n in names]
    for name in names:
        if Path(name).suffix and not (root / name).exists() and not Path(name).exists():
            raise PathNotFoundError(
                f"no data file {root / name}", hint="give --data-root, the folder that the recipe's paths are under"
            )
    return tuple(str(root / name) if (root / name).exists() else name for name in names)


@dataclass(frozen=True, slots=True)
class ContextRow:
    """A text that questions refer to, or that is read for its own sake."""

    id: str
    title: str
    text: str
    source: str
    """The collection it belongs to."""
    split: str = ""
    """``train``, ``dev``; empty where the data does not say."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question with every answer that counts as right."""

    id: str
    source: str
    """The collection it belongs to."""
    question: str
    answers: tuple[str, ...]
    """Empty for a question without an answer."""
    context_id: str | None
    """The ``ContextRow`` it refers to; None for a question that came without one."""
    answer_start: int
    """Char offset of ``answers[0]`` in the context's text; -1 where it is not a span of it."""
    split: str = ""
    answer_type: str = ""
    """As the data name it (``span``, ``list``, ``yesno``, ``computed``, ``freeform``); empty where they do not."""
    items: tuple[tuple[int, int], ...] = ()
    """Chars of the context's text, first and one after the last, of each item of an answer that is a list."""


@dataclass(frozen=True, slots=True)
class ContextSet:
    """Texts in file order, and the rows that could not be used."""

    contexts: tuple[ContextRow, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Questions in file order, the contexts of their own and of passage files, and the rows not used."""

    questions: tuple[Question, ...]
    contexts: Mapping[str, ContextRow] = field(repr=False)
    """By id. Holds every passage row read, also those no question refers to."""
    problems: tuple[str, ...]
    """``file, row: reason`` of every row left out."""


def read_questions(
    names: Sequence[str], passages: Sequence[str] = (), *, split: str | None = None, sources: Sequence[str] = ()
) -> QuestionSet:
    """Every question of ``names``, joined with the passage rows of ``passages`` by ``passage_id``.

    ``split`` keeps the questions of that split and those that name none; ``sources`` keeps the questions of these
    sources. Filters choose and do not count as problems. Where a row has no ``answer_start`` the first occurrence of
    its first answer in the context is taken.

    Raises PathNotFoundError for a missing file, DataError for one that cannot be read at all or where no row of a
    file can be used, MissingDependencyError where ``datasets`` is needed and not installed.
    """
    stored = read_contexts(passages) if passages else ContextSet((), ())
    contexts = {row.id: row for row in stored.contexts}
    problems = list(stored.problems)
    seen: set[str] = set()

    def question_of(item: Row, row: _QuestionRow) -> Question:
        question = _question(row, item, _context_of(row, item, contexts), contexts)
        if question.id in seen:
            raise _UnusableError(f"the id '{question.id}' is taken by an earlier row")
        seen.add(question.id)
        return question

    questions: list[Question] = []
    for name in names:
        before = len(problems)
        batch = list(_records(name, _QuestionRow, question_of, problems))
        if not batch:
            raise _nothing_usable(name, problems[before:], "{id, question, answers, context | passage_id}")
        questions += [
            question
            for question in batch
            if (split is None or question.split in ("", split)) and (not sources or question.source in sources)
        ]
    return QuestionSet(tuple(questions), contexts, tuple(problems))


def read_contexts(names: Sequence[str]) -> ContextSet:
    """Every text of ``names``: rows ``{id, title, context | text, source, split}`` of which only the text is required.

    Raises as ``read_questions`` does.
    """
    contexts: dict[str, ContextRow] = {}
    problems: list[str] = []

    def context_of(item: Row, row: _ContextRow) -> ContextRow:
        text = row.context or row.text
        if not text:
            raise _UnusableError("'context': there is no text")
        context = _context_row(row, item, row.id, text)
        if contexts.setdefault(context.id, context).text != text:
            raise _UnusableError(f"the id '{context.id}' is taken by an earlier row with another text")
        return context

    for name in names:
        before = len(problems)
        if not list(_records(name, _ContextRow, context_of, problems)) and len(problems) > before:
            raise _nothing_usable(name, problems[before:], "{id, title, context | text}")
    return ContextSet(tuple(contexts.values()), tuple(problems))


class _UnusableError(Exception):
    """A valid row that cannot be used; the text says why."""


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)

    id: str = ""
    title: str = ""
    source: str = ""
    split: str = ""
    context: str | None = None

    @field_validator("id", "title", "source", "split", mode="before")
    @classmethod
    def _absent(cls, value: object) -> object:
        return "" if value is None else value


class _ContextRow(_Row):
    text: str | None = None


class _QuestionRow(_Row):
    """Our own layout, SQuAD's and that of the SQuAD-like datasets of the hub; they differ in ``answers`` alone."""

    passage_id: str | None = None
    question: str = Field(min_length=1)
    answers: tuple[tuple[str, int | None], ...] = ()
    """Each answer with its own start, None where none is given."""
    answer_start: int | None = None
    answer_type: str = ""
    answers_all: tuple[str, ...] = ()
    answer_starts: tuple[int, ...] = ()
    """The start of each of ``answers_all``, the items of a list whose first answer names them all."""
    is_impossible: bool = False

    @field_validator("answers", mode="before")
    @classmethod
    def _pairs(cls, value: object) -> object:
        if value is None:
            return ()
        if isinstance(value, str):
            return ((value, None),)
        if isinstance(value, Mapping):
            texts = value.get("text", ())
            return tuple(zip(texts, value.get("answer_start") or [None] * len(texts)))
        if isinstance(value, list | tuple):
            return tuple((a.get("text"), a.get("answer_start")) if isinstance(a, Mapping) else (a, None) for a in value)
        return value


_Model = TypeVar("_Model", bound=BaseModel)
_Record = TypeVar("_Record")


def _records(
    name: str, kind: type[_Model], record_of: Callable[[Row, _Model], _Record], problems: list[str]
) -> Iterator[_Record]:
    """The records of a file; rows that cannot be used are added to ``problems``."""
    for item, row in valid_rows([name], kind, problems):
        try:
            yield record_of(item, row)
        except _UnusableError as error:
            problems.append(f"{item.where}: {error}")


def _question(row: _QuestionRow, item: Row, context_id: str | None, contexts: Mapping[str, ContextRow]) -> Question:
    answers = () if row.is_impossible else tuple(dict.fromkeys(text for text, _ in row.answers if text))
    start = -1
    if answers and context_id is not None:
        text = contexts[context_id].text
        given = row.answer_start if row.answer_start is not None else row.answers[0][1]
        start = text.find(answers[0]) if given is None else given
        if start >= 0 and text[start : start + len(answers[0])] != answers[0]:
            raise _UnusableError(f"answer_start {start} does not point at '{answers[0]}' in the context")
    items: tuple[tuple[int, int], ...] = ()
    if row.answer_type == "list" and start < 0 and context_id is not None and row.answer_starts:
        items = tuple((at, at + len(item)) for at, item in zip(row.answer_starts, row.answers_all))
        if [contexts[context_id].text[at:end] for at, end in items] != list(row.answers_all):
            raise _UnusableError("answer_starts do not point at answers_all in the context")
    return Question(
        id=row.id or item.id,
        source=row.source or item.source,
        question=row.question,
        answers=answers,
        context_id=context_id,
        answer_start=start,
        split=row.split or item.split,
        answer_type=row.answer_type,
        items=items,
    )


def _context_of(row: _QuestionRow, item: Row, contexts: dict[str, ContextRow]) -> str | None:
    """The id of the row's context, which is stored where it is part of the row."""
    if row.context:
        context = _context_row(row, item, row.passage_id, row.context)
        if contexts.setdefault(context.id, context).text != row.context:
            raise _UnusableError(f"passage_id '{context.id}' stands for another text in an earlier row")
        return context.id
    if row.passage_id is not None and row.passage_id not in contexts:
        raise _UnusableError(f"passage_id '{row.passage_id}' is in none of the passage files")
    return row.passage_id


def _context_row(row: _Row, item: Row, row_id: str | None, text: str) -> ContextRow:
    """A context; without an id of its own it gets one made of its source and text."""
    source = row.source or item.source
    row_id = row_id or f"{source}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    return ContextRow(row_id, row.title, text, source, row.split or item.split)


def _nothing_usable(name: str, problems: Sequence[str], layout: str) -> DataError:
    first = f"; the first: {problems[0]}" if problems else ""
    return DataError(f"no row of {name} can be used{first}", hint=f"rows are {layout}, or SQuAD JSON")
