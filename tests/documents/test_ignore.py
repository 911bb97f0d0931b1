"""Ignore patterns: lines that are none, patterns and names made to take long."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import pytest

from ragyena.documents.ignore import MOST, IgnoreRules
from ragyena.documents.walk import find_files

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize("line", ["!", "a\\", "\\", "[z-a]", "[a-\\d]", "[[:alpha:]]", "x" * 5000])
def test_a_line_that_is_no_pattern_is_named_and_the_others_count(
    line: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / ".gitignore").write_text(f"a.txt\n{line}\n\n# {line}\nb.txt\n", encoding="utf-8")
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).touch()
    with caplog.at_level(logging.WARNING):
        assert find_files([tmp_path]).files == (tmp_path / "c.txt",)
    (message,) = caplog.messages
    assert f"{tmp_path / '.gitignore'}, line 2, {line[:60]!r}: " in message and "left out" in message


def test_bad_lines_beyond_some_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        IgnoreRules(["!"] * 1000, "x")
    assert len(caplog.messages) == 6 and "995 more lines" in caplog.messages[-1]


@pytest.mark.parametrize(
    "pattern",
    ["*a" * 20 + "b", "*" * 4000 + "b", "**/a/" * 500 + "b", "[a-z]*" * 100 + "b", "?" * 200 + "*?" * 50 + "b"],
)
def test_matching_takes_time_linear_in_the_length_of_a_name(pattern: str) -> None:
    began = time.perf_counter()
    rules = IgnoreRules([pattern], "x")
    assert rules.verdict("a" * 255) is None
    assert rules.verdict("a/" * 2000 + "a.txt") is None
    assert time.perf_counter() - began < 5


def test_of_very_many_patterns_the_first_are_used(caplog: pytest.LogCaptureFixture) -> None:
    began = time.perf_counter()
    with caplog.at_level(logging.WARNING):
        rules = IgnoreRules([f"*a{i}*.txt" for i in range(MOST + 5)], "x")
    assert rules.verdict(f"a{MOST - 1}.txt") is True and rules.verdict(f"b{MOST}.txt") is None
    assert "only the first 2000 patterns" in caplog.text
    assert time.perf_counter() - began < 10


def test_patterns_beyond_ascii() -> None:
    rules = IgnoreRules(["é*.txt", "!été.txt", "[α-ω].md"], "x")
    assert [rules.verdict(name) for name in ("école.txt", "été.txt", "β.md", "b.md")] == [True, False, True, None]


def test_an_ignore_file_that_cannot_be_read_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.txt").touch()
    for content in (b"\x00\x01\x02" * 100, b"x" * 17_000_000):
        (tmp_path / ".gitignore").write_bytes(content)
        with caplog.at_level(logging.WARNING):
            assert find_files([tmp_path]).files == (tmp_path / "a.txt",)
    assert "binary data" in caplog.messages[0] and "more than the limit of 16 MB" in caplog.messages[1]
