"""Charts: what is measured stands at its place, and whatever a name holds is text."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from ragyena.report.charts import Axis, Mark, Point, Series, compact, heat_map, line_chart, swatch


def drawn(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in drawn(svg).iter("text")]


def test_points_rise_with_their_values_and_keep_their_order() -> None:
    points = [Point(8192, 0.02), Point(32768, 0.2), Point(131072, 2.0)]
    svg = line_chart([Series("a", 0, points)], Axis("tokens", log=True), Axis("time", log=True, unit="s"), title="t")
    (line,) = drawn(svg).iter("polyline")
    places = [tuple(map(float, place.split(","))) for place in line.attrib["points"].split()]
    (x0, y0), (x1, y1), (x2, y2) = places
    assert x0 < x1 < x2 and y0 > y1 > y2  # down is greater in SVG
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2) and y0 - y1 == pytest.approx(y1 - y2, abs=0.2)
    assert {"8K", "32K", "128K", "20 ms", "200 ms", "2 s"} <= set(texts(svg))


def test_a_band_covers_the_interval_and_a_single_point_has_a_whisker() -> None:
    several = [Point(0, 50, 40, 60), Point(1, 60, 55, 65)]
    svg = line_chart(
        [Series("a", 1, several), Series("b", 2, [Point(0.5, 50, 45, 55)])], Axis("x"), Axis("y"), title="t"
    )
    (band,) = drawn(svg).iter("polygon")
    assert len(band.attrib["points"].split()) == 4 and "s1" in band.attrib["class"]
    (whisker,) = (line for line in drawn(svg).iter("line") if "whisker" in line.attrib["class"])
    assert float(whisker.attrib["y1"]) > float(whisker.attrib["y2"]) and "s2" in whisker.attrib["class"]


def test_names_are_text() -> None:
    name = 'a<script>&"b"'
    svg = line_chart([Series(name, 0, [Point(1, 1)])], Axis(name), Axis(name), title=name, marks=[Mark(1, name)])
    assert "<script" not in svg and drawn(svg).attrib["aria-label"] == name and name in texts(svg)
    assert "<script" not in heat_map([[1.0]], [name], [name], x_label=name, y_label=name, title=name, low=0, high=1)


def test_nothing_that_cannot_be_shown_is_shown() -> None:
    with pytest.raises(ValueError, match="nothing"):
        line_chart([], Axis("x"), Axis("y"), title="t")
    with pytest.raises(ValueError, match="logarithmic"):
        line_chart([Series("a", 0, [Point(0, 1)])], Axis("x", log=True), Axis("y"), title="t")


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (58.3, 83.3), (1e-4, 2e-4), (3.0, 3.0), (-5.0, 95.0)])
def test_axes_have_a_few_round_ticks_inside_the_drawing(low: float, high: float) -> None:
    svg = line_chart([Series("a", 0, [Point(1, low), Point(2, high)])], Axis("x"), Axis("y"), title="t")
    grid = [float(line.attrib["y1"]) for line in drawn(svg).iter("line") if line.attrib["class"] == "grid"]
    assert 2 <= len(grid) <= 8 and all(12 <= place <= 208 for place in grid)


def test_a_log_axis_over_less_than_a_decade_has_ticks() -> None:
    points = [Point(512, 2400), Point(8192, 4600)]
    svg = line_chart([Series("a", 0, points)], Axis("x", log=True), Axis("y", log=True), title="t")
    assert len([line for line in drawn(svg).iter("line") if line.attrib["class"] == "grid"]) > 2


def test_a_map_has_a_cell_a_value_and_darker_ones_for_more() -> None:
    svg = heat_map(
        [[0.0, 50.0], [100.0, None]], ["0", "1"], ["1K", "2K"], x_label="x", y_label="y", title="t", low=0, high=100
    )
    shades = [float(re.findall(r"[\d.]+", cell.attrib["style"])[0]) for cell in drawn(svg).iter("rect")]
    assert len(shades) == 3 and shades == sorted(shades)
    assert {"0", "50", "100"} <= set(texts(svg))


def test_lengths_are_short_and_exact() -> None:
    assert [compact(n) for n in (256, 8192, 131072, 1048576, 1500, 32, 2000)] == [
        *("256", "8K", "128K", "1M", "1.5k", "32", "2k"),
    ]
    assert {swatch(style) for style in range(6)} == {swatch(style) for style in range(12)}
    assert len({swatch(style) for style in range(6)}) == 6
