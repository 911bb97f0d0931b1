"""The cost of reading: time, throughput, memory and energy against length, and the length at which curves cross."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ragyena.eval.results import Run
from ragyena.report.compared import Compared, Sweep, chart_of, grouped, sweeps_of
from ragyena.report.model import (
    Axis,
    Block,
    Bullets,
    Figures,
    LineChart,
    Mark,
    Point,
    Row,
    Section,
    Table,
    Text,
)
from ragyena.report.numbers import duration, mebibytes, number

__all__ = ["cost_section", "cost_table", "crossovers"]

_PART_NAMES = {
    "retrieve": "retrieve",
    "pack": "pack",
    "inputs": "inputs",
    "encode": "encode",
    "extract": "extract",
    "first_token": "first written token",
    "write": "write on",
}
"""Names of the parts of a question, in their order."""

_TOKENS = Axis("tokens of a context, padding included", log=True)
_GPU = "GPU memory is the most that was allocated while a batch was read. "
_TIMES = (
    "p50, p95 and p99 are seconds from a packed context to its answer, contexts read one by one, each once before it "
    "is timed; p95 needs 20 readings, p99 100. "
)
_PARTS = (
    "What the time of a question goes to, the median of each part. Retrieving and packing are those of `ragyena ask` "
    "with the budget of the condition. Inputs are padded and copied to the device; encode is embeddings and layers; "
    "extract scores and chooses spans. The first token is counted from the packed context: an extracted answer is "
    "there as a whole at the end of extract, a written one begins after the context was projected for the decoder. On "
    "a GPU the host waits for the device at the end of each part."
)
_STATE = (
    "One context read alone: the most memory, and what is kept from one written token to the next, computed from the "
    "architecture for the median length, beside the KV cache of a decoder-only attention reader of the same depth, "
    "width and type. A reader that only extracts keeps nothing. J is the energy of a question, of the whole board, as "
    "NVML counts it."
)

Condition = Mapping[str, Any]


def cost_section(compared: Compared) -> Section | None:
    """Charts over each sweep, then a table of every condition; None where nothing was read."""
    table = cost_table([compared])
    if not table.rows:
        return None
    sentences = [*_sentences(compared)]
    charts = [chart for sweep in sweeps_of(compared) for chart in _charts(compared, sweep)]
    conditions = [condition for run in compared.runs for condition in run.conditions.values()]
    timed = any(condition.get("latency") for condition in conditions)
    on_gpu = any(run.result["reader"]["device"] != "cpu" for run in compared.runs)
    blocks: list[Block] = [Bullets(sentences)] if sentences else []
    blocks += [
        Figures(charts, table) if charts else table,
        Text(
            f"{_TIMES if timed else ''}Tokens a second are of reading in batches, padding included. "
            f"{_GPU if on_gpu else ''}Resident memory is the most of the whole process while a batch was read, data "
            "and index included."
        ),
        *_parts(compared),
        *_state(compared),
    ]
    if _machines_differ(compared):
        blocks.append(Text("The readers ran on machines that differ: their times do not compare."))
    return Section("Cost", blocks)


# ---------------------------------------------------------------------------------------------------------------
# Charts and sentences
# ---------------------------------------------------------------------------------------------------------------


def _charts(compared: Compared, sweep: Sweep) -> Iterator[LineChart]:
    """Latency, throughput and memory over one sweep, each where it was measured at two lengths or more."""
    over = "against the length of a context"
    gpu, resident = (Axis(f"{kind} memory, GiB", low=0.0) for kind in ("GPU", "resident"))
    time = "time of reading one context against its length: the median; bands reach to p95 where it was measured"
    rate = f"tokens a second, read in batches, {over}"
    for value, title, y in (
        (_latency, time, Axis("time", log=True, unit="s")),
        (_throughput, rate, Axis("tokens/s", log=True)),
        (_memory("peak_memory_gib"), f"GPU memory at most, {over}", gpu),
        (_memory("peak_resident_gib"), f"resident memory at most, {over}", resident),
    ):
        curves = [_curve(run, sweep, value) for run in compared.runs]
        if any(len(curve) > 1 for curve in curves):
            marks = _marks(compared, curves) if y.log else []
            if chart := chart_of(compared, title, curves, _TOKENS, y, marks=marks):
                yield chart
            if not y.log:  # of memory one kind
                return


def _curve(run: Run, sweep: Sweep, value: Callable[[Condition], Point | None]) -> list[Point]:
    conditions = [run.conditions[name] for name in sweep.conditions.values() if name in run.conditions]
    return [point for condition in conditions if (point := value(condition))]


def _latency(condition: Condition) -> Point | None:
    latency = condition.get("latency")
    if not latency:
        return None
    low, high = (latency["p50"], latency["p95"]) if latency["p95"] else (None, None)
    return Point(latency["tokens"], latency["p50"], low, high)


def _throughput(condition: Condition) -> Point | None:
    rate = condition["tokens_per_second"]
    return Point(_tokens(condition), rate) if rate and condition["tokens"] else None


def _memory(key: str) -> Callable[[Condition], Point | None]:
    def value(condition: Condition) -> Point | None:
        measured = condition.get(key)
        return Point(_tokens(condition), measured) if measured is not None and condition["tokens"] else None

    return value


def _tokens(condition: Condition) -> float:
    """Tokens of a context, on average, padding included."""
    read = int(condition["whole"]["n"]) - int(condition["unasked"])
    return float(condition["tokens"]) / max(read, 1)


def _sentences(compared: Compared) -> Iterator[str]:
    """Compare the time of each later reader with the first's over each sweep that was timed."""
    if _machines_differ(compared):
        return
    first = compared.runs[0]
    for sweep in sweeps_of(compared):
        base = _curve(first, sweep, _latency)
        for run in compared.runs[1:]:
            other = _curve(run, sweep, _latency)
            if len(base) < 2 or len(other) < 2:
                continue
            text = (
                f"`{run.label}` takes {other[0].y / base[0].y:.2f} times as long as `{first.label}` for a context of "
                f"{base[0].x:,.0f} tokens, {other[-1].y / base[-1].y:.2f} times as long for one of {base[-1].x:,.0f} "
                "(medians)"
            )
            for crossing in crossovers(_places(base), _places(other)):
                faster = first.label if crossing.lower_after == 0 else run.label
                text += (
                    f"; the two cross at about {crossing.x:,.0f} tokens (measured between {crossing.after:,.0f} and "
                    f"{crossing.before:,.0f}), beyond which `{faster}` is faster"
                )
            yield text + "."


