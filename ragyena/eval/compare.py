"""Compare two results on the same questions: differences, p-values and who is better."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ragyena.errors import DataError
from ragyena.eval.journal import write_json
from ragyena.eval.results import by_condition, read_answers, read_result
from ragyena.eval.significance import Difference, corrected, differences

__all__ = ["Comparison", "compare", "compare_all", "write", "write_together"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two readers under the same conditions."""

    date: str
    recipe: str
    first: Mapping[str, Any]
    """The first result's reader, date and file."""
    second: Mapping[str, Any]
    conditions: Mapping[str, tuple[Difference, ...]]
    """By the name of the condition; those that both results have."""
    left_out: tuple[str, ...]
    """Conditions that only one result has."""


def compare(first: Path, second: Path) -> Comparison:
    """Compares question by question under each condition that both results have. ``first`` and ``second`` are results
    of ``ragyena eval``, with the answers they name beside them; resamples and seed are those of the first. P-values are
    corrected for all tests of the comparison.

    Raises PathNotFoundError, and DataError for files that are no results or have no question in common.
    """
    a, b = read_result(first), read_result(second)
    scores_a, scores_b = (by_condition(read_answers(path, result)) for path, result in ((first, a), (second, b)))
    resamples, seed = a["config"]["resamples"], a["config"]["seed"]
    names = (f"{a['reader']['name']}", f"{b['reader']['name']}")
    compared = {}
    for condition in scores_a:
        if condition in scores_b and scores_a[condition].keys() & scores_b[condition].keys():
            compared[condition] = tuple(
                differences(scores_a[condition], scores_b[condition], names, resamples=resamples, seed=seed)
            )
    if not compared:
        raise DataError(
            f"{first} and {second} have no question under the same condition in common",
            hint="compare results of the same recipe: ragyena eval RECIPE --reader A --reader B",
        )
    comparison = Comparison(
        date=time.strftime("%Y-%m-%d"),
        recipe=a["recipe"],
        first={**a["reader"], "date": a["date"], "result": first.name},
        second={**b["reader"], "date": b["date"], "result": second.name},
        conditions=compared,
        left_out=tuple(sorted((scores_a.keys() | scores_b.keys()) - compared.keys())),
    )
    return _corrected([comparison])[0]


def compare_all(results: Sequence[Path]) -> list[Comparison]:
    """Each result but the first with the first; p-values are corrected for all of these tests. Raises what ``compare``
    does."""
    return _corrected([compare(results[0], other) for other in results[1:]])


def _corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    flat = [test for one in comparisons for tests in one.conditions.values() for test in tests]
    coming = iter(corrected(flat))
    return [
        replace(one, conditions={name: tuple(next(coming) for _ in tests) for name, tests in one.conditions.items()})
        for one in comparisons
    ]


def write(comparison: Comparison, path: Path) -> None:
    """As JSON. Raises StorageError."""
    write_json(path, asdict(comparison))


def write_together(results: Sequence[Path], comparisons: Sequence[Comparison], path: Path) -> None:
    """Several readers' results of one recipe in one file, in their order, with the comparison of each but the first
    with the first. Raises PathNotFoundError, DataError, StorageError."""
    whole = [read_result(result) for result in results]
    values = {
        "recipe": whole[0]["recipe"],
        "date": max(result["date"] for result in whole),
        "results": whole,
        "comparisons": [asdict(comparison) for comparison in comparisons],
    }
    write_json(path, values)
