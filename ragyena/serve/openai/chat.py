"""``/v1/chat/completions``."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncIterator
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from ragyena.errors import RagyenaError
from ragyena.schemas import AnswerJson, answer_json
from ragyena.serve.library import ServedIndex
from ragyena.serve.openai.requests import ChatRequest, question_of_chat, served_model
from ragyena.serve.openai.texts import Written, write
from ragyena.serve.problems import error_json
from ragyena.serve.questions import Question
from ragyena.serve.replies import JsonReply
from ragyena.serve.routes.asking import answered, put_question
from ragyena.serve.sse import EVENT_STREAM, EventStream, frame
from ragyena.serve.state import Serving, ServingDependency
from ragyena.serve.writing import WrittenQuestion
from ragyena.types import Answer

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["OpenAI"])


class UrlCitation(BaseModel):
    start_index: int
    end_index: int
    title: str
    url: str


class Annotation(BaseModel):
    type: Literal["url_citation"] = "url_citation"
    url_citation: UrlCitation


class AssistantMessage(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None
    annotations: list[Annotation]


class Choice(BaseModel):
    index: int = 0
    message: AssistantMessage
    finish_reason: Literal["stop"] = "stop"
    logprobs: None = None


class Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Completion(BaseModel):
    """A chat completion, with the answer as `/v1/ask` gives it in `ragyena`."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    ragyena: AnswerJson


@router.post(
    "/chat/completions",
    response_model=Completion,
    responses=EVENT_STREAM,
)
async def chat(body: ChatRequest, request: Request, serving: ServingDependency) -> Response:
    """Answer the last message of the user from the documents. Earlier ones complete a follow-up ("and in 2022?")."""
    served = served_model(serving.library, body.model)
    text = question_of_chat(body)
    question = put_question(serving, served, text, body.ragyena)
    identity = f"chatcmpl-{secrets.token_hex(12)}", int(time.time())
    if body.stream:
        return EventStream(_chunks(serving, served, body, question, identity, request))
    answer = await answered(serving, question, request)
    written = write(answer, sources=body.ragyena.sources)
    message = AssistantMessage(content=written.text, annotations=_annotations(written, served, request))
    completion = Completion(
        id=identity[0],
        created=identity[1],
        model=body.model,
        choices=[Choice(message=message)],
        usage=_usage(served, answer, written),
        ragyena=answer_json(answer),
    )
    return JsonReply(completion)


async def _chunks(
    serving: Serving,
    served: ServedIndex,
    body: ChatRequest,
    question: Question | WrittenQuestion,
    identity: tuple[str, int],
    request: Request,
) -> AsyncIterator[bytes]:
    """The chunks of a stream: the role, the text by lines, the citations with the end, the usage where asked for."""

    def chunk(delta: dict[str, object] | None, finish: str | None = None, **more: object) -> bytes:
        choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}]
        values = {"id": identity[0], "object": "chat.completion.chunk", "created": identity[1], "model": body.model}
        return frame({**values, "choices": choices, **more})

    try:
        yield chunk({"role": "assistant", "content": ""})
        answer = await answered(serving, question, request)
        written = write(answer, sources=body.ragyena.sources)
        for line in written.text.splitlines(keepends=True):
            yield chunk({"content": line})
        annotations = [annotation.model_dump() for annotation in _annotations(written, served, request)]
        extension = answer_json(answer).model_dump(by_alias=True, mode="json")
        yield chunk({"annotations": annotations}, "stop", ragyena=extension)
        if body.stream_options is not None and body.stream_options.include_usage:
            yield chunk(None, usage=_usage(served, answer, written).model_dump())
        yield frame("[DONE]")
    except RagyenaError as error:
        yield frame(json.loads(error_json(error, path=request.url.path)))
    finally:
        question.drop()


def _annotations(written: Written, served: ServedIndex, request: Request) -> list[Annotation]:
    base = str(request.base_url)
    return [
        Annotation(
            url_citation=UrlCitation(
                start_index=cited.start,
                end_index=cited.end,
                title=cited.title or cited.name,
                url=f"{base}v1/documents/{cited.document_id}/text?index={served.name}"
                f"&mark_start={cited.span[0]}&mark_end={cited.span[1]}",
            )
        )
        for cited in written.cited
    ]


def _usage(served: ServedIndex, answer: Answer, written: Written) -> Usage:
    read = answer.log.used_tokens if answer.log else 0
    (made,) = served.pipeline.reader.tokenizer.count_batch([written.text])
    return Usage(prompt_tokens=read, completion_tokens=made, total_tokens=read + made)
