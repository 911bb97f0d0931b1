"""Charts: points at their places, names escaped as text."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from ragyena.errors import MissingDependencyError
from ragyena.report.draw import to_svg
from ragyena.report.html import to_html
from ragyena.report.model import Axis, Chart, DotChart, Figures, HeatMap, LineChart, Mark, Page, Point, Section, Series
from ragyena.report.numbers import compact

TOKENS, TIME = Axis("tokens", log=True), Axis("time", log=True, unit="s")


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def places(svg: str, colour: str) -> list[tuple[float, float]]:
    """The points of the line of a colour."""
    (line,) = re.findall(rf'<path d="([^"]+)"[^>]*style="fill: none; stroke: {colour}; stroke-width: 1.6', svg)[:1]
    return [(float(x), float(y)) for x, y in re.findall(r"[ML] ([\d.]+) ([\d.]+)", line)]


def test_points_rise_with_their_values_and_keep_their_order() -> None:
    points = [Point(8192, 0.02), Point(32768, 0.2), Point(131072, 2.0)]
    svg = to_svg([LineChart("t", [Series("a", 0, points)], TOKENS, TIME)])
    (x0, y0), (x1, y1), (x2, y2) = places(svg, "#0072b2")
    assert x0 < x1 < x2 and y0 > y1 > y2  # down is greater in SVG
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2) and y0 - y1 == pytest.approx(y1 - y2, abs=0.2)
    assert {"8K", "32K", "128K", "20 ms", "200 ms", "2 s"} <= set(texts(svg))


def test_a_band_covers_the_interval_and_a_single_point_has_a_whisker() -> None:
    several, single = [Point(0, 50, 40, 60), Point(1, 60, 55, 65)], [Point(0.5, 50, 45, 55)]
    charts = [LineChart("t", [Series("a", 1, points)], Axis("x"), Axis("y")) for points in (several, single)]
    assert "FillBetweenPolyCollection" in to_svg(charts[:1]) or "PolyCollection" in to_svg(charts[:1])
    assert "LineCollection" in to_svg(charts[1:])


def test_names_are_text() -> None:
    name = 'a<script>&"b"'
    line = LineChart(name, [Series(name, n, [Point(1, 1)]) for n in (0, 1)], Axis(name), Axis(name), [Mark(1, name)])
    heat = HeatMap(name, [[1.0]], [name], [name], x_label=name, y_label=name, low=0, high=1)
    dots = DotChart(name, [name], {name: [Point(0, 1)]}, name)
    charts: list[Chart] = [line, heat, dots]
    for chart in charts:
        assert name in texts(to_svg([chart]))
        html = to_html(Page("t", "", [Section("s", [Figures([chart])])]))
        assert "<script" not in html and 'aria-label="a&lt;script&gt;&amp;&#34;b&#34;"' in html


def test_charts_that_cannot_be_drawn_are_refused() -> None:
    with pytest.raises(ValueError, match="nothing"):
        LineChart("t", [], Axis("x"), Axis("y"))
    with pytest.raises(ValueError, match="logarithmic"):
        LineChart("t", [Series("a", 0, [Point(0, 1)])], Axis("x", log=True), Axis("y"))


def test_a_log_axis_over_less_than_a_decade_has_ticks() -> None:
    points = [Point(512, 2400), Point(8192, 4600)]
    svg = to_svg([LineChart("t", [Series("a", 0, points)], Axis("x", log=True), Axis("y", log=True))])
    assert len([text for text in texts(svg) if text.endswith("k")]) > 2 and {"512", "8K"} <= set(texts(svg))


def test_a_map_has_the_value_of_every_cell() -> None:
    values = [[0.0, 50.0], [100.0, None]]
    svg = to_svg([HeatMap("t", values, ["0", "1"], ["1K", "2K"], x_label="x", y_label="y", low=0, high=100)])
    assert {"0", "50", "100", "1K", "2K"} <= set(texts(svg)) and "nan" not in svg


def test_the_same_charts_give_the_same_bytes_and_missing_values_no_dot() -> None:
    rows = {"one": [Point(0, 1, 0, 2), None], "two": [None, Point(0, 3)]}
    chart = DotChart("t", ["a", "b"], rows, "F1", from_zero=True)
    assert to_svg([chart, chart]) == to_svg([chart, chart]) and to_svg([chart]).startswith("<?xml")


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match="matplotlib") as error:
        to_svg([LineChart("t", [Series("a", 0, [Point(1, 1)])], Axis("x"), Axis("y"))])
    assert "ragyena[train]" in error.value.hint


def test_lengths_are_short_and_exact() -> None:
    assert [compact(n) for n in (256, 8192, 131072, 1048576, 1500, 32, 2000, 980860, 1000036)] == [
        *("256", "8K", "128K", "1M", "1.5k", "32", "2k", "981k", "1m"),
    ]
