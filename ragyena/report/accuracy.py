"""Accuracy against the length of the context, the position of the evidence, and the reader's confidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ragyena.eval.metrics import risk_coverage
from ragyena.eval.results import Run
from ragyena.report.compared import Compared, Sweep, sweeps_of
from ragyena.report.model import (
    Axis,
    Block,
    Figures,
    Group,
    HeatMap,
    LineChart,
    Point,
    Row,
    Section,
    Series,
    Table,
    Text,
)
from ragyena.report.numbers import compact, number, score
from ragyena.report.scores import title_of

__all__ = [
    "abstention",
    "coverage_section",
    "length_charts",
    "lengths_section",
    "needle_section",
    "positions_section",
]

_QUANTITIES = {"context_tokens": "tokens of context", "among": "passages in the context"}
_LABELS = {"em": "exact match, %", "f1": "F1, %"}
_MOST_CURVES = 6  # risk-coverage charts; the table has all
_COVERAGES = (0.5, 0.8, 1.0)


def lengths_section(compared: Compared) -> Section | None:
    """EM and F1 of each reader against the length of the context, or the number of passages."""
    blocks: list[Block] = []
    for sweep in _without_positions(compared):
        rows: list[Row] = [
            [run.label, compact(at), score(condition["whole"]["em"]), score(condition["whole"]["f1"])]
            for at, name in sweep.conditions.items()
            for _, run, condition in compared.having(name)
        ]
        charts = [_length_chart(compared, sweep, measure) for measure in _LABELS]
        blocks.append(Figures(charts, Table(["reader", _QUANTITIES[sweep.quantity], "EM", "F1"], rows)))
    return Section("Accuracy and the length of the context", blocks) if blocks else None


def length_charts(recipes: Sequence[Compared], measure: str = "f1") -> list[LineChart]:
    """A chart for each sweep over lengths or numbers of passages."""
    return [_length_chart(one, sweep, measure) for one in recipes for sweep in _without_positions(one)]


def _length_chart(compared: Compared, sweep: Sweep, measure: str) -> LineChart:
    series = []
    for place, run in enumerate(compared.runs):
        points = [
            _point(at, run.conditions[name]["whole"][measure])
            for at, name in sweep.conditions.items()
            if name in run.conditions
        ]
        if points:
            series.append(Series(run.label, place, points))
    label = _LABELS[measure]
    title = f"{label.partition(',')[0]} against {_QUANTITIES[sweep.quantity]}"
    title += f" ({sweep.about})" if sweep.about else ""
    axis = Axis(f"{_QUANTITIES[sweep.quantity]}{f' ({sweep.about})' if sweep.about else ''}", log=True)
    return LineChart(f"{title}; bands are 95% intervals", series, axis, Axis(label))


def _without_positions(compared: Compared) -> list[Sweep]:
    conditions = compared.conditions
    return [
        sweep
        for sweep in sweeps_of(compared)
        if not any("position" in conditions[name]["parameters"] for name in sweep.conditions.values())
    ]


def _point(x: float, estimate: Mapping[str, float]) -> Point:
    return Point(x, estimate["mean"], estimate["low"], estimate["high"])


# ---------------------------------------------------------------------------------------------------------------
# The position of the evidence
# ---------------------------------------------------------------------------------------------------------------


def positions_section(compared: Compared) -> Section | None:
    """EM against the position of the own passage in the context, a chart for each length."""
    charts: list[LineChart] = []
    rows: list[Row] = []
    for length, by_position in _positions(compared).items():
        if len(by_position) < 2:
            continue
        series = []
        for place, run in enumerate(compared.runs):
            points = [
                _point(position, run.conditions[name]["whole"]["em"])
                for position, name in by_position.items()
                if name in run.conditions
            ]
            if points:
                series.append(Series(run.label, place, points))
        x = Axis("position of the own passage (0 first, 1 last)", low=0.0, high=1.0)
        title = f"exact match against the position of the own passage in {length:,} tokens"
        charts.append(LineChart(title, series, x, Axis("exact match, %")))
        rows += [
            [run.label, f"{length:,}", f"{position:g}", *(score(condition["whole"][m]) for m in ("em", "f1"))]
            for position, name in by_position.items()
            for _, run, condition in compared.having(name)
        ]
    if not charts:
        return None
    table = Table(["reader", "tokens", "position", "EM", "F1"], rows)
    return Section("The position of the own passage", [Figures(charts, table, "positions"), *_spreads(compared)])


def _spreads(compared: Compared) -> list[Block]:
    rows: list[Row] = []
    for run in compared.runs:
        for spread in run.result.get("spreads", ()):
            parameters = run.conditions[spread["conditions"][0]]["parameters"]
            length = f"{parameters['context_tokens']:,}"
            rows.append([run.label, length, f"{len(spread['conditions'])}", score(spread["em"]), score(spread["f1"])])
    if not rows:
        return []
    text = "The spread is the greatest mean less the least over the positions; chance alone makes it greater than 0."
    return [Text(text), Table(["reader", "tokens", "positions", "EM spread", "F1 spread"], rows)]


def needle_section(compared: Compared) -> Section | None:
    """A map of position and length for each reader, where both were varied."""
    by_length = _positions(compared)
    positions = sorted({position for by_position in by_length.values() for position in by_position})
    if len(by_length) < 2 or len(positions) < 2:
        return None
    charts: list[HeatMap] = []
    rows: list[Row] = []
    for run in compared.runs:
        cells = [[_em(run, names.get(position)) for names in by_length.values()] for position in positions]
        if all(value is None for row in cells for value in row):
            continue
        charts.append(
            HeatMap(
                f"exact match of {run.label} by length of the context and position of the own passage",
                cells,
                [f"{position:g}" for position in positions],
                [compact(length) for length in by_length],
                x_label="tokens of context",
                y_label="position",
                low=0.0,
                high=100.0,
            )
        )
        rows += [
            [run.label, f"{position:g}", *(number(value, ".1f") for value in row)]
            for position, row in zip(positions, cells)
        ]
    head = ["reader", "position", *(f"{length:,} tokens" for length in by_length)]
    return Section("Position and length", [Figures(charts, Table(head, rows))])


def _positions(compared: Compared) -> dict[int, dict[float, str]]:
    """Names of conditions by length and position, both ascending."""
    names: dict[int, dict[float, str]] = {}
    for name, condition in compared.conditions.items():
        parameters = condition["parameters"]
        if "position" in parameters:
            names.setdefault(parameters["context_tokens"], {})[parameters["position"]] = name
    return {length: dict(sorted(names[length].items())) for length in sorted(names)}


def _em(run: Run, condition: str | None) -> float | None:
    figures = run.conditions.get(condition) if condition is not None else None
    return None if figures is None else float(figures["whole"]["em"]["mean"])


# ---------------------------------------------------------------------------------------------------------------
# Confidence
# ---------------------------------------------------------------------------------------------------------------


def coverage_section(compared: Compared) -> Section | None:
    """The error rate of each reader when it answers only what it is most confident of."""
    charts: list[LineChart] = []
    rows: list[Row] = []
    for name, condition in compared.conditions.items():
        curves = [(place, run, curve) for place, run, figure in compared.having(name) if (curve := _curve(run, figure))]
        if not curves:
            continue
        rows.append(Group(condition["title"]))
        rows += [
            [
                run.label,
                f"{curve['n']:,}",
                f"{curve['aurc']:.3f}",
                *(number(_risk(curve, c), ".3f") for c in _COVERAGES),
            ]
            for _, run, curve in curves
        ]
        if len(charts) < _MOST_CURVES:
            series = [
                Series(run.label, place, [Point(p["coverage"], p["risk"]) for p in curve["points"]], markers=False)
                for place, run, curve in curves
            ]
            axes = Axis("fraction answered, most confident first", low=0.0, high=1.0), Axis("of these wrong", low=0.0)
            charts.append(LineChart(f"risk against coverage, {condition['title']}", series, *axes))
    if not charts:
        return None
    text = (
        "If a reader answers only the questions whose answer it is most confident of: which fraction of these is "
        "wrong (not an exact match). Unanswerable questions, where there are some, count as wrong when answered. "
        "AURC is the area under the curve; less is better."
    )
    head = ["reader", "n", "AURC", *(f"risk at {coverage:.0%}" for coverage in _COVERAGES)]
    return Section("Confidence", [Text(text), Figures(charts, Table(head, rows)), *abstention([compared])])


def _curve(run: Run, condition: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The curve of a result; of a result from before there were curves, made from its answers."""
    if "risk_coverage" in condition:
        stored: Mapping[str, Any] = condition["risk_coverage"]
        return stored
    rows = [row for row in run.rows or () if row["condition"] == condition["name"]]
    if not rows:
        return None
    curve = risk_coverage([row["confidence"] for row in rows], [row.get("em", 0.0) for row in rows])
    points = [{"coverage": point.coverage, "risk": point.risk} for point in curve.points]
    return {"n": curve.n, "aurc": curve.aurc, "points": points}


