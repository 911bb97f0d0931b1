"""The rows of a table, read back from the lines that they were written as (``ragyena.documents.tables``).

A table that cannot be read back without doubt is not read at all: what is computed of it would be a guess.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["RowTable", "TableCell", "TableRow", "read_rows"]

_PART = "; "
_UNDER = " > "
_FEWEST = 0.8
"""Share of the lines, but for that of the names, that must be rows: the others are notes and names of sections."""


@dataclass(frozen=True, slots=True)
class TableCell:
    """A cell: its text, and the char of the document at which that starts."""

    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row's cells by the number of their column; an empty cell is none."""

    cells: dict[int, TableCell] = field(repr=False)
    sections: tuple[str, ...] = ()
    """The texts that the row stands under, outermost first."""


@dataclass(frozen=True, slots=True)
class RowTable:
    """A table of which every cell's column is known."""

    names: tuple[str, ...]
    """Names of the columns; that of the first may be empty."""
    rows: tuple[TableRow, ...] = field(repr=False)

    def column(self, column: int) -> list[TableCell | None]:
        return [row.cells.get(column) for row in self.rows]


def read_rows(text: str, start: int, names: Sequence[str]) -> RowTable | None:
    """The table in the lines of ``text``, which starts at the char ``start`` of its document, with these columns. None
    where the lines do not tell which cell is in which column. Takes time linear in the text."""
    if not names or len(set(names)) < len(names):
        return None
    name = re.compile("(?:" + "|".join(map(re.escape, sorted(names, key=len, reverse=True))) + "):(?: |$)")
    columns = {each: column for column, each in enumerate(names, 1)}
    rows: list[TableRow] = []
    others = 0
    for line in text.split("\n"):
        if line.strip():
            row = _row(line, start, name, columns)
            if row is not None and rows and _continues(rows[-1], row):
                rows[-1] = TableRow({**row.cells, **rows[-1].cells}, row.sections)
            elif row is not None:
                rows.append(row)
            elif name.search(line):
                return None
            elif [part for each in line.split("|") if (part := each.strip())] != list(
                names
            ):  # the line of names is none
                others += 1
        start += len(line) + 1
    if not rows or len(rows) < _FEWEST * (len(rows) + others):
        return None
    labelled = sum(0 in row.cells for row in rows)
    if 0 < labelled < _FEWEST * len(rows):
        return None  # some begin with a text that no name tells the column of
    first = int(not labelled)
    shifted = [TableRow({column - first: cell for column, cell in row.cells.items()}, row.sections) for row in rows]
    return RowTable(("", *names)[first:], tuple(shifted))


def _row(line: str, start: int, name: re.Pattern[str], columns: dict[str, int]) -> TableRow | None:
    """The row of a line that starts at the char ``start``; None where it is no row. Column 0 has no name."""
    named: list[tuple[int, int, int]] = []
    for at in (0, *(match.end() for match in re.finditer(f"{_PART}|{_UNDER}", line))):
        match = name.match(line, at)
        if match is not None and columns[match[0].rstrip()[:-1]] > (named[-1][0] if named else 0):
            named.append((columns[match[0].rstrip()[:-1]], at, match.end()))
    if not named:
        return None
    front = line[: named[0][1]]
    under = front.rfind(_UNDER)
    sections = tuple(front[:under].split(_UNDER)) if under >= 0 else ()
    label = under + len(_UNDER) if under >= 0 else 0
    if label < len(front):
        named.insert(0, (0, label, label))
    ends = [*(at for _, at, _ in named[1:]), len(line) + len(_PART)]
    cells = {}
    for (column, _, begin), end in zip(named, ends, strict=True):
        value = line[begin : max(begin, end - len(_PART))]
        if value.strip():
            cells[column] = TableCell(value.strip(), start + begin + len(value) - len(value.lstrip()))
    return TableRow(cells, sections)


def _continues(row: TableRow, other: TableRow) -> bool:
    """True where a long row goes on in the next line, which repeats its first cells."""
    mine, its = sorted(row.cells), sorted(other.cells)
    shared = [column for column in its if column in row.cells]
    return (
        0 < len(shared) < len(its)
        and shared == mine[: len(shared)] == its[: len(shared)]
        and its[len(shared)] > mine[-1]
        and all(row.cells[column].text == other.cells[column].text for column in shared)
    )
