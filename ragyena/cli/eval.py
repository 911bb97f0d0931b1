"""``ragyena eval``: how well a reader answers a set of questions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragyena.cli.console import TerminalProgress, interruptible, output
from ragyena.cli.options import PipelineOption, QuietOption, configure
from ragyena.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from ragyena.evaluation.metrics import Estimate
    from ragyena.evaluation.report import ConditionReport, Report

__all__ = ["command"]

MEASURES = ("em", "f1", "auroc")


def command(
    recipe: Annotated[
        str | None, typer.Argument(help="A recipe of configs/eval by name, or a YAML file; not needed with --data.")
    ] = None,
    reader: Annotated[
        str | None, typer.Option(metavar="PATH", help="The reader's checkpoint folder (setting reader.checkpoint).")
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Questions: JSON lines, SQuAD JSON, a folder or a Hugging Face dataset."),
    ] = None,
    passages: Annotated[
        list[str] | None, typer.Option(metavar="FILE", help="Passages that questions name by passage_id.")
    ] = None,
    unanswerable: Annotated[
        list[str] | None, typer.Option(metavar="FILE", help="Questions whose context holds no answer.")
    ] = None,
    data_root: Annotated[
        Path, typer.Option(metavar="FOLDER", help="The folder that relative data paths are under.")
    ] = Path(),
    split: Annotated[str | None, typer.Option(help="Ask rows of this split (setting split of the recipe).")] = None,
    source: Annotated[list[str] | None, typer.Option(help="Ask rows of this source only; may be repeated.")] = None,
    among: Annotated[
        list[int] | None, typer.Option(metavar="K", help="Passages that compete; 1 is the own context alone.")
    ] = None,
    context_tokens: Annotated[
        list[int] | None, typer.Option(metavar="N", help="Context lengths (tasks open and positions); repeatable.")
    ] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", help="Ask at most N questions; 0 for all.")] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FOLDER", help="For answers and report; else runs/eval/RECIPE."),
    ] = None,
    index: Annotated[
        Path, typer.Option(metavar="FOLDER", help="An index of the passages; else where one is built and reused.")
    ] = Path("runs/eval/index"),
    frozen: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Contexts of --freeze-only: neither data nor index are needed.")
    ] = None,
    freeze_only: Annotated[
        bool, typer.Option("--freeze-only", help="Only write the contexts, to --frozen or OUT/contexts.jsonl.xz.")
    ] = False,
    fail_under: Annotated[
        list[str] | None,
        typer.Option(metavar="MEASURE=N", help="Exit with 1 below this: em=70, f1=80, auroc=0.9, em@32=60."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N (setting reader.device).")] = None,
    pipeline: PipelineOption = None,
    quiet: QuietOption = False,
) -> None:
    """Score a reader: exact match and F1 with 95% intervals, passage selection, abstention, speed.

    A run that was stopped goes on with the same command. The report is also written as dated JSON.
    """
    from ragyena.evaluation.conditions import condition_names
    from ragyena.pipelines.evaluate import evaluate, freeze_to, load_config

    if recipe is None and not data:
        raise UsageError("there is nothing to evaluate on", hint="ragyena eval RECIPE, or ragyena eval --data FILE")
    bars = [_bar(text) for text in fail_under or []]
    flags = {
        "questions": data or None,
        "passages": passages or None,
        "unanswerable": unanswerable or None,
        "split": split,
        "sources": source or None,
        "among": among or None,
        "context_tokens": context_tokens or None,
        "limit": limit,
    }
    config, name = load_config(recipe, flags)
    for measure, place, _ in bars:
        _check_bar(measure, place, condition_names(config))
    settings = configure(pipeline, {"reader.checkpoint": reader, "reader.device": device})
    folder = out or Path("runs/eval") / name
    safe = f"the answers so far are kept in {folder}; the same command goes on"
    if freeze_only:
        path = frozen or folder / "contexts.jsonl.xz"
        with interruptible(safe), TerminalProgress(quiet=quiet) as progress:
            made = freeze_to(path, config, settings, data_root=data_root, index_cache=index, progress=progress)
        output().print(
            f"{path}: {len(made.answerable) + len(made.unanswerable):,} questions, {len(made.passages):,} passages, "
            f"{path.stat().st_size / 2**20:.1f} MiB"
        )
        return
    with interruptible(safe), TerminalProgress(quiet=quiet) as progress:
        report, path = evaluate(
            config,
            settings,
            name=name,
            data_root=data_root,
            out=folder,
            index_cache=index,
            frozen=frozen,
            progress=progress,
        )
    console = output()
    for line in _heading(report):
        console.print(line)
    for condition in report.conditions:
        console.print()
        console.print(_table(condition))
        for line in _notes(condition):
            console.print(f"  {line}")
    console.print(f"\n  {path}")
    missed = [problem for bar in bars if (problem := _below(report, *bar))]
    for problem in missed:
        typer.echo(f"below the bar: {problem}", err=True)
    if missed:
        raise typer.Exit(1)


def _bar(text: str) -> tuple[str, str | None, float]:
    """``em@32=60`` as measure, condition (None: the first) and least value."""
    place, _, value = text.partition("=")
    measure, at, condition = place.partition("@")
    try:
        if measure not in MEASURES or (at and not condition):
            raise ValueError(place)
        return measure, condition or None, float(value)
    except ValueError:
        raise UsageError(
            f"'--fail-under {text}' is no bar",
            hint=f"write em=70, em@32=60 or em@open-8192=50; measures: {', '.join(MEASURES)}",
        ) from None


def _check_bar(measure: str, condition: str | None, names: Sequence[str]) -> None:
    """Raises UsageError where there is no such condition."""
    if condition is not None and not any(_is(condition, name) for name in names):
        raise UsageError(
            f"--fail-under {measure}@{condition}: there is no such condition", hint=f"conditions: {', '.join(names)}"
        )


def _is(condition: str, name: str) -> bool:
    """Whether a condition is meant by its name, or by its number alone: ``32`` for ``among-32``."""
    return condition == name or name.endswith(f"-{condition}")


def _below(report: Report, measure: str, place: str | None, least: float) -> str | None:
    """What is wrong where a figure is under its bar."""
    condition = next(c for c in report.conditions if place is None or _is(place, c.name))
    if measure == "auroc":
        found = condition.abstention.auroc if condition.abstention else None
    else:
        found = (condition.whole.em if measure == "em" else condition.whole.f1).mean
    if found is None:
        return f"{measure} was not measured (it needs unanswerable questions and --among 1)"
    return f"{measure} of {condition.name} is {found:.4g}, asked was {least:g}" if found < least else None


# --- how a report looks ----------------------------------------------------------------------------------------


def _heading(report: Report) -> list[str]:
    reader, machine, data = report.reader, report.machine, report.data
    lines = [
        f"{report.recipe}, {report.date}",
        f"  reader   {reader['name']} ({reader['parameters'] / 1e6:.1f}M parameters, {reader['fingerprint'][:12]}), "
        f"{reader['dtype']} on {reader['device']}",
        f"  machine  {', '.join(machine['gpus']) or machine['processor']}, {machine['cores']} cores, "
        f"torch {machine['versions']['torch']}",
    ]
    if data["left_out"]:
        lines.append(f"  left out {data['left_out']:,} rows; the first: {data['left_out_first'][0]}")
    return lines


def _table(condition: ConditionReport) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, title=condition.title, title_justify="left", title_style="bold", pad_edge=False)
    table.add_column("source")
    for column in ("n", "EM", "95%", "F1", "95%"):
        table.add_column(column, justify="right")
    several = condition.sources if len(condition.sources) > 1 else ()
    for part in (*several, condition.whole):
        label = part.source if several or part.source != "all" else condition.sources[0].source
        table.add_row(label, f"{part.n:,}", *_estimate(part.em), *_estimate(part.f1))
    return table


def _estimate(value: Estimate) -> tuple[str, str]:
    return f"{value.mean:.1f}", f"{value.low:.1f}-{value.high:.1f}"


def _notes(condition: ConditionReport) -> list[str]:
    lines = [
        f"{condition.tokens:,} tokens read in {condition.seconds:,.1f} s "
        f"({condition.tokens_per_second:,.0f} tokens/s), "
        f"{condition.passages:.1f} passages a context; answers "
        + ", ".join(f"{kind} {count:,}" for kind, count in sorted(condition.kinds.items()))
    ]
    if condition.own_first is not None:
        mean, interval = _estimate(condition.own_first)
        lines.append(f"the best passage is of the own context for {mean}% of the questions ({interval})")
    if condition.own_packed is not None and condition.answer_packed is not None:
        (answer, answer_interval), (own, own_interval) = map(_estimate, (condition.answer_packed, condition.own_packed))
        lines.append(
            f"an answer stands in the context for {answer}% of the questions ({answer_interval}), a passage of the own "
            f"context is in it for {own}% ({own_interval})"
        )
    if condition.unasked:
        lines.append(f"{condition.unasked:,} questions could not be asked (too long or empty) and count as wrong")
    if condition.abstention is not None:
        a = condition.abstention
        answered_em = "" if a.answered_em is None else f" with EM {a.answered_em:.1f}"
        lines += [
            f"confidence tells {a.answerable:,} answerable from {a.unanswerable:,} unanswerable questions with AUROC "
            f"{_figure(a.auroc)} (no-answer probability {_figure(a.auroc_no_answer)}), right answers from all else "
            f"with {_figure(a.auroc_right)}",
            f"at threshold {a.threshold:g}: {a.answered:.1%} of the answerable answered{answered_em}, "
            f"{a.withheld:.1%} of the unanswerable withheld",
        ]
    return lines


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"
