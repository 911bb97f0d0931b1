"""The demonstration: index the shipped corpus, ask the shipped questions, count the correct answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ragyena import recipes
from ragyena.config import PipelineConfig
from ragyena.errors import PathNotFoundError
from ragyena.eval.metrics import exact_match
from ragyena.index.add import AddReport
from ragyena.index.index import Index
from ragyena.parsing import parse_json
from ragyena.pipeline import Pipeline
from ragyena.types import Answer, Progress

__all__ = ["DemoAnswer", "DemoQuestion", "ask_all", "build", "corpus", "load_questions"]


@dataclass(frozen=True, slots=True)
class DemoQuestion:
    """A question on the demo corpus; ``answers`` is empty where the corpus does not hold one."""

    question: str
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DemoAnswer:
    """The answer to a demo question; ``correct`` for an accepted answer, or none where the corpus holds none."""

    question: DemoQuestion
    answer: Answer
    correct: bool


def corpus() -> Path:
    """The folder of the shipped documents. Raises PathNotFoundError where the installation lacks it."""
    folder = recipes.asset("demo") / "corpus"
    if not folder.is_dir():
        raise PathNotFoundError(f"the demo corpus is not at {folder}", hint="install ragyena again")
    return folder


def load_questions() -> list[DemoQuestion]:
    """The shipped questions, in the order in which they are asked."""
    lines = (recipes.asset("demo") / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [parse_json(line) for line in lines]
    return [DemoQuestion(row["question"], tuple(row["answers"])) for row in rows]


def build(index: Path, config: PipelineConfig, progress: Progress | None = None) -> AddReport:
    """Index the demo corpus into the folder ``index``. Raises what ``Index.add`` raises."""
    with Index.open(index, create=True, lazy=True, settings=config) as opened:
        return opened.add(corpus(), progress=progress)


def ask_all(index: Path, config: PipelineConfig) -> Iterator[DemoAnswer]:
    """Ask each shipped question. Raises what ``Pipeline.open`` and ``Pipeline.ask`` raise."""
    with Pipeline.open(index, settings=config) as pipeline:
        for question in load_questions():
            answer = pipeline.ask(question.question)
            yield DemoAnswer(question, answer, _is_correct(answer, question))


def _is_correct(answer: Answer, question: DemoQuestion) -> bool:
    if not question.answers or answer.kind == "withheld":
        return not question.answers and answer.kind == "withheld"
    return exact_match(answer.text, question.answers) == 1.0
