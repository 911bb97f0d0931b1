"""The gate before every route: who may ask, from where, how much, how fast; and the log, in which no text stands.

An ASGI middleware. A request is refused before its body is read wherever that can be.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import logging
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ragyena.config import ServeConfig
from ragyena.errors import RagyenaError
from ragyena.serve.metrics import Metrics
from ragyena.serve.problems import (
    ForbiddenError,
    InvalidRequestError,
    MisdirectedError,
    RateLimitError,
    SlowClientError,
    TooLargeError,
    UnauthorizedError,
    error_headers,
    error_json,
    status_of,
)
from ragyena.serve.questions import unexpected

__all__ = ["Guard", "Keys", "RateLimit", "is_loopback"]

log = logging.getLogger("ragyena.serve.requests")

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
PROTECTED = ("/v1/", "/metrics")
UPLOADS = "/v1/documents"
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
MOST_CALLERS = 10_000
"""Callers whose rate is remembered."""


def is_loopback(host: str) -> bool:
    """True for an address of this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Keys:
    """API keys, compared in a time that tells nothing about them."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._digests = [hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest() for key in keys]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def match(self, given: str) -> bool:
        """True where ``given`` is one of the keys; all of them are compared."""
        digest = hashlib.sha256(given.encode("utf-8", "surrogatepass")).digest()
        matches = [hmac.compare_digest(digest, known) for known in self._digests]
        return any(matches)


class RateLimit:
    """A token bucket for each caller: ``per_minute`` requests, as many at once."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._callers: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> int | None:
        """Count a request; None where it may go on, else the seconds after which one more may come."""
        if not self._per_minute:
            return None
        now = time.monotonic()
        tokens, at = self._callers.pop(caller, (float(self._per_minute), now))
        tokens = min(float(self._per_minute), tokens + (now - at) * self._per_minute / 60)
        allowed = tokens >= 1
        self._callers[caller] = (tokens - 1 if allowed else tokens, now)
        while len(self._callers) > MOST_CALLERS:
            self._callers.popitem(last=False)
        return None if allowed else max(1, round((1 - tokens) * 60 / self._per_minute))


@dataclass(slots=True)
class _Exchange:
    """A request and how it ends."""

    scope: Scope
    began: float = field(default_factory=time.perf_counter)
    status: int = 0
    sent: int = 0
    received: int = 0
    body_deadline: float = 0.0
    problem: RagyenaError | None = None
    """A refusal while the body was read, which replaces whatever the route says of it."""
    replaced: bool = False


