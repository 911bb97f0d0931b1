"""The runs of one recipe side by side; every later one is compared with the first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ragyena.eval.metrics import Estimate
from ragyena.eval.results import Run, label_runs, scores_of
from ragyena.eval.significance import Difference, corrected, differences
from ragyena.report.model import Axis, Cell, Group, LineChart, Mark, Point, Row, Series
from ragyena.types import Progress

__all__ = [
    "Compared",
    "Reading",
    "Sweep",
    "chart_of",
    "compare_runs",
    "counts",
    "grouped",
    "stored_difference",
    "sweeps_of",
]


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """Runs of one recipe."""

    recipe: str
    runs: tuple[Run, ...]
    gaps: Mapping[tuple[int, str], Sequence[Difference]]
    """By place of the run and condition: the later run less the first on the questions of both, for each measure and
    source; p-values are corrected for all of these tests (single sources are a family of their own)."""

    @property
    def conditions(self) -> dict[str, Mapping[str, Any]]:
        """Every condition that some run has, as described by the first that has it."""
        merged: dict[str, Mapping[str, Any]] = {}
        for run in self.runs:
            for name, condition in run.conditions.items():
                merged.setdefault(name, condition)
        return merged

    def readings(self, condition: str) -> list[Reading]:
        """The runs that have a condition."""
        having = [(place, run) for place, run in enumerate(self.runs) if condition in run.conditions]
        return [
            Reading(run.label, place, run.conditions[condition], self.gaps.get((place, condition), ()))
            for place, run in having
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """One run under one condition."""

    label: str
    place: int
    """The run's place among those of its recipe."""
    figures: Mapping[str, Any]
    tests: Sequence[Difference]

    def gap(self, measure: str, source: str = "all") -> Difference | None:
        """The difference to the first run; None where it was not tested."""
        return next((test for test in self.tests if (test.measure, test.source) == (measure, source)), None)


def grouped(
    recipes: Sequence[Compared],
    cells: Callable[[Reading], Sequence[Sequence[Cell]]],
    *,
    counted: bool = False,
    in_order: bool = False,
) -> list[Row]:
    """The rows that each reading gives under the title of its condition, which names the recipe if there are several
    and, with ``counted``, the number of questions; with ``in_order``, a condition's rows are sorted."""
    rows: list[Row] = []
    for one in recipes:
        for name, condition in one.conditions.items():
            readings = one.readings(name)
            under = [row for reading in readings for row in cells(reading)]
            title = f"{one.recipe}, {condition['title']}" if len(recipes) > 1 else str(condition["title"])
            if counted:
                title += f"; n {counts(readings)}"
            if under:
                rows += [Group(title), *(sorted(under, key=lambda row: str(row[0])) if in_order else under)]
    return rows


def counts(readings: Sequence[Reading]) -> str:
    """The number of questions; several where the readers' differ."""
    return ", ".join(dict.fromkeys(f"{reading.figures['whole']['n']:,}" for reading in readings))


def chart_of(
    compared: Compared,
    title: str,
    points: Sequence[Sequence[Point]],
    x: Axis,
    y: Axis,
    *,
    markers: bool = True,
    marks: Sequence[Mark] = (),
) -> LineChart | None:
    """A line for each run, whose ``points`` stand in the order of the runs; None where there are none."""
    runs = enumerate(zip(compared.runs, points, strict=True))
    lines = [Series(run.label, place, own, markers) for place, (run, own) in runs if own]
    return LineChart(title, lines, x, y, marks) if lines else None


@dataclass(frozen=True, slots=True)
class Sweep:
    """Conditions that differ in one quantity alone."""

    quantity: str
    """``context_tokens`` or ``among``."""
    about: str
    """The other parameters, which its conditions share; may be empty."""
    conditions: Mapping[float, str]
    """Names by the quantity, ascending."""


def compare_runs(runs: Sequence[Run], progress: Progress | None = None) -> list[Compared]:
    """Group the runs by recipe and test every later one against the first of its recipe.

    Tests are computed from the answers; a summary, which has none, brings those that were computed before.
    """
    recipes = list(dict.fromkeys(run.recipe for run in runs))
    groups = [label_runs([run for run in runs if run.recipe == recipe]) for recipe in recipes]
    later = sum(len(group) - 1 for group in groups)
    if progress and later:
        progress.start("comparing", later, "runs")
    return [Compared(recipe, tuple(group), _gaps(group, progress)) for recipe, group in zip(recipes, groups)]


def _gaps(group: Sequence[Run], progress: Progress | None) -> dict[tuple[int, str], list[Difference]]:
    first, first_scores = group[0], scores_of(group[0])
    config = first.result["config"]
    gaps: dict[tuple[int, str], list[Difference]] = {}
    stored: dict[tuple[int, str], list[Difference]] = {}
    for place, run in enumerate(group[1:], 1):
        scores = scores_of(run)
        names = run.label, first.label
        for condition in run.conditions:
            mine, base = scores.get(condition, {}), first_scores.get(condition, {})
            if mine.keys() & base.keys():
                ordered = {question: mine[question] for question in base if question in mine}
                seeded = {"resamples": config["resamples"], "seed": config["seed"]}
                gaps[place, condition] = differences(ordered, base, names, **seeded)
            elif run.comparison.get("first", {}).get("fingerprint") == first.result["reader"]["fingerprint"]:
                tests = run.comparison["conditions"].get(condition, ())
                stored[place, condition] = [stored_difference(test, turned=True) for test in tests]
        if progress:
            progress.advance(1)
    coming = iter(corrected([test for tests in gaps.values() for test in tests]))
    return {key: [next(coming) for _ in tests] for key, tests in gaps.items()} | stored


def stored_difference(values: Mapping[str, Any], *, turned: bool = False) -> Difference:
    """A difference as results hold it; ``turned`` is second less first."""
    kept = {key: value for key, value in values.items() if key in Difference.__dataclass_fields__}
    gap = Difference(**{**kept, "difference": Estimate(**values["difference"])})
    if not turned:
        return gap
    mean, low, high = (-value + 0.0 for value in (gap.difference.mean, gap.difference.high, gap.difference.low))
    return replace(
        gap,
        first=gap.second,
        second=gap.first,
        first_mean=gap.second_mean,
        second_mean=gap.first_mean,
        difference=Estimate(mean, low, high),
        verdict={"first": "second", "second": "first"}.get(gap.verdict, gap.verdict),
    )


def sweeps_of(compared: Compared) -> list[Sweep]:
    """The sweeps over context lengths and numbers of passages; of several positions the first alone counts."""
    grouped: dict[tuple[str, str], dict[float, str]] = {}
    for name, condition in compared.conditions.items():
        parameters = dict(condition["parameters"])
        parameters.pop("position", None)
        quantity = next((key for key in ("context_tokens", "among") if key in parameters), None)
        if quantity is not None:
            at = parameters.pop(quantity)
            about = ", ".join(f"{value} {key}" for key, value in parameters.items())
            grouped.setdefault((quantity, about), {}).setdefault(at, name)
    return [
        Sweep(quantity, about, {at: names[at] for at in sorted(names)})
        for (quantity, about), names in grouped.items()
        if len(names) > 1
    ]
