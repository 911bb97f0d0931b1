"""The layout of a table, found from its first rows: titles, names of columns, and what kind of table it is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from ragyena.documents.cell_kinds import is_series, is_unit, kind_of, unit_of
from ragyena.documents.form_layout import Row, find_labels, is_attribute, pairs_of
from ragyena.documents.merged_cells import Covered

__all__ = ["Layout", "find_layout", "is_note"]

SAMPLE_ROWS = 30
"""A layout is found from this many rows below the names."""
SAMPLE_CELLS = 100_000
"""And from fewer where they are wide."""
MOST_TITLE_ROWS = 12
MOST_NAME_ROWS = 3
"""Rows that name the columns of one table."""
LONGEST_UNIT = 16
"""Chars of a unit that is not a known one, such as ``points of 60``."""
LONGEST_NAME = 80
"""Chars of a column name; a longer text in the first row is data."""
LONGEST_KEPT_NAME = 120
"""Chars of a name that is written with every row, where a file says that it is one."""

_NOTE = re.compile(
    r"[*†‡§¹²³⁴-ⁿʰ-ʸˡ-ˣᴬ-ᶿ]|(?:notes?|sources?|quellen?|remarks?|anmerkung(?:en)?)\b|\(?\d\)|\(?[a-z]\)", re.IGNORECASE
)
_THINGS = frozenset(
    """model version variant edition release type grade class size product plan package tier option name brand make
    year quarter month week day date period season country region state city location site branch store shop zone
    manufacturer vendor provider supplier device machine vehicle car bike bicycle truck boat engine motor pump printer
    camera phone laptop tablet computer monitor server battery drill saw school university company bank hotel room team
    species breed planet element language material method weight distance length duration age
    modell typ ausführung produkt tarif jahr monat land größe hersteller gerät""".split()  # noqa: SIM905
)
"""Last words of a name in the corner of a table that tell what the *other names* are; any other name, such as
``Limit``, tells what the cells below it are."""
_BEFORE_RELATION = re.compile(r"[(,:/]| (?:of|by|in|per|for|from|up|with)\b")


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of a table, as its first rows tell it."""

    titles: tuple[str, ...] = ()
    """Lines above the names that are about the whole table."""
    names: Row = ()
    """One name a column, empty where it has none; () where the table names no columns."""
    title_count: int = 0
    """The rows that hold the titles."""
    form: Literal["records", "pairs", "cells"] = "cells"
    """Rows under names; rows of labels, each with its value; rows without names."""
    first_row: int = 0
    """The row at which the data begins."""
    name_rows: frozenset[Row] = frozenset()
    """The rows that name the columns: where they come again, on the next page, they are no data."""
    labels: tuple[int, ...] = ()
    """The columns of the labels of a form that are not marked by colons."""
    groups: tuple[tuple[int, int], ...] = ()
    """The columns [start, stop) of each record of a row: several where tables are set side by side."""
    corner: str = ""
    """The name of the first column where it tells what the *other names* are, as in a table of attributes by model."""
    fills_down: bool = False
    """An empty first cell stands for the one above it."""
    has_sections: bool = False
    """A text alone in the first column heads the rows below it."""
    is_sure: bool = False
    """The names stand above values of another kind, so they are names beyond doubt."""


