"""``ragyena serve``: the HTTP server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ragyena.cli.console import output
from ragyena.cli.options import (
    PipelineOption,
    QuietOption,
    ReaderOption,
    WriterModelOption,
    WriterOption,
    configure,
)
from ragyena.errors import MissingDependencyError

if TYPE_CHECKING:
    from ragyena.serve.library import Library

__all__ = ["command"]


def command(
    index: Annotated[
        list[str] | None,
        typer.Option("--index", "-i", metavar="NAME|PATH", help="An index to serve; repeatable (serve.indexes)."),
    ] = None,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Address to listen on (serve.host); 127.0.0.1 if not set.")
    ] = None,
    port: Annotated[int | None, typer.Option(metavar="N", help="Port to listen on (serve.port).")] = None,
    api_key: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY", help="A key that requests must carry; repeatable. RAGYENA_SERVE__API_KEYS hides it from ps."
        ),
    ] = None,
    read_only: Annotated[
        bool | None, typer.Option("--read-only", help="Refuse uploads and deletions (serve.read_only).")
    ] = None,
    pipeline: PipelineOption = None,
    reader: ReaderOption = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH",
            help="A second reader that the page can ask beside it, such as an attention baseline (serve.baseline).",
        ),
    ] = None,
    writer: WriterOption = None,
    writer_model: WriterModelOption = None,
    quiet: QuietOption = False,
) -> None:
    """Serve indexes over HTTP: ragyena's own API, OpenAI's, and a page to ask on.

    On loopback alone, unless --host says otherwise, which needs an --api-key. An index that is not there is made.
    """
    config = configure(
        pipeline,
        {
            "serve.indexes": tuple(index) if index else None,
            "serve.host": host,
            "serve.port": port,
            "serve.api_keys": tuple(api_key) if api_key else None,
            "serve.read_only": read_only,
            "serve.baseline": baseline,
            "reader.checkpoint": reader,
            "writer.url": writer,
            "writer.model": writer_model,
        },
    )
    try:
        from ragyena.serve.server import run
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("ragyena"):
            raise
        raise MissingDependencyError(
            f"the server needs {error.name}, which is not installed", hint="pip install 'ragyena[serve]'"
        ) from error
    run(config, _announce, log_requests=not quiet)


def _announce(address: str, library: Library) -> None:
    console = output()
    for served in library:
        held = served.index.manifest
        console.print(f"index {served.name}: {held.documents:,} documents, {held.passages:,} passages", highlight=False)
    default = library.default
    if default.baseline is not None:
        console.print(f"baseline reader: {default.baseline.reader.name}", markup=False, highlight=False)
    if default.writer is not None:
        told = f"writer: questions and evidence go to {default.writer.address} (model {default.writer.config.model})"
        console.print(told, markup=False, highlight=False)
    console.print(f"serving at {address}  (Ctrl-C ends it)", highlight=False)
