"""The use cases of ``ragyena bench embed`` and ``ragyena bench ask``: the speed of indexing and asking on this machine.

Every figure is measured in the run that reports it, on the shipped demo corpus; comparisons alternate, so that both
sides see the same machine.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ragyena import demo, recipes
from ragyena.bench.ask_parts import ask_parts, questions_together
from ragyena.bench.figures import Benchmark, Figure, benchmark, seconds, spread, write
from ragyena.bench.roofline import roofline, share_of_peak
from ragyena.config import IndexConfig, PipelineConfig
from ragyena.documents.loading import load
from ragyena.documents.tokenizer import Tokenizer
from ragyena.documents.walk import find_files
from ragyena.errors import PathNotFoundError, RagyenaError
from ragyena.index.embedder import BUNDLED, Embedder, bundled_folder, cpu_dtype
from ragyena.index.minilm import MATRIX_WEIGHTS
from ragyena.model.inputs import ContextShape
from ragyena.pipeline import Pipeline
from ragyena.reader.reader import Reader
from ragyena.types import Answer, Progress, Skipped

__all__ = ["Benchmark", "Figure", "bench_ask", "bench_embed", "write"]

COMMAND = [sys.executable, "-m", "ragyena"]
"""The ``ragyena`` command of this installation, on the path or not."""


def bench_embed(
    config: IndexConfig, *, passages: int, passage_tokens: int, rounds: int, progress: Progress | None
) -> Benchmark:
    """Passages a second of our embedder and of ``sentence-transformers`` alone, in turns, on the same texts.

    ``passages`` texts of exactly ``passage_tokens`` tokens are cut from the demo corpus. Raises
    MissingDependencyError, and ConfigError for an embedder that is not there.
    """
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # of the loading of weights
    texts = _texts(config, passages, passage_tokens)
    ours = Embedder.open(config.embedder)
    plain = SentenceTransformer(
        str(bundled_folder()) if config.embedder == BUNDLED else config.embedder, device="cpu", local_files_only=True
    )

    def encode_plainly() -> Any:
        return plain.encode(texts, normalize_embeddings=True, show_progress_bar=False)

    # Both warm up on the whole: the first call of a shape is slower.
    cosine = float((ours.embed(texts) * encode_plainly()).sum(1).min())
    our_rates, plain_rates = [], []
    if progress:
        progress.start("embedding in turns", rounds, "rounds")
    for _ in range(rounds):
        our_rates.append(passages / seconds(lambda: ours.embed(texts)))
        plain_rates.append(passages / seconds(encode_plainly))
        if progress:
            progress.advance(1)
    rate, plain_rate = statistics.median(our_rates), statistics.median(plain_rates)
    name, target = f"passages of {passage_tokens} tokens embedded", 90.0
    return benchmark(
        "embed",
        [
            Figure(name, rate, "passages/s", limit=target, better="higher", samples=rounds),
            Figure("the same by sentence-transformers alone", plain_rate, "passages/s", samples=rounds),
            Figure("least cosine between the two", cosine, "", limit=0.999, better="higher", samples=passages),
            *_embed_roofline(config, rate, passage_tokens),
        ],
        {"embedder": config.embedder, "passages": passages, "passage_tokens": passage_tokens, "rounds": rounds},
    )


def _embed_roofline(config: IndexConfig, rate: float, passage_tokens: int) -> list[Figure]:
    """The roofline of a CPU, and the share that the bundled embedder's matrix products reach of it."""
    if config.embedder != BUNDLED or torch.cuda.is_available():
        return []
    dtype = cpu_dtype()
    flops = 2.0 * MATRIX_WEIGHTS * (passage_tokens + 2)  # with the begin and end marks
    return [*roofline(dtype), share_of_peak("embedding", flops * rate, 1.0, dtype)]


