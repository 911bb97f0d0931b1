"""Latency: contexts read one by one, and the retrieval and packing of a question, each with percentiles.

Each is done twice and the second time counts, so that filters, kernels, CUDA graphs, the embedder and the pages of the
store that it touches are in memory. On a GPU the host waits for the device at the end of each part, and a reading ends
with the answer on the host.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ragyena import machine
from ragyena.config import PackerConfig, PipelineConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import UsageError
from ragyena.eval.conditions import Condition
from ragyena.eval.journal import Journal
from ragyena.eval.questions import Question, sample
from ragyena.eval.recipe import Setup
from ragyena.reader.packing import capacity, pack
from ragyena.reader.reader import Reader
from ragyena.types import Context

if TYPE_CHECKING:  # frozen contexts are read where no index can be opened
    from ragyena.index.index import Index

__all__ = [
    "Latency",
    "Percentiles",
    "Preparation",
    "Timing",
    "contexts_of",
    "percentiles",
    "summarize_latency",
    "time_preparing",
    "time_readings",
]

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
    """Seconds by part of the reading, as ``ragyena.reader.decoding`` names them."""
    tokens_written: int = 0
    """Tokens of a written answer, its end token included."""
    peak_memory_gib: float | None = None
    """The most GPU memory allocated while it was read, the reader's own included; None on a CPU."""
    peak_resident_gib: float | None = None
    """The most memory of the process resident while it was read; None where the system does not count it."""


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Percentiles of times in seconds, each taken alone."""

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
    """Median length of a context, padding included."""


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
    tokens = statistics.median(timing.tokens for timing in timings)
    return Latency(**asdict(percentiles([timing.seconds for timing in timings])), tokens=tokens)


def time_readings(reader: Reader, condition: Condition, setup: Setup, journal: Journal) -> list[Timing]:
    """Times the contexts of ``timed`` questions of a recipe, drawn with its seed, until their times make
    ``timed_seconds``; those that the journal holds are taken from it.

    Questions that cannot be asked are passed over. The contexts of a question are read one by one and their times
    added.
    """
    count, progress = setup.config.timed, setup.progress
    if not count:
        return []
    known = {
        row["question_id"]: Timing(**row)
        for row in journal.rows
        if row["condition"] == condition.name and "parts" in row  # others are of energy or older
    }
    chosen = sample(condition.questions, count, setup.config.seed)
    if progress:
        progress.start(f"timing, {condition.title}", len(chosen), "questions")
    timings: list[Timing] = []
    for question in chosen:
        if sum(timing.seconds for timing in timings) >= setup.config.timed_seconds:
            break
        timing = known.get(question.id) or _timed(reader, question, condition)
        if timing is not None:
            timings.append(timing)
            if question.id not in known:
                journal.append([asdict(timing)])
        if progress:
            progress.advance(1)
    return timings


def contexts_of(condition: Condition, question: Question) -> list[Context]:
    """The contexts of a question; none where it cannot be asked."""
    try:
        return [built.context for built in condition.contexts(question)]
    except UsageError:  # empty, or longer than the reader takes
        return []


def _timed(reader: Reader, question: Question, condition: Condition) -> Timing | None:
    contexts = contexts_of(condition, question)
    if not contexts:
        return None
    machine.forget_peak_memory(reader.device)
    parts: Counter[str] = Counter()
    seconds, tokens_written = 0.0, 0
    for context in contexts:
        reader.read(context)
        began = time.perf_counter()
        _, watch = reader.read_timed(context)
        seconds += time.perf_counter() - began
        parts.update(watch.parts)
        tokens_written += watch.tokens_written
    return Timing(
        condition=condition.name,
        question_id=question.id,
        tokens=sum(context.length for context in contexts),
        seconds=seconds,
        parts=dict(parts),
        tokens_written=tokens_written,
        peak_memory_gib=machine.peak_memory_gib(reader.device),
        peak_resident_gib=machine.peak_resident_gib(),
    )


@dataclass(frozen=True, slots=True)
class Preparation:
    """Retrieval and packing for one question, as ``ragyena ask`` does it; a row of the journal."""

    context_tokens: int
    """The budget."""
    question_id: str
    retrieve: float
    """Seconds of embedding the question and searching."""
    pack: float
    """Seconds of packing the hits."""


def time_preparing(
    index: Index, questions: Sequence[Question], setup: Setup, tokenizer: Tokenizer, journal: Journal
) -> list[Preparation]:
    """Times retrieval and packing of the questions that a reader is timed on, at each context length of the recipe;
    rows of the journal are reused. Questions that cannot be asked are passed over. Raises IndexProblem."""
    config, settings, progress = setup.config, setup.settings, setup.progress
    known = {(row["context_tokens"], row["question_id"]): Preparation(**row) for row in journal.rows}
    chosen = sample(questions, config.timed, config.seed)
    if progress:
        progress.start("timing retrieval and packing", len(chosen) * len(config.context_tokens), "questions")
    prepared = []
    for context_tokens in config.context_tokens:
        packer = settings.packer.model_copy(update={"context_tokens": context_tokens})
        for question in chosen:
            if (context_tokens, question.id) not in known:
                try:
                    for _ in range(2):
                        timed = _prepare(index, question, settings, packer, tokenizer)
                except UsageError:  # empty, or longer than the reader takes
                    continue
                known[context_tokens, question.id] = timed
                journal.append([asdict(timed)])
            prepared.append(known[context_tokens, question.id])
            if progress:
                progress.advance(1)
    return prepared


def _prepare(
    index: Index, question: Question, settings: PipelineConfig, packer: PackerConfig, tokenizer: Tokenizer
) -> Preparation:
    began = time.perf_counter()
    top_k = settings.retriever.top_k or capacity(packer)
    hits = index.search(question.question, k=top_k, settings=settings)
    retrieved = time.perf_counter()
    pack(
        question.question,
        hits,
        tokenizer,
        packer,
        max_question_tokens=settings.reader.max_question_tokens,
        neighbours=index.neighbours,
    )
    packed = time.perf_counter()
    return Preparation(packer.context_tokens, question.id, retrieved - began, packed - retrieved)
