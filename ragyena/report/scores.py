"""Scores of each reader, their differences, and which of these are significant.

Each table takes the runs of one recipe or of several; of several, their names stand in the rows.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ragyena.eval.significance import SIGNIFICANT, Difference
from ragyena.report.compared import Compared, Reading, counts, explained, grouped, point_of, stored_difference
from ragyena.report.model import Block, Bullets, Cell, DotChart, Figures, Group, Point, Row, Section, Table, Text, Value
from ragyena.report.numbers import difference, interval, mark, p_values, score, signed

__all__ = ["contrasts", "f1_figures", "f1_table", "overall_section", "passages", "readers_table", "scores_table"]
__all__ += ["seeds_table", "sources_table", "verdict_section"]

Recipes = Sequence[Compared]
_MEASURES = ("em", "f1")
_HEAD = ("EM", "F1", "EM difference", "F1 difference")


def verdict_section(compared: Compared) -> Section:
    """The scores of one recipe under a sentence for each later reader."""
    sentences = [*_sentences([compared])]
    note = "Scores are percent, with 95% intervals of a bootstrap over whole contexts."
    untested = [
        run.label for place, run in enumerate(compared.runs) if place not in {0, *(at for at, _ in compared.gaps)}
    ]
    if untested:
        note += (
            f" {', '.join(untested)}: no differences: there are no answers to the same questions next to the results."
        )
    if compared.gaps:
        count = sum(test.source == "all" for tests in compared.gaps.values() for test in tests)
        note += (
            f" Differences are to the first reader, `{compared.runs[0].label}`, on the questions that both answered; "
            f"▲ and ▼ stand where a paired permutation test over contexts gives p < {SIGNIFICANT:g} after Holm's "
            f"correction for the {count} tests of this table, which stands behind the test's own p."
        )
    return Section("Verdict", [*([Bullets(sentences)] if sentences else []), scores_table([compared]), Text(note)])


def _sentences(recipes: Recipes) -> Iterator[str]:
    """Compare each later reader with the first."""
    firsts = " and ".join(f"`{name}`" for name in dict.fromkeys(one.runs[0].label for one in recipes))
    for label in _labels(recipes):
        readings = [r for one in recipes for name in one.conditions for r in one.readings(name) if r.label == label]
        gaps = [gap for reading in readings if (gap := reading.gap("f1"))]
        marks = [mark(gap) for gap in gaps]
        if len(gaps) == 1 and len(recipes) == 1:
            verb = {"▲": "answers better than", "▼": "answers worse than", "": "is not shown to differ from"}[marks[0]]
            mean, ends = signed(gaps[0])
            yield f"`{label}` {verb} {firsts}: F1 {mean} ({ends}), {', '.join(p_values(gaps[0]))}, n {gaps[0].n:,}."
        elif gaps:
            yield (
                f"`{label}` against {firsts}, by F1 under {len(gaps)} conditions"
                f"{' of all recipes' if len(recipes) > 1 else ''}: better in {marks.count('▲')}, worse in "
                f"{marks.count('▼')}, no difference shown in {marks.count('')}."
            )


def scores_table(recipes: Recipes) -> Table:
    """EM and F1 under every condition; of several readers, how each differs from the first."""
    if len(recipes) == 1 and len(recipes[0].runs) == 1:
        conditions = recipes[0].conditions.values()
        alone = [[c["title"], f"{c['whole']['n']:,}", *_scores(c["whole"])] for c in conditions]
        return Table(["condition", "n", "EM", "F1"], alone)

    def cells(reading: Reading) -> list[list[Cell]]:
        gaps = [reading.gap(measure) for measure in _MEASURES]
        return [[reading.label, *_scores(reading.figures["whole"], gaps), *map(difference, gaps)]]

    return Table(["reader", *_HEAD], grouped(recipes, cells, counted=True))


def sources_table(recipes: Recipes) -> Table:
    """Scores by the source of the questions, where there are several."""

    def cells(reading: Reading) -> Iterator[list[Cell]]:
        parts = reading.figures["sources"]
        for part in parts if len(parts) > 1 else ():
            gaps = (reading.gap(measure, part["source"]) for measure in _MEASURES)
            yield [part["source"], reading.label, f"{part['n']:,}", *_scores(part), *map(difference, gaps)]

    return Table(["source", "reader", "n", *_HEAD], grouped(recipes, cells, in_order=True), left=2)


def _scores(part: Mapping[str, Any], gaps: Sequence[Difference | None] = (None, None)) -> list[Cell]:
    """EM and F1."""
    return [score(part[measure], gap) for measure, gap in zip(_MEASURES, gaps, strict=True)]


def contrasts(recipes: Recipes) -> list[Block]:
    """Differences between conditions for one reader, where the recipe tests them."""
    rows: list[Row] = []
    for one in recipes:
        titles = {name: condition["title"] for name, condition in one.conditions.items()}
        pairs: dict[str, dict[tuple[str, str], dict[str, Cell]]] = {}
        for run in one.runs:
            for gap in map(stored_difference, run.result.get("differences", ())):
                title = f"{titles.get(gap.first, gap.first)} less {titles.get(gap.second, gap.second)}"
                cells = pairs.setdefault(title, {}).setdefault((run.label, gap.source), {"n": f"{gap.n:,}"})
                cells[gap.measure] = difference(gap)
        for title, lines in pairs.items():
            rows.append(Group(f"{one.recipe}, {title}" if len(recipes) > 1 else title))
            rows += [[*key, *(cells.get(name, "") for name in ("n", *_MEASURES))] for key, cells in lines.items()]
    text = (
        "The same reader on the same questions under two conditions. ▲ and ▼ stand where the first condition is "
        f"better or worse with p < {SIGNIFICANT:g} after Holm's correction for the reader's tests."
    )
    return explained(text, Table(["reader", "questions", "n", *_HEAD[2:]], rows, left=2))


def passages(recipes: Recipes) -> list[Block]:
    """For how many questions the right passage was read, and was ranked first."""

    def cells(reading: Reading) -> Iterator[list[Cell]]:
        values = [reading.figures.get(key) for key in ("own_packed", "answer_packed", "own_first")]
        if any(values):
            yield [reading.label, *map(score, values), f"{reading.figures['passages']:.1f}"]

    text = (
        "Percent of the questions for which a passage of their own context, or an answer as a string, stands in what "
        "is read, and for which the reader's best passage is of their own context; passages in a context, on average."
    )
    head = ["reader", "own passage read", "answer read", "own passage best", "passages"]
    return explained(text, Table(head, grouped(recipes, cells)))


# ---------------------------------------------------------------------------------------------------------------
# Several recipes, many readers
# ---------------------------------------------------------------------------------------------------------------


def overall_section(recipes: Recipes, retrievals: Sequence[Mapping[str, Any]]) -> Section:
    """A table of all conditions and readers, and a sentence for each reader but the first."""
    sentences = [*_sentences(recipes)]
    blocks: list[Block] = [Bullets(sentences)] if sentences else []
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


def _named(recipe: str, config: Mapping[str, Any]) -> Group:
    return Group(": ".join(filter(None, (recipe, str(config.get("description", ""))))))


def f1_table(recipes: Recipes) -> Table:
    """F1 with a column for each reader."""
    labels = _labels(recipes)
    rows: list[Row] = []
    for one in recipes:
        rows.append(_named(one.recipe, one.runs[0].result["config"]))
        for name, condition in one.conditions.items():
            readings = one.readings(name)
            cells = {reading.label: score(reading.figures["whole"]["f1"], reading.gap("f1")) for reading in readings}
            rows.append([condition["title"], counts(readings), *(cells.get(label, "") for label in labels)])
    return Table(["condition", "n", *labels], rows)


def _searches(retrievals: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    for result in retrievals:
        yield _named(str(result["recipe"]), result["config"])
        for condition in result["conditions"]:
            k, recall = next(reversed(condition["answer_recall"].items()), ("", None))
            recalled = Value(f"{recall['mean']:.1f}", f"in the first {k}\n{interval(recall)}") if recall else ""
            ranks = [score(condition[key]) for key in ("ndcg_10", "mrr")]
            yield [condition["title"], f"{condition['n']:,}", *ranks, recalled]


def readers_table(recipes: Recipes, about: Mapping[str, str]) -> Table:
    """Architecture, checkpoint and device of each reader; ``about`` describes readers by label."""
    read: dict[tuple[str, ...], list[str]] = {}
    runs = [(one.recipe, run) for one in recipes for run in one.runs]
    order = _labels(recipes)
    for recipe, run in sorted(runs, key=lambda each: order.index(each[1].label)):
        reader, machine = run.result["reader"], run.result["machine"]
        on = ", ".join(sorted(set(machine["gpus"]))) if reader["device"] != "cpu" else machine["processor"]
        named = run.label, about.get(run.label, "")
        weights = f"{reader['parameters'] / 1e6:.2f}M", reader["fingerprint"][:12], reader["dtype"]
        read.setdefault((*named, *weights, on), []).append(recipe)
    rows = [[*row, "all" if len(names) == len(recipes) else ", ".join(names)] for row, names in read.items()]
    head = ["reader", "what it is", "parameters", "fingerprint", "arithmetic", "read on", "recipes"]
    return Table(head, rows, left=len(head))


def f1_figures(recipes: Recipes, name: str) -> Figures:
    """F1 of many readers as dots, a chart for each recipe; then tokens a second of the last condition of the first."""
    labels = _labels(recipes)
    charts = []
    for one in recipes:
        series = {}
        for condition, values in one.conditions.items():
            points = {reading.label: point_of(0, reading.figures["whole"]["f1"]) for reading in one.readings(condition)}
            series[values["title"]] = [*map(points.get, labels)]
        charts.append(DotChart(f"F1, {one.recipe}", labels, series, f"F1, {one.recipe}"))
    widest, values = [*recipes[0].conditions.items()][-1]
    title = f"thousand tokens/s, {values['title']}"
    speeds = {r.label: Point(0, r.figures["tokens_per_second"] / 1000) for r in recipes[0].readings(widest)}
    speed = DotChart(title, labels, {title: [*map(speeds.get, labels)]}, "thousand tokens/s", from_zero=True)
    return Figures([*charts, speed], name=name)


def seeds_table(seeds: Sequence[Recipes]) -> Table:
    """F1 over the same recipes with readers of several training seeds: mean (lowest-highest)."""
    titles: list[str] = []
    rows: dict[str, list[Cell]] = {label: [] for label in _labels(seeds[0])}
    for one in seeds[0]:
        others = [same for recipes in seeds[1:] for same in recipes if same.recipe == one.recipe]
        for name, condition in one.conditions.items():
            if not others or not all(name in other.conditions for other in others):
                continue
            titles.append(f"{one.recipe}, {condition['title']}")
            readings = [reading for same in (one, *others) for reading in same.readings(name)]
            for label, cells in rows.items():
                f1 = [reading.figures["whole"]["f1"]["mean"] for reading in readings if reading.label == label]
                cells.append(Value(f"{statistics.mean(f1):.1f}", f"{min(f1):.1f}–{max(f1):.1f}") if len(f1) > 1 else "")
    return Table(["reader", *titles], [[label, *cells] for label, cells in rows.items() if any(cells)])
