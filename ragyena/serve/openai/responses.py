"""``/v1/responses``."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from ragyena.errors import RagyenaError
from ragyena.schemas import AnswerJson, answer_json
from ragyena.serve.library import ServedIndex
from ragyena.serve.openai.requests import ResponseRequest, question_of_response, served_model
from ragyena.serve.openai.texts import Written, write
from ragyena.serve.problems import BusyError
from ragyena.serve.questions import Question
from ragyena.serve.replies import JsonReply
from ragyena.serve.routes.asking import answered, put_question
from ragyena.serve.sse import EVENT_STREAM, EventStream, frame
from ragyena.serve.state import Serving, ServingDependency
from ragyena.serve.writing import WrittenQuestion
from ragyena.types import Answer

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["OpenAI"])


class FileCitation(BaseModel):
    type: Literal["file_citation"] = "file_citation"
    index: int
    """Offset in the text of the mark of the citation."""
    file_id: str
    """Id of the document."""
    filename: str


class OutputText(BaseModel):
    type: Literal["output_text"] = "output_text"
    text: str
    annotations: list[FileCitation]
    logprobs: list[Any] = []


class OutputMessage(BaseModel):
    type: Literal["message"] = "message"
    id: str
    role: Literal["assistant"] = "assistant"
    status: Literal["in_progress", "completed"] = "completed"
    content: list[OutputText]


class InputDetails(BaseModel):
    cached_tokens: int = 0
    cache_write_tokens: int = 0


class OutputDetails(BaseModel):
    reasoning_tokens: int = 0


class Usage(BaseModel):
    input_tokens: int
    input_tokens_details: InputDetails = InputDetails()
    output_tokens: int
    output_tokens_details: OutputDetails = OutputDetails()
    total_tokens: int


class ResponseJson(BaseModel):
    """A response, with the answer as `/v1/ask` gives it in `ragyena`."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    status: Literal["in_progress", "completed", "failed"]
    model: str
    output: list[OutputMessage]
    error: dict[str, str] | None = None
    incomplete_details: None = None
    instructions: str | None
    metadata: dict[str, str] | None
    parallel_tool_calls: bool = False
    tool_choice: Literal["none"] = "none"
    tools: list[Any] = []
    temperature: None = None
    top_p: None = None
    previous_response_id: None = None
    store: bool = False
    usage: Usage | None = None
    ragyena: AnswerJson | None = None


@router.post(
    "/responses",
    response_model=ResponseJson,
    responses=EVENT_STREAM,
)
async def respond(body: ResponseRequest, request: Request, serving: ServingDependency) -> Response:
    """Answer the last message of the user from the documents. Nothing is kept: there is no previous response."""
    served = served_model(serving.library, body.model)
    text = question_of_response(body)
    question = put_question(serving, served, text, body.ragyena)
    begun = ResponseJson(
        id=f"resp_{secrets.token_hex(16)}",
        created_at=int(time.time()),
        status="in_progress",
        model=body.model,
        output=[],
        instructions=body.instructions,
        metadata=body.metadata or {},
    )
    if body.stream:
        return EventStream(_events(serving, served, body, question, begun, request))
    answer = await answered(serving, question, request)
    written = write(answer, sources=body.ragyena.sources)
    message = OutputMessage(id=_message_id(begun), content=[_part(written)])
    return JsonReply(_completed(begun, served, answer, written, message))


async def _events(
    serving: Serving,
    served: ServedIndex,
    body: ResponseRequest,
    question: Question | WrittenQuestion,
    begun: ResponseJson,
    request: Request,
) -> AsyncIterator[bytes]:
    sequence = -1

    def event(name: str, **values: object) -> bytes:
        nonlocal sequence
        sequence += 1
        shown = {key: _dumped(value) for key, value in values.items()}
        return frame({"type": name, "sequence_number": sequence, **shown}, event=name)

    place = {"item_id": _message_id(begun), "output_index": 0, "content_index": 0}
    try:
        yield event("response.created", response=begun)
        yield event("response.in_progress", response=begun)
        answer = await answered(serving, question, request)
        written = write(answer, sources=body.ragyena.sources)
        part = _part(written)
        message = OutputMessage(id=_message_id(begun), content=[part])
        opened = message.model_copy(update={"status": "in_progress", "content": []})
        yield event("response.output_item.added", output_index=0, item=opened)
        empty = OutputText(text="", annotations=[])
        yield event("response.content_part.added", **place, part=empty)
        for line in written.text.splitlines(keepends=True):
            yield event("response.output_text.delta", **place, delta=line, logprobs=[])
        for number, annotation in enumerate(part.annotations):
            values = {**place, "annotation_index": number, "annotation": annotation}
            yield event("response.output_text.annotation.added", **values)
        yield event("response.output_text.done", **place, text=written.text, logprobs=[])
        yield event("response.content_part.done", **place, part=part)
        yield event("response.output_item.done", output_index=0, item=message)
        yield event("response.completed", response=_completed(begun, served, answer, written, message))
    except RagyenaError as error:
        code = "rate_limit_exceeded" if isinstance(error, BusyError) else "server_error"
        problem = {"code": code, "message": str(error)}
        yield event("response.failed", response=begun.model_copy(update={"status": "failed", "error": problem}))
    finally:
        question.drop()


def _dumped(value: object) -> object:
    return value.model_dump(by_alias=True, mode="json") if isinstance(value, BaseModel) else value


def _message_id(response: ResponseJson) -> str:
    return response.id.replace("resp_", "msg_")


def _part(written: Written) -> OutputText:
    annotations = [
        FileCitation(index=cited.mark, file_id=str(cited.document_id), filename=cited.name) for cited in written.cited
    ]
    return OutputText(text=written.text, annotations=annotations)


def _completed(
    begun: ResponseJson, served: ServedIndex, answer: Answer, written: Written, message: OutputMessage
) -> ResponseJson:
    read = answer.log.used_tokens if answer.log else 0
    (made,) = served.pipeline.reader.tokenizer.count_batch([written.text])
    usage = Usage(input_tokens=read, output_tokens=made, total_tokens=read + made)
    return begun.model_copy(
        update={"status": "completed", "output": [message], "usage": usage, "ragyena": answer_json(answer)}
    )
