"""The values of a column's cells, as numbers that compare: amounts, dates, years, times and ranks."""

from __future__ import annotations

import re
from calendar import month_name
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from ragyena.documents.cell_kinds import is_unit

__all__ = ["CellValue", "ValueKind", "is_missing", "is_total", "value_of", "values_of"]

ValueKind = Literal["number", "rank", "year", "date", "day", "time"]
LONGEST_VALUE = 48
"""Chars of a value; a longer cell is text."""

_NOTE = re.compile(r"(?:\s*(?:\[[^\[\]]{1,12}\]|[*†‡§↓↑])|\s\([^()]{1,24}\))+$")
_MISSING = re.compile(
    r"[-–—−?.*]*|n/?a|n\.a\.|none|nil|tb[acd]|unknown|not (?:known|available|applicable)", re.IGNORECASE
)
_TOTAL = re.compile(
    r"(?:(?:grand|overall|career|season) )?(?:totals?|sub-?totals?|sum|averages?|avg\.?|mean|median|overall|combined"
    r"|all|turnout|majority|minimum|maximum|summe|gesamt|insgesamt|totale)(?: (?:\(?(?:of|for) .{1,40}|per .{1,40}))?:?"
    r"|total\b.{0,40}|.{1,40}\b(?:totals?|average)",
    re.IGNORECASE,
)
_CURRENCY = r"[$€£¥₹]|US\$|(?:EUR|USD|GBP|CHF|JPY)\b|Rs\.?"
_NUMBER = re.compile(
    rf"(?P<open>\()?(?P<sign>[-−–+])?\s?(?P<before>{_CURRENCY})?\s?(?P<inner>[-−–])?"
    r"(?P<digits>\d{1,3}(?:[,'’ \u00a0\u202f]\d{3})+(?!\d)|\d+)?(?P<decimals>\.\d+)?"
    r"\s?(?P<unit>%|‰|[€£$¥]|[^\W\d_]{1,9}\.?[²³]?(?:/[^\W\d_]{1,5}[²³]?)?|°\s?[CF]?|\"|')?(?P<close>\))?",
)
_SCALES = {"million": 1e6, "m": 1e6, "mio": 1e6, "billion": 1e9, "thousand": 1e3, "bn": 1e9, "k": 1e3}
_MONTHS = {name[:3].lower(): number for number, name in enumerate(month_name) if name}
_NAMES = "|".join(f"{name[:3]}(?:{name[3:]}|t?\\.)?" if name[3:] else name for name in month_name if name)
_MONTH, _DAY, _YEAR = rf"(?P<month>{_NAMES})", r"(?P<day>\d{1,2})(?:st|nd|rd|th)?", r"(?P<year>(?:1\d|20|21)\d\d)"
_WEEKDAY = r"(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?\.?,? )?"
_DATES = tuple(
    re.compile(_WEEKDAY + pattern, re.IGNORECASE)
    for pattern in (
        rf"{_YEAR}-(?P<number>\d\d)-(?P<day>\d\d)(?:[ T]\d\d:\d\d(?::\d\d)?)?",
        rf"(?P<day>\d{{1,2}})\.(?P<number>\d{{1,2}})\.{_YEAR}",
        rf"{_DAY}[ -]{_MONTH},?[ -]{_YEAR}",
        rf"{_MONTH} {_DAY},? ?{_YEAR}",
        rf"{_MONTH},? {_YEAR}",
        rf"{_DAY} {_MONTH}",
        rf"{_MONTH} {_DAY}",
    )
)
_YEARS = re.compile(
    rf"{_YEAR}(?:[-–—/](?:\d\d|\d{{4}}|present|now|current)?|\s[-–—]\s(?:\d{{4}}|present)?)?", re.IGNORECASE
)
_TIME = re.compile(r"(?:(?P<hours>\d{1,3}):)?(?P<minutes>\d{1,3}):(?P<seconds>\d\d(?:\.\d+)?)")
_CLOCK = re.compile(r"(?P<hour>\d{1,2})(?::(?P<minute>\d\d))?\s?(?P<half>[ap])\.?m\.?", re.IGNORECASE)
_MORE_UNITS = frozenset(
    (
        "°c",
        "°f",
        "°",
        '"',
        "'",
        "feet",
        "foot",
        "inches",
        "mile",
        "miles",
        "metres",
        "meters",
        "acres",
        "knots",
        "people",
    )
)
_RANK = re.compile(r"(?P<number>\d{1,4})(?:st|nd|rd|th)")


