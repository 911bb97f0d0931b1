"""Tables in loaded text, ``Name: value; Name: value`` a row, and the values of their columns."""

from __future__ import annotations

import re
from calendar import month_name
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Literal

from ragyena.documents.cell_kinds import is_unit
from ragyena.train.augment.words import word_lists

__all__ = ["Cell", "RowTable", "Value", "find_tables", "value_of", "values_of"]

FEWEST_ROWS, MOST_ROWS = 6, 40
_LONGEST_NAME = 50  # chars of a column's name
_LONGEST_LINE = 460  # chars: a longer row may have been written on two lines, which would be read as two rows
_UNREAD = 0.1  # of the cells of a column that is used, those that are empty or no values
_TOTALS = "|".join(map(re.escape, word_lists("rows")["totals"].split()))
_IS_TOTAL = re.compile(rf"(?:(?:grand|overall) )?(?:{_TOTALS})(?: \(?(?:of|for) .{{1,30}})?:?", re.IGNORECASE)
_MAY_BE_TOTAL = re.compile(rf"(?:(?:grand|overall) )?(?:{_TOTALS})\b|.*\b(?:totals?|average)$", re.IGNORECASE)
_MARKS = re.compile(r"(?:\s*\[[^\[\]]{1,8}\]|[*†‡§])+$")
_NUMBER = re.compile(
    r"(?P<sign>[-−–+]?)\s?(?P<before>[$€£¥₹]?)\s?(?P<digits>\d{1,3}(?:,\d{3})+|\d+)(?P<decimals>\.\d+)?"
    r"\s?(?P<unit>%|[€£$]|[^\W\d_]{1,9}[²³]?(?:/[^\W\d_]{1,3})?)?"
)
_SCALES = {"million": 1e6, "billion": 1e9, "thousand": 1e3, "bn": 1e9}
_MONTHS = {name[:3].lower(): number for number, name in enumerate(month_name) if name}
_NAMES = "|".join(f"{name[:3]}(?:{name[3:]}|\\.)?" if name[3:] else name for name in month_name if name)
_DATES = (
    re.compile(r"(?P<year>\d{4})-(?P<number>\d\d)-(?P<day>\d\d)"),
    re.compile(rf"(?P<day>\d{{1,2}}) (?P<month>{_NAMES}),? (?P<year>\d{{4}})", re.IGNORECASE),
    re.compile(rf"(?P<month>{_NAMES}) (?P<day>\d{{1,2}}), ?(?P<year>\d{{4}})", re.IGNORECASE),
)
_FIRST_YEAR, _LAST_YEAR = 1500, 2100


@dataclass(frozen=True, slots=True)
class Cell:
    """``text`` stands at the char ``start``."""

    text: str
    start: int


@dataclass(frozen=True, slots=True)
class Value:
    """A cell as a number that compares: a date is its proleptic ordinal."""

    kind: Literal["number", "year", "date"]
    number: float
    unit: str = ""
    """A unit, currency or ``%``, as written."""


@dataclass(frozen=True, slots=True)
class RowTable:
    """A table of which every row names its columns."""

    names: tuple[str, ...]
    rows: tuple[dict[str, Cell], ...]
    """The cells of each row by column; an empty cell is none. Totals are among them."""
    totals: frozenset[int]
    """The rows that sum up others."""

    def column(self, name: str) -> list[Cell | None]:
        """The cells of a column, None for an empty one, and in each row of totals."""
        return [None if place in self.totals else row.get(name) for place, row in enumerate(self.rows)]


def find_tables(text: str) -> Iterator[RowTable]:
    """The tables of ``text`` that can be read without doubt, of 6 to 40 rows.

    A table is lines one below another that all begin with the same column. One with a line that is no row is left out:
    what it says is not known. So is one where it is not clear which rows are totals.
    """
    block: list[tuple[str, int]] = []
    start = 0
    for line in [*text.split("\n"), ""]:
        if line.strip():
            block.append((line, start))
        else:
            table = _table(block)
            if table is not None:
                yield table
            block = []
        start += len(line) + 1


