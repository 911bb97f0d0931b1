"""The demonstration: index the shipped corpus, ask the shipped questions, and say how many answers were right."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ragyena import recipes
from ragyena.config import PipelineConfig
from ragyena.errors import PathNotFoundError
from ragyena.eval.metrics import exact_match
from ragyena.index.add import AddReport
from ragyena.index.index import Index
from ragyena.pipeline import Pipeline
from ragyena.types import Answer, Progress

__all__ = ["DemoAnswer", "DemoBuild", "DemoQuestion", "ask_all", "build", "corpus", "load_questions"]


@dataclass(frozen=True, slots=True)
class DemoQuestion:
    """A question on the demo corpus; ``answers`` is empty where the corpus does not hold one."""

    question: str
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DemoBuild:
    """What indexing the demo corpus came to."""

    report: AddReport
    seconds: float


@dataclass(frozen=True, slots=True)
class DemoAnswer:
    """One question asked. ``right``: an accepted answer, or an abstention where the corpus holds none."""

    asked: DemoQuestion
    answer: Answer
    right: bool


def corpus() -> Path:
    """The folder of the shipped documents. Raises PathNotFoundError where the installation lacks it."""
    folder = recipes.asset("demo") / "corpus"
    if not folder.is_dir():
        raise PathNotFoundError(f"the demo corpus is not at {folder}", hint="install ragyena again")
    return folder


def load_questions() -> list[DemoQuestion]:
    """The shipped questions, in the order in which they are asked."""
    lines = (recipes.asset("demo") / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [DemoQuestion(row["question"], tuple(row["answers"])) for row in rows]


def build(index: Path, config: PipelineConfig, progress: Progress | None = None) -> DemoBuild:
    """Indexes the demo corpus into the folder ``index``. Raises what ``ragyena index add`` raises."""
    began = time.perf_counter()
    with Index.open(index, create=True, lazy=True, settings=config) as opened:
        report = opened.add([corpus()], progress=progress)
    return DemoBuild(report, time.perf_counter() - began)


def ask_all(index: Path, config: PipelineConfig) -> Iterator[DemoAnswer]:
    """Asks each shipped question, one at a time. Raises what ``Pipeline.open`` and ``Pipeline.ask`` raise."""
    with Pipeline.open(index, settings=config) as pipeline:
        for asked in load_questions():
            answer = pipeline.ask(asked.question)
            yield DemoAnswer(asked, answer, _right(answer, asked))


def _right(answer: Answer, asked: DemoQuestion) -> bool:
    if not asked.answers or answer.kind == "abstained":
        return not asked.answers and answer.kind == "abstained"
    return exact_match(answer.text, asked.answers) == 1.0
