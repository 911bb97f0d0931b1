"""The parts of a running server, and the time it gives to work beside the reader."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Annotated, TypeVar

from fastapi import Depends, Request

from ragyena.config import PipelineConfig
from ragyena.serve.jobs import Jobs
from ragyena.serve.library import Library
from ragyena.serve.metrics import Metrics
from ragyena.serve.pictures import PageServer
from ragyena.serve.problems import AnswerTimeoutError, BusyError, ForbiddenError
from ragyena.serve.questions import QuestionQueue
from ragyena.serve.writing import WriterQueue

__all__ = ["Serving", "ServingDependency"]

THREADS = 4
"""Threads for searches, embeddings and documents."""
Result = TypeVar("Result")


@dataclass(slots=True)
class Serving:
    """A running server."""

    config: PipelineConfig
    library: Library
    metrics: Metrics
    questions: QuestionQueue
    writers: WriterQueue
    jobs: Jobs
    pages: PageServer
    started: float = field(default_factory=time.time)
    ending: bool = False
    """True once the server was told to end."""
    deadline: float = 0.0
    """Time by the monotonic clock at which what was accepted must be done then."""
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(THREADS, "side"))
    _at_work: int = 0

    async def run(self, work: Callable[[], Result]) -> Result:
        """Do ``work`` in one of a few threads. Raises BusyError where too much waits, AnswerTimeoutError where it takes
        too long."""
        if self._at_work >= self.config.serve.queue:
            self.metrics.refused.labels("queue full").inc()
            refusal = BusyError("too many requests wait", hint="ask again after the seconds of Retry-After")
            refusal.retry_after = 1
            raise refusal
        self._at_work += 1
        try:
            done = asyncio.get_running_loop().run_in_executor(self._threads, work)
            return await asyncio.wait_for(done, self.config.serve.timeout_seconds)
        except TimeoutError:
            raise self.timed_out() from None
        finally:
            self._at_work -= 1

    def timed_out(self) -> AnswerTimeoutError:
        """The error for a request that took too long."""
        return AnswerTimeoutError(
            f"not done within {self.config.serve.timeout_seconds:g} seconds",
            hint="ask for less (context_tokens), ask again later, or raise serve.timeout_seconds",
        )

    def end(self) -> None:
        """Take note that the server was told to end."""
        if not self.ending:
            self.ending = True
            self.deadline = time.monotonic() + self.config.serve.shutdown_seconds

    def check_writable(self) -> None:
        """Raises ForbiddenError where documents may not be changed through the server."""
        if self.config.serve.read_only:
            raise ForbiddenError("this server is read-only", hint="set serve.read_only to false to allow changes")

    def close(self) -> None:
        """End the threads and processes beside the reader."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self.pages.close()


def _serving(request: Request) -> Serving:
    serving: Serving = request.app.state.serving
    return serving


ServingDependency = Annotated[Serving, Depends(_serving)]
