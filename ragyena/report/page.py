"""The report of results: evaluations of one recipe or several, retrieval, training runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ragyena.eval.results import Run
from ragyena.report.accuracy import coverage_section, lengths_section, needle_section, positions_section
from ragyena.report.compared import Compared, compare_runs
from ragyena.report.cost import cost_section
from ragyena.report.examples import examples_section
from ragyena.report.facts import facts_section
from ragyena.report.model import Page, Section
from ragyena.report.retrieval import retrieval_sections
from ragyena.report.scores import contrasts, overall_section, passages, sources_table, verdict_section
from ragyena.report.training import Stage, training_section
from ragyena.types import Progress

__all__ = ["make_page"]

_NAMED = 3  # recipes in the title


def make_page(
    runs: Sequence[Run],
    retrievals: Sequence[Mapping[str, Any]],
    stages: Sequence[Stage] = (),
    progress: Progress | None = None,
) -> Page:
    """A section is left out where the results do not hold what it is made from."""
    compared = compare_runs(runs, progress)
    recipes = [*(one.recipe for one in compared), *(str(result["recipe"]) for result in retrievals)]
    sections = [section for one in compared for section in _sections(one, named=len(recipes) > 1)]
    for result in retrievals:
        sections += retrieval_sections(result, named=len(recipes) > 1)
    if len(recipes) > 1:
        sections.insert(0, overall_section(compared, retrievals))
    if stages:
        sections.append(training_section(stages))
    dates = sorted({str(result["date"]) for result in (*(run.result for run in runs), *retrievals)})
    readers = list(dict.fromkeys(run.label for one in compared for run in one.runs))
    names = ", ".join(recipes) if len(recipes) <= _NAMED else f"{len(recipes)} recipes"
    subjects = [
        " and ".join(readers or [stage.name for stage in stages]),
        " to ".join(sorted({*dates[:1], *dates[-1:]})),
    ]
    page = Page(f"Evaluation: {names}" if recipes else "Training", "; ".join(filter(None, subjects)), sections)
    return page.without_empty_columns()


def _sections(compared: Compared, *, named: bool) -> list[Section]:
    """The sections of a recipe, in the order in which people ask; ``named`` puts its name into their titles."""
    sources = sources_table([compared])
    between, read = contrasts([compared]), passages([compared])
    sections = [
        verdict_section(compared),
        Section("By source", [sources], level=3) if sources else None,
        lengths_section(compared),
        Section("Conditions compared", between) if between else None,
        cost_section(compared),
        positions_section(compared),
        needle_section(compared),
        coverage_section(compared),
        Section("What was read", read) if read else None,
        examples_section(compared),
        facts_section(compared),
    ]
    kept = [section for section in sections if section is not None]
    return [replace(one, title=f"{compared.recipe}: {one.title}") for one in kept] if named else kept
