"""Scores of each reader, their differences, and which of these are significant.

Each table takes the runs of one recipe or of several; of several, their names stand in the rows.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ragyena.eval.results import short_name
from ragyena.eval.significance import SIGNIFICANT
from ragyena.report.compared import Compared, stored_difference
from ragyena.report.model import Block, Bullets, Cell, DotChart, Figures, Group, Point, Row, Section, Table, Text, Value
from ragyena.report.numbers import difference, interval, mark, millions, p_values, score, signed

__all__ = [
    "contrasts",
    "f1_figures",
    "f1_table",
    "overall_section",
    "passages",
    "readers_table",
    "scores_table",
    "seeds_table",
    "sources_table",
    "title_of",
    "verdict_section",
]

Recipes = Sequence[Compared]


def title_of(recipes: Recipes, one: Compared, condition: Mapping[str, Any]) -> str:
    """The title of a condition, with the recipe's name where there are several."""
    return f"{one.recipe}, {condition['title']}" if len(recipes) > 1 else str(condition["title"])


def _counts(one: Compared, condition: str) -> str:
    return ", ".join(dict.fromkeys(f"{figures['whole']['n']:,}" for _, _, figures in one.having(condition)))


def verdict_section(compared: Compared) -> Section:
    """The scores of one recipe under a sentence for each later reader."""
    sentences = [*_sentences(compared)]
    note = "Scores are percent, with 95% intervals of a bootstrap over whole contexts."
    untested = [run.label for place, run in enumerate(compared.runs) if place and not _tested(compared, place)]
    if untested:
        note += f" {', '.join(untested)}: no differences, for want of answers to the same questions beside the results."
    if compared.gaps:
        count = sum(test.source == "all" for tests in compared.gaps.values() for test in tests)
        note += (
            f" Differences are to the first reader, `{compared.runs[0].label}`, on the questions that both answered; "
            f"▲ and ▼ stand where a paired permutation test over contexts gives p < {SIGNIFICANT:g} after Holm's "
            f"correction for the {count} tests of this table, which stands behind the test's own p."
        )
    return Section("Verdict", [*([Bullets(sentences)] if sentences else []), scores_table([compared]), Text(note)])


def _tested(compared: Compared, place: int) -> bool:
    return any(at == place for at, _ in compared.gaps)


def scores_table(recipes: Recipes) -> Table:
    """EM and F1 under every condition; of several readers, how each differs from the first."""
    if all(len(one.runs) == 1 for one in recipes):
        rows: list[Row] = [
            [title_of(recipes, one, condition), _counts(one, name), *_measures(condition["whole"])]
            for one in recipes
            for name, condition in one.conditions.items()
        ]
        return Table(["condition", "n", "EM", "F1"], rows)
    rows = []
    for one in recipes:
        for name, condition in one.conditions.items():
            rows.append(Group(f"{title_of(recipes, one, condition)}; n {_counts(one, name)}"))
            for place, run, figures in one.having(name):
                gaps = [one.gap(place, name, measure) for measure in ("em", "f1")]
                scores = [score(figures["whole"][m], gap) for m, gap in zip(("em", "f1"), gaps)]
                rows.append([run.label, *scores, *map(difference, gaps)])
    return Table(["reader", "EM", "F1", "EM difference", "F1 difference"], rows)


def _measures(part: Mapping[str, Any]) -> list[Cell]:
    return [score(part["em"]), score(part["f1"])]


def _sentences(compared: Compared) -> Iterator[str]:
    first = compared.runs[0].label
    for place, run in enumerate(compared.runs[1:], 1):
        gaps = [gap for name in compared.conditions if (gap := compared.gap(place, name, "f1"))]
        counts = {side: sum(mark(gap) == side for gap in gaps) for side in ("▲", "▼", "")}
        if len(gaps) == 1:
            verb = {"▲": "answers better than", "▼": "answers worse than", "": "is not shown to differ from"}
            said = ", ".join([signed(gaps[0]), *p_values(gaps[0])])
            yield f"`{run.label}` {verb[mark(gaps[0])]} `{first}`: F1 {said}, n {gaps[0].n:,}."
        elif gaps:
            yield (
                f"`{run.label}` against `{first}`, by F1 under {len(gaps)} conditions: better in {counts['▲']}, "
                f"worse in {counts['▼']}, no difference shown in {counts['']}."
            )


