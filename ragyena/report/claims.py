"""The page of the seed paper's claims: what the paper says, and what the committed results and training logs say.

A description (docs/claims.yaml) names the tables of each claim and the results they are made of, in folders and files
as ``ragyena.report.described`` reads them. Of other training seeds, the logs stand in folders ``seed-*`` inside. What
no log shows is said to be not measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import pydantic

from ragyena.errors import DataError
from ragyena.parsing import MalformedError, read_yaml
from ragyena.report import claim_tables as tables
from ragyena.report.compared import Compared
from ragyena.report.described import newest, recipes_in
from ragyena.report.model import Block, Bullets, Group, Page, Section, Text
from ragyena.report.scores import f1_table, seeds_table

__all__ = ["Claims", "load_claims", "make_claims"]


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class ClaimTable(_Strict):
    """A table and the results it is made of."""

    kind: Literal["variants", "curves", "operator", "recall", "tuned recall", "filters", "readers"]
    text: str
    results: str
    """NAME of folders or files, with wildcards; of several dates the newest counts."""
    missing: str
    """Ends the sentence "Not measured yet: ..." where there are no results."""
    hardware: str = ""
    """The device, where the results do not name it."""
    groups: Mapping[str, Mapping[str, str]] = {}
    """variants: names of stages and their descriptions, by group; the first of a group is its baseline.
    readers, recall: the same of readers and tasks, in one group."""
    pairs: tuple[tuple[str, str], ...] = ()
    """curves: names of logs that are compared, the baseline second."""
    recipes: tuple[str, ...] = ()
    """readers: names of evaluation recipes."""


class Claim(_Strict):
    title: str
    paper: str
    """The paper's claim."""
    here: str
    """The work done here, and the gaps."""
    tables: tuple[ClaimTable, ...]


class Claims(_Strict):
    title: str
    intro: str
    claims: tuple[Claim, ...]


def load_claims(path: Path) -> Claims:
    """Read a description. Raises DataError."""
    try:
        return Claims.model_validate(read_yaml(path))
    except (OSError, MalformedError, pydantic.ValidationError) as error:
        raise DataError(f"{path} is no description of claims: {error}", hint="correct the file") from error


def make_claims(claims: Claims, results: Path) -> Page:
    """The page; a table without results becomes a sentence that says so. Raises DataError."""
    sections = [Section("", [Text(claims.intro)])]
    for claim in claims.claims:
        blocks: list[Block] = [Bullets([f"The paper: {claim.paper}", f"Here: {claim.here}"])]
        for table in claim.tables:
            blocks += _table(table, results)
        sections.append(Section(claim.title, blocks))
    return Page(claims.title, "", sections)


def _table(table: ClaimTable, results: Path) -> list[Block]:
    paths = newest(results, table.results)
    made = _made(table, paths) if paths else []
    if not made:
        return [Text(f"{table.text} Not measured yet: {table.missing}")]
    hardware = tables.hardware(paths) or table.hardware
    return [Text(f"{table.text} Measured on {hardware}." if hardware else table.text), *made]


def _made(table: ClaimTable, paths: Sequence[Path]) -> list[Block]:
    match table.kind:
        case "variants":
            return tables.variants(paths[0], table.groups)
        case "curves":
            return tables.curves(paths[0], table.pairs)
        case "operator":
            return tables.operator(paths)
        case "recall":
            return tables.recall(paths, table.groups)
        case "tuned recall":
            return tables.tuned_recall(paths[0], table.groups)
        case "filters":
            return tables.filters(paths[0])
        case "readers":
            return _readers(table, paths[0])


def _readers(table: ClaimTable, folder: Path) -> list[Block]:
    (named,) = table.groups.values()

    def wanted(place: Path) -> list[Compared]:
        return tables.only(recipes_in(place, table.recipes, ()), tuple(named))

    recipes = wanted(folder)
    if not recipes:
        return []
    blocks: list[Block] = [Bullets([f"{name}: {about}" for name, about in named.items()]), f1_table(recipes)]
    others = [wanted(place) for place in sorted(folder.glob("seed-*"))]
    if others:
        table_of_seeds = seeds_table([recipes, *others])
        several = [str(row[0]) for row in table_of_seeds.rows if not isinstance(row, Group)]
        present = {run.label for one in recipes for run in one.runs}
        once = ", ".join(name for name in named if name in present and name not in several)
        rest = f" Trained with one seed alone: {once}." if once else ""
        blocks += [Text(f"F1 over {len(others) + 1} training seeds, mean and range.{rest}"), table_of_seeds]
    return blocks
