"""The parts of a question, one by one and several together, with the index open: ``ragyena bench ask``."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ragyena.bench.figures import Figure, seconds, spread
from ragyena.config import PipelineConfig
from ragyena.pipeline import Pipeline
from ragyena.types import Progress

__all__ = ["PARTS", "ask_parts", "questions_together"]

PARTS = ("retrieve", "pack", "inputs", "encode", "extract", "write", "cite")
"""In their order; ``write`` only of answers that the decoder writes."""


def ask_parts(
    pipeline: Pipeline, questions: Sequence[str], config: PipelineConfig, *, rounds: int, progress: Progress | None
) -> list[Figure]:
    """Milliseconds of each part of asking, over all questions and rounds, and of the whole.

    Each question is asked once before, so that every shape of context has been met by the device. On a GPU each part
    of reading waits for the device, the whole is measured without that.
    """
    parts: dict[str, list[float]] = {part: [] for part in PARTS}
    whole: list[float] = []
    for question in questions:
        pipeline.ask(question)
    if progress:
        progress.start("asking in parts", rounds * len(questions), "questions")
    for _ in range(rounds):
        for question in questions:
            for part, taken in _asked(pipeline, question, config).items():
                parts[part].append(taken)
            whole.append(1000 * seconds(lambda question=question: pipeline.ask(question)))  # type: ignore[misc]
            if progress:
                progress.advance(1)
    figures = [spread(f"  {part}", taken, "ms") for part, taken in parts.items() if taken]
    return [spread("a whole question, index open", whole, "ms"), *figures]


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
    writing = watch.parts.get("first_token", 0.0) + watch.parts.get("write", 0.0)
    taken |= {part: watch.parts[part] for part in ("inputs", "encode", "extract") if part in watch.parts}
    taken |= {"write": writing} if writing else {}
    return {part: 1000 * value for part, value in taken.items()}


def questions_together(pipeline: Pipeline, questions: Sequence[str], *, rounds: int) -> list[Figure]:
    """Questions a second, read together as ``ask --questions`` does, and one by one."""

    def together() -> None:
        pipeline.ask_batch(questions)

    def alone() -> None:
        for question in questions:
            pipeline.ask(question)

    together()
    rates = {"together": [], "one by one": []}  # type: dict[str, list[float]]
    for _ in range(rounds):
        for (_, taken), work in zip(rates.items(), (together, alone)):
            taken.append(len(questions) / seconds(work))
    return [spread(f"questions answered {name}", taken, "questions/s") for name, taken in rates.items()]
