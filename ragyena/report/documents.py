"""Results of the task ``documents``: what is right, withheld and cited by kind of document and type of answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from ragyena.eval.document_compare import DocumentComparison, compare_documents
from ragyena.eval.results import DocumentRun
from ragyena.eval.significance import SIGNIFICANT
from ragyena.report.compared import explained
from ragyena.report.confidence import coverage_blocks, reliability_blocks
from ragyena.report.model import Block, Bullets, Cell, DotChart, Figures, Group, Point, Row, Section, Table, Text, Value
from ragyena.report.numbers import difference, withheld_by

__all__ = ["DOCUMENT_COLUMNS", "documents_sections"]

DOCUMENT_COLUMNS = {
    "right": "right",
    "f1": "F1",
    "withheld": "withheld",
    "evidence_packed": "packed",
    "cited": "cited",
    "calibration_error": "ECE",
    "auroc": "AUROC",
}
"""The figures of a group of answers, and what they are called."""
_DRAWN = {"right": "right, %", "withheld": "withheld, %"}
_MEASURES = {"right": "right", "f1": "F1", "withheld": "withheld", "brier": "1 - Brier score"}

Figured = Mapping[str, Any]


def documents_sections(runs: Sequence[DocumentRun], *, named: bool) -> list[Section]:
    """The sections of one recipe; ``named`` puts its name into their titles."""
    recipe = f"{runs[0].result['recipe']}: " if named else ""
    conditions = list(dict.fromkeys(name for run in runs for name in run.result["conditions"]))
    readings = {
        _title(name): [(run.label, run.result["conditions"].get(name, {})) for run in runs] for name in conditions
    }
    wrong = "by what the type of the question asks for"
    sections = [
        Section("By type of answer and kind of document", list(chain(*(_figures(*one) for one in readings.items())))),
        Section("Readers compared", [block for other in runs[1:] for block in _comparison(runs[0], other)]),
        Section("Confidence", [*reliability_blocks(readings), *coverage_blocks(readings, wrong)]),
        Section("What was run", [Bullets([_fact(run) for run in runs])]),
    ]
    return [Section(f"{recipe}{one.title}", one.blocks) for one in sections if one.blocks]


def _title(condition: str) -> str:
    length = condition.rpartition("-")[2]
    return f"end to end, {int(length):,} tokens" if length.isdigit() else condition


def _figures(title: str, readings: Sequence[tuple[str, Figured]]) -> list[Block]:
    groups = list(dict.fromkeys(group for _, condition in readings for group in condition.get("groups", ())))
    charts = [
        DotChart(
            f"{label.partition(',')[0]}, {title}",
            groups,
            {
                name: [_point(found.get("groups", {}).get(group), measure) for group in groups]
                for name, found in readings
            },
            label,
        )
        for measure, label in _DRAWN.items()
    ]
    rows: list[Row] = []
    for group in groups:
        if len(readings) > 1:
            rows.append(Group(group))
        for name, condition in readings:
            if figures := condition.get("groups", {}).get(group):
                cells = [_cell(figures.get(column)) for column in DOCUMENT_COLUMNS]
                rows.append([name if len(readings) > 1 else group, f"{figures['n']:,}", *cells])
    text = (
        f"{title[0].upper()}{title[1:]}, in percent with 95% intervals of a bootstrap over documents. A span or "
        "comparison is right from an F1 of 0.6, a list from a mean best F1 of 0.7 over its items, yes and no where the "
        "word is, a question without an answer where none is given. Packed: all evidence was in what was read; cited: "
        "the best candidate lies in the evidence. ECE and AUROC are of the confidence, withheld answers included."
    )
    return [
        Text(text),
        Figures(charts, Table(["reader" if len(readings) > 1 else "", "n", *DOCUMENT_COLUMNS.values()], rows)),
    ]


def _cell(figure: Sequence[float] | None) -> Cell:
    return "" if figure is None else Value(f"{figure[0]:.1f}", f"{figure[1]:.1f}–{figure[2]:.1f}")


def _point(figures: Figured | None, measure: str) -> Point | None:
    found = (figures or {}).get(measure)
    return None if found is None else Point(0.0, *found[:3])


def _comparison(first: DocumentRun, second: DocumentRun) -> list[Block]:
    if first.answers is None or second.answers is None:
        return [Text(f"{second.label}: no differences: there are no answers next to the results.")]
    return [block for one in compare_documents(first, second) for block in _differences(one)]


def _differences(found: DocumentComparison) -> list[Block]:
    rows: list[Row] = [
        [
            test.source,
            _MEASURES[test.measure],
            f"{test.n:,}",
            f"{test.second_mean:.1f}",
            f"{test.first_mean:.1f}",
            difference(test),
        ]
        for test in found.tests
    ]
    text = (
        f"`{found.second}` less `{found.first}`, {_title(found.condition)}, on the same questions: ▲ and ▼ stand where "
        f"a paired permutation test over documents gives p < {SIGNIFICANT:g} after Holm's correction. The Brier score "
        "is the squared gap between confidence and truth. Calibration error "
        f"{_signed(found.calibration_error)}, AUROC {_signed(found.auroc)} percent points."
    )
    return explained(text, Table(["questions", "measure", "n", found.first, found.second, "difference"], rows, left=2))


def _signed(estimate: Any) -> str:
    return "-" if estimate is None else f"{estimate.mean:+.1f} ({estimate.low:+.1f} to {estimate.high:+.1f})"


def _fact(run: DocumentRun) -> str:
    result = run.result
    reader, machine = result["reader"], result["machine"]
    return (
        f"{run.label}: {reader['parameters'] / 1e6:.1f}M parameters, {reader['fingerprint'][:12]}, {reader['dtype']} "
        f"on {reader['device']}, withheld below {withheld_by(result)}; {result['date']}; {machine['processor']}, "
        f"{machine['cores']} cores, torch {machine['versions']['torch']}"
    )
