"""Questions that need several rows: each answer is found again by brute force, and doubtful tables are left alone."""

from __future__ import annotations

import random
import re
from collections import Counter
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragyena.documents.markdown_text import read_tables
from ragyena.train.augment.row_questions import SOURCE, Asked, ask, row_questions
from ragyena.train.augment.row_tables import RowTable, find_tables, value_of
from ragyena.types import Passage

CLUBS = ["Aldwick", "Brohm", "Caster", "Dunmore", "Elling", "Farrow", "Gant", "Holm"]
FOUNDED = [1931, 1902, 1888, 1950, 1920, 1947, 1899, 1911]
FIXTURE = """# Clubs of Ostland

| Rank | Club | Points | Founded | Prize money | Opened | Share |
| --- | --- | --- | --- | --- | --- | --- |
| 1 | Aldwick Town | 40 | 1931 | $1,200 | 12 March 1931 | 20% |
| 2 | Brohm United | 61[a] | 1902 | $900 | May 3, 1902 | 4.5% |
| 3 | Caster Rovers | 33 | 1888 | $15,000 | 1888-07-30 | 9% |
| 4 | Dunmore Town | 12 | 1950 | $2,000 | 1 Jan 1950 | 31% |
| 5 | Elling United | 25 | 1920 | $700 | 8 August 1920 | 30.5% |
| 6 | Farrow Rovers | 39 | 1947 | $3,000 | 9 June 1947 | 5% |
| 7 | Total | 210 | | $22,800 | | 100% |
"""


def passages(text: str, cuts: list[int] | None = None) -> list[Passage]:
    """The text as passages, cut before the lines of these numbers."""
    lines, start = text.split("\n"), 0
    found: list[list[int]] = []
    begins = {0, *(cuts or [])}
    for number, line in enumerate(lines):
        if number in begins or not found:
            found.append([start, start])
        found[-1][1] = start + len(line)
        start += len(line) + 1
    trimmed = [(a + len(text[a:b]) - len(text[a:b].lstrip()), a + len(text[a:b].rstrip())) for a, b in found]
    return [Passage(text[a:b], a, b, 1, 1, None, "Clubs of Ostland", (), "x") for a, b in trimmed if a < b]


def table_text(columns: dict[str, list[str]]) -> str:
    rows = zip(*columns.values())
    return "\n".join("; ".join(f"{name}: {cell}" for name, cell in zip(columns, row) if cell) for row in rows)


def right_answer(table: RowTable, naming: str, one: Asked) -> list[int]:
    """The rows that answer the question, found from what it was made of alone."""
    rows = [n for n, row in enumerate(table.rows) if not any(c.text.startswith("Total") for c in row.values())]
    if one.kind in ("first", "last"):
        return [rows[0] if one.kind == "first" else rows[-1]]
    if one.kind in ("next", "previous"):
        return [one.named[0] + (1 if one.kind == "next" else -1)]
    values = {n: value.number for n in rows if (value := value_of(table.rows[n][one.column].text))}
    if one.kind == "compare":
        pick = max if one.threshold else min
        return [n for n in one.named if values[n] == pick(values[m] for m in one.named)]
    if one.kind in ("most", "least"):
        pick = max if one.kind == "most" else min
        return [n for n in values if values[n] == pick(values.values())]
    return [n for n in values if (values[n] > one.threshold if one.kind == "above" else values[n] < one.threshold)]


def check(table: RowTable, naming: str, pieces: list[int], seed: int) -> Counter[str]:
    kinds: Counter[str] = Counter()
    for one in ask(table, naming, pieces, "Clubs of Ostland", random.Random(seed)):
        kinds[one.kind] += 1
        assert not re.search(r"\b(?:WHICH|THING|COLUMN|MOST|MORE|NAME|OTHER|VALUE|VERB|LESS|TITLE|ASK)\b", one.question)
        names = [row[naming].text for row in table.rows]
        assert all(names[n] in one.question for n in one.named)
        if one.answer < 0:
            assert not one.named and one.kind in ("next", "previous", "compare")
            continue
        assert right_answer(table, naming, one) == [one.answer], one
        assert one.kind == "compare" or names[one.answer] not in one.question
        if one.kind in ("next", "previous", "compare"):
            assert {pieces[n] for n in one.named} == {pieces[one.answer]}
        assert one.kind not in ("first", "last") or len(set(pieces)) == 1
    return kinds


@settings(max_examples=60, deadline=None)
@given(data=st.data(), seed=st.integers(0, 10_000))
def test_answers_of_random_tables_are_found_again(data: st.DataObject, seed: int) -> None:
    count = data.draw(st.integers(6, 8))
    numbers = data.draw(st.lists(st.integers(0, 12), min_size=count, max_size=count))
    money = data.draw(st.lists(st.integers(900, 1_500_000), min_size=count, max_size=count))
    days = data.draw(st.lists(st.dates(date(1800, 1, 1), date(2020, 1, 1)), min_size=count, max_size=count))
    columns = {
        "Club": CLUBS[:count],
        "Goals": [str(n) for n in numbers],
        "Budget": [f"${n:,}" for n in money],
        "Height": [f"{n / 10:.1f} m" for n in numbers],
        "Opened": [f"{day.day} {day:%B} {day.year}" for day in days],
        "Founded": [str(day.year) for day in days],
    }
    if data.draw(st.booleans()):
        last = ["Total", "99", "$9", "", "", ""]
        columns = {name: [*cells, cell] for (name, cells), cell in zip(columns.items(), last)}
    (table,) = find_tables("Clubs\n\n" + table_text(columns))
    pieces = sorted(data.draw(st.lists(st.integers(0, 2), min_size=len(table.rows), max_size=len(table.rows))))
    check(table, "Club", pieces, seed)


