"""Rows of cells -> titles, column names and lines of text, each of which can be understood alone.

A data row is written with the names of its columns, ``Model: V-20; Weight: 3.9 kg``, without its empty cells:

* A text alone in its row heads the rows below it, which carry it: ``Fruit > Item: Apple; Price: 3``.
* A row too long for a line becomes several, each begun with the row's label: ``Station: Oslo; Jan: 3 ...``.
* In a table whose columns hold unlike things, as one of attributes by model, the name in the corner goes with the other
  names: ``Weight; Model V-10: 3.1 kg; Model V-20: 3.9 kg``.
* A form of labels and values is written in these pairs: ``Name: Ann; Born: 1970``.
* Tables set side by side, with the same names again, are written one record a line.
* A table without names is written as its cells, parted by `` | ``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat

from ragyena.documents.cell_kinds import kind_of
from ragyena.documents.form_layout import Row, is_attribute, pairs_of
from ragyena.documents.merged_cells import Covered, keep_mark
from ragyena.documents.raised_marks import RAISED
from ragyena.documents.table_layout import Layout, find_layout, is_note

__all__ = ["Row", "RowWriter", "Table", "clean", "read_table", "without_notes"]

LINE_CHARS = 500
"""A longer row is written on several lines, where it has several cells."""
LONGEST_LABEL = 100
"""Chars of a label that is repeated on every line of its row, or of a text that is carried to the rows below."""
MOST_NAMES = 64
"""Names that are passed on as the header of a block; a table may have ten thousands."""
LONG_CELL = 40
"""Chars from which a text that covers several neighbouring columns is written once, after all their names."""

_MARK = re.compile(rf"\s{RAISED}+(?=\s|$)")
_TOTAL = re.compile(
    r"(?:grand |overall |sub-?)?(?:totals?|sum|summe|gesamt(?:summe)?|insgesamt|totale|итого|合计|合計|总计|總計)"
    r"\b.{0,40}",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Table:
    """A table taken apart: its layout and its data rows."""

    layout: Layout
    rows: tuple[Row, ...]
    whole: tuple[bool, ...] | None = None
    """True for each row that is one cell across the table; None where the file does not say."""

    @property
    def titles(self) -> tuple[str, ...]:
        """Lines above the names that are about the whole table."""
        return self.layout.titles

    @property
    def names(self) -> tuple[str, ...]:
        """One name a column, empty where it has none; () where the table names no columns."""
        return self.layout.names

    @property
    def header(self) -> tuple[str, ...]:
        """The names to show as the table's header: the first ``MOST_NAMES``."""
        return tuple(name for name in self.layout.names if name)[:MOST_NAMES]

    def without_marks(self) -> Table:
        """The table without the marks of footnotes in its names, which need not be said with every row."""
        names = tuple(_MARK.sub("", name) for name in self.names)
        return replace(self, layout=replace(self.layout, names=names))

    def lines(self) -> Iterator[list[str]]:
        """The lines of each row in turn, none for an empty row or one that repeats the names."""
        writer = RowWriter(self.layout)
        end = without_notes(self.rows)
        for place, (row, is_whole) in enumerate(zip(self.rows, self.whole or repeat(None), strict=False)):
            yield writer.lines(row, is_whole, is_below=place >= end)


def read_table(
    rows: Sequence[Sequence[str]], header_rows: int | None = None, whole: Sequence[bool] | None = None
) -> Table:
    """Find the titles, the column names and the data of a table. Takes time linear in the number of cells.

    ``rows`` may be of different lengths; a merged cell is repeated in every cell that it covers, as ``Covered`` beside
    its first column. ``header_rows`` counts
    the rows that name the columns, after any titles; None detects them. Several rows of names are joined by column:
    ``Q1`` over ``Plan`` and ``Actual`` gives ``Q1 Plan`` and ``Q1 Actual``. ``whole`` tells of each row whether it is
    one cell across the table, where the file says so.
    """
    cleaned = list(map(clean, rows))
    cells = [row for row in cleaned if row]
    kept = None if whole is None else [flag for row, flag in zip(cleaned, whole, strict=True) if row]
    layout = find_layout(cells, header_rows, kept)
    return Table(layout, tuple(cells[layout.first_row :]), None if kept is None else tuple(kept[layout.first_row :]))


def clean(row: Sequence[str]) -> Row:
    """The cells on one line each, without the empty ones at the end of the row."""
    cells = [keep_mark(cell, " ".join(cell.split())) for cell in row]
    while cells and not cells[-1]:
        cells.pop()
    return tuple(cells)


def without_notes(rows: Sequence[Row]) -> int:
    """The number of rows up to the last record: the texts alone in their rows after it are notes below the table."""
    return next((i for i in range(len(rows), 0, -1) if not _is_text_alone(rows[i - 1])), 0)


def _is_text_alone(row: Row) -> bool:
    others = (cell for cell in row[1:] if not isinstance(cell, Covered))
    return not row or (kind_of(row[0]) == "text" and not any(others))


