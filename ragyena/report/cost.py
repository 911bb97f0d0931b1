"""The cost of reading: time, throughput, memory and energy against length, and the length at which curves cross."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ragyena.eval.results import Run
from ragyena.report.compared import Compared, Reading, Sweep, chart_of, explained, grouped, sweeps_of
from ragyena.report.model import Axis, Block, Bullets, Figures, LineChart, Mark, Point, Section, Table, Text
from ragyena.report.numbers import duration, number

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
_PERCENTILES = ("p50", "p95", "p99")
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
    differ = _machines_differ(compared)
    sentences = [] if differ else [*_sentences(compared)]
    charts = [chart for sweep in sweeps_of(compared) for chart in _charts(compared, sweep, marked=not differ)]
    timed = any(condition.get("latency") for run in compared.runs for condition in run.conditions.values())
    on_gpu = any(run.result["reader"]["device"] != "cpu" for run in compared.runs)
    text = (
        f"{_TIMES if timed else ''}Tokens a second are of reading in batches, padding included. "
        f"{_GPU if on_gpu else ''}Resident memory is the most of the whole process while a batch was read, data and "
        "index included."
    )
    blocks: list[Block] = [Bullets(sentences)] if sentences else []
    blocks += [Figures(charts, table) if charts else table, Text(text), *_parts(compared), *_state(compared)]
    if differ:
        blocks.append(Text("The readers ran on machines that differ: their times do not compare."))
    return Section("Cost", blocks)


def _machines_differ(compared: Compared) -> bool:
    def place(run: Run) -> tuple[object, ...]:
        machine, reader = run.result["machine"], run.result["reader"]
        if reader["device"] != "cpu":
            return reader["device"].partition(":")[0], tuple(sorted(set(machine["gpus"])))
        return "cpu", machine["processor"], machine["cores"], machine.get("torch_threads")

    return len({place(run) for run in compared.runs}) > 1


# ---------------------------------------------------------------------------------------------------------------
# Charts and sentences
# ---------------------------------------------------------------------------------------------------------------


def _charts(compared: Compared, sweep: Sweep, *, marked: bool) -> Iterator[LineChart]:
    """Latency, throughput and memory over one sweep, each where it was measured at two lengths or more; ``marked`` are
    the lengths at which a later reader's curve crosses the first's."""
    over = "against the length of a context"
    time = "time of reading one context against its length: the median; bands reach to p95 where it was measured"
    for key, title, y in (
        ("latency", time, Axis("time", log=True, unit="s")),
        ("tokens_per_second", f"tokens a second, read in batches, {over}", Axis("tokens/s", log=True)),
        ("peak_memory_gib", f"GPU memory at most, {over}", Axis("GPU memory, GiB", low=0.0)),
        ("peak_resident_gib", f"resident memory at most, {over}", Axis("resident memory, GiB", low=0.0)),
    ):
        curves = [_curve(run, sweep, key) for run in compared.runs]
        if any(len(curve) > 1 for curve in curves):
            crossings = [c for curve in curves[1:] for c in _crossings(curves[0], curve)] if marked and y.log else []
            marks = [Mark(crossing.x, f"cross at {crossing.x:,.0f}") for crossing in crossings]
            yield chart_of(compared, title, curves, _TOKENS, y, marks=marks)
            if not y.log:  # of memory one kind
                return


def _curve(run: Run, sweep: Sweep, key: str) -> list[Point]:
    """A quantity by the length of the context, where it was measured."""
    conditions = [run.conditions[name] for name in sweep.conditions.values() if name in run.conditions]
    if key == "latency":
        times = [time for condition in conditions if (time := condition.get("latency"))]
        return [Point(t["tokens"], t["p50"], t["p50"] if t["p95"] else None, t["p95"] or None) for t in times]
    return [Point(_tokens(read), read[key]) for read in conditions if read["tokens"] and read.get(key)]


def _tokens(condition: Condition) -> float:
    """Tokens of a context, on average, padding included."""
    read = int(condition["whole"]["n"]) - int(condition["unasked"])
    return float(condition["tokens"]) / max(read, 1)


def _crossings(base: Sequence[Point], other: Sequence[Point]) -> list[Crossover]:
    return crossovers([(point.x, point.y) for point in base], [(point.x, point.y) for point in other])


def _sentences(compared: Compared) -> Iterator[str]:
    """Compare the time of each later reader with the first's over each sweep that was timed."""
    first = compared.runs[0]
    for sweep in sweeps_of(compared):
        base = _curve(first, sweep, "latency")
        for run in compared.runs[1:]:
            other = _curve(run, sweep, "latency")
            if len(base) < 2 or len(other) < 2:
                continue
            text = (
                f"`{run.label}` takes {other[0].y / base[0].y:.2f} times as long as `{first.label}` for a context of "
                f"{base[0].x:,.0f} tokens, {other[-1].y / base[-1].y:.2f} times as long for one of {base[-1].x:,.0f} "
                "(medians)"
            )
            for crossing in _crossings(base, other):
                faster = first.label if crossing.lower_after == 0 else run.label
                text += (
                    f"; the two cross at about {crossing.x:,.0f} tokens (measured between {crossing.after:,.0f} and "
                    f"{crossing.before:,.0f}), beyond which `{faster}` is faster"
                )
            yield text + "."


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

    def cells(reading: Reading) -> list[list[str]]:
        condition = reading.figures
        if not condition["tokens"]:
            return []
        latency = condition.get("latency") or {}
        times = (duration(latency.get(key)) for key in _PERCENTILES)
        memory = (number(condition.get(key), ".2f") for key in ("peak_memory_gib", "peak_resident_gib"))
        timed, rate = number(latency.get("n"), ","), f"{condition['tokens_per_second']:,.0f}"
        return [[reading.label, f"{_tokens(condition):,.0f}", *times, timed, rate, *memory]]

    head = ["reader", "tokens a context", *_PERCENTILES, "timed", "tokens/s", "GPU GiB", "resident GiB"]
    return Table(head, grouped(recipes, cells))


