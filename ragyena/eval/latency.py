"""How long a reader takes for one context: contexts read one by one, and percentiles of their times.

Each context is read twice and the second reading is timed, so that filters, kernels and CUDA graphs of its shape are
made before the clock runs. On a GPU the host waits for the device at the end of each part, and a reading ends with the
answer on the host: nothing is still running. Making the context (retrieving, packing) is not part of it; that is timed
by ``ragyena.eval.preparing``.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ragyena.errors import UsageError
from ragyena.eval import machine
from ragyena.eval.conditions import Condition
from ragyena.eval.datasets import Question, sample
from ragyena.eval.journal import Journal
from ragyena.reader.reader import Reader
from ragyena.types import Progress

__all__ = ["Latency", "Percentiles", "Timing", "percentiles", "summarize_latency", "time_readings"]

_LEAST_FOR_P95, _LEAST_FOR_P99 = 20, 100


@dataclass(frozen=True, slots=True)
class Timing:
    """One context read alone, as the journal keeps it."""

    condition: str
    question_id: str
    tokens: int
    """Padding included."""
    seconds: float
    parts: Mapping[str, float] = field(default_factory=dict)
    """Seconds by part of the reading, as ``ragyena.reader.stopwatch`` names them."""
    tokens_written: int = 0
    """Of an answer that was written, its end token included."""
    peak_memory_gib: float | None = None
    """The most GPU memory allocated while it was read, the reader's own included; None on a CPU."""
    peak_resident_gib: float | None = None
    """The most memory of the process resident while it was read; None where the system does not count it."""


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of times, in seconds, each taken alone."""

    n: int
    p50: float
    p95: float | None
    """None of fewer than 20 times."""
    p99: float | None
    """None of fewer than 100 times."""
    mean: float


@dataclass(frozen=True, slots=True)
class Latency(Percentiles):
    """Seconds from a packed context to its answer, contexts read one by one, each once before it is timed."""

    tokens: float
    """Of a context, padding included: the median."""


def percentiles(seconds: Sequence[float]) -> Percentiles:
    """Between two times they are interpolated linearly. Raises ValueError of no times."""
    if not seconds:
        raise ValueError("there are no times")

    def percentile(q: float, least: int) -> float | None:
        return float(np.percentile(seconds, q)) if len(seconds) >= least else None

    return Percentiles(
        n=len(seconds),
        p50=float(np.percentile(seconds, 50)),
        p95=percentile(95, _LEAST_FOR_P95),
        p99=percentile(99, _LEAST_FOR_P99),
        mean=statistics.fmean(seconds),
    )


def summarize_latency(timings: Sequence[Timing]) -> Latency | None:
    """None of no readings."""
    if not timings:
        return None
    found = percentiles([timing.seconds for timing in timings])
    tokens = statistics.median(timing.tokens for timing in timings)
    return Latency(**asdict(found), tokens=tokens)


def time_readings(
    reader: Reader,
    questions: Sequence[Question],
    condition: Condition,
    count: int,
    journal: Journal,
    progress: Progress | None,
    *,
    seed: int,
    most_seconds: float,
) -> list[Timing]:
    """Times the contexts of ``count`` questions, drawn with ``seed``, or of as many as it takes until their times make
    ``most_seconds``; those that the journal holds are taken from it.

    Questions that cannot be asked are passed over. A question of several contexts is read context by context, and
    takes their sum.
    """
    if not count:
        return []
    known = {
        row["question_id"]: Timing(**row)
        for row in journal.rows
        if row["condition"] == condition.name and _has_parts(row)
    }
    chosen = sample(list(questions), count, seed)
    if progress:
        progress.start(f"timing, {condition.title}", len(chosen), "questions")
    timings: list[Timing] = []
    for question in chosen:
        if sum(timing.seconds for timing in timings) >= most_seconds:
            break
        timing = known.get(question.id) or _timed(reader, question, condition)
        if timing is not None:
            timings.append(timing)
            if question.id not in known:
                journal.append([asdict(timing)])
        if progress:
            progress.advance(1)
    return timings


def _timed(reader: Reader, question: Question, condition: Condition) -> Timing | None:
    try:
        contexts = condition.contexts(question)
    except UsageError:  # empty, or longer than the reader takes
        return None
    machine.forget_peak_memory(reader.device)
    parts: Counter[str] = Counter()
    seconds, tokens_written = 0.0, 0
    for built in contexts:
        reader.read(built.context)
        began = time.perf_counter()
        _, watch = reader.read_timed(built.context)
        seconds += time.perf_counter() - began
        parts.update(watch.parts)
        tokens_written += watch.tokens_written
    return Timing(
        condition=condition.name,
        question_id=question.id,
        tokens=sum(built.context.length for built in contexts),
        seconds=seconds,
        parts=dict(parts),
        tokens_written=tokens_written,
        peak_memory_gib=machine.peak_memory_gib(reader.device),
        peak_resident_gib=machine.peak_resident_gib(),
    )


def _has_parts(row: Mapping[str, Any]) -> bool:
    """Whether a row of the journal is a reading, and not from before its parts were timed: that one is timed again."""
    return "parts" in row
