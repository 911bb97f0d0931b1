"""Output of the commands: consoles, progress, JSON, and formats of paths and sizes."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

__all__ = ["TerminalProgress", "count", "emit_json", "interruptible", "output", "short_path", "size"]

SHOW_AFTER = 2.0
"""Seconds a stage may take before its progress is shown."""
LINE_EVERY = 10.0
"""Seconds between progress lines where stderr is no terminal."""
WHOLE_LINES = 100_000
"""A width that no line reaches."""


def output() -> Console:
    """A console on stdout. Colour only on a terminal and without NO_COLOR; nothing is read as markup.

    Lines are broken at the width of a terminal (or of COLUMNS); in a pipe they are whole, for grep and its kin.
    """
    from rich.console import Console

    whole_lines = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(highlight=False, markup=False, emoji=False, width=WHOLE_LINES if whole_lines else None)


def emit_json(value: Mapping[str, Any], *, indent: int | None = 2) -> None:
    """``value`` as JSON on stdout, in UTF-8 whatever the terminal's encoding."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    print(json.dumps(value, ensure_ascii=False, indent=indent, default=str), flush=True)


@contextmanager
def interruptible(safe: str) -> Iterator[None]:
    """Ctrl-C inside ends the command with exit code 130 and says what is ``safe``."""
    try:
        yield
    except KeyboardInterrupt:
        print(f"\ninterrupted: {safe}", file=sys.stderr)
        raise typer.Exit(130) from None


def short_path(source: str) -> str:
    """A document's source as a person would type it: relative to the working directory where it lies below it."""
    for base, prefix in ((Path.cwd(), ""), (Path.home(), "~/")):
        if source.startswith(f"{base}/"):
            return prefix + source[len(str(base)) + 1 :]
    return source


def count(number: int, noun: str) -> str:
    """``1 file``, ``2,000 files``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def size(count: float) -> str:
    """Bytes for people: ``3.4 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


class TerminalProgress:
    """A ``ragyena.types.Progress`` on stderr: a bar with rate and time left, or lines where stderr is no terminal.

    Use as a context manager. Stages under two seconds leave no trace; ``quiet`` shows notes alone.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        self._console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._quiet = quiet
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]}"),
            TextColumn("{task.fields[status]}"),
            TimeRemainingColumn(compact=True),
            console=self._console,
            transient=True,
        )
        self._task: TaskID | None = None
        self._description, self._unit, self._total, self._done = "", "", None, 0
        self._began = self._last_line = 0.0

    _total: int | None

    def __enter__(self) -> TerminalProgress:
        return self

    def __exit__(self, *error: object) -> None:
        self._finish()

    def start(self, description: str, total: int | None, unit: str) -> None:
        """A new stage begins."""
        self._finish()
        self._description, self._total, self._unit, self._done = description, total, unit, 0
        self._began = self._last_line = time.monotonic()

    def advance(self, amount: int, status: str = "") -> None:
        """``amount`` more units are done."""
        self._done += amount
        now = time.monotonic()
        if self._quiet or now - self._began < SHOW_AFTER:
            return
        if self._console.is_terminal:
            if self._task is None:
                self._bars.start()
                self._task = self._bars.add_task(self._description, total=self._total, rate="", status="")
            self._bars.update(self._task, completed=self._done, rate=self._rate(now), status=status)
        elif now - self._last_line >= LINE_EVERY:
            self._last_line = now
            line = self._line(now)
            self._console.print(f"{line}, {status}" if status else line, soft_wrap=True)

    def note(self, text: str) -> None:
        """A line worth keeping on the screen."""
        self._console.print(text, soft_wrap=True)

    def _finish(self) -> None:
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._bars.stop()
            self._task = None

    def _rate(self, now: float) -> str:
        return f"{self._done / max(now - self._began, 1e-9):,.0f} {self._unit}/s"

    def _line(self, now: float) -> str:
        elapsed = now - self._began
        if not self._total:
            return f"{self._description}: {self._done:,} {self._unit}, {self._rate(now)}"
        left = elapsed * max(self._total - self._done, 0) / max(self._done, 1)
        return (
            f"{self._description}: {self._done:,} of {self._total:,} {self._unit}, {self._rate(now)}, {left:.0f} s left"
        )
