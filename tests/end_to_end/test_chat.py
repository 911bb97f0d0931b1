"""A conversation through the real command: follow-ups, commands, and what goes wrong in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from chat_server import chat_server
from command_line import Ragyena

pytestmark = pytest.mark.xdist_group("end_to_end")


def test_a_conversation(ragyena: Ragyena, library: Path) -> None:
    lines = [
        "When was the iron bridge built?",
        "and the wooden bridge?",
        "/show 1",
        "/show 99",
        "/show two",
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
    assert "there is no citation two" in done.err
    assert "there is no command /fly" in done.err
    assert "the question is empty" in done.err
    assert "never asked" not in said


def test_without_an_index_it_says_so(ragyena: Ragyena, tmp_path: Path) -> None:
    done = ragyena("chat", "--index", tmp_path / "none", stdin="hello\n")
    assert done.code == 4
    assert "no index" in done.err


def test_a_writer_answers_and_one_that_fails_ends_nothing(ragyena: Ragyena, library: Path) -> None:
    with chat_server(text="The iron bridge was built in 1932 [1]. Its engineer was Tom Miller [1].") as writer:
        lines = "When was the iron bridge built?\nand the wooden bridge?\n/where source=nothing\nAnd the tea?\n/quit\n"
        flags = ("--index", library, "--writer", writer.url, "--writer-model", "small-writer")
        done = ragyena("chat", *flags, stdin=lines).succeeds()
        assert done.err.count("writer: ") == 1 and f"{writer.url}/chat/completions (model small-writer)" in done.err
        assert "not supported: " in done.out and "1 of 2 sentences supported" in done.out
        assert "Question: When was the wooden bridge built?" in writer.requests[1]["messages"][1]["content"]
        assert len(writer.requests) == 2, "nothing is sent where there is no evidence"
        assert "nothing in the index matches the question" in done.out
        writer.status = 500
        done = ragyena("chat", *flags, stdin="When was the iron bridge built?\n/sources\n").succeeds()
        assert "refused with 500" in done.err and "bridge.md" in done.out
        writer.status, asked = 200, len(writer.requests)
        settings = {"RAGYENA_WRITER__URL": writer.url, "RAGYENA_WRITER__MODEL": "small-writer"}
        off = ragyena("chat", "--index", library, "--writer", "off", stdin=lines, environment=settings).succeeds()
        assert "1932" in off.out and len(writer.requests) == asked
    ragyena("chat", *flags[:2], "--writer", "localhost:1", "--writer-model", "m", stdin=lines).fails(2, "is no address")
