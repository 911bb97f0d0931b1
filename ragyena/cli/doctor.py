"""``ragyena doctor``: check packages, device, embedder, reader and index."""

from __future__ import annotations

import typer

from ragyena.cli.console import emit_json, output
from ragyena.cli.options import IndexOption, JsonOption, PipelineOption, ReaderOption, configure, index_path

__all__ = ["command"]

STYLES = {"ok": "green", "absent": "dim", "unsound": "bold red"}


def command(
    index: IndexOption = None, pipeline: PipelineOption = None, reader: ReaderOption = None, json: JsonOption = False
) -> None:
    """Check packages, device, embedder, reader and index.

    Exit code 0 where everything needed is sound, 1 where it is not.
    """
    from rich.table import Table
    from rich.text import Text

    from ragyena.doctor import examine

    config = configure(pipeline, {"reader.checkpoint": reader})
    checks = []
    console = output()
    for check in examine(config, index_path(index, config)):
        checks.append(check)
        if json:
            continue
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=21)
        grid.add_column(width=7)
        result = check.result + (f"\nhint: {check.hint}" if check.hint else "")
        grid.add_row(check.name, Text(check.verdict, style=STYLES[check.verdict]), Text(result))
        console.print(grid)
    unsound = [check.name for check in checks if check.verdict == "unsound"]
    if json:
        rows = [{"name": c.name, "verdict": c.verdict, "found": c.result, "hint": c.hint} for c in checks]
        emit_json({"schema": "ragyena.doctor/1", "sound": not unsound, "checks": rows})
    elif unsound:
        console.print(f"\nunsound: {', '.join(unsound)}", style="bold red")
    else:
        console.print("\neverything needed is sound", style="bold green")
    if unsound:
        raise typer.Exit(1)
