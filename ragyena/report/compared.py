"""The runs of one recipe beside each other, the first the one that the others are compared with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ragyena.eval.results import Run, label_runs, scores_of
from ragyena.eval.significance import Difference, Scored, corrected, difference
from ragyena.types import Progress

__all__ = ["Compared", "Sweep", "compare_runs", "number", "sweeps_of"]

MEASURES = ("em", "f1")


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """Runs of one recipe."""

    recipe: str
    runs: tuple[Run, ...]
    gaps: Mapping[tuple[int, str, str], Difference]
    """By place of the run, condition and measure: a later run less the first, on the questions of both; p-values are
    corrected for all of these tests."""

    @property
    def conditions(self) -> dict[str, Mapping[str, Any]]:
        """Every condition that some run has, as the first that has it describes it."""
        found: dict[str, Mapping[str, Any]] = {}
        for run in self.runs:
            for name, condition in run.conditions.items():
                found.setdefault(name, condition)
        return found

    def having(self, condition: str) -> Iterator[tuple[int, Run, Mapping[str, Any]]]:
        """The runs that have a condition, with their place and its figures."""
        for place, run in enumerate(self.runs):
            if condition in run.conditions:
                yield place, run, run.conditions[condition]


@dataclass(frozen=True, slots=True)
class Sweep:
    """Conditions that differ in one quantity alone."""

    quantity: str
    """``context_tokens`` or ``among``."""
    about: str
    """What else tells these conditions from those of other sweeps; empty where nothing does."""
    conditions: Mapping[float, str]
    """Names, by the quantity, which rises."""


def compare_runs(runs: Sequence[Run], progress: Progress | None) -> list[Compared]:
    """The runs by recipe, in the order of their first, every later one tested against the first of its recipe."""
    recipes = list(dict.fromkeys(run.recipe for run in runs))
    groups = [label_runs([run for run in runs if run.recipe == recipe]) for recipe in recipes]
    scores = [[scores_of(run) for run in group] for group in groups]
    pairs = [
        (number, place, condition)
        for number, of_group in enumerate(scores)
        for place, later in enumerate(of_group)
        for condition in later
        if place and later[condition].keys() & of_group[0].get(condition, {}).keys()
    ]
    if progress and pairs:
        progress.start("comparing", len(pairs), "conditions")
    gaps: list[dict[tuple[int, str, str], Difference]] = [{} for _ in groups]
    for number, place, condition in pairs:
        first, later = scores[number][0][condition], scores[number][place][condition]
        names = groups[number][place].label, groups[number][0].label
        config = groups[number][0].result["config"]
        for measure, gap in _gaps(later, first, names, config["resamples"], config["seed"]):
            gaps[number][place, condition, measure] = gap
        if progress:
            progress.advance(1)
    families = [dict(zip(found, corrected([*found.values()]), strict=True)) for found in gaps]
    return [Compared(recipe, tuple(group), found) for recipe, group, found in zip(recipes, groups, families)]


def _gaps(
    later: Mapping[str, Scored], first: Mapping[str, Scored], names: tuple[str, str], resamples: int, seed: int
) -> Iterator[tuple[str, Difference]]:
    common = [question for question in first if question in later]
    sides = [later[question] for question in common], [first[question] for question in common]
    for measure in MEASURES:
        yield measure, difference(*sides, names, "all", measure, resamples=resamples, seed=seed)


def sweeps_of(compared: Compared) -> list[Sweep]:
    """The sweeps over context lengths and numbers of passages; of positions the first alone counts."""
    found: dict[tuple[str, str], dict[float, str]] = {}
    for name, condition in compared.conditions.items():
        parameters = dict(condition["parameters"])
        parameters.pop("position", None)
        quantity = next((key for key in ("context_tokens", "among") if key in parameters), None)
        if quantity is not None:
            at = parameters.pop(quantity)
            about = ", ".join(f"{value} {key}" for key, value in parameters.items())
            found.setdefault((quantity, about), {}).setdefault(at, name)
    return [
        Sweep(quantity, about, {at: names[at] for at in sorted(names)})
        for (quantity, about), names in found.items()
        if len(names) > 1
    ]


def number(value: float | None, form: str) -> str:
    """A figure as ``form`` writes it; empty where it was not measured."""
    return "" if value is None else format(value, form)
