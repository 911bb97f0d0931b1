"""Names over several columns: which columns of a table without drawn cells each of them stands over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ragyena.documents.merged_cells import Covered
from ragyena.documents.pdf.column_names import count_name_lines
from ragyena.documents.pdf.elements import Box, Run
from ragyena.documents.pdf.rows import Gap, Row, joined
from ragyena.documents.pdf.stacked import is_period

__all__ = ["place_groups"]

MOST_GROUPS = 8
MOST_COLUMNS = 24
MOST_TRIES = 20_000
SLACK = 2.0
"""Points by which a name may miss the place that its alignment gives it."""
PADDING = 12.0
"""Most distance, in points, from a column set flush right to the border of its cells and on to the next text."""
LIKELIER = 1.0
"""Points by which the best places must be nearer than any others to be taken whole."""
BARE_INSIDE, BARE_OUTSIDE = 2.0, 1.0
"""Points that a column between names, or beside all of them, without a name counts for."""
UNLIKE = 1.0
"""Points that names over unlike series of columns count for."""
OWN = 2.0
"""Points that a column with a name of its own counts for below a name that stands over a series of columns."""

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Columns:
    texts: list[Gap]
    """The stretch of x that holds the text of each column."""
    borders: list[Gap]
    """The stretch of x in which each column's cells begin; one more for the end of the last."""
    names: list[str]
    """The names of each column in the lines below."""
    own: list[bool]
    """True for a column whose name is of another kind than the series of names that stand below those of groups."""


def place_groups(
    rows: Sequence[Row],
    lines: list[list[str]],
    spans: list[bool],
    columns: Sequence[Gap],
    header: int | None,
    horizontal: Sequence[Box],
) -> None:
    """Set the cells of lines of names that stand over several columns each, by the lines drawn below them or else by
    their alignment, which all of a line share.

    ``lines`` and ``spans`` are changed. A column over which several names may stand gets none of them: its own name is
    repeated above it, as that of a cell over both lines.
    """
    count = count_name_lines(lines, header)
    if not 3 <= len(columns) <= MOST_COLUMNS:
        return
    for n in reversed(range(count - 1)):
        names = _joined_names(lines[n + 1 : count])
        texts = _texts(rows[n], columns[0])
        below = sum(map(bool, names[1:]))
        if not 0 < len(texts) < below or len(texts) > MOST_GROUPS or not all(map(bool, names[1:])):
            continue
        extents = [extent for extent, _ in texts]
        ruled = _ruled(rows[n], rows[n + 1], extents, columns, horizontal)
        repeats = len(set(names[1:])) < below
        own = _own_names(names)
        if ruled is None and not (repeats or spans[n] or any(own)):
            continue
        measured = _Columns(list(columns), _borders(rows[n + 1 :], columns), names, own)
        placed = ruled or _aligned(extents, measured)
        if placed is None:
            continue
        cells = [lines[n][0] if rows[n].x0 <= columns[0][1] else "", *names[1:]]
        for (_, text), (first, last) in zip(texts, placed, strict=True):
            cells[first : last + 1] = [text, *[Covered(text)] * (last - first)]
        lines[n], spans[n] = cells, True


def _joined_names(lines: Sequence[Sequence[str]]) -> list[str]:
    return [" ".join(dict.fromkeys(filter(None, column))) for column in zip(*lines, strict=True)]


def _own_names(names: Sequence[str]) -> list[bool]:
    """True for ``Change`` beside ``2025``, ``2024``, or beside ``Plan``, ``Actual``, ``Plan``, ``Actual``: names apart
    from those that come again, or else from periods. No column has one where there is no such series."""
    series = {name for name in names[1:] if names.count(name) > 1} or set(filter(is_period, names[1:]))
    if len(series) < 2:
        return [False] * len(names)
    periods = all(map(is_period, series))
    return [False, *(name not in series and not (periods and is_period(name)) for name in names[1:])]


def _texts(row: Row, labels: Gap) -> list[tuple[Gap, str]]:
    """The texts of a row with their places, but for the one over the labels."""
    runs = [item for item in row.items if isinstance(item, Run)]
    texts = [
        ((left, right), joined([run for run in runs if left <= run.x0 <= right])) for left, right in row.intervals()
    ]
    return [(extent, text) for extent, text in texts if extent[0] > labels[1]]


def _ruled(
    row: Row, below: Row, extents: Sequence[Gap], columns: Sequence[Gap], horizontal: Sequence[Box]
) -> list[Span] | None:
    """The columns over each line that is drawn below one name alone; None where not every name has such a line."""
    drawn = [line for line in horizontal if row.baseline - 1 <= line.y0 <= below.baseline - 0.5 * below.size]
    placed: list[Span] = []
    for left, right in extents:
        own = [
            line
            for line in drawn
            if line.x0 <= left + SLACK
            and right <= line.x1 + SLACK
            and sum(line.x0 < (a + b) / 2 < line.x1 for a, b in extents) == 1
        ]
        if len(own) != 1:
            return None
        under = [i for i, (a, b) in enumerate(columns) if i and own[0].x0 - 1 <= (a + b) / 2 <= own[0].x1 + 1]
        if not under or (placed and under[0] <= placed[-1][1]):
            return None
        placed.append((under[0], under[-1]))
    return placed


