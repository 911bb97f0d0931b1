"""``ragyena mcp``: an index as tools of an assistant."""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragyena.cli.options import (
    IndexOption,
    PipelineOption,
    ReaderOption,
    WriterModelOption,
    WriterOption,
    configure,
    given_path,
)
from ragyena.errors import MissingDependencyError, PathNotFoundError, UsageError

if TYPE_CHECKING:
    from ragyena.integrations.tools import Tools

__all__ = ["command"]


def command(
    index: IndexOption = None,
    allow_add: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", parser=given_path, help="Let the assistant add files from here; repeatable."),
    ] = None,
    http: Annotated[
        bool, typer.Option("--http", help="Serve streamable HTTP, to this machine alone, instead of stdio.")
    ] = False,
    port: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=65535, help="Port of --http; 8786 if left out.")
    ] = None,
    pipeline: PipelineOption = None,
    reader: ReaderOption = None,
    writer: WriterOption = None,
    writer_model: WriterModelOption = None,
) -> None:
    """Let an assistant ask, search and read an index (Model Context Protocol).

    Claude Desktop, VS Code and other clients start this command themselves: docs/mcp.md has what they need to be told.
    """
    config = configure(pipeline, {"reader.checkpoint": reader, "writer.url": writer, "writer.model": writer_model})
    for path in allow_add or []:
        if not path.exists():
            raise PathNotFoundError(f"--allow-add {path} does not exist", hint="name a folder or file that is there")
    gc.disable()  # until everything is loaded: collections are a tenth of the time that takes, and free nothing
    try:
        from ragyena.integrations import mcp
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "mcp":
            raise
        raise MissingDependencyError("the package 'mcp' is not installed", hint="pip install 'ragyena[mcp]'") from error
    from ragyena.config.tools import MCP_PORT
    from ragyena.index.storage import locate

    def make_tools() -> Tools:
        from ragyena.integrations.tools import Tools

        return Tools(index, config, allowed=allow_add or [])

    logging.captureWarnings(True)
    locate(index, config)  # a name that is none is refused before anything is served
    server = mcp.Server(make_tools)
    gc.freeze()
    gc.enable()
    port = port or MCP_PORT
    if http:
        _check_free(port)
        print(f"http://127.0.0.1:{port}/mcp", file=sys.stderr, flush=True)
    else:
        sys.stdout = sys.__stdout__  # the protocol writes bytes
        # A thread waits for the next line of stdin: nothing but the end of the process ends it.
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    try:
        server.serve(transport="streamable-http" if http else "stdio", port=port)
    finally:
        server.close()


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise UsageError(
                f"port {port} cannot be used: {error.strerror}", hint="give another one with --port"
            ) from error
