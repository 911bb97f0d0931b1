"""Cells of a table's row, found again in the line that the row was written as.

Rows are kept as lines of ``Header: value; Header: value`` (``ragyena.documents.tables``), each after the sections that
it stands under: ``Fruit > Item: Apple; Price: 3``. Values may hold semicolons and colons of their own, so a part begins
at a name that the table is known to have, where there is one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Cell", "cell_at"]

_PART = re.compile(r"(?:; | \| )")
_LONGEST_NAME = 100
"""Chars of a name where the table's own names are not known."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell, and what names it."""

    row: str
    """The row's first cell with its name, after its sections: ``Fruit > Item: Apple``."""
    column: str | None
    """The name of the cell's column, None where it has none."""


def cell_at(line: str, start: int, end: int, header: Sequence[str]) -> Cell | None:
    """The cell of the row ``line`` that holds [start, end); None where these characters lie in more than one.

    ``header`` has the names of the table's columns, as far as they are known.
    """
    cuts = [0, *(match.end() for match in _PART.finditer(line))]
    parts = [(cut, _name(line, cut, header)) for cut in cuts]
    if any(name for _, name in parts):
        # what begins without a name belongs to the value before it, unless no value comes before it
        named = [part for part in parts if part[1]]
        parts = [parts[0], *named] if named[0][0] else named
    holding = [i for i, (cut, _) in enumerate(parts) if cut <= start]
    following = parts[holding[-1] + 1][0] if holding[-1] + 1 < len(parts) else len(line) + 1
    if end > following:
        return None
    first_end = parts[1][0] if len(parts) > 1 else len(line)
    return Cell(line[:first_end].rstrip("; |"), parts[holding[-1]][1])


def _name(line: str, cut: int, header: Sequence[str]) -> str | None:
    """The name that the part of ``line`` at ``cut`` begins with: the longest that is one of the table's."""
    begin, found = cut, None
    colon = line.find(": ", begin)
    if cut == 0 and (section := line.rfind(" > ", 0, max(colon, 0))) >= 0:
        begin = section + len(" > ")
    separator = _PART.search(line, begin)
    stop = separator.start() if separator else len(line)
    while 0 <= colon < stop:
        name = line[begin:colon]
        if not header:
            return name if 0 < len(name) <= _LONGEST_NAME else None
        if _is_of(name, header):
            found = name
        colon = line.find(": ", colon + 1)
    return found


def _is_of(name: str, header: Sequence[str]) -> bool:
    """True for a name of ``header``, one behind the name in the corner of the table, and several that share a value."""
    return (
        name in header
        or any(name.endswith(f" {one}") for one in header)
        or all(part in header for part in name.split(", "))
    )
