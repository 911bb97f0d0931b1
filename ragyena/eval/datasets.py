"""The questions of an evaluation and the contexts they are asked on.

Reading files is ``ragyena.data.qa_files``; here rows are chosen, and their contexts cut into passages.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ragyena.config import EvalConfig, PipelineConfig
from ragyena.data.qa_files import ContextRow, Question, read_contexts, read_questions, under
from ragyena.documents.passages import split
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import DataError
from ragyena.types import Document, Passage

__all__ = ["ContextRow", "EvalData", "Question", "cut", "fingerprint", "load", "sample"]


@dataclass(frozen=True, slots=True)
class EvalData:
    """What an evaluation asks. Every question has a context, unless an index is asked that is not made of contexts."""

    answerable: tuple[Question, ...]
    unanswerable: tuple[Question, ...]
    contexts: Mapping[str, ContextRow] = field(repr=False)
    """Every context read, by id: those asked on and those that only distract."""
    prose: tuple[ContextRow, ...] = field(repr=False)
    """Further texts to retrieve from, none of whose ids is that of a context."""
    problems: tuple[str, ...]
    """Rows that were left out, and why."""


def load(config: EvalConfig, data_root: Path, *, needs_context: bool = True) -> EvalData:
    """The rows that ``config`` asks for. A row without answers is unanswerable, whichever file it stands in; one
    without a context is left out, and named, where ``needs_context``.

    Raises PathNotFoundError and DataError for files that cannot be used, DataError where no answerable question is
    left.
    """
    if not config.questions:
        raise DataError("there are no questions to ask", hint="name a recipe that has some, or give --data FILE")
    root = data_root.expanduser()
    names = under(root, (*config.questions, *config.unanswerable))
    asked = read_questions(names, under(root, config.passages), split=config.split)
    further = read_contexts(under(root, config.prose)) if config.prose else None
    problems = [*asked.problems, *(further.problems if further else ())]
    answerable = [q for q in asked.questions if q.answers and (not config.sources or q.source in config.sources)]
    chosen = []
    for questions in (answerable, [q for q in asked.questions if not q.answers]):
        kept = [question for question in questions if question.context_id is not None or not needs_context]
        if needs_context:
            problems += [f"question {q.id}: it has no context" for q in questions if q.context_id is None]
        chosen.append(sample(kept, config.limit, config.seed))
    if not chosen[0]:
        wanted = f"split '{config.split}'" + (f" and sources {', '.join(config.sources)}" if config.sources else "")
        what = "an answer and a context" if needs_context else "an answer"
        raise DataError(
            f"{', '.join(config.questions)}: no question with {what} is of {wanted}",
            hint="check split and sources of the recipe, and that the passage files were given (--passages)",
        )
    prose = []
    for row in further.contexts if further else ():
        if row.id in asked.contexts:
            problems.append(f"text {row.id}: the id is that of a passage")
        else:
            prose.append(row)
    return EvalData(tuple(chosen[0]), tuple(chosen[1]), asked.contexts, tuple(prose), tuple(problems))


def cut(contexts: Sequence[ContextRow], tokenizer: Tokenizer, passage_tokens: int) -> dict[str, list[Passage]]:
    """The passages of each context, by context id, cut as an index cuts them."""
    return {row.id: split(Document(row.id, row.text, row.title), tokenizer, passage_tokens) for row in contexts}


def sample(questions: list[Question], limit: int, seed: int) -> list[Question]:
    """At most ``limit`` of the questions, in file order; the same ones for the same seed."""
    if not limit or len(questions) <= limit:
        return questions
    chosen = random.Random(seed).sample(range(len(questions)), limit)
    return [questions[index] for index in sorted(chosen)]


def fingerprint(rows: Sequence[Iterable[ContextRow]], settings: PipelineConfig, tokenizer: Tokenizer) -> str:
    """Names the index of these texts under these settings."""
    digest = hashlib.sha256(f"{settings.index.model_dump_json()} {tokenizer.fingerprint}".encode())
    for some in rows:
        for row in some:
            digest.update(json.dumps([row.id, row.title, row.text]).encode())
    return digest.hexdigest()[:12]
