"""``ragyena ask``: one question, or a file of them."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragyena.cli.cluster import ClusterOption, opened_pipeline
from ragyena.cli.console import TerminalProgress, emit_json, interruptible, output
from ragyena.cli.options import (
    IndexOption,
    JsonOption,
    PipelineOption,
    QuietOption,
    ReaderOption,
    WhereOption,
    WriterModelOption,
    WriterOption,
    configure,
    parse_filters,
)
from ragyena.errors import (
    DataError,
    EmptyQuestionError,
    IndexProblem,
    PartialFailureError,
    PathNotFoundError,
    UsageError,
)
from ragyena.files import open_file
from ragyena.parsing import MalformedError, parse_json, parse_json_lines

if TYPE_CHECKING:
    from ragyena.config import PipelineConfig

__all__ = ["command", "one_question", "opening"]

LARGEST_QUESTIONS = 256_000_000
"""Bytes of a file of questions."""


def command(
    question: Annotated[
        str | None, typer.Argument(metavar="QUESTION", help="The question; read from stdin if left out.")
    ] = None,
    index: IndexOption = None,
    questions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help='Ask every row {"question": ..., "id": ...}, of a .txt file every line, and print JSON lines.',
        ),
    ] = None,
    context_tokens: Annotated[
        int | None, typer.Option(metavar="N", help="The most tokens to read (setting packer.context_tokens).")
    ] = None,
    top_k: Annotated[
        int | None, typer.Option(metavar="N", help="Passages to retrieve; 0 fills the budget (retriever.top_k).")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(metavar="P", help="Withhold answers less probable than this (reader.threshold).")
    ] = None,
    where: WhereOption = None,
    pipeline: PipelineOption = None,
    reader: ReaderOption = None,
    writer: WriterOption = None,
    writer_model: WriterModelOption = None,
    cluster: ClusterOption = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show what was done with every retrieved passage.")
    ] = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Answer a question from an index, with citations."""
    if questions is not None and question is not None:
        raise UsageError("a question and --questions were both given", hint="give one of them")
    config = configure(
        pipeline,
        {
            "packer.context_tokens": context_tokens,
            "retriever.top_k": top_k,
            "reader.threshold": threshold,
            "reader.checkpoint": reader,
            "writer.url": writer,
            "writer.model": writer_model,
        },
    )
    filters = parse_filters(where or [])
    if questions is not None:
        rows = _read_rows(questions)
        with interruptible("the answers printed so far are complete"):
            _ask_rows(rows, questions, index, config, filters, cluster=cluster, explain=explain, quiet=quiet)
        return
    text = one_question(question)
    with interruptible("nothing was changed"):
        from ragyena.cli.writing import asked_of

        with ExitStack() as stack:
            with opening(quiet):
                opened = stack.enter_context(opened_pipeline(cluster, index, config))
            answer = asked_of(opened, live=not quiet)(text, filters)
    if json:
        from ragyena.schemas import answer_json

        emit_json(answer_json(answer, explain=explain).model_dump(by_alias=True))
        return
    from ragyena.cli.views import answer_view, packing_view

    console = output()
    console.print(answer_view(answer, console))
    if explain and answer.log:
        console.print()
        console.print(packing_view(answer.log))


def one_question(question: str | None) -> str:
    if question is None or question == "-":
        if sys.stdin.isatty():
            raise EmptyQuestionError("no question was given", hint='ragyena ask "When was it built?", or pipe one in')
        question = sys.stdin.buffer.read().decode("utf-8", errors="replace")
    if not question.strip():
        raise EmptyQuestionError("the question is empty", hint='ask something: ragyena ask "When was it built?"')
    return question


@contextmanager
def opening(quiet: bool) -> Iterator[None]:
    """A sign of life while the index and the reader are opened. The garbage collector rests meanwhile: next to nothing
    is thrown away, and it would walk the hundred thousands of objects of torch again and again."""
    collects = gc.isenabled()
    gc.disable()
    try:
        if quiet or not sys.stderr.isatty():
            yield
            return
        from ragyena.cli.visible_console import VisibleConsole

        console = VisibleConsole(sys.stderr)
        spinner = "dots" if console.encoding.startswith("utf") else "line"
        with console.status("opening the index and the reader", spinner=spinner):
            yield
    finally:
        if collects:
            gc.enable()