@dataclass(frozen=True, slots=True)
class CellValue:
    """A cell as a number that compares with those of its kind and unit: a date is its proleptic ordinal, a time its
    seconds, a rank the larger the further down."""

    kind: ValueKind
    number: float
    unit: str = ""
    """A unit, currency or ``%``, as written."""


def is_missing(text: str) -> bool:
    """True for a cell that says that there is no value."""
    return bool(_MISSING.fullmatch(text.strip()))


def is_total(text: str) -> bool:
    """True for the label of a row that sums up others."""
    return bool(_TOTAL.fullmatch(text.strip()))


def value_of(text: str) -> CellValue | None:
    """The value of a cell, without the notes after it; None for a text and for what is no single value."""
    if len(text) > LONGEST_VALUE:
        return None
    text = _NOTE.sub("", text).strip() or text.strip()
    if not any(char.isdigit() for char in text):
        return None
    for read in (_year, _date, _time, _rank, _number):
        value = read(text)
        if value is not None:
            return value
    return None


def values_of(cells: Sequence[str | None]) -> list[CellValue | None] | None:
    """The values of a column, None for an empty cell. None where a cell is a text, or they are of several kinds or
    units: these do not compare."""
    read: list[CellValue | None] = []
    for cell in cells:
        value = None
        if cell is not None and not is_missing(cell):
            value = value_of(cell)
            if value is None:
                return None
        read.append(value)
    some = [value for value in read if value is not None]
    kinds = {value.kind for value in some}
    if kinds == {"year", "number"}:  # 1100 and 2340 in a column of amounts
        read = [value and CellValue("number", value.number, value.unit) for value in read]
    elif len(kinds) != 1:
        return None
    return read if len({value.unit for value in some}) == 1 else None


def _year(text: str) -> CellValue | None:
    match = _YEARS.fullmatch(text)
    return CellValue("year", float(match["year"])) if match else None


def _date(text: str) -> CellValue | None:
    for pattern in _DATES:
        match = pattern.fullmatch(text)
        if match:
            parts = match.groupdict()
            month = int(parts["number"]) if parts.get("number") else _MONTHS[parts["month"][:3].lower()]
            try:
                day = date(int(parts.get("year") or 2000), month, int(parts.get("day") or 1))
            except ValueError:  # 31 February
                return None
            return CellValue("date" if parts.get("year") else "day", float(day.toordinal()))
    return None


def _time(text: str) -> CellValue | None:
    clock = _CLOCK.fullmatch(text)
    if clock is not None:
        hour = int(clock["hour"]) % 12 + 12 * (clock["half"].lower() == "p")
        return CellValue("time", hour * 3600.0 + int(clock["minute"] or 0) * 60, "clock")
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    return CellValue("time", int(match["hours"] or 0) * 3600 + int(match["minutes"]) * 60 + float(match["seconds"]))


def _rank(text: str) -> CellValue | None:
    match = _RANK.fullmatch(text)
    return CellValue("rank", float(match["number"])) if match else None


def _number(text: str) -> CellValue | None:
    match = _NUMBER.fullmatch(text)
    if match is None or not (match["digits"] or match["decimals"]) or bool(match["open"]) != bool(match["close"]):
        return None
    unit = (match["unit"] or "").lower().rstrip(".")
    before = match["before"] or ""
    if unit and unit not in _SCALES and not is_unit(unit) and unit not in _MORE_UNITS:
        return None
    if before and unit in ("%", "€", "£", "$", "¥"):
        return None
    number = float(re.sub(r"\D", "", match["digits"] or "0") + (match["decimals"] or ""))
    if unit in _SCALES and (before or len(unit) > 1):
        number, unit = number * _SCALES[unit], ""
    if match["sign"] in ("-", "−", "–") or match["inner"] or match["open"]:
        number = -number
    return CellValue("number", number, before + unit)
