"""Cells are found again in the lines of their rows."""

from __future__ import annotations

import pytest

from ragyena.documents.tables import read_table
from ragyena.reader.cells import Cell, cell_at

PUMPS = ("Name", "Weight (kg)", "Net: price", "Use")


@pytest.mark.parametrize(
    ("line", "answer", "header", "expected"),
    [
        ("Name: V-10; Weight (kg): 3.9; Use: wells", "3.9", PUMPS, Cell("Name: V-10", "Weight (kg)")),
        ("Name: V-10; Weight (kg): 3.9; Use: wells", "V-10", PUMPS, Cell("Name: V-10", "Name")),
        ("Name: V-10; Use: wells; ponds: small ones; seas", "seas", PUMPS, Cell("Name: V-10", "Use")),
        ("Name: V-10; Net: price: 30", "30", PUMPS, Cell("Name: V-10", "Net: price")),
        ("Garden > Small > Name: V-10; Use: wells", "wells", PUMPS, Cell("Garden > Small > Name: V-10", "Use")),
        (
            "Weight; Model V-10: 3.1 kg; Model V-20: 3.9 kg",
            "3.9 kg",
            ("Model", "V-10", "V-20"),
            Cell("Weight", "Model V-20"),
        ),
        ("Item: Tea; Q1, Q2: the same long text", "same", ("Item", "Q1", "Q2"), Cell("Item: Tea", "Q1, Q2")),
        ("Name: Ann; Born: 1970", "1970", (), Cell("Name: Ann", "Born")),
        ("Tea | 3 | 4", "3", (), Cell("Tea", None)),
        ("Name: V-10; Weight (kg): 3.9; Use: wells", "3.9; Use: wells", PUMPS, None),
    ],
)
def test_a_cell_has_a_row_and_a_column(line: str, answer: str, header: tuple[str, ...], expected: Cell | None) -> None:
    start = line.rindex(answer)
    assert cell_at(line, start, start + len(answer), header) == expected


def test_every_cell_of_a_written_table_is_found() -> None:
    rows = [["City", "Founded", "Known for"], ["Aldon", "1204", "salt; fish"], ["Brey", "1388", "cloth: wool"]]
    table = read_table(rows)
    for row, (line,) in zip(rows[1:], table.lines(), strict=True):
        for name, value in zip(rows[0], row, strict=True):
            start = line.index(value)
            assert cell_at(line, start, start + len(value), table.header) == Cell(f"City: {row[0]}", name)