def sources_table(recipes: Recipes) -> Table | None:
    """Scores by the source of the questions, where there are several."""
    rows: list[Row] = []
    for one in recipes:
        for name, condition in one.conditions.items():
            lines = [
                [
                    part["source"],
                    run.label,
                    f"{part['n']:,}",
                    *_measures(part),
                    *(difference(one.gap(place, name, measure, part["source"])) for measure in ("em", "f1")),
                ]
                for place, run, figures in one.having(name)
                if len(figures["sources"]) > 1
                for part in figures["sources"]
            ]
            if lines:
                rows += [Group(title_of(recipes, one, condition)), *sorted(lines, key=lambda line: str(line[0]))]
    head = ["source", "reader", "n", "EM", "F1", "EM difference", "F1 difference"]
    return Table(head, rows, left=2) if rows else None


def contrasts(recipes: Recipes) -> list[Block]:
    """How conditions differ from each other for one reader, where the recipe is about that; and spreads."""
    rows: list[Row] = []
    for one in recipes:
        pairs: dict[tuple[str, str], dict[tuple[str, str], dict[str, Cell]]] = {}
        for run in one.runs:
            for values in run.result.get("differences", ()):
                gap = stored_difference(values)
                lines = pairs.setdefault((gap.first, gap.second), {})
                lines.setdefault((run.label, gap.source), {})[gap.measure] = difference(gap)
                lines[run.label, gap.source]["n"] = f"{gap.n:,}"
        titles = {name: condition["title"] for name, condition in one.conditions.items()}
        for (first, second), lines in pairs.items():
            prefix = f"{one.recipe}, " if len(recipes) > 1 else ""
            rows.append(Group(f"{prefix}{titles.get(first, first)} less {titles.get(second, second)}"))
            rows += [
                [reader, source, *(cells.get(key, "") for key in ("n", "em", "f1"))]
                for (reader, source), cells in lines.items()
            ]
    if not rows:
        return []
    text = (
        "The same reader on the same questions under two conditions. ▲ and ▼ stand where the first condition is "
        f"better or worse with p < {SIGNIFICANT:g} after Holm's correction for the reader's tests."
    )
    return [Text(text), Table(["reader", "questions", "n", "EM difference", "F1 difference"], rows, left=2)]


def passages(recipes: Recipes) -> list[Block]:
    """For how many questions the right passage was read, and was ranked first."""
    keys = ("own_packed", "answer_packed", "own_first")
    rows: list[Row] = []
    for one in recipes:
        for name, condition in one.conditions.items():
            lines = [
                [run.label, *(score(figures.get(key)) for key in keys), f"{figures['passages']:.1f}"]
                for _, run, figures in one.having(name)
                if any(figures.get(key) for key in keys)
            ]
            if lines:
                rows += [Group(title_of(recipes, one, condition)), *lines]
    if not rows:
        return []
    text = (
        "Percent of the questions for which a passage of their own context, or an answer as a string, stands in what "
        "is read, and for which the reader's best passage is of their own context; passages in a context, on average."
    )
    return [Text(text), Table(["reader", "own passage read", "answer read", "own passage best", "passages"], rows)]


# ---------------------------------------------------------------------------------------------------------------
# Several recipes
# ---------------------------------------------------------------------------------------------------------------


def overall_section(recipes: Recipes, retrievals: Sequence[Mapping[str, Any]]) -> Section:
    """A table of all conditions and readers, and a sentence for each reader but the first."""
    blocks: list[Block] = []
    sentences = [*_overall_sentences(recipes)]
    if sentences:
        blocks.append(Bullets(sentences))
    if recipes:
        note = "F1 in percent, with 95% intervals; exact match and all else stands under each recipe."
        if sentences:
            note += (
                f" ▲ and ▼: better or worse than the first reader of the recipe, p < {SIGNIFICANT:g} after Holm's "
                "correction for the tests of that recipe."
            )
        blocks += [f1_table(recipes), Text(note)]
    searches = [*_searches(retrievals)]
    if searches:
        blocks.append(Table(["search", "n", "nDCG@10", "MRR", "answer found"], searches))
    return Section("Verdict", blocks)


def _labels(recipes: Recipes) -> list[str]:
    return list(dict.fromkeys(run.label for one in recipes for run in one.runs))


def f1_table(recipes: Recipes) -> Table:
    """F1 with a column for each reader."""
    labels = _labels(recipes)
    rows: list[Row] = []
    for one in recipes:
        about = str(one.runs[0].result["config"].get("description", ""))
        rows.append(Group(": ".join(filter(None, (one.recipe, about)))))
        for name, condition in one.conditions.items():
            cells = {
                run.label: score(figures["whole"]["f1"], one.gap(place, name, "f1"))
                for place, run, figures in one.having(name)
            }
            rows.append([condition["title"], _counts(one, name), *(cells.get(label, "") for label in labels)])
    return Table(["condition", "n", *labels], rows)


