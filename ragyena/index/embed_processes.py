"""Passages embedded by several processes: one a GPU, or as many as ``index.embed_processes`` says.

``Embedding`` takes lists of texts and gives back their vectors in the order in which the lists were given, whichever
process was done first. With one process nothing is started and the index's own embedder does the work. Otherwise at
most ``ahead`` lists are under way at once, so that memory stays bounded; a process that dies, or an interrupt, ends all
of them, and nothing of what they were working on has been stored.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Self, cast

import numpy as np
import numpy.typing as npt

from ragyena.errors import EmbeddingError
from ragyena.index.embed_worker import ERROR, LENGTH, REPLY
from ragyena.index.embedder import Embedder

__all__ = ["LEAST", "Embedding", "Waiting", "process_count"]

LEAST = 512
"""Texts from which processes are started: fewer are embedded sooner than these have loaded the model."""
PIECE = 512
"""Texts that a process gets at once."""
GPU_DEVICES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
"""Devices of Linux without at least one of which torch finds no GPU: NVIDIA's, those of WSL, AMD's."""
AHEAD = 2
"""Lists of texts under way for each process, so that none waits for the next."""

_START = "import json,sys; sys.path[:]=json.loads(sys.argv[1]); from ragyena.index.embed_worker import serve; "
_START += "serve(sys.argv[2])"

FloatArray = npt.NDArray[np.float32]


def process_count(setting: int) -> int:
    """The processes that ``index.embed_processes`` stands for on this machine: 0 is one a GPU, and one without any."""
    return setting or max(1, _gpus())


class Embedding:
    """Embeds lists of texts, several at once where there are several processes. A context manager."""

    def __init__(self, embedder: Embedder, processes: int) -> None:
        """``embedder`` is the index's own; the processes open the one of the same name and weights."""
        self._embedder = embedder
        self._processes = processes
        self._workers: list[_Worker] = []
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._threads: ThreadPoolExecutor | None = None
        self._under_way = 0
        self._began = 0.0
        self.seconds = 0.0
        """Time during which texts were being embedded."""

    @property
    def ahead(self) -> int:
        """Lists that may be under way while the caller stores an earlier one."""
        return AHEAD * self._processes if self._threads is not None else 0

    def expect(self, texts: int) -> None:
        """Start the processes where so many texts that are coming are worth it. Raises EmbeddingError."""
        if self._processes > 1 and texts >= LEAST and self._threads is None:
            self._start()

    def submit(self, texts: Sequence[str]) -> Waiting:
        """Begin to embed texts, or do so once the result is waited for where there is one process."""
        if self._under_way == 0:
            self._began = time.perf_counter()
        self._under_way += 1
        if self._threads is None:
            return Waiting(self, texts, None)
        pieces = [texts[first : first + PIECE] for first in range(0, len(texts), PIECE)]
        return Waiting(self, texts, [self._threads.submit(self._embed, piece) for piece in pieces])

    def close(self) -> None:
        """End the processes, whatever they do."""
        for worker in self._workers:
            worker.end()
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
            self._threads = None
        self._workers = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- details

    def _start(self) -> None:
        threads = _threads_each(self._processes)
        try:
            for number in range(self._processes):
                self._workers.append(_Worker(number, self._processes, self._embedder, threads))
        except OSError as error:
            self.close()
            raise EmbeddingError(
                f"the processes that embed cannot start: {error.strerror or error}",
                hint="index.embed_processes=1 embeds in one",
            ) from error
        for worker in self._workers:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(self._processes, thread_name_prefix="embed")

    def _embed(self, texts: Sequence[str]) -> FloatArray:
        worker = self._idle.get()  # one is idle: there are as many threads
        try:
            return worker.embed(texts)
        finally:  # even where it has died: the next piece then fails as well, rather than wait
            self._idle.put(worker)

    def _done(self) -> None:
        self._under_way -= 1
        if self._under_way == 0:
            self.seconds += time.perf_counter() - self._began


