"""The tables of the page of claims (``ragyena.report.claims``), each made of result files and training logs alone."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from ragyena.errors import DataError
from ragyena.eval.metrics import scipy_stats
from ragyena.parsing import read_json
from ragyena.report.compared import Compared
from ragyena.report.model import Block, Cell, Group, Row, Table, Value
from ragyena.report.numbers import number
from ragyena.report.training import Stage, find_stages

__all__ = ["curves", "filters", "hardware", "only", "operator", "recall", "tuned_recall", "variants"]

NOT_YET = "not measured yet"
_LOSS, _PERPLEXITY, _ACCURACY = "held-out loss", "held-out perplexity", "held-out accuracy "
_SIZE = re.compile(r"(causal|two-sided), ([\d,]+) x (\d+), batch 1: (.+)")
_ATTENTION = re.compile(r"(cudnn|flash)-(\d+) (forward(?: \+ backward)?)")
_FILTER = re.compile(r"(.+), ([\d,]+) lags: (.+)")


def hardware(paths: Sequence[Path]) -> str:
    """The devices that results name: of benchmarks, evaluations, and summaries of training runs."""
    devices: dict[str, None] = {}
    for path in paths:
        for file in [path] if path.is_file() else sorted(path.glob("*.json")):
            values = read_json(file)
            machine = values.get("machine", {})
            if isinstance(machine, str):  # the summary of a training run
                devices[machine or "a CPU"] = None
            elif "setting" in values:
                device = values["setting"].get("device", "")
                devices[f"a CPU ({machine['processor']})" if device == "cpu" else device] = None
            for result in values.get("results", ()):
                devices |= dict.fromkeys(result["machine"]["gpus"])
    return ", ".join(filter(None, devices))


# ---------------------------------------------------------------------------------------------------------------
# Language models
# ---------------------------------------------------------------------------------------------------------------


def variants(folder: Path, groups: Mapping[str, Mapping[str, str]]) -> list[Block]:
    """Held-out perplexity of the stages of a sweep, and the difference in loss to the first of each group, over seeds.

    Intervals are Student's t over seeds, of differences paired by seed. A stage without a log is not measured yet.
    """
    seeds = _stages_by_seed(folder, folder.name[11:])
    head = ["variant", "what it is", "seeds", "tokens", "model PFLOP", "perplexity", "loss less the first's, nats"]
    rows: list[Row] = []
    for title, named in groups.items():
        rows.append(Group(title))
        first = next(iter(named))
        for name, about in named.items():
            stages = [seed[name] for seed in seeds if name in seed]
            if not stages:
                rows.append([name, about, "", "", "", NOT_YET])
                continue
            perplexity = _mean([stage.measured[_PERPLEXITY] for stage in stages], ".2f")
            both = [seed for seed in seeds if name in seed and first in seed]
            gaps = [seed[name].measured[_LOSS] - seed[first].measured[_LOSS] for seed in both]
            gap = _mean(gaps, "+.4f") if gaps and name != first else ""
            last = stages[0].last
            size = f"{last['tokens'] / 1e6:,.1f}M", f"{last['flops'] / 1e15:.3g}"
            rows.append([name, about, str(len(stages)), *size, perplexity, gap])
    return [Table(head, rows, left=2)] if any(seeds) else []


def _mean(values: Sequence[float], form: str) -> Value:
    """The mean, and below it the 95% interval (Student's t) where there are several values."""
    mean = statistics.mean(values)
    if len(values) < 2:
        return Value(format(mean, form))
    quantile = float(scipy_stats().t.ppf(0.975, len(values) - 1))
    half = quantile * statistics.stdev(values) / math.sqrt(len(values))
    dash = " to " if "+" in form else "–"
    return Value(format(mean, form), f"{mean - half:{form}}{dash}{mean + half:{form}}")


def _stages_by_seed(folder: Path, prefix: str) -> list[dict[str, Stage]]:
    """Stages by name, without the folder's name before it; of the folder and of the ``seed-*`` folders inside."""
    seeds = []
    for place in [folder, *sorted(folder.glob("seed-*"))]:
        stages = find_stages(sorted(place.glob("*.jsonl")))
        seeds.append({stage.name.removeprefix(f"{prefix}-"): stage for stage in stages})
    return seeds


def curves(folder: Path, pairs: Sequence[tuple[str, str]]) -> list[Block]:
    """Perplexity of two models during one training, at equal tokens and at equal FLOPs.

    The second model's loss at the first's FLOPs is interpolated in the logarithm of FLOPs between its measurements.
    """
    stages = {stage.name: stage for stage in find_stages(sorted(folder.glob("*.jsonl")))}
    head = ["tokens", "perplexity", "baseline, equal tokens", "ratio", "baseline, equal FLOPs", "ratio"]
    rows: list[Row] = []
    for name, baseline in pairs:
        if name not in stages or baseline not in stages:
            continue
        rows.append(Group(f"{name}, baseline {baseline}"))
        at_tokens = {row["tokens"]: row["held_out"][_PERPLEXITY] for row in stages[baseline].held_out}
        for row in stages[name].held_out:
            own = row["held_out"][_PERPLEXITY]
            cells: list[Cell] = [f"{row['tokens'] / 1e6:,.1f}M", f"{own:.2f}"]
            for other in (at_tokens.get(row["tokens"]), _at_flops(stages[baseline], row["flops"])):
                cells += [number(other, ".2f"), "" if other is None else f"{own / other:.3f}"]
            rows.append(cells)
    return [Table(head, rows)] if rows else []


def _at_flops(stage: Stage, flops: float) -> float | None:
    """The perplexity at some FLOPs; None outside of those measured at."""
    points = [(math.log(row["flops"]), row["held_out"][_LOSS]) for row in stage.held_out]
    at = math.log(flops)
    for (left, above), (right, below) in pairwise(points):
        if left <= at <= right:
            return math.exp(above + (below - above) * (at - left) / (right - left))
    return None


# ---------------------------------------------------------------------------------------------------------------
# Speed
# ---------------------------------------------------------------------------------------------------------------


def operator(paths: Sequence[Path]) -> list[Block]:
    """Times of the long convolution and of the fastest attention of the same size, of ``ragyena bench operator``."""
    head = ["positions", "channels", "forward, ms", "fastest attention, ms", "ratio"]
    head += ["forward + backward, ms", "fastest attention, ms", "ratio"]
    rows: list[Row] = []
    for path in paths:
        result = read_json(path)
        sizes: dict[tuple[str, int, int], dict[str, float]] = {}
        for figure in result["figures"]:
            if measured := _SIZE.fullmatch(figure["name"]):
                scope, positions, channels, quantity = measured.groups()
                key = scope, int(positions.replace(",", "")), int(channels)
                sizes.setdefault(key, {})[quantity] = figure["value"]
        for scope in dict.fromkeys(scope for scope, _, _ in sizes):
            rows.append(Group(f"{scope}, {result['setting']['device']}, {result['date']}"))
            for (_, positions, channels), times in sorted(size for size in sizes.items() if size[0][0] == scope):
                if any(map(_ATTENTION.fullmatch, times)):
                    rows.append([f"{positions:,}", str(channels), *_against(times)])
    return [Table(head, rows)] if rows else []


def _against(times: Mapping[str, float]) -> list[Cell]:
    cells: list[Cell] = []
    for passes in ("forward", "forward + backward"):
        attention = {
            f"{kind[1]}, heads of {kind[2]}": value
            for name, value in times.items()
            if (kind := _ATTENTION.fullmatch(name)) and kind[3] == passes
        }
        own = times.get(passes)
        fastest = min(attention, key=lambda name: attention[name]) if attention else ""
        best = attention.get(fastest)
        ratio = f"{best / own:.1f}" if best and own else ""
        cells += [number(own, ".3f"), Value(f"{best:.3f}", fastest) if best else "", ratio]
    return cells


# ---------------------------------------------------------------------------------------------------------------
# Recall, filters, readers
# ---------------------------------------------------------------------------------------------------------------


def recall(folders: Sequence[Path], groups: Mapping[str, Mapping[str, str]]) -> list[Block]:
    """Accuracy at the end of training, by length, of every mixer's folder; means and intervals over seeds."""
    runs = {folder.name[11:]: _stages_by_seed(folder, folder.name[11:]) for folder in folders if folder.is_dir()}
    lengths = _lengths(stage for seeds in runs.values() for seed in seeds for stage in seed.values())
    rows: list[Row] = []
    for task, about in _items(groups):
        rows.append(Group(about))
        for run, seeds in runs.items():
            stages = [seed[task] for seed in seeds if task in seed]
            rows.append([run, str(len(stages) or ""), *_accuracies(stages, lengths)])
    return [Table(["recipe", "seeds", *(f"{n:,}" for n in lengths)], rows)] if lengths else []


def tuned_recall(folder: Path, groups: Mapping[str, Mapping[str, str]]) -> list[Block]:
    """The same of stages called MIXER-RATE-TASK: each mixer at the rate with the best mean over lengths and seeds."""
    seeds = _stages_by_seed(folder, folder.name[11:])
    lengths = _lengths(stage for seed in seeds for name, stage in seed.items() if not name.endswith("-short"))
    rows: list[Row] = []
    for task, about in _items(groups):
        rows.append(Group(about))
        tried: dict[str, dict[str, list[Stage]]] = {}  # by mixer and rate
        for seed in seeds:
            for name, stage in seed.items():
                if parts := re.fullmatch(rf"(\w+)-(.+)-{task}", name):
                    tried.setdefault(parts[1], {}).setdefault(parts[2], []).append(stage)
        for mixer, rates in tried.items():
            best = max(rates, key=lambda rate: statistics.mean(map(_accuracy, rates[rate])))
            chosen = f"{best} of {', '.join(rates)}"
            rows.append([mixer, chosen, str(len(rates[best])), *_accuracies(rates[best], lengths)])
    return [Table(["mixer", "rate", "seeds", *(f"{n:,}" for n in lengths)], rows, left=2)] if lengths else []


def _items(groups: Mapping[str, Mapping[str, str]]) -> list[tuple[str, str]]:
    return [item for named in groups.values() for item in named.items()]


def _lengths(stages: Iterable[Stage]) -> list[int]:
    names = {name for stage in stages for name in stage.measured if name.startswith(_ACCURACY)}
    return sorted(int(name.removeprefix(_ACCURACY)) for name in names)


def _accuracy(stage: Stage) -> float:
    """The mean over lengths."""
    return statistics.mean(value for name, value in stage.measured.items() if name.startswith(_ACCURACY))


def _accuracies(stages: Sequence[Stage], lengths: Sequence[int]) -> list[Cell]:
    """Percent, a cell for each length."""
    if not stages:
        return [*[""] * (len(lengths) - 1), NOT_YET]
    cells: list[Cell] = []
    for length in lengths:
        name = f"{_ACCURACY}{length}"
        values = [100 * stage.measured[name] for stage in stages if name in stage.measured]
        cells.append(_mean(values, ".1f") if values else "")
    return cells


def filters(path: Path) -> list[Block]:
    """The figures of ``ragyena bench filters``: a group of rows for each quantity, a column for each length."""
    values: dict[str, dict[tuple[str, int], float]] = {}
    for figure in read_json(path)["figures"]:
        measured = _FILTER.fullmatch(figure["name"])
        if not measured:
            raise DataError(f"{path}: {figure['name']} is no figure of filters", hint="run ragyena bench filters again")
        name, lags, quantity = measured.groups()
        values.setdefault(name, {})[quantity, int(lags.replace(",", ""))] = figure["value"]
    keys = list(dict.fromkeys(key for of in values.values() for key in of))
    lengths = sorted({lags for _, lags in keys})
    shown = [lengths[0], lengths[-1]] if len(lengths) > 1 else lengths
    rows: list[Row] = []
    for quantity in dict.fromkeys(quantity for quantity, _ in keys):
        rows.append(Group(quantity))
        for name, of in values.items():
            rows.append(
                [name, *(number(of.get((quantity, lags)), ".3g") for lags in lengths), _growth(of, quantity, shown)]
            )
    return [Table(["filters", *(f"{n:,} lags" for n in lengths), "last over first"], rows)]


def _growth(of: Mapping[tuple[str, int], float], quantity: str, shown: Sequence[int]) -> str:
    ends = [of.get((quantity, lags)) for lags in shown]
    return f"{ends[-1] / ends[0]:.2f}" if len(ends) > 1 and ends[0] and ends[-1] else ""


def only(recipes: Sequence[Compared], labels: Sequence[str]) -> list[Compared]:
    """The evaluations with these readers alone; differences stay those to the first reader of the evaluation."""
    thinned = []
    for one in recipes:
        kept = [place for place, run in enumerate(one.runs) if run.label in labels]
        gaps = {(kept.index(place), name): tests for (place, name), tests in one.gaps.items() if place in kept}
        thinned.append(replace(one, runs=tuple(one.runs[place] for place in kept), gaps=gaps))
    return thinned
