"""How answers fare with length, with the place of the evidence, and with the confidence asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ragyena.eval.metrics import risk_coverage
from ragyena.eval.results import Run
from ragyena.report.blocks import Block, Figure, Figures, Group, Line, Section, Table, Text
from ragyena.report.charts import Axis, Point, Series, compact, heat_map, line_chart
from ragyena.report.compared import Compared, Sweep, number, sweeps_of
from ragyena.report.verdict import score

__all__ = ["QUANTITIES", "coverage_section", "lengths_section", "needle_section", "positions_section"]

QUANTITIES = {"context_tokens": "tokens of context", "among": "passages in the context"}
_MOST_CURVES = 6  # charts of risk and coverage; the table has all
_AT = (0.5, 0.8, 1.0)  # coverages that the table shows the risk at


def lengths_section(compared: Compared) -> Section | None:
    """EM and F1 of each reader against the length of the context, or the number of passages."""
    blocks: list[Block] = []
    for sweep in _without_positions(compared):
        figures = []
        for measure, label in (("em", "exact match, %"), ("f1", "F1, %")):
            series = [
                Series(run.label, place, _points(run, sweep, measure))
                for place, run in enumerate(compared.runs)
                if _points(run, sweep, measure)
            ]
            title = f"{label.partition(',')[0]} against {QUANTITIES[sweep.quantity]}"
            title += f" ({sweep.about})" if sweep.about else ""
            chart = line_chart(series, Axis(QUANTITIES[sweep.quantity], log=True), Axis(label), title=title)
            figures.append(Figure(chart, f"{title}; bands are 95% intervals"))
        rows: list[Line] = [
            [run.label, compact(at), score(condition["whole"]["em"]), score(condition["whole"]["f1"])]
            for at, name in sweep.conditions.items()
            for _, run, condition in compared.having(name)
        ]
        table = Table(["reader", QUANTITIES[sweep.quantity], "EM", "F1"], rows)
        blocks.append(Figures(figures, _legend(compared), table))
    return Section("Accuracy and the length of the context", blocks) if blocks else None


def _without_positions(compared: Compared) -> list[Sweep]:
    conditions = compared.conditions
    return [
        sweep
        for sweep in sweeps_of(compared)
        if not any("position" in conditions[name]["parameters"] for name in sweep.conditions.values())
    ]


def _points(run: Run, sweep: Sweep, measure: str) -> list[Point]:
    return [
        _point(at, run.conditions[name]["whole"][measure])
        for at, name in sweep.conditions.items()
        if name in run.conditions
    ]


def _point(x: float, estimate: Mapping[str, float]) -> Point:
    return Point(x, estimate["mean"], estimate["low"], estimate["high"])


# ---------------------------------------------------------------------------------------------------------------
# The place of the evidence
# ---------------------------------------------------------------------------------------------------------------


def positions_section(compared: Compared) -> Section | None:
    """EM against where in the context the own passage stands, a chart for each length."""
    found = _positions(compared)
    figures: list[Figure] = []
    rows: list[Line] = []
    for length, by_position in found.items():
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
        title = f"exact match against the place of the own passage in {length:,} tokens"
        x = Axis("place of the own passage (0 first, 1 last)", low=0.0, high=1.0)
        figures.append(Figure(line_chart(series, x, Axis("exact match, %"), title=title), title))
        rows += [
            [
                run.label,
                f"{length:,}",
                f"{position:g}",
                score(condition["whole"]["em"]),
                score(condition["whole"]["f1"]),
            ]
            for position, name in by_position.items()
            for _, run, condition in compared.having(name)
        ]
    if not figures:
        return None
    blocks: list[Block] = [
        Figures(figures, _legend(compared), Table(["reader", "tokens", "place", "EM", "F1"], rows)),
        *_spreads(compared),
    ]
    return Section("The place of the own passage", blocks)


def _spreads(compared: Compared) -> list[Block]:
    rows: list[Line] = []
    for run in compared.runs:
        for spread in run.result.get("spreads", ()):
            parameters = run.conditions[spread["conditions"][0]]["parameters"]
            length = f"{parameters['context_tokens']:,}"
            rows.append([run.label, length, f"{len(spread['conditions'])}", score(spread["em"]), score(spread["f1"])])
    if not rows:
        return []
    text = "The spread is the greatest mean less the least over the places; chance alone makes it greater than 0."
    return [Text(text), Table(["reader", "tokens", "places", "EM spread", "F1 spread"], rows)]


def needle_section(compared: Compared) -> Section | None:
    """A map of depth and length for each reader, where both were varied."""
    found = _positions(compared)
    positions = sorted({position for by_position in found.values() for position in by_position})
    lengths = list(found)
    if len(lengths) < 2 or len(positions) < 2:
        return None
    figures, rows = [], []
    for run in compared.runs:
        cells = [[_em(run, found[length].get(position)) for length in lengths] for position in positions]
        if all(value is None for line in cells for value in line):
            continue
        title = f"exact match of {run.label} by length of the context and place of the own passage"
        drawn = heat_map(
            cells,
            [f"{position:g}" for position in positions],
            [compact(length) for length in lengths],
            x_label="tokens of context",
            y_label="place",
            title=title,
            low=0.0,
            high=100.0,
        )
        figures.append(Figure(drawn, title))
        rows += [
            [run.label, f"{position:g}", *(number(value, ".1f") for value in line)]
            for position, line in zip(positions, cells)
        ]
    head = ["reader", "place", *(f"{length:,} tokens" for length in lengths)]
    return Section("Depth and length", [Figures(figures, (), Table(head, rows))])


def _positions(compared: Compared) -> dict[int, dict[float, str]]:
    """Names of conditions by length and position, both rising."""
    found: dict[int, dict[float, str]] = {}
    for name, condition in compared.conditions.items():
        parameters = condition["parameters"]
        if "position" in parameters:
            found.setdefault(parameters["context_tokens"], {})[parameters["position"]] = name
    return {length: dict(sorted(found[length].items())) for length in sorted(found)}


def _em(run: Run, condition: str | None) -> float | None:
    found = run.conditions.get(condition) if condition is not None else None
    return None if found is None else float(found["whole"]["em"]["mean"])


# ---------------------------------------------------------------------------------------------------------------
# Confidence
# ---------------------------------------------------------------------------------------------------------------


def coverage_section(compared: Compared) -> Section | None:
    """How wrong each reader is when it answers only what it is surest of."""
    figures: list[Figure] = []
    rows: list[Line] = []
    for name, condition in compared.conditions.items():
        curves = [(place, run, curve) for place, run, figure in compared.having(name) if (curve := _curve(run, figure))]
        if not curves:
            continue
        rows.append(Group(condition["title"]))
        rows += [
            [run.label, f"{curve['n']:,}", f"{curve['aurc']:.3f}", *(number(_risk(curve, at), ".3f") for at in _AT)]
            for _, run, curve in curves
        ]
        if len(figures) < _MOST_CURVES:
            series = [
                Series(run.label, place, [Point(p["coverage"], p["risk"]) for p in curve["points"]], markers=False)
                for place, run, curve in curves
            ]
            title = f"risk against coverage, {condition['title']}"
            axes = Axis("questions answered, the surest first", low=0.0, high=1.0), Axis("of these wrong", low=0.0)
            figures.append(Figure(line_chart(series, *axes, title=title), title))
    if not figures:
        return None
    text = (
        "If a reader answers only the questions whose answer it is most confident of: which fraction of these is "
        "wrong (not an exact match). Questions without an answer, where they were asked, count as wrong when answered. "
        "AURC is the area under the curve; less is better."
    )
    head = ["reader", "n", "AURC", *(f"risk at {at:.0%}" for at in _AT)]
    return Section(
        "Confidence", [Text(text), Figures(figures, _legend(compared), Table(head, rows)), *_telling(compared)]
    )


def _curve(run: Run, condition: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """As the result holds it; of a result from before there were curves, made from its answers."""
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
    """At the least coverage on the curve that is as great."""
    return next((float(p["risk"]) for p in curve["points"] if p["coverage"] >= coverage - 1e-9), None)


def _telling(compared: Compared) -> list[Block]:
    """How well answerable questions are told from others, where both were asked."""
    rows: list[Line] = []
    for name, condition in compared.conditions.items():
        lines = []
        for _, run, figures in compared.having(name):
            about = figures.get("abstention")
            if about:
                lines.append(
                    [
                        run.label,
                        f"{about['answerable']:,} / {about['unanswerable']:,}",
                        *(number(about[key], ".3f") for key in ("auroc", "auroc_no_answer", "auroc_right")),
                        f"{about['threshold']:g}",
                        f"{about['answered']:.1%}",
                        f"{about['withheld']:.1%}",
                    ]
                )
        if lines:
            rows += [Group(condition["title"]), *lines]
    if not rows:
        return []
    text = (
        "AUROC with which confidence, and the no-answer probability, tell questions whose context holds the answer "
        "from those whose context does not, and with which confidence tells right answers from all else; at the "
        "threshold of the settings, how many of the former are answered and of the latter withheld."
    )
    head = ["reader", "with / without", "confidence", "no-answer", "right", "threshold", "answered", "withheld"]
    return [Text(text), Table(head, rows)]


def _legend(compared: Compared) -> Sequence[tuple[str, int]]:
    return [(run.label, place) for place, run in enumerate(compared.runs)] if len(compared.runs) > 1 else ()
