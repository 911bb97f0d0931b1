"""The use case of ``ragyena plot-training``: curves of several runs in one picture, from their logs alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragyena.errors import DataError, MissingDependencyError, PathNotFoundError, StorageError, UsageError
from ragyena.train.log import LOG_FILE, read_log

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "FORMATS", "MARKS", "Curve", "curves", "draw", "new_figure", "save"]

FORMATS = (".svg", ".png", ".pdf")
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe and Ito 2008
MARKS = ("o", "s", "^", "D", "v", "P", "X")
_UNDATED: dict[str, dict[str, None]] = {".svg": {"Date": None, "Creator": None}, ".pdf": {"CreationDate": None}}


@dataclass(frozen=True, slots=True)
class Curve:
    """One stage of a run: what was measured after so many tokens and model FLOPs."""

    name: str
    tokens: tuple[int, ...]
    flops: tuple[float, ...]
    values: tuple[float, ...]


def curves(runs: Sequence[Path], metric: str) -> list[Curve]:
    """The held-out ``metric`` of every stage of the runs; a run is its folder, a stage's folder, or a log.jsonl.

    Raises PathNotFoundError where there is no log, DataError where none holds the metric.
    """
    found = []
    for run in runs:
        logs = [run] if run.is_file() else sorted(run.glob(LOG_FILE)) or sorted(run.glob(f"*/{LOG_FILE}"))
        if not logs:
            raise PathNotFoundError(f"no {LOG_FILE} in {run}", hint="name the folder that `ragyena train` wrote to")
        for path in logs:
            rows = [row for row in read_log(path) if "held_out" in row]
            rows_with = [row for row in rows if metric in row["held_out"]]
            if not rows_with:
                known = sorted({name for row in rows for name in row["held_out"]})
                raise DataError(
                    f"{path} has no '{metric}'", hint=f"give --metric one of: {', '.join(known) or 'none yet'}"
                )
            found.append(
                Curve(
                    _name(run, path, alone=len(logs) == 1),
                    tuple(row["tokens"] for row in rows_with),
                    tuple(row["flops"] for row in rows_with),
                    tuple(row["held_out"][metric] for row in rows_with),
                )
            )
    return found


def _name(run: Path, log: Path, *, alone: bool) -> str:
    """The run's folder; with the stage's where it has several."""
    if run.is_file() or log.parent == run:
        folder = log.resolve().parent
        return f"{folder.parent.name}, {folder.name}"
    return run.resolve().name if alone else f"{run.resolve().name}, {log.parent.name}"


def draw(found: Sequence[Curve], metric: str, out: Path) -> None:
    """The curves against tokens and against model FLOPs, side by side, as SVG, PNG or PDF by the name of ``out``.

    Raises UsageError for another kind of file, MissingDependencyError without matplotlib, StorageError.
    """
    if out.suffix not in FORMATS:
        raise UsageError(f"{out} is no picture that can be drawn", hint=f"end its name in {', '.join(FORMATS)}")
    figure = new_figure(10, 4.2)
    from matplotlib.ticker import EngFormatter, NullFormatter, StrMethodFormatter

    left, right = figure.subplots(1, 2, sharey=True)
    for number, curve in enumerate(found):
        style: dict[str, Any] = {
            "color": COLOURS[number % len(COLOURS)],
            "marker": MARKS[number % len(MARKS)],
            "markersize": 4,
            "linewidth": 1.6,
            "label": f"{curve.name}: {curve.values[-1]:.4g}",
        }
        left.plot(curve.tokens, curve.values, **style)
        right.plot(curve.flops, curve.values, **style)
    left.set_xlabel("tokens trained on")
    right.set_xlabel("model FLOPs")
    left.set_ylabel(metric)
    values = [value for curve in found for value in curve.values]
    for axes in (left, right):
        axes.set_xscale("log")
        if min(values) > 1.0:  # perplexities and the like; accuracies stay linear
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            narrow = max(values) < 20 * min(values)
            axes.yaxis.set_minor_formatter(StrMethodFormatter("{x:g}") if narrow else NullFormatter())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(visible=True, which="both", linewidth=0.4, alpha=0.4)
        axes.spines[["top", "right"]].set_visible(False)
    left.xaxis.set_major_formatter(EngFormatter(sep=""))
    right.legend(title="last value", frameon=False, fontsize="small")
    save(figure, out)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches. Raises MissingDependencyError without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("matplotlib is not installed", hint="pip install 'ragyena[train]'") from error
    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Figure, out: Path) -> None:
    """The figure as a file whose bytes are the same whenever it is drawn. Raises StorageError."""
    import matplotlib

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with matplotlib.rc_context({"svg.hashsalt": "ragyena"}):
            figure.savefig(out, dpi=160, metadata=_UNDATED.get(out.suffix))
    except OSError as error:
        raise StorageError(f"{out} cannot be written: {error.strerror}", hint="choose another --out") from error
