"""The truth of a reader's confidence: reliability, risk against coverage, abstention, the measures of SQuAD 2.0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ragyena.eval.metrics import risk_coverage
from ragyena.eval.results import Run
from ragyena.report.compared import Compared, Reading, explained, grouped
from ragyena.report.model import Axis, Block, Cell, Figures, Group, LineChart, Point, Row, Section, Series, Table, Text
from ragyena.report.numbers import number, score, withheld_by

__all__ = ["abstention", "confidence_section", "coverage_blocks", "reliability_blocks"]

_MOST_CURVES = 6  # charts; the tables have all
_COVERAGES = (0.5, 0.8, 1.0)
_EXACT = 6  # the style of the line of a confidence that is true: black

Readings = Sequence[tuple[str, Mapping[str, Any]]]
"""Labels of readers and their figures of one condition."""


def confidence_section(compared: Compared) -> Section | None:
    """The reliability of each reader's confidence."""
    conditions = {
        str(condition["title"]): [(run.label, _figures(run, name)) for run in compared.runs]
        for name, condition in compared.conditions.items()
    }
    blocks = [*reliability_blocks(conditions), *coverage_blocks(conditions, "not an exact match"), *squad2([compared])]
    return Section("Confidence", [*blocks, *abstention([compared])]) if blocks else None


def _figures(run: Run, condition: str) -> Mapping[str, Any]:
    """The figures of a run; the curve of a result from before the first schema is made from its answers."""
    figures = run.conditions.get(condition, {})
    rows = [row for row in run.rows or () if row["condition"] == condition]
    if "risk_coverage" in figures or not rows:
        return figures
    curve = asdict(risk_coverage([row["confidence"] for row in rows], [row.get("em", 0.0) for row in rows]))
    return {**figures, "risk_coverage": curve}


# ---------------------------------------------------------------------------------------------------------------
# Reliability
# ---------------------------------------------------------------------------------------------------------------

_STATED = {
    "confidence": ("confidence", "confidence that the answer is right", "of these right"),
    "no_answer": ("no-answer probability", "probability of there being no answer", "of these without an answer"),
}


def reliability_blocks(conditions: Mapping[str, Readings]) -> list[Block]:
    """Reliability diagrams of both probabilities, and their calibration errors."""
    charts: list[LineChart] = []
    rows: list[Row] = []
    for title, readings in conditions.items():
        for measure, (subject, stated, true) in _STATED.items():
            found = [
                (n, label, figures[measure]) for n, (label, figures) in enumerate(readings) if figures.get(measure)
            ]
            if not found:
                continue
            if len(charts) < _MOST_CURVES:
                charts.append(_diagram(f"reliability of the {subject}, {title}", found, stated, true))
            rows.append(Group(f"{title}: {subject}"))
            rows += [[label, *_cells(figures)] for _, label, figures in found]
    if not charts:
        return []
    text = (
        "Reliability: of the answers of about one confidence (bins of equally many answers), the fraction that is "
        "right; a confidence that is true lies on the diagonal. Answers count as they would be given without a "
        "threshold; right is an F1 of 0.6, or what the type of the question asks for. The expected calibration error "
        "(ECE) is the mean gap over the bins; a confidence that is exactly true has the error 'by chance' with so few "
        "answers. Intervals are 95%, over whole documents or contexts."
    )
    head = ["reader", "n", "says, on average", "true", "ECE", "by chance", "AUROC"]
    return [Text(text), Figures(charts, Table(head, rows))]


def _diagram(title: str, found: Sequence[tuple[int, str, Mapping[str, Any]]], stated: str, true: str) -> LineChart:
    exact = Series("exactly true", _EXACT, [Point(0.0, 0.0), Point(1.0, 1.0)], markers=False)
    series = [
        Series(
            label,
            style,
            [
                Point(one["confidence"], one["right"]["mean"], one["right"]["low"], one["right"]["high"])
                for one in figures["bins"]
            ],
        )
        for style, label, figures in found
    ]
    axes = Axis(stated, low=0.0, high=1.0), Axis(f"fraction {true}", low=0.0, high=1.0)
    return LineChart(title, [exact, *series], *axes)


def _cells(figures: Mapping[str, Any]) -> list[Cell]:
    area = figures["auroc"]
    return [
        f"{figures['n']:,}",
        f"{figures['confidence']:.1%}",
        f"{figures['right']:.1%}",
        score(_percent(figures["calibration_error"])),
        number(100 * figures["by_chance"], ".1f"),
        score(_percent(area)) if area else "",
    ]


