"""``ragyena report``: results of evaluations and training runs as a page to read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ragyena.cli.console import TerminalProgress
from ragyena.cli.options import QuietOption
from ragyena.errors import UsageError

__all__ = ["command"]


def command(
    results: Annotated[
        list[Path],
        typer.Argument(
            metavar="RESULT...",
            help="Folders that ragyena eval or train wrote to, .json files of results, or log.jsonl files.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FOLDER", help="For report.html and report.md; else the one folder given."),
    ] = None,
    summary: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Instead write small summaries of the results and training logs here, without single answers.",
        ),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Write report.html and report.md of results; of files, print the Markdown unless --out is given.

    Readers of one recipe are compared with the first of them, question by question, where their answers stand beside
    the results: differences with 95% intervals of a paired bootstrap, p-values of a paired permutation test, both over
    whole contexts, and the p-values after Holm's correction. Of training runs, held-out measures are drawn against
    tokens and FLOPs. The HTML is one file that fetches nothing.
    """
    from ragyena.report.markdown import to_markdown
    from ragyena.report.summary import summarize
    from ragyena.report.write import load_page, report

    if summary is not None:
        for path in summarize(results, summary):
            print(path)
        return
    with TerminalProgress(quiet=quiet) as progress:
        if out is None and all(path.is_file() for path in results):
            print(to_markdown(load_page(results, progress)), end="")
            return
        if out is None and len(results) > 1:
            raise UsageError("it is not clear where the report should go", hint="give a folder: --out FOLDER")
        for path in report(results, out or results[0], progress):
            print(path)
