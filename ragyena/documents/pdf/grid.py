"""Drawn lines that cross -> tables: rows, columns and merged cells as the lines part them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ragyena.documents.merged_cells import Covered
from ragyena.documents.pdf.cells import group_rows, join_first_name
from ragyena.documents.pdf.elements import Box, Part, Run
from ragyena.documents.pdf.rows import joined, make_rows, without_marks

__all__ = ["find_grids"]

NEAR = 3.0
"""Points within which lines count as one, and ends as touching."""
MOST_LINES = 4000
MOST_CROSSINGS = 200_000
MOST_CELLS = 20_000
MOST_TABLES = 60


@dataclass(slots=True)
class _Grid:
    xs: list[float]
    ys: list[float]
    roots: list[int]
    """The first cell of the merged cell that each cell (row by row) is part of."""

    @property
    def width(self) -> int:
        return len(self.xs) - 1


def find_grids(horizontal: Sequence[Box], vertical: Sequence[Box], runs: list[Run]) -> tuple[list[Part], list[Run]]:
    """(tables with text in at least two columns, the runs that are in none of them)"""
    if len(horizontal) < 2 or len(vertical) < 2 or len(horizontal) + len(vertical) > MOST_LINES:
        return [], runs
    tables: list[Part] = []
    single: list[_Grid] = []
    for level, upright in _components(horizontal, vertical):
        grid = _grid(level, upright)
        if grid is None:
            continue
        if len(grid.ys) == 2:
            single.append(grid)
            continue
        table, rest = _fill(grid, runs)
        if table is not None:
            tables.append(table)
            runs = rest
    for grid in single:
        runs = _head_next_column(grid, tables, runs)
    return tables, runs


def _head_next_column(grid: _Grid, tables: Sequence[Part], runs: list[Run]) -> list[Run]:
    """Put a row alone at the foot of a column above the table that goes on from it at the top of the next one.

    Gives the runs that are left; all of them where no table has its columns.
    """
    for table in tables:
        beyond = table.box.x0 > grid.xs[-1] and table.box.y0 < grid.ys[0]
        if not beyond or table.header_rows is not None or len(table.columns) != grid.width:
            continue
        if all(abs(a - grid.xs[0] - b + table.columns[0]) < NEAR for a, b in zip(grid.xs, table.columns)):
            head, rest = _fill(grid, runs, least_rows=1)
            if head is not None:
                table.rows, table.header_rows = [*head.rows, *table.rows], 1
                return rest
    return runs


def _components(horizontal: Sequence[Box], vertical: Sequence[Box]) -> list[tuple[list[Box], list[Box]]]:
    """Lines that cross or touch each other, by connected group, the largest first."""
    vertical = sorted(vertical, key=lambda line: line.x0)
    places = [line.x0 for line in vertical]
    parents = list(range(len(horizontal) + len(vertical)))

    def root(i: int) -> int:
        while parents[i] != i:
            parents[i] = parents[parents[i]]
            i = parents[i]
        return i

    crossings = 0
    for i, line in enumerate(horizontal):
        for j in range(bisect_left(places, line.x0 - NEAR), bisect_right(places, line.x1 + NEAR)):
            crossings += 1
            if crossings > MOST_CROSSINGS:
                return []
            if vertical[j].y0 - NEAR <= line.y0 <= vertical[j].y1 + NEAR:
                parents[root(i)] = root(len(horizontal) + j)
    groups: dict[int, tuple[list[Box], list[Box]]] = {}
    for i, line in enumerate(horizontal):
        groups.setdefault(root(i), ([], []))[0].append(line)
    for j, line in enumerate(vertical):
        groups.setdefault(root(len(horizontal) + j), ([], []))[1].append(line)
    whole = [group for group in groups.values() if len(group[0]) >= 2 and group[1]]
    return sorted(whole, key=lambda group: -len(group[0]) - len(group[1]))[:MOST_TABLES]


def _places(values: Sequence[float]) -> list[float]:
    """Sorted places, those that are near each other as one."""
    places: list[float] = []
    for value in sorted(values):
        if not places or value - places[-1] > NEAR:
            places.append(value)
    return places


def _grid(level: Sequence[Box], upright: Sequence[Box]) -> _Grid | None:
    left, right = min(line.x0 for line in level), max(line.x1 for line in level)
    top, bottom = min(line.y0 for line in upright), max(line.y1 for line in upright)
    xs = _places([*((line.x0 + line.x1) / 2 for line in upright), left, right])  # outer lines may be missing
    ys = _places([*((line.y0 + line.y1) / 2 for line in level), top, bottom])
    width, height = len(xs) - 1, len(ys) - 1
    if width < 2 or height < 1 or width * height > MOST_CELLS:
        return None
    walls = _walls([(line.x0, line.y0, line.y1) for line in upright], xs, ys)
    floors = _walls([(line.y0, line.x0, line.x1) for line in level], ys, xs)
    roots = list(range(width * height))

    def root(i: int) -> int:
        while roots[i] != i:
            roots[i] = roots[roots[i]]
            i = roots[i]
        return i

    for row in range(height):
        for column in range(width):
            cell = row * width + column
            if column + 1 < width and (column + 1, row) not in walls:
                roots[root(cell + 1)] = root(cell)
            if row + 1 < height and (row + 1, column) not in floors:
                roots[root(cell + width)] = root(cell)
    return _Grid(xs, ys, [root(i) for i in range(width * height)])


def _walls(
    lines: Sequence[tuple[float, float, float]], places: list[float], across: list[float]
) -> set[tuple[int, int]]:
    """(place, stretch): the stretches between ``across`` of which a line at the place covers the middle."""
    middles = [(a + b) / 2 for a, b in pairwise(across)]
    walls: set[tuple[int, int]] = set()
    for at, start, end in lines:
        place = min(bisect_left(places, at - NEAR), len(places) - 1)
        for stretch in range(bisect_left(middles, start), bisect_right(middles, end)):
            walls.add((place, stretch))
    return walls


def _fill(grid: _Grid, runs: list[Run], *, least_rows: int = 2) -> tuple[Part | None, list[Run]]:
    box = Box(grid.xs[0], grid.ys[0], grid.xs[-1], grid.ys[-1])
    cells: dict[int, list[Run]] = {}
    rest: list[Run] = []
    for run in runs:
        x, y = (run.x0 + run.x1) / 2, (run.y0 + run.y1) / 2
        if not box.holds(x, y):
            rest.append(run)
            continue
        column = min(max(bisect_right(grid.xs, x) - 1, 0), grid.width - 1)
        row = min(max(bisect_right(grid.ys, y) - 1, 0), len(grid.ys) - 2)
        cells.setdefault(grid.roots[row * grid.width + column], []).append(run)
    inside = [run for part in cells.values() for run in part]
    if len(cells) <= least_rows or len({root % grid.width for root in cells}) < 2:
        return None, runs
    rows: list[list[str]] = []
    bold: list[bool] = []
    for row in range(len(grid.ys) - 1):
        roots = [grid.roots[row * grid.width + column] for column in range(grid.width)]
        for lines in _split_row(row, roots, cells, grid.width):
            if any(lines):
                rows.append(lines)
                bold.append(all(run.bold for root in roots for run in cells.get(root, ())))
    columns = list(range(grid.width))
    if least_rows > 1:
        columns = [i for i in columns if any(line[i] and not isinstance(line[i], Covered) for line in rows)]
    if len(rows) < least_rows or len(columns) < 2:
        return None, runs
    rows = [[line[i] for i in columns] for line in rows]
    header = bold.index(False) if bold[0] and not all(bold) else None
    if least_rows > 1:
        rows, header = join_first_name(rows, header)
    part = Part("", box, max(run.size for run in inside), kind="table", rows=rows)
    part.header_rows = header if header and header <= 3 else None
    part.columns = tuple(grid.xs[i] for i in columns)
    return part, rest


def _split_row(row: int, roots: list[int], cells: dict[int, list[Run]], width: int) -> list[list[str]]:
    """The cells of a row; several rows where no lines part them, but all cells hold lines at the same heights."""
    own = [cells.get(root, []) if root // width == row else [] for root in roots]
    lined = [len(make_rows(runs)) for runs in own if runs]
    texts = [_cell_text(cells.get(root, [])) for root in roots]
    texts = [Covered(text) if n and roots[n] == roots[n - 1] else text for n, text in enumerate(texts)]
    if len(set(roots)) < 2 or len(lined) < 2 or max(lined) < 3 or sorted(lined)[-2] < 0.7 * max(lined):
        return [texts]
    if any(root // width != row for root in roots):
        return [texts]
    rows = make_rows([run for n, runs in enumerate(own) if n == 0 or roots[n] != roots[n - 1] for run in runs])
    aligned = sum(len(line.items) >= max(2, 0.6 * len(set(roots))) for line in rows)
    if aligned < 0.6 * len(rows):
        return [texts]
    lines: list[list[str]] = []
    column_of = {id(run): n for n in reversed(range(len(own))) for run in own[n]}
    for line in map(without_marks, rows):
        by_column: list[list[Run]] = [[] for _ in roots]
        for item in line.items:
            if isinstance(item, Run):
                by_column[column_of[id(item)]].append(item)
        lines.append([joined(part) for part in by_column])
    return group_rows(rows, lines, [False] * len(rows), [], None)[0]


def _cell_text(runs: Sequence[Run]) -> str:
    return "\n".join(without_marks(row).text() for row in make_rows(runs))
