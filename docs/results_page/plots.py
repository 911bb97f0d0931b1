"""The plots: lines in bands of their intervals, and dots by row. matplotlib is loaded when the first is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragyena.train.plot import COLOURS, MARKS, Curve, new_figure, save
from results_page.files import Training

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Dots", "Line", "Panel", "curves", "draw_dots", "draw_lines"]


@dataclass(frozen=True, slots=True)
class Line:
    """Estimates at places."""

    name: str
    places: Sequence[float]
    estimates: Sequence[Mapping[str, float]]
    colour: int
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """Lines in one pair of axes."""

    across: str
    up: str
    lines: Sequence[Line]
    doubling: bool = False
    """Whether the horizontal axis is logarithmic."""
    up_logarithmic: bool = False
    marks: Sequence[tuple[float, str]] = ()
    """Places along the horizontal axis, with words."""


@dataclass(frozen=True, slots=True)
class Dots:
    """One figure a row, or several; a row without one is None."""

    across: str
    series: Mapping[str, Sequence[Mapping[str, float] | None]]
    from_zero: bool = False


def curves(stages: Sequence[Training], measure: str) -> list[Curve]:
    """Held-out curves of those stages that have the measure."""
    found = []
    for stage in stages:
        rows = [row for row in stage.held_out if measure in row["held_out"]]
        if rows:
            found.append(
                Curve(
                    stage.name,
                    tuple(row["tokens"] for row in rows),
                    tuple(row["flops"] for row in rows),
                    tuple(row["held_out"][measure] for row in rows),
                )
            )
    return found


def draw_lines(panels: Sequence[Panel], out: Path) -> None:
    """Panels side by side. Raises MissingDependencyError, StorageError."""
    figure = new_figure(5.2 * len(panels), 3.9)
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels):
        for line in panel.lines:
            means, lows, highs = ([estimate[key] for estimate in line.estimates] for key in ("mean", "low", "high"))
            style = _style(line.colour)
            axes.plot(line.places, means, label=line.name, linestyle="--" if line.dashed else "-", **style)
            axes.fill_between(line.places, lows, highs, color=style["color"], alpha=0.13, linewidth=0)
        places = sorted({place for line in panel.lines for place in line.places})
        if panel.doubling:
            axes.set_xscale("log", base=2)
            axes.xaxis.set_minor_locator(NullLocator())
        if panel.up_logarithmic:
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
            axes.yaxis.set_minor_locator(NullLocator())
        for place, words in panel.marks:
            axes.axvline(place, color="0.4", linewidth=0.8, linestyle=":")
            axes.annotate(
                words, (place, 0.02), xycoords=("data", "axes fraction"), rotation=90, fontsize="small", ha="right"
            )
        axes.set_xticks(places, [f"{place:,g}" for place in places])
        axes.set_xlabel(panel.across)
        axes.set_ylabel(panel.up)
        _legend(axes, 2 if any("," in line.name for line in panel.lines) else 3)
        _tidy(axes)
    save(figure, out)


def draw_dots(rows: Sequence[str], panels: Sequence[Dots], out: Path) -> None:
    """A row for each name, the first on top; a panel beside a panel. Raises MissingDependencyError, StorageError."""
    figure = new_figure(2.2 + 3.4 * len(panels), 1.4 + 0.36 * len(rows))
    for axes, panel in zip(figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels):
        for number, (name, estimates) in enumerate(panel.series.items()):
            shift = 0.18 * (number - (len(panel.series) - 1) / 2)  # intervals do not cover each other
            there = [(row, estimate) for row, estimate in enumerate(estimates) if estimate is not None]
            axes.errorbar(
                [estimate["mean"] for _, estimate in there],
                [row + shift for row, _ in there],
                xerr=_bars([estimate for _, estimate in there]),
                label=name,
                linestyle="none",
                elinewidth=1,
                capsize=2,
                **_style(number),
            )
            first = estimates[0]
            if first is not None:  # the reader that the others are compared with
                axes.axvline(first["mean"], color=COLOURS[number], linewidth=0.8, linestyle=":")
        axes.set_xlabel(", ".join(filter(None, [panel.across, *(panel.series if len(panel.series) == 1 else ())])))
        if panel.from_zero:
            axes.set_xlim(0, 1.05 * axes.get_xlim()[1])
        if len(panel.series) > 1:
            _legend(axes, 3)
        _tidy(axes)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    save(figure, out)


def _bars(estimates: Sequence[Mapping[str, float]]) -> list[list[float]]:
    below = [estimate["mean"] - estimate.get("low", estimate["mean"]) for estimate in estimates]
    above = [estimate.get("high", estimate["mean"]) - estimate["mean"] for estimate in estimates]
    return [[max(value, 0.0) for value in below], [max(value, 0.0) for value in above]]


def _style(colour: int) -> dict[str, Any]:
    return {
        "color": COLOURS[colour % len(COLOURS)],
        "marker": MARKS[colour % len(MARKS)],
        "markersize": 5,
        "linewidth": 1.6,
    }


def _legend(axes: Any, columns: int) -> None:
    """Above the axes, where it covers nothing."""
    axes.legend(frameon=False, fontsize="small", loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns)


def _tidy(axes: Any) -> None:
    axes.grid(visible=True, linewidth=0.4, alpha=0.4)
    axes.spines[["top", "right"]].set_visible(False)
