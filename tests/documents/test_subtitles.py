"""Subtitles: what is said, with times, without numbers and markup."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragyena.config import IndexConfig
from ragyena.documents.loading import load
from ragyena.errors import UnreadableDocumentError
from ragyena.types import Document


def read(tmp_path: Path, text: str, name: str = "talk.srt") -> Document:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    (document,) = load(path, IndexConfig())
    assert isinstance(document, Document)
    return document


def test_cues_that_follow_each_other_are_a_paragraph_with_its_time(tmp_path: Path) -> None:
    document = read(
        tmp_path,
        "1\n00:00:01,000 --> 00:00:02,000\nThe code word\nis <i>heron</i>\n\n2\n00:00:02,100 --> 00:00:03,000\n"
        "{\\an8}and no other.\n\n3\n01:02:30,000 --> 01:02:31,000\nLater.\n",
    )
    assert document.text == "[00:00:01] The code word is heron and no other.\n\n[01:02:30] Later."


def test_voices_notes_and_styles_of_webvtt(tmp_path: Path) -> None:
    document = read(
        tmp_path,
        "WEBVTT - Lecture 3\n\nNOTE secret\n\nSTYLE\n::cue { color: red }\n\nintro\n"
        "00:01.000 --> 00:03.500 align:start\n"
        "<v.loud Ana Roe>Welcome &amp; hello.\n\n00:03.600 --> 00:05.000\n<v Ben>Thanks.\n",
        "talk.vtt",
    )
    assert document.title == "Lecture 3"
    assert document.text == "[00:00:01] Ana Roe: Welcome & hello.\n\n[00:00:03] Ben: Thanks."


def test_two_speakers_in_a_cue_and_repeated_captions(tmp_path: Path) -> None:
    cue = "{}\n00:00:0{},000 --> 00:00:0{},000\n{}\n\n"
    turns = read(tmp_path, cue.format(1, 1, 2, "- How are you?\n- Fine."))
    assert turns.text == "[00:00:01] How are you?\n\n[00:00:01] Fine."
    rolling = "".join(cue.format(i, i, i + 1, text) for i, text in enumerate(["one", "one two", "one two", "three"], 1))
    assert read(tmp_path, rolling).text == "[00:00:01] one two three"


def test_cues_without_blank_lines_between_them(tmp_path: Path) -> None:
    text = "1\n00:00:01,000 --> 00:00:02,000\nOne.\n2\n00:00:02,000 --> 00:00:03,000\nTwo.\n"
    assert read(tmp_path, text).text == "[00:00:01] One. Two."


def test_a_file_without_times_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.srt"
    path.write_text("just text\n", encoding="utf-8")
    with pytest.raises(UnreadableDocumentError, match="holds no subtitles"):
        list(load(path, IndexConfig()))
