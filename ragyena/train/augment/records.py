"""Synthetic records and tables with questions on them, and questions on definitions in prose.

Question sets cover running text. Documents also hold lists of labelled values, tables and glossaries, where a label
identifies an answer and only its title identifies a record. Names come from other passages and values are random, so
that a reader learns to look up rather than facts. Kinds of records and their fields are in ``words/records.yaml``.
"""

from __future__ import annotations

import calendar
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ragyena.data.qa_files import ContextRow, Question
from ragyena.train.augment.words import word_lists

__all__ = ["KINDS", "SOURCE", "definitions", "synthetic_records"]

SOURCE = "sheets"  # of the questions; it goes into the choice of held-out contexts, so that it stays as it is
_TABLES = 0.25  # of the documents; the others are records of one thing
_QUESTIONS = 5  # a document
_NOTES = 0.4  # of the records, those with a piece of prose among their fields
_ROWS = ("| {} |", "{}", "{}")
_BETWEEN = (" | ", "\t", "; ")
_SLOT = re.compile(r"<([^<>]+)>")
_RANGE = re.compile(r"(-?\d+)-(-?\d+)(\.?)")
_MONTHS = list(calendar.month_name)[1:]
_THING = r"(?:(?:The|An?) [a-z-]+|[A-Z][\w’'-]*)(?: [\w’'-]+){0,3}"
_DEFINITION = re.compile(
    rf"(?:^|(?<=[.] ))(?P<thing>{_THING}) (?P<verb>is|was) "
    r"(?P<what>(?:an?|the) [^.;:()\n]{12,110}?)(?=[.;]|, (?:and|who|which|born|located))"
)


