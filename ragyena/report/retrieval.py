"""Sections on retrieval: recall against the number of passages looked at, ranks, time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ragyena.eval.significance import SIGNIFICANT
from ragyena.report.compared import point_of, stored_difference
from ragyena.report.facts import as_yaml
from ragyena.report.model import Axis, Block, Cell, Code, Figures, LineChart, Row, Section, Series, Table, Text
from ragyena.report.numbers import difference, score

__all__ = ["retrieval_sections"]

Condition = Mapping[str, Any]

_RECALLS = {"answer_recall": "answer retrieved, %", "passage_recall": "own passages retrieved, %"}


def retrieval_sections(result: Mapping[str, Any], *, named: bool) -> Iterator[Section]:
    """The sections of one result; ``named`` puts its recipe into the titles."""
    prefix = f"{result['recipe']}: " if named else ""
    conditions = result["conditions"]
    head = ["search", "n", "nDCG@10", "MRR", *(f"answer in {k}" for k in conditions[0]["answer_recall"]), "ms a search"]
    text = (
        "Percent of the questions with an answer, as tokens, in one of the first k passages; nDCG@10 and mean "
        "reciprocal rank, times 100, of the passages of the question's own context where it is known; the median time "
        "of a search."
    )
    tests = result["differences"]
    if tests:
        text += (
            f" ▲ and ▼ stand where a paired permutation test against {conditions[0]['title']} gives p < {SIGNIFICANT:g}"
        )
        corrected = all(test.get("p_holm") is not None for test in tests)
        text += " after Holm's correction for all tests below." if corrected else "."
    blocks: list[Block] = [Table(head, [_row(condition, tests) for condition in conditions]), Text(text)]
    measured = {key: label for key, label in _RECALLS.items() if all(condition[key] for condition in conditions)}
    if measured:
        blocks.append(Figures([_curve(conditions, *one) for one in measured.items()], _recalls(conditions)))
    if tests:
        blocks.append(_gaps(tests))
    if any(condition.get("sources") for condition in conditions):
        blocks.append(_by_source(conditions))
    yield Section(f"{prefix}Retrieval", blocks)
    machine = result["machine"]
    facts: list[Row] = [
        ["date", str(result["date"])],
        ["processor", f"{machine['processor']}, {machine['cores']} cores"],
        ["versions", ", ".join(f"{name} {version}" for name, version in machine["versions"].items())],
        ["retrieved passages, sha256", result["hashes"]["answers"][:16]],
        ["schema", result["schema"]],
    ]
    settings = [Code("Recipe", as_yaml(result["config"])), Code("Index and search", as_yaml(result["settings"]))]
    yield Section(f"{prefix}How retrieval was measured", [Table(["", ""], facts, left=2), *settings])


def _row(condition: Condition, tests: list[Mapping[str, Any]]) -> list[Cell]:
    own = {test["measure"]: stored_difference(test) for test in tests if test["first"] == condition["name"]}
    return [
        condition["title"],
        f"{condition['n']:,}",
        score(condition["ndcg_10"], own.get("ndcg_10")),
        score(condition["mrr"]),
        *(score(estimate, own.get(f"answer_recall@{k}")) for k, estimate in condition["answer_recall"].items()),
        f"{condition['seconds']['p50'] * 1000:,.1f}",
    ]


def _by_source(conditions: list[Condition]) -> Table:
    recalls = [f"answer_recall@{k}" for k in conditions[0]["answer_recall"]]
    measures = ["ndcg_10", "rr", *recalls]
    rows: list[Row] = [
        [source, condition["title"], f"{of['n']['mean']:,.0f}", *(score(of[m]) if m in of else "" for m in measures)]
        for source in conditions[0]["sources"]
        for condition in conditions
        for of in [condition["sources"][source]]
    ]
    head = ["source", "search", "n", "nDCG@10", "MRR", *(f"answer in {name.partition('@')[2]}" for name in recalls)]
    return Table(head, rows, left=2)


def _curve(conditions: list[Condition], key: str, label: str) -> LineChart:
    series = [
        Series(condition["title"], place, [point_of(int(k), recall) for k, recall in condition[key].items()])
        for place, condition in enumerate(conditions)
    ]
    title = f"{label.partition(',')[0]} among the first k passages"
    return LineChart(title, series, Axis("passages looked at", log=True), Axis(label))


def _recalls(conditions: list[Condition]) -> Table:
    """The numbers behind the curves."""
    rows: list[Row] = [
        [condition["title"], str(k), *(score(condition[key][k]) if condition[key] else "" for key in _RECALLS)]
        for condition in conditions
        for k in condition["answer_recall"] or condition["passage_recall"] or ()
    ]
    return Table(["search", "first k", *_RECALLS.values()], rows)


def _gaps(tests: list[Mapping[str, Any]]) -> Table:
    rows: list[Row] = []
    for gap in map(stored_difference, tests):
        measure = {"ndcg_10": "nDCG@10"}.get(gap.measure, gap.measure.replace("_", " "))
        rows.append([f"{gap.first} less {gap.second}", measure, f"{gap.n:,}", difference(gap)])
    return Table(["searches", "measure", "n", "difference"], rows, left=2)