def _borders(rows: Sequence[Row], columns: Sequence[Gap]) -> list[Gap]:
    """The stretch of x in which the cells of each column begin, and in which those of the last end."""
    ends: list[list[Gap]] = [[] for _ in columns]
    for row in rows:
        for left, right in row.intervals():
            over = [i for i, (a, b) in enumerate(columns) if a < right and left < b]
            if len(over) == 1:
                ends[over[0]].append((left, right))
    at_left = [bool(own) and max(a for a, _ in own) - min(a for a, _ in own) < SLACK for own in ends]
    at_right = [bool(own) and max(b for _, b in own) - min(b for _, b in own) < SLACK for own in ends]
    widest = max((right[1] - left[1] for left, right in pairwise(columns[1:])), default=0.0)
    borders: list[Gap] = [(columns[0][0], columns[0][0])]
    for i, (before, column) in enumerate(pairwise(columns), start=1):
        low, high = before[1], column[0]
        if i == 1:
            low = max(low, min(high, column[1] - widest - PADDING)) if at_right[1] else low
        elif at_right[i - 1] and not at_left[i - 1]:
            high = min(high, low + PADDING)
        elif at_left[i] and not at_right[i]:
            low = max(low, high - PADDING)
        borders.append((low, high))
    return [*borders, (columns[-1][1], columns[-1][1] + PADDING / 2)]


def _aligned(extents: Sequence[Gap], columns: _Columns) -> list[Span] | None:
    """The columns of each name where all are centred, flush left or flush right over them; of several ways to read
    that, those that the likely ones share. None where there is no way, or they share no column for some name."""
    ways: list[tuple[float, list[Span]]] = []
    for alignment in ("centre", "left", "right"):
        choices = [_spans_of(extent, columns, alignment) for extent in extents]
        ways += ((_cost(way, columns), [span for _, span in way]) for way in _ways(choices))
    if not ways:
        return None
    best = min(cost for cost, _ in ways)
    likely = [spans for cost, spans in ways if cost < best + LIKELIER]
    shared = [(max(first for first, _ in own), min(last for _, last in own)) for own in zip(*likely, strict=True)]
    return shared if all(first <= last for first, last in shared) else None


def _spans_of(extent: Gap, columns: _Columns, alignment: str) -> list[tuple[float, Span]]:
    """The columns over which a name may stand, with the distance in points from its place."""
    left, right = extent
    found: list[tuple[float, Span]] = []
    for first in range(1, len(columns.texts)):
        low, high = columns.borders[first]
        if left < low - SLACK:
            break
        for last in range(first, len(columns.texts)):
            end_low, end_high = columns.borders[last + 1]
            if right > end_high + SLACK:
                continue
            if len(set(columns.names[first : last + 1])) <= last - first:
                break  # a name comes again: that is another group's
            if alignment == "left":
                off = _beyond(left, low, max(low, min(high, columns.texts[first][0])))
            elif alignment == "right":
                off = abs(right - columns.texts[last][1])
            else:
                off = _beyond((left + right) / 2, (low + end_low) / 2, (high + end_high) / 2)
            if off <= SLACK:
                found.append((off, (first, last)))
    return found


def _beyond(x: float, low: float, high: float) -> float:
    return max(low - x, x - high, 0.0)


def _ways(choices: Sequence[Sequence[tuple[float, Span]]]) -> Iterator[list[tuple[float, Span]]]:
    """All choices of one span a name from left to right without a column in common."""
    tries = 0

    def extend(way: list[tuple[float, Span]]) -> Iterator[list[tuple[float, Span]]]:
        nonlocal tries
        if len(way) == len(choices):
            yield way
            return
        for choice in choices[len(way)]:
            tries += 1
            if tries > MOST_TRIES:
                return
            if not way or choice[1][0] > way[-1][1][1]:
                yield from extend([*way, choice])

    return extend([])


def _cost(way: Sequence[tuple[float, Span]], columns: _Columns) -> float:
    """Points by which the names miss their places, and those for what is unlikely."""
    names, spans = columns.names, [span for _, span in way]
    covered = {i for first, last in spans for i in range(first, last + 1)}
    bare = [i for i in range(1, len(names)) if i not in covered]
    cost = sum(off for off, _ in way) + OWN * sum(columns.own[i] for i in covered)
    for i in bare:
        if columns.own[i]:
            continue
        cost += BARE_INSIDE if spans[0][0] < i < spans[-1][1] else BARE_OUTSIDE
        cost += 3 * BARE_INSIDE if names.count(names[i]) > 1 else 0.0
    series = [tuple(names[first : last + 1]) for first, last in spans]
    shortest = min(map(len, series))
    return cost + UNLIKE * (len({one[:shortest] for one in series}) > 1)
