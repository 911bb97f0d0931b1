"""``ragyena index``: make an index of documents, look at it, mend it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ragyena.cli.console import TerminalProgress, emit_json, interruptible, output, short_path, size
from ragyena.cli.options import (
    IndexOption,
    JsonOption,
    PipelineOption,
    QuietOption,
    WhereOption,
    configure,
    index_path,
    parse_filters,
)

__all__ = ["app"]

app = typer.Typer(help="Make an index of documents, look at it, mend it.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def add(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files, and folders to walk.")],
    index: IndexOption = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Also remove documents of these folders whose file has vanished.")
    ] = False,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Leave out, as in a .gitignore (index.exclude).")
    ] = None,
    embedder: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Embedder of a new index (index.embedder).")
    ] = None,
    passage_tokens: Annotated[
        int | None, typer.Option(metavar="N", help="Longest passage of a new index (index.passage_tokens).")
    ] = None,
    pipeline: PipelineOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Add documents: new ones are added, changed ones replaced, unchanged ones skipped.

    Each document is there whole or not at all, whatever happens; running the same command again resumes.
    """
    from ragyena.pipelines import index as use_case

    flags = {
        "index.exclude": tuple(exclude) if exclude else None,
        "index.embedder": embedder,
        "index.passage_tokens": passage_tokens,
    }
    config = configure(pipeline, flags)
    path = index_path(index, config)
    with (
        interruptible("documents added so far are kept; run the same command again to add the rest"),
        TerminalProgress(quiet=quiet) as progress,
    ):
        report = use_case.add(paths, path, config, prune=prune, progress=progress)


@app.command()
def status(index: IndexOption = None, json: JsonOption = False) -> None:
    """Say what an index holds and how it was made."""


@app.command()
def rm(
    document: Annotated[
        str, typer.Argument(metavar="DOC", help="A document's path as `index status` or a citation shows it.")
    ],
    index: IndexOption = None,
    json: JsonOption = False,
) -> None:
    """Remove a document."""


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="What to look for.")],
    index: IndexOption = None,
    top_k: Annotated[int | None, typer.Option(metavar="N", help="Passages to show.")] = None,
    where: WhereOption = None,
    pipeline: PipelineOption = None,
    json: JsonOption = False,
) -> None:
    """Show the passages that a question would retrieve."""


@app.command()
def verify(index: IndexOption = None, json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Check every file and row of an index; exit code 4 where something is damaged."""