def _percent(estimate: Mapping[str, float]) -> dict[str, float]:
    return {key: 100 * value for key, value in estimate.items()}


# ---------------------------------------------------------------------------------------------------------------
# Risk and coverage, abstention
# ---------------------------------------------------------------------------------------------------------------


def coverage_blocks(conditions: Mapping[str, Readings], wrong: str) -> list[Block]:
    """The error rate of each reader when it answers only what it is most confident of; ``wrong`` says what counts."""
    charts: list[LineChart] = []
    rows: list[Row] = []
    axes = Axis("fraction answered, most confident first", low=0.0, high=1.0), Axis("of these wrong", low=0.0)
    for title, readings in conditions.items():
        curves = [(n, label, figures.get("risk_coverage")) for n, (label, figures) in enumerate(readings)]
        drawn = [
            Series(label, n, [Point(point["coverage"], point["risk"]) for point in curve["points"]], markers=False)
            for n, label, curve in curves
            if curve and curve["points"]
        ]
        if not drawn:
            continue
        if len(charts) < _MOST_CURVES:
            charts.append(LineChart(f"risk against coverage, {title}", drawn, *axes))
        rows.append(Group(title))
        for _, label, curve in curves:
            if curve:
                points = [(point["coverage"], point["risk"]) for point in curve["points"]]
                risks = [next((y for x, y in points if x >= coverage - 1e-9), None) for coverage in _COVERAGES]
                figures = (number(figure, ".3f") for figure in (curve["aurc"], *risks))
                rows.append([label, f"{curve['n']:,}", *figures])
    if not charts:
        return []
    text = (
        "If a reader answers only the questions whose answer it is most confident of: which fraction of these is "
        f"wrong ({wrong}). Unanswerable questions, where there are some, count as wrong when answered. AURC is the "
        "area under the curve; less is better."
    )
    table = Table(["reader", "n", "AURC", *(f"risk at {coverage:.0%}" for coverage in _COVERAGES)], rows)
    return [Text(text), Figures(charts, table)]


def squad2(recipes: Sequence[Compared]) -> list[Block]:
    """The official measures of SQuAD 2.0, where questions with and without an answer were asked."""

    def cells(reading: Reading) -> list[list[Cell]]:
        found = reading.figures.get("squad2")
        if not found:
            return []
        at = [withheld_by(found)]
        parts = [found[part][measure] for part in ("whole", "has_answer", "no_answer") for measure in ("em", "f1")]
        best = [
            f"{found[f'best_{measure}']:.1f} (at {found[f'best_{measure}_threshold']:.2f})" for measure in ("em", "f1")
        ]
        return [[reading.label, *at, *(score(part) for part in parts[:2]), *(score(p) for p in parts[3:5]), *best]]

    text = (
        "The official measures of SQuAD 2.0: a withheld answer is right where there is none, and wrong elsewhere. As "
        "the reader withholds, below a threshold or so many times the probability of there being no answer, all "
        "questions and those with an answer (has) and without one (none); beside it the best figures of any one "
        "threshold, which the official script looks for with the answers at hand."
    )
    head = ["reader", "withheld below", "EM", "F1", "has: F1", "none: EM = F1", "best EM", "best F1"]
    return explained(text, Table(head, grouped(recipes, cells)))


def abstention(recipes: Sequence[Compared]) -> list[Block]:
    """Separation of answerable from unanswerable questions, where both were asked."""

    def cells(reading: Reading) -> list[list[str]]:
        about = reading.figures.get("abstention")
        if not about:
            return []
        areas = [number(about[key], ".3f") for key in ("auroc", "auroc_no_answer", "auroc_right")]
        answered = [f"{about['answered']:.1%}", number(about.get("answered_em"), ".1f"), f"{about['withheld']:.1%}"]
        counts = f"{about['answerable']:,} / {about['unanswerable']:,}"
        return [[reading.label, counts, *areas, withheld_by(about), *answered]]

    text = (
        "AUROC with which confidence, and the no-answer probability, tell questions whose context holds the answer "
        "from those whose context does not, and with which confidence tells right answers from all else; as the "
        "settings or the reader withhold, how many of the former are answered, their exact match, and how many of the "
        "latter are withheld."
    )
    head = [
        "reader", "with / without", "confidence", "no-answer", "right", "withheld below", "answered", "EM", "withheld",
    ]  # fmt: skip
    return explained(text, Table(head, grouped(recipes, cells)))