def _marks(compared: Compared, curves: Sequence[Sequence[Point]]) -> list[Mark]:
    """The lengths at which a later reader's curve crosses the first's."""
    if _machines_differ(compared):
        return []
    return [
        Mark(crossing.x, f"cross at {crossing.x:,.0f}")
        for curve in curves[1:]
        for crossing in crossovers(_places(curves[0]), _places(curve))
    ]


def _places(points: Sequence[Point]) -> list[tuple[float, float]]:
    return [(point.x, point.y) for point in points]


def _machines_differ(compared: Compared) -> bool:
    def place(run: Run) -> tuple[object, ...]:
        machine, reader = run.result["machine"], run.result["reader"]
        if reader["device"] != "cpu":
            return reader["device"].partition(":")[0], tuple(sorted(set(machine["gpus"])))
        return "cpu", machine["processor"], machine["cores"], machine.get("torch_threads")

    return len({place(run) for run in compared.runs}) > 1


# ---------------------------------------------------------------------------------------------------------------
# Crossings: the length at which one reader becomes the faster one
# ---------------------------------------------------------------------------------------------------------------

Curve = Sequence[tuple[float, float]]
"""(x, y), both above 0."""


@dataclass(frozen=True, slots=True)
class Crossover:
    """One crossing."""

    x: float
    """Interpolated on logarithmic axes, straight between measured points."""
    after: float
    before: float
    """The measured places that it lies between."""
    lower_after: int
    """The curve that is lower beyond it: 0 the first, 1 the second."""


