"""``ragyena bench``: how fast this installation is on this machine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragyena.cli.console import TerminalProgress, interruptible, output, short_path
from ragyena.cli.options import PipelineOption, QuietOption, SetOption, configure, whole_numbers

if TYPE_CHECKING:
    from ragyena.bench.figures import Benchmark
    from ragyena.types import Progress

__all__ = ["app"]

app = typer.Typer(help="Measure speed on this machine.", no_args_is_help=True)

OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", metavar="FOLDER", help="Folder for the dated JSON; by default benchmarks/results in a checkout."
    ),
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]


@app.command("embed")
def embed(
    passages: Annotated[int, typer.Option(min=16, help="Passages to embed.")] = 256,
    passage_tokens: Annotated[int, typer.Option(min=16, max=250, help="Tokens of each passage.")] = 200,
    rounds: Annotated[int, typer.Option(min=1, help="Times that each side embeds them.")] = 3,
    out: OutOption = None,
    pipeline: PipelineOption = None,
    quiet: QuietOption = False,
) -> None:
    """Measure embedding speed, against plain sentence-transformers in the same run."""
    config = configure(pipeline)
    with _measuring(quiet) as (progress, _):
        from ragyena.bench.ask import bench_embed

        result = bench_embed(
            config.index, passages=passages, passage_tokens=passage_tokens, rounds=rounds, progress=progress
        )
    _show(result, out)


@app.command("ask")
def ask(
    context_tokens: Annotated[
        int | None, typer.Option(metavar="N", help="Context length (setting packer.context_tokens).")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Times that each demo question is asked.")] = 3,
    cold_runs: Annotated[int, typer.Option(min=1, help="Times that each whole command is run.")] = 3,
    passages: Annotated[
        int | None,
        typer.Option(min=1000, metavar="N", help="Measure on an index of so many passages instead, on one core."),
    ] = None,
    read: Annotated[bool, typer.Option("--read/--no-read", help="With --passages: read the contexts, too.")] = True,
    keep: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="With --passages: build the index here, and keep it.")
    ] = None,
    device: DeviceOption = "auto",
    out: OutOption = None,
    pipeline: PipelineOption = None,
    quiet: QuietOption = False,
) -> None:
    """Measure retrieval, packing and reading with the index open, part by part, and whole commands.

    With --passages, on an index of the demo corpus repeated with variation: retrieval and packing on one core; with
    --device cuda as well, the whole of asking, part by part, and questions a second.
    """
    if device != "auto":
        os.environ["RAGYENA_READER__DEVICE"] = device  # of the commands that are run whole, too
    config = configure(pipeline, {"packer.context_tokens": context_tokens})
    if passages is not None and device.startswith("cuda"):
        with _measuring(quiet) as (progress, folder):
            from ragyena.bench.ask_device import CONTEXTS as OF_DEVICE
            from ragyena.bench.ask_device import bench_ask_device

            result = bench_ask_device(
                config,
                keep or folder / "index",
                passages=passages,
                contexts=[context_tokens] if context_tokens else OF_DEVICE,
                rounds=rounds,
                progress=progress,
            )
        _show(result, out)
        return
    if passages is not None:
        os.environ["OMP_NUM_THREADS"] = "1"  # read when torch and faiss are loaded
        with _measuring(quiet) as (progress, folder):
            from ragyena.bench.gather import CONTEXTS, bench_gather

            result = bench_gather(
                config,
                keep or folder / "index",
                passages=passages,
                contexts=[context_tokens] if context_tokens else CONTEXTS,
                rounds=rounds,
                read=read,
                progress=progress,
            )
        _show(result, out)
        return
    with _measuring(quiet) as (progress, folder):
        from ragyena.bench.ask import bench_ask

        result = bench_ask(config, folder / "index", rounds=rounds, cold_runs=cold_runs, progress=progress)
    _show(result, out)


@app.command("index")
def index(
    passages: Annotated[
        str, typer.Option(metavar="N,N,...", help="Sizes at which it is measured, comma-separated.")
    ] = "10000,100000,1000000",
    questions: Annotated[int, typer.Option(min=20, help="Searches at each size, of each kind.")] = 200,
    keep: Annotated[
        Path | None, typer.Option("--keep", metavar="FOLDER", help="Build the index here and leave it; must be new.")
    ] = None,
    out: OutOption = None,
    pipeline: PipelineOption = None,
    quiet: QuietOption = False,
) -> None:
    """Grow an index to a million passages of varied text, and measure building, opening, searching and adding."""
    config = configure(pipeline)
    chosen = _numbers("--passages", passages)
    with _measuring(quiet) as (progress, folder):
        from ragyena.bench.index import bench_index

        result, _ = bench_index(config, keep or folder / "index", chosen, questions=questions, progress=progress)
    path = _show(result, out)
    from ragyena.report.index_growth import draw_growth

    plot = path.with_suffix(".svg")
    plot.write_text(draw_growth(result.setting["sizes"]), encoding="utf-8")
    output().print(f"  {short_path(str(plot.absolute()))}")


@app.command("train")
def train(
    recipe: Annotated[str, typer.Argument(help="A recipe of configs/train by name, or a YAML file.")],
    overrides: SetOption = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of each loop in a round.")] = 50,
    rounds: Annotated[int, typer.Option(min=1, help="Times that each loop is timed.")] = 3,
    stage: Annotated[str | None, typer.Option(help="Name of the stage; by default the last.")] = None,
    packed: Annotated[
        Path | None, typer.Option(help="Packed data; without it a language model is timed on random tokens.")
    ] = None,
    sequence_tokens: Annotated[
        int | None,
        typer.Option(min=2, metavar="N", help="Sequence length of a language model, instead of the recipe's."),
    ] = None,
    device: DeviceOption = "auto",
    out: OutOption = None,
    quiet: QuietOption = False,
) -> None:
    """Measure the training speed of a recipe, with and without logging and checkpoints, and MFU."""
    with _measuring(quiet) as (progress, folder):
        from ragyena.bench.train import bench_train

        result = bench_train(
            recipe,
            folder,
            overrides=overrides or (),
            stage=stage,
            packed=packed,
            sequence_tokens=sequence_tokens,
            steps=steps,
            rounds=rounds,
            device=device,
            progress=progress,
        )
    _show(result, out)


@app.command("filters")
def filters(
    lengths: Annotated[
        str, typer.Option(metavar="N,N,...", help="Lengths in lags, comma-separated.")
    ] = "2048,16384,131072",
    width: Annotated[int, typer.Option(min=1, help="Channels.")] = 16,
    seeds: Annotated[int, typer.Option(min=1, help="Filters of each kind and length.")] = 3,
    out: OutOption = None,
    quiet: QuietOption = False,
) -> None:
    """Measure new implicit filters on the CPU: gain by length, initialisation and window, and the error of fp32."""
    chosen = _numbers("--lengths", lengths)
    with _measuring(quiet) as (progress, _):
        from ragyena.bench.filters import bench_filters

        result = bench_filters(chosen, width=width, seeds=seeds, progress=progress)
    _show(result, out)


@app.command("operator")
def operator(
    lengths: Annotated[
        str, typer.Option(metavar="N,N,...", help="Lengths in positions, comma-separated.")
    ] = "2048,4096,8192,16384,32768,65536,131072",
    widths: Annotated[str, typer.Option(metavar="N,N,...", help="Channels, comma-separated.")] = "768",
    batches: Annotated[str, typer.Option(metavar="N,N,...", help="Batch sizes, comma-separated.")] = "1",
    scopes: Annotated[
        str, typer.Option(metavar="NAME,...", help="Any of causal, two_sided, passage.")
    ] = "causal,two_sided,passage",
    slot_tokens: Annotated[int, typer.Option(min=1, max=512, help="Positions of a slot in passage scope.")] = 256,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Also widths 256, 384 and 1024, and batches 4 and 16, at some lengths.")
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Lengths 8,192 and 131,072 only.")] = False,
    attention: Annotated[bool, typer.Option(help="Also time attention with the same mask.")] = True,
    dtype: Annotated[str, typer.Option(help="float16, bfloat16 or float32.")] = "bfloat16",
    workers: Annotated[int, typer.Option(min=0, help="Processes that compile kernels in advance.")] = 8,
    seconds: Annotated[float, typer.Option(min=1, help="Start no further size after this many seconds.")] = 600.0,
    out: OutOption = None,
) -> None:
    """Check the long convolution against fp64 and time it against torch.fft, attention and memory bandwidth (CUDA)."""
    from ragyena.errors import UsageError

    if dtype not in ("float16", "bfloat16", "float32"):
        raise UsageError(f"--dtype is {dtype}", hint="give float16, bfloat16 or float32")
    chosen = [8192, 131_072] if quick else _numbers("--lengths", lengths)
    wide, many = _numbers("--widths", widths), _numbers("--batches", batches)
    with interruptible("nothing was written"):
        import torch

        from ragyena.bench.operator import OperatorSize, Scope, bench_operator

        known: dict[str, Scope] = {"causal": "causal", "two_sided": "two_sided", "passage": "passage"}
        if unknown := [name for name in scopes.split(",") if name not in known]:
            raise UsageError(f"--scopes has {unknown[0]}", hint=f"give some of {','.join(known)}")
        sizes = [
            OperatorSize(length, width, batch, known[scope], slot_tokens, attention)
            for batch in many
            for width in wide
            for length in sorted(chosen, reverse=True)  # the longest first: time may not suffice for all
            for scope in scopes.split(",")
        ]
        if sweep:
            some = [length for length in chosen if length in (2048, 8192, 32_768, 131_072)]
            more = [(length, other, 1) for length in some for other in (256, 384, 1024)]
            more += [(length, 768, batch) for length in some if length < 131_072 for batch in (4, 16)]
            sizes += [OperatorSize(*size, "causal", attention=False) for size in more]
        result = bench_operator(
            sizes,
            dtype=getattr(torch, dtype),
            workers=workers,
            budget=seconds,
            say=_say,
        )
    _show(result, out)


@app.command("reader")
def reader(
    readers: Annotated[
        list[str] | None,
        typer.Argument(
            help="Checkpoint folders, RECIPE:STAGE, mixers, or 'selected' (Hyena with selected tokens); by default all."
        ),
    ] = None,
    lengths: Annotated[
        str, typer.Option(metavar="N,N,...", help="Context lengths in tokens, comma-separated.")
    ] = "4096,8192,16384,32768,65536,131072",
    slot_tokens: Annotated[int, typer.Option(min=16, help="Tokens of a passage slot.")] = 256,
    question_tokens: Annotated[int, typer.Option(min=3, help="Tokens of the question.")] = 24,
    device: DeviceOption = "auto",
    compiled: Annotated[bool, typer.Option("--compile", help="Run layers through torch.compile.")] = False,
    seconds: Annotated[float, typer.Option(min=1, help="Start no further reading after this many seconds.")] = 600.0,
    out: OutOption = None,
) -> None:
    """Measure time and memory of reading a whole context (prefill), against the attention baseline."""
    chosen = _numbers("--lengths", lengths)
    with interruptible("nothing was written"):
        from ragyena.bench.reader import architectures, bench_reader

        result = bench_reader(
            readers or list(architectures()),
            chosen,
            slot_tokens=slot_tokens,
            question_tokens=question_tokens,
            device=device,
            compiled=compiled,
            seconds=seconds,
            say=_say,
        )
    _show(result, out)


@contextmanager
def _measuring(quiet: bool) -> Iterator[tuple[Progress, Path]]:
    """Progress on the terminal and a scratch folder; an interrupt says that nothing was written."""
    with (
        interruptible("nothing was written"),
        tempfile.TemporaryDirectory(prefix="ragyena-bench-") as folder,
        TerminalProgress(quiet=quiet) as progress,
    ):
        yield progress, Path(folder)


def _say(line: str) -> None:
    print(line, flush=True)


def _numbers(flag: str, values: str) -> list[int]:
    from ragyena.errors import UsageError

    numbers = whole_numbers(flag, [values]) or []
    if min(numbers) < 1:
        raise UsageError(f"{flag} is {values}", hint="give numbers from 1 on")
    return numbers


def _show(benchmark: Benchmark, out: Path | None) -> Path:
    """Print the figures and write them; the file."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from ragyena.bench.figures import write

    def amount(value: float | None, unit: str) -> str:
        if value is None:
            return ""
        return f"{value:.3g} {unit}".strip() if value < 100 else f"{value:,.0f} {unit}"

    machine = benchmark.machine
    console = output()
    console.print(
        f"bench {benchmark.name}, {benchmark.date}: {machine['processor']}, {machine['cores']} cores, "
        f"{machine['torch_threads']} threads, torch {machine['versions']['torch']}"
    )
    table = Table("", box=SIMPLE_HEAD, pad_edge=False)
    for column in ("median", "p95", "target"):
        table.add_column(column, justify="right")
    table.add_column("")
    for figure in benchmark.figures:
        sign = "under" if figure.better == "lower" else "at least"
        target = "" if figure.limit is None else f"{sign} {amount(figure.limit, figure.unit)}"
        verdict = {None: "", True: "met", False: "missed"}[figure.met]
        p95 = amount(figure.p95, figure.unit)
        table.add_row(figure.name, amount(figure.value, figure.unit), p95, target, verdict)
    console.print(table)
    results = Path("benchmarks") / "results"  # of a checkout; an installed package has no such folder
    folder = out or (results if results.parent.is_dir() else Path())
    path = write(benchmark, folder)
    console.print(f"  {short_path(str(path.absolute()))}")
    return path
