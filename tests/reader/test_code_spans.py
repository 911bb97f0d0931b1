"""Answers in code come out whole."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragyena.reader.code_spans import whole_code

CODE = """# setup
$ queue retain telemetry.raw --keep 2h     # until the next reload
docker run --rm \\
    -v /srv/data:/data \\
    example/keldra:1.4.2
port = 9120
name: "tide-gauge-west"
int shallow = a + b / c;
# all the words of this line: yes
"""
COMMAND = CODE[CODE.index("docker") : CODE.index("\nport")]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("raw --keep 2h", "queue retain telemetry.raw --keep 2h"),
        ("--keep 2h", "--keep 2h"),
        ("until the next", "until the next"),
        ("all the words of this line", "all the words of this line"),
        ("retain telemetry.raw --keep 2h", "queue retain telemetry.raw --keep 2h"),
        ("queue retain telemetry.raw --keep 2h", "queue retain telemetry.raw --keep 2h"),
        ("9120", "9120"),
        ("tide-gauge-west", "tide-gauge-west"),
        ("keldra", "example/keldra:1.4.2"),
        ("data:/data", "/srv/data:/data"),
        ("run --rm \\\n    -v /srv/data:/data \\\n    example", COMMAND),
        ("shallow", "shallow"),
        ("rm", "--rm"),
    ],
)
def test_words_and_commands_are_not_cut(answer: str, expected: str) -> None:
    start = CODE.index(answer)
    first, last = whole_code(CODE, start, start + len(answer))
    assert CODE[first:last] == expected


@settings(deadline=None)  # the machine may be busy
@given(st.text(alphabet="ab1 .-_/:#=$\\\n", min_size=1, max_size=300), st.data())
def test_what_grows_holds_what_was_given(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    first, last = whole_code(text, start, end)
    assert 0 <= first <= start < end <= last <= len(text)


def test_long_rules_take_no_time() -> None:
    text = "-" * 5000 + " x" + " -" * 5000
    assert whole_code(text, 5001, 5002) == (5001, 5002)


def test_text_without_lines_is_kept() -> None:
    assert whole_code("x", 0, 1) == (0, 1)
    assert whole_code("a long line of words", 2, 6) == (2, 6)
