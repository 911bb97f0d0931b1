"""Rows with common gaps -> the cells of a table without lines between its columns."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from ragyena.documents.merged_cells import Covered, keep_mark
from ragyena.documents.pdf.column_names import join_columns, wrapped_names
from ragyena.documents.pdf.elements import Box, Part, Run
from ragyena.documents.pdf.group_names import place_groups
from ragyena.documents.pdf.row_labels import wrapped_labels
from ragyena.documents.pdf.rows import CODE_SIGNS, Gap, Row, is_toc_entry, joined, without_leader, without_marks
from ragyena.documents.pdf.stacked import is_figure

__all__ = ["group_rows", "join_first_name", "read_cells"]

MOST_COLUMNS = 60
MOST_HEADER_LINES = 3


def read_cells(rows: Sequence[Row], horizontal: Sequence[Box]) -> Part | None:
    """The table that the rows are, None where they have one column or too many.

    ``horizontal`` are the drawn lines of the page; those between the rows part the names of the columns from the cells,
    and the rows from each other.
    """
    rows = [without_marks(row) for row in rows]
    if _is_code(rows):
        return None
    columns = _columns(rows)
    if not 2 <= len(columns) <= MOST_COLUMNS:
        return None
    lines, spans = _lines(rows, columns)
    filled = [sum(bool(cells[i]) for cells in lines) for i in range(len(columns))]
    if sum(sum(map(bool, cells)) > 1 for cells in lines) < 2 or sum(count > 1 for count in filled) < 2:
        return None  # a formula with its number, a line with a gap
    box = Box(columns[0][0], min(row.y0 for row in rows), columns[-1][1], max(row.y1 for row in rows))
    cuts, reaching = _cuts(rows, box, horizontal)
    header = _header_lines(rows, reaching or cuts)
    joined_columns = join_columns(columns, lines, header)
    if 1 < len(joined_columns) < len(columns):
        columns = joined_columns
        lines, spans = _lines(rows, columns)
    place_groups(rows, lines, spans, columns, header, horizontal)
    if header is None and _like_others(lines):
        header = 0
    grouped, header_rows = group_rows(rows, lines, spans, cuts, header)
    grouped, header_rows = join_first_name(grouped, header_rows)
    if header_rows is not None and header_rows > 1 and sum(map(bool, grouped[0])) == 1:
        header_rows -= 1  # a text alone above the names is a title, which is not counted
    left = tuple(column[0] for column in columns)
    sizes = [row.size for row in rows]
    return Part("", box, median(sizes), kind="table", rows=grouped, header_rows=header_rows, columns=left)


def _is_code(rows: Sequence[Row]) -> bool:
    """True for lines of fixed width with the signs of a program: their gaps are no borders of cells."""
    runs = [item for row in rows for item in row.items if isinstance(item, Run)]
    text = "".join(run.text for run in runs)
    return all(run.mono for run in runs) and sum(char in CODE_SIGNS for char in text) > 0.04 * len(text)


def _columns(rows: Sequence[Row]) -> list[Gap]:
    """Stretches of x that hold cells. Rows that hold fewer cells than usual at the top do not count: their cells may
    span columns."""
    counts = [len(row.intervals()) for row in rows]
    usual = median(counts)
    top = 0
    while top < min(MOST_HEADER_LINES, len(rows) - 2) and counts[top] < usual:
        top += 1
    body = rows[top:] if len(rows) - top >= 2 else rows
    allowed = int(0.12 * len(body))
    events = sorted(
        (x, step) for row in body for left, right in row.intervals() for x, step in ((left, 1), (right, -1))
    )
    columns: list[Gap] = []
    depth, start = 0, 0.0
    for x, step in events:
        before, depth = depth, depth + step
        if before <= allowed < depth:
            start = x
        elif depth <= allowed < before:
            columns.append((start, x))
    least = 0.35 * median(row.size for row in rows)
    merged: list[Gap] = []
    for column in columns:
        if merged and column[0] - merged[-1][1] < least:
            merged[-1] = (merged[-1][0], column[1])
        else:
            merged.append(column)
    return merged


def _lines(rows: Sequence[Row], columns: Sequence[Gap]) -> tuple[list[list[str]], list[bool]]:
    """(the cells of each row, True for each with a cell that spans several columns)"""
    lines: list[list[str]] = []
    spans: list[bool] = []
    for row in rows:
        cells, spanning = _cells(row, columns)
        lines.append(cells)
        spans.append(spanning)
    return lines, spans


def _cells(row: Row, columns: Sequence[Gap]) -> tuple[list[str], bool]:
    """The text of each column's cell, and True where a cell spans several."""
    runs = [item for item in row.items if isinstance(item, Run)]
    groups: list[list[Run]] = []
    position = 0
    for _, right in row.intervals():
        start = position
        while position < len(runs) and runs[position].x0 <= right:
            position += 1
        if position > start:
            groups.append(runs[start:position])
    extents = [(group[0].x0, max(run.x1 for run in group)) for group in groups]
    placed: list[tuple[int, int]] = []
    taken = -1
    for left, right in extents:
        first = _column_at(columns, left, right)
        last = first
        while last + 1 < len(columns) and columns[last + 1][0] + 0.3 * _width(columns[last + 1]) < right:
            last += 1
        if first <= taken:
            first = min(taken, len(columns) - 1)
            last = max(first, last)
        placed.append((first, last))
        taken = last
    if len({first for first, _ in placed}) < len(placed) and not any(is_figure(joined(group)) for group in groups):
        # Names that lie between the columns of figures, flush left over figures flush right: one each, in their order.
        skipped = len(columns) - len(groups)
        if skipped == 0 or (skipped == 1 and extents[0][0] > columns[0][1]):
            placed = [(n + skipped, n + skipped) for n in range(len(groups))]
    if len(groups) < len(columns) - 1:
        placed = [_widened(n, placed, extents, columns) for n in range(len(placed))]
    cells = [""] * len(columns)
    spanning = False
    for group, (first, last) in zip(groups, placed):
        text = without_leader(joined(group))
        spanning = spanning or last > first
        for column in range(first, last + 1):
            whole = f"{cells[column]} {text}".strip()
            cells[column] = Covered(whole) if column > first else whole
    return cells, spanning


