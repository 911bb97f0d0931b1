"""The use case of ``ragyena bench ask --passages``: retrieval and packing on a large index, on one core."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from ragyena import demo
from ragyena.bench.figures import Benchmark, Figure, benchmark, spread
from ragyena.bench.large_index import SEED, VARIED, build_large
from ragyena.config import PipelineConfig
from ragyena.index.store import Store
from ragyena.pipeline import Pipeline
from ragyena.types import Progress, Silent

__all__ = ["CONTEXTS", "bench_gather"]

CONTEXTS = (8192, 131_072)
"""Tokens of the contexts that are packed where none is named."""
TARGETS = {8192: 12.0, 131_072: 40.0}
"""Milliseconds of retrieval and packing."""


def bench_gather(
    config: PipelineConfig,
    index: Path,
    *,
    passages: int,
    contexts: Sequence[int],
    rounds: int,
    read: bool,
    progress: Progress | None = None,
) -> Benchmark:
    """Milliseconds of retrieval and packing by context length, index open and warm, and, where ``read``, seconds of
    reading.

    ``index`` is the folder of the index, which is built, or finished, where it has fewer ``passages``. Where the system
    can, the process keeps to one core while it measures; ``OMP_NUM_THREADS`` should be 1 when this module is imported.
    """
    progress = progress or Silent()
    held = build_large(index, passages, seed=SEED, progress=progress)
    questions = [row.question for row in demo.load_questions()]
    figures: list[Figure] = []
    cores, threads = _one_core()
    try:
        with Pipeline.open(index, settings=config) as pipeline:
            gc.freeze()  # as the commands that answer many questions do
            for tokens in contexts:
                figures += _measured(pipeline, questions, tokens, rounds, read, progress)
            figures += _sizes(pipeline.index.store, held)
            vectors = pipeline.index.manifest.vectors
            settings: dict[str, object] = {"vector_index": vectors.kind if vectors is not None else None}
    finally:
        _all_cores(cores, threads)
    settings |= {
        "passages": held,
        "questions": len(questions),
        "rounds": rounds,
        "corpus": "the shipped demo corpus again and again, names and"
        f" {VARIED:.0%} of the other words replaced; vectors of passages are random (seed {SEED})",
        "cores": 1,
    }
    return benchmark("ask-large", figures, settings)


def _measured(
    pipeline: Pipeline, questions: Sequence[str], tokens: int, rounds: int, read: bool, progress: Progress
) -> list[Figure]:
    settings = {"packer.context_tokens": tokens}
    retrieving: list[float] = []
    packing: list[float] = []
    reading: list[float] = []
    busy: list[float] = []
    packed = 0
    progress.start(f"retrieving and packing {tokens:,} tokens", (rounds + 1) * len(questions), "questions")
    for round_ in range(rounds + 1):
        for question in questions:
            with pipeline.index.reading():
                cpu, began = time.process_time(), time.perf_counter()
                candidates = pipeline.retrieve(question, settings=settings)
                retrieved = time.perf_counter()
                context = pipeline.pack(question, candidates, settings=settings)
                done, spent = time.perf_counter(), time.process_time() - cpu
            if round_:  # the first round fills the caches
                retrieving.append(1000 * (retrieved - began))
                packing.append(1000 * (done - retrieved))
                busy.append(1000 * spent)
                packed += len(context.passages)
            if read and round_ == 1:
                pipeline.reader.read(context)
                reading.append(time.perf_counter() - done)
            progress.advance(1)
    both = [r + p for r, p in zip(retrieving, packing)]
    name = f"{tokens:,} tokens"
    figures = [
        spread(f"{name}: retrieval and packing", both, "ms", TARGETS.get(tokens)),
        spread("  of that, retrieval", retrieving, "ms"),
        spread("  of that, packing", packing, "ms"),
        spread("  CPU time of both (less than the time: others were at work)", busy, "ms"),
        Figure("  passages packed", packed / len(both), "", samples=len(both)),
    ]
    return figures + ([spread("  reading, one core", reading, "s")] if read else [])


def _sizes(store: Store, passages: int) -> list[Figure]:
    (text,) = store.row("SELECT sum(byte_end - byte_start) FROM passages", types=(int,))
    columns = ("token_ids", "offsets", "header_ids", "signature")
    kept = store.row(
        f"SELECT {', '.join(f'sum(length({column}))' for column in columns)} FROM packing", types=(int,) * 4
    )
    size = store.path.stat().st_size
    return [
        Figure("a passage: text", text / passages, "bytes", samples=passages),
        Figure("  kept for packing beside it", sum(kept) / passages, "bytes", samples=passages),
        *(Figure(f"    {column}", value / passages, "bytes", samples=passages) for column, value in zip(columns, kept)),
        Figure(
            "  all of the store (text, vectors, full text index, packing)", size / passages, "bytes", samples=passages
        ),
    ]


def _one_core() -> tuple[set[int] | None, int]:
    """Keep to one core; returns the cores and threads there were."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    if not hasattr(os, "sched_setaffinity"):
        return None, threads
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    return cores, threads


def _all_cores(cores: set[int] | None, threads: int) -> None:
    torch.set_num_threads(threads)
    if cores is not None:
        os.sched_setaffinity(0, cores)
