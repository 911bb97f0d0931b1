"""The use case of ``ragyena report``: results in, one HTML file and one Markdown file out; nothing is measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ragyena.eval.journal import write_text
from ragyena.eval.results import find_retrievals, find_runs
from ragyena.report.html import to_html
from ragyena.report.markdown import to_markdown
from ragyena.report.model import Page
from ragyena.report.page import make_page
from ragyena.report.training import find_stages
from ragyena.types import Progress

__all__ = ["HTML", "MARKDOWN", "load_page", "report", "write_page"]

HTML, MARKDOWN = "report.html", "report.md"


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
    """The report of results, their folders, training runs and their logs. Raises PathNotFoundError and DataError."""
    stages, results = [], []
    for path in paths:
        trained = find_stages([path])
        stages += trained
        results += [] if trained else [path]
    runs, retrievals = find_runs(results), find_retrievals(results)
    return make_page(runs, retrievals, stages, progress)
