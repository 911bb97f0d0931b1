"""What searches find: recall against the number of passages looked at, ranks, time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ragyena.eval.significance import SIGNIFICANT
from ragyena.report.blocks import Block, Cell, Code, Figure, Figures, Line, Section, Table, Text, Value
from ragyena.report.charts import Axis, Point, Series, line_chart
from ragyena.report.facts import as_yaml
from ragyena.report.verdict import interval, p_value, score

__all__ = ["retrieval_sections"]


def retrieval_sections(result: Mapping[str, Any], *, named: bool) -> Iterator[Section]:
    """Of one result; ``named``: its recipe stands in the titles."""
    prefix = f"{result['recipe']}: " if named else ""
    conditions = result["conditions"]
    head = ["search", "n", "nDCG@10", "MRR", *(f"answer in {k}" for k in conditions[0]["answer_recall"]), "ms a search"]
    rows: list[Line] = [_row(condition, result["differences"]) for condition in conditions]
    first = conditions[0]["title"]
    text = (
        "Percent of the questions with an answer, as tokens, in one of the first k passages found; nDCG@10 and mean "
        "reciprocal rank, times 100, of the passages of the question's own context where it is known; the median time "
        "of a search."
    )
    tests = result["differences"]
    if tests:
        text += f" ▲ and ▼ stand where a paired permutation test against {first} gives p < {SIGNIFICANT:g}"
        text += " after Holm's correction for all tests below." if all(map(_is_corrected, tests)) else "."
    blocks: list[Block] = [Table(head, rows), Text(text)]
    figures = []
    if all(condition["answer_recall"] for condition in conditions):
        figures.append(_curve(conditions, "answer_recall", "answer found, %"))
    if all(condition["passage_recall"] for condition in conditions):
        figures.append(_curve(conditions, "passage_recall", "own passages found, %"))
    legend = [(condition["title"], place) for place, condition in enumerate(conditions)] if len(conditions) > 1 else ()
    if figures:
        blocks.append(Figures(figures, legend, _recalls(conditions)))
    if tests:
        blocks.append(_gaps(result))
    yield Section(f"{prefix}What searches find", blocks)
    machine = result["machine"]
    facts: list[Line] = [
        ["date", str(result["date"])],
        ["processor", f"{machine['processor']}, {machine['cores']} cores"],
        ["versions", ", ".join(f"{name} {version}" for name, version in machine["versions"].items())],
        ["found, sha256", result["hashes"]["answers"][:16]],
        ["schema", result["schema"]],
    ]
    settings = [Code("Recipe", as_yaml(result["config"])), Code("Index and search", as_yaml(result["settings"]))]
    yield Section(f"{prefix}How searches were measured", [Table(["", ""], facts, left=2), *settings])


def _is_corrected(test: Mapping[str, Any]) -> bool:
    return test.get("p_holm") is not None


def _row(condition: Mapping[str, Any], differences: list[Mapping[str, Any]]) -> list[Cell]:
    marks = {
        d["measure"]: {"first": "▲", "second": "▼"}.get(d["verdict"], "")
        for d in differences
        if d["first"] == condition["name"]
    }

    def cell(estimate: Mapping[str, float] | None, measure: str) -> Cell:
        return "" if estimate is None else Value(f"{estimate['mean']:.1f}", interval(estimate), marks.get(measure, ""))

    return [
        condition["title"],
        f"{condition['n']:,}",
        cell(condition["ndcg_10"], "ndcg_10"),
        "" if condition["mrr"] is None else score(condition["mrr"]),
        *(cell(estimate, f"answer_recall@{k}") for k, estimate in condition["answer_recall"].items()),
        f"{condition['seconds']['p50'] * 1000:,.1f}",
    ]


def _curve(conditions: list[Mapping[str, Any]], key: str, label: str) -> Figure:
    series = [
        Series(
            condition["title"],
            place,
            [Point(int(k), e["mean"], e["low"], e["high"]) for k, e in condition[key].items()],
        )
        for place, condition in enumerate(conditions)
    ]
    title = f"{label.partition(',')[0]} among the first k passages"
    return Figure(line_chart(series, Axis("passages looked at", log=True), Axis(label), title=title), title)


def _recalls(conditions: list[Mapping[str, Any]]) -> Table:
    """The figures behind the curves."""
    keys = ("answer_recall", "passage_recall")
    rows: list[Line] = [
        [condition["title"], str(k), *(score(condition[key][k]) if condition[key] else "" for key in keys)]
        for condition in conditions
        for k in condition["answer_recall"] or condition["passage_recall"] or ()
    ]
    return Table(["search", "first k", "answer found, %", "own passages found, %"], rows)


def _gaps(result: Mapping[str, Any]) -> Table:
    rows: list[Line] = [
        [
            f"{d['first']} less {d['second']}",
            {"ndcg_10": "nDCG@10"}.get(d["measure"], d["measure"].replace("_", " ")),
            f"{d['n']:,}",
            Value(
                f"{d['difference']['mean']:+.1f}", f"{d['difference']['low']:+.1f} to {d['difference']['high']:+.1f}"
            ),
            p_value(d["p"]),
            p_value(d["p_holm"]) if _is_corrected(d) else "",
        ]
        for d in result["differences"]
    ]
    return Table(["searches", "measure", "n", "gap", "p", "Holm"], rows, left=2)