def _width(column: Gap) -> float:
    return column[1] - column[0]


def _column_at(columns: Sequence[Gap], left: float, right: float) -> int:
    """The first column that the extent overlaps, else the nearest."""
    i = bisect_left(columns, left, key=lambda column: column[1])
    if i >= len(columns):
        return len(columns) - 1
    if columns[i][0] < right or i == 0:
        return i
    return i if columns[i][0] - right <= left - columns[i - 1][1] else i - 1


def _widened(
    n: int, placed: Sequence[tuple[int, int]], extents: Sequence[Gap], columns: Sequence[Gap]
) -> tuple[int, int]:
    """The columns over which a name stands centred: those of its own, and as many beside it as its middle says."""
    first, last = placed[n]
    middle = (extents[n][0] + extents[n][1]) / 2
    lowest = placed[n - 1][1] + 1 if n else 0
    highest = placed[n + 1][0] - 1 if n + 1 < len(placed) else len(columns) - 1
    best, off = (first, last), abs((columns[first][0] + columns[last][1]) / 2 - middle)
    if off < 3.0 or (len(columns) > 2 and first == last and _is_flush(extents[n], columns[first])):
        return best
    for a in range(lowest, first + 1):
        for b in range(last, highest + 1):
            distance = abs((columns[a][0] + columns[b][1]) / 2 - middle)
            if distance < min(off - 0.5, 6.0):
                best, off = (a, b), distance
    return best


def _is_flush(extent: Gap, column: Gap) -> bool:
    """True for a text that begins or ends where its column does."""
    return min(abs(extent[0] - column[0]), abs(extent[1] - column[1])) < 1.0


def _cuts(rows: Sequence[Row], box: Box, horizontal: Sequence[Box]) -> tuple[list[int], list[int]]:
    """The rows above which a line is drawn across most of the table; and those of lines that reach its left side, not
    only from a name that covers the other columns to these."""
    middles = [(upper.baseline + lower.y0) / 2 for upper, lower in pairwise(rows)]
    cuts: set[int] = set()
    reaching: set[int] = set()
    for line in horizontal:
        across = min(line.x1, box.x1) - max(line.x0, box.x0)
        if across < 0.6 * box.width or not rows[0].y0 <= line.y0 <= rows[-1].y1:
            continue
        i = bisect_left(middles, line.y0)
        near = [j for j in (i - 1, i, i + 1) if 0 <= j < len(middles)]
        if near:
            best = min(near, key=lambda j: abs(middles[j] - line.y0))
            if rows[best].baseline - 1 <= line.y0 <= rows[best + 1].baseline:
                cuts.add(best + 1)
                if line.x0 <= box.x0 + rows[best].size:
                    reaching.add(best + 1)
    return sorted(cuts), sorted(reaching)


def _header_lines(rows: Sequence[Row], cuts: Sequence[int]) -> int | None:
    """The number of lines that name the columns: those above the first drawn line, or set in bold above others."""
    parts_rows = len(cuts) >= 3 and len(cuts) >= 0.3 * len(rows)  # a line under every row tells nothing of the first
    if cuts and cuts[0] <= MOST_HEADER_LINES and cuts[0] < len(rows) and not parts_rows:
        return cuts[0]
    bold = 0
    while bold < len(rows) and _is_bold(rows[bold], below_bold=bold > 0):
        bold += 1
    return bold if 0 < bold <= MOST_HEADER_LINES and bold < len(rows) else None


