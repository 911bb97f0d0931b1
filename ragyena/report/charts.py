"""Charts as SVG that takes its colours from the style sheet of the page it stands in, so that one drawing serves light,
dark and print. Drawn small, at the width of a phone: on a larger screen several stand side by side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Axis", "Mark", "Point", "Series", "compact", "heat_map", "line_chart", "swatch"]

_WIDTH, _HEIGHT = 360, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 14, 12, 42
_MOST_TICKS = 7
STYLES = 6
"""Series that can be told apart; further ones begin again."""
_DASHES = ("", "7 3", "2 3", "9 3 2 3", "5 5", "1 4")


@dataclass(frozen=True, slots=True)
class Point:
    """A measured value, with its interval where it has one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """A line through points, in their order."""

    name: str
    style: int
    """Colour, dash and marker: the same for one reader in every chart."""
    points: Sequence[Point]
    markers: bool = True


@dataclass(frozen=True, slots=True)
class Axis:
    """What is measured along a side of a chart. Limits that are not given come from the points."""

    label: str
    log: bool = False
    low: float | None = None
    high: float | None = None
    unit: str = ""
    """Written behind each tick: ``s`` gives ``20 ms``."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A place on the x axis worth a line and a word."""

    x: float
    text: str


def line_chart(series: Sequence[Series], x: Axis, y: Axis, *, title: str, marks: Sequence[Mark] = ()) -> str:
    """Lines with bands for their intervals. Raises ValueError where there is no point, or one that a logarithmic axis
    cannot show."""
    points = [point for one in series for point in one.points]
    if not points:
        raise ValueError("there is nothing to draw")
    horizontal = _Scale(x, [point.x for point in points], _LEFT, _WIDTH - _RIGHT)
    edges = [edge for p in points for edge in (p.low, p.y, p.high) if edge is not None]
    vertical = _Scale(y, edges, _HEIGHT - _BOTTOM, _TOP)
    parts = [_open(title, _HEIGHT), _axes(x, y, horizontal, vertical)]
    for number, mark in enumerate(marks):
        at = horizontal.place(mark.x)
        side, shift = ("end", -5) if at > _WIDTH * 0.6 else ("start", 5)
        parts.append(f'<line class="mark" x1="{at:.1f}" y1="{_TOP}" x2="{at:.1f}" y2="{_HEIGHT - _BOTTOM}"/>')
        parts.append(f'<text class="mark" x="{at + shift:.1f}" y="{_TOP + 10 + 13 * number}" text-anchor="{side}">')
        parts.append(f"{escape(mark.text)}</text>")
    parts += [_band(one, horizontal, vertical) for one in series]
    parts += [_line(one, horizontal, vertical) for one in series]
    return "".join([*parts, "</svg>"])


def heat_map(
    values: Sequence[Sequence[float | None]],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    x_label: str,
    y_label: str,
    title: str,
    low: float,
    high: float,
) -> str:
    """A cell a value, the more the darker, with the value written in it; None leaves a cell empty."""
    height = _TOP + 30 * len(rows) + _BOTTOM
    wide = (_WIDTH - _LEFT - _RIGHT) / len(columns)
    parts = [_open(title, height)]
    for line, (label, cells) in enumerate(zip(rows, values, strict=True)):
        top = _TOP + 30 * line
        parts.append(f'<text x="{_LEFT - 6}" y="{top + 19}" text-anchor="end">{escape(label)}</text>')
        for place, value in enumerate(cells):
            left = _LEFT + wide * place
            if value is None:
                continue
            share = min(max((value - low) / (high - low), 0.0), 1.0) if high > low else 1.0
            ink = "dark-cell" if share > 0.55 else "light-cell"
            parts.append(
                f'<rect class="cell" x="{left + 1:.1f}" y="{top + 1}" width="{wide - 2:.1f}" height="28" '
                f'style="fill-opacity:{0.06 + 0.94 * share:.2f}"/>'
                f'<text class="{ink}" x="{left + wide / 2:.1f}" y="{top + 19}" text-anchor="middle">{value:.0f}</text>'
            )
    bottom = _TOP + 30 * len(rows)
    for place, label in enumerate(columns):
        middle = _LEFT + wide * (place + 0.5)
        parts.append(f'<text x="{middle:.1f}" y="{bottom + 16}" text-anchor="middle">{escape(label)}</text>')
    parts.append(_labels(x_label, y_label, height, (_TOP + bottom) / 2))
    return "".join([*parts, "</svg>"])


