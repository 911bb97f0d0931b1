"""Questions that the writer answers: evidence from the reader, the writer's text, and the check by the reader.

The writer is waited for in threads of their own, so that the reader goes on with other questions meanwhile. They are no
threads of a pool: those would hold up the end of the process until a writer that hangs gives up.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from ragyena.config import PipelineConfig
from ragyena.errors import RagyenaError
from ragyena.integrations.writer import AnswerWriter, Draft
from ragyena.serve.metrics import Metrics
from ragyena.serve.problems import BusyError
from ragyena.serve.questions import LONGEST_WAIT, SMOOTHING, Listener, Question, QuestionQueue, unexpected
from ragyena.types import Answer, Evidence

if TYPE_CHECKING:
    from ragyena.serve.library import ServedIndex

__all__ = ["TextListener", "WriterQueue", "WrittenQuestion"]

FIRST_GUESS = 5.0
"""Seconds a writer takes, before it was measured."""

TextListener = Callable[[str], None]
"""Receives a piece of the writer's text as it comes, in the event loop."""


class _GivenUp(Exception):
    """Nobody waits for the text any more."""


class WriterQueue:
    """The questions that are being written, or wait for it. Made in the event loop, and used there."""

    def __init__(self, limit: int, seconds: float, at_once: int, metrics: Metrics) -> None:
        """``limit`` questions may be on their way, and as many as can be written in ``seconds``, ``at_once`` of them
        side by side."""
        self._limit, self._timeout, self._at_once, self._metrics = limit, seconds, at_once, metrics
        self._loop = asyncio.get_running_loop()
        self._turn = asyncio.Semaphore(at_once)
        self._inside = 0
        self._seconds = FIRST_GUESS

    def enter(self) -> None:
        """Take a place, given back with ``leave``. Raises BusyError where too many wait."""
        wait = self._seconds * self._inside / self._at_once
        if self._inside >= self._limit or (self._inside >= self._at_once and wait > self._timeout):
            self._metrics.refused.labels("writer busy").inc()
            refusal = BusyError(
                f"{self._inside} questions wait for the writer", hint="ask again after the seconds of Retry-After"
            )
            refusal.retry_after = max(1, min(LONGEST_WAIT, math.ceil(wait)))
            raise refusal
        self._inside += 1

    def leave(self) -> None:
        """Give the place back."""
        self._inside -= 1

    async def write(self, writer: AnswerWriter, evidence: Evidence, on_text: TextListener | None) -> Draft:
        """Have it written, in a thread. Cancelled, it closes the connection at the next piece of text.

        Raises WriterError.
        """
        await self._turn.acquire()
        result: asyncio.Future[Draft] = self._loop.create_future()
        given_up = threading.Event()

        def hear(part: str) -> None:
            if given_up.is_set():
                raise _GivenUp
            if on_text is not None:
                self._tell(on_text, part)

        def work() -> None:
            try:
                draft = writer.write(evidence, on_text=hear)
            except _GivenUp:
                self._end("given up")
            except Exception as error:
                self._end("failed")
                self._tell(_fail, result, error if isinstance(error, RagyenaError) else unexpected(error))
            else:
                self._end("written", draft.seconds)
                self._tell(_succeed, result, draft)

        threading.Thread(target=work, name="writer", daemon=True).start()
        try:
            return await result
        finally:
            given_up.set()

    # --- the thread

    def _end(self, outcome: str, seconds: float | None = None) -> None:
        self._metrics.writer.labels(outcome).inc()
        if seconds is not None:
            self._metrics.stages.labels("write").observe(seconds)
            self._seconds += SMOOTHING * (seconds - self._seconds)
        self._tell(self._turn.release)

    def _tell(self, call: Callable[..., None], *arguments: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)


def _succeed(result: asyncio.Future[Draft], draft: Draft) -> None:
    if not result.done():
        result.set_result(draft)


def _fail(result: asyncio.Future[Draft], error: RagyenaError) -> None:
    if not result.done():
        result.set_exception(error)


class WrittenQuestion:
    """A question that the writer answers; it is waited for as a ``Question`` is."""

    def __init__(
        self,
        queues: tuple[QuestionQueue, WriterQueue],
        served: ServedIndex,
        text: str,
        *,
        filters: Mapping[str, str],
        settings: PipelineConfig,
        on_stage: Listener | None = None,
        on_text: TextListener | None = None,
    ) -> None:
        """Accept it. Raises BusyError where too many wait, StoppingError once the server ends."""
        assert served.writer is not None
        self._questions, self._writers = queues
        self._pipeline, self._writer = served.pipeline, served.writer
        self._settings, self._filters = settings, filters
        self._on_stage, self._on_text = on_stage, on_text
        self._writers.enter()
        try:
            self._step = self._put(
                text, partial(self._writer.evidence, text, filters=filters, settings=settings), goes_on=False
            )
        except BaseException:
            self._writers.leave()
            raise
        self.accepted = self._step.accepted
        self.answer: asyncio.Future[Answer | Evidence] = asyncio.ensure_future(self._run(text))
        self.answer.add_done_callback(self._ended)

    def drop(self) -> None:
        """Give it up: nobody waits for the answer any more."""
        self.answer.cancel()
        self._step.drop()

    def _put(self, text: str, work: Callable[[], Answer | Evidence], *, goes_on: bool) -> Question:
        return self._questions.put(
            self._pipeline, text, filters=self._filters, settings=self._settings, work=work, goes_on=goes_on
        )

    async def _run(self, text: str) -> Answer | Evidence:
        evidence = await self._step.answer
        assert isinstance(evidence, Evidence)
        for stage, seconds in evidence.timings.items():
            if stage != "total":
                self._told(stage, seconds)
        if evidence.pieces:
            draft = await self._writers.write(self._writer, evidence, self._on_text)
            self._told("write", draft.seconds)
        else:
            draft = self._writer.write(evidence)  # nothing is sent
        self._step = self._put(text, partial(self._writer.checked, draft), goes_on=True)
        return await self._step.answer

    def _told(self, stage: str, seconds: float) -> None:
        if self._on_stage is not None:
            self._on_stage(stage, seconds)

    def _ended(self, answer: asyncio.Future[Answer | Evidence]) -> None:
        self._writers.leave()
        if not answer.cancelled():
            answer.exception()  # marked as seen, should the client be gone