def _is_bold(row: Row, *, below_bold: bool) -> bool:
    """True for a row of bold text; its label need not be where the row above is bold, too, and it has no figures."""
    runs = [item for item in row.items if isinstance(item, Run)]
    if below_bold and len(runs) > 1 and not any(is_figure(run.text) for run in runs):
        runs = runs[1:]
    return all(run.bold for run in runs)


def _like_others(lines: Sequence[Sequence[str]]) -> bool:
    """True where the first row begins in lower case or with a sign in every cell, as most others do: no names."""
    first = [cell for cell in lines[0] if cell]
    others = [cell for cells in lines[1:] for cell in cells if cell]
    if any(cell[0].isupper() or cell[0].isdigit() for cell in first):
        return False
    return sum(not cell[0].isupper() for cell in others) >= 0.8 * len(others) and not any(
        char.isdigit() for cell in others for char in cell
    )


def join_first_name(rows: list[list[str]], header_rows: int | None) -> tuple[list[list[str]], int | None]:
    """Put the name of the first column, where it stands alone in the first row, beside the names in the row below."""
    if len(rows) < 3 or not rows[0][0] or any(rows[0][1:]) or rows[1][0] or sum(map(bool, rows[1])) < 2:
        return rows, header_rows
    names = [rows[0][0], *rows[1][1:]]
    return [names, *rows[2:]], header_rows if header_rows is None else max(1, header_rows - 1)


def group_rows(
    rows: Sequence[Row],
    lines: Sequence[list[str]],
    spans: Sequence[bool],
    cuts: Sequence[int],
    header: int | None,
) -> tuple[list[list[str]], int | None]:
    """Put lines of one row together where cells have several lines; (rows of cells, rows that name columns)."""
    every_row = len(cuts) >= 3 and len(cuts) >= 0.3 * (len(lines) - (header or 0))
    steps = [lower.baseline - upper.baseline for upper, lower in pairwise(rows)]
    widest = sorted(steps)[int(0.8 * len(steps))] if steps else 0.0
    bold = [isinstance(row.items[0], Run) and row.items[0].bold for row in rows]
    labels = wrapped_labels(lines, steps, bold)
    names = wrapped_names(lines, spans, steps, cuts, header)
    grouped: list[list[str]] = []
    header_rows = 0
    for i, cells in enumerate(lines):
        in_header = header is not None and i < header
        tight = i > 0 and steps[i - 1] < 0.85 * widest
        if i == 1 and tight and not lines[0][0] and cells[0] and not any(cells[1:]):
            new = False  # the first column's name, set halfway down beside two rows of names
        elif i in names or (i == 1 and tight and header is None and _is_second_line_of_names(lines[0], cells)):
            new = False
        elif i == 0 or spans[i] or spans[i - 1]:
            new = True
        elif every_row:
            new = i in cuts
        elif i in cuts:
            new = True
        elif i in labels:
            new = False
        else:
            new = not _continues(lines[i - 1], cells, tight)
        if new:
            grouped.append(list(cells))
            header_rows += in_header
        else:
            grouped[-1] = [
                keep_mark(above, f"{above}\n{cell}") if above and cell else above or cell
                for above, cell in zip(grouped[-1], cells)
            ]
    return grouped, header_rows if header is not None else None


def _is_second_line_of_names(above: Sequence[str], cells: Sequence[str]) -> bool:
    """True for words in lower case below names in every column, but for a name that has one line alone."""
    going_on = [cell[0].islower() for cell, name in zip(cells, above) if cell and name]
    letters = not any(char.isdigit() for cell in (*above, *cells) for char in cell)
    return letters and len(going_on) > 1 and all(going_on) and all(map(any, zip(above, cells))) and above[-1] != ""


def _continues(above: Sequence[str], cells: Sequence[str], tight: bool) -> bool:
    """True for a line whose cells only go on with cells of the line above."""
    filled = [i for i, cell in enumerate(cells) if cell]
    if any(is_toc_entry(above[i]) for i in filled):
        return False  # entries of a table of contents
    if filled == [0] and cells[0].endswith(":") and any(above[1:]):
        return False  # "of which:" heads the rows below it
    if not filled or any(not above[i] and not tight for i in filled):
        return False
    going_on = [cells[i][:1].islower() or cells[i][:1] in "(&/" or above[i].endswith(("-", ",")) for i in filled]
    if all(going_on) and len(filled) < len(cells):
        return True
    if all(cells[i].startswith("(") for i in filled):
        return True
    return not cells[0] and tight and len(filled) <= max(1, len(cells) // 2)