def _parts(compared: Compared) -> list[Block]:
    """Medians of the parts, and percentiles of the first token; nothing where no reading was timed in parts."""

    def cells(reading: Reading) -> list[list[str]]:
        cost = reading.figures.get("cost")
        if not cost:
            return []
        parts = (duration(cost["parts"].get(part, {}).get("p50")) for part in _PART_NAMES)
        first = (duration(cost["first_token"][key]) for key in _PERCENTILES)
        after = duration((cost["per_token"] or {}).get("p50"))
        return [[reading.label, *parts, *first, after, f"{cost['tokens_per_second']:,.0f}"]]

    head = ["reader", *_PART_NAMES.values(), "first token p50", "p95", "p99", "each token after", "tokens/s alone"]
    return explained(_PARTS, Table(head, grouped([compared], cells)))


def _state(compared: Compared) -> list[Block]:
    """Memory of one reading, what is kept to write an answer, energy; nothing where no reading was timed in parts."""
    reasons = set()

    def cells(reading: Reading) -> list[list[str]]:
        cost = reading.figures.get("cost")
        if not cost:
            return []
        reasons.update([cost["no_energy"]] if cost["no_energy"] else [])
        memory = (number(cost[key], ".2f") for key in ("peak_memory_gib", "peak_resident_gib"))
        state = cost["state"]
        kept = map(_mebibytes, (state["constant"] + state["memory"], state["memory"], state["attention"]))
        return [[reading.label, *memory, *kept, number(cost["energy"] and cost["energy"]["joules"], ",.3g")]]

    head = ["reader", "GPU GiB", "resident GiB", "kept to write", "grows with the context", "attention would keep", "J"]
    table = Table(head, grouped([compared], cells))
    return explained(_STATE + (f" Energy was not measured: {'; '.join(sorted(reasons))}." if reasons else ""), table)


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:,.3g} MiB" if count else "0"