def test_every_kind_is_asked_of_a_loaded_table() -> None:
    text = read_tables(FIXTURE).document(Path("clubs.md")).text
    (table,) = find_tables(text)
    assert table.totals == {6}
    kinds: Counter[str] = Counter()
    for seed in range(60):
        kinds += check(table, "Club", [0] * 7, seed)
    assert set(kinds) == {"most", "least", "first", "next", "previous", "above", "below", "compare"}
    assert not any(one.column == "Rank" for s in range(20) for one in ask(table, "Club", [0] * 7, "", random.Random(s)))


@pytest.mark.parametrize("cuts", [[], [6, 8]])
def test_answers_stand_in_the_text_that_was_cut(cuts: list[int]) -> None:
    text = read_tables(FIXTURE).document(Path("clubs.md")).text
    asked = [q for seed in range(30) for q in row_questions({"c": passages(text, cuts)}, 100, seed)]
    assert asked and all(q.source == SOURCE and q.context_id == "c" for q in asked)
    for question in asked:
        for answer in question.answers:
            assert text[question.answer_start :].startswith(f"{answer};")
            assert text[: question.answer_start].endswith("Club: ") and answer != "Total"
    missing = [q for q in asked if not q.answers]
    assert missing and all(q.answer_start == -1 for q in missing)
    assert 0.02 < len(missing) / len(asked) < 0.4


def test_a_name_that_the_table_does_not_have_is_in_none_of_its_cells() -> None:
    text = read_tables(FIXTURE).document(Path("clubs.md")).text
    missing = [q for s in range(30) for q in row_questions({"c": passages(text)}, 100, s) if not q.answers]
    made = re.compile(r"(?:Aldwick|Brohm|Caster|Dunmore|Elling|Farrow) (?:Town|United|Rovers)")
    assert missing and all(any(name not in text for name in made.findall(q.question)) for q in missing)


def test_the_same_seed_makes_the_same_questions() -> None:
    text = read_tables(FIXTURE).document(Path("clubs.md")).text
    contexts = {"b": passages(text), "a": passages(text)}
    first = row_questions(contexts, 9, 3)
    assert first == row_questions(dict(reversed(contexts.items())), 9, 3) and len(first) == 9
    assert first != row_questions(contexts, 9, 4)
    assert {q.context_id for q in first[:2]} == {"a", "b"}, "evenly from all tables"
    assert len({q.id for q in first}) == 9 and row_questions(contexts, 0, 3) == []


def columns_asked(text: str) -> set[tuple[str, str]]:
    (table,) = find_tables(text)
    many = (ask(table, "Club", [0] * len(table.rows), "", random.Random(seed)) for seed in range(40))
    return {(one.kind, one.column) for some in many for one in some if one.column}


def test_a_tie_is_not_asked_about() -> None:
    text = table_text({"Club": CLUBS[:6], "Goals": ["9", "3", "9", "4", "5", "1"]})
    assert {kind for kind, _ in columns_asked(text)} == {"least", "below", "compare"}
    level = table_text({"Club": CLUBS[:6], "Goals": ["3"] * 6})
    assert columns_asked(level) == set()


@pytest.mark.parametrize(
    "cells",
    [
        ["9", "3", "over 90", "4", "5", "1"],
        ["9 kg", "3 g", "2 kg", "4 kg", "5 kg", "1 kg"],
        ["1", "2", "3", "4", "5", "6"],
        ["22 November", "3 May", "9 May", "1 June", "4 June", "9 July"],
        ["9", "-", "-", "4", "5", "1"],
    ],
)
def test_a_column_that_cannot_be_compared_is_not_asked_about(cells: list[str]) -> None:
    assert columns_asked(table_text({"Club": CLUBS[:6], "Goals": cells, "City": CLUBS[2:8]})) == set()


@pytest.mark.parametrize(
    "text",
    [
        table_text({"Club": [*CLUBS[:6], "Total Athletic"], "Goals": list("9345178")}),
        table_text({"Club": CLUBS[:6], "Goals": list("934518")}) + "\nand others",
        table_text({"Club": CLUBS[:5], "Goals": list("93451")}),
        table_text({"Club": [*CLUBS[:5], ""], "Goals": list("934518")}),
        "\n".join(f"Club: {club}" for club in CLUBS),
    ],
    ids=["may be a total", "a line that is no row", "few rows", "a row without its name", "one column"],
)
def test_a_doubtful_table_is_left_out(text: str) -> None:
    assert list(find_tables(text)) == []


@pytest.mark.parametrize(
    ("cell", "kind", "number"),
    [
        ("1,234.5", "number", 1234.5),
        ("−3", "number", -3),
        ("$1.2 million", "number", 1_200_000),
        ("45%", "number", 45),
        ("12 kg", "number", 12),
        ("7*", "number", 7),
        ("12 March 1931", "date", date(1931, 3, 12).toordinal()),
        ("Sept 1", None, 0),
        ("31 February 2000", None, 0),
        ("1,23", None, 0),
        ("12 apples", None, 0),
        ("3–1", None, 0),
        ("", None, 0),
    ],
)
def test_values_of_cells(cell: str, kind: str | None, number: float) -> None:
    value = value_of(cell)
    assert (value.kind, value.number) == (kind, number) if value and kind else value is None and kind is None