def find_layout(rows: Sequence[Row], header_rows: int | None = None, whole: Sequence[bool] | None = None) -> Layout:
    """The layout of a table of rows that are not empty; ``header_rows`` and ``whole`` as in ``tables.read_table``."""
    width = max(map(len, rows[: SAMPLE_ROWS + MOST_TITLE_ROWS]), default=0)
    most = max(4, min(SAMPLE_ROWS, SAMPLE_CELLS // max(1, width)))
    title_count = _title_rows(rows[: most + MOST_TITLE_ROWS], whole)
    titles = tuple("; ".join(f"{k}: {v}" if k else v for k, v in pairs_of(row)) for row in rows[:title_count])
    body = rows[title_count : title_count + most + MOST_NAME_ROWS]
    labels = None if header_rows else find_labels(body, may_have_names=header_rows is None)
    if labels is not None:
        if title_count and _is_first_section(rows[: title_count + most], title_count, whole):
            title_count -= 1
        return Layout(
            titles[:title_count],
            title_count=title_count,
            form="pairs",
            first_row=title_count,
            has_sections=True,
            labels=labels,
        )
    is_sure = True
    if header_rows is None:
        count, is_sure = _name_rows(body)
    else:
        count = min(header_rows, len(body))
    if not count:
        return Layout(titles, title_count=title_count, first_row=title_count)
    names, cut = _names(body[:count])
    data = body[count:]
    if len(data) > 1 and _is_of_units(data[0]):
        names = tuple(_with_unit(name, unit) for name, unit in _zip(names, data[0]))
        count, data = count + 1, data[1:]
    groups = _groups(names)
    return Layout(
        titles=(*titles, *cut),
        title_count=title_count,
        names=names if len(groups) > 1 else _distinct(names),
        form="records",
        first_row=title_count + count,
        name_rows=frozenset(body[:count]),
        groups=groups,
        corner=names[0] if len(groups) == 1 and _is_by_attribute(names, data) else "",
        fills_down=len(groups) == 1 and _fills_down(names, data),
        has_sections=len(names) > 2 and 2 * sum(map(_is_alone, data)) <= len(data),
        is_sure=is_sure,
    )


def _is_first_section(rows: Sequence[Row], title_count: int, whole: Sequence[bool] | None) -> bool:
    """True where the last title of a form heads its first rows, as further texts head others below."""
    if whole is not None:
        return whole[title_count - 1] and any(whole[title_count:-1])
    below = rows[title_count + 1 :]
    return _is_alone(rows[title_count - 1]) and any(
        _is_alone(row) and (len(row) > 1 or not is_attribute(row[0])) for row in below
    )


def _is_of_units(row: Row) -> bool:
    """True for a row of units below the names: units alone, or beside an empty first cell mostly units."""
    cells = [cell for cell in row if cell]
    units = sum(map(is_unit, cells))
    if len(row) < 2 or units == len(cells):
        return len(row) > 1
    is_short = all(len(cell) <= LONGEST_UNIT and kind_of(cell) == "text" for cell in cells)
    return not row[0] and is_short and 2 * units > len(cells)


def _title_rows(rows: Sequence[Row], whole: Sequence[bool] | None) -> int:
    """The number of leading rows with a text, or a label and a value, above rows of more cells."""
    fills = [sum(map(bool, row)) for row in rows]
    count = 0
    while count < min(len(rows) - 1, MOST_TITLE_ROWS):
        row, fill = rows[count], fills[count]
        below = sorted(fills[count + 1 :])
        usual = below[len(below) // 2]
        texts = {cell for cell in row if cell}
        is_group = len(texts) == 1 and fill > 1 and not row[0]  # a name over some of the columns
        is_one = sum(bool(cell) and not isinstance(cell, Covered) for cell in row) == 1
        is_title = is_one and not is_group and (usual > 1 or fill > 1) and (whole is None or whole[count])
        is_pair = (
            bool(row[0]) and usual >= 3 and fill < usual and (fill == 2 < usual - 1 or row[0].endswith((":", "：")))
        )
        if not (is_title or is_pair):
            break
        count += 1
    return count


def is_note(text: str) -> bool:
    """True for a text that begins as footnotes and sources below a table do."""
    return bool(_NOTE.match(text))


def _is_alone(row: Row) -> bool:
    return bool(row[0]) and not any(c for c in row[1:] if not isinstance(c, Covered)) and not is_note(row[0])


def _name_rows(rows: Sequence[Row]) -> tuple[int, bool]:
    """The number of rows, from the first, that name columns, 0 where the first row is data; and whether it is sure."""
    if max(map(len, rows[:4]), default=0) < 2:
        return 0, False
    most = min(MOST_NAME_ROWS, len(rows) - 1)
    for count in range(1, most + 1):
        last, below = rows[count - 1], rows[count:]
        goes_on = count < most and _is_group(last, below[0]) and _may_name(below[0], below[1:], rows[:count])[0]
        if not goes_on:
            may_name, is_sure = _may_name(last, below, rows[: count - 1])
            return (count, is_sure) if may_name else (0, False)
    return 0, False


def _is_group(upper: Row, lower: Row) -> bool:
    """True where a name covers several columns (merged, or with gaps after it) that the row below names one by one, or
    where the first name covers both rows."""
    if any(kind_of(cell) in ("number", "measure") for cell in upper):
        return False
    if lower[0] and lower[0] == upper[0] and lower != upper and kind_of(lower[0]) == "text":
        return True
    covers = has_gap = False
    for i, cell in enumerate(lower):
        above = upper[i] if i < len(upper) else ""
        if cell and above and cell != above:
            covers = covers or above in (upper[i - 1] if i else "", upper[i + 1] if i + 1 < len(upper) else "")
        elif cell and not above and i > 1:
            has_gap = True
    return covers or (has_gap and any(upper[1:]) and not (upper[0] and lower[0]))


def _may_name(row: Row, below: Sequence[Row], above: Sequence[Row]) -> tuple[bool, bool]:
    """Two answers: a row may hold names (short texts, no values save in a series); the columns below it tell so."""
    cells = {i: cell for i, cell in enumerate(row) if cell}
    if not cells or not below or any(len(cell) > LONGEST_NAME for cell in cells.values()):
        return False, False
    columns: dict[int, list[str]] = {}
    for other in below:
        if other != row:
            for i, cell in enumerate(other):
                if cell:
                    columns.setdefault(i, []).append(cell)
    named = set(cells)
    for upper in above:
        named.update(i for i, cell in enumerate(upper) if cell)
    if len(columns.keys() - named) > max(1, len(columns) // 3):
        return False, False
    kinds = {i: _main_kind(column) for i, column in columns.items()}
    values = {i: kind_of(cell) for i, cell in cells.items() if kind_of(cell) != "text"}
    if values and not _values_may_name(cells, values, kinds, columns):
        return False, False
    texts = [i for i in cells if i not in values]
    again = sum(1 for i in texts if cells[i] in columns.get(i, ()))
    if texts and 2 * again >= len(texts) and not (len(texts) == 1 and values):
        return False, False
    is_sure = bool(values) or any(kinds.get(i, "text") != "text" for i in texts)
    return True, is_sure


def _values_may_name(
    cells: Mapping[int, str], values: Mapping[int, str], kinds: Mapping[int, str], columns: Mapping[int, list[str]]
) -> bool:
    """True for years, dates, sizes and the like as names: a series, above columns that do not go on with it."""
    if 0 in values and len(values) < len(cells):
        return False  # a value in the first column and texts after it: a record
    first = next(iter(values))
    if len(values) == 1:
        kind = values[first]
        return kind in ("year", "measure", "date") and 0 not in values and kinds.get(first) not in (kind, None)
    by_kind: dict[str, list[int]] = {}
    for i, kind in values.items():
        by_kind.setdefault(kind, []).append(i)
    for kind, places in by_kind.items():
        if len(by_kind) > 1 and kind == "number":
            return False
        series = list(dict.fromkeys(cells[i] for i in places))
        if (len(series) > 1 and not is_series(series)) or (kind == "number" and len(series) < len(places)):
            return False
        alike = [i for i in places if kinds.get(i) == kind]
        if kind == "number":
            if all(is_series([columns[i][row] for i in places]) for row in range(_shortest(columns, places))):
                return False
        elif 2 * len(alike) > len(places):
            return False
    return True


def _shortest(columns: Mapping[int, list[str]], places: Iterable[int]) -> int:
    return min(3, *(len(columns.get(i, ())) for i in places))


def _main_kind(column: Sequence[str]) -> str:
    """The kind of more than half of the cells of a column; text where they differ."""
    (kind, count), *_ = Counter(map(kind_of, column)).most_common(1)
    return kind if 2 * count > len(column) else "text"


def _names(rows: Sequence[Row]) -> tuple[Row, tuple[str, ...]]:
    """The joined name of each column, and in full those that had to be cut."""
    width = max(map(len, rows))
    filled = [list(row) + [""] * (width - len(row)) for row in rows]
    for upper, lower in pairwise(filled):
        group = upper[0] if lower[0] else ""
        for i in range(1, width):
            # A name with gaps after it covers them, as if merged; one that is merged, its own columns alone.
            group = upper[i] or ("" if isinstance(upper[i - 1], Covered) else group)
            if lower[i]:
                upper[i] = group
    names, cut = [], []
    for column in zip(*filled, strict=True):
        name = " ".join(dict.fromkeys(cell for cell in column if cell)).rstrip(":：; ")
        if len(name) > LONGEST_KEPT_NAME:
            cut.append(name)
            name = name[:LONGEST_KEPT_NAME].rsplit(" ", 1)[0] + "…"
        names.append(name)
    return tuple(names), tuple(dict.fromkeys(cut))


def _zip(names: Row, row: Row) -> Iterable[tuple[str, str]]:
    return zip((*names, *[""] * (len(row) - len(names))), (*row, *[""] * (len(names) - len(row))), strict=True)


def _with_unit(name: str, unit: str) -> str:
    if not unit or unit.strip("()[]").lower() in name.lower().split():
        return name
    return f"{name} {unit}".strip() if unit[0] in "([" else f"{name} ({unit})".strip()


def _distinct(names: Row) -> Row:
    """The names, those that come again with a number: ``Phone``, ``Phone (2)``."""
    seen: Counter[str] = Counter()
    distinct = []
    for name in names:
        seen[name] += 1
        distinct.append(f"{name} ({seen[name]})" if name and seen[name] > 1 else name)
    return tuple(distinct)


def _groups(names: Row) -> tuple[tuple[int, int], ...]:
    """The columns of each record of a row: where the names are twice or more the same names, these are records."""
    width = next((i for i in range(2, len(names) // 2 + 1) if names[i] == names[0] and names[0]), 0)
    is_whole = width and len(names) % width == 0 and len(set(names[:width])) == width
    if is_whole and all(name == names[i % width] for i, name in enumerate(names)):
        return tuple((start, start + width) for start in range(0, len(names), width))
    return ((0, 1 << 30),)


def _is_by_attribute(names: Row, rows: Sequence[Row]) -> bool:
    """True for attributes in rows and things in columns: values alike along the rows, unlike down the columns."""
    if len(names) < 3 or len(rows) < 2 or not _is_of_things(names[0]):
        return False
    labels = [row[0] for row in rows]
    if not all(labels) or len(set(labels)) < len(labels) or any(kind_of(label) != "text" for label in labels):
        return False
    if all(kind_of(name) == "measure" for name in names[1:]):
        return True
    signed = [[(kind_of(cell).replace("year", "number"), unit_of(cell)) for cell in row[1:] if cell] for row in rows]
    alike = sum(len(set(row)) == 1 for row in signed)
    kinds = Counter(row[0] for row in signed if row and len(set(row)) == 1)
    # The commonest kind is that of at most half of the rows: no column has a kind of its own.
    return 10 * alike >= 7 * len(rows) and max(kinds.values(), default=len(rows)) * 2 <= max(len(rows), 2)


def _is_of_things(corner: str) -> bool:
    words = _BEFORE_RELATION.split(corner)[0].lower().split()
    return bool(words) and (words[-1] in _THINGS or words[-1].removesuffix("s") in _THINGS)


def _fills_down(names: Row, rows: Sequence[Row]) -> bool:
    """True where the first column names a group once, in its first row, and the second column is in every row."""
    if len(names) < 3 or len(rows) < 4 or not rows[0][0]:
        return False
    labels = [row[0] for row in rows if row[0]]
    rest = [row for row in rows if not row[0]]
    if len(set(labels)) < len(labels) or kind_of(labels[0]) != "text" or 10 * len(rest) < 3 * len(rows):
        return False
    return all(len(row) > 2 and row[1] and kind_of(row[1]) == "text" for row in rest)
