"""Requests of OpenAI's clients: the last message of the user is the question, the earlier ones complete a follow-up.

Fields that steer a generative model (temperature, tools a model may call, and the like) change nothing here and are
ignored; those that ask for something this server cannot give are refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ragyena.errors import UsageError
from ragyena.reader.follow_up import Turn, standalone
from ragyena.serve.library import Library, ServedIndex
from ragyena.serve.openai.texts import NOT_FOUND
from ragyena.serve.problems import NotFoundError
from ragyena.serve.schemas import Filters

__all__ = [
    "ChatRequest",
    "EmbeddingRequest",
    "Extension",
    "ResponseRequest",
    "model_names",
    "question_of_chat",
    "question_of_response",
    "served_model",
]

MODEL = "ragyena"
MOST_TURNS = 50
_MARK = re.compile(r" ?\[\d+\]")
Name = Annotated[str, Field(max_length=300)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)


class Extension(BaseModel):
    """The field `ragyena` of a request (`extra_body={"ragyena": {...}}`)."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    filters: Filters = {}
    context_tokens: int | None = None
    top_k: int | None = None
    threshold: float | None = None
    reader: Literal["baseline"] | None = None
    writer: bool | None = None
    """As in `/v1/ask`."""
    sources: bool = True
    """Write the quotes below the answer."""


class Message(_Request):
    role: Annotated[str, Field(max_length=100)]
    content: str | list[dict[str, Any]] | None = None


class StreamOptions(_Request):
    include_usage: bool | None = None


class ChatRequest(_Request):
    model: Name
    messages: Annotated[list[Message], Field(min_length=1, max_length=2000)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None
    response_format: dict[str, Any] | None = None
    tool_choice: str | dict[str, Any] | None = None
    ragyena: Extension = Extension()


class ResponseRequest(_Request):
    model: Name
    input: str | list[dict[str, Any]]
    stream: bool | None = None
    background: bool | None = None
    previous_response_id: str | None = None
    conversation: str | dict[str, Any] | None = None
    text: dict[str, Any] | None = None
    tool_choice: str | dict[str, Any] | None = None
    instructions: str | None = None
    metadata: dict[str, str] | None = None
    ragyena: Extension = Extension()


class EmbeddingRequest(_Request):
    model: Name
    input: str | list[str] | list[int] | list[list[int]]
    encoding_format: str | None = None
    dimensions: int | None = None


def model_names(library: Library) -> list[str]:
    """The names of what can be asked: `ragyena` for the default index, `ragyena/NAME` for each."""
    return [MODEL, *(f"{MODEL}/{served.name}" for served in library)]


def served_model(library: Library, model: str) -> ServedIndex:
    """The index that a model's name stands for. Raises NotFoundError."""
    if model == MODEL:
        return library.default
    kind, _, name = model.partition("/")
    if kind == MODEL and name in {served.name for served in library}:
        return library.get(name)
    raise NotFoundError(f"there is no model '{model}'", hint=f"name one of these: {', '.join(model_names(library))}")


def question_of_chat(request: ChatRequest) -> str:
    """The question: what the user said last. Raises UsageError."""
    _refuse("n", request.n, (None, 1))
    _refuse("response_format", (request.response_format or {}).get("type"), (None, "text"))
    _refuse_tools(request.tool_choice)
    return _last((message.role, message.content) for message in request.messages)


def question_of_response(request: ResponseRequest) -> str:
    """The question: what the user said last. Raises UsageError."""
    _refuse("background", request.background, (None, False))
    _refuse("previous_response_id", request.previous_response_id, (None,))
    _refuse("conversation", request.conversation, (None,))
    wanted = (request.text or {}).get("format")
    _refuse("text.format", wanted.get("type") if isinstance(wanted, dict) else wanted, (None, "text"))
    _refuse_tools(request.tool_choice)
    if isinstance(request.input, str):
        return request.input
    return _last(
        (item.get("role"), item.get("content")) for item in request.input if item.get("type", "message") == "message"
    )


def _refuse(field: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        raise UsageError(
            f"'{field}' is not supported with this value",
            hint="leave it out: answers are read from documents, one a request, as text, and nothing is kept",
        )


def _refuse_tools(choice: str | dict[str, Any] | None) -> None:
    if isinstance(choice, dict) or choice == "required":
        raise UsageError("'tool_choice' asks for a tool, and none is ever called", hint="set it to 'auto' or 'none'")


def _last(messages: Iterable[tuple[object, object]]) -> str:
    """The last message of the user as a question that stands alone: what was said before completes a follow-up."""
    turns: list[Turn] = []
    for role, content in messages:
        if role == "user":
            turns.append(Turn(standalone(_text(content), turns[-MOST_TURNS:])))
        elif role == "assistant" and turns:
            turns[-1] = Turn(turns[-1].question, _answer_in(_text(content)))
    if not turns:
        raise UsageError("there is no message of the user", hint="the last message with role 'user' is the question")
    return turns[-1].question


def _text(content: object) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    texts = []
    for part in content if isinstance(content, list) else []:
        if not isinstance(part, dict) or part.get("type") not in ("text", "input_text", "output_text"):
            raise UsageError("a message holds something other than text", hint="send the question as text")
        texts.append(str(part.get("text", "")))
    return "\n".join(texts)


def _answer_in(message: str) -> str:
    """The answer that a message of this server holds, without marks and quotes; empty where nothing was found."""
    answer = message.partition("\n\n")[0]
    return "" if answer.startswith(NOT_FOUND) else _MARK.sub("", answer).strip()
