"""``ragyena chat``: a conversation with the documents of an index, in the terminal."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

from ragyena.cli.ask import opening
from ragyena.cli.cluster import ClusterOption, opened_pipeline
from ragyena.cli.console import interruptible, output
from ragyena.cli.options import (
    IndexOption,
    PipelineOption,
    QuietOption,
    ReaderOption,
    WhereOption,
    WriterModelOption,
    WriterOption,
    configure,
    parse_filters,
)
from ragyena.errors import IndexProblem, RagyenaError, UsageError, WriterError

if TYPE_CHECKING:
    from rich.console import Console

    from ragyena.cli.writing import Ask
    from ragyena.pipeline import Pipeline
    from ragyena.types import Answer

__all__ = ["command"]

COMMANDS = {
    "/sources": "the documents of the index; /sources WORD those with it in their path",
    "/show": "the text around a citation of the last answer: /show 2",
    "/explain": "what was done with every passage of the last answer",
    "/where": "ask only documents that match: /where source=*.pdf; /where alone asks all",
    "/new": "begin a new conversation: nothing said before is carried over",
    "/help": "these commands",
    "/quit": "end (also Ctrl-D)",
}
AROUND = 600
"""Characters shown before and after a quote."""
MOST_SOURCES = 40
TURNS = 8
"""Questions that a follow-up may go back to."""


def command(
    index: IndexOption = None,
    where: WhereOption = None,
    cluster: ClusterOption = None,
    pipeline: PipelineOption = None,
    reader: ReaderOption = None,
    writer: WriterOption = None,
    writer_model: WriterModelOption = None,
    quiet: QuietOption = False,
) -> None:
    """Talk with the documents of an index: follow-ups ("and in 2022?") carry the subject.

    A follow-up is made a whole question by rules, which is shown and asked. `/help` lists what else can be done.
    Without a terminal every line of stdin is a question.

    Example: ragyena chat --index contracts
    """
    config = configure(pipeline, {"reader.checkpoint": reader, "writer.url": writer, "writer.model": writer_model})
    filters = parse_filters(where or [])
    with interruptible("nothing was changed"), ExitStack() as stack:
        from ragyena.cli.writing import asked_of

        with opening(quiet):
            opened = stack.enter_context(opened_pipeline(cluster, index, config))
        gc.freeze()  # a full collection takes 100 ms, most of it to look at what stays as long as the process
        _Conversation(opened, output(), filters, asked_of(opened, live=not quiet)).run(_lines(opened))


class _Conversation:
    """A conversation: its turns, and its commands."""

    def __init__(self, pipeline: Pipeline, console: Console, filters: dict[str, str], ask: Ask) -> None:
        from ragyena.reader.follow_up import Turn

        self._pipeline, self._console, self._filters, self._answer = pipeline, console, filters, ask
        self._turns: list[Turn] = []
        self._last: Answer | None = None

    def run(self, lines: Iterator[str]) -> None:
        """Answer each line. A question that cannot be asked, or a wrong command, says so; the next one goes on."""
        for line in lines:
            text = line.strip()
            if not text:
                continue
            try:
                if text.startswith("/"):
                    if not self._command(*text.split(maxsplit=1)):
                        return
                else:
                    self._ask(text)
            except (UsageError, IndexProblem, WriterError) as error:
                self._complain(error)

    def _ask(self, text: str) -> None:
        from ragyena.cli.views import answer_view
        from ragyena.reader.follow_up import Turn, standalone

        question = standalone(text, self._turns)
        if question != " ".join(text.split()):
            self._console.print(f"asked as: {question}", style="dim", markup=False, highlight=False)
        self._pipeline.index.refresh()
        answer = self._answer(question, self._filters)
        self._last = answer
        self._turns = [*self._turns, Turn(question, answer.text)][-TURNS:]
        self._console.print(answer_view(answer, self._console))
        self._console.print()

    def _command(self, name: str, argument: str = "") -> bool:
        """False to end."""
        if name in ("/quit", "/exit"):
            return False
        actions = {
            "/sources": self._sources,
            "/show": self._show,
            "/explain": self._explain,
            "/where": self._where,
            "/new": self._new,
            "/help": self._help,
        }
        if name not in actions:
            raise UsageError(f"there is no command {name}", hint=f"there are {', '.join(COMMANDS)}")
        actions[name](argument)
        return True

    def _sources(self, word: str) -> None:
        page = self._pipeline.index.files(containing=word, offset=0, limit=MOST_SOURCES)
        for file in page.files:
            self._console.print(f"  {file.path}", style="cyan", markup=False, highlight=False)
        more = f", the first {MOST_SOURCES}" if page.total > MOST_SOURCES else ""
        self._console.print(f"  {page.total:,} files{more}", style="dim", highlight=False)

    def _show(self, number: str) -> None:
        from rich.text import Text

        from ragyena.cli.terminal import visible

        citations = self._last.citations if self._last else ()
        if self._last and self._last.closest:
            citations = (self._last.closest.citation,)
        if not citations:
            raise UsageError("there is no citation to show", hint="ask something first")
        at = int(number) if number.isdecimal() else int(not number)
        if not 1 <= at <= len(citations):
            raise UsageError(f"there is no citation {number}", hint=f"give one from 1 to {len(citations)}: /show 1")
        cited = citations[at - 1]
        text = self._pipeline.index.document(cited.document_id).text
        begin, end = max(0, cited.start - AROUND), min(len(text), cited.end + AROUND)
        shown = Text(visible(text[begin : cited.start]))
        shown.append(visible(text[cited.start : cited.end]), style="bold green")
        shown.append(visible(text[cited.end : end]))
        self._console.print(shown)

    def _explain(self, argument: str) -> None:
        from ragyena.cli.views import packing_view

        if self._last is None or self._last.log is None:
            raise UsageError("there is nothing to explain", hint="ask something first")
        self._console.print(packing_view(self._last.log))

    def _where(self, given: str) -> None:
        self._filters = parse_filters(given.split()) if given else {}
        kept = ", ".join(f"{key}={value}" for key, value in self._filters.items()) or "all documents"
        self._console.print(f"  asking {kept}", style="dim", markup=False, highlight=False)

    def _new(self, argument: str) -> None:
        self._turns, self._last = [], None
        self._console.print("  a new conversation", style="dim")

    def _help(self, argument: str) -> None:
        for name, what in COMMANDS.items():
            self._console.print(f"  {name:9} {what}", markup=False, highlight=False)

    def _complain(self, error: RagyenaError) -> None:
        from ragyena.cli.main import complain

        complain(error.message, error.hint)


def _lines(pipeline: Pipeline) -> Iterator[str]:
    """Typed lines, with history and completion; without a terminal the lines of stdin."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        for line in sys.stdin.buffer:
            yield line.decode("utf-8", errors="replace")
        return
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import WordCompleter

    held = pipeline.index.manifest
    print(f"{held.documents:,} documents. Ask, or /help; Ctrl-D ends.", file=sys.stderr)
    completer = WordCompleter(list(COMMANDS), meta_dict=COMMANDS, sentence=True)
    session: PromptSession[str] = PromptSession(completer=completer, complete_while_typing=True)
    while True:
        try:
            yield session.prompt("> ")
        except KeyboardInterrupt:
            continue  # what was typed is dropped
        except EOFError:
            return
