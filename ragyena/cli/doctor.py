"""``ragyena doctor``: what is installed, what would be used, and whether it is sound."""

from __future__ import annotations

from dataclasses import asdict

import typer

from ragyena.cli.console import emit_json, output
from ragyena.cli.options import IndexOption, JsonOption, PipelineOption, configure, index_path

__all__ = ["command"]

STYLES = {"ok": "green", "absent": "dim", "unsound": "bold red"}


def command(index: IndexOption = None, pipeline: PipelineOption = None, json: JsonOption = False) -> None:
    """Check packages, device, embedder, reader and index.

    Exit code 0 where everything needed is sound, 1 where it is not.
    """
    from rich.text import Text

    from ragyena.pipelines.doctor import examine

    config = configure(pipeline)
    checks = []
    console = output()
    for check in examine(config, index_path(index, config)):
        checks.append(check)
        if json:
            continue
        line = Text(f"{check.name:<22}")
        line.append(f"{check.verdict:<9}", style=STYLES[check.verdict])
        console.print(line + Text(check.found))
        if check.hint:
            console.print(f"{'':<31}hint: {check.hint}")
    unsound = [check.name for check in checks if check.verdict == "unsound"]
    if json:
        emit_json({"schema": "ragyena.doctor/1", "sound": not unsound, "checks": [asdict(check) for check in checks]})
    elif unsound:
        console.print(f"\nunsound: {', '.join(unsound)}", style="bold red")
    else:
        console.print("\neverything needed is sound", style="bold green")
    if unsound:
        raise typer.Exit(1)
