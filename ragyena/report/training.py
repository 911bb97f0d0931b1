"""Training runs: their speed and their held-out measures against tokens and model FLOPs, from their logs alone."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from ragyena.errors import DataError
from ragyena.report.model import Axis, Block, Figures, LineChart, Point, Row, Section, Series, Table
from ragyena.report.numbers import number
from ragyena.train.log import LOG_FILE, read_log

__all__ = ["Stage", "find_stages", "throughput_table", "training_blocks", "training_section"]

_MOST_MEASURES = 4  # that are drawn unless they are named
_BENCHMARKED = {
    "the loop without our logging": "bare tokens/s",
    "ours, with log and TensorBoard": "our tokens/s",
    "MFU, ours": "MFU",
    "peak memory": "GiB",
}


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of training, from its log."""

    name: str
    points: Sequence[Mapping[str, Any]]
    """The log's lines with losses."""
    held_out: Sequence[Mapping[str, Any]]
    """Its lines with held-out measures."""

    @property
    def last(self) -> Mapping[str, Any]:
        return max([*self.points, *self.held_out], key=lambda row: (row["step"], "held_out" in row))

    @property
    def measured(self) -> Mapping[str, float]:
        """The held-out measures at the end."""
        values: Mapping[str, float] = self.held_out[-1]["held_out"] if self.held_out else {}
        return values

    def median(self, key: str) -> float | None:
        """Over the points of the log; a summary keeps it from before its points were thinned."""
        kept = self.points[-1].get("medians", {}) if self.points else {}
        values = [row[key] for row in self.points if row.get(key) is not None]
        return kept.get(key, statistics.median(values)) if values else None


def find_stages(paths: Sequence[Path]) -> list[Stage]:
    """The training stages in ``paths``: a run's folder, a stage's folder, or logs. Raises DataError."""
    stages = []
    for path in paths:
        if path.is_file():
            logs = [path] if path.suffix == ".jsonl" else []
        else:
            logs = sorted(path.glob(LOG_FILE)) or sorted(path.glob(f"*/{LOG_FILE}"))
        stages += [_stage(log, _name(path, log, alone=len(logs) == 1)) for log in logs]
    return stages


def _name(run: Path, log: Path, *, alone: bool) -> str:
    """The run's folder, with the stage's where it has several; the name of a log that was moved elsewhere."""
    if log.name != LOG_FILE:
        return log.stem
    if run.is_file() or log.parent == run:
        folder = log.resolve().parent
        return f"{folder.parent.name}, {folder.name}"
    return run.resolve().name if alone else f"{run.resolve().name}, {log.parent.name}"


def _stage(log: Path, name: str) -> Stage:
    rows = read_log(log)
    if not rows:
        raise DataError(f"{log} is empty", hint="give the log.jsonl of a stage that was trained")
    if any(after["step"] < before["step"] for before, after in pairwise(rows)):
        raise DataError(f"{log} holds the logs of several stages", hint="give one file for each stage")
    return Stage(name, [row for row in rows if "losses" in row], [row for row in rows if "held_out" in row])


def training_section(stages: Sequence[Stage]) -> Section:
    measures = list(dict.fromkeys(name for stage in stages for name in stage.measured))
    return Section("Training", training_blocks(stages, measures, measures[:_MOST_MEASURES]))


def training_blocks(
    stages: Sequence[Stage], measures: Sequence[str], drawn: Sequence[str], name: str = "", only: Sequence[str] = ()
) -> list[Block]:
    """A table of the stages with these held-out ``measures``; charts of those in ``drawn``, of the stages in ``only``
    (else of all). Raises DataError where no stage has a measure."""
    known = list(dict.fromkeys(measure for stage in stages for measure in stage.measured))
    for measure in (*measures, *drawn):
        if measure not in known:
            names = ", ".join(stage.name for stage in stages)
            raise DataError(f"{names}: no '{measure}' in the logs", hint=f"they have {', '.join(known) or 'none'}")
    shown = [stage for stage in stages if not only or stage.name in only]
    charts = [chart for measure in drawn for chart in _charts(shown, measure)]
    table = _table(stages, measures)
    return [Figures(charts, table, name) if charts else table]


def _charts(stages: Sequence[Stage], measure: str) -> list[LineChart]:
    charts = []
    for key, label in (("tokens", "tokens trained on"), ("flops", "model FLOPs")):
        series = []
        for place, stage in enumerate(stages):
            rows = [row for row in stage.held_out if measure in row["held_out"]]
            points = [Point(row[key], row["held_out"][measure]) for row in rows]
            if points:
                end = f"{stage.name}: {points[-1].y:.4g}"
                series.append(Series(end, place, points))
        if series:
            log = min(point.y for one in series for point in one.points) > 1.0  # perplexities; accuracies stay linear
            x, y = Axis(label, log=True), Axis(measure, log=log)
            charts.append(LineChart(f"{measure} against {label}", series, x, y))
    return charts


def _table(stages: Sequence[Stage], measures: Sequence[str]) -> Table:
    rows: list[Row] = []
    for stage in stages:
        last = stage.last
        petaflop = last["flops"] / 1e15
        rows.append(
            [
                stage.name,
                f"{last['tokens'] / 1e6:,.1f}M",
                f"{petaflop:,.3g}" if petaflop < 1000 else f"{petaflop:,.0f}",
                f"{last['seconds']:,.0f}",
                number(stage.median("tokens_per_second"), ",.0f"),
                number(stage.median("mfu"), ".1%"),
                *(number(stage.measured.get(measure), _form(measure)) for measure in measures),
            ]
        )
    return Table(["stage", "tokens", "model PFLOP", "seconds", "tokens/s", "MFU", *measures], rows)


def _form(measure: str) -> str:
    forms = {"accuracy": ".1%", "perplexity": ".2f", "span": ".3f"}
    return next((form for word, form in forms.items() if word in measure), ".4f")


def throughput_table(benchmarks: Sequence[Mapping[str, Any]]) -> Table:
    """Training speed by `ragyena bench train`: with logging and checks, and as a bare loop."""
    rows: list[Row] = []
    for result in sorted(
        benchmarks, key=lambda b: (Path(b["setting"]["recipe"]).stem, b["setting"]["sequence_tokens"])
    ):
        setting, values = result["setting"], {figure["name"]: figure["value"] for figure in result["figures"]}
        forms = {"MFU": ".1f", "GiB": ".1f"}
        cells = [number(values.get(name), forms.get(head, ",.0f")) for name, head in _BENCHMARKED.items()]
        parameters = f"{setting['parameters'] / 1e6:.1f}M"
        rows.append(
            [Path(setting["recipe"]).stem, setting["device"], f"{setting['sequence_tokens']:,}", parameters, *cells]
        )
    head = [name if name != "MFU" else "MFU, %" for name in _BENCHMARKED.values()]
    return Table(["recipe", "device", "sequence", "parameters", *head], rows, left=2)
