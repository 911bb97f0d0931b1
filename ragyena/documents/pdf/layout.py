"""The content of a page -> its parts in reading order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from ragyena.documents.pdf.cells import read_cells
from ragyena.documents.pdf.columns import find_band, prose_columns, split_at
from ragyena.documents.pdf.elements import Box, Page, Part, Run
from ragyena.documents.pdf.grid import find_grids
from ragyena.documents.pdf.margins import is_page_number
from ragyena.documents.pdf.paragraphs import entry_cells, read_paragraphs
from ragyena.documents.pdf.rows import Row, joined, make_rows
from ragyena.documents.pdf.stacked import table_starts

__all__ = ["lay_out"]

MARGIN = 0.13
"""Share of the page's height at its top and bottom in which running headers stand."""
MOST_MARGIN_ROWS = 2
MOST_LEFT = 3
"""Rows at the top of a page that are too few to show that they are a table's."""
LEAST_CELLS = 3
"""Cells of a line that may be a row of a table by itself."""
MOST_STEP = 6.0
"""Distance of the rows of a table, in the size of their text."""
MOST_DEPTH = 4
"""Columns inside columns."""


def lay_out(page: Page) -> list[Part]:
    """The parts of a page as they are read: margins, then columns one by one, tables and paragraphs inside them."""
    tables, rest = find_grids(page.horizontal, page.vertical, [*page.runs, *page.asides])
    asides = {id(run) for run in page.asides}
    rows = make_rows(_with_drop_caps([run for run in rest if id(run) not in asides]))
    top, bottom = _margins(rows, tables, page.height)
    body: list[Run | Part] = [*tables, *(item for row in rows[top : len(rows) - bottom] for item in row.items)]
    parts = [_margin_part(row) for row in rows[:top]]
    parts += _flow(body, page.horizontal, 0)
    parts += [_margin_part(row) for row in rows[len(rows) - bottom :]]
    for run in rest:
        if id(run) in asides and sum(char.isalnum() for char in run.text) > 1:
            parts.append(Part(run.text, run, run.size, run.bold, margin=True, aside=True))
    for part, row in zip(parts, rows[:MOST_LEFT]):
        _keep_cells(part, row)
    return parts


def _keep_cells(part: Part, row: Row) -> None:
    """Keep the cells of a line at the top of a page: it may be one of the last rows of a table on the page before."""
    gaps = row.intervals()
    if part.kind != "prose" or len(gaps) < LEAST_CELLS or part.text != row.text():
        return
    runs = [item for item in row.items if isinstance(item, Run)]
    cells = [joined([run for run in runs if left <= run.x0 <= right]) for left, right in gaps]
    if all(cells):
        part.rows, part.columns = [cells], tuple(left for left, _ in gaps)


def _margins(rows: Sequence[Row], tables: Sequence[Part], height: float) -> tuple[int, int]:
    """The number of rows at the top and at the bottom that stand in the margin, apart from the other text."""
    if len(rows) < 2:
        return 0, 0
    top_bound = min([MARGIN * height, *(table.box.y0 for table in tables)])
    bottom_bound = max([(1 - MARGIN) * height, *(table.box.y1 for table in tables)])
    tops, bottom = [0], 0
    for i, row in enumerate(rows[:MOST_MARGIN_ROWS]):
        if row.baseline > (top_bound if not is_page_number(row.text()) else 2 * top_bound) or i + 1 == len(rows):
            break
        step, size = rows[i + 1].baseline - row.baseline, max(row.size, rows[i + 1].size)
        is_near = step < 2.6 * size or _evenly(rows[i : i + 3])
        if is_near and find_band(rows[i : i + 12], 0, 0, ()) is not None:
            break  # the names of a table's columns, or the row with which it goes on
        if step > 1.6 * size:
            tops.append(i + 1)
    for i, row in enumerate(reversed(rows[-MOST_MARGIN_ROWS:])):
        above = len(rows) - 2 - i
        if row.y0 < (bottom_bound if not is_page_number(row.text()) else 0.7 * height) or above < 0:
            break
        step, size = row.baseline - rows[above].baseline, max(row.size, rows[above].size)
        is_near = step < 2.6 * size or _evenly(rows[above - 1 : above + 2])
        if is_near and _ends_band(rows[max(above - 10, 0) : above + 2]):
            break  # the last row of a table
        if step > 1.6 * size:
            bottom = i + 1
    # A short page keeps a row of text between its margins.
    is_full = bool(tables) or len(rows) == 2
    return max(top for top in tops if top == 0 or is_full or top + bottom < len(rows)), bottom


def _evenly(rows: Sequence[Row]) -> bool:
    """True for three rows at equal distances, as those of a table with wide cells are, and a running header is not."""
    if len(rows) < 3 or any(len(row.intervals()) < 2 for row in rows):
        return False
    first, second = (lower.baseline - upper.baseline for upper, lower in pairwise(rows))
    return abs(first - second) < 0.05 * max(first, second) and max(first, second) < MOST_STEP * rows[0].size


