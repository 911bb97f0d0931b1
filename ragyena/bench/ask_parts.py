"""The parts of a question, one by one and several together, with the index open: ``ragyena bench ask``."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ragyena.bench.figures import Figure, seconds, spread
from ragyena.config import PipelineConfig
from ragyena.pipeline import Pipeline
from ragyena.settings import Overrides
from ragyena.types import Progress

__all__ = ["PARTS", "WARM", "ask_parts", "percentile", "questions_together", "reading_together"]

PARTS = ("retrieve", "pack", "to the device", "read", "decode", "write", "cite")
"""In their order. ``read``: the reader's layers, and those of a reader that reads again. ``decode``: the best spans and
their confidence; ``write`` only of answers that the decoder writes."""
WARM = 2
"""Times that each question is asked before: a GPU has then met every shape of context, and recorded it."""

_OF_READING = {
    "inputs": "to the device",
    "encode": "read",
    "again": "read",
    "extract": "decode",
    "first_token": "write",
    "write": "write",
}


def ask_parts(
    pipeline: Pipeline,
    questions: Sequence[str],
    config: PipelineConfig,
    *,
    rounds: int,
    progress: Progress | None,
    name: str = "a whole question, index open",
    limit: float | None = None,
) -> list[Figure]:
    """Milliseconds of the whole of asking, by ``name`` and with its ``limit``, and of each part, over all questions and
    rounds. On a GPU each part of reading waits for the device, the whole is measured without that."""
    parts: dict[str, list[float]] = {part: [] for part in PARTS}
    whole: list[float] = []
    for question in questions:
        for _ in range(WARM):
            pipeline.ask(question, settings=config)
    if progress:
        progress.start(name, rounds * len(questions), "questions")
    for _ in range(rounds):
        for question in questions:
            for part, taken in _asked(pipeline, question, config).items():
                parts[part].append(taken)
            whole.append(1000 * seconds(lambda question=question: pipeline.ask(question, settings=config)))  # type: ignore[misc]
            if progress:
                progress.advance(1)
    return [
        spread(name, whole, "ms", limit),
        *(spread(f"  {part}", taken, "ms") for part, taken in parts.items() if taken),
    ]


def _asked(pipeline: Pipeline, question: str, config: PipelineConfig) -> dict[str, float]:
    """Milliseconds of the parts of one question."""
    began = time.perf_counter()
    with pipeline.index.reading():
        candidates = pipeline.retrieve(question, settings=config)
        retrieved = time.perf_counter()
        context = pipeline.pack(question, candidates, settings=config)
    packed = time.perf_counter()
    reading, watch = pipeline.reader.read_timed(context)
    read = time.perf_counter()
    pipeline.answer(context, reading, settings=config)
    taken = {"retrieve": retrieved - began, "pack": packed - retrieved, "cite": time.perf_counter() - read}
    for part, value in watch.parts.items():
        taken[_OF_READING[part]] = taken.get(_OF_READING[part], 0.0) + value
    return {part: 1000 * value for part, value in taken.items()}


def questions_together(
    pipeline: Pipeline, questions: Sequence[str], *, rounds: int, settings: Overrides = None, name: str = ""
) -> list[Figure]:
    """Questions a second, read together as ``ask --questions`` does, and one by one; ``name`` precedes the figures'."""

    def together() -> None:
        pipeline.ask_batch(questions, settings=settings)

    def alone() -> None:
        for question in questions:
            pipeline.ask(question, settings=settings)

    for _ in range(WARM):
        together()
        alone()
    rates = {"together": [], "one by one": []}  # type: dict[str, list[float]]
    for _ in range(rounds):
        for (_, taken), work in zip(rates.items(), (together, alone)):
            taken.append(len(questions) / seconds(work))
    return [spread(f"{name}questions answered {how}", taken, "questions/s") for how, taken in rates.items()]


def reading_together(pipeline: Pipeline, questions: Sequence[str], settings: Overrides, *, rounds: int) -> list[Figure]:
    """Contexts a second that the reader reads, together and one by one, without retrieval, packing and citing."""
    contexts = []
    for question in questions:
        with pipeline.index.reading():
            candidates = pipeline.retrieve(question, settings=settings)
            contexts.append(pipeline.pack(question, candidates, settings=settings))
    reader = pipeline.reader

    def alone() -> None:
        for context in contexts:
            reader.read(context)

    ways = {"together": lambda: reader.read_batch(contexts), "one by one": alone}
    figures = []
    for how, work in ways.items():
        for _ in range(WARM):
            work()
        rates = [len(contexts) / seconds(work, reader.device) for _ in range(rounds)]
        figures.append(spread(f"  of that, contexts read {how}", rates, "contexts/s"))
    return figures


def percentile(figure: Figure, limit: float) -> Figure:
    """The 95th percentile of a figure as one of its own, with a limit; there must be one."""
    assert figure.p95 is not None
    return Figure(f"{figure.name}, 95th percentile", figure.p95, figure.unit, limit=limit, samples=figure.samples)
