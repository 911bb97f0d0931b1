"""The same question with each reader's answer, side by side: drawn by a hash, the same ones every time."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from ragyena.report.compared import Compared
from ragyena.report.model import Example, ExampleAnswer, Examples, Section, Text

__all__ = ["examples_section"]

_OF_EACH_KIND = 2

Row = Mapping[str, Any]


def examples_section(compared: Compared) -> Section | None:
    """Questions on which readers differ, then ones that none gets right, then ones that all do. None where no run has
    its answers beside it."""
    runs = [run for run in compared.runs if run.rows]
    answered: dict[tuple[str, str], dict[str, Row]] = {}
    for run in runs:
        for row in run.rows or ():
            answered.setdefault((row["condition"], row["question_id"]), {})[run.label] = row
    conditions = compared.conditions
    chosen: dict[str, list[Example]] = {}
    used: set[str] = set()
    for condition, question in sorted(answered, key=lambda key: (_draw(key), key)):
        rows = answered[condition, question]
        if len(rows) < len(runs) or condition not in conditions or question in used:
            continue
        of_kind = chosen.setdefault(kind := _kind(rows), [])
        if len(of_kind) < _OF_EACH_KIND:
            of_kind.append(_example(kind, conditions[condition]["title"], rows))
            used.add(question)
    kinds = sorted(chosen, key=lambda kind: (kind.startswith(("all", "right")), kind.startswith("none"), kind))
    examples = [example for kind in kinds for example in chosen[kind]]
    text = (
        "Drawn by a hash of condition and question, at most two of each kind. Evidence is the sentence that a reader's "
        "best span stands in. Right is an exact match with one of the gold answers."
    )
    return Section("Examples", [Text(text), Examples(examples)]) if examples else None


def _kind(rows: Mapping[str, Row]) -> str:
    right = [label for label, row in rows.items() if row.get("em")]
    if "em" not in next(iter(rows.values())):
        return "no answer in the context"
    if len(rows) == 1:
        return "right" if right else "wrong"
    if len(right) in (0, len(rows)):
        return "all right" if right else "none right"
    return f"{' and '.join(right)} right" if len(right) <= 2 else f"{len(right)} of {len(rows)} right"


def _draw(key: tuple[str, str]) -> str:
    return hashlib.sha256("\0".join(key).encode(errors="surrogatepass")).hexdigest()


def _example(kind: str, condition: str, rows: Mapping[str, Row]) -> Example:
    answers = [
        ExampleAnswer(label, row["answer"], bool(row.get("em")), row["confidence"], row.get("evidence", ""))
        for label, row in rows.items()
    ]
    first = next(iter(rows.values()))
    return Example(kind, first["question"], condition, first["answers"], answers)
