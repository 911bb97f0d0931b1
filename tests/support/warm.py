"""A process that has imported what commands import, and forks for each command: imports take most of the time of one.
A command is a process of its own in all else: its folder, environment, files, signals and end.

Run as a program, this is that process; ``Warm`` starts it and gives it commands.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import Any

HEAD = 8
"""Bytes of the length before a request."""
MODULES = (
    "ragyena.cli.main", "ragyena.pipeline", "ragyena.index.index", "ragyena.eval.run", "ragyena.serve.app",
    "torchmetrics.functional.text",
)  # fmt: skip


class Command:
    """A running ``python -m ragyena``, with the methods of ``subprocess.Popen`` that tests use."""

    def __init__(self, replies: socket.socket) -> None:
        self._replies = replies
        self.pid = int(self._line())
        self.returncode: int | None = None

    def wait(self, timeout: float) -> int:
        """The exit code; minus the signal that ended it."""
        if self.returncode is None:
            self._replies.settimeout(timeout)
            try:
                self.returncode = int(self._line())
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired("ragyena", timeout) from None
            self._replies.close()
        return self.returncode

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it has ended, and its code is on the way
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _line(self) -> bytes:
        line = self._replies.recv(100)  # a line is one message
        assert line, "the process that forks commands has ended"
        return line


class Warm:
    """Starts commands, and scripts; ``without`` are packages that cannot be imported in them."""

    def __init__(self, *without: str) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="warm-", ignore_cleanup_errors=True)
        self._requests, theirs = socket.socketpair()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAGYENA_", "XDG_"))}
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno()), *without],
            env={**kept, "HOME": self._home.name, "OMP_NUM_THREADS": "1"},
            cwd=self._home.name,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,  # Ctrl-C in a run of the tests is not for it
        )
        theirs.close()
        atexit.register(self.close)

    def start(
        self,
        arguments: list[str],
        *,
        cwd: Path,
        environment: dict[str, str],
        stdin: int,
        stdout: int,
        stderr: int,
        script: Path | None = None,
    ) -> Command:
        """``script`` runs in place of ``ragyena``."""
        request = json.dumps(
            {"arguments": arguments, "cwd": str(cwd), "environment": environment, "script": script and str(script)}
        ).encode()
        replies, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            files = [stdin, stdout, stderr, theirs.fileno()]
            socket.send_fds(self._requests, [len(request).to_bytes(HEAD)], files)
            self._requests.sendall(request)
        return Command(replies)

    def close(self) -> None:
        self._requests.close()
        self._process.wait()
        self._home.cleanup()


@cache
def warm(*without: str) -> Warm:
    """The one of this process of tests."""
    return Warm(*without)


def hash_weights_once() -> None:
    """Have this process, and its forks, read the 90 MB of the bundled embedder's weights once for their hash, and not
    for every index; again where the file is another one."""
    from ragyena.index import embedder

    real = embedder.weights_sha256

    @cache
    def hashed(path: Path, size: int, changed: int) -> str:
        return real()

    def weights_sha256() -> str:
        path = embedder.bundled_folder() / "model.safetensors"
        status = path.stat()
        return hashed(path, status.st_size, status.st_mtime_ns)

    embedder.weights_sha256 = weights_sha256


def serve(requests: socket.socket) -> dict[str, Any] | None:
    """Fork for each request. Returns it in the fork, and None in this process when no more will come."""
    while True:
        head, files, *_ = socket.recv_fds(requests, HEAD, 4)
        if not head:
            return None
        request = b""
        while len(request) < int.from_bytes(head):
            request += requests.recv(int.from_bytes(head) - len(request))
        if os.fork() == 0:
            break
        for file in files:
            os.close(file)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:  # one that waited for a command, which has ended
                pass
    requests.close()
    *standard, replies = files
    if process := os.fork():
        for file in standard:
            os.close(file)
        with socket.socket(fileno=replies) as told:
            told.send(str(process).encode())
            code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
            with contextlib.suppress(BrokenPipeError):  # nobody waits any more
                told.send(str(code).encode())
        os._exit(0)
    os.close(replies)
    for number, file in enumerate(standard):
        os.dup2(file, number)
        os.close(file)
    for name in ("stdin", "stdout", "stderr"):  # a pipe is written otherwise than a file
        of = getattr(sys, name)
        stream = open(of.fileno(), of.mode, encoding=of.encoding, errors=of.errors, closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
    sys.stderr.reconfigure(line_buffering=True)
    return dict(json.loads(request))


def run(command: dict[str, Any]) -> None:
    os.environ.clear()
    os.environ.update(command["environment"])
    os.chdir(command["cwd"])
    sys.argv[1:] = command["arguments"]
    if command["script"] is None:
        sys.path[0] = command["cwd"]
        runpy.run_module("ragyena", run_name="__main__", alter_sys=True)
    else:
        sys.argv[0], sys.path[0] = command["script"], str(Path(command["script"]).parent)
        runpy.run_path(command["script"], run_name="__main__")


def main() -> None:
    sys.path[0] = os.getcwd()  # noqa: PTH109 -- as with -m
    sys.modules |= dict.fromkeys(sys.argv[2:])  # type: ignore[arg-type]
    for module in MODULES:
        with contextlib.suppress(ImportError):  # of an optional package; the command says so
            importlib.import_module(module)
    with contextlib.suppress(Exception):  # a command says what is missing, or wrong with them
        hash_weights_once()
        importlib.import_module("ragyena.index.embedder").weights_sha256()
    gc.collect()
    gc.freeze()  # a collection in a fork would copy every page
    command = serve(socket.socket(fileno=int(sys.argv[1])))
    if command is None:
        return
    code = 0
    try:
        run(command)
    except SystemExit as end:
        if not isinstance(end.code, int | None):
            raise
        code = end.code or 0
    # As multiprocessing ends a fork: to take the modules apart would take half a second.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
