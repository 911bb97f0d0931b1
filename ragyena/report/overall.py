"""What a page of several recipes says first: every condition of every recipe, F1 of each reader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ragyena.eval.significance import SIGNIFICANT
from ragyena.report.blocks import Block, Bullets, Cell, Group, Line, Section, Table, Text, Value
from ragyena.report.compared import Compared
from ragyena.report.verdict import better, interval, score

__all__ = ["overall_section"]


def overall_section(recipes: Sequence[Compared], retrievals: Sequence[Mapping[str, Any]]) -> Section:
    """A table of all readers, and a sentence for each reader but the first."""
    labels = list(dict.fromkeys(run.label for one in recipes for run in one.runs))
    rows: list[Line] = []
    for one in recipes:
        about = str(one.runs[0].result["config"].get("description", ""))
        rows.append(Group(": ".join(filter(None, (one.recipe, about)))))
        for name, condition in one.conditions.items():
            cells: dict[str, Cell] = {}
            for place, run, figures in one.having(name):
                cells[run.label] = score(figures["whole"]["f1"], one.gaps.get((place, name, "f1")))
            numbers = dict.fromkeys(f"{figures['whole']['n']:,}" for _, _, figures in one.having(name))
            rows.append([condition["title"], ", ".join(numbers), *(cells.get(label, "") for label in labels)])
    blocks: list[Block] = []
    sentences = [*_sentences(recipes, labels)]
    if sentences:
        blocks.append(Bullets(sentences))
    if rows:
        note = "F1 in percent, with 95% intervals; exact match and all else stands under each recipe."
        if sentences:
            note += (
                f" ▲ and ▼: better or worse than the first reader of the recipe, p < {SIGNIFICANT:g} after Holm's "
                "correction for the tests of that recipe."
            )
        blocks += [Table(["condition", "n", *labels], rows), Text(note)]
    found = [*_searches(retrievals)]
    if found:
        head = ["search", "n", "nDCG@10", "MRR", "answer found"]
        blocks.append(Table(head, found))
    return Section("Verdict", blocks)


def _sentences(recipes: Sequence[Compared], labels: Sequence[str]) -> Iterator[str]:
    for label in labels:
        marks = [
            better(gap)
            for one in recipes
            for (place, _, measure), gap in one.gaps.items()
            if measure == "f1" and one.runs[place].label == label
        ]
        if marks:
            firsts = " and ".join(f"`{name}`" for name in dict.fromkeys(one.runs[0].label for one in recipes))
            yield (
                f"`{label}` against {firsts}, by F1 under {len(marks)} conditions of all recipes: better in "
                f"{marks.count('▲')}, worse in {marks.count('▼')}, no difference shown in {marks.count('')}."
            )


def _searches(retrievals: Sequence[Mapping[str, Any]]) -> Iterator[Line]:
    for result in retrievals:
        yield Group(": ".join(filter(None, (str(result["recipe"]), str(result["config"].get("description", ""))))))
        for condition in result["conditions"]:
            ranks: list[Cell] = [score(condition[key]) if condition[key] else "" for key in ("ndcg_10", "mrr")]
            k, recall = next(reversed(condition["answer_recall"].items()), ("", None))
            yield [condition["title"], f"{condition['n']:,}", *ranks, _found(k, recall)]


def _found(k: str, recall: Mapping[str, float] | None) -> Cell:
    return "" if recall is None else Value(f"{recall['mean']:.1f}", f"in the first {k}\n{interval(recall)}")