def swatch(style: int) -> str:
    """The piece of line and the marker that stand for a style in a legend."""
    line = f'<line class="s{style % STYLES}" x1="1" y1="7" x2="29" y2="7"{_dash(style)}/>'
    return f'<svg class="swatch" viewBox="0 0 30 14" aria-hidden="true">{line}{_marker(style, 15, 7)}</svg>'


def compact(value: float) -> str:
    """A length or count for an axis: ``8K`` is 8,192, ``1.5k`` is 1,500."""
    for base, small, large in ((1024, "K", "M"), (1000, "k", "m")):
        if value >= base and value % base == 0:
            return f"{value / base:g}{small}" if value < base**2 or value % base**2 else f"{value / base**2:g}{large}"
    if value >= 1000:
        return f"{value / 1000:.3g}k"
    return f"{value:g}"


# ---------------------------------------------------------------------------------------------------------------
# Scales
# ---------------------------------------------------------------------------------------------------------------


class _Scale:
    """From values to places between two edges of the drawing."""

    def __init__(self, axis: Axis, values: Sequence[float], begin: float, end: float) -> None:
        if axis.log and min(values) <= 0:
            raise ValueError(f"a logarithmic axis cannot show {min(values)}")
        low = min(values) if axis.low is None else axis.low
        high = max(values) if axis.high is None else axis.high
        if axis.log:
            room = 1.12 if high > low else 1.5
            low, high = low / room, high * room
        elif axis.low is None or axis.high is None:
            room = (high - low) * 0.06 or 1.0
            low, high = (
                low - room if axis.low is None else low,
                high + room if axis.high is None else high,
            )
        self.axis, self.low, self.high = axis, low, high
        self._begin, self._end = begin, end

    def place(self, value: float) -> float:
        low, high, at = self.low, self.high, value
        if self.axis.log:
            low, high, at = math.log(low), math.log(high), math.log(value)
        share = (at - low) / (high - low) if high > low else 0.5
        return self._begin + min(max(share, 0.0), 1.0) * (self._end - self._begin)

    def ticks(self, *, doubling: bool) -> list[float]:
        """Round numbers; with ``doubling``, on a logarithmic axis, powers of two where there are several."""
        if not self.axis.log:
            return _round_ticks(self.low, self.high)
        if doubling:
            powers = [2.0**n for n in range(math.ceil(math.log2(self.low)), math.floor(math.log2(self.high)) + 1)]
            if len(powers) > 1:
                return powers[:: math.ceil(len(powers) / _MOST_TICKS)]
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        found: list[float] = []
        for steps in ((1, 2, 5), (1, 3), (1,)):
            found = [step * 10.0**d for d in decades for step in steps if self.low <= step * 10.0**d <= self.high]
            if len(found) <= _MOST_TICKS:
                break
        # less than a decade: round numbers, which stand closer to each other the higher they are
        return found if len(found) > 2 else [tick for tick in _round_ticks(self.low, self.high) if tick > 0]


