"""Small summaries of results and training logs: every figure of a report, without the curves' single points.

A summary has the layout of the file it is made from, so that whatever reads results reads summaries. Numbers keep eight
digits; a risk-coverage curve keeps six points, a training log some thirty (with the medians over all of them).
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ragyena.errors import DataError, PathNotFoundError
from ragyena.eval.journal import write_text
from ragyena.eval.results import LARGEST_RESULT
from ragyena.parsing import read_json
from ragyena.train.log import LOG_FILE, read_log

__all__ = ["summarize", "summary_of_log", "summary_of_result"]

_DIGITS = 8
_COVERAGES = (0.2, 0.4, 0.5, 0.6, 0.8, 1.0)
_LOG_POINTS = 10
_LOG_LOSSES = ("loss",)
_UNSET_IN_FIGURES = ("limit", "p95", "met")  # of a benchmark; left out where they are null
_WIDTH = 200
_RECIPE = "recipe.json"  # of a training run, with paths of its machine


def summarize(paths: Sequence[Path], out: Path) -> list[Path]:
    """Write the summary of every result and training log in ``paths`` (files or folders) into ``out``; those of a run's
    folders ``seed-*`` into the same folders there.

    Raises PathNotFoundError, DataError, StorageError.
    """
    written = []
    for path in paths:
        for seed in sorted(path.glob("seed-*")):
            written += summarize([seed], out / seed.name)
    for path in _files(paths):
        if path.suffix == ".jsonl":
            name = f"{path.parent.name}.jsonl" if path.name == LOG_FILE else path.name
            text = "".join(json.dumps(row) + "\n" for row in summary_of_log(read_log(path)))
        else:
            name, text = path.name, _json(summary_of_result(_parsed(path))) + "\n"
        write_text(out / name, text, hint="choose another folder")
        written.append(out / name)
    return written


def summary_of_result(values: Any) -> Any:
    """The JSON of a result, thinned and rounded."""
    if isinstance(values, dict):
        unset = _UNSET_IN_FIGURES if "unit" in values else ()
        small = {
            key: summary_of_result(value) for key, value in values.items() if key not in unset or value is not None
        }
        if "steps" in values:  # a stage of training, whose checkpoint is a path of one machine
            small.pop("checkpoint", None)
        if small.get("risk_coverage"):
            curve = values["risk_coverage"]
            small["risk_coverage"] |= {"points": [summary_of_result(point) for point in _thinned(curve["points"])]}
        return small
    if isinstance(values, list):
        return [summary_of_result(value) for value in values]
    return float(f"{values:.{_DIGITS}g}") if isinstance(values, float) else values


def _thinned(points: Sequence[Mapping[str, float]]) -> Iterator[Mapping[str, float]]:
    """The first point at or above each coverage."""
    chosen = [next((n for n, p in enumerate(points) if p["coverage"] >= least - 1e-9), None) for least in _COVERAGES]
    return (points[n] for n in dict.fromkeys(chosen) if n is not None)


def summary_of_log(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Held-out measures, every so-manieth loss, and the medians of speed over all points in the last of them."""
    points = [row for row in rows if "losses" in row]
    every = max(1, len(points) // _LOG_POINTS)
    kept = {id(row) for row in [*points[::every], *points[-1:]]}
    small = []
    for row in rows:
        if "losses" in row and id(row) in kept:
            losses = {name: value for name, value in row["losses"].items() if name in _LOG_LOSSES}
            small.append({**row, "losses": losses})
            if row is points[-1]:
                small[-1]["medians"] = row.get("medians") or _medians(points)
        elif "held_out" in row:
            small.append(dict(row))
    return [summary_of_result(row) for row in small]


def _medians(points: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    columns = {key: [row[key] for row in points if row.get(key) is not None] for key in ("tokens_per_second", "mfu")}
    return {key: statistics.median(values) for key, values in columns.items() if values}


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.glob("*.json") if file.name != _RECIPE)
            yield from sorted(path.glob(LOG_FILE)) or sorted(path.glob(f"*/{LOG_FILE}"))
        elif path.is_file():
            yield path
        else:
            raise PathNotFoundError(f"there is no file {path}", hint="give results, or a folder of them")


def _parsed(path: Path) -> Any:
    try:
        return read_json(path, LARGEST_RESULT)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not a result: {error}", hint="give a .json of ragyena eval or bench") from error


def _json(value: Any, indent: int = 0) -> str:
    """JSON in which whatever fits on a line is on one line."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + indent <= _WIDTH or not isinstance(value, (dict, list)) or not value:
        return line
    pad = " " * (indent + 1)
    if isinstance(value, dict):
        items = [
            f"{pad}{json.dumps(key, ensure_ascii=False)}: {_json(each, indent + 1)}" for key, each in value.items()
        ]
        return "{\n" + ",\n".join(items) + "\n" + " " * indent + "}"
    return "[\n" + ",\n".join(pad + _json(each, indent + 1) for each in value) + "\n" + " " * indent + "]"
