"""A sheet of a workbook as its file has it: cells by row and column, merged areas, and what is hidden."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from ragyena.documents.merged_cells import Covered

__all__ = ["MOST_CELLS", "Area", "Cells", "Sheet"]

MOST_CELLS = 1_000_000
"""Cells with a content that are read of one workbook."""
MOST_REPEATED = 1_000_000
"""Cells of one sheet that merged areas may fill."""
MOST_REPEATED_CHARS = 20_000_000

Cells = dict[int, dict[int, str]]
"""Row -> column -> text, both counted from 1; only cells that hold something."""


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle of cells, all four bounds included."""

    top: int
    left: int
    bottom: int
    right: int


@dataclass(slots=True)
class Sheet:
    """One sheet. Rows and columns count from 1."""

    name: str
    cells: Cells = field(default_factory=dict)
    merged: list[Area] = field(default_factory=list)
    tables: list[tuple[Area, int]] = field(default_factory=list)
    """Areas that the file itself calls tables, each with its number of rows of names."""
    hidden_rows: set[int] = field(default_factory=set)
    hidden_columns: set[int] = field(default_factory=set)
    is_hidden: bool = False
    is_cut: bool = False
    """The sheet holds more cells than are read."""
    comments: list[tuple[str, str]] = field(default_factory=list)
    """Place and text of each comment."""
    texts: list[str] = field(default_factory=list)
    """Texts that float over the cells: text boxes, titles of charts."""

    def fill_merged(self) -> None:
        """Repeat the text of every merged area in the cells that it covers, as far as the sheet has such rows and
        columns."""
        if not self.merged:
            return
        rows = sorted(self.cells)
        last_column = max((max(row) for row in self.cells.values()), default=0)
        cells_left, chars_left = MOST_REPEATED, MOST_REPEATED_CHARS
        for area in self.merged:
            text = self.cells.get(area.top, {}).get(area.left, "")
            if not text:
                continue
            right = min(area.right, last_column)
            for row in rows[bisect_left(rows, area.top) : bisect_right(rows, area.bottom)]:
                cells_left -= right - area.left + 1
                chars_left -= (right - area.left + 1) * len(text)
                if min(cells_left, chars_left) < 0:
                    return
                for column in range(area.left, right + 1):
                    self.cells[row].setdefault(column, text if column == area.left else Covered(text))

    def drop_hidden(self) -> tuple[list[int], list[int]]:
        """Take out hidden rows and columns; those of them that held something."""
        rows = sorted(row for row in self.hidden_rows if self.cells.pop(row, None))
        columns: set[int] = set()
        if self.hidden_columns:
            for cells in self.cells.values():
                hidden = self.hidden_columns & cells.keys()
                for column in hidden:
                    del cells[column]
                columns |= hidden
            self.cells = {row: cells for row, cells in self.cells.items() if cells}
        return rows, sorted(columns)

    def take(self, area: Area) -> Iterator[tuple[int, dict[int, str]]]:
        """Take the rows of an area out of the sheet."""
        rows = sorted(self.cells)
        for row in rows[bisect_left(rows, area.top) : bisect_right(rows, area.bottom)]:
            cells = self.cells[row]
            inside = {column: cells.pop(column) for column in sorted(cells) if area.left <= column <= area.right}
            if not cells:
                del self.cells[row]
            if inside:
                yield row, inside
