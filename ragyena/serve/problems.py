"""Refusals of the server, and every error as one JSON shape with its HTTP status.

The shape is that of OpenAI's errors with a ``hint``, so that its clients read it too:
``{"error": {"type": ..., "message": ..., "hint": ..., "code": ..., "param": null}}``.
"""

from __future__ import annotations

import json
import re

from pydantic import BaseModel, ConfigDict

from ragyena.errors import (
    ConfigError,
    IndexLockedError,
    IndexNotFoundError,
    InputError,
    MissingDependencyError,
    PathNotFoundError,
    RagyenaError,
    StorageError,
    UsageError,
    WriterError,
)

__all__ = [
    "AnswerTimeoutError",
    "BusyError",
    "ClientGoneError",
    "ErrorBody",
    "ForbiddenError",
    "InvalidRequestError",
    "MisdirectedError",
    "NotFoundError",
    "RateLimitError",
    "RequestError",
    "SlowClientError",
    "StoppingError",
    "TooLargeError",
    "UnauthorizedError",
    "UnexpectedError",
    "error_headers",
    "error_json",
    "is_openai",
    "status_of",
]

OPENAI_PATHS = ("/v1/chat/", "/v1/responses", "/v1/embeddings", "/v1/models")
OPENAI_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


class RequestError(RagyenaError):
    """A request that is refused, with its HTTP status."""

    status = 400
    retry_after: int | None = None
    """Seconds after which to ask again."""


class InvalidRequestError(RequestError):
    status = 422


class UnauthorizedError(RequestError):
    status = 401


class ForbiddenError(RequestError):
    status = 403


class NotFoundError(RequestError):
    status = 404


class SlowClientError(RequestError):
    status = 408


class TooLargeError(RequestError):
    status = 413


class MisdirectedError(RequestError):
    status = 421


class RateLimitError(RequestError):
    status = 429


class BusyError(RequestError):
    status = 429


class ClientGoneError(RequestError):
    """The client left before there was an answer: nobody reads this."""

    status = 499


class UnexpectedError(RequestError):
    status = 500


class StoppingError(RequestError):
    status = 503


class AnswerTimeoutError(RequestError):
    status = 504


_STATUS: tuple[tuple[type[RagyenaError], int], ...] = (
    (UsageError, 400),
    (ConfigError, 400),
    (PathNotFoundError, 404),
    (InputError, 422),
    (IndexNotFoundError, 404),
    (IndexLockedError, 409),
    (StorageError, 507),
    (MissingDependencyError, 501),
    (WriterError, 502),
)


class ErrorDetail(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)

    type: str
    """Name of the error (`EmptyQuestionError`); on OpenAI's routes OpenAI's name for its kind."""
    message: str
    hint: str
    """Way to go on."""
    code: str
    """Name of the error in lower case (`empty_question`)."""
    param: str | None
    """The field of the request that is wrong, where it is one."""


class ErrorBody(BaseModel):
    """Every error."""

    error: ErrorDetail


def is_openai(path: str) -> bool:
    """True for the routes of OpenAI's API."""
    return path.startswith(OPENAI_PATHS)


def status_of(error: RagyenaError) -> int:
    """The HTTP status of an error."""
    if isinstance(error, RequestError):
        return error.status
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def error_json(error: RagyenaError, *, path: str = "", param: str | None = None) -> bytes:
    """The body of the response to a request for ``path`` that ended in ``error``."""
    name = type(error).__name__
    status = status_of(error)
    kind = name
    if is_openai(path):
        kind = OPENAI_TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    code = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.removesuffix("Error")).lower()
    detail = ErrorDetail(type=kind, message=error.message, hint=error.hint, code=code, param=param)
    return json.dumps(ErrorBody(error=detail).model_dump()).encode()


def error_headers(error: RagyenaError) -> dict[str, str]:
    """Further headers of that response."""
    headers = {"content-type": "application/json"}
    if isinstance(error, RequestError) and error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after)
    if isinstance(error, UnauthorizedError):
        headers["www-authenticate"] = "Bearer"
    return headers
