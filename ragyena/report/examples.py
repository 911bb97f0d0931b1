"""The same question with each reader's answer, side by side: drawn by a hash, the same ones every time."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from ragyena.report.compared import Compared
from ragyena.report.model import Example, ExampleAnswer, Examples, Section, Text

__all__ = ["examples_section"]

_OF_EACH_KIND = 2

Row = Mapping[str, Any]


def examples_section(compared: Compared) -> Section | None:
    """Questions on which readers differ, then ones that none gets right, then ones that all do. None where no run has
    its answers beside it."""
    runs = [(place, run) for place, run in enumerate(compared.runs) if run.rows]
    if not runs:
        return None
    answered: dict[tuple[str, str], dict[int, Row]] = {}
    for place, run in runs:
        for row in run.rows or ():
            answered.setdefault((row["condition"], row["question_id"]), {})[place] = row
    order = list(compared.conditions)
    shared = [(key, rows) for key, rows in answered.items() if len(rows) == len(runs) and key[0] in order]
    chosen: dict[str, list[tuple[tuple[str, str], dict[int, Row]]]] = {}
    used: set[str] = set()
    for key, rows in sorted(shared, key=lambda one: (_draw(one[0]), one[0])):
        kind = _kind([rows[place] for place, _ in runs], [compared.runs[place].label for place, _ in runs])
        if key[1] not in used and len(chosen.setdefault(kind, [])) < _OF_EACH_KIND:
            chosen[kind].append((key, rows))
            used.add(key[1])
    examples = [
        _example(kind, compared, key, rows)
        for kind in sorted(chosen, key=lambda kind: (kind.startswith(("all", "right")), kind.startswith("none"), kind))
        for key, rows in chosen[kind]
    ]
    text = (
        "Drawn by a hash of condition and question, at most two of each kind. Evidence is the sentence that a reader's "
        "best span stands in. Right is an exact match with one of the gold answers."
    )
    return Section("Examples", [Text(text), Examples(examples)]) if examples else None


def _kind(rows: Sequence[Row], labels: Sequence[str]) -> str:
    if "em" not in rows[0]:
        return "no answer in the context"
    right = [label for row, label in zip(rows, labels) if row["em"]]
    if len(rows) == 1:
        return "right" if right else "wrong"
    if len(right) in (0, len(rows)):
        return "all right" if right else "none right"
    return f"{' and '.join(right)} right" if len(right) <= 2 else f"{len(right)} of {len(rows)} right"


def _draw(key: tuple[str, str]) -> str:
    return hashlib.sha256("\0".join(key).encode(errors="surrogatepass")).hexdigest()


def _example(kind: str, compared: Compared, key: tuple[str, str], rows: Mapping[int, Row]) -> Example:
    first = next(iter(rows.values()))
    return Example(
        kind=kind,
        question=first["question"],
        condition=compared.conditions[key[0]]["title"],
        gold=first["answers"],
        answers=[
            ExampleAnswer(
                reader=compared.runs[place].label,
                text=row["answer"],
                right=bool(row.get("em")),
                confidence=row["confidence"],
                evidence=row.get("evidence", ""),
            )
            for place, row in sorted(rows.items())
        ],
    )
