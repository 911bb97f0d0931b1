"""The process that reads documents for ``documents.loading``: requests come in, documents go out as JSON.

A request is a line of JSON: ``{"path": ..., "config": ...}``. What goes out are frames: one byte for the kind, eight
for the length of the JSON that follows. Per request: any number of ``DOCUMENT``, ``SKIPPED``, ``PLACE`` (bytes of the
file that were read so far), ``LOG`` and ``ALIVE``, then ``END`` or ``ERROR``. ``READY`` comes once, at the start.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pydantic import TypeAdapter

from ragyena.config import IndexConfig
from ragyena.documents import budget, formats
from ragyena.documents.decoding import position
from ragyena.documents.reading import read
from ragyena.errors import RagyenaError
from ragyena.types import Document, Skipped

__all__ = [
    "ALIVE",
    "DOCUMENT",
    "DOCUMENTS",
    "END",
    "ERROR",
    "HEAD",
    "LOG",
    "PLACE",
    "READY",
    "SKIPPED",
    "SKIPPEDS",
    "serve",
]

READY, DOCUMENT, SKIPPED, PLACE, LOG, ALIVE, END, ERROR = b"R", b"D", b"S", b"P", b"L", b"A", b".", b"E"
HEAD = struct.Struct(">cQ")
DOCUMENTS, SKIPPEDS = TypeAdapter(Document), TypeAdapter(Skipped)

PLACE_BYTES = 16_000
"""A place in a file is told after so many bytes at least."""
FLUSH_SECONDS = 0.05
"""Small documents, such as rows, are sent together, none waiting longer than this for the next."""
BURST = 1.3
"""The most memory that can be had, times the budget."""
CPU_SLACK = 30
"""Seconds of computing beyond ``max_document_seconds`` after which the system ends the process, should the one that
watches it be gone."""


def serve(settings: str) -> None:
    """Answer requests from the standard input until it is closed. ``settings`` is JSON: ``formats``, the folders in
    which formats are looked for."""
    formats.__path__[:] = json.loads(settings)["formats"]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is for the process that waits for the documents
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    with os.fdopen(os.dup(1), "wb", buffering=1 << 16) as out:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whatever a parser prints is no frame
        frames = _Frames(out)
        logging.getLogger("ragyena").addHandler(_Forward(frames))
        threading.Thread(target=_receive, args=(sys.stdin.buffer, requests), daemon=True).start()
        frames.send(READY, b"")
        frames.flush()
        while True:
            _answer(json.loads(requests.get()), frames)


def _receive(stdin: BinaryIO, requests: queue.SimpleQueue[bytes]) -> None:
    """Pass requests on; end the process with the one that sends them, even in the middle of a document."""
    for line in stdin:
        requests.put(line)
    os._exit(0)


def _answer(request: dict[str, object], frames: _Frames) -> None:
    config = IndexConfig.model_validate(request["config"])
    try:
        with _memory_limit(config), budget.on_page(lambda: _alive(frames, config)):
            _limit_cpu(config)
            told = 0
            for document in read(Path(str(request["path"])), config):
                if (place := position()) is not None and place >= told + PLACE_BYTES:
                    told = place
                    frames.send(PLACE, str(place).encode())
                if isinstance(document, Skipped):
                    frames.send(SKIPPED, SKIPPEDS.dump_json(document))
                else:
                    frames.send(DOCUMENT, DOCUMENTS.dump_json(document))
                _limit_cpu(config)
    except RagyenaError as error:
        values = {"error": type(error).__name__, "message": error.message, "hint": error.hint}
        frames.send(ERROR, json.dumps(values).encode())
    else:
        frames.send(END, b"")
    frames.flush()


def _alive(frames: _Frames, config: IndexConfig) -> None:
    """Tell the process that waits that a slow page is done, and that the next has its own seconds."""
    frames.send(ALIVE, b"")
    frames.flush()
    _limit_cpu(config)


class _Frames:
    """Writes frames, small ones together."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._flushed = time.monotonic()

    def send(self, kind: bytes, content: bytes) -> None:
        self._out.write(HEAD.pack(kind, len(content)))
        self._out.write(content)
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        self._out.flush()
        self._flushed = time.monotonic()


class _Forward(logging.Handler):
    """Sends warnings of ragyena's own loggers to be logged where the user sees them."""

    def __init__(self, frames: _Frames) -> None:
        super().__init__(logging.WARNING)
        self._frames = frames

    def emit(self, record: logging.LogRecord) -> None:
        values = {"name": record.name, "level": record.levelno, "message": record.getMessage()}
        self._frames.send(LOG, json.dumps(values).encode())


@contextmanager
def _memory_limit(config: IndexConfig) -> Iterator[None]:
    """Let the process ask for not much more memory than the budget while a document is read, where the system can.

    The process that waits ends one that exceeds it, but looks several times a second only; on Linux this stops at once
    one that asks for very much.
    """
    _limit_memory(int(BURST * (config.max_document_memory_mb << 20)))
    try:
        yield
    finally:
        _limit_memory(-1)


def _limit_memory(limit: int) -> None:
    """Set the most bytes of data, -1 for no limit."""
    if sys.platform == "linux":
        import resource

        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        if hard == resource.RLIM_INFINITY or 0 <= limit < hard:
            resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def _limit_cpu(config: IndexConfig) -> None:
    """Have the system end this process should the next document take far too long and nobody else end it."""
    if sys.platform != "win32":
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        cores = os.cpu_count() or 1
        seconds = int(used.ru_utime + used.ru_stime + cores * (config.max_document_seconds + CPU_SLACK))
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        if hard == resource.RLIM_INFINITY or seconds < hard:
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, hard))
