"""The cells of a sheet -> its tables, parted at empty rows and columns, written by a ``TextBuilder``."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.cell_kinds import kind_of
from ragyena.documents.sheets.sheet import MOST_CELLS, Sheet
from ragyena.documents.sheets.sheet_xml import column_name
from ragyena.documents.tables import Row, RowWriter, Table, clean, read_table, without_notes
from ragyena.documents.text_builder import TextBuilder
from ragyena.types import Document, Skipped

__all__ = ["write_workbook"]

LONGEST_TITLE = 120
"""Chars of a text above a table that becomes the heading of its rows."""
MOST_EMPTY = 20
"""A part of a sheet with more empty cells for each full one is no table: its cells are written with their places."""
FREE_EMPTY = 100_000
NEAR = 3
"""Rows below a table at which rows without names of their own may still belong to it."""

Line = tuple[int, dict[int, str]]
"""The number of a row and its cells."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A stretch of a sheet with empty cells around it."""

    lines: Sequence[Line]
    left: int
    right: int
    header_rows: int | None = None

    @property
    def top(self) -> int:
        return self.lines[0][0]

    @property
    def bottom(self) -> int:
        return self.lines[-1][0]

    @property
    def is_scattered(self) -> bool:
        """True where most of its cells are empty, so that its rows must not be written out."""
        full = sum(len(cells) for _, cells in self.lines)
        spread = sum(max(cells) - self.left + 1 for _, cells in self.lines)
        return spread > MOST_EMPTY * full + FREE_EMPTY

    def rows(self, left: int) -> Iterator[list[str]]:
        """The cells from the column ``left`` on."""
        for _, cells in self.lines:
            yield [cells.get(column, "") for column in range(left, max(cells) + 1)]


def write_workbook(
    path: Path, sheets: Sequence[Sheet], config: IndexConfig, title: str, metadata: Mapping[str, str]
) -> Iterator[Document | Skipped]:
    """Yield the document of a workbook, a section a sheet, and what of it is hidden or too much to be read."""
    builder = TextBuilder()
    skipped: list[Skipped] = []
    unhide = "unhide it, or set index.hidden"
    for sheet in sheets:
        source = f"{path}#{sheet.name}"
        if sheet.is_hidden and not config.hidden:
            skipped.append(Skipped(source, f"{path}: the sheet '{sheet.name}' is hidden", unhide, is_fault=False))
            continue
        sheet.fill_merged()
        if not config.hidden:
            rows, columns = sheet.drop_hidden()
            for kind, places in (("rows", rows), ("columns", columns)):
                if places:
                    message = f"{path}: the sheet '{sheet.name}' has hidden {kind}: {_ranges(places)}"
                    skipped.append(Skipped(source, message, unhide, is_fault=False))
        if sheet.is_cut:
            message = f"{path}: the sheet '{sheet.name}' was read to its row {max(sheet.cells, default=0):,} alone"
            skipped.append(Skipped(source, message, f"save it as .csv: it has more than {MOST_CELLS:,} cells"))
        if not config.comments:
            sheet.comments.clear()
        _write_sheet(sheet, builder)
    yield builder.document(path, title, metadata)
    yield from skipped


def _ranges(numbers: Sequence[int]) -> str:
    """``1, 2, 3, 7`` -> ``1-3, 7``, cut where it is long."""
    starts = [number for i, number in enumerate(numbers) if not i or numbers[i - 1] != number - 1]
    ends = [number for i, number in enumerate(numbers) if i == len(numbers) - 1 or numbers[i + 1] != number + 1]
    parts = [str(a) if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True)]
    return ", ".join(parts[:5]) + (f" and {len(parts) - 5} more" if len(parts) > 5 else "")


def _write_sheet(sheet: Sheet, builder: TextBuilder) -> None:
    """Write a sheet as a section under its name: tables with their titles as headings, then texts and comments."""
    parts = [
        _Part(lines, area.left, area.right, header_rows)
        for area, header_rows in sheet.tables
        if (lines := list(sheet.take(area)))
    ]
    parts += _parts(sheet)
    parts.sort(key=lambda part: (part.top, part.left))
    if not parts and not sheet.texts and not sheet.comments:
        return
    builder.heading(1, sheet.name)
    writer = _TableWriter(builder)
    for i, part in enumerate(parts):
        writer.write(part, parts[i + 1] if i + 1 < len(parts) else None)
    for text in sheet.texts:
        builder.block(" ".join(text.split()))
    for place, text in sheet.comments:
        builder.block(f"Comment on {place}: {' '.join(text.split())}", kind="notes")


