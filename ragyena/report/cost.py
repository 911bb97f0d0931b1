"""What reading costs: time, throughput and memory against length, and where one reader becomes the faster one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ragyena.eval.crossover import crossovers
from ragyena.eval.results import Run
from ragyena.report.blocks import Block, Bullets, Figure, Figures, Group, Line, Section, Table, Text
from ragyena.report.charts import Axis, Mark, Point, Series, line_chart
from ragyena.report.compared import Compared, Sweep, number, sweeps_of
from ragyena.report.cost_parts import duration, parts_blocks, state_blocks

__all__ = ["cost_section", "cost_sentences"]

_TOKENS = "tokens of a context, padding included"
_GPU = "GPU memory is the most that was allocated while a batch was read. "
_TIMES = (
    "p50, p95 and p99 are seconds from a packed context to its answer, contexts read one by one, each once before it "
    "is timed; p95 needs 20 readings, p99 100. "
)


def cost_section(compared: Compared) -> Section | None:
    """Charts over each sweep, then a table of every condition; None where nothing was read."""
    rows = [*_rows(compared)]
    if not rows:
        return None
    blocks: list[Block] = []
    sentences = [*cost_sentences(compared)]
    if sentences:
        blocks.append(Bullets(sentences))
    figures = [figure for sweep in sweeps_of(compared) for figure in _figures(compared, sweep)]
    head = ["reader", "tokens a context", "p50", "p95", "p99", "timed", "tokens/s", "GPU GiB", "resident GiB"]
    table = Table(head, rows)
    legend = [(run.label, place) for place, run in enumerate(compared.runs)] if len(compared.runs) > 1 else ()
    blocks.append(Figures(figures, legend, table) if figures else table)
    blocks.append(
        Text(
            f"{_TIMES if _timed(compared) else ''}Tokens a second are of reading in batches, padding "
            f"included. {_GPU if _on_gpu(compared) else ''}Resident memory is the most of the whole process while a "
            "batch was read, data and index included."
        )
    )
    blocks += [*parts_blocks(compared), *state_blocks(compared)]
    if _machines_differ(compared):
        blocks.append(Text("The readers ran on machines that differ: their times do not compare."))
    return Section("Cost", blocks)


def _figures(compared: Compared, sweep: Sweep) -> Iterator[Figure]:
    """Latency, throughput and memory over one sweep; of each what was measured at two lengths or more."""
    x = Axis(_TOKENS, log=True)
    curves = [[*_latencies(run, sweep)] for run in compared.runs]
    if any(len(curve) > 1 for curve in curves):
        series = [
            Series(run.label, place, curve) for place, (run, curve) in enumerate(zip(compared.runs, curves)) if curve
        ]
        title = "time of reading one context against its length"
        chart = line_chart(series, x, Axis("time", log=True, unit="s"), title=title, marks=_marks(compared, curves))
        yield Figure(chart, f"{title}: the median; bands reach to p95 where it was measured")
    throughputs = [[*_throughputs(run, sweep)] for run in compared.runs]
    if any(len(curve) > 1 for curve in throughputs):
        series = [Series(r.label, place, c) for place, (r, c) in enumerate(zip(compared.runs, throughputs)) if c]
        title = "tokens a second, read in batches, against the length of a context"
        chart = line_chart(series, x, Axis("tokens/s", log=True), title=title, marks=_marks(compared, throughputs))
        yield Figure(chart, title)
    for key, label in (("peak_memory_gib", "GPU memory, GiB"), ("peak_resident_gib", "resident memory, GiB")):
        memories = [[*_memories(run, sweep, key)] for run in compared.runs]
        if any(len(curve) > 1 for curve in memories):
            series = [Series(r.label, place, c) for place, (r, c) in enumerate(zip(compared.runs, memories)) if c]
            title = f"{label.partition(',')[0]} at most, against the length of a context"
            yield Figure(line_chart(series, x, Axis(label, low=0.0), title=title), title)
            return


def cost_sentences(compared: Compared) -> Iterator[str]:
    """How the time of each later reader compares with the first's over the longest sweep that was timed."""
    if _machines_differ(compared):
        return
    first = compared.runs[0]
    for sweep in sweeps_of(compared):
        base = [(point.x, point.y) for point in _latencies(first, sweep)]
        for run in compared.runs[1:]:
            other = [(point.x, point.y) for point in _latencies(run, sweep)]
            if len(base) < 2 or len(other) < 2:
                continue
            (short, a), (long, b) = base[0], base[-1]
            text = (
                f"`{run.label}` takes {other[0][1] / a:.2f} times as long as `{first.label}` for a context of "
                f"{short:,.0f} tokens, {other[-1][1] / b:.2f} times as long for one of {long:,.0f} (medians)"
            )
            for crossing in crossovers(base, other):
                faster = first.label if crossing.lower_after == 0 else run.label
                text += (
                    f"; the two cross at about {crossing.x:,.0f} tokens (measured between {crossing.after:,.0f} and "
                    f"{crossing.before:,.0f}), beyond which `{faster}` is faster"
                )
            yield text + "."