@dataclass(frozen=True, slots=True)
class _Field:
    """One field of a kind of record."""

    labels: tuple[str, ...]
    questions: tuple[str, ...]
    """Ways to ask, with ``{}`` for the thing's name."""
    value: str

    @classmethod
    def parse(cls, line: str) -> _Field:
        labels, *questions, value = (part.strip() for part in line.split("|"))
        return cls(tuple(labels.split(" / ")), tuple(questions), value)


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of thing: patterns of its name, titles of sections, fields."""

    names: tuple[str, ...]
    sections: tuple[str, ...]
    fields: tuple[_Field, ...]


KINDS = tuple(
    _Kind(tuple(kind["names"]), tuple(kind["sections"]), tuple(map(_Field.parse, kind["fields"].splitlines())))
    for kind in word_lists("records")["kinds"]
)


def synthetic_records(
    count: int, names: Sequence[str], prose: Sequence[str]
) -> tuple[list[ContextRow], list[Question]]:
    """``count`` documents and their questions, always the same ones. ``names`` fill in names, pieces of ``prose`` stand
    among the fields."""
    chooser = random.Random(2)
    contexts: list[ContextRow] = []
    questions: list[Question] = []
    for number in range(count):
        kind = chooser.choice(KINDS)
        is_table = chooser.random() < _TABLES
        title, text, answered = _table(kind, names, chooser) if is_table else _record(kind, names, prose, chooser)
        key = f"{SOURCE}-{number}"
        contexts.append(ContextRow(key, title, text, SOURCE))
        for place, (question, answer, start) in enumerate(answered):
            questions.append(Question(f"{key}-{place}", SOURCE, question, (answer,), key, start))
    return contexts, questions


def definitions(rows: Sequence[ContextRow], count: int) -> list[Question]:
    """``What is X?`` and ``Who is X?`` on texts that define X; at most ``count``, one a text."""
    words = word_lists("records")["definitions"]
    not_things, people = set(words["not_things"].split()), "|".join(words["people"].split())
    questions = []
    for row in rows:
        match = _DEFINITION.search(row.text)
        if match is None or not_things.intersection(match["thing"].lower().split()):
            continue
        pronoun = "Who" if re.search(rf"\b(?:{people})\b", match["what"]) else "What"
        thing = re.sub(r"^(?:The|An?) ", lambda article: article[0].lower(), match["thing"])
        question = f"{pronoun} {match['verb']} {thing}?"
        start = match.start("what")
        questions.append(Question(f"definition-{row.id}", "definitions", question, (match["what"],), row.id, start))
    return random.Random(3).sample(questions, count) if len(questions) > count else questions


# -- documents ---------------------------------------------------------------------------------------------------

_Answered = list[tuple[str, str, int]]
"""Questions with their answer and its char offset."""


def _record(
    kind: _Kind, names: Sequence[str], prose: Sequence[str], chooser: random.Random
) -> tuple[str, str, _Answered]:
    """A list of labelled values about one thing; its title, its text, and questions."""
    title = _fill(chooser.choice(kind.names), names, chooser)
    fields = chooser.sample(kind.fields, chooser.randint(6, len(kind.fields)))
    line = chooser.choice(word_lists("records")["lines"])
    gap = chooser.choice(("\n", "\n", "\n\n"))
    text = f"# {title}\n\n" if chooser.random() < 0.5 else ""
    breaks = set(chooser.sample(range(len(fields)), chooser.randint(0, 3)))
    note = chooser.randrange(len(fields)) if prose and chooser.random() < _NOTES else -1
    before, between, after = line.split("{}")
    places: list[tuple[_Field, str, int]] = []
    for index, field in enumerate(fields):
        if index in breaks:
            text += f"\n## {chooser.choice(kind.sections)}\n\n"
        if index == note:
            text += line.format("Background", chooser.choice(prose)) + gap
        label, value = chooser.choice(field.labels), _fill(field.value, names, chooser)
        text += before + label + between
        places.append((field, value, len(text)))
        text += value + after + gap
    chosen = chooser.sample(places, min(_QUESTIONS, len(places)))
    questions = [(chooser.choice(field.questions).format(title), value, start) for field, value, start in chosen]
    return title, text, questions


def _table(kind: _Kind, names: Sequence[str], chooser: random.Random) -> tuple[str, str, _Answered]:
    """A table of several things, a row each; small enough for a passage to hold it with its head."""
    fields = chooser.sample(kind.fields, chooser.randint(2, 4))
    labels = [chooser.choice(field.labels) for field in fields]
    pattern = chooser.choice(kind.names)
    things = list(dict.fromkeys(_fill(pattern, names, chooser) for _ in range(chooser.randint(3, 6))))
    style = chooser.randrange(len(_ROWS))
    labelled = chooser.random() < 0.3  # each row says its labels, as tables written out as text do
    text = "" if labelled else _ROWS[style].format(_BETWEEN[style].join(["Name", *labels])) + "\n"
    if style == 0 and not labelled:
        text += "|" + " --- |" * (1 + len(fields)) + "\n"
    before, after = ("| ", " |") if style == 0 and not labelled else ("", "")
    places: list[tuple[_Field, str, str, int]] = []
    for thing in things:
        values = [_fill(field.value, names, chooser) for field in fields]
        text += f"Name: {thing}" if labelled else before + thing
        for field, label, value in zip(fields, labels, values):
            text += f"; {label}: " if labelled else _BETWEEN[style]
            places.append((field, thing, value, len(text)))
            text += value
        text += f"{after}\n"
    chosen = chooser.sample(places, min(_QUESTIONS, len(places)))
    questions = [(chooser.choice(field.questions).format(thing), value, start) for field, thing, value, start in chosen]
    return f"{chooser.choice(kind.sections)} of {chooser.choice(names)}", text, questions


# -- values ------------------------------------------------------------------------------------------------------


def _fill(pattern: str, names: Sequence[str], chooser: random.Random) -> str:
    """The pattern with its slots filled in, inner ones first."""
    while _SLOT.search(pattern):
        pattern = _SLOT.sub(lambda slot: _value(slot[1], names, chooser), pattern)
    return pattern


def _value(slot: str, names: Sequence[str], chooser: random.Random) -> str:
    if slot in ("name", "place"):
        return chooser.choice(names)
    if slot == "year":
        return str(chooser.randint(1750, 2024))
    if slot == "date":
        day, month, year = chooser.randint(1, 28), chooser.choice(_MONTHS), chooser.randint(1820, 2025)
        return chooser.choice((f"{day} {month} {year}", f"{month} {day}, {year}"))
    if slot == "a-z":
        return chooser.choice(names).split()[0].lower()
    number = _RANGE.fullmatch(slot)
    if number:
        low, high = int(number[1]), int(number[2])
        if number[3]:
            return f"{chooser.uniform(low, high):,.1f}"
        value = int(low + (high - low) * chooser.random() ** 3)  # small ones more often
        return f"{value:,}" if high > 9999 else str(value)
    if slot.startswith("many "):
        words = slot.removeprefix("many ").split(";")
        return ", ".join(chooser.sample(words, chooser.randint(2, min(4, len(words)))))
    return chooser.choice(slot.split(";"))
