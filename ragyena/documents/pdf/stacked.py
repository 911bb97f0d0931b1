"""Rows with common gaps -> where the table ends and another begins, with names of columns of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from ragyena.documents.cell_kinds import is_unit, kind_of
from ragyena.documents.pdf.elements import Run
from ragyena.documents.pdf.rows import Row, joined, without_marks

__all__ = ["TIGHT", "has_year", "is_figure", "is_period", "table_starts"]

APART = 1.25
"""Distance to the row above, in usual distances of rows, from which a row begins something new."""
INDENT = 3.0
"""Most indent of a label, in sizes."""
TIGHT = 0.85
"""Distance of the lines of one label, in usual distances of rows."""
LARGER = 1.08
"""Size of a heading against the rows above it."""
NEAR_RECORDS = 3
"""Rows above names that must hold figures."""
LONGEST_PERIOD = 40
LONGEST_NAME = 40

_YEAR = re.compile(
    r"(?<![\d.,])(?:(?:19|20)\d\d(?:[/–-]\d\d(?:\d\d)?)?|(?:FY|CY)\s?'?\d\d(?:\d\d)?)[AEFBP*]?(?![\d.,%])"
)
_PART_OF_YEAR = re.compile(r"(?:Q[1-4]|H[12]|(?:[369]|12)M)\b.{0,12}")
_UNIT_LABEL = re.compile(
    r"^(?:in|as (?:of|at)|amounts|quarters?|(?:fiscal |financial )?years?|(?:three|six|nine|twelve) months)\b"
    r"|[€£$]|\b(?:000|millions?|thousands?|mn?|bn|EUR|USD|GBP|CHF|SEK|NOK|DKK|JPY|CAD|AUD)\b",
    re.IGNORECASE,
)
"""Text over the labels beside years."""
_NO_VALUE = re.compile(r"n\.?\s?/?\s?[am]\.?|nil|none|[-–—.]+", re.IGNORECASE)


@dataclass(slots=True)
class _Line:
    label: str
    """Text of the first column."""
    values: list[str]
    """Texts of the others, from left to right."""
    bold: bool
    size: float
    step: float
    """Distance to the baseline above."""

    @property
    def is_alone(self) -> bool:
        return bool(self.label) and not self.values

    @property
    def has_figures(self) -> bool:
        return any(is_figure(value) for value in self.values)

    @property
    def names_alone(self) -> bool:
        return not self.label and bool(self.values) and not self.has_figures


def table_starts(rows: Sequence[Row]) -> list[int]:
    """The rows at which further tables begin, each with the headings and notes above its names; [] for one table.

    The names of a further table are periods, or words above figures that are set apart from the rows above them. A text
    alone in its row without new names below it heads rows of the same table. Takes time linear in the rows.
    """
    rows = [without_marks(row) for row in rows]
    left = min(row.x0 for row in rows)
    lines = [_line(row, rows[n - 1] if n else None, left) for n, row in enumerate(rows)]
    pitch = _pitch(lines)
    starts: list[int] = []
    begin, data = 0, None
    for n, line in enumerate(lines[:-1]):
        if data is not None and _names_columns(lines, n, pitch, data, begin):
            start = _start(lines, n, pitch, begin)
            if sum(bool(line.label) + len(line.values) > 1 for line in lines[begin:start]) > 1:
                starts.append(start)
                begin, data = start, None
        elif data is None and line.has_figures:
            data = line
    return starts


def is_period(text: str) -> bool:
    """True for a year, a quarter, a date or a text about one, as names of columns are: ``30 June 2024``."""
    if len(text) > LONGEST_PERIOD:
        return False
    rest = _YEAR.sub("", text, count=1)
    if rest == text:
        return bool(_PART_OF_YEAR.fullmatch(text)) or kind_of(text) == "date"
    return not re.search(r"\d{3}|\d[.,]\d|[%€$£]", _YEAR.sub("", rest))


def has_year(text: str) -> bool:
    """True for a text that names a year."""
    return bool(_YEAR.search(text))


def is_figure(text: str) -> bool:
    """True for a number or a measure that is no period."""
    return kind_of(text) in ("number", "measure") and not is_period(text)


def _line(row: Row, above: Row | None, left: float) -> _Line:
    runs = [item for item in row.items if isinstance(item, Run)]
    texts = [joined([run for run in runs if start <= run.x0 <= end]) for start, end in row.intervals()]
    has_label = row.x0 <= left + INDENT * row.size
    step = row.baseline - above.baseline if above is not None else 0.0
    bold = all(run.bold for run in runs)
    return _Line(texts[0] if has_label else "", texts[has_label:], bold, row.size, step)


def _pitch(lines: Sequence[_Line]) -> float:
    """The usual distance of rows with figures."""
    steps = [lower.step for upper, lower in pairwise(lines) if upper.has_figures and lower.has_figures]
    return median(steps) if steps else median(line.step for line in lines[1:])


def _names_columns(lines: Sequence[_Line], n: int, pitch: float, data: _Line, begin: int) -> bool:
    line = lines[n]
    if len(line.values) < 2 or line.has_figures or not any(below.has_figures for below in lines[n + 1 : n + 4]):
        return False
    below_text = lines[n - 1].is_alone and not _goes_on(lines, n - 1, pitch)
    periods = [value for value in line.values if is_period(value)]
    if 2 * len(periods) >= len(line.values) and len(set(periods)) > 1:
        if not line.label or lines[n - 1].names_alone:
            return True
        is_new = bool(_UNIT_LABEL.search(line.label)) or below_text or _is_unlike_records(lines, n, pitch, begin)
        return _counts_on(periods) and (is_new or _stands_apart(lines, n, pitch, data))
    words = [value for value in line.values if _is_name(value)]
    full = max(len(below.values) for below in lines[n + 1 : n + 4])
    names_all = len(words) == len(line.values) >= min(2, full) and not all(map(is_unit, words))
    if not names_all or len(words) < full - 1:
        return False
    if (below_text and not line.label) or _stands_apart(lines, n, pitch, data):
        return True
    return _is_unlike_records(lines, n, pitch, begin, below_text=below_text)


def _is_unlike_records(lines: Sequence[_Line], n: int, pitch: float, begin: int, *, below_text: bool = False) -> bool:
    """True for unlike words between rows of figures alone, below a text over the row or a sign of names of columns:
    the label of the names above again, no label, or another number of columns."""
    line = lines[n]
    above = [other for other in lines[begin:n] if other.values]
    records = above[next((i for i, other in enumerate(above) if other.has_figures), len(above)) :]
    below = [other for other in lines[n + 1 : n + 3] if other.values]
    is_between = len(records) > 1 and all(
        other.has_figures and other.label for other in (*records[-NEAR_RECORDS:], *below)
    )
    unlike = len(set(line.values)) == len(line.values) and not any(value[0].islower() for value in line.values)
    if not is_between or not unlike or not below:
        return False
    counts = {len(other.values) for other in records}
    if below_text or (len(counts) == 1 and counts != {len(line.values)} == {len(other.values) for other in below}):
        return True
    if not line.label:
        return line.step >= TIGHT * pitch
    return not above[0].has_figures and line.label == above[0].label


def _counts_on(periods: Sequence[str]) -> bool:
    """True for periods that are no years alone, and for years of one step."""
    years = [int(period) for period in dict.fromkeys(periods) if period.isdecimal()]
    return all(abs(left - right) == 1 for left, right in pairwise(years))


def _is_name(text: str) -> bool:
    letters = sum(char.isalpha() for char in text)
    return letters > 1 and len(text) <= LONGEST_NAME and not _NO_VALUE.fullmatch(text)


def _stands_apart(lines: Sequence[_Line], n: int, pitch: float, data: _Line) -> bool:
    """True for a row, or the texts alone above it, farther from the row above, or unlike the figures ``data`` in bold
    or in a larger font."""
    while True:
        line = lines[n]
        if (line.bold and not data.bold) or line.size > LARGER * data.size or line.step > APART * pitch:
            return True
        if not lines[n - 1].is_alone:
            return False
        n -= 1


def _start(lines: Sequence[_Line], n: int, pitch: float, begin: int) -> int:
    """The first row of the table whose names are in row ``n``: upper lines of names, headings, notes between."""
    while n > begin + 1:
        line = lines[n - 1]
        if _goes_on(lines, n - 1, pitch) or not (line.is_alone or line.names_alone):
            break
        n -= 1
    return n


def _goes_on(lines: Sequence[_Line], n: int, pitch: float) -> bool:
    """True for a text alone in its row that is the end of the label above it."""
    line, above = lines[n], lines[n - 1]
    return line.is_alone and above.has_figures and line.step < TIGHT * pitch and line.bold == above.bold
