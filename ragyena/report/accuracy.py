"""Accuracy against the length of the context, the position of the evidence, and the reader's confidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ragyena.eval.metrics import risk_coverage
from ragyena.eval.results import Run
from ragyena.report.compared import Compared, Reading, Sweep, chart_of, grouped, sweeps_of
from ragyena.report.model import Axis, Block, Figures, Group, HeatMap, LineChart, Point, Row, Section, Table, Text
from ragyena.report.numbers import compact, number, score

__all__ = ["abstention", "coverage_section", "length_charts", "lengths_section", "needle_section", "positions_section"]

_QUANTITIES = {"context_tokens": "tokens of context", "among": "passages in the context"}
_LABELS = {"em": "exact match, %", "f1": "F1, %"}
_MOST_CURVES = 6  # risk-coverage charts; the table has all
_COVERAGES = (0.5, 0.8, 1.0)


def lengths_section(compared: Compared) -> Section | None:
    """EM and F1 of each reader against the length of the context, or the number of passages."""
    blocks: list[Block] = []
    for sweep in _without_positions(compared):
        charts = [chart for measure in _LABELS if (chart := _length_chart(compared, sweep, measure))]
        rows = [row for at, name in sweep.conditions.items() for row in _scores(compared, name, compact(at))]
        blocks.append(Figures(charts, Table(["reader", _QUANTITIES[sweep.quantity], "EM", "F1"], rows)))
    return Section("Accuracy and the length of the context", blocks) if blocks else None


def length_charts(recipes: Sequence[Compared]) -> list[LineChart]:
    """F1 over each sweep over lengths or numbers of passages."""
    sweeps = [(one, sweep) for one in recipes for sweep in _without_positions(one)]
    return [chart for one, sweep in sweeps if (chart := _length_chart(one, sweep, "f1"))]


def _length_chart(compared: Compared, sweep: Sweep, measure: str) -> LineChart | None:
    what = _QUANTITIES[sweep.quantity] + (f" ({sweep.about})" if sweep.about else "")
    title = f"{_LABELS[measure].partition(',')[0]} against {what}; bands are 95% intervals"
    points = _points(compared, sweep.conditions, measure)
    return chart_of(compared, title, points, Axis(what, log=True), Axis(_LABELS[measure]))


def _without_positions(compared: Compared) -> list[Sweep]:
    parameters = {name: condition["parameters"] for name, condition in compared.conditions.items()}
    sweeps = sweeps_of(compared)
    return [s for s in sweeps if not any("position" in parameters[name] for name in s.conditions.values())]


def _points(compared: Compared, conditions: Mapping[float, str], measure: str) -> list[list[Point]]:
    """Each run's scores at each place."""

    def point(at: float, estimate: Mapping[str, float]) -> Point:
        return Point(at, estimate["mean"], estimate["low"], estimate["high"])

    return [
        [point(at, run.conditions[name]["whole"][measure]) for at, name in conditions.items() if name in run.conditions]
        for run in compared.runs
    ]


def _scores(compared: Compared, condition: str, *at: str) -> Iterator[Row]:
    for reading in compared.readings(condition):
        yield [reading.label, *at, *(score(reading.figures["whole"][measure]) for measure in _LABELS)]


# ---------------------------------------------------------------------------------------------------------------
# The position of the evidence
# ---------------------------------------------------------------------------------------------------------------


def positions_section(compared: Compared) -> Section | None:
    """EM against the position of the own passage in the context, a chart for each length."""
    charts: list[LineChart] = []
    rows: list[Row] = []
    x = Axis("position of the own passage (0 first, 1 last)", low=0.0, high=1.0)
    for length, names in _positions(compared).items():
        title = f"exact match against the position of the own passage in {length:,} tokens"
        chart = chart_of(compared, title, _points(compared, names, "em"), x, Axis("exact match, %"))
        if chart and len(names) > 1:
            charts.append(chart)
            rows += [row for at, name in names.items() for row in _scores(compared, name, f"{length:,}", f"{at:g}")]
    if not charts:
        return None
    table = Table(["reader", "tokens", "position", "EM", "F1"], rows)
    return Section("The position of the own passage", [Figures(charts, table), *_spreads(compared)])


def _spreads(compared: Compared) -> list[Block]:
    rows: list[Row] = []
    for run in compared.runs:
        for spread in run.result.get("spreads", ()):
            length = f"{run.conditions[spread['conditions'][0]]['parameters']['context_tokens']:,}"
            rows.append([run.label, length, f"{len(spread['conditions'])}", score(spread["em"]), score(spread["f1"])])
    text = "The spread is the greatest mean less the least over the positions; chance alone makes it greater than 0."
    table = Table(["reader", "tokens", "positions", "EM spread", "F1 spread"], rows)
    return [Text(text), table] if rows else []


