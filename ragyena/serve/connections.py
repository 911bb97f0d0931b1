"""Connections: a bound on their number, times for clients that send or take too slowly, errors as JSON."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from ragyena.serve.problems import RequestError, error_json

__all__ = ["limited_protocol"]


def limited_protocol(most: int, header_seconds: float, blocked_seconds: float) -> type[H11Protocol]:
    """The protocol of a server with at most ``most`` connections.

    It closes one on which the head of a request takes longer than ``header_seconds``, and cuts off one whose client
    takes nothing of a response for ``blocked_seconds``.
    """

    class Limited(H11Protocol):
        _late: asyncio.TimerHandle | None = None
        _blocked: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > most:
                self._refuse(503, "too many connections", "connect again later")
                return
            self._await_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            self._stop_blocking()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self.transport.is_closing():
                return
            if self._late is None and (self.cycle is None or self.cycle.response_complete):
                self._await_head()  # of the next request on this connection
            super().data_received(data)
            if self.conn.their_state is not h11.IDLE:
                self._stop_waiting()

        def pause_writing(self) -> None:
            super().pause_writing()
            if self._blocked is None:
                # closing would wait for the rest to be taken
                self._blocked = self.loop.call_later(blocked_seconds, self.transport.abort)

        def resume_writing(self) -> None:
            self._stop_blocking()
            super().resume_writing()

        def send_400_response(self, msg: str) -> None:
            self._refuse(400, "the request is not HTTP", "send HTTP/1.1")

        def _await_head(self) -> None:
            self._late = self.loop.call_later(header_seconds, self._close_late)

        def _stop_waiting(self) -> None:
            if self._late is not None:
                self._late.cancel()
                self._late = None

        def _stop_blocking(self) -> None:
            if self._blocked is not None:
                self._blocked.cancel()
                self._blocked = None

        def _close_late(self) -> None:
            self._late = None
            if not self.transport.is_closing():
                self._refuse(408, "the head of the request came too slowly", "send it at once")

        def _refuse(self, status: int, message: str, hint: str) -> None:
            """Answer outside of any route, and close."""
            self._stop_waiting()
            body = error_json(RequestError(message, hint=hint))
            headers: list[tuple[str, str]] = [("content-type", "application/json"), ("connection", "close")]
            headers.append(("content-length", str(len(body))))
            events: list[Any] = [h11.Response(status_code=status, headers=headers), h11.Data(data=body)]
            try:
                for event in [*events, h11.EndOfMessage()]:
                    self.transport.write(self.conn.send(event) or b"")
            except h11.LocalProtocolError:
                pass  # a response was under way
            self.transport.close()

    return Limited
