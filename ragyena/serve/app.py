"""The application: routes, errors as JSON, and the parts that live as long as the server."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

import ragyena
from ragyena.errors import RagyenaError
from ragyena.serve.guard import Guard
from ragyena.serve.jobs import Jobs
from ragyena.serve.library import Library
from ragyena.serve.metrics import Metrics
from ragyena.serve.openai import chat, embeddings, models, responses
from ragyena.serve.pictures import PageServer
from ragyena.serve.problems import (
    ErrorBody,
    InvalidRequestError,
    NotFoundError,
    RequestError,
    error_headers,
    error_json,
    is_openai,
    status_of,
)
from ragyena.serve.questions import QuestionQueue
from ragyena.serve.routes import asking, documents, jobs, operations, page
from ragyena.serve.state import Serving
from ragyena.serve.uploads import stored_files
from ragyena.serve.writing import WriterQueue

__all__ = ["make_app"]

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody, "description": "An error."} for status in ("4XX", "5XX")
}

JSON_HINT = "send a JSON object in UTF-8 with the header Content-Type: application/json; /openapi.json describes it"
OF_UPLOAD = {"missing": "no file was sent", "value_error": "it has no file name"}
"""Kinds of what is wrong with the files of an upload; the framework's own words name its classes."""


def make_app(library: Library) -> FastAPI:
    """The application that serves the open indexes of ``library``; it closes what it makes, not them."""
    config = library.config.serve
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        serving = Serving(
            config=library.config,
            library=library,
            metrics=metrics,
            questions=QuestionQueue(config.queue, config.timeout_seconds, config.batch, metrics),
            writers=WriterQueue(config.queue, config.timeout_seconds, library.config.writer.requests, metrics),
            jobs=Jobs(metrics),
            pages=PageServer(),
        )
        app.state.serving = serving
        _resume(serving)
        try:
            yield
        finally:
            serving.end()
            serving.jobs.close()
            await serving.questions.drain(max(0.0, serving.deadline - time.monotonic()))
            await serving.jobs.drain(max(0.0, serving.deadline - time.monotonic()))
            serving.close()

    app = FastAPI(
        title="ragyena",
        version=ragyena.__version__,
        description="Answers questions over documents, with exact citations.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        responses=ERRORS,
    )
    for module in (asking, documents, jobs, operations, page, models, chat, responses, embeddings):
        app.include_router(module.router)
    app.add_exception_handler(RagyenaError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_middleware(Guard, config=config, metrics=metrics)
    if config.cors_origins:  # before the guard: a browser asks for leave without a key, and reads refusals too
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(config.cors_origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["authorization", "content-type", "x-api-key"],
        )
    return app


def _resume(serving: Serving) -> None:
    """Add the uploaded files that are not in their index yet: the process that took them ended before."""
    for served in serving.library:
        serving.metrics.documents.labels(served.name).set(served.index.manifest.documents)
        whole = {source.path for source in served.index.status().sources if source.complete}
        if files := [path for path in stored_files(served.uploads) if str(path) not in whole]:
            serving.jobs.add(served, files)


def _reply(request: Request, error: RagyenaError, *, param: str | None = None) -> Response:
    body = error_json(error, path=request.url.path, param=param)
    return Response(body, status_of(error), error_headers(error))


async def _on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RagyenaError)
    return _reply(request, error)


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    if all(item["loc"][0] == "path" for item in error.errors()):
        return _reply(request, NotFoundError("there is nothing of this id", hint="the lists of the API have the ids"))
    problems, param, hint = [], None, "GET /openapi.json describes every request"
    for item in error.errors()[:5]:
        place = [str(part) for part in item["loc"][1:]]  # behind body, query or path
        reason = OF_UPLOAD.get(item["type"]) if item["loc"][:2] == ("body", "files") else None
        if reason is not None:
            hint = "send every file as a part named files, with its file name: curl -F files=@notes.txt"
        elif item["type"] == "json_invalid" or (not place and item["loc"][0] == "body"):
            place, reason, hint = [], "it is no JSON object, or not said to be one", JSON_HINT
        param = param or ".".join(place) or None
        problems.append(f"{'.'.join(place) or 'the body'}: {reason or item['msg']}")
    problem = InvalidRequestError("; ".join(problems), hint=hint)
    if is_openai(request.url.path):
        problem.status = 400
    return _reply(request, problem, param=param)


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return _reply(request, NotFoundError("there is no such route", hint="GET /openapi.json lists the routes"))
    problem = RequestError(str(error.detail), hint="GET /openapi.json describes every request")
    if error.status_code == 400 and "parsing the body" in str(error.detail):  # the framework's words for bytes
        problem = RequestError("the body cannot be read as JSON", hint=JSON_HINT)
    problem.status = error.status_code
    response = _reply(request, problem)
    response.headers.update(error.headers or {})
    if error.status_code == 405 and (route := request.scope.get("route")) is not None:
        # the framework names the methods of one of the routes of this path
        methods = request.app.openapi()["paths"].get(route.path, {})
        response.headers["allow"] = ", ".join(sorted(map(str.upper, methods)))
    return response
