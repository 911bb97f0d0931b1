"""Output of the commands: consoles, progress, JSON, and formats of paths and sizes."""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ragyena.cli.terminal import HIDDEN, one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

__all__ = ["TerminalProgress", "count", "emit_json", "interruptible", "output", "short_path", "size"]

SHOW_AFTER = 2.0
"""Seconds a stage may take before its progress is shown."""
LINE_EVERY = 10.0
"""Seconds between progress lines where stderr is no terminal."""
STATUS_CHARS = 32
"""The most that is shown next to a bar of what a stage is at: the end of it."""


def output() -> Console:
    """A console on stdout.

    Lines are broken at the width of a terminal (or of COLUMNS); in a pipe they are whole, for grep and its kin.
    """
    from ragyena.cli.visible_console import VisibleConsole

    return VisibleConsole(sys.stdout, whole_lines=not sys.stdout.isatty())


def emit_json(value: Mapping[str, Any], *, indent: int | None = 2) -> None:
    """``value`` as JSON on stdout, in UTF-8 whatever the terminal's encoding, controls and the like escaped."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    text = json.dumps(value, ensure_ascii=False, indent=indent, default=str)
    print(re.sub(f"(?!\n)[{HIDDEN}]", lambda match: json.dumps(match[0])[1:-1], text), flush=True)


@contextmanager
def interruptible(safe: str) -> Iterator[None]:
    """Ctrl-C inside ends the command with exit code 130 and says what is ``safe``."""
    try:
        yield
    except KeyboardInterrupt:
        print(f"\ninterrupted: {safe}", file=sys.stderr)
        raise typer.Exit(130) from None


def short_path(source: str) -> str:
    """A document's source as a person would type it, on one line: relative to the working directory where it lies
    below it."""
    for folder, prefix in ((Path.cwd, ""), (Path.home, "~/")):
        with suppress(OSError, RuntimeError):  # the working directory was deleted, the user has no home
            if source.startswith(f"{folder()}/"):
                return one_line(prefix + source[len(str(folder())) + 1 :])
    return one_line(source)


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

    def __init__(self, *, quiet: bool = False, line_every: float = LINE_EVERY) -> None:
        """``line_every``: seconds between lines where stderr is no terminal."""
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
        from rich.table import Column

        from ragyena.cli.visible_console import VisibleConsole

        self._console = VisibleConsole(sys.stderr)
        self._draws = not quiet and self._console.is_terminal and not self._console.is_dumb_terminal
        self._quiet, self._line_every = quiet, line_every
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=16),
            TaskProgressColumn(),
            TextColumn("{task.fields[pace]}", markup=False),
            TextColumn("{task.fields[status]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")),
            console=self._console,
            transient=True,
            redirect_stdout=False,  # a file that stdout leads to would miss what is printed
            redirect_stderr=False,
        )
        self._stage = Stage("", None, "", 0.0)
        self._status = ""
        self._last_line = 0.0
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> TerminalProgress:
        return self

    def __exit__(self, *error: object) -> None:
        self._finish()

    def start(self, description: str, total: int | None, unit: str) -> None:
        """A new stage begins."""
        self._finish()
        self._last_line = time.monotonic()
        self._stage, self._status = Stage(description, total, unit, self._last_line), ""
        if self._draws:
            self._timer = threading.Timer(SHOW_AFTER, self._draw)
            self._timer.daemon = True
            self._timer.start()

    def advance(self, amount: int, status: str = "") -> None:
        """``amount`` more units are done."""
        stage, now = self._stage, time.monotonic()
        stage.advance(amount, now)
        self._status = one_line(status) or self._status
        if self._draws:
            self._update(now)
            if stage.total is not None and stage.done >= stage.total:
                self._finish()  # what is printed next stands where the bar was
        elif not self._quiet and now - stage.began >= SHOW_AFTER and now - self._last_line >= self._line_every:
            self._last_line = now
            self.note(f"{stage.description}: {', '.join(part for part in (stage.pace(now), self._status) if part)}")

    def note(self, text: str) -> None:
        """A line worth keeping on the screen."""
        self._console.print(" ".join(text.split()), soft_wrap=True)

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Without the bar, to print on stdout."""
        shown = self._task is not None and sys.stdout.isatty()
        if shown:
            self._bars.stop()
        yield
        if shown:
            self._bars.start()

    def _draw(self) -> None:
        """Show the bar, which keeps drawing itself; called in a thread, since a stage may take long for a unit."""
        with self._lock:
            if self._timer is not None:
                self._task = self._bars.add_task(self._stage.description, total=None, pace="", status="")
                self._bars.start()
        self._update(time.monotonic())

    def _update(self, now: float) -> None:
        task, stage, status = self._task, self._stage, self._status
        if task is not None:
            status = status if len(status) <= STATUS_CHARS else f"...{status[3 - STATUS_CHARS :]}"
            total = None if stage.total is None else float(stage.total)
            done = stage.done if total is None else min(stage.done, total)
            self._bars.update(task, total=total, completed=done, pace=stage.pace(now), status=status)

    def _finish(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._task is not None:
                self._bars.stop()
                self._bars.remove_task(self._task)
                self._task = None


@dataclass(slots=True)
class Stage:
    """Progress of a stage, and the time left: as long for each unit as for those so far.

    The first units are left out of that once there are more: before them, models are loaded and caches filled.
    """

    description: str
    total: int | None
    """Units in all; None where that is not known."""
    unit: str
    """The units' name in the plural."""
    began: float
    done: int = 0
    first: tuple[float, int] | None = None
    """Time at which the first units were done, and their number."""

    def advance(self, amount: int, now: float) -> None:
        self.done += amount
        if self.first is None and amount:
            self.first = now, amount

    def pace(self, now: float) -> str:
        """``20 of 100 passages, 4.2 s a passage, 5 min 36 s left``."""
        return ", ".join(part for part in (self.count(), self.rate(now), self.time_left(now)) if part)

    def count(self) -> str:
        """``20 of 100 passages``, ``1.2 MB of 3.4 MB``."""
        if self.unit == "bytes":
            return size(self.done) if self.total is None else f"{size(self.done)} of {size(self.total)}"
        return f"{self.done:,} {self.unit}" if self.total is None else f"{self.done:,} of {self.total:,} {self.unit}"

    def _measured(self, now: float) -> tuple[float, int]:
        """Seconds, and the units that were done in them."""
        if self.first is None:
            return 0.0, 0
        at, units = self.first
        return (now - at, self.done - units) if self.done > units and now > at else (now - self.began, self.done)

    def rate(self, now: float) -> str:
        """``120 files/s``, ``2.5 files/s``, ``4.2 s a question``; empty before the first unit is done."""
        seconds, units = self._measured(now)
        if seconds <= 0:
            return ""
        if self.unit == "bytes":
            return f"{size(units / seconds)}/s"
        if units >= seconds:
            return f"{units / seconds:,.{0 if units / seconds >= 9.95 else 1}f} {self.unit}/s"
        return f"{duration(seconds / units)} a {_SINGULAR.get(self.unit, self.unit.removesuffix('s'))}"

    def time_left(self, now: float) -> str:
        """``44 s left``; empty where it cannot be told."""
        seconds, units = self._measured(now)
        left = (self.total or 0) - self.done
        return f"{duration(seconds / units * left)} left" if units and left > 0 else ""


_SINGULAR = {"batches": "batch", "passes": "pass"}


def duration(seconds: float) -> str:
    """A time for people: ``0.4 s``, ``44 s``, ``3 min 20 s``, ``1 h 05 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
