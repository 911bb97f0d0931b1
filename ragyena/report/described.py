"""Pages described in YAML: which result files make which section. docs/results.md and the README's results are two.

Results stand in folders ``DATE-NAME`` with one ``RECIPE.json`` a recipe and one ``STAGE.jsonl`` a training stage, or in
files ``DATE-NAME.json``; of several dates the newest counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pydantic

from ragyena.errors import DataError
from ragyena.eval.results import find_runs
from ragyena.parsing import MalformedError, read_json, read_yaml
from ragyena.report.accuracy import length_chart
from ragyena.report.compared import Compared, compare_runs, explained, sweeps_of
from ragyena.report.confidence import abstention
from ragyena.report.cost import cost_table
from ragyena.report.model import (
    Axis,
    Block,
    Cell,
    Figures,
    LineChart,
    Page,
    Point,
    Row,
    Section,
    Series,
    Table,
    Text,
    Value,
)
from ragyena.report.numbers import duration, p_value
from ragyena.report.scores import (
    contrasts,
    f1_figures,
    f1_table,
    passages,
    readers_table,
    scores_table,
    seeds_table,
    sources_table,
)
from ragyena.report.training import find_stages, throughput_table, training_blocks

__all__ = ["Description", "load", "make_described", "make_summary", "newest", "recipes_in"]

Parts = Literal["readers", "f1", "scores", "sources", "contrasts", "passages", "cost", "abstention", "lengths"]


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Training(_Strict):
    """Logs and the held-out measures shown of them."""

    logs: tuple[str, ...] = ("*",)
    """Names of stages, with wildcards; rows in this order."""
    measures: tuple[str, ...]
    drawn: tuple[str, ...] = ()
    """Measures drawn against tokens and FLOPs ..."""
    only: tuple[str, ...] = ()
    """... for these stages; all, if empty."""


class SectionOf(_Strict):
    """A section of a page and the results it is made of."""

    title: str
    text: str = ""
    results: str
    """NAME of the folder or of files, with wildcards."""
    recipes: tuple[str, ...] = ()
    """In this order; all others of the folder if empty."""
    labels: tuple[str, ...] = ()
    """Names for the readers, in their order."""
    about: Mapping[str, str] = {}
    """A description of each reader, by label."""
    show: tuple[Parts, ...] = ()
    picture: str = ""
    """Name of the file of the section's charts."""
    seeds: str = ""
    """Folders inside with the same results of other training seeds."""
    training: Training | None = None
    benchmarks: bool = False
    """True if the files are results of ``ragyena bench train``."""


class SummaryRow(_Strict):
    text: str
    recipe: str = ""
    condition: str = ""
    shipped: str = ""
    """A result of the Hyena reader with four times the training, under the same condition."""
    benchmark: str = ""
    """Instead of a recipe: a result of ``ragyena bench reader`` with the readers' times at ``tokens``."""
    tokens: int = 0


class Summary(_Strict):
    """The short table and figure of the README."""

    text: str
    results: str
    labels: tuple[str, ...]
    rows: tuple[SummaryRow, ...] = pydantic.Field(max_length=8)
    lengths: str
    """The recipe whose scores are drawn against length."""
    benchmark: str
    """A result of ``ragyena bench reader`` whose times are drawn against length."""
    benchmarked: tuple[str, ...]
    """The benchmark's names for the readers, in the order of the labels."""
    picture: str


class Description(_Strict):
    title: str
    intro: str
    summary: Summary
    sections: tuple[SectionOf, ...]


def load(path: Path) -> Description:
    """Read a description. Raises DataError."""
    try:
        return Description.model_validate(read_yaml(path))
    except (OSError, MalformedError, pydantic.ValidationError) as error:
        raise DataError(f"{path} is no description of a page: {error}", hint="correct the file") from error


def make_described(description: Description, results: Path) -> Page:
    """The page; a section whose results are not there is left out. Raises DataError."""
    sections = [made for section in description.sections if (made := _section(section, results))]
    intro = Section("", [Text(description.intro)])
    return Page(description.title, "", [intro, *sections])


def newest(results: Path, name: str) -> list[Path]:
    """Folders and files called ``DATE-NAME``: of each NAME the newest."""
    newest: dict[str, Path] = {}
    for path in sorted(results.glob(f"????-??-??-{name}")):
        newest[path.name[11:]] = path
    return [newest[key] for key in sorted(newest)]


def _section(section: SectionOf, results: Path) -> Section | None:
    paths = newest(results, section.results)
    blocks: list[Block] = []
    if section.benchmarks and paths:
        blocks.append(throughput_table([read_json(path) for path in paths]))
    recipes = [
        recipe for path in paths if path.is_dir() for recipe in recipes_in(path, section.recipes, section.labels)
    ]
    if recipes:
        for part in section.show:
            blocks += _part(part, recipes, section)
        seeds = sorted(path for path in paths[0].glob(section.seeds) if path.is_dir()) if section.seeds else []
        if seeds:
            others = [recipes_in(path, section.recipes, section.labels) for path in seeds]
            title = f"F1 over {len(seeds) + 1} training seeds, mean and range:"
            blocks += [Text(title), seeds_table([recipes, *others])]
    if wanted := section.training:
        logs = [log for name in wanted.logs for path in paths for log in sorted(path.glob(f"{name}.jsonl"))]
        stages = find_stages(list(dict.fromkeys(logs)))
        if stages:
            blocks += training_blocks(stages, wanted.measures, wanted.drawn, section.picture, wanted.only)
    text = [Text(section.text)] if section.text else []
    return Section(section.title, [*text, *blocks]) if blocks else None


