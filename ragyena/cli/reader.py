"""``ragyena reader``: the readers that are installed, and a reader as a distribution of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ragyena.cli.console import emit_json, output
from ragyena.cli.options import JsonOption

__all__ = ["app"]

app = typer.Typer(help="List readers, package one.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def group() -> None:
    """List readers, package one."""


@app.command("list")
def list_(json: JsonOption = False) -> None:
    """List the readers that --reader knows by name."""
    from ragyena.model.checkpoint import checkpoint_files
    from ragyena.readers import BESIDE, installed_readers, reader_folder

    folders = {name: reader_folder(name) for name in installed_readers()}
    own = {name: [folder, *(f for f in (folder / BESIDE,) if f.is_dir())] for name, folder in folders.items()}
    sizes = {name: sum(p.stat().st_size for f in some for p in checkpoint_files(f)) for name, some in own.items()}
    if json:
        rows = [{"name": name, "folder": str(folder), "bytes": sizes[name]} for name, folder in folders.items()]
        emit_json({"schema": "ragyena.readers/1", "readers": rows})
        return
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    for name, folder in folders.items():
        grid.add_row(name, f"{sizes[name] / 2**20:.0f} MiB", str(folder))
    output().print(grid)


@app.command()
def package(
    checkpoint: Annotated[Path, typer.Argument(help="The checkpoint folder of a reader.")],
    name: Annotated[str, typer.Option(help="The name that --reader is to know it by.")],
    to: Annotated[Path, typer.Option(metavar="FOLDER", help="The folder to write; pip installs it.")],
    beside: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="The reader that a pair reader reads with, to be packaged with it."),
    ] = None,
    version: Annotated[str, typer.Option(help="The version of the distribution.")] = "1.0.0",
    licence: Annotated[str, typer.Option(help="The licence of the weights, as an SPDX expression.")] = "CC-BY-SA-4.0",
) -> None:
    """Write a reader as a distribution of its own: after pip install FOLDER, --reader NAME reads with it."""
    from ragyena.reader.distribution import write_distribution

    folder = write_distribution(checkpoint, name, to, version=version, licence=licence, beside=beside)
    print(f"{folder}: pip install {folder}, then --reader {name}")
