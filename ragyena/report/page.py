"""The report of one recipe's runs or of several: sections in the order in which people ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ragyena.eval.results import Run
from ragyena.report.accuracy import (
    coverage_section,
    lengths_section,
    needle_section,
    positions_section,
)
from ragyena.report.blocks import Block, Figures, Page, Section, Table
from ragyena.report.compared import Compared, compare_runs
from ragyena.report.cost import cost_section
from ragyena.report.examples import examples_section
from ragyena.report.facts import facts_section
from ragyena.report.found import retrieval_sections
from ragyena.report.overall import overall_section
from ragyena.report.verdict import passages_section, sources_section, verdict_section
from ragyena.types import Progress

__all__ = ["make_page"]


_NAMED = 3  # recipes in the title


def make_page(runs: Sequence[Run], retrievals: Sequence[Mapping[str, Any]], progress: Progress | None) -> Page:
    """A section is left out where the results do not hold what it is made from."""
    compared = compare_runs(runs, progress)
    recipes = [*(one.recipe for one in compared), *(str(found["recipe"]) for found in retrievals)]
    sections = [section for one in compared for section in _sections(one, named=len(recipes) > 1)]
    sections += [section for found in retrievals for section in retrieval_sections(found, named=len(recipes) > 1)]
    if len(recipes) > 1:
        sections.insert(0, overall_section(compared, retrievals))
    dates = sorted({str(found["date"]) for found in (*(run.result for run in runs), *retrievals)})
    readers = list(dict.fromkeys(run.label for one in compared for run in one.runs))
    dated = " to ".join(dict.fromkeys((dates[0], dates[-1])))
    return Page(
        title="Evaluation: " + (", ".join(recipes) if len(recipes) <= _NAMED else f"{len(recipes)} recipes"),
        subtitle="; ".join(filter(None, (" and ".join(readers), dated))),
        sections=[replace(section, blocks=[*map(_filled, section.blocks)]) for section in sections],
    )


def _filled(block: Block) -> Block:
    """A block whose table has no empty column."""
    if isinstance(block, Table):
        return block.without_empty()
    if isinstance(block, Figures):
        return replace(block, table=block.table.without_empty())
    return block


def _sections(compared: Compared, *, named: bool) -> list[Section]:
    """``named``: the recipe stands in the titles, which are of several recipes."""
    found = [
        verdict_section(compared),
        sources_section(compared),
        lengths_section(compared),
        cost_section(compared),
        positions_section(compared),
        needle_section(compared),
        coverage_section(compared),
        passages_section(compared),
        examples_section(compared),
        facts_section(compared),
    ]
    kept = [section for section in found if section is not None]
    if not named:
        return kept
    return [Section(f"{compared.recipe}: {section.title}", section.blocks, section.level) for section in kept]
