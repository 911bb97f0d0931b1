"""Names of columns on several lines, and names that stand beside their columns of figures."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from ragyena.documents.cell_kinds import is_unit
from ragyena.documents.merged_cells import Covered
from ragyena.documents.pdf.rows import Gap
from ragyena.documents.pdf.stacked import TIGHT, has_year, is_figure, is_period

__all__ = ["count_name_lines", "join_columns", "wrapped_names"]

HALFWAY = 0.7
"""Distance, in those of rows, of a name on one line to the lines of the others beside it."""
MOST_LINES = 4
"""Lines that name the columns of one table."""


def count_name_lines(lines: Sequence[Sequence[str]], header: int | None) -> int:
    """The lines above the first record: ``header`` where the drawing says so, else those above the first figures."""
    if header is not None:
        return header
    years = False
    for n, cells in enumerate(lines[: MOST_LINES + 1]):
        if any(map(is_figure, cells[1:])) or (years and cells[0] and any(map(has_year, cells[1:]))):
            return n  # years below years are figures
        years = years or any(map(has_year, cells[1:]))
    return 0


def join_columns(columns: Sequence[Gap], lines: Sequence[Sequence[str]], header: int | None) -> list[Gap]:
    """The columns, those of which one holds names alone and its neighbour records alone as one.

    A name set flush left over figures set flush right may stand beside all of them.
    """
    count = count_name_lines(lines, header)
    joined: list[Gap] = []
    n = 0
    while n < len(columns):
        if count and 0 < n < len(columns) - 1:
            names, records = _fill(lines, n, count)
            next_names, next_records = _fill(lines, n + 1, count)
            if (names and not records and next_records and not next_names) or (
                records and not names and next_names and not next_records
            ):
                joined.append((columns[n][0], columns[n + 1][1]))
                n += 2
                continue
        joined.append(columns[n])
        n += 1
    return joined


def _fill(lines: Sequence[Sequence[str]], column: int, count: int) -> tuple[int, int]:
    """(names, records) with text of their own in a column."""
    own = [bool(cells[column]) and not isinstance(cells[column], Covered) for cells in lines]
    return sum(own[:count]), sum(own[count:])


def wrapped_names(
    lines: Sequence[Sequence[str]],
    spans: Sequence[bool],
    steps: Sequence[float],
    cuts: Sequence[int],
    header: int | None,
) -> set[int]:
    """The lines of names that go on, column by column, with the names in the line above them.

    ``spans`` tells of each line whether a cell covers several columns, ``steps`` are the distances of the baselines,
    one less than the lines, ``cuts`` the lines above which a line is drawn. Names of parts below those of groups, as
    ``Plan`` and ``Actual`` below ``Q1``, stay a row of their own.
    """
    count = count_name_lines(lines, header)
    wrapped: set[int] = set()
    if count < 2:
        return wrapped
    pitch = median(steps[count:]) if len(steps) > count else steps[count - 1]
    above = list(lines[0])
    for n in range(1, count):
        cells = lines[n]
        step = steps[n - 1]
        is_tight = step < TIGHT * pitch
        is_beside = step < HALFWAY * pitch and not any(map(all, zip(above, cells, strict=True)))
        is_sure = header is not None or (
            _stands_over_figures(cells, lines[count:]) and (is_beside or _may_be_names(above, cells, is_tight))
        )
        if is_sure and not (spans[n] or spans[n - 1] or n in cuts) and (is_beside or _go_on(above, cells, is_tight)):
            wrapped.add(n)
            above = [" ".join(filter(None, pair)) for pair in zip(above, cells, strict=True)]
        else:
            above = list(cells)
    return wrapped


def _go_on(above: Sequence[str], cells: Sequence[str], tight: bool) -> bool:
    """True where each cell stands below a name of its own; or below none, where names that come again, periods below
    the other names alone, or unlike cells close below all of them show that these cover no further columns."""
    filled = [i for i in range(1, len(cells)) if cells[i]]
    named = [i for i in filled if above[i]]
    if not named or all(is_unit(cells[i]) for i in filled) or any(is_figure(cells[i]) for i in filled):
        return False
    if any(has_year(above[i]) and has_year(cells[i]) for i in filled):
        return False
    if tight and len(named) == sum(map(bool, above[1:])) and len({cells[i] for i in filled}) == len(filled):
        return True
    if len(named) < 2 and len(cells) > 3 and len(filled) > 1:
        return False
    if len(named) == len(filled):
        return True
    if len(named) > 2 * (len(filled) - len(named)):
        return True  # names of groups stand over two columns or more
    return _come_again(above) or all(is_period(cells[i]) == bool(above[i]) for i in filled)


def _stands_over_figures(cells: Sequence[str], records: Sequence[Sequence[str]]) -> bool:
    for i in range(1, len(cells)):
        below = [record[i] for record in records if record[i]] if cells[i] else []
        if below and 2 * sum(map(is_figure, below)) < len(below) and not all(map(is_period, below)):
            return False
    return True


def _may_be_names(above: Sequence[str], cells: Sequence[str], tight: bool) -> bool:
    """True for a line that is no record: without a label, or below names that come again, or of periods close below."""
    if not cells[0]:
        return True
    return not above[0] and (_come_again(above) or (tight and all(is_period(cell) for cell in cells[1:] if cell)))


def _come_again(names: Sequence[str]) -> bool:
    return any(left and left == right for left, right in pairwise(names[1:]))
