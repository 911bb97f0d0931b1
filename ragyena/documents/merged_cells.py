"""Tables with merged cells -> plain rows, the text of a merged cell repeated in every cell that it covers."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Cell", "Covered", "is_whole", "keep_mark", "texts", "unmerge"]

WIDEST = 1000
"""Columns that one cell may claim, as in browsers."""
LARGEST_GROWTH = 8
"""A table whose repeated texts would make it larger than this many times its own text keeps its cells as they are."""
FREE_GROWTH = 100_000
"""Cells and chars that any table may grow to."""


class Covered(str):
    """The text of a merged cell where it comes again, in a column that the cell covers beside its first.

    It tells such a text from that of a neighbour that happens to be equal.
    """

    __slots__ = ()


def keep_mark(cell: str, text: str) -> str:
    """The new ``text`` of a cell, marked as covered where ``cell`` is."""
    return Covered(text) if isinstance(cell, Covered) else text


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table as its file has it."""

    text: str
    columns: int = 1
    """Columns that it covers; may claim more than the table has."""
    rows: int = 1
    """Rows that it covers, its own included; 0 for all that follow."""
    is_header: bool = False


def unmerge(rows: Sequence[Sequence[Cell]]) -> list[list[Cell]]:
    """Rows of cells in their columns, each merged cell repeated. A column at which no cell starts is left out, so that
    ``colspan=1000000`` covers the columns there are. Time and size are bounded by those of ``rows``."""
    placed = _place(rows)
    starts = sorted({start for row in placed for start, _, _ in row})
    own = sum(1 + len(cell.text) for row in rows for cell in row)
    covered = [[(bisect_left(starts, a), bisect_left(starts, b), cell) for a, b, cell in row] for row in placed]
    size = sum((last - first) * (1 + len(cell.text)) for row in covered for first, last, cell in row)
    if size > max(FREE_GROWTH, LARGEST_GROWTH * own):
        return [list(row) for row in rows]
    grid = []
    for row in covered:
        line = [Cell("")] * max((last for _, last, _ in row), default=0)
        for first, last, cell in row:
            line[first:last] = [cell] * (last - first)
        grid.append(line)
    return grid


def texts(row: Sequence[Cell]) -> list[str]:
    """The texts of a row of ``unmerge``, those of a cell to the left marked as ``Covered``."""
    return [Covered(cell.text) if i and cell is row[i - 1] else cell.text for i, cell in enumerate(row)]


def is_whole(grid: Sequence[Sequence[Cell]]) -> list[bool]:
    """Tell for each row of ``unmerge`` whether it is one cell, across a table of several columns."""
    width = max(map(len, grid), default=0)
    return [width > 1 and bool(row) and all(cell is row[0] for cell in row) for row in grid]


def _place(rows: Sequence[Sequence[Cell]]) -> list[list[tuple[int, int, Cell]]]:
    """The cells of each row as (first column, column after it, cell), those that hang down from above included."""
    placed: list[list[tuple[int, int, Cell]]] = []
    hanging: list[tuple[int, int, Cell, int]] = []  # in order of columns; the last field is the row after it
    budget = FREE_GROWTH + LARGEST_GROWTH * sum(len(row) for row in rows)
    for i, row in enumerate(rows):
        line: list[tuple[int, int, Cell]] = []
        added: list[tuple[int, int, Cell, int]] = []
        column, above = 0, iter([item for item in hanging if item[3] > i])
        blocked = next(above, None)
        for cell in row:
            while blocked is not None and blocked[0] <= column:
                line.append(blocked[:3])
                added.append(blocked)
                column = max(column, blocked[1])
                blocked = next(above, None)
            end = column + max(1, min(cell.columns, WIDEST))
            if blocked is not None:
                end = min(end, max(blocked[0], column + 1))
            line.append((column, end, cell))
            if cell.rows != 1:
                added.append((column, end, cell, len(rows) if cell.rows <= 0 else i + cell.rows))
            column = end
        for item in (blocked, *above):
            if item is not None:
                line.append(item[:3])
                added.append(item)
        budget -= len(line)
        hanging = [item for item in added if item[3] > i + 1] if budget > 0 else []
        placed.append(line)
    return placed
