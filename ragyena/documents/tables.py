"""Rows of cells -> titles, column names and data rows; a data row is written with its names: ``Model: V-20; ...``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Table", "read_table"]

MOST_HEADER_ROWS = 3
"""Rows that name the columns of one table."""
LONGEST_NAME = 80
"""Chars of a column name; a longer text in the first row is data."""

_NUMBER = re.compile(r"[-+(]?[\d.,\s]*\d[\d.,\s]*[%)]?(?:\s?[A-Za-z€$£°µ]{1,4})?")
_YEAR = re.compile(r"(?:1[89]|20)\d\d")


@dataclass(frozen=True, slots=True)
class Table:
    """A table taken apart. Rows are as wide as ``names`` where there are any."""

    titles: tuple[str, ...]
    """Lines above the names that span the table."""
    names: tuple[str, ...]
    """One name a column, empty where it has none; () where the table names no columns."""
    rows: tuple[tuple[str, ...], ...]

    def line(self, row: Sequence[str]) -> str:
        """One row as text: ``name: value; name: value`` without its empty cells, or its cells parted by `` | ``."""
        if not self.names:
            return " | ".join(row) if any(row) else ""
        pairs = [(name, cell) for name, cell in zip(self.names, row, strict=False) if cell]
        return "; ".join(f"{name}: {cell}" if name else cell for name, cell in pairs)


def read_table(rows: Sequence[Sequence[str]], header_rows: int | None = None) -> Table:
    """Find the titles, the column names and the data of a table.

    ``rows`` may be of different lengths; a merged cell is repeated in every cell that it covers. ``header_rows`` counts
    the rows that name the columns, after any titles; None detects them. Several rows of names are joined by column:
    ``Q1`` over ``Plan`` and ``Actual`` gives ``Q1 Plan`` and ``Q1 Actual``.
    """
    cells = [tuple(" ".join(cell.split()) for cell in row) for row in rows]
    cells = [row for row in cells if any(row)]
    width = max(map(len, cells), default=0)
    cells = [row + ("",) * (width - len(row)) for row in cells]
    titles = _title_rows(cells)
    body = cells[titles:]
    count = _header_rows(body) if header_rows is None else min(header_rows, len(body))
    names = tuple(_joined(column) for column in zip(*body[:count], strict=True)) if count else ()
    return Table(tuple(_single(row) for row in cells[:titles]), names, tuple(body[count:]))


def _title_rows(rows: Sequence[tuple[str, ...]]) -> int:
    """The number of leading rows that hold one text alone, above rows of several cells."""
    if not rows or len(rows[0]) < 2:
        return 0
    count = 0
    while count < len(rows) and len({cell for cell in rows[count] if cell}) == 1:
        count += 1
    return count if count < len(rows) - 1 else 0


def _header_rows(rows: Sequence[tuple[str, ...]]) -> int:
    """The number of rows, from the first, that name columns; 0 where the first row is data."""
    if len(rows) < 2 or len(rows[0]) < 2 or not _may_name(rows[0], rows[1:]):
        return 0
    count = 1
    # A further row of names stands under names that span several columns, or under a gap.
    while (
        count < min(MOST_HEADER_ROWS, len(rows) - 1)
        and _spans(rows[:count])
        and _may_name(rows[count], rows[count + 1 :])
        and not any(_is_value(cell) for cell in rows[count])
    ):
        count += 1
    return count


def _may_name(row: tuple[str, ...], below: Sequence[tuple[str, ...]]) -> bool:
    """True for short texts without plain numbers (years aside) above the columns that have values."""
    if not any(row) or any(len(cell) > LONGEST_NAME for cell in row):
        return False
    if any(_is_value(cell) for cell in row):
        return False
    sample = below[:20]
    unnamed = sum(1 for i, cell in enumerate(row) if not cell and any(other[i] for other in sample))
    return unnamed <= max(1, len(row) // 3)


def _spans(rows: Sequence[tuple[str, ...]]) -> bool:
    """True where a name in the last of the rows covers neighbouring columns, which need names of their own."""
    above = [tuple(column) for column in zip(*rows, strict=True)]
    return any(left == right and any(left) for left, right in pairwise(above))


def _is_value(cell: str) -> bool:
    return bool(_NUMBER.fullmatch(cell)) and not _YEAR.fullmatch(cell)


def _joined(column: Sequence[str]) -> str:
    return " ".join(dict.fromkeys(cell for cell in column if cell))


def _single(row: Sequence[str]) -> str:
    return next(cell for cell in row if cell)