def bench_ask(
    config: PipelineConfig, index: Path, *, rounds: int, cold_runs: int, progress: Progress | None
) -> Benchmark:
    """Milliseconds of retrieval and packing and seconds of reading with the index open, and of whole commands cold.

    ``index`` is the folder of an index of the demo corpus, built if it is not there. ``config.packer.context_tokens``
    is the budget. Raises what ``Pipeline.open`` raises.
    """
    if not (index / "manifest.json").is_file():
        demo.build(index, config, progress)
    questions = [row.question for row in demo.load_questions()]
    with Pipeline.open(index, settings=config) as pipeline:
        pipeline.ask(questions[0])  # the first question pays for what is loaded and compiled once
        answers = []
        if progress:
            progress.start("asking", rounds * len(questions), "questions")
        for _ in range(rounds):
            for question in questions:
                answers.append(pipeline.ask(question))
                if progress:
                    progress.advance(1)
        parts = ask_parts(pipeline, questions, config, rounds=rounds, progress=progress)
        parts += questions_together(pipeline, questions, rounds=rounds)
        reading = _reading_roofline(pipeline.reader, answers)
        reader = {"reader": pipeline.reader.name, "dtype": pipeline.reader.dtype, "device": pipeline.reader.device}
    retrieving, packing = ([1000 * answer.timings[part] for answer in answers] for part in ("retrieve", "pack"))
    budget = config.packer.context_tokens
    ask = ["ask", questions[0], "--index", str(index), "--context-tokens", str(budget), "--quiet", "--json"]
    return benchmark(
        "ask",
        [
            spread("retrieval and packing, index open", [r + p for r, p in zip(retrieving, packing)], "ms", 150.0),
            spread("  of that, retrieval", retrieving, "ms"),
            spread("  of that, packing", packing, "ms"),
            spread(f"reading {budget:,} tokens of context", [answer.timings["read"] for answer in answers], "s", 0.6),
            *reading,
            spread("cold `ragyena ask`", _commands(ask, cold_runs, progress, "ragyena ask, cold"), "s", 2.5),
            spread("`ragyena --help`", _commands(["--help"], cold_runs, progress, "ragyena --help"), "s", 0.5),
            *parts,
        ],
        {
            **reader,
            "context_tokens": budget,
            "tokens_read": statistics.fmean(answer.log.used_tokens if answer.log else 0 for answer in answers),
            "questions": len(questions),
            "rounds": rounds,
            "corpus": "the shipped demo corpus",
        },
    )


def _reading_roofline(reader: Reader, answers: Sequence[Answer]) -> list[Figure]:
    """The share of padding in the contexts; on a CPU also the roofline, and the share that reading reaches of it."""
    logs = [answer.log for answer in answers if answer.log is not None and answer.log.slot_tokens]
    padding = [100 * (1 - log.filled_tokens / log.used_tokens) for log in logs]
    figures = [spread("  padding in the context", padding, "%")]
    if reader.device != "cpu":
        return figures
    flops = 0.0
    for log in logs:
        passages = (log.used_tokens - log.question_tokens) // log.slot_tokens
        shape = ContextShape(log.question_tokens, passages, log.slot_tokens)
        flops += reader.model.flops(shape) * log.filled_tokens  # padding is not computed
    seconds_read = sum(answer.timings["read"] for answer in answers)
    dtype = reader.model.dtype
    return [*figures, *roofline(dtype), share_of_peak("reading", flops, seconds_read, dtype)]


def _texts(config: IndexConfig, count: int, tokens: int) -> list[str]:
    """``count`` texts of ``tokens`` tokens, cut one after another from the demo corpus."""
    tokenizer = Tokenizer.from_folder(recipes.asset("reader"))
    texts: list[str] = []
    for path in find_files([demo.corpus()]).files:
        for document in load(path, config):
            if isinstance(document, Skipped):
                continue
            encoding = tokenizer.encode(document.text)
            for first in range(0, len(encoding) - tokens, tokens):
                texts.append(document.text[encoding.starts[first] : encoding.ends[first + tokens - 1]])
                if len(texts) == count:
                    return texts
    raise PathNotFoundError(
        f"the demo corpus holds {len(texts)} passages of {tokens} tokens, not {count}", hint="use fewer: --passages"
    )


def _commands(arguments: Sequence[str], runs: int, progress: Progress | None, name: str) -> list[float]:
    """Seconds of the whole command, in a process of its own. One run before them is not counted: it fills the system's
    file cache."""

    def command() -> None:
        done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            problem = done.stderr.strip().splitlines()[-1:] or ["no message"]
            raise RagyenaError(f"`ragyena {arguments[0]}` failed: {problem[0]}", hint="run the command by itself")

    if progress:
        progress.start(name, runs + 1, "runs")
    times = []
    for _ in range(runs + 1):
        times.append(seconds(command))
        if progress:
            progress.advance(1)
    return times[1:]