class _TableWriter:
    """Writes the parts of a sheet in order; one without names of its own goes on with those of the part above it."""

    def __init__(self, builder: TextBuilder) -> None:
        self._builder = builder
        self._above: _Part | None = None
        self._table: Table | None = None
        self._rows: RowWriter | None = None

    def write(self, part: _Part, following: _Part | None) -> None:
        """Write a part. A text alone above a table (``following``) becomes its heading."""
        if part.is_scattered:
            self._above = None
            for row, cells in part.lines:
                texts = (f"{column_name(column)}{row}: {cells[column]}" for column in sorted(cells))
                self._builder.block("; ".join(texts), kind="table", tight=row != part.top)
            return
        table = read_table(list(part.rows(part.left)), part.header_rows)
        if self._goes_on(part, table):
            assert self._table is not None and self._rows is not None and self._above is not None
            self._lines([clean(row) for row in part.rows(self._above.left)])
            self._above = _Part([*part.lines[-1:]], self._above.left, self._above.right)
            return
        titles = table.titles
        is_text = not table.names and len(part.lines) == len(table.rows) == 1 and len(set(table.rows[0])) == 1
        is_above = following is not None and following.left < following.right and following.top - part.bottom <= NEAR
        if is_text and is_above:
            titles, table = (*titles, table.rows[0][0]), read_table([])
        for i, title in enumerate(titles):
            if i == 0 and len(title) <= LONGEST_TITLE and ": " not in title:
                self._builder.heading(2, title)
            else:
                self._builder.block(title)
        self._table, self._rows, self._above = table, RowWriter(table.layout), part
        self._lines(table.rows)

    def _goes_on(self, part: _Part, table: Table) -> bool:
        above = self._above
        if self._table is None or above is None or not self._table.names or part.header_rows is not None:
            return False
        if not 0 < part.top - above.bottom <= NEAR or part.left < above.left or part.right > above.right:
            return False
        if len(part.lines) == 1 and sum(map(bool, part.lines[0][1].values())) == 1 and part.left == above.left:
            return False  # a note, or the title of the next table
        return not table.names or (not table.layout.is_sure and part.left == above.left)

    def _lines(self, rows: Sequence[Row]) -> None:
        assert self._table is not None and self._rows is not None
        tight = False
        end = without_notes(rows)
        for place, row in enumerate(rows):
            is_text = self._table.layout.form == "cells" and len(set(row)) == 1
            for line in self._rows.lines(row, is_below=place >= end):
                if is_text:
                    self._builder.block(line, tight=tight)
                else:
                    self._builder.block(line, kind="table", tight=tight, header=self._table.header)
                tight = True


def _parts(sheet: Sheet) -> Iterator[_Part]:
    """The parts of a sheet between its empty rows, cut again at their empty columns."""
    band: list[Line] = []
    for row in sorted(sheet.cells):
        if band and not _adjoin(band[-1][0], row, sheet.hidden_rows):
            yield from _cut_at_columns(band, sheet)
            band = []
        band.append((row, sheet.cells[row]))
    if band:
        yield from _cut_at_columns(band, sheet)


def _adjoin(first: int, second: int, hidden: Set[int]) -> bool:
    """True where there is nothing between two rows, or columns, but hidden ones."""
    return second - first - 1 <= len(hidden) and all(between in hidden for between in range(first + 1, second))


def _cut_at_columns(band: Sequence[Line], sheet: Sheet) -> Iterator[_Part]:
    titles = 0
    while titles < len(band) - 1 and len(set(band[titles][1].values())) == 1:
        titles += 1  # a title may be merged over the empty columns between two tables
    columns = sorted({column for _, cells in band[titles:] for column in cells})
    gaps = (i for i in range(1, len(columns)) if not _adjoin(columns[i - 1], columns[i], sheet.hidden_columns))
    bounds = [0, *gaps, len(columns)]
    spans = [(columns[a], columns[b - 1]) for a, b in pairwise(bounds)]
    tables = _separate(band[titles:], spans) if len(spans) > 1 else spans
    if len(tables) < 2:
        left = min(min(cells) for _, cells in band)
        yield _Part(band, left, max(max(cells) for _, cells in band))
        return
    if titles:
        yield _Part(band[:titles], min(min(cells) for _, cells in band[:titles]), tables[-1][1])
    parts: list[list[Line]] = [[] for _ in tables]
    starts = [left for left, _ in tables]
    for row, cells in band[titles:]:
        for column in sorted(cells):
            lines = parts[bisect_right(starts, column) - 1]
            if not lines or lines[-1][0] != row:
                lines.append((row, {}))
            lines[-1][1][column] = cells[column]
    for lines, (left, right) in zip(parts, tables, strict=True):
        start = 0
        for i in range(1, len(lines) + 1):
            if i == len(lines) or not _adjoin(lines[i - 1][0], lines[i][0], sheet.hidden_rows):
                yield _Part(lines[start:i], left, right)
                start = i


def _is_note_beside(band: Sequence[Line], left: int, right: int) -> bool:
    """True for a few labels with values beside a table: ``Paid by: | Ann``."""
    rows = [[text for column, text in cells.items() if left <= column <= right] for _, cells in band[:50]]
    filled = [texts for texts in rows if texts]
    is_small = len(filled) == 1 or (not rows[0] and 2 * len(filled) <= len(rows))
    return is_small and len(rows) > 1 and any(text.endswith(":") for text in filled[0])


def _separate(band: Sequence[Line], spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The spans of columns that are tables of their own: those that begin with labels, below a name. Other spans go on
    with the table to their left, from which an empty column parts them for the eye alone."""
    first_cells: dict[int, list[str]] = {left: [] for left, _ in spans}
    widths = {left: right - left + 1 for left, right in spans}
    for _, cells in band[:50]:
        for column, text in cells.items():
            if column in first_cells:
                first_cells[column].append(text)
    tables = [spans[0]]
    for left, right in spans[1:]:
        texts = first_cells[left]
        labels = sum(kind_of(text) == "text" for text in texts[1:])
        is_table = len(texts) > 1 and widths[left] > 1 and 2 * labels > len(texts) - 1
        if is_table or _is_note_beside(band, left, right):
            tables.append((left, right))
        else:
            tables[-1] = (tables[-1][0], right)
    return tables
