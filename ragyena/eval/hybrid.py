"""Documents of a table and the articles its cells link to, asked questions whose evidence lies in several places
(HybridQA; Chen et al. 2020). Each is read twice: whole, and passage by passage with the best answer taken.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ragyena.config import EvalConfig
from ragyena.data.hybrid import parts, read_hybrid
from ragyena.data.qa_files import read_contexts, under
from ragyena.documents.passages import split
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import DataError
from ragyena.eval.conditions import Condition
from ragyena.eval.contexts import BuiltContext, Making, arrange, shuffled
from ragyena.eval.datasets import Question, sample
from ragyena.eval.frozen import Frozen
from ragyena.reader.reader import Reading
from ragyena.types import Passage

__all__ = ["HybridData", "Independent", "Joint", "load_hybrid"]


@dataclass(frozen=True, slots=True)
class HybridData:
    """Questions, and the passages of their documents by document id (the ``context_id`` of a question)."""

    questions: tuple[Question, ...]
    """The ``source`` of each says where its answer stands: ``answer in table``, ``answer in passage``, or both."""
    passages: Mapping[str, list[Passage]]
    problems: tuple[str, ...]


def load_hybrid(config: EvalConfig, data_root: Path, tokenizer: Tokenizer, passage_tokens: int) -> HybridData:
    """The questions that ``config`` asks for and the documents they are asked on.

    Raises PathNotFoundError and DataError for files that cannot be used, DataError where no question is left.
    """
    root = data_root.expanduser()
    articles = read_contexts(under(root, config.prose)) if config.prose else None
    linked = {row.id: row for row in articles.contexts} if articles else {}
    found = read_hybrid(under(root, config.questions), under(root, config.documents), linked, split=config.split)
    problems = (*(articles.problems if articles else ()), *found.problems)
    questions = [
        Question(row.id, row.source, row.question, row.answers, row.doc_id, -1, row.split)
        for row in found.questions
        if not config.sources or row.source in config.sources
    ]
    if not questions:
        raise DataError(
            f"{', '.join(config.questions)}: no question on a document is of split '{config.split}'"
            + (f"; the first problem: {problems[0]}" if problems else ""),
            hint="check split and sources of the recipe, and that documents and prose files are given",
        )
    chosen = sample(questions, config.limit, config.seed)
    wanted = {q.context_id: found.documents[q.context_id] for q in chosen if q.context_id is not None}
    passages = {
        name: [passage for part in parts(document, linked) for passage in split(part, tokenizer, passage_tokens)]
        for name, document in wanted.items()
    }
    return HybridData(tuple(chosen), passages, problems)


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
