"""A file -> its documents, read by a process of its own within a budget of seconds and memory.

Some files, by accident or design, keep a parser busy for hours, take all memory or crash it. The process that reads
them (``documents.worker``) is started once and used for many files; one that exceeds its budget is ended, its document
is named, and the next file gets a new process.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, cast

import psutil

from ragyena import errors
from ragyena.config import IndexConfig
from ragyena.documents import budget, formats
from ragyena.documents.formats import way_out
from ragyena.documents.reading import check, valid_unicode
from ragyena.errors import RagyenaError, UnreadableDocumentError
from ragyena.types import Document, Skipped

__all__ = ["load", "prepare", "valid_unicode"]

START_SECONDS = 120
"""The most that the start of the process may take."""
END_SECONDS = 1
"""The most that a process which no longer answers may take to end by itself."""
POLL_SECONDS = 0.05
"""Time between two looks at what a busy process has used."""
KEPT = 2
"""Idle processes that are kept for the next file."""
REUSE_MB = 300
"""A process that holds more memory after a document is ended: parsers keep what they no longer need."""

_START = "import json,sys; sys.path[:]=json.loads(sys.argv[1]); from ragyena.documents.worker import serve; "
_START += "serve(sys.argv[2])"


def load(
    path: Path, config: IndexConfig, *, on_place: Callable[[int], None] | None = None
) -> Iterator[Document | Skipped]:
    """Yield the documents of one file as they are read. ``source`` is the absolute path, ``path#row`` for a row.

    ``on_place`` receives, where the file is read piece by piece, the bytes of it that were read so far.

    A part that cannot be read where the rest can, such as a bad row, is yielded as ``Skipped`` in its place. The
    budgets ``config.max_document_...`` are for each document: a file of a million rows is read to its end.

    Raises PathNotFoundError where there is no such file and UnreadableDocumentError where it cannot be read: unknown
    format, larger than ``config.max_file_mb``, beyond a budget, no permission, corrupt, encrypted, binary, of no known
    encoding, without any text. It may have yielded documents before.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100 -- resolve() would replace the names of links
    check(path, config)
    worker = _take()
    try:
        yield from worker.documents(path, config, on_place)
    except RagyenaError:
        _give_back(worker)
        raise
    except BaseException:
        worker.end()
        raise
    _give_back(worker)


def prepare() -> None:
    """Start the process that reads documents, unless there is one, without waiting for it: for a caller that has other
    things to do before it loads the first file."""
    _give_back(_take())


