"""The use case of ``ragyena bench ask --passages N --device cuda``: the whole of asking on a GPU, index open."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path

import torch

from ragyena import demo
from ragyena.bench.ask_parts import ask_parts, percentile, questions_together, reading_together
from ragyena.bench.figures import Benchmark, Figure, benchmark, device_suffix
from ragyena.bench.large_index import SEED, VARIED, build_large
from ragyena.config import PipelineConfig
from ragyena.pipeline import Pipeline
from ragyena.reader.opening import chosen_device
from ragyena.settings import resolve
from ragyena.types import Progress

__all__ = ["CONTEXTS", "bench_ask_device"]

CONTEXTS = (8192, 32_768, 131_072)
"""Tokens of the contexts that are read where none is named."""
TOGETHER = 32_768
"""Tokens of the contexts of several questions at once."""
TARGETS = {8192: (30.0, None), 131_072: (80.0, 120.0)}
"""Milliseconds of a whole question: median and 95th percentile."""
_ENOUGH = 20
"""Samples from which a 95th percentile is told."""


def bench_ask_device(
    config: PipelineConfig,
    index: Path,
    *,
    passages: int,
    contexts: Sequence[int],
    rounds: int,
    progress: Progress | None = None,
) -> Benchmark:
    """Milliseconds of a whole question and of its parts by context length, and questions a second, together and one by
    one. ``index`` is the folder of the index, which is built, or finished, where it has fewer ``passages``.

    Raises MissingDependencyError where the device is not there, before anything is built.
    """
    chosen_device(config.reader.device)
    held = build_large(index, passages, seed=SEED, progress=progress)
    questions = [row.question for row in demo.load_questions()]
    figures: list[Figure] = []
    with Pipeline.open(index, settings=config) as pipeline:
        gc.freeze()  # as the commands that answer many questions do
        for tokens in contexts:
            given = resolve({"packer.context_tokens": tokens}, config)
            limit, of_p95 = TARGETS.get(tokens, (None, None))
            whole, *parts = ask_parts(
                pipeline,
                questions,
                given,
                rounds=rounds,
                progress=progress,
                name=f"{tokens:,} tokens: a whole question",
                limit=limit,
            )
            figures += [whole, *([percentile(whole, of_p95)] if of_p95 and whole.samples >= _ENOUGH else []), *parts]
        given = resolve({"packer.context_tokens": TOGETHER}, config)
        name = f"{TOGETHER:,} tokens: "
        figures += questions_together(pipeline, questions, rounds=rounds, settings=given, name=name)
        figures += reading_together(pipeline, questions, given, rounds=rounds)
        reader = pipeline.reader
        cuda = reader.device.startswith("cuda")
        settings: dict[str, object] = {
            "reader": reader.name,
            "dtype": reader.dtype,
            "device": torch.cuda.get_device_name(reader.device) if cuda else reader.device,
            "cuda_graphs": reader.config.cuda_graphs,
            "passages": held,
            "questions": len(questions),
            "rounds": rounds,
            "corpus": "the shipped demo corpus again and again, names and"
            f" {VARIED:.0%} of the other words replaced; vectors of passages are random (seed {SEED})",
        }
        return benchmark(f"ask-{device_suffix(reader.device)}", figures, settings)