class Waiting:
    """Texts that are being embedded."""

    def __init__(self, embedding: Embedding, texts: Sequence[str], pieces: list[Future[FloatArray]] | None) -> None:
        self._embedding = embedding
        self._texts = texts
        self._pieces = pieces

    def result(self, on_progress: Callable[[int], None]) -> FloatArray:
        """float32 [N, dimension]; ``on_progress`` receives the number of texts just done. Raises EmbeddingError where a
        process has died, and what the embedder raises."""
        embedder = self._embedding._embedder
        if self._pieces is None:
            vectors = embedder.embed(self._texts, on_progress=on_progress)
        else:
            parts = [np.empty((0, embedder.dimension), np.float32)]
            for piece in self._pieces:
                parts.append(piece.result())
                on_progress(len(parts[-1]))
            vectors = np.concatenate(parts)
        self._embedding._done()
        return vectors


class _Worker:
    """A process that embeds one list of texts after another."""

    def __init__(self, number: int, count: int, embedder: Embedder, threads: int) -> None:
        gpu = _visible_gpu(number)
        self._name = f"embedding process {number + 1} of {count}" + (f" (GPU {gpu})" if gpu is not None else "")
        self._embedder = embedder
        self._ready = False
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-c", _START, json.dumps(sys.path)),
                json.dumps({"embedder": embedder.name, "threads": threads}),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("RAGYENA_DEBUG") else subprocess.DEVNULL,
            env={
                **os.environ,
                "OMP_NUM_THREADS": str(threads),
                "RAYON_NUM_THREADS": str(threads),
                **({"CUDA_VISIBLE_DEVICES": gpu} if gpu is not None else {}),
            },
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self._in = cast(IO[bytes], self._process.stdin)
        self._out = cast(IO[bytes], self._process.stdout)

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """Raises EmbeddingError where the process has died or cannot embed them."""
        try:
            if not self._ready:
                self._check(self._reply().decode())
                self._ready = True
            request = json.dumps(list(texts)).encode()
            self._in.write(LENGTH.pack(len(request)) + request)
            self._in.flush()
            content = self._reply()
        except (EOFError, OSError, ValueError):  # ValueError: its pipes were closed
            code = self._process.wait()
            raise EmbeddingError(
                f"{self._name} ended with code {code}" + (", as one does that takes too much memory" * (code == -9)),
                hint="what was committed is in the index; run the same command again, with less at once: "
                "index.embed_processes=1",
            ) from None
        return np.frombuffer(content, np.float32).reshape(len(texts), self._embedder.dimension)

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._in, self._out):
            with contextlib.suppress(OSError, ValueError):  # what was left to write has no reader
                pipe.close()

    def _reply(self) -> bytes:
        kind, length = REPLY.unpack(self._read(REPLY.size))
        content = self._read(length)
        if kind == ERROR:
            message, hint = json.loads(content)
            raise EmbeddingError(
                f"{self._name}: {message}", hint=hint or "index.embed_processes=1 embeds in this process alone"
            )
        return content

    def _read(self, length: int) -> bytes:
        data = self._out.read(length)
        if len(data) < length:
            raise EOFError
        return data

    def _check(self, fingerprint: str) -> None:
        if fingerprint != self._embedder.fingerprint:
            raise EmbeddingError(
                f"{self._name} found other weights of '{self._embedder.name}' ({fingerprint[:12]}, not "
                f"{self._embedder.fingerprint[:12]})",
                hint="put those weights back that the index was made with",
            )


def _gpus() -> int:
    if sys.platform == "linux" and not any(map(os.path.exists, GPU_DEVICES)):
        return 0  # without the seconds and the memory that torch takes: few texts are embedded without it
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _visible_gpu(number: int) -> str | None:
    """The GPU of process ``number``, as CUDA_VISIBLE_DEVICES names it; None without any. More processes than GPUs share
    them in turns."""
    count = _gpus()
    if not count:
        return None
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return named.split(",")[number % count].strip() if named else str(number % count)


def _threads_each(processes: int) -> int:
    """Threads of each process: together as many as this one has."""
    import torch

    return max(1, torch.get_num_threads() // processes)