def _risk(curve: Mapping[str, Any], coverage: float) -> float | None:
    """The risk at the least coverage on the curve that is as great."""
    return next((float(p["risk"]) for p in curve["points"] if p["coverage"] >= coverage - 1e-9), None)


def abstention(recipes: Sequence[Compared]) -> list[Block]:
    """How well answerable questions are told from unanswerable ones, where both were asked."""
    rows: list[Row] = []
    for one in recipes:
        for name, condition in one.conditions.items():
            lines = [*_abstention_rows(one, name)]
            if lines:
                rows += [Group(title_of(recipes, one, condition)), *lines]
    if not rows:
        return []
    text = (
        "AUROC with which confidence, and the no-answer probability, tell questions whose context holds the answer "
        "from those whose context does not, and with which confidence tells right answers from all else; at the "
        "threshold of the settings, how many of the former are answered, their exact match, and how many of the "
        "latter are withheld."
    )
    head = ["reader", "with / without", "confidence", "no-answer", "right", "threshold", "answered", "EM", "withheld"]
    return [Text(text), Table(head, rows)]


def _abstention_rows(compared: Compared, condition: str) -> Iterator[list[str]]:
    for _, run, figures in compared.having(condition):
        about = figures.get("abstention")
        if about:
            yield [
                run.label,
                f"{about['answerable']:,} / {about['unanswerable']:,}",
                *(number(about[key], ".3f") for key in ("auroc", "auroc_no_answer", "auroc_right")),
                f"{about['threshold']:g}",
                f"{about['answered']:.1%}",
                number(about.get("answered_em"), ".1f"),
                f"{about['withheld']:.1%}",
            ]
