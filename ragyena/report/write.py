"""The use case of ``ragyena report``: results in, one HTML file and one Markdown file out; nothing is run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ragyena.errors import StorageError
from ragyena.eval.results import find_retrievals, find_runs
from ragyena.report.html import to_html
from ragyena.report.markdown import to_markdown
from ragyena.report.page import make_page
from ragyena.types import Progress

__all__ = ["HTML", "MARKDOWN", "report"]

HTML, MARKDOWN = "report.html", "report.md"


def report(paths: Sequence[Path], out: Path, progress: Progress | None = None) -> tuple[Path, Path]:
    """Writes the report of the results that ``paths`` mean (files, or folders of them) into ``out``; where the two
    files are.

    Raises PathNotFoundError, DataError, MissingDependencyError and StorageError.
    """
    page = make_page(find_runs(paths), find_retrievals(paths), progress)
    written = []
    for name, text in ((HTML, to_html(page)), (MARKDOWN, to_markdown(page))):
        path = out / name
        try:
            out.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise StorageError(f"{path} cannot be written: {error.strerror}", hint="choose another --out") from error
        written.append(path)
    return written[0], written[1]