class RowWriter:
    """Writes the rows of one table in their order, and remembers what rows above say about those below."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        corner, names = layout.corner, layout.names
        self._names = ("", *(f"{corner} {name}" if name else "" for name in names[1:])) if corner else names
        self._sections = _Sections()
        self._fill = ""

    def lines(self, row: Row, is_whole: bool | None = None, *, is_below: bool = False) -> list[str]:
        """The lines of one row of ``clean`` cells, none for an empty row or one that repeats the names.

        ``is_below`` tells that no record follows, so that a text alone is a note and heads nothing.
        """
        layout = self._layout
        if not row or (row in layout.name_rows and not is_whole):
            return []
        if layout.form == "cells":
            return [" | ".join(_once(row))]
        text = self._text_alone(row, is_whole)
        if text is not None:
            self._fill = ""
            if _TOTAL.fullmatch(text):
                return [self._sections.prefix(text) + text]
            if is_below or is_note(text) or len(text) > LONGEST_LABEL:
                return [text]
            return [self._sections.begin(text)]
        prefix = self._sections.prefix(next(cell for cell in row if cell))
        if layout.form == "pairs":
            return _wrapped([_pair(label, value) for label, value in pairs_of(row, layout.labels)], prefix, labels=0)
        if layout.fills_down:
            self._fill = row[0] or self._fill
            row = (self._fill, *row[1:])
        lines: list[str] = []
        for start, stop in layout.groups:
            if len(layout.groups) == 1:
                lines += self._record(self._names, row, prefix)
            elif any(row[start:stop]):
                lines += self._record(self._names[start:stop], row[start:stop], prefix)
        return lines

    def _text_alone(self, row: Row, is_whole: bool | None) -> str | None:
        """The text of a row that is about the rows around it, not a record of its own."""
        text = next(cell for cell in row if cell)
        if is_whole:
            return text
        if any(cell and cell != text for cell in row):
            return None
        filled = sum(map(bool, row))
        covered = sum(isinstance(cell, Covered) for cell in row)
        spans = is_whole is None and filled > 1 and covered == filled - 1 and filled >= len(self._layout.names) - 1
        begins = filled == 1 and bool(row[0]) and (self._layout.has_sections or is_note(text))
        if kind_of(text) != "text" or (begins and self._is_label(text, is_whole)):
            return None
        return text if spans or begins else None

    def _is_label(self, text: str, is_whole: bool | None) -> bool:
        """True for the label of a form whose value is empty."""
        return bool(self._layout.labels) and (is_whole is False or is_attribute(text) or text.endswith("?"))

    def _record(self, names: Sequence[str], row: Row, prefix: str) -> list[str]:
        heads: list[list[str]] = []
        covered = 1
        cells: list[str] = []
        for column, cell in enumerate(row):
            if not cell:
                continue
            name = names[column] if column < len(names) else ""
            if column == covered and isinstance(cell, Covered):
                covered += 1  # a label over several columns has the name of the first
                continue
            if column and len(cell) > LONG_CELL and cell == row[column - 1]:
                heads[-1].append(name)
            else:
                heads.append([name])
                cells.append(cell)
        parts = [_pair(", ".join(filter(None, head)), cell) for head, cell in zip(heads, cells, strict=True)]
        # A running number alone is no label.
        return _wrapped(parts, prefix, labels=2 if kind_of(cells[0]) == "number" else 1)


class _Sections:
    """The texts that head the rows below them, outermost first, until a total or the next such text ends them."""

    def __init__(self) -> None:
        self._path: list[str] = []
        self._run = 0
        """Texts that followed each other at the end of the path, without rows between."""
        self._closed = False
        """The innermost section had its total."""
        self._all_closed = True
        """So had every section before it."""

    def begin(self, text: str) -> str:
        """Begin a section; the line that stands for it."""
        self._run += 1
        if self._run == 1:
            self._all_closed = self._all_closed and (self._closed or not self._path)
            self._path = self._path[:-1]
        elif self._run == 2 and len(self._path) > 1:
            self._path = self._path[-1:]  # two texts in a row begin anew from the outermost
        self._closed = False
        self._path = [*self._path, text][-3:]
        return " > ".join(self._path)

    def prefix(self, label: str) -> str:
        """The sections that a row with this first cell stands under, for the front of its line."""
        self._run = 0
        if _TOTAL.fullmatch(label):
            if label.lower().startswith(("grand", "overall")) or not (self._all_closed or self._closed):
                self._path = []  # where other sections had no total, this is that of the table
            elif self._closed:
                self._path = self._path[:-1]
            self._closed = True
        elif self._closed:
            self._path = self._path[:-1]
            self._closed = False
        return "".join(f"{text} > " for text in self._path)


def _pair(name: str, cell: str) -> str:
    return f"{name}: {cell}".rstrip() if name and name != cell else cell


def _once(row: Row) -> Iterator[str]:
    """The cells that are not empty, one that covers several columns once. So are equal long texts: a file that holds a
    text once may have it in many cells."""
    for i, cell in enumerate(row):
        if cell and not isinstance(cell, Covered) and not (len(cell) > LINE_CHARS and i and cell == row[i - 1]):
            yield cell


def _wrapped(parts: Sequence[str], prefix: str, labels: int) -> list[str]:
    """Parts of a row as lines of at most about ``LINE_CHARS``; each begins with the prefix and the first parts."""
    if sum(map(len, parts)) + 2 * len(parts) + len(prefix) <= LINE_CHARS:
        return [prefix + "; ".join(parts)]
    label = "; ".join(parts[:labels])
    start = [label] if label and len(label) <= LONGEST_LABEL else []
    lines: list[str] = []
    line, length = list(start), len(label)
    for part in parts[labels if start else 0 :]:
        if len(line) > len(start) and length + len(part) > LINE_CHARS:
            lines.append(prefix + "; ".join(line))
            line, length = list(start), len(label)
        line.append(part)
        length += len(part) + 2
    if len(line) > len(start) or not lines:
        lines.append(prefix + "; ".join(line))
    return lines
