"""Documents of a table and the articles its cells link to, asked questions whose evidence lies in several places
(HybridQA; Chen et al. 2020). Each is read twice: whole, and passage by passage with the best answer taken.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ragyena.config import EvalConfig
from ragyena.errors import DataError
from ragyena.evaluation.conditions import Condition
from ragyena.evaluation.contexts import BuiltContext, Making, arrange, shuffled
from ragyena.evaluation.datasets import Question, sample
from ragyena.evaluation.frozen import Frozen
from ragyena.reader.reader import Reading
from ragyena.text.passages import split
from ragyena.text.qa_files import ContextRow, read_contexts, read_rows, under
from ragyena.text.tokenizer import Tokenizer
from ragyena.types import Document, Heading, Passage

__all__ = ["HybridData", "Independent", "Joint", "load_hybrid"]


@dataclass(frozen=True, slots=True)
class HybridData:
    """Questions, and the passages of their documents by document id (the ``context_id`` of a question)."""

    questions: tuple[Question, ...]
    """The ``source`` of each says where its answer stands: ``answer in table``, ``answer in passage``, or both."""
    passages: Mapping[str, list[Passage]]
    problems: tuple[str, ...]


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str = Field(min_length=1)
    split: str = ""


class _Document(_Row):
    title: str = ""
    section: str = ""
    intro: str = ""
    rows: tuple[str, ...] = ()
    passages: tuple[str, ...] = ()


class _Question(_Row):
    doc_id: str
    question: str = Field(min_length=1)
    answers: tuple[str, ...] = Field(min_length=1)
    answer_in: tuple[str, ...] = ()


def load_hybrid(config: EvalConfig, data_root: Path, tokenizer: Tokenizer, passage_tokens: int) -> HybridData:
    """The questions that ``config`` asks for and the documents they are asked on.

    Raises PathNotFoundError and DataError for files that cannot be used, DataError where no question is left.
    """
    root = data_root.expanduser()
    problems: list[str] = []
    articles = read_contexts(under(root, config.prose)) if config.prose else None
    linked = {row.id: row for row in articles.contexts} if articles else {}
    problems += articles.problems if articles else ()
    documents: dict[str, _Document] = {}
    for where, values in read_rows(under(root, config.documents)):
        try:
            document = _Document.model_validate(values)
        except ValidationError as error:
            problems.append(_problem(where, error))
            continue
        missing = [name for name in document.passages if name not in linked]
        if missing:
            problems.append(f"{where}: linked articles {', '.join(missing[:3])} are in none of the prose files")
        else:
            documents[document.id] = document
    questions = []
    for where, values in read_rows(under(root, config.questions)):
        try:
            row = _Question.model_validate(values)
        except ValidationError as error:
            problems.append(_problem(where, error))
            continue
        if row.split not in ("", config.split):
            continue
        if row.doc_id not in documents:
            problems.append(f"{where}: document {row.doc_id} is in none of the document files, or was left out")
            continue
        source = "answer in " + " and ".join(sorted(row.answer_in)) if row.answer_in else "answer anywhere"
        if not config.sources or source in config.sources:
            questions.append(Question(row.id, source, row.question, row.answers, row.doc_id, -1, row.split))
    if not questions:
        raise DataError(
            f"{', '.join(config.questions)}: no question on a document is of split '{config.split}'"
            + (f"; the first problem: {problems[0]}" if problems else ""),
            hint="check split and sources of the recipe, and that documents and prose files are given",
        )
    chosen = sample(questions, config.limit, config.seed)
    wanted = {q.context_id: documents[q.context_id] for q in chosen if q.context_id is not None}
    passages = {name: _passages(document, linked, tokenizer, passage_tokens) for name, document in wanted.items()}
    return HybridData(tuple(chosen), passages, tuple(problems))


def _passages(
    document: _Document, linked: Mapping[str, ContextRow], tokenizer: Tokenizer, passage_tokens: int
) -> list[Passage]:
    """Introduction, table (under the heading of its section) and articles in the order of their links."""
    table = "\n".join(document.rows)
    headings = (Heading(0, 1, document.section),) if document.section else ()
    parts = [
        Document(f"{document.id} intro", document.intro, document.title),
        Document(f"{document.id} table", table, document.title, headings=headings),
        *(Document(name, linked[name].text, linked[name].title) for name in document.passages),
    ]
    return [passage for part in parts if part.text.strip() for passage in split(part, tokenizer, passage_tokens)]


def _problem(where: str, error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{where}: '{'.'.join(map(str, first['loc'])) or 'row'}': {first['msg'].lower()}"


class Joint(Condition):
    """All passages of a document in one context, in a drawn order."""

    competes = False
    recalls = True
    name_of_all = "joint"

    def __init__(self, frozen: Frozen, making: Making) -> None:
        super().__init__(frozen, making, self.name_of_all, "documents whole")

    def contexts(self, question: Question) -> list[BuiltContext]:
        own = self.frozen.own_passages(question)
        return [arrange(question.question, shuffled(question, own, [], self.making.seed), self.making)]

    def size(self, question: Question) -> tuple[int, int]:
        return len(self.frozen.own[question.context_id or ""]), 0


class Independent(Joint):
    """Each passage of a document in a context of its own. The answer is that of the passage in which the best span is
    most probable against there being no answer.

    Both probabilities are of one softmax, so that their ratio does not depend on what else a passage holds: for a
    reader that sees each passage alone anyway, this is the choice it makes in the whole document.
    """

    name_of_all = "independent"

    def __init__(self, frozen: Frozen, making: Making) -> None:
        super().__init__(frozen, making)
        self.title = "documents passage by passage"

    def contexts(self, question: Question) -> list[BuiltContext]:
        order = shuffled(question, self.frozen.own_passages(question), [], self.making.seed)
        return [arrange(question.question, [entry], self.making) for entry in order]

    def choose(self, readings: Sequence[Reading]) -> int:
        return max(range(len(readings)), key=lambda i: _margin(readings[i]))


def _margin(reading: Reading) -> float:
    """Log probability of the best span less that of no answer. The latter is start's plus end's; of the reading it is
    the geometric mean of both."""
    if not reading.spans or not reading.spans[0].score or not reading.no_answer_probability:
        return -math.inf
    return math.log(reading.spans[0].score) - 2 * math.log(reading.no_answer_probability)
