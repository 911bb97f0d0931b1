"""``ragyena train calibrate``: a reader's confidence, and what is withheld by it, fitted anew."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragyena.cli.console import TerminalProgress, interruptible, output
from ragyena.cli.options import JsonOption, PipelineOption, QuietOption, configure
from ragyena.errors import UsageError

if TYPE_CHECKING:
    from ragyena.eval.calibrate import Recalibrated

__all__ = ["command"]


def command(
    reader: Annotated[
        str, typer.Option(metavar="FOLDER", help="The checkpoint folder; with --dry-run also small, base.")
    ],
    questions: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Questions on documents, rows as in data/real; repeatable."),
    ] = None,
    documents: Annotated[
        list[str] | None, typer.Option(metavar="FILE", help="The documents that they are asked on; repeatable.")
    ] = None,
    split: Annotated[str, typer.Option(help="Rows of this split; never the one that is evaluated on.")] = "train",
    limit: Annotated[
        int, typer.Option(min=0, help="The most questions asked on their own document, of all kinds alike; 0 for all.")
    ] = 300,
    packed: Annotated[int, typer.Option(min=0, help="The most questions asked end to end.")] = 300,
    passages: Annotated[
        int,
        typer.Option(min=0, help="The most asked on the passages with their evidence, or with what nearly is, alone."),
    ] = 0,
    absent: Annotated[
        int, typer.Option(min=0, help="The most of those end to end that are asked again without their document.")
    ] = 100,
    readings: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep the scores of what was read here; alone, fit to those it holds."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Fit and show, write nothing beside the weights.")] = False,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N (setting reader.device).")] = None,
    pipeline: PipelineOption = None,
    json_: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Fit a reader's confidence, and what it withholds, to questions that it was not trained on.

    Each kind of documents is left out in turn and judged by the fit on the others: that chooses the fit, and is what to
    expect of it on documents of another kind. Writes calibration.json, and ranges.json for the
    setting reader.dtype: int8, into the reader's folder; the weights stay.
    """
    from ragyena.eval.calibrate import CalibrationData, recalibrate

    settings = configure(pipeline, {"reader.device": device, "reader.checkpoint": reader})
    if bool(questions) != bool(documents) or (not questions and (readings is None or not readings.is_file())):
        raise UsageError(
            "there is nothing to fit to", hint="give --questions and --documents, or --readings that were kept before"
        )
    data = CalibrationData(questions, documents or [], split, limit, packed, passages, absent) if questions else None
    with interruptible("nothing was written"), TerminalProgress(quiet=quiet) as progress:
        done = recalibrate(settings, data, progress, readings=readings, write=not dry_run)
    if json_:
        print(json.dumps(asdict(done), default=_plain, ensure_ascii=False))
        return
    for line in _lines(done):
        output().print(line, highlight=False)


def _plain(value: object) -> object:
    from ragyena.model.confidence import Calibration

    return value.model_dump(mode="json") if isinstance(value, Calibration) else str(value)


def _lines(done: Recalibrated) -> Iterator[str]:
    """Each kind of documents by the fit on the others, and the mean beside other fits."""
    fit = done.fit
    yield f"{fit.calibration.fitted['questions']:,} questions; each kind by the fit on the others, in percent"
    head = ("right", "ECE", "AUROC", "ECE none", "AUROC none", "withheld", "none withheld")
    yield f"  {'':22}{'n':>6}" + "".join(f"{name:>15}" for name in head)
    measures = (
        *("right", "calibration_error", "auroc", "no_answer_error", "no_answer_auroc"),
        *("withheld_answerable", "withheld_missing"),
    )
    rows = [(one.source, f"{one.n:,}", [getattr(one, measure) for measure in measures]) for one in fit.left_out]
    means = [fit.mean(measure) for measure in measures], [fit.mean(measure, pooled=True) for measure in measures]
    rows += [("mean, kind left out", "", means[0]), ("mean, kind included", "", means[1])]
    known = [[getattr(one, measure) for one in done.before] for measure in measures]
    before = [[value for value in values if value is not None] for values in known]
    rows.append(("mean, as it was", "", [sum(values) / len(values) if values else None for values in before]))
    for name, count, values in rows:
        cells = ("-" if value is None or value != value else f"{100 * value:.1f}" for value in values)
        yield f"  {name:22}{count:>6}" + "".join(f"{cell:>15}" for cell in cells)
    yield "  right: answered rightly, or withheld where there is no answer; withheld: of the answerable questions"
    for name, weights in (("confidence", fit.calibration.right), ("no answer", fit.calibration.no_answer)):
        yield f"  {name}: " + ", ".join(f"{feature} {weight:+.3f}" for feature, weight in weights.items())
    yield f"  withheld: answers less than {fit.calibration.odds:.2f} times as probable as there being none"
    yield f"\n  {done.path or 'nothing was written (--dry-run)'}"
