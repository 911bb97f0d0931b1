"""The tools of ``ragyena mcp``. What they do is in ``tools.py``.

Results carry data (with a schema) and the same in words; an error of ragyena's is an error of the tool, with its hint.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Protocol, TypeVar

import anyio.from_thread
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, TextContent, ToolAnnotations
from pydantic import BaseModel, Field

from ragyena.config.tools import (
    EVIDENCE,
    LISTED,
    MATCHES,
    MIN_EVIDENCE,
    MOST_EVIDENCE,
    MOST_LISTED,
    MOST_MATCHES,
)
from ragyena.errors import RagyenaError
from ragyena.integrations.tools import Added, Listed, Matches, ReadText, Tools, answer_words, evidence_words
from ragyena.schemas import AnswerJson, EvidenceJson

__all__ = ["add_tools"]

REPORT_SECONDS = 0.25
"""Seconds between two notices of progress."""
READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
SENDS = ToolAnnotations(read_only_hint=True, open_world_hint=True)
WRITES = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False)

Filters = Annotated[
    dict[str, str] | None,
    Field(
        description="Keep to documents whose `source`, `title` or metadata field matches a value; * and ? are wildcards"
    ),
]
From1 = Annotated[int | None, Field(ge=1)]
Result = TypeVar("Result", bound=BaseModel)


class _Worded(Protocol):
    def words(self) -> str: ...


def add_tools(server: MCPServer, tools: Tools) -> None:
    """Add the tools to a server; additions are one of them where ``tools.allowed`` names something."""

    @server.tool(title="Ask the documents", annotations=SENDS if tools.writes else READS)
    def ask(
        question: Annotated[str, Field(description="A question in words")], filters: Filters = None
    ) -> Annotated[CallToolResult, AnswerJson]:
        """Answer a question from the user's documents, with the sentences that hold the answer and where they stand.

        Reads the passages that matter, and says so where they do not hold an answer. One question at a time: split
        what asks for several things.
        """
        return _result(lambda: tools.ask(question, filters), answer_words)

    @server.tool(title="Gather evidence", annotations=READS)
    def select(
        question: Annotated[str, Field(description="A question in words, or a subject")],
        tokens: Annotated[
            int, Field(ge=MIN_EVIDENCE, le=MOST_EVIDENCE, description="Tokens of all pieces together")
        ] = EVIDENCE,
        filters: Filters = None,
    ) -> Annotated[CallToolResult, EvidenceJson]:
        """Gather the sentences of the user's documents that bear most on a question, each with its place.

        For what has no short answer: a summary, a comparison, an explanation. Write it from these sentences and cite
        them.
        """
        return _result(lambda: tools.select(question, tokens, filters), evidence_words)

    @server.tool(title="Search the documents", annotations=READS)
    def search(
        query: Annotated[str, Field(description="A question or words")],
        limit: Annotated[int, Field(ge=1, le=MOST_MATCHES, description="The most passages to give")] = MATCHES,
        filters: Filters = None,
    ) -> Annotated[CallToolResult, Matches]:
        """Find passages of the user's documents, by meaning and by words, best first."""
        return _result(lambda: tools.search(query, limit, filters), Matches.words)

    @server.tool(title="Read a document", annotations=READS)
    def read_document(
        document: Annotated[str, Field(description="Its source, as answers and searches name it, or the end of it")],
        first_line: From1 = None,
        last_line: From1 = None,
        first_page: From1 = None,
        last_page: From1 = None,
        start: Annotated[int | None, Field(ge=0, description="`next_start` of the call before, to go on")] = None,
    ) -> Annotated[CallToolResult, ReadText]:
        """Read a document of the index, or the lines or pages of it that are named; a long text in several calls."""
        lines, pages = (first_line, last_line), (first_page, last_page)
        return _result(lambda: tools.read(document, lines=lines, pages=pages, start=start), ReadText.words)

    @server.tool(title="List the documents", annotations=READS)
    def list_documents(
        containing: Annotated[str, Field(description="Keep to paths with this in it, whatever its case")] = "",
        offset: Annotated[int, Field(ge=0, description="`next_offset` of the call before, to go on")] = 0,
        limit: Annotated[int, Field(ge=1, le=MOST_LISTED)] = LISTED,
    ) -> Annotated[CallToolResult, Listed]:
        """List the files of the index by path."""
        return _result(lambda: tools.files(containing, offset, limit), Listed.words)

    if tools.allowed:
        allowed = ", ".join(map(str, tools.allowed))

        def add_documents(
            paths: Annotated[list[str], Field(min_length=1, description="Absolute paths of files and folders")],
            context: Context[Any, Any],
        ) -> Annotated[CallToolResult, Added]:
            return _result(lambda: tools.add(paths, _Reported(context)), Added.words)

        description = f"Add files and folders to the index, or bring it up to date with them. Allowed: {allowed}"
        server.add_tool(add_documents, title="Add documents", description=description, annotations=WRITES)


def _result(call: Callable[[], Result], words: Callable[[Result], str]) -> CallToolResult:
    """The result of a tool in words and in data. Raises ToolError for every error, with what to do about it."""
    try:
        result = call()
    except RagyenaError as error:
        raise ToolError(f"{error.message}. Hint: {error.hint}") from error
    except Exception as error:
        if os.environ.get("RAGYENA_DEBUG"):
            raise
        raise ToolError(
            f"unexpected {type(error).__name__}: {error}. Hint: this is a bug in ragyena; please report it with what "
            "is on stderr with RAGYENA_DEBUG=1"
        ) from error
    content = [TextContent(type="text", text=words(result))]
    return CallToolResult(content=content, structured_content=result.model_dump(mode="json", by_alias=True))


class _Reported:
    """A ``ragyena.types.Progress`` that notifies the client, from the thread of a tool."""

    def __init__(self, context: Context[Any, Any]) -> None:
        self._context = context
        self._before = 0
        """Units of the stages before: what is reported never goes back."""
        self._done = 0
        self._total: int | None = None
        self._stage = self._unit = ""
        self._reported = 0.0

    def start(self, description: str, total: int | None, unit: str) -> None:
        """Begin a stage."""
        self._before += self._done
        self._done, self._total, self._stage, self._unit = 0, total, description, unit

    def advance(self, amount: int, status: str = "") -> None:
        """Count units, and report them now and then."""
        self._done += amount
        finished = self._total is not None and self._done >= self._total
        now = time.monotonic()
        if amount and (finished or now - self._reported >= REPORT_SECONDS):
            self._reported = now
            of = "" if self._total is None else f" of {self._total:,}"
            message = f"{self._stage}: {self._done:,}{of} {self._unit}" + (f", {status}" if status else "")
            total = None if self._total is None else float(self._before + max(self._total, self._done))
            report = partial(self._context.report_progress, float(self._before + self._done), total, message)
            anyio.from_thread.run(report)

    def note(self, text: str) -> None:
        """Nothing: the result says what was left out."""
