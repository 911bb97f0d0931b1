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
        typer.Option(
            "--out",
            "-o",
            metavar="FOLDER",
            help="Folder for report.html and report.md; by default the folder given, if it is one.",
        ),
    ] = None,
    summary: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Instead write small summaries of results and training logs, without single answers, here.",
        ),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Instead print the page of claims that this description (docs/claims.yaml) makes of a folder of dated "
            "results.",
        ),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Write report.html and report.md for results; for files, print the Markdown unless --out is given.

    Readers of one recipe are compared with the first, question by question, if the files of their answers are there:
    differences with 95% intervals (paired bootstrap), p-values (paired permutation test), both over whole contexts, and
    p-values after Holm's correction. Training runs are shown as held-out measures against tokens and FLOPs. The HTML is
    one file that fetches nothing.
    """
    from ragyena.report.markdown import to_markdown
    from ragyena.report.summary import summarize
    from ragyena.report.write import load_page, report

    if page is not None:
        from ragyena.report.claims import load_claims, make_claims

        if len(results) != 1 or not results[0].is_dir():
            raise UsageError("--page needs one folder of results", hint="as in benchmarks/results of a checkout")
        print(to_markdown(make_claims(load_claims(page), results[0])), end="")
        return
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
