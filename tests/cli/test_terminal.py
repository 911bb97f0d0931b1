"""No text gives the terminal orders: streams, the console, JSON, and what is drawn."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from pathlib import Path

import pytest

from ragyena.cli import console
from ragyena.cli.terminal import VisibleStream, one_line, visible
from ragyena.cli.views import passages_view
from ragyena.cli.visible_console import VisibleConsole
from ragyena.errors import StorageError
from ragyena.types import Passage, ScoredPassage

ORDERS = "\x1b[31mred\x1b]0;title\x07\x9b2J\x00\x08\x7f\r!\u202egnp.exe\u2066\u200f\u200b\ufeff\U000e0041\udcff"
WRITTEN = r"\x1b[31mred\x1b]0;title\x07\x9b2J\x00\x08\x7f\x0d!\u202egnp.exe\u2066\u200f\u200b\ufeff\U000e0041\udcff"
FORBIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def test_controls_are_written_out_and_all_else_stays() -> None:
    assert visible(ORDERS) == WRITTEN
    plain = "Zeile\n\tnächste, 日本語, สวัสดี, שלום, می\u200cخواهم, \U0001f469\u200d\U0001f4bb, \\x1b"
    assert visible(plain) == plain
    assert visible("one\r\ntwo") == "one\ntwo"
    assert one_line("a\nerror: b\tc") == r"a\nerror: b\tc"


def test_a_stream_shows_text_and_keeps_its_own_styles_apart() -> None:
    raw = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace")
    stream = VisibleStream(raw, name="stdout", must_arrive=True)
    print(f"a {ORDERS}", file=stream)
    stream.styled.write("\x1b[1mb\x1b[0m\n")
    stream.flush()
    assert raw.buffer.getvalue().decode() == f"a {WRITTEN}\n\x1b[1mb\x1b[0m\n"  # type: ignore[attr-defined]


def drawn(*objects: object) -> str:
    file = io.StringIO()
    for item in objects:
        VisibleConsole(file).print(item)
    return file.getvalue()


def test_a_console_writes_out_what_it_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.table import Table
    from rich.text import Text

    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("FORCE_COLOR", "1")
    table = Table(title=ORDERS)
    table.add_column(ORDERS)
    table.add_row(ORDERS)
    text = drawn(ORDERS, table, Text("\x1b[31mnested", style="bold"))
    assert "\x1b[1m" in text  # our own style
    assert not FORBIDDEN.search(re.sub(r"\x1b\[[0-9;]*m", "", text))
    assert text.count(r"\x1b[31mred") == 4


@pytest.mark.parametrize("columns", ["0", "1", "-5", "", "wide", "²", "9" * 30])
def test_any_width_is_drawn(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    passage = Passage(f"The bridge {ORDERS}", 0, 20, 1, 1, None, "T", (), f"/docs/{ORDERS}\n.md", 1, 1)
    text = drawn(passages_view([ScoredPassage(passage, 0.5)]))
    assert "bridge" in text and not FORBIDDEN.search(text.replace("\n", ""))


def test_json_stays_json_and_holds_no_controls(capsys: pytest.CaptureFixture[str]) -> None:
    console.emit_json({"text": ORDERS, ORDERS: "ü"})
    out = capsys.readouterr().out
    assert not FORBIDDEN.search(out)
    assert json.loads(out) == {"text": ORDERS, ORDERS: "ü"}


def test_a_name_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert console.short_path(f"{tmp_path}/a\nerror: b\x1b.md") == r"a\nerror: b\x1b.md"


def test_names_are_printed_where_the_working_directory_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert console.short_path("/docs/a.md") == "/docs/a.md"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_output_that_cannot_be_written_is_an_error_once() -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        stream = VisibleStream(full, name="stdout", must_arrive=True)
        stream.write("lost")
        with pytest.raises(StorageError, match="stdout cannot be written: No space left"):
            stream.flush()
        stream.write("and no further error")
        stream.flush()
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        stream = VisibleStream(full, name="stderr", must_arrive=False)
        stream.write("lost")
        stream.flush()


def test_a_closed_pipe_is_a_broken_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", encoding="utf-8") as pipe:
        monkeypatch.setattr(sys, "stdout", VisibleStream(pipe, name="stdout", must_arrive=True))
        with pytest.raises(BrokenPipeError):
            console.output().print("x" * 100_000)
