"""Places followed from Markdown into the lines that its loader writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragyena.documents.markdown_text import read_markdown
from ragyena.documents.moved_text import follow

TABLE = """Results

| Case | Server or Client | Tries | Note |
| --- | --- | --- | --- |
| Server hangs up | Server | 3 | see **Server** log |
| 3 | 3 | 3 |  |
| [Tries](http://a.b/c) | Client | 67  (a\\|b) | 3; 3 |
"""


@pytest.mark.parametrize(
    ("row", "cell", "written"),
    [
        (0, 0, "Case: <Server hangs up>; Server or Client: Server; Tries: 3; Note: see Server log"),
        (0, 1, "Case: Server hangs up; Server or Client: <Server>; Tries: 3; Note: see Server log"),
        (0, 3, "Case: Server hangs up; Server or Client: Server; Tries: 3; Note: <see Server log>"),
        (1, 0, "Case: <3>; Server or Client: 3; Tries: 3"),
        (1, 1, "Case: 3; Server or Client: <3>; Tries: 3"),
        (1, 2, "Case: 3; Server or Client: 3; Tries: <3>"),
        (2, 0, "Case: <Tries>; Server or Client: Client; Tries: 67 (a|b); Note: 3; 3"),
        (2, 2, "Case: Tries; Server or Client: Client; Tries: <67 (a|b)>; Note: 3; 3"),
        (2, 3, "Case: Tries; Server or Client: Client; Tries: 67 (a|b); Note: <3; 3>"),
    ],
)  # fmt: skip
def test_a_cell_is_found_in_its_own_column_not_in_names_or_other_cells(row: int, cell: int, written: str) -> None:
    loaded = read_markdown(TABLE).document(Path("a.md")).text
    move = follow(TABLE, loaded)
    line = TABLE.split("\n")[4 + row]
    cells = line.replace("\\|", "??").split("|")[1:-1]
    start = TABLE.index(line) + 1 + sum(len(other) + 1 for other in cells[:cell])
    text = cells[cell]
    start, end = start + len(text) - len(text.lstrip()), start + len(text.rstrip())
    assert move is not None
    place = move(start, end)
    assert place is not None
    first, last = place
    begin, stop = loaded.rindex("\n", 0, first) + 1, loaded.index("\n", last)
    assert f"{loaded[begin:first]}<{loaded[first:last]}>{loaded[last:stop]}" == written


def test_what_is_left_out_is_followed_nowhere_and_other_lines_lead_nowhere() -> None:
    move = follow("a <!-- b --> c\nd", "a  c\nd")
    assert move is not None
    assert move(0, 1) == (0, 1) and move(7, 8) is None and move(13, 16) == (3, 6)
    assert follow("a\nb", "a") is None
