"""``ragyena report``: results of evaluations as a page to read."""

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
        typer.Argument(metavar="RESULT...", help="Folders that ragyena eval wrote to, or .json files of results."),
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
    """Write report.html and report.md of results; nothing is run.

    Readers of one recipe are compared with the first of them, question by question, where their answers stand beside
    the results. The HTML is one file that fetches nothing.
    """
    from ragyena.report.summary import summarize
    from ragyena.report.write import report

    if summary is not None:
        for path in summarize(results, summary):
            print(path)
        return
    if out is None and (len(results) > 1 or results[0].is_file()):
        raise UsageError("it is not clear where the report should go", hint="give a folder: --out FOLDER")
    with TerminalProgress(quiet=quiet) as progress:
        for path in report(results, out or results[0], progress):
            print(path)