def _table(block: Sequence[tuple[str, int]]) -> RowTable | None:
    while block and _row(*block[0]) is None:  # titles, which loaders leave above the rows
        block = block[1:]
    if not FEWEST_ROWS <= len(block) <= MOST_ROWS:
        return None
    rows: list[dict[str, Cell]] = []
    for line, start in block:
        row = _row(line, start)
        if row is None or (rows and next(iter(row)) != next(iter(rows[0]))):
            return None
        rows.append(row)
    names = tuple(dict.fromkeys(name for row in rows for name in row))
    orders = [[names.index(name) for name in row] for row in rows]
    if len(names) < 2 or any(order != sorted(order) for order in orders):
        return None
    totals = frozenset(n for n, row in enumerate(rows) if any(_IS_TOTAL.fullmatch(cell.text) for cell in row.values()))
    doubtful = any(
        _MAY_BE_TOTAL.match(cell.text) for n, row in enumerate(rows) if n not in totals for cell in row.values()
    )
    if doubtful or len(rows) - len(totals) < FEWEST_ROWS:
        return None
    return RowTable(names, tuple(rows), totals)


def _row(line: str, start: int) -> dict[str, Cell] | None:
    """The cells of a line; None where it is no row, or not surely a whole one."""
    if len(line) > _LONGEST_LINE:
        return None
    cells: dict[str, Cell] = {}
    for part in line.split("; "):
        name, colon, text = part.partition(": ")
        if not colon or not text.strip() or not 0 < len(name) <= _LONGEST_NAME or " > " in name or name in cells:
            return None
        cells[name] = Cell(text.rstrip(), start + len(name) + len(colon))
        start += len(part) + 2
    return cells if len(cells) > 1 else None


# -- values ------------------------------------------------------------------------------------------------------


def value_of(text: str) -> Value | None:
    """The value of a cell: a number, also of money, per cent or a unit, or a date; None for any other text."""
    text = _MARKS.sub("", text).strip()
    for pattern in _DATES:
        match = pattern.fullmatch(text)
        if match:
            parts = match.groupdict()
            month = int(parts["number"]) if parts.get("number") else _MONTHS[parts["month"][:3].lower()]
            try:
                return Value("date", date(int(parts["year"]), month, int(parts["day"])).toordinal())
            except ValueError:  # 31 February
                return None
    match = _NUMBER.fullmatch(text)
    if match is None or (match["unit"] and match["unit"].lower() not in _SCALES and not is_unit(match["unit"])):
        return None
    if match["before"] and match["unit"] in ("%", "€", "£", "$"):
        return None
    number = float(match["digits"].replace(",", "") + (match["decimals"] or ""))
    unit = match["unit"] or ""
    if unit.lower() in _SCALES:
        number, unit = number * _SCALES[unit.lower()], ""
    if match["sign"] in ("-", "−", "–"):
        number = -number
    return Value("number", number, match["before"] + unit)


def values_of(table: RowTable, name: str) -> list[Value | None] | None:
    """The values of a column, all of one kind and unit, None for a cell without and in each row of totals. None where
    they are of several, or more than a tenth of the cells have none.

    Whole numbers from 1500 to 2100 in every row are years. A column that counts rows has no values.
    """
    cells = table.column(name)
    read = [value_of(cell.text) if cell is not None else None for cell in cells]
    some = [value for value in read if value is not None]
    if any(value is None and cell and re.search(r"\d", cell.text) for value, cell in zip(read, cells)):
        return None  # "over 900" may be the largest
    if len(some) < FEWEST_ROWS or len(some) < (1 - _UNREAD) * (len(read) - len(table.totals)):
        return None
    if len({(value.kind, value.unit) for value in some}) > 1:
        return None
    numbers = [value.number for value in some]
    steps = {right - left for left, right in pairwise(numbers)}
    if some[0].kind == "number" and len(steps) == 1:
        return None
    bare = [cell.text for cell in cells if cell is not None and value_of(cell.text) is not None]
    if all(
        re.fullmatch(r"\d{4}", _MARKS.sub("", text)) and _FIRST_YEAR <= int(text[:4]) <= _LAST_YEAR for text in bare
    ):
        return [value and Value("year", value.number) for value in read]
    return read
