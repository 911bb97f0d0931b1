"""``/v1/ask``, ``/v1/select`` and ``/v1/search``."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any, Literal, Protocol

from fastapi import APIRouter, Request
from starlette.responses import Response

from ragyena.config import PipelineConfig
from ragyena.errors import RagyenaError, UsageError
from ragyena.pipeline import Pipeline, checked_question
from ragyena.reader.follow_up import Turn, standalone
from ragyena.schemas import AnswerJson, EvidenceJson, answer_json, evidence_json, match_json
from ragyena.serve.library import ServedIndex
from ragyena.serve.problems import ClientGoneError, error_json
from ragyena.serve.questions import Listener, Question
from ragyena.serve.replies import JsonReply
from ragyena.serve.schemas import AskRequest, SearchJson, SearchRequest, SelectRequest
from ragyena.serve.sse import EVENT_STREAM, EventStream, frame
from ragyena.serve.state import Serving, ServingDependency
from ragyena.serve.writing import TextListener, WrittenQuestion
from ragyena.settings import resolve
from ragyena.types import Answer, Evidence

__all__ = ["Asked", "answered", "put_question", "router"]

router = APIRouter(prefix="/v1", tags=["questions"])


@router.post("/ask", response_model=AnswerJson, responses=EVENT_STREAM)
async def ask(body: AskRequest, request: Request, serving: ServingDependency) -> Response:
    """Answer a question, with citations.

    With `stream` the response is a stream of events: `accepted` (how many questions wait before it), a `stage` as each
    of `retrieve`, `pack`, `read` and of a writer `write` ends with its seconds, a `text` with each piece of a writer's
    text, not checked yet, then `answer` with the JSON that comes without `stream`, or `error`.
    """
    served = serving.library.get(body.index)

    def reply(answer: Answer) -> AnswerJson:
        return answer_json(answer, id=body.id, explain=body.explain)

    text = standalone(body.question, [Turn(turn.question, turn.answer) for turn in body.history])
    if not body.stream:
        question = put_question(serving, served, text, body)
        return JsonReply(reply(await answered(serving, question, request)))
    told: asyncio.Queue[bytes] = asyncio.Queue()

    def on_stage(stage: str, spent: float) -> None:
        told.put_nowait(frame({"stage": stage, "seconds": round(spent, 6)}, event="stage"))

    def on_text(part: str) -> None:
        told.put_nowait(frame({"text": part}, event="text"))

    question = put_question(serving, served, text, body, on_stage, on_text)
    return EventStream(_events(serving, question, told, reply))


@router.post("/select", response_model=EvidenceJson)
async def select(body: SelectRequest, request: Request, serving: ServingDependency) -> Response:
    """Choose the evidence for a question, the best passages or sentences of a long context, for another model."""
    if body.passages is not None and body.tokens is not None:
        raise UsageError("passages and tokens were both given", hint="give the one or the other")
    served = serving.library.get(body.index)
    text = checked_question(body.question)
    values = {} if body.context_tokens is None else {"packer.context_tokens": body.context_tokens}
    settings = resolve(values, served.pipeline.config)
    question = serving.questions.put(
        served.pipeline,
        text,
        filters=body.filters,
        settings=settings,
        work=lambda: served.pipeline.select(
            text, passages=body.passages, tokens=body.tokens, filters=body.filters, settings=settings
        ),
    )
    evidence = await _done(serving, question, request)
    assert isinstance(evidence, Evidence)
    return JsonReply(evidence_json(evidence))


@router.post("/search", response_model=SearchJson)
async def search(body: SearchRequest, serving: ServingDependency) -> Response:
    """Find passages, best first, without reading them."""
    served = serving.library.get(body.index)
    values = {} if body.mode is None else {"retriever.mode": body.mode}
    settings = resolve(values, served.pipeline.config)

    def find() -> SearchJson:
        served.index.refresh()
        passages = []
        for match in served.pipeline.search(body.query, k=body.k, filters=body.filters, settings=settings):
            source, state = served.index.file_state(match.passage.document_id, match.passage.source)
            passages.append(match_json(replace(match, passage=replace(match.passage, source=source)), state))
        spelt = served.pipeline.spelt(body.query, settings=settings)
        return SearchJson(query=body.query, searched_for=spelt, passages=passages)

    return JsonReply(await serving.run(find))


def put_question(
    serving: Serving,
    served: ServedIndex,
    text: str,
    body: Asked,
    on_stage: Listener | None = None,
    on_text: TextListener | None = None,
) -> Question | WrittenQuestion:
    """Put a question into the queue, with the reader, the settings and the filters that a request asks for.

    Raises EmptyQuestionError, ConfigError, BusyError and StoppingError; UsageError where there is no such reader or
    writer.
    """
    text = checked_question(text)
    pipeline = served.pipeline
    if body.reader == "baseline":
        if served.baseline is None:
            raise UsageError(
                "this server has no baseline reader", hint="leave 'reader' out, or serve with --baseline FOLDER"
            )
        if body.writer:
            raise UsageError("a writer takes the evidence of the server's own reader", hint="leave 'reader' out")
        pipeline = served.baseline
    elif body.writer and served.writer is None:
        raise UsageError("this server has no writer", hint="leave 'writer' out, or serve with --writer URL")
    settings = _settings(pipeline, body)
    if pipeline is served.pipeline and served.writer is not None and body.writer is not False:
        queues = serving.questions, serving.writers
        return WrittenQuestion(
            queues, served, text, filters=body.filters, settings=settings, on_stage=on_stage, on_text=on_text
        )
    return serving.questions.put(pipeline, text, filters=body.filters, settings=settings, on_stage=on_stage)


class Asked(Protocol):
    """A request that asks a question: the fields of ``/v1/ask`` that say how."""

    @property
    def filters(self) -> dict[str, str]: ...
    @property
    def context_tokens(self) -> int | None: ...
    @property
    def top_k(self) -> int | None: ...
    @property
    def threshold(self) -> float | None: ...
    @property
    def reader(self) -> Literal["baseline"] | None: ...
    @property
    def writer(self) -> bool | None: ...


def _settings(pipeline: Pipeline, body: Asked) -> PipelineConfig:
    """The settings of a question. Raises ConfigError."""
    given = {
        "packer.context_tokens": body.context_tokens,
        "retriever.top_k": body.top_k,
        "reader.threshold": body.threshold,
    }
    return resolve({name: value for name, value in given.items() if value is not None}, pipeline.config)


async def answered(serving: Serving, question: Question | WrittenQuestion, request: Request) -> Answer:
    """Wait for the answer. A question whose client leaves or whose time is up is dropped.

    Raises the error in the place of the answer, AnswerTimeoutError and ClientGoneError.
    """
    answer = await _done(serving, question, request)
    assert isinstance(answer, Answer)
    return answer


async def _done(serving: Serving, question: Question | WrittenQuestion, request: Request) -> Answer | Evidence:
    leaving = asyncio.ensure_future(_left(request))
    try:
        await _first_of(question.answer, leaving, serving.config.serve.timeout_seconds)
        if question.answer.done():
            return question.answer.result()
        if leaving.done():
            raise ClientGoneError("the client left", hint="nobody waits for the answer")
        raise serving.timed_out()
    finally:
        question.drop()
        leaving.cancel()


async def _first_of(one: asyncio.Future[Any], other: asyncio.Future[Any], seconds: float) -> None:
    """Return once one of them is done, or after ``seconds``."""
    await asyncio.wait({one, other}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)


async def _left(request: Request) -> None:
    """Return once the client is gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _events(
    serving: Serving,
    question: Question | WrittenQuestion,
    told: asyncio.Queue[bytes],
    reply: Callable[[Answer], AnswerJson],
) -> AsyncIterator[bytes]:
    try:
        yield frame({"waiting": max(0, serving.questions.waiting - 1)}, event="accepted")
        deadline = question.accepted + serving.config.serve.timeout_seconds
        upcoming = asyncio.ensure_future(told.get())
        try:
            while True:
                left = deadline - time.monotonic()
                await _first_of(question.answer, upcoming, max(0.0, left))
                if upcoming.done():
                    yield upcoming.result()
                    upcoming = asyncio.ensure_future(told.get())
                elif question.answer.done():
                    answer = question.answer.result()
                    assert isinstance(answer, Answer)
                    yield frame(reply(answer), event="answer")
                    return
                else:
                    raise serving.timed_out()
        finally:
            upcoming.cancel()
    except RagyenaError as error:
        yield frame(json.loads(error_json(error)), event="error")
    finally:
        question.drop()