def needle_section(compared: Compared) -> Section | None:
    """A map of position and length for each reader, where both were varied."""
    lengths = _positions(compared)
    positions = sorted({position for names in lengths.values() for position in names})
    if len(lengths) < 2 or len(positions) < 2:
        return None
    charts: list[HeatMap] = []
    rows: list[Row] = []
    marks = [f"{position:g}" for position in positions]
    for run in compared.runs:
        em = {name: float(condition["whole"]["em"]["mean"]) for name, condition in run.conditions.items()}
        cells = [[em.get(names.get(position, "")) for names in lengths.values()] for position in positions]
        if any(value is not None for row in cells for value in row):
            title = f"exact match of {run.label} by length of the context and position of the own passage"
            columns = [compact(length) for length in lengths]
            charts.append(HeatMap(title, cells, marks, columns, "tokens of context", "position", low=0.0, high=100.0))
            rows += [[run.label, at, *(number(value, ".1f") for value in row)] for at, row in zip(marks, cells)]
    table = Table(["reader", "position", *(f"{length:,} tokens" for length in lengths)], rows)
    return Section("Position and length", [Figures(charts, table)])


def _positions(compared: Compared) -> dict[int, dict[float, str]]:
    """Names of conditions by length and position, both ascending."""
    names: dict[int, dict[float, str]] = {}
    for name, condition in compared.conditions.items():
        parameters = condition["parameters"]
        if "position" in parameters:
            names.setdefault(parameters["context_tokens"], {})[parameters["position"]] = name
    return {length: dict(sorted(names[length].items())) for length in sorted(names)}


# ---------------------------------------------------------------------------------------------------------------
# Confidence
# ---------------------------------------------------------------------------------------------------------------


def coverage_section(compared: Compared) -> Section | None:
    """The error rate of each reader when it answers only what it is most confident of."""
    charts: list[LineChart] = []
    rows: list[Row] = []
    axes = Axis("fraction answered, most confident first", low=0.0, high=1.0), Axis("of these wrong", low=0.0)
    for name, condition in compared.conditions.items():
        curves = {run.label: _curve(run, name) for run in compared.runs}
        title = f"risk against coverage, {condition['title']}"
        chart = chart_of(compared, title, [*map(_risks, curves.values())], *axes, markers=False)
        if chart is None:
            continue
        charts += [chart][: _MOST_CURVES - len(charts)]
        rows.append(Group(condition["title"]))
        for label, curve in ((label, curve) for label, curve in curves.items() if curve):
            risks = [next((p.y for p in _risks(curve) if p.x >= coverage - 1e-9), None) for coverage in _COVERAGES]
            numbers = [number(risk, ".3f") for risk in (curve["aurc"], *risks)]
            rows.append([label, f"{curve['n']:,}", *numbers])
    if not charts:
        return None
    text = (
        "If a reader answers only the questions whose answer it is most confident of: which fraction of these is "
        "wrong (not an exact match). Unanswerable questions, where there are some, count as wrong when answered. "
        "AURC is the area under the curve; less is better."
    )
    table = Table(["reader", "n", "AURC", *(f"risk at {coverage:.0%}" for coverage in _COVERAGES)], rows)
    return Section("Confidence", [Text(text), Figures(charts, table), *abstention([compared])])


def _curve(run: Run, condition: str) -> Mapping[str, Any] | None:
    """The curve of a result; of a result from before there were curves, made from its answers."""
    figures = run.conditions.get(condition, {})
    if "risk_coverage" in figures:
        stored: Mapping[str, Any] = figures["risk_coverage"]
        return stored
    rows = [row for row in run.rows or () if row["condition"] == condition]
    if not rows:
        return None
    curve = risk_coverage([row["confidence"] for row in rows], [row.get("em", 0.0) for row in rows])
    points = [{"coverage": point.coverage, "risk": point.risk} for point in curve.points]
    return {"n": curve.n, "aurc": curve.aurc, "points": points}


def _risks(curve: Mapping[str, Any] | None) -> list[Point]:
    return [Point(point["coverage"], point["risk"]) for point in curve["points"]] if curve else []


def abstention(recipes: Sequence[Compared]) -> list[Block]:
    """Separation of answerable from unanswerable questions, where both were asked."""

    def cells(reading: Reading) -> list[list[str]]:
        about = reading.figures.get("abstention")
        if not about:
            return []
        areas = [number(about[key], ".3f") for key in ("auroc", "auroc_no_answer", "auroc_right")]
        answered = [f"{about['answered']:.1%}", number(about.get("answered_em"), ".1f"), f"{about['withheld']:.1%}"]
        counts = f"{about['answerable']:,} / {about['unanswerable']:,}"
        return [[reading.label, counts, *areas, f"{about['threshold']:g}", *answered]]

    text = (
        "AUROC with which confidence, and the no-answer probability, tell questions whose context holds the answer "
        "from those whose context does not, and with which confidence tells right answers from all else; at the "
        "threshold of the settings, how many of the former are answered, their exact match, and how many of the "
        "latter are withheld."
    )
    head = ["reader", "with / without", "confidence", "no-answer", "right", "threshold", "answered", "EM", "withheld"]
    rows = grouped(recipes, cells)
    return [Text(text), Table(head, rows)] if rows else []