def _marks(compared: Compared, curves: Sequence[Sequence[Point]]) -> list[Mark]:
    """Where a later reader's curve crosses the first's."""
    if _machines_differ(compared):
        return []
    base = [(point.x, point.y) for point in curves[0]]
    marks = []
    for curve in curves[1:]:
        for crossing in crossovers(base, [(point.x, point.y) for point in curve]):
            marks.append(Mark(crossing.x, f"cross at {crossing.x:,.0f}"))
    return marks


def _latencies(run: Run, sweep: Sweep) -> Iterator[Point]:
    for condition in _conditions(run, sweep):
        latency = condition.get("latency")
        if latency:
            low, high = (latency["p50"], latency["p95"]) if latency["p95"] else (None, None)
            yield Point(latency["tokens"], latency["p50"], low, high)


def _throughputs(run: Run, sweep: Sweep) -> Iterator[Point]:
    for condition in _conditions(run, sweep):
        if condition["tokens_per_second"] and condition["tokens"]:
            yield Point(_tokens(condition), condition["tokens_per_second"])


def _memories(run: Run, sweep: Sweep, key: str) -> Iterator[Point]:
    for condition in _conditions(run, sweep):
        if condition.get(key) is not None and condition["tokens"]:
            yield Point(_tokens(condition), condition[key])


def _conditions(run: Run, sweep: Sweep) -> Iterator[Mapping[str, Any]]:
    for name in sweep.conditions.values():
        if name in run.conditions:
            yield run.conditions[name]


def _tokens(condition: Mapping[str, Any]) -> float:
    """Of a context, on average, padding included."""
    asked = int(condition["whole"]["n"]) - int(condition["unasked"])
    return float(condition["tokens"]) / max(asked, 1)


def _rows(compared: Compared) -> Iterator[Line]:
    for name, condition in compared.conditions.items():
        lines = [[run.label, *_cells(figures)] for _, run, figures in compared.having(name) if figures["tokens"]]
        if lines:
            yield Group(condition["title"])
            yield from lines


def _cells(condition: Mapping[str, Any]) -> list[str]:
    latency = condition.get("latency") or {}
    return [
        f"{_tokens(condition):,.0f}",
        *(duration(latency.get(key)) for key in ("p50", "p95", "p99")),
        f"{latency['n']:,}" if latency else "",
        f"{condition['tokens_per_second']:,.0f}",
        number(condition.get("peak_memory_gib"), ".2f"),
        number(condition.get("peak_resident_gib"), ".2f"),
    ]


def _on_gpu(compared: Compared) -> bool:
    return any(run.result["reader"]["device"] != "cpu" for run in compared.runs)


def _timed(compared: Compared) -> bool:
    return any(condition.get("latency") for run in compared.runs for condition in run.conditions.values())


def _machines_differ(compared: Compared) -> bool:
    def place(run: Run) -> tuple[object, ...]:
        machine, reader = run.result["machine"], run.result["reader"]
        if reader["device"] != "cpu":
            return reader["device"].partition(":")[0], tuple(sorted(set(machine["gpus"])))
        return "cpu", machine["processor"], machine["cores"], machine.get("torch_threads")

    return len({place(run) for run in compared.runs}) > 1
