"""Additions and removals, one after the other in a thread of their own, while questions are answered."""

from __future__ import annotations

import asyncio
import logging
import queue
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ragyena.errors import RagyenaError
from ragyena.index.add import AddReport
from ragyena.serve.library import ServedIndex
from ragyena.serve.metrics import Metrics
from ragyena.serve.problems import BusyError, NotFoundError, StoppingError
from ragyena.serve.questions import unexpected

__all__ = ["Job", "JobState", "Jobs", "LeftOut"]

log = logging.getLogger("ragyena.serve")
JobState = Literal["queued", "running", "done", "failed"]
KEPT = 500
"""Jobs that are remembered."""
MOST_WAITING = 64


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file, or a part of one, that is not in the index, and the reason."""

    name: str
    message: str
    hint: str
    is_fault: bool = True
    """False for a part that the file itself hides, such as a hidden sheet."""


@dataclass(slots=True, eq=False)
class Job:
    """An addition: what it adds, how far it is, what came of it. A ``ragyena.types.Progress``."""

    served: ServedIndex
    files: tuple[Path, ...]
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    state: JobState = "queued"
    created: float = field(default_factory=time.time)
    ended: float | None = None
    stage: str = ""
    unit: str = ""
    total: int | None = None
    done: int = 0
    status: str = ""
    began: float = 0.0
    """Begin of the stage by the monotonic clock."""
    left_out: tuple[LeftOut, ...] = ()
    report: AddReport | None = None
    error: RagyenaError | None = None
    version: int = 0
    """Grows with every change."""

    def start(self, description: str, total: int | None, unit: str) -> None:
        self.stage, self.total, self.unit, self.done, self.status = description, total, unit, 0, ""
        self.began = time.monotonic()
        self.version += 1

    def advance(self, amount: int, status: str = "") -> None:
        self.done += amount
        self.status = Path(status).name if status else self.status
        self.version += 1

    def note(self, text: str) -> None: ...

    @property
    def seconds_left(self) -> float | None:
        """Seconds that the stage will take, by those it has; None where that cannot be told."""
        left = (self.total or 0) - self.done
        if self.state != "running" or self.done <= 0 or left <= 0:
            return None
        return (time.monotonic() - self.began) / self.done * left

    @property
    def is_over(self) -> bool:
        return self.state in ("done", "failed")


class Jobs:
    """The additions of a server, and the thread that does them."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._work: queue.Queue[Callable[[], None] | None] = queue.Queue(MOST_WAITING)
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="additions", daemon=True)
        self._thread.start()

    def add(self, served: ServedIndex, files: Sequence[Path], left_out: Sequence[LeftOut] = ()) -> Job:
        """Begin to add ``files``. ``left_out`` are those that were refused before.

        Raises BusyError where too many additions wait, StoppingError once the server ends.
        """
        job = Job(served, tuple(files), left_out=tuple(left_out))
        if files:
            self._put(lambda: self._add(job))
        else:
            job.state, job.ended = "done", time.time()
        self._jobs[job.id] = job
        while len(self._jobs) > KEPT and next(iter(self._jobs.values())).is_over:
            self._jobs.popitem(last=False)
        return job

    def get(self, job_id: str) -> Job:
        """The job of this id. Raises NotFoundError."""
        if job_id not in self._jobs:
            raise NotFoundError("there is no such job", hint="jobs are forgotten when the server ends; list documents")
        return self._jobs[job_id]

    def all(self) -> list[Job]:
        """Every job that is remembered, the newest first."""
        return list(reversed(self._jobs.values()))

    async def do(self, work: Callable[[], int], seconds: float) -> int:
        """Do ``work``, such as a removal, after the additions that wait. Raises TimeoutError where its turn does not
        come; it is then not done."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[int] = loop.create_future()

        def run() -> None:
            if result.cancelled():
                return
            try:
                value = work()
            except Exception as error:
                problem = error if isinstance(error, RagyenaError) else unexpected(error)
                loop.call_soon_threadsafe(_settle, result, problem)
            else:
                loop.call_soon_threadsafe(_settle, result, value)

        self._put(run)
        return await asyncio.wait_for(result, seconds)

    def close(self) -> None:
        """Begin nothing further."""
        self._closed = True

    async def drain(self, seconds: float) -> None:
        """Wait for the addition that runs, ``seconds`` at most. Files that wait are added at the next start."""
        self.close()
        with suppress(queue.Full):  # the thread looks whether this is closed before each piece of work
            self._work.put_nowait(None)
        await asyncio.to_thread(self._thread.join, seconds)

    # --- the thread

    def _put(self, work: Callable[[], None]) -> None:
        if self._closed:
            raise StoppingError("the server is ending", hint="try again when it has been started anew")
        try:
            self._work.put_nowait(work)
        except queue.Full:
            refusal = BusyError("too many additions wait", hint="try again after the seconds of Retry-After")
            refusal.retry_after = 30
            raise refusal from None

    def _run(self) -> None:
        while (work := self._work.get()) is not None and not self._closed:
            work()

    def _add(self, job: Job) -> None:
        job.state = "running"
        job.version += 1
        began = time.perf_counter()
        try:
            job.report = job.served.index.add(job.files, progress=job)
        except Exception as error:
            job.error = error if isinstance(error, RagyenaError) else unexpected(error)
        if job.report is not None:
            job.left_out += _left_out(job.report)
            self._metrics.documents.labels(job.served.name).set(job.report.total_documents)
        job.state, job.ended = ("failed" if job.error else "done"), time.time()
        job.version += 1
        self._metrics.jobs.labels(job.state).inc()
        fields = {"job": job.id, "state": job.state, "files": len(job.files), "left_out": len(job.left_out)}
        log.info("addition", extra={"fields": fields | {"seconds": round(time.perf_counter() - began, 3)}})


def _settle(result: asyncio.Future[int], value: int | Exception) -> None:
    if result.done():
        return
    if isinstance(value, Exception):
        result.set_exception(value)
    else:
        result.set_result(value)


def _left_out(report: AddReport) -> tuple[LeftOut, ...]:
    failed = [LeftOut(Path(failure.path).name, failure.message, failure.hint) for failure in report.failed]
    parts = [
        LeftOut(Path(part.source).name, part.message, part.hint, is_fault=part.is_fault) for part in report.skipped
    ]
    return (*failed, *parts)
