"""The corpus of ``benchmarks/peers.py``: the repository's own documents as text files, and copies with other names and
numbers in them, of which an index of any size is made.

A copy keeps sentences and headings; each of its capitalised words and of its longer words may be another one, made from
the word and the number of the copy, and its numbers are drawn anew. So the vocabulary grows with the corpus, no two
documents are the same, and the text still reads as text.
"""

from __future__ import annotations

import json
import lzma
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Question", "read_questions", "write_added", "write_copies", "write_documents"]

DATA = Path(__file__).resolve().parents[1] / "data" / "real"
WORD = re.compile(r"\d+|[A-Z][a-z]{2,}|[a-z]{6,}")
RENAMED = {"name": 0.5, "word": 0.08}
"""Share of the names and of the longer words of a copy that are other ones."""
SYLLABLES = (
    "ba",
    "den",
    "for",
    "gil",
    "ham",
    "ker",
    "lo",
    "mar",
    "nev",
    "os",
    "pel",
    "ri",
    "sten",
    "tu",
    "vor",
    "wick",
)
FILES_A_FOLDER = 500
ADDED_CHARS = 4000


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and the strings any of which is its answer."""

    question: str
    answers: list[str]


def write_documents(folder: Path, most_chars: int) -> int:
    """Write the first documents of the repository's data as text files, up to so many chars; returns how many."""
    folder.mkdir(parents=True, exist_ok=True)
    written = 0
    for count, row in enumerate(_documents()):
        written += len(row["text"])
        if written > most_chars:
            return count
        (folder / _file_name(row["id"])).write_text(row["text"], encoding="utf-8")
    return count + 1


def read_questions(folder: Path, count: int) -> list[Question]:
    """Up to ``count`` questions, drawn evenly, with an answer that stands in the documents of the folder."""
    names = {path.name for path in folder.iterdir()}
    with lzma.open(DATA / "questions.jsonl.xz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    held = [
        Question(row["question"], row["answers"])
        for row in rows
        if row["answer_type"] == "span" and _file_name(row["document_id"]) in names
    ]
    return random.Random(0).sample(held, min(count, len(held)))


def write_copies(folder: Path, chars: int) -> int:
    """Write text files of about ``chars`` chars in all, each a copy of a document that differs; returns how many."""
    texts = [row["text"] for row in _documents()]
    written = files = 0
    for copy in range(1, 100_000):
        for number, text in enumerate(texts):
            varied = _varied(text, random.Random(f"{copy} {number}"))
            path = folder / f"{files // FILES_A_FOLDER:04d}" / f"{number:04d}-{copy:03d}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(varied, encoding="utf-8")
            files += 1
            written += len(varied)
            if written >= chars:
                return files
    raise AssertionError("so many copies are never needed")


def write_added(folder: Path, count: int) -> None:
    """Write documents that no copy is: a first line of their own, then some of a document."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = [row["text"] for row in _documents() if len(row["text"]) > ADDED_CHARS]
    for number in range(count):
        draw = random.Random(f"added {number}")
        names = " ".join("".join(draw.choice(SYLLABLES) for _ in range(4)) for _ in range(5))
        text = f"Notice {number}: {names}.\n\n{_varied(texts[number], draw)[:ADDED_CHARS]}"
        (folder / f"{number:02d}.txt").write_text(text, encoding="utf-8")


def _varied(text: str, draw: random.Random) -> str:
    names: dict[str, str] = {}

    def other(match: re.Match[str]) -> str:
        word = match.group()
        if word not in names:
            names[word] = _other(word, draw)
        return names[word]

    return WORD.sub(other, text)


def _other(word: str, draw: random.Random) -> str:
    if word.isdigit():
        return "".join(draw.choice("123456789") for _ in word)
    if draw.random() >= RENAMED["word" if word.islower() else "name"]:
        return word
    made = "".join(draw.choice(SYLLABLES) for _ in range(2 + len(word) // 6))
    return made if word.islower() else made.capitalize()


def _documents() -> Iterator[dict[str, str]]:
    with lzma.open(DATA / "documents.jsonl.xz", "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _file_name(document_id: str) -> str:
    return document_id.replace("/", "-") + ".txt"
