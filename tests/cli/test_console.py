"""Progress and small formats."""

from __future__ import annotations

import io
import sys
import time
from pathlib import Path

import pytest

from ragyena.cli import console
from ragyena.cli.console import Stage, TerminalProgress, short_path, size


def run(progress: TerminalProgress, clock: list[float]) -> None:
    with progress:
        progress.start("embedding", 100, "passages")
        for _ in range(4):
            clock[0] += 11.0
            progress.advance(20)
        progress.note("one file was left out")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    return now


def test_where_stderr_is_no_terminal_progress_is_lines_with_rate_and_time_left(
    capsys: pytest.CaptureFixture[str], clock: list[float]
) -> None:
    run(TerminalProgress(), clock)
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines[0] == "embedding: 20 of 100 passages, 1.8 passages/s, 44 s left"
    assert lines[-1] == "one file was left out"
    assert len(lines) == 5


def test_quiet_keeps_notes_alone(capsys: pytest.CaptureFixture[str], clock: list[float]) -> None:
    run(TerminalProgress(quiet=True), clock)
    assert capsys.readouterr().err.splitlines() == ["one file was left out"]


def test_a_short_stage_leaves_no_trace(capsys: pytest.CaptureFixture[str]) -> None:
    with TerminalProgress() as progress:
        progress.start("reading", 3, "files")
        progress.advance(3)
    assert capsys.readouterr() == ("", "")


def test_paths_are_short_where_they_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert short_path(f"{tmp_path}/docs/a.md#3") == "docs/a.md#3"
    monkeypatch.setenv("HOME", "/home/ada")
    assert short_path("/home/ada/b.md") == "~/b.md"
    assert short_path("/elsewhere/b.md") == "/elsewhere/b.md"


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2_340_000_000, "2.3 GB")])
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("done", "seconds", "unit", "rate"),
    [
        (1200, 10, "files", "120 files/s"),
        (25, 10, "files", "2.5 files/s"),
        (10, 42, "questions", "4.2 s a question"),
        (1, 80, "questions", "1 min 20 s a question"),
        (1, 7300, "batches", "2 h 01 min a batch"),
        (5_000_000, 2, "bytes", "2.5 MB/s"),
    ],
)
def test_rates(done: int, seconds: float, unit: str, rate: str) -> None:
    stage = Stage("working", None, unit, began=100.0)
    assert stage.rate(100.0) == ""
    stage.advance(done, 100.0 + seconds)
    assert stage.rate(100.0 + seconds) == rate


def test_the_time_left_does_not_count_what_came_before_the_first_unit() -> None:
    """Models are loaded before the first of 40 questions; each of the others takes 3 s."""
    stage = Stage("asking", 40, "questions", began=0.0)
    assert stage.time_left(20.0) == ""
    stage.advance(1, 23.0)
    for number in range(1, 10):
        stage.advance(1, 23.0 + 3 * number)
    assert stage.pace(50.0) == "10 of 40 questions, 3.0 s a question, 1 min 30 s left"
    stage.advance(30, 140.0)
    assert stage.time_left(140.0) == ""


def test_lines_say_what_a_stage_is_at(capsys: pytest.CaptureFixture[str], clock: list[float]) -> None:
    with TerminalProgress() as progress:
        progress.start("reading", 10_000_000, "bytes")
        clock[0] += 11.0
        progress.advance(2_500_000, "first.pdf")
        clock[0] += 11.0
        progress.advance(0, "evil\x1b[2J\n.pdf")
    assert capsys.readouterr().err.splitlines() == [
        "reading: 2.5 MB of 10.0 MB, 227.3 kB/s, 33 s left, first.pdf",
        r"reading: 2.5 MB of 10.0 MB, 113.6 kB/s, 1 min 6 s left, evil\x1b[2J\n.pdf",
    ]


def test_a_bar_names_the_stage_before_its_first_unit_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal, of which nothing is written to stdout."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(console, "SHOW_AFTER", 0.02)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with TerminalProgress() as progress:
        progress.start("reading", 1000, "bytes")
        progress.advance(0, "[/slow]\x1b[2J.pdf")
        deadline = time.monotonic() + 20
        while "2J.pdf" not in screen.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
        progress.advance(1000)
        progress.note("done")
    assert r"[/slow]\x1b[2J.pdf" in screen.getvalue()
    assert "\x1b[2J" not in screen.getvalue()
    assert screen.getvalue().rstrip().endswith("done")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True
