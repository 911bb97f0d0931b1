"""Rows read back from the lines that loaders write, over the whole of a table."""

from __future__ import annotations

import logging

import pytest

from ragyena.documents.table_rows import read_rows
from ragyena.documents.tables import read_table
from ragyena.documents.whole_tables import titles_at, whole_table
from ragyena.types import Block, Document, Heading

NAMES = ["Item", "Weight", "Note"]
ROWS = [["Lamp", "3 kg", "new; boxed: yes"], ["Pump", "", "old"], ["Saw", "9 kg", ""]]
MOST = 10_000


def lines_of(rows: list[list[str]]) -> str:
    return "\n".join(line for lines in read_table([NAMES, *rows], 1).lines() for line in lines)


def cells(text: str, names: list[str]) -> list[dict[int, str]] | None:
    table = read_rows(text, 0, names)
    return table and [{column: cell.text for column, cell in row.cells.items()} for row in table.rows]


def test_rows_are_what_was_written() -> None:
    assert cells(lines_of(ROWS), NAMES) == [
        {0: "Lamp", 1: "3 kg", 2: "new; boxed: yes"},
        {0: "Pump", 2: "old"},
        {0: "Saw", 1: "9 kg"},
    ]


def test_the_line_of_names_makes_no_short_table_doubtful() -> None:
    assert cells("item | price\nitem: tea; price: 2.80\nitem: cake; price: 4.10", ["item", "price"]) == [
        {0: "tea", 1: "2.80"},
        {0: "cake", 1: "4.10"},
    ]
    assert cells("a note\nitem: tea; price: 2.80\nitem: cake; price: 4.10", ["item", "price"]) is None


def test_every_cell_knows_its_place() -> None:
    text = lines_of(ROWS)
    table = read_rows(text, 0, NAMES)
    assert table is not None
    assert all(text[cell.start : cell.end] == cell.text for row in table.rows for cell in row.cells.values())


def test_a_row_under_a_section_keeps_it_apart_from_its_cells() -> None:
    table = read_rows("Tools > Item: Saw; Weight: 9 kg\nTools > Item: Axe; Weight: 2 kg", 0, ["Item", "Weight"])
    assert table is not None
    assert [row.sections for row in table.rows] == [("Tools",), ("Tools",)]
    assert table.rows[0].cells[0].text == "Saw"


def test_a_first_column_without_a_name_is_one() -> None:
    table = read_rows("North; Q1: 3; Q2: 4\nSouth; Q1: 5; Q2: 6", 0, ["Q1", "Q2"])
    assert table is not None
    assert table.names == ("", "Q1", "Q2")
    assert [cell.text for cell in table.rows[1].cells.values()] == ["South", "5", "6"]


def test_a_row_of_several_lines_is_one_row() -> None:
    long = [["Lamp", "3 kg", "x" * 480], ["Saw", "9 kg", "short"]]
    assert lines_of(long).count("\n") == 2
    assert cells(lines_of(long), NAMES) == [{0: "Lamp", 1: "3 kg", 2: "x" * 480}, {0: "Saw", 1: "9 kg", 2: "short"}]


@pytest.mark.parametrize("names", [[], ["Year", "Place", "Year"]])
def test_columns_that_names_do_not_tell_apart_are_not_read(names: list[str]) -> None:
    assert read_rows("Year: 1957; Place: 3; Year: 1960", 0, names) is None


def paged(between: str = "\n", header: tuple[str, ...] = ("Item", "Price")) -> Document:
    parts = ["Prices 2024\n\n", "Item: Lamp; Price: 3\nItem: Saw; Price: 4", between, "Item: Axe; Price: 5"]
    starts = [sum(map(len, parts[:n])) for n in range(5)]
    blocks = (Block(starts[1], starts[2], "table", ("Item", "Price")), Block(starts[3], starts[4], "table", header))
    return Document(
        "/prices.pdf", "".join(parts), "Prices", (0, starts[3]), headings=(Heading(0, 1, "Prices 2024"),), blocks=blocks
    )


def test_a_table_goes_on_over_a_page() -> None:
    document = paged()
    for block in document.blocks:
        table = whole_table(document, block.start, MOST)
        assert table is not None
        assert len(table.rows.rows) == 3
        assert table.alike == ()


def test_tables_with_text_between_them_are_alike_and_not_one() -> None:
    table = whole_table(paged(between="\nAnd the old prices:\n"), 15, MOST)
    assert table is not None
    assert len(table.rows.rows) == 2
    assert len(table.alike) == 1


def test_a_table_that_is_too_long_is_left_and_named(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert whole_table(paged(), 15, 20) is None
    assert "/prices.pdf" in caplog.text and "table_chars" in caplog.text


def test_a_table_at_the_edge_of_a_piece_of_a_file_is_not_known_to_be_whole() -> None:
    text = "Item: Lamp; Price: 3\nItem: Saw; Price: 4"
    blocks = (Block(0, len(text), "table", ("Item", "Price")),)
    assert whole_table(Document("/prices.csv", text, blocks=blocks), 0, MOST) is not None
    assert whole_table(Document("/prices.csv#1", text, blocks=blocks), 0, MOST) is None


def test_prose_is_no_table() -> None:
    assert whole_table(paged(), 0, MOST) is None


def test_titles_are_of_the_document_its_sections_and_the_line_above() -> None:
    document = paged()
    assert set(titles_at(document, document.blocks[0].start)) == {"Prices", "Prices 2024"}
