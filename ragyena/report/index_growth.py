"""Charts of an index that grows: time to build it, time of a search and memory by passages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ragyena.report.draw import to_svg
from ragyena.report.model import Axis, LineChart, Point, Series

__all__ = ["draw_growth"]


def draw_growth(sizes: Sequence[Mapping[str, Any]]) -> str:
    """The charts as SVG, from ``setting.sizes`` of a result of ``ragyena bench index``. Raises MissingDependencyError
    without matplotlib."""

    def series(name: str, style: int, key: str, scale: float = 1.0) -> Series:
        return Series(name, style, [Point(row["passages"], scale * row[key]) for row in sizes if row[key] is not None])

    x = Axis("passages", log=True)
    charts = [
        LineChart("Build", [series("build", 0, "build_seconds")], x, Axis("time to build", log=True, unit="s")),
        LineChart(
            "Search",
            [
                series("hybrid, p50", 0, "hybrid_p50", 1e-3),
                series("hybrid, p99", 1, "hybrid_p99", 1e-3),
                series("lexical, p50", 2, "lexical_p50", 1e-3),
                series("dense, p50", 3, "dense_p50", 1e-3),
            ],
            x,
            Axis("time of a search", low=0.0, unit="s"),
        ),
    ]
    memory = [series("building", 0, "build_mib"), series("searching", 1, "search_mib")]
    if all(one.points for one in memory):
        charts.append(LineChart("Memory", memory, x, Axis("MiB beyond the models", low=0.0)))
    return to_svg(charts)
