"""``ragyena config``: which settings are in force, and where each comes from."""

from __future__ import annotations

from typing import Any

import typer

from ragyena.cli.console import emit_json, output, short_path
from ragyena.cli.options import JsonOption, PipelineOption

__all__ = ["app"]

app = typer.Typer(help="Show the settings in force.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def group() -> None:
    """Show the settings in force."""


@app.command()
def show(pipeline: PipelineOption = None, json: JsonOption = False) -> None:
    """Print every setting: its value, where it comes from, what it means.

    From strongest to weakest: flag, RAGYENA_* variable, project file (ragyena.yaml here or in a folder above), user
    file, recipe, default.
    """
    from ragyena.settings import load_settings, user_file

    rows = list(load_settings(pipeline=pipeline).rows())
    if json:
        settings = [
            {"name": row.name, "value": row.value, "origin": row.origin, "meaning": row.meaning} for row in rows
        ]
        emit_json({"schema": "ragyena.config/1", "settings": settings})
        return
    from rich.padding import Padding
    from rich.text import Text

    console = output()
    for row in rows:
        line = Text(row.name, style="bold").append(f" = {_shown(row.value)}", style="not bold")
        line.append(
            f"  ({short_path(row.origin)})", style="not bold dim" if row.origin == "default" else "not bold green"
        )
        console.print(line)
        console.print(Padding(Text(row.meaning.replace("``", "`"), style="dim"), (0, 0, 0, 4), expand=False))
    console.print(f"\nYour own settings file: {user_file()}")


def _shown(value: Any) -> str:
    if value is None:
        return "unset"
    return (", ".join(map(str, value)) or "none") if isinstance(value, tuple) else str(value)
