"""A small server that speaks the protocol of OpenAI's chat completions, with the replies that a test gives it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class ChatServer:
    """The way it replies, and the requests it got."""

    text: str = "The iron bridge was built in 1932 [1]."
    stream: bool = True
    """False for a server that knows no streams."""
    status: int = 200
    body: bytes | None = None
    """Sent in the place of a reply."""
    wait: float = 0.0
    """Seconds before the reply."""
    between: float = 0.0
    """Seconds between two words of a stream."""
    finish: str = "stop"
    """The reason for the end of the reply, as it says."""
    events: int | None = None
    """Events of a stream after which the connection is closed; None for all."""
    length: int | None = None
    """The Content-Length that it promises."""
    pings: int = 0
    """Comments before the first word of a stream."""
    cut_off: int = 0
    """Replies whose reader left before their end."""
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def chat_server(**replies: Any) -> Iterator[ChatServer]:
    """A running server."""
    server = ChatServer(**replies)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.requests.append({"path": self.path, **json.loads(body)})
            server.headers.append({name.lower(): value for name, value in self.headers.items()})
            time.sleep(server.wait)
            if server.body is not None or server.status != 200:
                self._send(server.status, "application/json", [server.body or b""])
            elif server.stream:
                events = [b": ping\n\n"] * server.pings + _events(server.text, server.finish)
                self._send(200, "text/event-stream", events[: server.events])
            else:
                message = {"role": "assistant", "content": server.text}
                reply = {"choices": [{"index": 0, "message": message, "finish_reason": server.finish}]}
                self._send(200, "application/json", [json.dumps(reply).encode()])

        def _send(self, status: int, kind: str, parts: list[bytes]) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Connection", "close")
            if server.length is not None:
                self.send_header("Content-Length", str(server.length))
            self.end_headers()
            try:
                for part in parts:
                    self.wfile.write(part)
                    self.wfile.flush()
                    time.sleep(server.between)
            except OSError:
                server.cut_off += 1

        def log_message(self, format: str, *args: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    server.url = f"http://127.0.0.1:{listening.server_port}/v1"
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


def _events(text: str, finish: str) -> list[bytes]:
    """A word an event, as llama.cpp and others send them: a role first, an empty last one, and the end."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": None}]
    deltas += [{"content": word} for word in text.replace(" ", " \0").split("\0")]
    events = [json.dumps({"choices": [{"index": 0, "delta": delta}]}) for delta in deltas]
    events += [json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})]
    events += [json.dumps({"choices": [], "usage": {"total_tokens": 7}}), "[DONE]"]
    return [b": a comment\n\n", *(f"data: {event}\n\n".encode() for event in events)]
