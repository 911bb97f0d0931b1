"""Accuracy against the length of the context and the position of the evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ragyena.report.compared import Compared, Sweep, chart_of, explained, point_of, sweeps_of
from ragyena.report.model import Axis, Block, Figures, HeatMap, LineChart, Point, Row, Section, Table
from ragyena.report.numbers import compact, number, score

__all__ = ["length_chart", "lengths_section", "needle_section", "positions_section"]

_QUANTITIES = {"context_tokens": "tokens of context", "among": "passages in the context"}
_LABELS = {"em": "exact match, %", "f1": "F1, %"}


def lengths_section(compared: Compared) -> Section | None:
    """EM and F1 of each reader against the length of the context, or the number of passages."""
    blocks = []
    for sweep in sweeps_of(compared, positions=False):
        charts = [length_chart(compared, sweep, measure) for measure in _LABELS]
        rows = [row for at, name in sweep.conditions.items() for row in _scores(compared, name, compact(at))]
        blocks.append(Figures(charts, Table(["reader", _QUANTITIES[sweep.quantity], "EM", "F1"], rows)))
    return Section("Accuracy and the length of the context", blocks) if blocks else None


def length_chart(compared: Compared, sweep: Sweep, measure: str = "f1") -> LineChart:
    """Scores over a sweep over lengths or numbers of passages."""
    over = _QUANTITIES[sweep.quantity] + (f" ({sweep.about})" if sweep.about else "")
    title = f"{_LABELS[measure].partition(',')[0]} against {over}; bands are 95% intervals"
    points = _points(compared, sweep.conditions, measure)
    return chart_of(compared, title, points, Axis(over, log=True), Axis(_LABELS[measure]))


def _points(compared: Compared, conditions: Mapping[float, str], measure: str) -> list[list[Point]]:
    """Each run's scores at each place."""
    runs = [run.conditions for run in compared.runs]
    places = conditions.items()
    return [[point_of(at, run[name]["whole"][measure]) for at, name in places if name in run] for run in runs]


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
        if len(names) > 1:
            title = f"exact match against the position of the own passage in {length:,} tokens"
            charts.append(chart_of(compared, title, _points(compared, names, "em"), x, Axis(_LABELS["em"])))
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
    return explained(text, Table(["reader", "tokens", "positions", "EM spread", "F1 spread"], rows))


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
