"""Result files as written, found by name and date."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from ragyena.errors import DataError
from ragyena.train.log import read_log

__all__ = [
    "ROLES",
    "Evaluation",
    "Section",
    "Training",
    "evaluation",
    "newest",
    "read_json",
    "short_name",
    "training",
]

ROLES = ("Hyena", "twin", "local twin")
"""What the readers of an evaluation of two or three are to each other, in the order in which they were named."""

_DATED = re.compile(r"(\d{4}-\d\d-\d\d)-(.+)")
_NOT_A_NAME = ("checkpoint", "best")  # folders inside a stage's


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page."""

    title: str
    text: str
    plots: Mapping[str, Callable[[Path], None]] = field(default_factory=dict)


def newest(results: Path, name: str) -> list[Path]:
    """Files or folders called ``DATE-NAME``, ``name`` being a regular expression: of each NAME the newest, sorted."""
    found: dict[str, Path] = {}
    for path in sorted(results.iterdir()) if results.is_dir() else ():
        dated = _DATED.fullmatch(path.name)
        if dated and re.fullmatch(name, dated[2]):
            found[dated[2]] = path
    return [found[name] for name in sorted(found)]


def read_json(path: Path) -> dict[str, Any]:
    """Raises DataError where the file is no JSON object."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError("no JSON object")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be used: {error}", hint="commit the file as ragyena wrote it") from error
    return values


def short_name(reader: str) -> str:
    """What a run calls a reader, from the path of its checkpoint."""
    parts = [part for part in Path(reader).parts if part not in _NOT_A_NAME]
    return parts[-1] if parts else reader


class Evaluation:
    """Several readers' results of one recipe: a ``*-readers.json`` of ``ragyena eval``."""

    def __init__(self, name: str, values: Mapping[str, Any]) -> None:
        self.name = name
        self.results: list[dict[str, Any]] = values["results"]
        self._comparisons: list[dict[str, Any]] = values["comparisons"]
        self.readers = [short_name(result["reader"]["name"]) for result in self.results]

    @property
    def roles(self) -> tuple[str, ...]:
        """What each reader is, of an evaluation of two or three."""
        return ROLES[: len(self.results)]

    @property
    def conditions(self) -> list[dict[str, Any]]:
        """Those of the first reader that all readers have."""
        others = [{condition["name"] for condition in result["conditions"]} for result in self.results[1:]]
        return [c for c in self.results[0]["conditions"] if all(c["name"] in names for names in others)]

    def condition(self, reader: int, name: str) -> dict[str, Any]:
        """A condition's figures for one of the readers."""
        return next(c for c in self.results[reader]["conditions"] if c["name"] == name)

    def against_first(self, reader: int, condition: str, measure: str, source: str = "all") -> dict[str, Any] | None:
        """How the first reader differs from a later one (first less other), as the comparison says."""
        found = self._comparisons[reader - 1]["conditions"].get(condition, ())
        return next((d for d in found if (d["source"], d["measure"]) == (source, measure)), None)

    def between(self, reader: int, first: str, second: str, measure: str, source: str = "all") -> dict[str, Any] | None:
        """How two conditions of one reader differ (first less second), where the recipe is about that."""
        wanted = (first, second, source, measure)
        found = self.results[reader]["differences"]
        return next((d for d in found if (d["first"], d["second"], d["source"], d["measure"]) == wanted), None)


def evaluation(path: Path, readers: Sequence[int] = ()) -> Evaluation | None:
    """The evaluation in a file; None where there is none. Raises DataError where it is not one of several readers, or
    not of so many as ``readers`` allows."""
    if not path.is_file():
        return None
    values = read_json(path)
    count = len(values.get("results", ()))
    if count < 2 or len(values.get("comparisons", ())) != count - 1 or (readers and count not in readers):
        allowed = " or ".join(map(str, readers)) or "several"
        raise DataError(
            f"{path} is not the result of {allowed} readers",
            hint="commit the file ending in -readers.json that ragyena eval writes with --reader A --reader B",
        )
    return Evaluation(path.stem, values)


@dataclass(frozen=True, slots=True)
class Training:
    """A stage of training, from its log."""

    name: str
    points: list[dict[str, Any]]
    """Those with losses."""
    held_out: list[dict[str, Any]]
    """Those with held-out measures."""

    @property
    def last(self) -> dict[str, Any]:
        """The last point of all."""
        return max([*self.points, *self.held_out], key=lambda row: (row["step"], "held_out" in row))

    @property
    def measured(self) -> Mapping[str, float]:
        """The held-out measures at the end."""
        return self.held_out[-1]["held_out"] if self.held_out else {}


def training(path: Path) -> Training:
    """The log of a stage, committed under the name of the stage. Raises DataError."""
    rows = read_log(path)
    if not rows:
        raise DataError(f"{path} is empty", hint="commit the log.jsonl of a stage that was trained")
    if any(after["step"] < before["step"] for before, after in pairwise(rows)):
        raise DataError(
            f"{path} holds the logs of several stages",
            hint=f"commit one file a stage, {path.stem}-STAGE.jsonl",
        )
    return Training(path.stem, [row for row in rows if "losses" in row], [row for row in rows if "held_out" in row])
