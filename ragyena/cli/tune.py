"""``ragyena train tune``: tunes a reader on questions of one's own."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragyena.cli.console import TerminalProgress, emit_json, interruptible, output
from ragyena.cli.options import IndexOption, JsonOption, PipelineOption, QuietOption, ReaderOption, configure

if TYPE_CHECKING:
    from ragyena.tune.measure import Compared
    from ragyena.tune.run import Tuned

__all__ = ["command"]

LINE_EVERY = 4.0
"""Seconds between lines of progress where stderr is no terminal."""


def command(
    questions: Annotated[
        Path,
        typer.Option(
            metavar="FILE.jsonl",
            help='Rows {"question": ..., "answer": a text, a list of them, "yes", "no" or null; "document" and "quote" '
            "may say where it stands}.",
        ),
    ],
    index: IndexOption = None,
    documents: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="Files or folders to use in the place of an index; repeatable."),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="Folder of the tuned reader, new or empty.")
    ] = Path("tuned-reader"),
    reader: ReaderOption = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change how it is tuned (epochs=6, rate=1e-4); repeatable."),
    ] = None,
    pipeline: PipelineOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Tune a reader on your own questions and documents, on a CPU, and say what it gained.

    A fifth of the questions is held out and asked before and after, end to end; so are questions on other documents,
    which ship with ragyena. Ctrl-C keeps the best epoch so far. The result is a folder that --reader takes.
    """
    from ragyena import recipes
    from ragyena.config import TuneConfig, parse

    values: dict[str, Any] = {}
    for text in set_ or []:
        recipes.override(values, text, "tune")
    config = parse(
        TuneConfig, values, source="--set", hint=f"the settings of tuning: {', '.join(TuneConfig.model_fields)}"
    )
    settings = configure(pipeline, {"reader.checkpoint": reader, "reader.device": "cpu"})
    with interruptible("nothing was written, or what was is a whole reader without a measurement"):
        from ragyena.tune.run import tune

        with TerminalProgress(quiet=quiet, line_every=LINE_EVERY) as progress:
            tuned = tune(
                questions,
                out,
                index=index,
                documents=documents or (),
                settings=settings,
                config=config,
                progress=progress,
            )
    if json:
        emit_json(_as_json(tuned))
    else:
        _show(tuned)
    if tuned.fitted.interrupted:
        raise typer.Exit(130)


def _as_json(tuned: Tuned) -> dict[str, Any]:
    return {
        "schema": "ragyena.tuning/1",
        "checkpoint": str(tuned.checkpoint),
        "base": tuned.base,
        "questions": {
            "usable": tuned.questions,
            "train": tuned.trained,
            "validation": tuned.validation,
            "held_out_by_document": tuned.by_document,
            "problems": list(tuned.problems),
        },
        "settings": tuned.config.model_dump(mode="json"),
        "training": {**asdict(tuned.fitted), "tokens_per_second": tuned.fitted.rate},
        "minutes": round(tuned.minutes, 2),
        "held_out": _compared_json(tuned.held_out),
        "sample": _compared_json(tuned.sample),
        "warnings": list(tuned.warnings),
    }


def _compared_json(compared: Compared | None) -> dict[str, Any] | None:
    if compared is None:
        return None
    values = asdict(compared)
    for name in ("right", "f1", "withheld"):
        values[name] = getattr(compared, name)._asdict()
    return values


def _show(tuned: Tuned) -> None:
    from rich.table import Table
    from rich.text import Text

    console = output()
    fitted = tuned.fitted
    if tuned.held_out is not None and tuned.sample is not None:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for name in (
            "questions",
            "n",
            "right before",
            "after",
            "gain",
            "95% interval",
            "p",
            "withheld before",
            "after",
        ):
            table.add_column(name, justify="left" if name == "questions" else "right")
        table.add_row(*_row("yours, held out", tuned.held_out))
        table.add_row(*_row("shipped sample", tuned.sample))
        console.print(table)
        console.print()
    lines = [
        f"{tuned.trained} questions, {fitted.tokens:,} tokens in {fitted.seconds:.0f} s ({fitted.rate:,.0f} tokens/s); "
        f"{tuned.minutes:.1f} min in all; the weights are {fitted.average:.0%} tuned",
        *(f"warning: {warning}" for warning in tuned.warnings),
    ]
    if fitted.interrupted:
        lines.append("interrupted: this is the best epoch so far, and it was not measured")
    folder = tuned.checkpoint
    lines.append(f"the tuned reader is in {folder}; to use it: ragyena ask --reader {folder} ...")
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def _row(name: str, one: Compared) -> tuple[str, ...]:
    gain = one.gain
    return (
        name,
        str(one.questions),
        f"{one.right.before:.0%}",
        f"{one.right.after:.0%}",
        f"{gain.mean:+.1f}",
        f"{gain.low:+.1f} to {gain.high:+.1f}",
        f"{one.p:.3f}",
        f"{one.withheld.before:.0%}",
        f"{one.withheld.after:.0%}",
    )
