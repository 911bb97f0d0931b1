"""Gaps that several rows share: borders of columns of text, or of a table without lines."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from statistics import mean, median

from ragyena.documents.pdf.elements import Box, Part, Run
from ragyena.documents.pdf.rows import Gap, Row, has_cjk, joined
from ragyena.documents.pdf.stacked import table_starts

__all__ = ["Band", "find_band", "prose_columns", "split_at"]

LEAST_GUTTER = 0.6
"""Width of a gutter in sizes of the font."""
MOST_COLUMNS = 12
"""Columns among which one that parts two texts is looked for."""
NAME_WORDS = 4
"""Words of a name that stands above the first column, alone in its row."""
NEAR_TABLE = 8
"""Rows looked at on either side of a line of text for the figures and the names of two tables."""
HEADING_GAP = 1.6
"""Distance of a heading below columns to their last line, in usual distances of lines."""
NEAR_ROWS = 4
"""Rows looked at on either side for text at the same height: columns need not share their baselines."""


@dataclass(slots=True)
class Band:
    """Rows ``first`` to ``last`` (exclusive) with gutters in common."""

    first: int
    last: int
    gutters: list[Gap]


def find_band(rows: Sequence[Row], first: int, floor: int, tall: Sequence[Box]) -> Band | None:
    """The band that begins at row ``first``, or above it down to ``floor``; None where no gutter goes on from there."""
    occupied = _occupied(rows, first, tall)
    if not _inner_gaps(occupied, rows[first].unit):
        return None
    # Open intervals beside the text count, too: further down there may be text beyond them.
    gaps = _common([(-inf, inf)], _all_gaps(occupied), LEAST_GUTTER * rows[first].unit)
    left, right = occupied[0][0], occupied[-1][1]
    gutters = _between(gaps, left, right)
    parted = 1
    last = first + 1
    steps: list[float] = []
    foot = -inf
    """Lower edge of the finished tables so far."""
    while last < len(rows):
        row, above = rows[last], rows[last - 1]
        foot = max([foot, *(item.box.y1 for item in above.items if isinstance(item, Part))])
        step = row.baseline - max(above.baseline, min(foot, row.baseline))
        if step > _widest_step(steps, row.size or above.size) or _heads_both(rows, last, gutters, steps):
            break
        occupied = _occupied(rows, last, tall)
        common = _common(gaps, _all_gaps(occupied), LEAST_GUTTER * row.unit)
        inner = _between(common, min(left, occupied[0][0]), max(right, occupied[-1][1]))
        if not inner or (len(inner) < len(gutters) and _is_above_next_table(rows, first, last)):
            break
        gaps, gutters = common, inner
        left, right = min(left, occupied[0][0]), max(right, occupied[-1][1])
        parted += any(_parts(gutter, occupied) for gutter in gutters)
        if step > 0.3 * row.size:
            steps.append(step)
        last += 1
    widest = max(high - low for low, high in gutters)
    if parted < 2 or (parted < 3 and widest < 1.4 * rows[first].unit):
        return None
    last = _trimmed_end(rows, first, last, gutters, tall)
    first = _extended_start(rows, first, floor, gutters)
    if first > floor and last - first > 1 and _is_name_above(rows, first, last):
        first -= 1
    return Band(first, last, gutters) if last - first >= 2 else None


def _is_above_next_table(rows: Sequence[Row], first: int, index: int) -> bool:
    """True for a line of text over several columns, a note or a heading, below which other names begin a table."""
    row = rows[index]
    if index - first < 2 or len(row.intervals()) > 1:
        return False
    start = max(first, index - NEAR_TABLE)
    starts = (start + n for n in table_starts(rows[start : index + NEAR_TABLE]) if start + n <= index)
    begin = max(starts, default=None)
    return begin is not None and all(len(between.intervals()) < 2 for between in rows[begin:index])


def _heads_both(rows: Sequence[Row], index: int, gutters: Sequence[Gap], steps: Sequence[float]) -> bool:
    """True for a heading at the left, apart from the text above in all columns, with text on the right below it."""
    row, above = rows[index], rows[index - 1]
    if len(steps) < 3 or len(row.intervals()) > 1 or row.x1 >= gutters[-1][1] or not _runs(above):
        return False
    stands_out = row.size > 1.12 * above.size or (_bold(row) and not _bold(above))
    if not stands_out or row.baseline - above.baseline < HEADING_GAP * median(steps[-9:]):
        return False
    right = [other.baseline for other in rows[index + 1 : index + 1 + NEAR_ROWS] if other.x1 > gutters[-1][1]]
    return bool(right) and right[0] - row.baseline > 0.8 * row.size


def _widest_step(steps: Sequence[float], size: float) -> float:
    usual = median(steps[-9:]) if len(steps) > 1 else 0.0
    return max(2.3 * usual, 2.6 * size) if usual else 4.5 * size


def _occupied(rows: Sequence[Row], index: int, tall: Sequence[Box]) -> list[Gap]:
    """Stretches of x with text at the height of a row, of neighbouring rows too where they overlap it."""
    row = rows[index]
    intervals = row.intervals()
    height = max(row.y1 - row.y0, 0.1)
    for step in (-1, 1):
        i = index + step
        while 0 <= i < len(rows) and abs(i - index) <= NEAR_ROWS:
            other = rows[i]
            overlap = min(row.y1, other.y1) - max(row.y0, other.y0)
            if overlap <= 0.3 * min(height, max(other.y1 - other.y0, 0.1)):
                break
            if not _touch(row, other):
                intervals = intervals + other.intervals()
            i += step
    intervals = intervals + [(box.x0, box.x1) for box in tall if box.y0 < row.y1 and row.y0 < box.y1]
    merged: list[Gap] = []
    for left, right in sorted(intervals):
        if merged and left - merged[-1][1] < LEAST_GUTTER * row.unit:
            merged[-1] = (merged[-1][0], max(merged[-1][1], right))
        else:
            merged.append((left, right))
    return merged


def _touch(row: Row, other: Row) -> bool:
    """True where the two rows hold text at the same x: lines of one column set tightly."""
    one, two = row.intervals(), other.intervals()
    i = j = 0
    while i < len(one) and j < len(two):
        if one[i][0] < two[j][1] and two[j][0] < one[i][1]:
            return True
        if one[i][1] < two[j][1]:
            i += 1
        else:
            j += 1
    return False


def _inner_gaps(occupied: Sequence[Gap], unit: float) -> list[Gap]:
    return [(a[1], b[0]) for a, b in pairwise(occupied) if b[0] - a[1] >= LEAST_GUTTER * unit]


def _all_gaps(occupied: Sequence[Gap]) -> list[Gap]:
    if not occupied:
        return [(-inf, inf)]
    return [(-inf, occupied[0][0]), *((a[1], b[0]) for a, b in pairwise(occupied)), (occupied[-1][1], inf)]


def _between(gaps: Sequence[Gap], left: float, right: float) -> list[Gap]:
    return [gap for gap in gaps if left < gap[0] and gap[1] < right]


def _common(one: Sequence[Gap], other: Sequence[Gap], least: float) -> list[Gap]:
    common: list[Gap] = []
    i = j = 0
    while i < len(one) and j < len(other):
        left, right = max(one[i][0], other[j][0]), min(one[i][1], other[j][1])
        if right - left >= least:
            common.append((left, right))
        if one[i][1] < other[j][1]:
            i += 1
        else:
            j += 1
    return common


def _parts(gutter: Gap, occupied: Sequence[Gap]) -> bool:
    return occupied[0][0] < gutter[0] and occupied[-1][1] > gutter[1]


def _trimmed_end(rows: Sequence[Row], first: int, last: int, gutters: Sequence[Gap], tall: Sequence[Box]) -> int:
    """Leave out rows at the end with text at the left alone, unless they go on tightly with the left column."""
    end = last
    while end > first + 1 and not any(_parts(gutter, _occupied(rows, end - 1, tall)) for gutter in gutters):
        if rows[end - 1].x0 >= gutters[0][1]:
            break  # the right column goes on
        end -= 1
    kept = end
    column = min(row.x0 for row in rows[first:end])
    while kept < last:
        above, row = rows[kept - 1], rows[kept]
        same = abs(row.size - above.size) < 0.1 * row.size and _bold(row) == _bold(above)
        full = row.x1 - column >= 0.6 * (gutters[0][0] - column)
        if row.baseline - above.baseline > (2.2 if full else 1.5) * row.size or not same or row.x0 < column - row.size:
            break
        kept += 1
    while end + 1 < kept < last:  # the left column goes on below the right one: with a heading, too
        above, row = rows[kept - 1], rows[kept]
        if row.baseline - above.baseline > 2.2 * max(row.size, above.size) or row.x1 > gutters[0][0]:
            break
        kept += 1
    return kept


def _extended_start(rows: Sequence[Row], first: int, floor: int, gutters: Sequence[Gap]) -> int:
    """Take in rows above in the same column that begins higher than its neighbours."""
    while first > floor:
        above, row = rows[first - 1], rows[first]
        inside = above.x0 >= gutters[-1][1] or (above.x1 <= gutters[0][0] and above.size <= row.size * 1.05)
        if not inside or row.baseline - above.baseline > 1.6 * row.size or _bold(above):
            break
        first -= 1
    return first


def _is_name_above(rows: Sequence[Row], first: int, last: int) -> bool:
    """True for a row with one name of a table: over its first column, where the row below has none, or over others."""
    above, row = rows[first - 1], rows[first]
    text = joined(_runs(above))
    is_alike = abs(above.size - row.size) < 0.06 * row.size and _bold(above) == _bold(row)
    if len(_runs(above)) < len(above.items) or len(above.intervals()) > 1 or not is_alike:
        return False
    pitch = median(lower.baseline - upper.baseline for upper, lower in pairwise(rows[first:last]))
    if row.baseline - above.baseline > 1.15 * pitch or not text[:1].isupper() or text[-1] in ".:;,!?":
        return False
    if first > 1:  # the end of a paragraph, which may stand as near
        before = rows[first - 2]
        step = above.baseline - before.baseline
        if step < 1.3 * above.size and not joined(_runs(before)).endswith((".", ":", "!", "?")):
            return False
    records = [other.intervals() for other in rows[first + 1 : last]]
    most = max(map(len, records))
    records = [intervals for intervals in records if len(intervals) == most]
    if most < 2:
        return False
    label, others = max(intervals[0][1] for intervals in records), min(intervals[1][0] for intervals in records)
    if row.x0 > label:
        below = [one for one in row.intervals() if one[0] < above.x1 and above.x0 < one[1]]
        if above.x0 > label and len(below) == 1 and row.baseline - above.baseline < 0.85 * pitch:
            return True  # the first line of the one name that has more lines than the others
        left = min(intervals[0][0] for intervals in records)
        return above.x1 < others and abs(above.x0 - left) < row.size and len(text.split()) <= NAME_WORDS
    return above.x0 > label and above.x1 <= max(intervals[-1][1] for intervals in [*records, row.intervals()])


def _runs(row: Row) -> list[Run]:
    return [item for item in row.items if isinstance(item, Run)]


def _bold(row: Row) -> bool:
    return all(run.bold for run in _runs(row))


def split_at(rows: Sequence[Row], gutters: Sequence[Gap]) -> list[list[Run | Part]]:
    """The items of the rows by the column in which their middle lies."""
    borders = [(left + right) / 2 for left, right in gutters]
    columns: list[list[Run | Part]] = [[] for _ in range(len(borders) + 1)]
    for row in rows:
        for item in row.items:
            box = item if isinstance(item, Run) else item.box
            middle = (box.x0 + box.x1) / 2
            columns[bisect_left(borders, middle)].append(item)
    return columns


def prose_columns(rows: Sequence[Row], gutters: Sequence[Gap]) -> list[Gap]:
    """The gutters at which the band is to be read column by column; () for a table.

    All of them where every column holds running text; one of them where a column of running text stands beside
    something else whose rows do not follow its sentences.
    """
    columns = [_lines(column) for column in split_at(rows, gutters)]
    prose = [_is_prose(lines) for lines in columns]
    if all(prose):
        return list(gutters)
    if any(isinstance(item, Part) for row in rows for item in row.items):
        return list(gutters)  # a finished table stands beside text
    for i in (0, len(columns) - 1):
        if prose[i] and len(columns[i]) >= 5 and not _begins_with_rows(columns, i):
            return [gutters[0] if i == 0 else gutters[-1]]
    # Two columns of text of which each has its own table or list: the gutter that parts the text.
    for i in range(1, len(columns) if len(columns) <= MOST_COLUMNS else 0):
        left = [run for column in columns[:i] for line in column for run in line]
        right = [run for column in columns[i:] for line in column for run in line]
        if len(columns) > 2 and _is_prose(_lines(left)) and _is_prose(_lines(right)):
            return [gutters[i - 1]]
    return []


def _lines(items: Sequence[Run | Part]) -> list[list[Run]]:
    lines: list[list[Run]] = []
    for run in sorted((item for item in items if isinstance(item, Run)), key=lambda run: (run.baseline, run.x0)):
        if lines and abs(run.baseline - lines[-1][0].baseline) <= 0.3 * run.size:
            lines[-1].append(run)
        else:
            lines.append([run])
    return lines


def _is_prose(lines: Sequence[Sequence[Run]]) -> bool:
    """True for lines of running text: several words each that fill the column, most going on in the next line."""
    if len(lines) < 2:
        return False
    texts = [joined(line) for line in lines]
    counts = [len(text) / 3 if has_cjk(text) else len(text.split()) for text in texts]
    left = min(run.x0 for line in lines for run in line)
    width = max(run.x1 for line in lines for run in line) - left
    full = mean(min(1.0, (line[-1].x1 - left) / max(width, 1.0)) for line in lines)
    going_on = sum(_goes_on(upper, lower) for upper, lower in pairwise(texts)) / (len(texts) - 1)
    if sum(_digits(text) for text in texts) > 0.35 * sum(map(len, texts)):
        return False
    return mean(counts) >= 2.6 and full >= 0.5 and going_on >= (0.25 if mean(counts) >= 4.5 else 0.5)


def _goes_on(upper: str, lower: str) -> bool:
    if has_cjk(upper) and has_cjk(lower):
        return upper[-1] not in "。！？"
    return upper.endswith("-") or (upper[-1:] not in ".:;!?" and lower[:1].islower())


def _digits(text: str) -> int:
    return sum(char.isdigit() for char in text)


def _begins_with_rows(columns: Sequence[Sequence[Sequence[Run]]], index: int) -> bool:
    """True where text of the other columns stands beside the beginnings of this column's sentences: wrapped cells."""
    others = [line[0].baseline for i, column in enumerate(columns) if i != index for line in column]
    level = {round(baseline) for baseline in others}
    own = {round(line[0].baseline) + shift for line in columns[index] for shift in (-2, -1, 0, 1, 2)}
    beside = [line for line in columns[index] if any(round(line[0].baseline) + shift in level for shift in (-1, 0, 1))]
    if not beside or len(level & own) < 0.8 * len(level):
        return False  # cells of one row share their first baseline
    if len(beside) >= 0.9 * len(columns[index]) and len(level & own) >= 0.9 * len(level):
        return True  # every line has its own cell beside it
    starts = sum(not joined(line)[:1].islower() for line in beside)
    return starts >= 0.7 * len(beside) and len(beside) < 0.9 * len(columns[index])
