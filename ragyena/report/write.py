"""The report of results: evaluations of one recipe or several, retrieval, training runs; nothing is measured.

``ragyena report`` writes it as one HTML file and one Markdown file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ragyena.eval.journal import write_text
from ragyena.eval.results import find_documents, find_retrievals, find_runs
from ragyena.report.accuracy import lengths_section, needle_section, positions_section
from ragyena.report.compared import Compared, compare_runs
from ragyena.report.confidence import confidence_section
from ragyena.report.cost import cost_section
from ragyena.report.documents import documents_sections
from ragyena.report.examples import examples_section
from ragyena.report.facts import facts_section
from ragyena.report.html import to_html
from ragyena.report.markdown import to_markdown
from ragyena.report.model import Page, Section
from ragyena.report.retrieval import retrieval_sections
from ragyena.report.scores import contrasts, overall_section, passages, sources_table, verdict_section
from ragyena.report.training import find_stages, training_section
from ragyena.types import Progress

__all__ = ["HTML", "MARKDOWN", "load_page", "report", "write_page"]

HTML, MARKDOWN = "report.html", "report.md"
_NAMED = 3  # recipes in the title


def report(paths: Sequence[Path], out: Path, progress: Progress | None = None) -> tuple[Path, Path]:
    """Write the report of the results in ``paths`` into the folder ``out``; returns the two files.

    Raises PathNotFoundError, DataError, MissingDependencyError (matplotlib, for the charts) and StorageError.
    """
    return write_page(load_page(paths, progress), out)


def write_page(page: Page, out: Path) -> tuple[Path, Path]:
    """Write a page into a folder as ``report`` does."""
    write_text(out / HTML, to_html(page))
    write_text(out / MARKDOWN, to_markdown(page))
    return out / HTML, out / MARKDOWN


def load_page(paths: Sequence[Path], progress: Progress | None = None) -> Page:
    """The report of results, their folders, training runs and their logs; a section is left out where the
    results do not hold what it is made from. Raises PathNotFoundError and DataError."""
    stages, results = [], []
    for path in paths:
        trained = find_stages([path])
        stages += trained
        results += [] if trained else [path]
    runs, retrievals, documents = find_runs(results), find_retrievals(results), find_documents(results)
    compared = compare_runs(runs, progress)
    recipes = [*(one.recipe for one in compared), *(str(result["recipe"]) for result in retrievals), *documents]
    named = len(recipes) > 1
    sections = [section for one in compared for section in _sections(one, named=named)]
    sections += [section for result in retrievals for section in retrieval_sections(result, named=named)]
    sections += [section for asked in documents.values() for section in documents_sections(asked, named=named)]
    if named and (compared or retrievals):
        sections.insert(0, overall_section(compared, retrievals))
    if stages:
        sections.append(training_section(stages))
    found = [*(run.result for run in runs), *retrievals, *(one.result for asked in documents.values() for one in asked)]
    dates = sorted({str(result["date"]) for result in found})
    readers = [run.label for one in compared for run in one.runs] + [
        one.label for asked in documents.values() for one in asked
    ]
    readers = list(dict.fromkeys(readers))
    names = ", ".join(recipes) if len(recipes) <= _NAMED else f"{len(recipes)} recipes"
    subjects = " and ".join(readers or [stage.name for stage in stages]), " to ".join(sorted({*dates[:1], *dates[-1:]}))
    return Page(f"Evaluation: {names}" if recipes else "Training", "; ".join(filter(None, subjects)), sections)


def _sections(compared: Compared, *, named: bool) -> list[Section]:
    """The sections of a recipe, in the order in which people ask; ``named`` puts its name into their titles."""
    sources = sources_table([compared])
    sections = [
        verdict_section(compared),
        Section("By source", [sources] if sources.rows else [], level=3),
        lengths_section(compared),
        Section("Conditions compared", contrasts([compared])),
        cost_section(compared),
        positions_section(compared),
        needle_section(compared),
        confidence_section(compared),
        Section("What was read", passages([compared])),
        examples_section(compared),
        facts_section(compared),
    ]
    kept = [section for section in sections if section and section.blocks]
    return [replace(one, title=f"{compared.recipe}: {one.title}") for one in kept] if named else kept
