"""Questions on several rows of a table: computed where they leave no doubt, else left alone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ragyena.documents.table_rows import RowTable, TableCell, TableRow
from ragyena.reader.tables.asked import AskedTable
from ragyena.reader.tables.operations import answer_by_rows

PUMPS = (
    "Pump | Supplier | Flow | Price | Launched",
    "Amber | Keller | 120 | $1,200 | 2004-05-02",
    "Basalt | Brandt | 85 | $310 | 1999-01-30",
    "Cobalt | Keller | 410 | $990 | 2011-12-01",
    "Dune | Sulla | 260 | $2,450 | 2008-07-15",
    "Ember | Oyama | 300 | $760 | 2002-03-09",
)


def asked(lines: Sequence[str], context: Sequence[str] = ()) -> AskedTable:
    names, *rows = ([cell.strip() for cell in line.split("|")] for line in lines)
    cells = [TableRow({n: TableCell(text, 0) for n, text in enumerate(row) if text}) for row in rows]
    return AskedTable(RowTable(tuple(names), tuple(cells)), context)


def answer(question: str, lines: Sequence[str] = PUMPS, context: Sequence[str] = ()) -> str | None:
    table = asked(lines, context)
    found = answer_by_rows(question, table)
    return None if found is None else table.text(found.column, found.row)


def changed(row: int, old: str, new: str) -> list[str]:
    return [line.replace(old, new) if n == row else line for n, line in enumerate(PUMPS)]


@pytest.mark.parametrize(
    ("question", "right"),
    [
        ("Which pump is the cheapest?", "Basalt"),
        ("cheapest pump", "Basalt"),
        ("Which supplier has the most expensive pump?", "Sulla"),
        ("What is the highest flow?", "410"),
        ("Which pump has the lowest flow?", "Basalt"),
        ("which pump was launched last?", "Cobalt"),
        ("What is the oldest pump?", "Basalt"),
        ("What is the last pump on the list?", "Ember"),
        ("Who is the supplier of the first pump listed?", "Keller"),
        ("Which pump is listed after Cobalt?", "Dune"),
        ("What pump comes right before Cobalt?", "Basalt"),
        ("Which has more flow, Amber or Ember?", "Ember"),
        ("Is Amber or Dune cheaper?", "Amber"),
        ("Which was launched earlier, Ember or Dune?", "Ember"),
        ("Which Keller pump is the cheapest?", None),
    ],
)
def test_rows_are_compared(question: str, right: str | None) -> None:
    assert answer(question) == right


@pytest.mark.parametrize(
    "question",
    [
        "Which pump is the loudest?",  # no such column
        "Which pump has the most complaints?",
        "Which rusty pump is the cheapest?",  # a word that the table does not explain
        "highest flow",  # the value, or the pump
        "How many pumps have the most flow?",
        "Does Amber have the most flow?",
        "Which pump comes after Zircon?",
        "Which pump is listed after Ember?",  # the last row
        "Which pump and supplier has the most flow?",
        "What is the pump with at least one supplier?",
        "Who is Amber's supplier?",
    ],
)
def test_doubt_is_left_to_the_reader(question: str) -> None:
    assert answer(question) is None


def test_ties_are_not_decided() -> None:
    tied = changed(1, "120", "410")
    assert answer("Which pump has the most flow?", tied) is None
    assert answer("What is the highest flow?", tied) == "410"
    assert answer("Which has more flow, Amber or Cobalt?", tied) is None


def test_totals_are_no_rows() -> None:
    assert answer("Which pump has the most flow?", [*PUMPS, "Total | | 1175 | $5,710 |"]) == "Cobalt"
    assert answer("What is the last pump on the list?", [*PUMPS, "Total | | 1175 | $5,710 |"]) == "Ember"


@pytest.mark.parametrize("cell", ["", "n/a", "about 900", "5 m³"])
def test_a_cell_that_could_change_the_outcome_stops_it(cell: str) -> None:
    assert answer("Which pump has the most flow?", changed(4, "260", cell)) is None


def test_amounts_below_zero_are_not_compared() -> None:
    lines = ["Item | Amount", "Fuel | (900)", "Staff | (400)", "Sales | (20)"]
    assert answer("Which item has the largest amount?", lines) is None
    assert answer("Which has the larger amount, fuel or staff?", lines) is None


def test_codes_do_not_name_what_is_asked_for() -> None:
    lines = ["Item no. | Item | Price", "H-1 | Hops | 9", "H-2 | Malt | 4", "H-3 | Hops | 7"]
    assert answer("cheapest malt", lines) is None


def test_numbers_of_the_rows_are_not_what_is_asked_for() -> None:
    lines = ["No. | Site | Max depth", "41 | Kelpie | 18.4", "42 | Quarry | 39.5", "43 | Kelpie | 20.1"]
    assert answer("deepest dive", lines) is None
    assert answer("What is the highest max depth?", lines) == "39.5"


def test_a_table_whose_latest_row_stands_first_is_read_upwards() -> None:
    lines = ["Year | Mayor", "2010 | Ada Holm", "2002 | Ben Orr", "1995 | Cleo Fox"]
    assert answer("Who was mayor after Ben Orr?", lines) == "Ada Holm"
    assert answer("Who is listed below Ben Orr?", lines) == "Cleo Fox"


def test_words_of_the_title_are_understood() -> None:
    question = "Which pump is the cheapest in 2024?"
    assert answer(question) is None
    assert answer(question, context=("price", "list", "2024")) == "Basalt"


def test_the_rows_that_were_compared_are_told() -> None:
    table = asked(PUMPS)
    found = answer_by_rows("Which pump is the cheapest?", table)
    assert found is not None
    assert (found.row, found.compared, found.measured, found.sign) == (1, (4,), 3, -1)
