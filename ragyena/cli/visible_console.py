"""rich's console, in which no text gives the terminal orders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import IO, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from ragyena.cli.terminal import visible

__all__ = ["WHOLE_LINES", "VisibleConsole"]

NARROWEST, WHOLE_LINES = 20, 100_000
"""Widths that text is laid out for: the least, and one that no line reaches."""


class VisibleConsole(Console):
    """A console on a standard stream that writes out the controls in all text that it draws, with its colours as they
    are. Colour only on a terminal and without NO_COLOR; nothing is read as markup."""

    def __init__(self, file: IO[str], *, whole_lines: bool = False) -> None:
        """``whole_lines`` breaks none, unless COLUMNS sets a width."""
        width = WHOLE_LINES if whole_lines else None
        columns = os.environ.get("COLUMNS")
        if columns is not None:  # rich takes any number there, and fails on some digits
            width = min(max(int(columns), NARROWEST), WHOLE_LINES) if columns.isascii() and columns.isdecimal() else 80
        super().__init__(
            file=getattr(file, "styled", file),
            width=width,
            highlight=False,
            markup=False,
            emoji=False,
            _environ={name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")},
        )

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(visible(text), **options)  # before a Text drops some of the controls

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)

    def on_broken_pipe(self) -> None:
        raise
