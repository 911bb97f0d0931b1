"""Subtitles (SubRip, WebVTT): what is said, with its times; cues that follow each other closely are one line."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.decoding import read_text
from ragyena.documents.text_builder import TextBuilder
from ragyena.errors import UnreadableDocumentError
from ragyena.types import Document

SUFFIXES = (".srt", ".vtt", ".sbv")
WAY_OUT = {".ass": "convert it to .srt", ".ssa": "convert it to .srt", ".sub": "convert it to .srt"}

PAUSE = 3.0
"""Seconds of silence that begin a new line."""
LONGEST = 400
"""Chars after which a line ends with the sentence."""

_STAMP = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_TIMES = re.compile(rf"\s*{_STAMP}\s*(?:-{{1,3}}>|,)\s*{_STAMP}(?:\s|\Z)")
_VOICE = re.compile(r"<v(?:\.[^\s<>]{0,80})?\s{1,9}([^<>]{1,80})>")
_TAG = re.compile(r"<[^<>\n]{0,200}>|\{\\[^{}\n]{0,200}\}")
_SPEAKER = re.compile(r">>\s{0,9}|-\s{1,9}(?=\S)")
_SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’)\]]?\Z")


@dataclass(slots=True)
class _Cue:
    start: float
    end: float
    speaker: str
    text: str


def load(path: Path, config: IndexConfig) -> Iterator[Document]:
    lines = read_text(path).split("\n")
    cues = list(_cues(lines))
    if not cues:
        raise UnreadableDocumentError(
            f"{path} is damaged, or holds no subtitles: it has no line of times", hint="convert it to .srt again"
        )
    builder = TextBuilder()
    for start, speaker, text in _spoken(cues):
        builder.block(f"[{_clock(start)}] {f'{speaker}: ' if speaker else ''}{text}")
    title = lines[0].partition("WEBVTT")[2].strip(" \t-") if lines[0].lstrip("\ufeff").startswith("WEBVTT") else ""
    yield builder.document(path, title)


def _cues(lines: list[str]) -> Iterator[_Cue]:
    """The cues in order. Lines that belong to none (numbers, NOTE and STYLE blocks) are left out."""
    i = 0
    while i < len(lines):
        times = _TIMES.match(lines[i][:200])
        i += 1
        if times is None:
            continue
        said: list[str] = []
        while i < len(lines) and lines[i].strip():
            if _TIMES.match(lines[i][:200]):  # no blank line between two cues
                said = said[:-1] if said and said[-1].strip().isdecimal() else said
                break
            said.append(lines[i])
            i += 1
        yield from _spoken_in(said, _seconds(times.groups()[:4]), _seconds(times.groups()[4:]))


def _spoken_in(said: list[str], start: float, end: float) -> Iterator[_Cue]:
    """A cue, or several where more than one person speaks in it."""
    speaker = ""
    parts: list[str] = []
    for line in said:
        voice = _VOICE.search(line)
        text = " ".join(html.unescape(_TAG.sub("", line)).split())
        turn = _SPEAKER.match(text)
        if (voice is not None or turn is not None) and parts:
            yield _Cue(start, end, speaker, " ".join(parts))
            speaker, parts = "", []
        if voice is not None:
            speaker = " ".join(voice[1].split())
        text = text[turn.end() :] if turn is not None else text
        if turn is not None and not parts:
            speaker = speaker or "–"
        if text:
            parts.append(text)
    if parts:
        yield _Cue(start, end, speaker, " ".join(parts))


def _spoken(cues: list[_Cue]) -> Iterator[tuple[float, str, str]]:
    """(start, speaker, text) of runs of cues of one speaker, cut at pauses and, once long, at ends of sentences.

    A cue that repeats the one before it, as automatic captions do, counts once.
    """
    run: list[str] = []
    length, start, last = 0, 0.0, _Cue(0.0, 0.0, "", "")
    for cue in cues:
        ends = length > LONGEST and _SENTENCE_END.search(run[-1]) is not None
        changes = cue.speaker != last.speaker and bool(cue.speaker or last.speaker)
        if run and (ends or changes or cue.speaker == "–" or cue.start - last.end > PAUSE or length > 3 * LONGEST):
            yield start, last.speaker.strip("–"), " ".join(run)
            run, length = [], 0
        if not run:
            start = cue.start
        if not (run and cue.text == last.text):
            text = cue.text
            if run and text.startswith(f"{last.text} ") and last.text == run[-1]:
                run[-1] = text  # rolling captions: the line before, and one more
                length += len(text) - len(last.text)
            else:
                run.append(text)
                length += len(text)
        last = cue
    if run:
        yield start, last.speaker.strip("–"), " ".join(run)


def _seconds(stamp: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, fraction = (int(part or 0) for part in stamp)
    return 3600 * hours + 60 * minutes + seconds + fraction / 1000


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"