def recipes_in(folder: Path, wanted: Sequence[str], labels: Sequence[str]) -> list[Compared]:
    """The evaluations in a folder; files are called as their recipe, whatever the result calls itself."""
    names = wanted or [path.stem for path in sorted(folder.glob("*.json"))]
    recipes = []
    for name in names:
        path = folder / f"{name}.json"
        if path.is_file():
            (one,) = compare_runs(find_runs([path]))
            runs = [replace(run, label=label) for run, label in zip(one.runs, labels)] if labels else one.runs
            if len(runs) < len(one.runs):
                raise DataError(f"{path} has {len(one.runs)} readers, {len(runs)} labels", hint="name all of them")
            recipes.append(replace(one, recipe=name, runs=tuple(runs)))
    return recipes


def _part(part: Parts, recipes: Sequence[Compared], section: SectionOf) -> list[Block]:
    match part:
        case "readers":
            return [readers_table(recipes, section.about)]
        case "f1":
            return [f1_figures(recipes, section.picture), f1_table(recipes)]
        case "scores":
            return [scores_table(recipes)]
        case "sources":
            return explained("By source of the questions:", sources_table(recipes))
        case "cost":
            return [Text("Reading in batches:"), cost_table(recipes)]
        case "lengths":
            charts = _length_charts(recipes)
            return [Figures(charts, name=section.picture)] if charts else []
        case _:
            return {"contrasts": contrasts, "passages": passages, "abstention": abstention}[part](recipes)


def _length_charts(recipes: Sequence[Compared]) -> list[LineChart]:
    return [length_chart(one, sweep) for one in recipes for sweep in sweeps_of(one, positions=False)]


# ---------------------------------------------------------------------------------------------------------------
# The short table
# ---------------------------------------------------------------------------------------------------------------


def make_summary(summary: Summary, results: Path) -> list[Block]:
    """A table of at most eight rows and one figure; empty where the results are not there. Raises DataError."""
    folders = newest(results, summary.results)
    if not folders:
        return []
    names = list(dict.fromkeys(row.recipe for row in summary.rows if row.recipe))
    recipes = {one.recipe: one for one in recipes_in(folders[0], names, summary.labels)}
    rows: list[Row] = []
    for row in summary.rows:
        if row.recipe in recipes:
            rows.append(_scored(row, recipes[row.recipe], results))
        elif row.benchmark:
            times = _times(results, row.benchmark, summary.benchmarked)
            rows.append([row.text, "", *(duration(dict(times[name]).get(row.tokens)) for name in summary.benchmarked)])
    charts = _length_charts([recipes[summary.lengths]] if summary.lengths in recipes else [])
    times = _times(results, summary.benchmark, summary.benchmarked)
    readers = enumerate(zip(summary.labels, summary.benchmarked, strict=True))
    series = [Series(label, n, [Point(*at) for at in times[name]]) for n, (label, name) in readers if times[name]]
    if series:
        x, y = Axis("tokens of context", log=True), Axis("time to read the context", log=True, unit="s")
        charts.append(LineChart("time to read a context against its length", series, x, y))
    head = ["EM / F1", "n", *summary.labels, "Hyena, four times the training"]
    return [Text(summary.text), Table(head, rows, left=len(head)), Figures(charts, name=summary.picture)]


def _scored(row: SummaryRow, one: Compared, results: Path) -> list[Cell]:
    count = one.conditions[row.condition]["whole"]["n"]
    cells: list[Cell] = [row.text, f"{count:,}"]
    for reading in one.readings(row.condition):
        gap = reading.gap("f1")
        p = [f"p {p_value(gap.p if gap.p_holm is None else gap.p_holm)}"] if gap else []
        cells.append(_em_f1(reading.figures["whole"], count, *p))
    if row.shipped:
        folder, _, name = row.shipped.partition("/")
        (run,) = find_runs([newest(results, folder)[0] / name])
        cells.append(_em_f1(run.conditions[row.condition]["whole"], count))
    return cells


def _em_f1(part: Mapping[str, Any], count: int, *notes: str) -> Value:
    """EM / F1, with the number of questions where it is not ``count``."""
    counted = [f"n {part['n']:,}"] if part["n"] != count else []
    return Value(f"{part['em']['mean']:.1f} / {part['f1']['mean']:.1f}", "\n".join([*notes, *counted]))


def _times(results: Path, benchmark: str, names: Sequence[str]) -> dict[str, list[tuple[int, float]]]:
    """Seconds of reading by tokens of context, from a result of ``ragyena bench reader``."""
    times: dict[str, list[tuple[int, float]]] = {name: [] for name in names}
    for path in newest(results, f"{benchmark}.json"):
        for figure in read_json(path)["figures"]:
            measured = re.fullmatch(r"([\w-]+), ([\d,]+) tokens: prefill", figure["name"])
            if measured and measured[1] in times:
                times[measured[1]].append((int(measured[2].replace(",", "")), figure["value"] / 1000))
    return times