def _ends_band(rows: Sequence[Row]) -> bool:
    bands = (find_band(rows, i, 0, ()) for i in range(len(rows) - 1))
    return any(band is not None and band.last == len(rows) for band in bands)


def _margin_part(row: Row) -> Part:
    runs = [item for item in row.items if isinstance(item, Run)]
    box = Box(row.x0, row.y0, row.x1, row.y1)
    return Part(row.text(), box, row.size, all(run.bold for run in runs), margin=True)


def _with_drop_caps(runs: list[Run]) -> list[Run]:
    """Put large initials before the line that they begin."""
    initials = [run for run in runs if len(run.text) <= 2 and run.text[:1].isalpha()]
    usual = sorted(run.size for run in runs)[len(runs) // 2] if runs else 0.0
    for initial in [run for run in initials if run.size > 1.8 * usual][:20]:
        beside = [
            run
            for run in runs
            if run is not initial
            and 0 <= run.x0 - initial.x1 + 0.3 * run.size <= 2 * run.size
            and initial.y0 - 0.5 * run.size <= (run.y0 + run.y1) / 2 <= initial.y1
            and run.size < 0.7 * initial.size
        ]
        if len({round(run.baseline) for run in beside}) < 2:
            continue
        first = min(beside, key=lambda run: (run.baseline, run.x0))
        if not first.text[:1].isalpha():
            continue
        first.text = initial.text + first.text
        first.x0 = initial.x0
        for run in beside:
            run.x0 = min(run.x0, initial.x0) if run.x0 - initial.x1 < run.size else run.x0
        runs = [run for run in runs if run is not initial]
    return runs


def _flow(items: Sequence[Run | Part], horizontal: Sequence[Box], depth: int) -> list[Part]:
    """The parts of a region in reading order: bands of columns and tables, with plain rows between them."""
    rows = make_rows(items)
    tall = [item.box for item in items if isinstance(item, Part)]
    parts: list[Part] = []
    plain: list[Row] = []
    i = floor = 0
    while i < len(rows):
        band = find_band(rows, i, floor, tall) if depth < MOST_DEPTH else None
        if band is not None:
            taken = i - band.first
            above = plain[: len(plain) - taken] if taken else plain
            content, last = _band(rows[band.first : band.last], band.gutters, horizontal, depth)
            last += band.first
            if content is None:
                plain += rows[i:last]
            else:
                parts += _plain(above)
                plain = []
                parts += content
                floor = last
            i = last
            continue
        plain.append(rows[i])
        i += 1
    return parts + _plain(plain)


def _band(
    rows: Sequence[Row], gutters: Sequence[tuple[float, float]], horizontal: Sequence[Box], depth: int
) -> tuple[list[Part] | None, int]:
    """(the parts of rows with common gutters, None where they are plain text after all; the rows that they take)"""
    chosen = prose_columns(rows, gutters)
    if chosen:
        columns = split_at(rows, chosen)
        if all(columns):
            if _right_to_left(rows):
                columns.reverse()
            return [part for column in columns for part in _flow(column, horizontal, depth + 1)], len(rows)
    columns = split_at(rows, gutters)
    if all(len(column) > 1 and all(map(_is_entry, make_rows(column))) for column in columns):
        return [part for column in columns for part in _flow(column, horizontal, depth + 1)], len(rows)
    starts = table_starts(rows)
    if not starts:
        table = read_cells(rows, horizontal)
        return None if table is None else [table], len(rows)
    # The last table may go on below these rows.
    tables = [read_cells(rows[: starts[0]], horizontal)]
    parts = [part for part in tables if part is not None] or _plain(rows[: starts[0]])
    for start, end in pairwise(starts):
        parts += _flow([item for row in rows[start:end] for item in row.items], horizontal, depth + 1)
    return parts, starts[-1]


def _is_entry(row: Row) -> bool:
    return bool(entry_cells(row.text()))


def _right_to_left(rows: Sequence[Row]) -> bool:
    text = "".join(row.text() for row in rows)
    return 2 * sum("\u0590" <= char <= "\u08ff" for char in text) > len(text)


def _plain(rows: Sequence[Row]) -> list[Part]:
    """Paragraphs and finished tables."""
    parts: list[Part] = []
    lines: list[Row] = []
    for row in rows:
        finished = [item for item in row.items if isinstance(item, Part)]
        if finished:
            parts += read_paragraphs(lines)
            lines = []
            parts += finished
        if len(finished) < len(row.items):
            runs: list[Run | Part] = [item for item in row.items if isinstance(item, Run)]
            lines.append(replace(row, items=runs))
    return parts + read_paragraphs(lines)
