"""Server-sent events: the frames of a stream, and comments that keep it open while nothing happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from pydantic import BaseModel
from starlette.responses import StreamingResponse

from ragyena.serve.replies import to_json

__all__ = ["EVENT_STREAM", "QUIET_SECONDS", "EventStream", "frame", "kept_alive"]

EVENT_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer; as events where a stream is asked for.",
        "content": {
            "text/event-stream": {
                "schema": {
                    "type": "object",
                    "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
                    "required": ["data"],
                }
            }
        },
    }
}
"""The description of such a response."""
QUIET_SECONDS = 10.0
"""Seconds without an event after which a comment is sent."""


def frame(data: BaseModel | dict[str, object] | str, *, event: str | None = None) -> bytes:
    """One event. ``data`` is sent as JSON on one line, a string as it is."""
    if isinstance(data, BaseModel):
        data = data.model_dump(by_alias=True, mode="json")
    content = data.encode() if isinstance(data, str) else to_json(data)
    name = f"event: {event}\n".encode() if event is not None else b""
    return name + b"data: " + content + b"\n\n"


async def kept_alive(frames: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """``frames``, with a comment between two that are far apart."""
    upcoming: asyncio.Future[bytes] | None = None
    try:
        while True:
            upcoming = upcoming or asyncio.ensure_future(anext(frames))
            done, _ = await asyncio.wait({upcoming}, timeout=QUIET_SECONDS)
            if not done:
                yield b": waiting\n\n"
                continue
            try:
                yield upcoming.result()
            except StopAsyncIteration:
                return
            upcoming = None
    finally:
        if upcoming is not None:
            upcoming.cancel()
            with suppress(asyncio.CancelledError, StopAsyncIteration):
                await upcoming


class EventStream(StreamingResponse):
    """A response of events; when the client leaves, ``frames`` is closed."""

    media_type = "text/event-stream"

    def __init__(self, frames: AsyncIterator[bytes]) -> None:
        super().__init__(kept_alive(frames), headers={"cache-control": "no-store", "x-accel-buffering": "no"})