# --- files of questions ----------------------------------------------------------------------------------------


ROW = '{"question": "...", "id": ...}, the id optional'


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    id: str | int | None
    question: str
    problem: str
    """The reason why the row cannot be asked; empty where it can."""


def _read_rows(path: Path) -> list[_Row]:
    try:
        with open_file(path, LARGEST_QUESTIONS) as file:
            if path.suffix.lower() == ".txt":
                rows = [_line(number, line) for number, line in enumerate(file, 1) if line.strip()]
            else:
                rows = [_row(number, values) for number, values in parse_json_lines(file)]
    except FileNotFoundError as error:
        raise PathNotFoundError(f"no questions file {path}", hint="give the path of a .jsonl or .txt file") from error
    except (OSError, MalformedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"cannot read {path}: {reason}", hint="save the file as UTF-8 JSON lines") from error
    if not rows:
        raise DataError(f"{path} holds no questions", hint=f"write a row a line: {ROW}")
    return rows


def _line(number: int, line: bytes) -> _Row:
    """A row of a file of plain questions; one that is a JSON object is read as that."""
    try:
        text = line.decode("utf-8-sig").strip()
        if "\0" in text:  # every other byte of UTF-16
            return _Row(number, None, "", "not UTF-8 text")
        return _row(number, parse_json(text)) if text.startswith("{") else _Row(number, None, text, "")
    except UnicodeDecodeError:
        return _Row(number, None, "", "not UTF-8")
    except MalformedError as error:
        return _row(number, error)


def _row(number: int, values: Any) -> _Row:
    if isinstance(values, MalformedError):
        return _Row(number, None, "", values.problem)
    if not isinstance(values, dict):
        return _Row(number, None, "", "not a JSON object")
    id, question = values.get("id"), values.get("question")
    if not isinstance(id, str | int | None):
        return _Row(number, None, "", "'id' is neither a string nor a whole number")
    if not isinstance(question, str) or not question.strip():
        return _Row(number, id, "", "no 'question' in it")
    return _Row(number, id, question, "")


def _ask_rows(
    rows: list[_Row],
    file: Path,
    index: str | None,
    config: PipelineConfig,
    filters: dict[str, str],
    *,
    cluster: str | None,
    explain: bool,
    quiet: bool,
) -> None:
    """Ask every row; one that cannot be asked is reported in its place and fails the run at its end."""
    from ragyena.cli.writing import asked_of
    from ragyena.schemas import ErrorJson, answer_json

    failed: list[int] = []
    of_the_index: IndexProblem | None = None
    with TerminalProgress(quiet=quiet) as progress, opened_pipeline(cluster, index, config) as pipeline:
        ask = asked_of(pipeline, live=False)
        progress.start("asking", len(rows), "questions")
        for row in rows:
            progress.advance(0, f"line {row.line}")
            try:
                if row.problem:
                    raise DataError(row.problem, hint=f"a row is {ROW}; a line of a .txt file a question in UTF-8")
                answer = ask(row.question, filters)
                values = answer_json(answer, id=row.id, explain=explain).model_dump(by_alias=True)
            except (DataError, UsageError, IndexProblem) as error:
                failed.append(row.line)
                of_the_index = of_the_index or (error if isinstance(error, IndexProblem) else None)
                progress.note(f"{file}:{row.line}: {error.message}")
                problem = ErrorJson(id=row.id, line=row.line, error=error.message, hint=error.hint)
                values = problem.model_dump(by_alias=True)
            with progress.hidden():
                emit_json(values, indent=None)
            progress.advance(1)
    if of_the_index is not None and len(failed) == len(rows):
        raise of_the_index
    if failed:
        lines = ", ".join(str(line) for line in failed[:10]) + (", ..." if len(failed) > 10 else "")
        raise PartialFailureError(
            f"{len(failed)} of {len(rows)} rows of {file} could not be asked: line {lines}",
            hint=(
                "correct these lines; the answers to the others were printed"
                if len(failed) < len(rows)
                else f"a row is {ROW}; a file whose name ends in .txt may have a question a line as it is"
            ),
        )