def _round_ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / 5
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= rough)
    first = math.ceil(low / step - 1e-9)
    return [round(step * n, 10) for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _tick_text(value: float, axis: Axis) -> str:
    if axis.unit == "s":
        return f"{value * 1000:g} ms" if value < 1 else f"{value:g} s"
    return f"{compact(value) if axis.log else f'{value:g}'}{axis.unit}"


# ---------------------------------------------------------------------------------------------------------------
# Parts of a drawing
# ---------------------------------------------------------------------------------------------------------------


def _open(title: str, height: float) -> str:
    return f'<svg class="chart" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title, quote=True)}">'


def _axes(x: Axis, y: Axis, horizontal: _Scale, vertical: _Scale) -> str:
    parts = []
    bottom = _HEIGHT - _BOTTOM
    for value in vertical.ticks(doubling=False):
        at = vertical.place(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" y1="{at:.1f}" x2="{_WIDTH - _RIGHT}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{escape(_tick_text(value, y))}</text>')
    for value in horizontal.ticks(doubling=True):
        at = horizontal.place(value)
        parts.append(f'<line class="tick" x1="{at:.1f}" y1="{bottom}" x2="{at:.1f}" y2="{bottom + 4}"/>')
        parts.append(f'<text x="{at:.1f}" y="{bottom + 17}" text-anchor="middle">{escape(_tick_text(value, x))}</text>')
    parts.append(f'<line class="axis" x1="{_LEFT}" y1="{bottom}" x2="{_WIDTH - _RIGHT}" y2="{bottom}"/>')
    parts.append(_labels(x.label, y.label, _HEIGHT, (_TOP + bottom) / 2))
    return "".join(parts)


def _labels(x_label: str, y_label: str, height: float, middle: float) -> str:
    centre = (_LEFT + _WIDTH - _RIGHT) / 2
    return (
        f'<text class="label" x="{centre}" y="{height - 6}" text-anchor="middle">{escape(x_label)}</text>'
        f'<text class="label" transform="translate(10 {middle:.1f}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_label)}</text>"
    )


def _band(series: Series, horizontal: _Scale, vertical: _Scale) -> str:
    kept = [(p.x, p.low, p.high) for p in series.points if p.low is not None and p.high is not None]
    if not kept:
        return ""
    colour = f"s{series.style % STYLES}"
    if len(kept) == 1:
        x, low, high = kept[0]
        at = horizontal.place(x)
        ends = f'y1="{vertical.place(low):.1f}" x2="{at:.1f}" y2="{vertical.place(high):.1f}"'
        return f'<line class="whisker {colour}" x1="{at:.1f}" {ends}/>'
    edge = [(x, high) for x, _, high in kept] + [(x, low) for x, low, _ in reversed(kept)]
    places = " ".join(f"{horizontal.place(x):.1f},{vertical.place(y):.1f}" for x, y in edge)
    return f'<polygon class="band {colour}" points="{places}"/>'


def _line(series: Series, horizontal: _Scale, vertical: _Scale) -> str:
    places = [(horizontal.place(p.x), vertical.place(p.y)) for p in series.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    line = (
        f'<polyline class="s{series.style % STYLES}" points="{path}"{_dash(series.style)}/>' if len(places) > 1 else ""
    )
    markers = "".join(_marker(series.style, x, y) for x, y in places) if series.markers else ""
    return f"<g><title>{escape(series.name)}</title>{line}{markers}</g>"


def _dash(style: int) -> str:
    dash = _DASHES[style % STYLES]
    return f' stroke-dasharray="{dash}"' if dash else ""


def _marker(style: int, x: float, y: float) -> str:
    kind = f'class="dot s{style % STYLES}"'
    match style % STYLES:
        case 0:
            return f'<circle {kind} cx="{x:.1f}" cy="{y:.1f}" r="3.4"/>'
        case 1:
            return f'<rect {kind} x="{x - 3.1:.1f}" y="{y - 3.1:.1f}" width="6.2" height="6.2"/>'
        case 2:
            return f'<path {kind} d="M{x:.1f} {y - 4.2:.1f}l4 7h-8z"/>'
        case 3:
            return f'<path {kind} d="M{x:.1f} {y - 4.4:.1f}l4.4 4.4l-4.4 4.4l-4.4 -4.4z"/>'
        case 4:
            return f'<path {kind} d="M{x:.1f} {y + 4.2:.1f}l4 -7h-8z"/>'
        case _:
            return f'<circle {kind} cx="{x:.1f}" cy="{y:.1f}" r="2.2"/>'