def _overall_sentences(recipes: Recipes) -> Iterator[str]:
    firsts = " and ".join(f"`{name}`" for name in dict.fromkeys(one.runs[0].label for one in recipes))
    for label in _labels(recipes):
        marks = [
            mark(test)
            for one in recipes
            for (place, _), tests in one.gaps.items()
            for test in tests
            if (test.measure, test.source) == ("f1", "all") and one.runs[place].label == label
        ]
        if marks:
            yield (
                f"`{label}` against {firsts}, by F1 under {len(marks)} conditions of all recipes: better in "
                f"{marks.count('▲')}, worse in {marks.count('▼')}, no difference shown in {marks.count('')}."
            )


def _searches(retrievals: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    for result in retrievals:
        yield Group(": ".join(filter(None, (str(result["recipe"]), str(result["config"].get("description", ""))))))
        for condition in result["conditions"]:
            k, recall = next(reversed(condition["answer_recall"].items()), ("", None))
            recalled = Value(f"{recall['mean']:.1f}", f"in the first {k}\n{interval(recall)}") if recall else ""
            ranks = [score(condition[key]) for key in ("ndcg_10", "mrr")]
            yield [condition["title"], f"{condition['n']:,}", *ranks, recalled]


def readers_table(recipes: Recipes, about: Mapping[str, str]) -> Table:
    """What each reader is and what it read on; ``about`` describes readers by label."""
    read: dict[tuple[str, ...], list[str]] = {}
    for one in recipes:
        for run in one.runs:
            reader, machine = run.result["reader"], run.result["machine"]
            on = ", ".join(sorted(set(machine["gpus"]))) if reader["device"] != "cpu" else machine["processor"]
            row = (run.label, about.get(run.label, ""), short_name(str(reader["name"])), millions(reader["parameters"]))
            read.setdefault((*row, reader["fingerprint"][:12], reader["dtype"], on), []).append(one.recipe)
    order = _labels(recipes)
    rows: list[Row] = [
        [*row, "all" if len(names) == len(recipes) else ", ".join(names)]
        for row, names in sorted(read.items(), key=lambda item: order.index(item[0][0]))
    ]
    head = ["reader", "what it is", "run", "parameters", "fingerprint", "arithmetic", "read on", "recipes"]
    return Table(head, rows, left=len(head))


def f1_figures(recipes: Recipes, name: str) -> Figures:
    """F1 of many readers as dots, a chart for each recipe; then tokens a second of the last condition of the first."""
    labels = _labels(recipes)
    charts = []
    for one in recipes:
        series: dict[str, list[Point | None]] = {}
        for condition, values in one.conditions.items():
            f1 = {run.label: figures["whole"]["f1"] for _, run, figures in one.having(condition)}
            series[values["title"]] = [
                Point(0, f1[label]["mean"], f1[label]["low"], f1[label]["high"]) if label in f1 else None
                for label in labels
            ]
        charts.append(DotChart(f"F1, {one.recipe}", labels, series, f"F1, {one.recipe}"))
    widest = list(recipes[0].conditions)[-1]
    speeds = {run.label: figures["tokens_per_second"] / 1000 for _, run, figures in recipes[0].having(widest)}
    title = f"thousand tokens/s, {recipes[0].conditions[widest]['title']}"
    points = [Point(0, speeds[label]) if label in speeds else None for label in labels]
    return Figures([*charts, DotChart(title, labels, {title: points}, "thousand tokens/s", from_zero=True)], name=name)


def seeds_table(seeds: Sequence[Recipes]) -> Table:
    """F1 over the same recipes with readers of several training seeds: mean (lowest-highest)."""
    rows: dict[str, list[Cell]] = {label: [] for label in _labels(seeds[0])}
    titles = []
    for one in seeds[0]:
        others = [same for recipes in seeds[1:] for same in recipes if same.recipe == one.recipe]
        for name, condition in one.conditions.items():
            if not others or not all(name in other.conditions for other in others):
                continue
            titles.append(title_of(seeds[0], one, condition))
            for label, cells in rows.items():
                values = [
                    figures["whole"]["f1"]["mean"]
                    for same in (one, *others)
                    for _, run, figures in same.having(name)
                    if run.label == label
                ]
                ends = f"{min(values, default=0):.1f}–{max(values, default=0):.1f}"
                cells.append(Value(f"{statistics.mean(values):.1f}", ends) if len(values) > 1 else "")
    return Table(["reader", *titles], [[label, *cells] for label, cells in rows.items() if any(cells)])
