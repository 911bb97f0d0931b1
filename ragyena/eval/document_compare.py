"""Paired comparison of two readers, or of two fits of one reader's confidence, on the same questions on documents."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ragyena.errors import DataError
from ragyena.eval.journal import write_json
from ragyena.eval.metrics import Estimate
from ragyena.eval.reliability import gaps
from ragyena.eval.results import DocumentRun
from ragyena.eval.significance import Difference, corrected, paired

__all__ = ["DocumentComparison", "compare_documents", "write_document_comparison"]

_RESAMPLES = 2000
Rows = Mapping[str, Mapping[str, Any]]
"""Answers by the id of their question."""


@dataclass(frozen=True, slots=True)
class DocumentComparison:
    """The second reader less the first under one condition."""

    condition: str
    first: str
    second: str
    tests: tuple[Difference, ...]
    """``right``, ``f1``, ``withheld``, and ``brier``: 1 less the squared gap between confidence and truth (Brier 1950),
    a proper score. For all questions, then for each type of answer and each kind of document."""
    calibration_error: Estimate
    """Difference of the expected calibration errors, in percent; less than 0 where the second is the truer."""
    auroc: Estimate | None
    """Difference of the areas under the ROC curve of the confidence, in percent."""


def compare_documents(first: DocumentRun, second: DocumentRun) -> list[DocumentComparison]:
    """For each condition that both have, on the questions that both answered. P-values are corrected for all tests over
    all questions, and for those of single groups, under each condition.

    Raises DataError where answers are missing, or none of the questions are the same.
    """
    rows = [run.answers for run in (first, second)]
    if rows[0] is None or rows[1] is None:
        raise DataError(
            f"the answers of {first.file if rows[0] is None else second.file} are not beside it",
            hint="keep the two files of an evaluation together",
        )
    by_condition = [_by_condition(some) for some in rows if some is not None]
    found = []
    for condition, mine in by_condition[0].items():
        theirs = by_condition[1].get(condition, {})
        if common := [key for key in mine if key in theirs]:
            pairs = [(mine[key], theirs[key]) for key in common]
            found.append(_compared(condition, pairs, (first.label, second.label)))
    if not found:
        raise DataError(
            f"{first.file} and {second.file} have no question under the same condition in common",
            hint="compare results of the same recipe: ragyena eval real --reader A --reader B",
        )
    return found


def write_document_comparison(comparisons: Sequence[DocumentComparison], path: Path) -> None:
    """As JSON. Raises StorageError."""
    write_json(path, {"date": time.strftime("%Y-%m-%d"), "comparisons": [asdict(one) for one in comparisons]})


def _by_condition(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Mapping[str, Any]]]:
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["condition"], {})[row["id"]] = row
    return found


Pairs = Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]


def _compared(condition: str, pairs: Pairs, names: tuple[str, str]) -> DocumentComparison:
    groups: dict[str, list[tuple[Mapping[str, Any], Mapping[str, Any]]]] = {"all": list(pairs)}
    for field in ("answer_type", "source"):
        for pair in sorted(pairs, key=lambda pair: str(pair[0][field])):
            groups.setdefault(f"{field.partition('_')[2] or field} {pair[0][field]}", []).append(pair)
    tests = [
        _test(some, group, measure, names)
        for group, some in groups.items()
        for measure in (("right", "f1", "withheld", "brier") if group == "all" else ("right", "brier"))
    ]
    stated = [
        ([pair[side]["confidence"] for pair in pairs], [pair[side]["right_unwithheld"] for pair in pairs])
        for side in (1, 0)
    ]
    documents = [pair[0]["document_id"] for pair in pairs]
    found = gaps(stated[0], stated[1], documents, resamples=_RESAMPLES)
    area = None if found.auroc is None else _percent(found.auroc)
    return DocumentComparison(condition, *names, tuple(corrected(tests)), _percent(found.calibration_error), area)


def _test(pairs: Pairs, group: str, measure: str, names: tuple[str, str]) -> Difference:
    first, second = ([_value(pair[side], measure) for pair in pairs] for side in (0, 1))
    documents = [pair[0]["document_id"] for pair in pairs]
    return paired(second, first, documents, (names[1], names[0]), group, measure, resamples=_RESAMPLES, seed=0)


def _percent(estimate: Estimate) -> Estimate:
    return Estimate(100 * estimate.mean, 100 * estimate.low, 100 * estimate.high)


def _value(row: Mapping[str, Any], measure: str) -> float:
    if measure == "brier":
        return float(1.0 - (row["confidence"] - float(row["right_unwithheld"])) ** 2)
    return float(row[measure])