class _Worker:
    """A process that reads one document after another."""

    def __init__(self) -> None:
        self.made_for = _key()
        # Where it is ended, what it wrote there goes with it.
        self._folder = tempfile.TemporaryDirectory(prefix="ragyena-", ignore_cleanup_errors=True)
        environment = {**os.environ, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), self._folder.name)}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START, json.dumps(sys.path), json.dumps({"formats": [*formats.__path__]})],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None if os.environ.get("RAGYENA_DEBUG") else subprocess.DEVNULL,
                env=environment,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as error:
            raise _no_start(str(error.strerror or error)) from error
        self._in = cast(IO[bytes], self._process.stdin)
        self._out = cast(IO[bytes], self._process.stdout)
        self._ready = False

    def documents(
        self, path: Path, config: IndexConfig, on_place: Callable[[int], None] | None
    ) -> Iterator[Document | Skipped]:
        """Have a file read and yield what comes. Afterwards the process is idle, or has ended."""
        from ragyena.documents import worker as frames

        self._start()
        with _Watch(self._process, config) as watch:
            try:
                request = {"path": str(path), "config": config.model_dump(mode="json")}
                self._in.write(json.dumps(request).encode() + b"\n")
                self._in.flush()
                while True:
                    with watch.waiting():
                        kind, content = self._frame()
                    if kind == frames.DOCUMENT:
                        yield frames.DOCUMENTS.validate_json(content)
                    elif kind == frames.SKIPPED:
                        yield frames.SKIPPEDS.validate_json(content)
                    elif kind == frames.PLACE:
                        if on_place is not None:
                            on_place(int(content))
                    elif kind == frames.LOG:
                        record = json.loads(content)
                        logging.getLogger(record["name"]).log(record["level"], "%s", record["message"])
                    elif kind == frames.ALIVE:
                        continue
                    elif kind == frames.ERROR:
                        error = json.loads(content)
                        raise getattr(errors, error["error"])(error["message"], hint=error["hint"])
                    else:
                        return
            except (EOFError, BrokenPipeError, ConnectionError):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(END_SECONDS)  # its own exit code says more than that of being killed
                self.end()
                raise self._reason(watch, path, config) from None

    @property
    def is_idle(self) -> bool:
        """True while the process runs and holds little memory."""
        try:
            return self._process.poll() is None and _memory_mb(self._process.pid) <= REUSE_MB
        except psutil.Error:
            return False

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        for pipe in (self._in, self._out):
            with contextlib.suppress(OSError):  # what was left to write has no reader
                pipe.close()
        self._process.wait()
        self._folder.cleanup()

    def _start(self) -> None:
        if self._ready:
            return
        timer = threading.Timer(START_SECONDS, self._process.kill)
        timer.start()
        try:
            self._frame()
        except EOFError:
            self.end()
            raise _no_start(f"it ended with code {self._process.returncode}") from None
        finally:
            timer.cancel()
        self._ready = True

    def _frame(self) -> tuple[bytes, bytes]:
        from ragyena.documents.worker import HEAD

        kind, length = HEAD.unpack(self._read(HEAD.size))
        return kind, self._read(length)

    def _read(self, length: int) -> bytes:
        data = self._out.read(length)
        if len(data) < length:
            raise EOFError
        return data

    def _reason(self, watch: _Watch, path: Path, config: IndexConfig) -> UnreadableDocumentError:
        if watch.verdict == "time":
            return budget.out_of_time(path, config)
        if watch.verdict == "memory":
            return budget.out_of_memory(path, config)
        return UnreadableDocumentError(
            f"{path} made the process that reads it crash (code {self._process.returncode})",
            hint=way_out(path) or "open it in its own program and save it again, or leave it out",
        )


class _Watch:
    """Ends a process that exceeds its budget of memory, or of seconds while somebody waits for it."""

    def __init__(self, process: subprocess.Popen[bytes], config: IndexConfig) -> None:
        self.verdict = ""
        self._process = process
        self._config = config
        self._since: float | None = None
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def waiting(self) -> _Waiting:
        return _Waiting(self)

    def _look(self) -> None:
        while not self._done.wait(POLL_SECONDS):
            since = self._since
            if since is not None and time.monotonic() - since > self._config.max_document_seconds:
                self.verdict = "time"
            elif self._too_large():
                self.verdict = "memory"
            if self.verdict:
                self._process.kill()
                return

    def _too_large(self) -> bool:
        try:
            return _memory_mb(self._process.pid) > self._config.max_document_memory_mb
        except psutil.Error:
            return False  # it has ended


class _Waiting:
    """The time during which a process is waited for."""

    def __init__(self, watch: _Watch) -> None:
        self._watch = watch

    def __enter__(self) -> None:
        self._watch._since = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._watch._since = None


# --- the idle processes -------------------------------------------------------------------------------------------

_idle: list[_Worker] = []
_lock = threading.Lock()


def _take() -> _Worker:
    with _lock:
        while _idle:
            worker = _idle.pop()
            if worker.made_for == _key() and worker.is_idle:
                return worker
            worker.end()
    return _Worker()


def _give_back(worker: _Worker) -> None:
    with _lock:
        if len(_idle) < KEPT and worker.is_idle:
            _idle.append(worker)
            return
    worker.end()


def _key() -> tuple[int, tuple[str, ...]]:
    """The owner of a process and its formats: this process, not one forked from it, and these folders of formats."""
    return os.getpid(), tuple(formats.__path__)


@atexit.register
def _end_all() -> None:
    with _lock:
        for worker in _idle:
            if worker.made_for[0] == os.getpid():
                worker.end()
        _idle.clear()


def _memory_mb(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss) / (1 << 20)


def _no_start(reason: str) -> RagyenaError:
    return RagyenaError(
        f"the process that reads documents cannot start: {reason}", hint="RAGYENA_DEBUG=1 shows what it writes"
    )
