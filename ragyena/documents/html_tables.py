"""Tables of HTML: those of data told apart from those that lay out a page, and their rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ragyena.documents.html_tree import Element, is_dropped, name_of
from ragyena.documents.merged_cells import Cell, is_whole, texts, unmerge
from ragyena.documents.text_builder import TextBuilder

__all__ = ["data_tables", "write_cells", "write_table"]

LONGEST_CELL = 400
"""Chars; a table without header cells but with a longer cell lays out a page."""
LONGEST_NAMED_CELL = 4000
"""The same for a table with header cells."""
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_SPAN = re.compile(r"\s*(\d{1,9})")


@dataclass(slots=True)
class _Facts:
    """Facts of one table, gathered in one walk over the whole tree."""

    is_presentation: bool
    has_heading: bool = False
    has_inner: bool = False
    """Holds a table or code inside a cell."""
    has_names: bool = False
    in_name: bool = False
    cells_in_row: int = 0
    most_cells: int = 0
    cell: int = 0
    longest: int = 0
    total: int = 0

    def is_data(self) -> bool:
        if self.is_presentation or self.has_heading or (self.has_inner and not self.has_names):
            return False
        if self.most_cells < 2 and not self.has_names:
            return False
        return 0 < self.longest <= (LONGEST_NAMED_CELL if self.has_names else LONGEST_CELL)


def data_tables(root: Element) -> dict[Element, bool]:
    """The tables under ``root`` that hold data. A table inside one of them belongs to its cell."""
    from lxml import etree

    data: dict[Element, bool] = {}
    open_tables: list[_Facts] = []
    for event, node in etree.iterwalk(root, events=("start", "end", "comment", "pi")):
        name = name_of(node)
        if event == "start":
            if name == "table":
                if open_tables:
                    open_tables[-1].has_inner = True
                open_tables.append(_Facts(node.get("role") in {"presentation", "none"}))
            elif open_tables:
                _note(open_tables[-1], name)
            text = node.text
        else:
            if event == "end" and open_tables:
                facts = open_tables[-1]
                if name == "table":
                    open_tables.pop()
                    if open_tables:
                        open_tables[-1].cell += facts.total + facts.cell
                    if facts.is_data():
                        data[node] = True
                elif name in {"td", "th"}:
                    facts.longest = max(facts.longest, facts.cell)
                    facts.total, facts.cell, facts.in_name = facts.total + facts.cell, 0, False
            text = node.tail if node is not root else None
        if open_tables and text:
            open_tables[-1].cell += len(text.strip())
    return data


def _note(facts: _Facts, name: str) -> None:
    if name in _HEADINGS:
        facts.has_heading = facts.has_heading or not facts.in_name
    elif name == "pre":
        facts.has_inner = True
    elif name == "tr":
        facts.cells_in_row = 0
    elif name in {"td", "th"}:
        facts.cells_in_row += 1
        facts.most_cells = max(facts.most_cells, facts.cells_in_row)
        facts.cell = 0
        if name == "th":
            facts.has_names = facts.in_name = True


@dataclass(slots=True)
class _Rows:
    head: list[list[Cell]] = field(default_factory=list)
    body: list[list[Cell]] = field(default_factory=list)
    foot: list[list[Cell]] = field(default_factory=list)
    caption: str = ""


def write_table(builder: TextBuilder, table: Element, text_of: Callable[[Element], str]) -> None:
    """Write a table of data row by row, each with the names of its columns. ``text_of`` gives a cell's text."""
    rows = _rows(table, text_of)
    write_cells(builder, [*rows.head, *rows.body, *rows.foot], head=len(rows.head), caption=rows.caption)


def write_cells(builder: TextBuilder, cells: Sequence[Sequence[Cell]], *, head: int = 0, caption: str = "") -> None:
    """Write rows of cells, the first ``head`` of which are the head of the table; further rows of header cells below
    them belong to it too."""
    grid = unmerge(cells)
    head = sum(1 for row in grid[:head] if any(cell.text for cell in row))
    grid = [row for row in grid if any(cell.text for cell in row)]
    while head < len(grid) and all(cell.is_header for cell in grid[head]) and len(set(grid[head])) > 1:
        head += 1
    names = head if head < len(grid) else 0
    titles = 0
    whole = is_whole(grid)
    while titles < names and whole[titles]:
        titles += 1  # a text over the whole table, which is no name
    header_rows: int | None = names - titles
    if not header_rows and not all(_is_labelled(row) for row in grid[titles:]):
        header_rows = None
    builder.table([texts(row) for row in grid], header_rows=header_rows, caption=caption, whole=whole)


def _rows(table: Element, text_of: Callable[[Element], str]) -> _Rows:
    from lxml import etree

    rows = _Rows()
    target = rows.body
    walk = etree.iterwalk(table, events=("start", "end"))
    for event, node in walk:
        name = name_of(node)
        if event == "end":
            if name in {"thead", "tfoot"}:
                target = rows.body
            continue
        if node is table:
            continue
        if is_dropped(node, name):
            walk.skip_subtree()
        elif name in {"thead", "tfoot", "tbody"}:
            target = {"thead": rows.head, "tfoot": rows.foot}.get(name, rows.body)
        elif name == "tr":
            target.append([])
        elif name == "caption":
            rows.caption = text_of(node)
            walk.skip_subtree()
        elif name in {"td", "th"}:
            if not target:
                target.append([])
            target[-1].append(
                Cell(text_of(node), _span(node.get("colspan"), 1), _span(node.get("rowspan"), 0), name == "th")
            )
            walk.skip_subtree()
    return rows


def _span(value: str | None, least: int) -> int:
    match = _SPAN.match(value or "1")
    return max(least, int(match[1])) if match else 1


def _is_labelled(row: Sequence[Cell]) -> bool:
    """True for a header cell and its value, or one cell across the table."""
    whole = all(cell is row[0] for cell in row)
    return whole or (len(row) == 2 and row[0].is_header and not row[1].is_header)