class Guard:
    """Refuse what may not pass, and log every request."""

    def __init__(self, app: ASGIApp, config: ServeConfig, metrics: Metrics) -> None:
        self._app, self._config, self._metrics = app, config, metrics
        self._keys = Keys([key.get_secret_value() for key in config.api_keys])
        self._rate = RateLimit(config.requests_per_minute)
        self._hosts = {"localhost", config.host.lower(), *(host.lower() for host in config.hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope)
        try:
            self._check(scope, Headers(scope=scope))
            await self._app(scope, self._limited(exchange, receive), self._noted(exchange, send))
        except RagyenaError as error:
            await self._refuse(exchange, send, exchange.problem or error)
        except Exception as error:
            await self._refuse(exchange, send, exchange.problem or unexpected(error))
        finally:
            self._log(exchange)

    # --- before the route

    def _check(self, scope: Scope, headers: Headers) -> None:
        """Raises a RequestError for a request that may not go on."""
        path, method = scope["path"], scope["method"]
        if len(headers.getlist("host")) != 1 or not self._is_host(headers["host"]):
            raise MisdirectedError(
                "the Host of the request is none of this server's",
                hint="use localhost or an IP address, or list the name in serve.hosts",
            )
        self._check_origin(headers, method)
        if path.startswith(PROTECTED):
            self._check_caller(scope, headers)
        length = headers.get("content-length")
        if length is not None and not (length.isascii() and length.isdecimal()):
            raise InvalidRequestError("the Content-Length is no number", hint="send the number of bytes of the body")
        if length is not None and int(length) > self._limit(scope):
            raise self._too_large(scope)

    def _is_host(self, host: str) -> bool:
        """IP addresses pass: a name that was bound anew (DNS rebinding) is never one."""
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        if not name:
            return False
        if name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _check_origin(self, headers: Headers, method: str) -> None:
        """Refuse what a page of another origin makes a browser send: forms and the like need no leave to be sent."""
        if method in SAFE_METHODS:
            return
        origin = headers.get("origin")
        if origin is None:
            foreign = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        elif origin in self._config.cors_origins:
            foreign = False
        else:
            foreign = urlsplit(origin).netloc.lower() != headers["host"].lower()
        if foreign:
            raise ForbiddenError(
                "a page of another origin may not do this", hint="list its origin in serve.cors_origins to allow it"
            )

    def _check_caller(self, scope: Scope, headers: Headers) -> None:
        client = scope.get("client")
        caller = client[0] if client else ""
        if self._keys:
            scheme, _, given = headers.get("authorization", "").partition(" ")
            key = given.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
            if not self._keys.match(key):
                self._count(f"failed {caller}")
                raise UnauthorizedError(
                    "the API key is missing or wrong" if key else "an API key is needed",
                    hint="send it as the header `Authorization: Bearer KEY`",
                )
            caller = f"key {hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()}"
        self._count(caller)

    def _count(self, caller: str) -> None:
        if (seconds := self._rate.take(caller)) is not None:
            self._metrics.refused.labels("rate").inc()
            problem = RateLimitError(
                f"more than {self._config.requests_per_minute} requests in a minute",
                hint="ask again after the seconds of Retry-After, or raise serve.requests_per_minute",
            )
            problem.retry_after = seconds
            raise problem

    # --- the body

    def _limit(self, scope: Scope) -> int:
        is_upload = scope["method"] == "POST" and scope["path"].rstrip("/") == UPLOADS
        return int((self._config.max_upload_mb if is_upload else self._config.max_body_mb) * 1e6)

    def _too_large(self, scope: Scope) -> TooLargeError:
        self._metrics.refused.labels("size").inc()
        return TooLargeError(
            f"the body has more than {self._limit(scope) / 1e6:g} MB",
            hint="send less at once, or raise serve.max_body_mb or serve.max_upload_mb",
        )

    def _limited(self, exchange: _Exchange, receive: Receive) -> Receive:
        """``receive``, which gives up a body that is too large or too slow. A part of an upload has as many seconds as
        another body in all."""
        scope = exchange.scope
        limit, seconds = self._limit(scope), self._config.body_seconds
        is_upload = limit == int(self._config.max_upload_mb * 1e6)
        exchange.body_deadline = time.monotonic() + seconds
        whole = False

        async def limited() -> Message:
            nonlocal whole
            if whole:
                return await receive()
            left = seconds if is_upload else max(0.001, exchange.body_deadline - time.monotonic())
            try:
                message = await asyncio.wait_for(receive(), left)
            except TimeoutError:
                self._metrics.refused.labels("slow").inc()
                exchange.problem = SlowClientError("the body came too slowly", hint="send it at once")
                raise exchange.problem from None
            if message["type"] == "http.request":
                exchange.received += len(message.get("body", b""))
                whole = not message.get("more_body", False)
                if exchange.received > limit:
                    exchange.problem = self._too_large(scope)
                    raise exchange.problem
            return message

        return limited

    # --- the response

    def _noted(self, exchange: _Exchange, send: Send) -> Send:
        async def noted(message: Message) -> None:
            if exchange.replaced:
                return
            if message["type"] == "http.response.start":
                if exchange.problem is not None:
                    await self._refuse(exchange, send, exchange.problem)
                    exchange.replaced = True
                    return
                exchange.status = message["status"]
                self._add_headers(exchange.scope, MutableHeaders(scope=message))
            exchange.sent += len(message.get("body", b""))
            await send(message)

        return noted

    def _add_headers(self, scope: Scope, headers: MutableHeaders) -> None:
        for name, value in SECURITY_HEADERS.items():
            headers.setdefault(name, value)
        if scope["path"].startswith(PROTECTED):
            headers.setdefault("cache-control", "no-store")

    async def _refuse(self, exchange: _Exchange, send: Send, error: RagyenaError) -> None:
        """Respond with an error; a response that has begun is cut off."""
        if exchange.status:
            raise ConnectionAbortedError("the response was cut off") from None
        exchange.status = status_of(error)
        body = error_json(error, path=exchange.scope["path"])
        message: Message = {"type": "http.response.start", "status": exchange.status, "headers": []}
        headers = MutableHeaders(scope=message)
        headers.update(error_headers(error))
        headers["content-length"] = str(len(body))
        if isinstance(error, TooLargeError | SlowClientError):
            headers["connection"] = "close"
        self._add_headers(exchange.scope, headers)
        exchange.sent += len(body)
        await send(message)
        await send({"type": "http.response.body", "body": body})

    def _log(self, exchange: _Exchange) -> None:
        seconds = time.perf_counter() - exchange.began
        route = getattr(exchange.scope.get("route"), "path", "(none)")
        method, client = exchange.scope["method"], exchange.scope.get("client")
        method = method if method in (*SAFE_METHODS, "POST", "PUT", "PATCH", "DELETE") else "(other)"
        self._metrics.requests.labels(route, method, str(exchange.status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        fields = {"method": method, "route": route, "status": exchange.status, "seconds": round(seconds, 4)}
        fields |= {"received": exchange.received, "sent": exchange.sent, "client": client[0] if client else ""}
        log.info("request", extra={"fields": fields})
