"""Progress and small formats."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragyena.cli import console
from ragyena.cli.console import TerminalProgress, short_path, size


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