def crossovers(first: Curve, second: Curve) -> list[Crossover]:
    """The crossings of two curves where both were measured, from left to right; curves that touch do not cross."""
    a, b = sorted(first), sorted(second)
    if not a or not b:
        return []
    low, high = max(a[0][0], b[0][0]), min(a[-1][0], b[-1][0])
    places = sorted({x for x, _ in (*a, *b) if low <= x <= high})
    gaps = [(x, _log_at(a, x) - _log_at(b, x)) for x in places]
    apart = [(x, gap) for x, gap in gaps if not math.isclose(gap, 0.0, abs_tol=1e-12)]
    crossings = []
    for (x1, gap1), (x2, gap2) in pairwise(apart):
        if gap1 * gap2 < 0:
            share = gap1 / (gap1 - gap2)
            x = math.exp(math.log(x1) + share * (math.log(x2) - math.log(x1)))
            crossings.append(Crossover(x, x1, x2, 0 if gap2 < 0 else 1))
    return crossings


def _log_at(curve: Curve, x: float) -> float:
    """log y at ``x``, straight between the points on logarithmic axes."""
    for (x1, y1), (x2, y2) in pairwise(curve):
        if x1 <= x <= x2:
            share = math.log(x / x1) / math.log(x2 / x1) if x2 > x1 else 0.0
            return math.log(y1) + share * (math.log(y2) - math.log(y1))
    return math.log(next(y for at, y in curve if at == x))


# ---------------------------------------------------------------------------------------------------------------
# Tables
# ---------------------------------------------------------------------------------------------------------------


def cost_table(recipes: Sequence[Compared]) -> Table:
    """Time, throughput and memory of every condition that was read."""
    head = ["reader", "tokens a context", "p50", "p95", "p99", "timed", "tokens/s", "GPU GiB", "resident GiB"]
    return Table(head, _rows(recipes, lambda condition: _reading(condition) if condition["tokens"] else None))


def _rows(recipes: Sequence[Compared], cells: Callable[[Condition], Sequence[str] | None]) -> list[Row]:
    """A row for each reading that has cells."""
    return grouped(recipes, lambda r: [[r.label, *line]] if (line := cells(r.figures)) else [])


def _reading(condition: Condition) -> list[str]:
    latency = condition.get("latency") or {}
    return [
        f"{_tokens(condition):,.0f}",
        *(duration(latency.get(key)) for key in ("p50", "p95", "p99")),
        f"{latency['n']:,}" if latency else "",
        f"{condition['tokens_per_second']:,.0f}",
        number(condition.get("peak_memory_gib"), ".2f"),
        number(condition.get("peak_resident_gib"), ".2f"),
    ]


def _parts(compared: Compared) -> list[Block]:
    """Medians of the parts, and percentiles of the first token; nothing where no reading was timed in parts."""

    def cells(condition: Condition) -> list[str] | None:
        cost = condition.get("cost")
        return cost and [
            *(duration(cost["parts"][part]["p50"]) if part in cost["parts"] else "" for part in _PART_NAMES),
            *(duration(cost["first_token"][key]) for key in ("p50", "p95", "p99")),
            duration(cost["per_token"]["p50"]) if cost["per_token"] else "",
            f"{cost['tokens_per_second']:,.0f}",
        ]

    head = ["reader", *_PART_NAMES.values(), "first token p50", "p95", "p99", "each token after", "tokens/s alone"]
    rows = _rows([compared], cells)
    return [Text(_PARTS), Table(head, rows)] if rows else []


def _state(compared: Compared) -> list[Block]:
    """Memory of one reading, what is kept to write an answer, energy; nothing where no reading was timed in parts."""

    def cells(condition: Condition) -> list[str] | None:
        cost = condition.get("cost")
        return cost and [
            number(cost["peak_memory_gib"], ".2f"),
            number(cost["peak_resident_gib"], ".2f"),
            mebibytes(cost["state"]["constant"] + cost["state"]["memory"]),
            mebibytes(cost["state"]["memory"]),
            mebibytes(cost["state"]["attention"]),
            number(cost["energy"] and cost["energy"]["joules"], ",.3g"),
        ]

    rows = _rows([compared], cells)
    if not rows:
        return []
    costs = [figures.get("cost") for run in compared.runs for figures in run.conditions.values()]
    reasons = sorted({cost["no_energy"] for cost in costs if cost and cost["no_energy"]})
    text = _STATE + (f" Energy was not measured: {'; '.join(reasons)}." if reasons else "")
    head = ["reader", "GPU GiB", "resident GiB", "kept to write", "grows with the context", "attention would keep", "J"]
    return [Text(text), Table(head, rows)]
