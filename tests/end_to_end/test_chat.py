"""A conversation through the real command: follow-ups, commands, and what goes wrong in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Ragyena

pytestmark = pytest.mark.xdist_group("end_to_end")


def test_a_conversation(ragyena: Ragyena, library: Path) -> None:
    lines = [
        "When was the iron bridge built?",
        "and the wooden bridge?",
        "/show 1",
        "/show 99",
        "/fly",
        "/explain",
        "/where source=*.txt",
        "/sources lamp",
        "?",
        "/new",
        "and the wooden bridge?",
        "/quit",
        "never asked",
    ]
    done = ragyena("chat", "--index", library, stdin="\n".join(lines)).succeeds()
    said = done.out
    assert said.count("asked as: ") == 1, "after /new there is nothing to go back to"
    assert "asked as: When was the wooden bridge built?" in said
    assert "1932" in said
    assert "budget" in said, "/explain"
    assert "asking source=*.txt" in said
    assert "lamp.txt" in said.rpartition("asking source")[2]
    assert "there is no citation 99" in done.err
    assert "there is no command /fly" in done.err
    assert "the question is empty" in done.err
    assert "never asked" not in said


def test_without_an_index_it_says_so(ragyena: Ragyena, tmp_path: Path) -> None:
    done = ragyena("chat", "--index", tmp_path / "none", stdin="hello\n")
    assert done.code == 4
    assert "no index" in done.err
