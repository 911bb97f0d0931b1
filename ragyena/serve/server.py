"""Run the server: check where it may listen, open the indexes, serve until it is told to end."""

from __future__ import annotations

import gc
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

from ragyena.config import PipelineConfig
from ragyena.errors import UsageError
from ragyena.serve import logs
from ragyena.serve.app import make_app
from ragyena.serve.connections import limited_protocol
from ragyena.serve.guard import is_loopback
from ragyena.serve.library import Library
from ragyena.serve.state import Serving

__all__ = ["run"]

BACKLOG = 512


def run(config: PipelineConfig, announce: Callable[[str, Library], None], *, log_requests: bool = True) -> None:
    """Serve until SIGINT or SIGTERM; requests that were accepted are answered first.

    ``announce`` is called with the address once requests are taken. Raises UsageError where the address is not to be
    had, or is not loopback and there is no API key; and the errors of opening an index.
    """
    serve = config.serve
    if any(not key.get_secret_value().strip() for key in serve.api_keys):
        raise UsageError("an API key is empty", hint="give one of many characters: --api-key $(openssl rand -hex 32)")
    if not is_loopback(serve.host) and not serve.api_keys:
        raise UsageError(
            f"to listen on {serve.host}, which others can reach, the server needs an API key",
            hint="give one with --api-key or RAGYENA_SERVE__API_KEYS, or listen on 127.0.0.1",
        )
    listener = _listen(serve.host, serve.port)
    try:
        with Library(config) as library:
            logs.set_up(requests=log_requests)
            app = make_app(library)
            server = _Server(
                uvicorn.Config(
                    app,
                    http=limited_protocol(serve.connections, serve.header_seconds, serve.body_seconds),
                    ws="none",
                    lifespan="on",
                    log_config=None,
                    access_log=False,
                    server_header=False,
                    proxy_headers=False,
                    timeout_keep_alive=serve.keep_alive_seconds,
                    timeout_graceful_shutdown=int(serve.shutdown_seconds) or 1,
                ),
                on_start=lambda: announce(_address(listener), library),
                state=lambda: getattr(app.state, "serving", None),
            )
            gc.freeze()  # a full collection takes 100 ms, most of it to look at what stays as long as the process
            server.run(sockets=[listener])
    finally:
        listener.close()


class _Server(uvicorn.Server):
    """A server that ends in order on SIGTERM and SIGINT, without passing the signal on, and at once on a second one."""

    def __init__(
        self, config: uvicorn.Config, on_start: Callable[[], None], state: Callable[[], Serving | None]
    ) -> None:
        super().__init__(config)
        self._on_start, self._state = on_start, state

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_start()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            self.force_exit = True
        self.should_exit = True
        if (serving := self._state()) is not None:
            serving.end()


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises UsageError where the address cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        raise UsageError(
            f"cannot listen on {host} port {port}: {error.strerror or error}",
            hint="another program may use it: give another one with --port",
        ) from error
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
