"""The queue before the reader: one thread answers, several questions at once where they can be read together.

The queue is bounded: where it is full a question is refused at once, with the time after which to ask again. A question
whose client has left, or whose time is up, is dropped unless it is being read.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ragyena.config import PipelineConfig
from ragyena.errors import IndexCorruptError, RagyenaError
from ragyena.pipeline import Pipeline
from ragyena.serve.memory import Trimmer
from ragyena.serve.metrics import Metrics
from ragyena.serve.problems import BusyError, StoppingError, UnexpectedError
from ragyena.types import Answer, Evidence

__all__ = ["Question", "QuestionQueue", "unexpected"]

log = logging.getLogger("ragyena.serve")
LONGEST_WAIT = 60
"""The most seconds that ``Retry-After`` says."""
FIRST_GUESS = 1.0
"""Seconds a question takes, before one was measured."""
SMOOTHING = 0.2
"""Weight of the last question in the running mean of seconds."""
MOST_OF_THE_TIME = 0.5
"""Part of a question's time that its wait may take when it is accepted: the wait is an estimate, and what was accepted
should be answered."""


Listener = Callable[[str, float], None]
"""Receives a stage of a question that is done and its seconds, in the event loop."""


@dataclass(eq=False, slots=True)
class Question:
    """A question that waits, with where its answer goes."""

    pipeline: Pipeline
    text: str
    filters: Mapping[str, str]
    settings: PipelineConfig
    answer: asyncio.Future[Answer | Evidence]
    on_stage: Listener | None = None
    work: Callable[[], Answer | Evidence] | None = None
    """Work with the reader in the place of an answer, beside no other question."""
    accepted: float = field(default_factory=time.monotonic)
    goes_on: bool = False
    """It is a further step of a question that was counted."""
    dropped: bool = False

    def drop(self) -> None:
        """Give it up: nobody waits for the answer any more."""
        self.dropped = True
        self.answer.cancel()

    def goes_with(self, other: Question) -> bool:
        """True where both can be read together."""
        if self.work is not None or other.work is not None:
            return False
        return self.pipeline is other.pipeline and self.filters == other.filters and self.settings == other.settings


class QuestionQueue:
    """Questions in, answers out. Made in the event loop; its one thread ends with ``drain``."""

    def __init__(self, limit: int, seconds: float, batch: int, metrics: Metrics) -> None:
        """``limit`` questions may wait, and as many as can be answered well within ``seconds``; ``batch`` are read
        together."""
        self._limit, self._timeout, self._batch, self._metrics = limit, seconds, batch, metrics
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Question] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._reading = 0
        self._seconds = FIRST_GUESS
        self._thread = threading.Thread(target=self._work, name="reader", daemon=True)
        self._thread.start()

    def put(
        self,
        pipeline: Pipeline,
        text: str,
        *,
        filters: Mapping[str, str],
        settings: PipelineConfig,
        on_stage: Listener | None = None,
        work: Callable[[], Answer | Evidence] | None = None,
        goes_on: bool = False,
    ) -> Question:
        """Accept a question, or other ``work`` with the reader.

        What ``goes_on`` with a question that was accepted before is not refused, and waits for none but those that do
        likewise. Raises BusyError where too many wait, and StoppingError once the server ends.
        """
        question = Question(pipeline, text, filters, settings, self._loop.create_future(), on_stage, work)
        with self._changed:
            if self._closed:
                raise StoppingError("the server is ending", hint="ask again when it has been started anew")
            if goes_on:
                question.goes_on = True
                self._waiting.insert(sum(other.goes_on for other in self._waiting), question)
                self._changed.notify()
                return question
            if self._is_full():
                self._drop_given_up()
            if self._is_full():
                self._metrics.refused.labels("queue full").inc()
                refusal = BusyError(
                    f"{len(self._waiting)} questions wait already", hint="ask again after the seconds of Retry-After"
                )
                refusal.retry_after = max(1, min(LONGEST_WAIT, math.ceil(self._wait())))
                raise refusal
            self._waiting.append(question)
            self._metrics.waiting.set(len(self._waiting))
            self._changed.notify()
        return question

    def _is_full(self) -> bool:
        """True where one more question would wait too long: it is told so at once, not when its time is up."""
        return len(self._waiting) >= self._limit or (
            bool(self._waiting) and self._wait() > MOST_OF_THE_TIME * self._timeout
        )

    def _wait(self) -> float:
        """Seconds that the questions before the next one will take, by those that were answered lately."""
        return self._seconds * (len(self._waiting) + self._reading)

    @property
    def waiting(self) -> int:
        """Questions that wait."""
        return len(self._waiting)

    def is_alive(self) -> bool:
        """True while questions are answered."""
        return self._thread.is_alive() and not self._closed

    def close(self) -> None:
        """Take no further questions; those accepted are answered."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    async def drain(self, seconds: float) -> None:
        """Wait until the accepted questions are answered, ``seconds`` at most, and end the thread."""
        self.close()
        await asyncio.to_thread(self._thread.join, seconds)

    # --- the thread

    def _work(self) -> None:
        memory = Trimmer()
        while True:
            with self._changed:
                self._drop_given_up()
                while not self._waiting and not self._closed:
                    self._changed.wait()
                    self._drop_given_up()
                if not self._waiting:
                    return
                together = self._take()
                self._reading = len(together)
                self._metrics.waiting.set(len(self._waiting))
            began = time.perf_counter()
            try:
                self._answer(together)
            finally:
                each = (time.perf_counter() - began) / len(together)
                self._seconds += SMOOTHING * (each - self._seconds)
                self._reading = 0
                del together  # with its answers, while nobody asks
                memory.trim()

    def _drop_given_up(self) -> None:
        kept = [question for question in self._waiting if not question.dropped]
        if len(kept) != len(self._waiting):
            self._metrics.dropped.inc(len(self._waiting) - len(kept))
            self._waiting = deque(kept)

    def _take(self) -> list[Question]:
        """The question that waits longest, and those behind it that can be read with it."""
        first = self._waiting.popleft()
        together = [first]
        left: deque[Question] = deque()
        for question in self._waiting:
            if len(together) < self._batch and question.goes_with(first):
                together.append(question)
            else:
                left.append(question)
        self._waiting = left
        return together

    def _answer(self, together: list[Question]) -> None:
        self._metrics.batches.observe(len(together))
        try:
            results = self._results(together)
        except Exception as error:
            if len(together) > 1:  # one of them fails: the others are answered all the same
                for question in together:
                    self._answer([question])
                return
            results = [error if isinstance(error, RagyenaError) else unexpected(error)]
        for question, result in zip(together, results, strict=True):
            if isinstance(result, Answer):
                self._metrics.answers.labels(result.kind).inc()
            if not isinstance(result, RagyenaError) and not question.goes_on:
                for stage, seconds in result.timings.items():
                    self._metrics.stages.labels(stage).observe(seconds)
            self._tell(_deliver, question, result)

    def _results(self, together: list[Question]) -> list[Answer | Evidence | RagyenaError]:
        first = together[0]

        def on_stage(position: int, stage: str, seconds: float) -> None:
            if (listener := together[position].on_stage) is not None:
                self._tell(listener, stage, seconds)

        first.pipeline.refresh()
        if first.work is not None:
            try:
                return [first.work()]
            except IndexCorruptError:  # a document may have been removed meanwhile
                first.pipeline.refresh()
                return [first.work()]
        results: list[Answer | Evidence | RagyenaError] = [
            *first.pipeline.answers(
                [question.text for question in together],
                filters=first.filters,
                settings=first.settings,
                on_stage=on_stage,
            )
        ]
        for position, question in enumerate(together):
            if isinstance(results[position], IndexCorruptError):  # a document may have been removed meanwhile
                first.pipeline.refresh()
                results[position] = first.pipeline.answers(
                    [question.text], filters=first.filters, settings=first.settings
                )[0]
        return results

    def _tell(self, call: Callable[..., None], *arguments: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)


def _deliver(question: Question, result: Answer | Evidence | RagyenaError) -> None:
    if question.answer.done():
        return
    if isinstance(result, RagyenaError):
        question.answer.set_exception(result)
        question.answer.exception()  # marked as seen, should the client be gone
    else:
        question.answer.set_result(result)


def unexpected(error: BaseException) -> UnexpectedError:
    """The error that says no more than that something failed; the log has the place, and no text of a document."""
    places = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{code.co_filename}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    log.error("unexpected error", extra={"fields": {"error": type(error).__name__, "places": places[-12:]}})
    return UnexpectedError(
        f"unexpected {type(error).__name__}", hint="this is a bug in ragyena; the server's log has the place"
    )
