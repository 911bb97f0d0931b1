"""Charts as SVG, drawn by matplotlib, which is loaded with the first chart. The same charts give the same bytes."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from ragyena.errors import MissingDependencyError
from ragyena.report.model import Axis, Chart, DotChart, HeatMap, LineChart, Point
from ragyena.report.numbers import compact, duration

__all__ = ["to_svg"]

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe and Ito 2008
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "ragyena",
    "svg.fonttype": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.linewidth": 0.4,
    "grid.alpha": 0.4,
    "legend.frameon": False,
    "legend.fontsize": "small",
    "lines.markersize": 5,
    "lines.linewidth": 1.6,
}
_MOST_TICKS = 7
_LARGE = 1e7  # from here on as 10M, 1G ...


def to_svg(charts: Sequence[Chart]) -> str:
    """The charts side by side. Raises MissingDependencyError without matplotlib."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("matplotlib is not installed", hint="pip install 'ragyena[train]'") from error
    drawn: dict[type[Any], Callable[[Any, Any], None]] = {
        LineChart: _lines,
        DotChart: _dots,
        HeatMap: _heat,
    }
    with matplotlib.rc_context(_STYLE):
        width, height = _size(charts)
        figure = Figure(figsize=(width, height), layout="constrained")
        shared = all(isinstance(chart, DotChart) for chart in charts)
        for axes, chart in zip(figure.subplots(1, len(charts), squeeze=False, sharey=shared)[0], charts, strict=True):
            drawn[type(chart)](axes, chart)
        out = io.StringIO()
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(out, format="svg", metadata=metadata, transparent=True)
    svg = re.sub(r' clip-path="url\(#\w+\)"', "", out.getvalue())  # everything drawn is inside its axes
    return re.sub(r"\s*<clipPath.*?</clipPath>", "", svg, flags=re.DOTALL)


def _size(charts: Sequence[Chart]) -> tuple[float, float]:
    if isinstance(charts[0], DotChart):
        return 2.2 + 3.4 * len(charts), 1.4 + 0.36 * len(charts[0].rows)
    return 5.2 * len(charts), 3.9


def _style(number: int) -> dict[str, str]:
    return {"color": _COLOURS[number % len(_COLOURS)], "marker": _MARKERS[number % len(_MARKERS)]}


def _lines(axes: Any, chart: LineChart) -> None:
    for series in chart.series:
        style = _style(series.style)
        colour, marker = style["color"], style["marker"] if series.markers else ""
        xs, ys = [point.x for point in series.points], [point.y for point in series.points]
        axes.plot(xs, ys, color=colour, marker=marker, label=series.name)
        banded = [(p.x, p.low, p.high) for p in series.points if p.low is not None and p.high is not None]
        if len(banded) > 1:
            axes.fill_between(*zip(*banded, strict=True), color=colour, alpha=0.13, linewidth=0)
        elif banded:
            ((x, low, high),) = banded
            axes.vlines(x, low, high, color=colour, alpha=0.6)
    _scale(axes, "x", chart.x, [point.x for series in chart.series for point in series.points])
    _scale(axes, "y", chart.y, [])
    for number, mark in enumerate(chart.marks):
        axes.axvline(mark.x, color="0.4", linewidth=0.8, linestyle=":")
        at = (mark.x, 0.02 + 0.06 * number)
        axes.annotate(mark.text, at, xycoords=("data", "axes fraction"), fontsize="small", ha="right")
    _legend(axes, [series.name for series in chart.series])


def _scale(axes: Any, which: str, axis: Axis, places: Sequence[float]) -> None:
    """Label, limits, scale, ticks: on a logarithmic axis at the measured ``places`` if these are few and far apart."""
    from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, MaxNLocator, NullLocator

    side = getattr(axes, f"{which}axis")
    getattr(axes, f"set_{which}label")(axis.label)
    if axis.log:
        getattr(axes, f"set_{which}scale")("log")
        distinct = sorted(set(places))
        apart = all(after >= 1.5 * before for before, after in pairwise(distinct))
        low, high = getattr(axes, f"get_{which}lim")()
        if 1 < len(distinct) <= _MOST_TICKS and apart:
            getattr(axes, f"set_{which}ticks")(distinct)
        else:
            side.set_major_locator(LogLocator(subs=(1, 2, 5)) if high > 10 * low else MaxNLocator(5))
        side.set_minor_locator(NullLocator())
    if axis.log or axis.unit:
        large = EngFormatter(sep="")

        def form(value: float) -> str:
            if axis.unit == "s":
                return duration(value)
            return large(value) if value >= _LARGE else f"{compact(round(value, 10))}{axis.unit}"

        side.set_major_formatter(FuncFormatter(lambda value, _: form(value)))
    if axis.low is not None or axis.high is not None:
        getattr(axes, f"set_{which}lim")(axis.low, axis.high)


def _dots(axes: Any, chart: DotChart) -> None:
    for number, (name, points) in enumerate(chart.series.items()):
        shift = 0.18 * (number - (len(chart.series) - 1) / 2)  # intervals do not cover each other
        there = [(row, point) for row, point in enumerate(points) if point is not None]
        axes.errorbar(
            [point.y for _, point in there],
            [row + shift for row, _ in there],
            xerr=_bars([point for _, point in there]),
            label=name,
            linestyle="none",
            elinewidth=1,
            capsize=2,
            **_style(number),
        )
        if points[0] is not None:  # the reader that the others are compared with
            axes.axvline(points[0].y, color=_COLOURS[number % len(_COLOURS)], linewidth=0.8, linestyle=":")
    axes.set_xlabel(chart.label)
    if chart.from_zero:
        axes.set_xlim(0, 1.05 * axes.get_xlim()[1])
    if len(chart.series) > 1:
        _legend(axes, [*chart.series])
    axes.set_yticks(range(len(chart.rows)), chart.rows)
    axes.set_ylim(len(chart.rows) - 0.5, -0.5)


def _bars(points: Sequence[Point]) -> list[list[float]]:
    """Distances from the values to the ends of their intervals."""
    below = [max(point.y - (point.y if point.low is None else point.low), 0.0) for point in points]
    above = [max((point.y if point.high is None else point.high) - point.y, 0.0) for point in points]
    return [below, above]


def _heat(axes: Any, chart: HeatMap) -> None:
    cells = [[float("nan") if value is None else value for value in row] for row in chart.values]
    axes.pcolormesh(cells, cmap="Blues", vmin=chart.low, vmax=chart.high)
    for row, values in enumerate(chart.values):
        for column, value in enumerate(values):
            if value is not None:
                dark = value - chart.low > 0.55 * (chart.high - chart.low)
                colour = "white" if dark else "black"
                axes.text(column + 0.5, row + 0.5, f"{value:.0f}", ha="center", va="center", color=colour)
    axes.set_xticks([n + 0.5 for n in range(len(chart.columns))], chart.columns)
    axes.set_yticks([n + 0.5 for n in range(len(chart.rows))], chart.rows)
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)


def _legend(axes: Any, names: Sequence[str]) -> None:
    """Above the axes, where it covers nothing; in three columns if the names are short."""
    columns = 3 if max(map(len, names)) <= 20 else 1
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns)
