"""Tables of HTML: those of data told apart from those that lay out a page, and their rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from ragyena.documents.html_tree import Element, is_dropped, name_of
from ragyena.documents.merged_cells import Cell, unmerge
from ragyena.documents.text_builder import TextBuilder

__all__ = ["data_tables", "write_table"]

LONGEST_CELL = 400
"""Chars; a table without header cells but with a longer cell lays out a page."""
LONGEST_NAMED_CELL = 4000
"""The same for a table with header cells."""
LONGEST_NAME = 200
"""Chars of the name of a column."""
MOST_SECTIONS = 200
"""Rows that part a table into sections; a table with more is written as one."""
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
    """Write rows of cells, the first ``head`` of which are the head of the table.

    A row of one cell across the table starts a section of it. A table of names and values (its first column header
    cells, no head) is written as ``name: value``.
    """
    grid = [row for row in unmerge(cells) if any(cell.text for cell in row)]
    dropped = sum(1 for row in cells[:head] if not any(cell.text for cell in row))
    head -= dropped
    while head < len(grid) and grid[head] and all(cell.is_header for cell in grid[head]) and len(set(grid[head])) > 1:
        head += 1
    if head >= len(grid):
        head = 0
    titles = 0
    while titles < head and len({cell.text for cell in grid[titles] if cell.text}) == 1:
        titles += 1
    captions = [caption, *(next(cell.text for cell in row if cell.text) for row in grid[:titles])]
    for line in captions:
        builder.block(line)
    names, body = grid[titles:head], grid[head:]
    if not names and _is_name_and_value(body):
        for section, rows in _sections(body):
            builder.table([[_pair(row)] for row in rows], header_rows=0, caption=section)
        return
    if not names or any(len(cell.text) > LONGEST_NAME for row in names for cell in row):
        builder.table([[cell.text for cell in row] for row in (*names, *body)])
        return
    texts = [[cell.text for cell in row] for row in names]
    for section, rows in _sections(body):
        if rows:
            builder.table(
                [*texts, *([cell.text for cell in row] for row in rows)], header_rows=len(names), caption=section
            )
        else:
            builder.block(section)


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


def _is_name_and_value(rows: Sequence[Sequence[Cell]]) -> bool:
    named = sum(1 for row in rows if len(row) == 2 and row[0].is_header and not row[1].is_header)
    whole = sum(1 for row in rows if _is_whole(row))
    return named > 0 and named + whole == len(rows)


def _is_whole(row: Sequence[Cell]) -> bool:
    """True for a row of one cell that goes across the table."""
    return len(row) == 1 or (all(cell is row[0] for cell in row) and row[0].columns >= len(row))


def _pair(row: Sequence[Cell]) -> str:
    name, value = row[0].text.rstrip(": "), row[-1].text
    return f"{name}: {value}" if len(row) > 1 and row[0] is not row[-1] and name and value else row[0].text or value


def _sections(rows: Sequence[list[Cell]]) -> Iterator[tuple[str, list[list[Cell]]]]:
    """(text of the row that starts the section or "", rows below it)."""
    starts = [i for i, row in enumerate(rows) if len(row) > 1 and _is_whole(row)]
    if not starts or len(starts) > MOST_SECTIONS or (rows and len(rows[0]) > 50):
        yield "", list(rows)
        return
    if starts[0] > 0:
        yield "", list(rows[: starts[0]])
    for i, start in enumerate(starts):
        end = starts[i + 1] if i + 1 < len(starts) else len(rows)
        yield rows[start][0].text, list(rows[start + 1 : end])
