"""The kind of a table's cell by its text: number, measure, year, date or text, and rows of them that name columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

__all__ = ["CellKind", "is_series", "is_unit", "kind_of", "unit_of"]

CellKind = Literal["empty", "number", "measure", "year", "date", "text"]

LONGEST_VALUE = 40
"""Chars of a number or date; a longer cell is text."""

_YEAR = re.compile(r"(?:(?:FY|CY)\s?)?(?:1[6-9]|20|21)\d\d(?:[/-]\d\d(?:\d\d)?)?[*EeFfPpBb]?")
_NUMBER = re.compile(
    r"[-+−–(]?\s?(?:[$€£¥₹]|[A-Z]{1,3}\$?\s|CHF|EUR|USD|GBP)?\s?[-+−–]?(?:\d[\d.,'’ \u00a0\u202f]*|[.,]\d+)"
    r"(?:[eE][-+]?\d+)?\s?[%‰]?\s?(?:[€$£¥]|EUR|USD|GBP|CHF)?\)?[*]?"
)
_MEASURE = re.compile(
    r"([-+−–<>≤≥~±]?\s?\d[\d.,]*(?:\s?[-–x×/]\s?\d[\d.,]*)*)\s?"
    r"([^\W\d_]{1,6}[²³]?(?:/[^\W\d_]{1,5})?|[°\"'″′]C?F?)\.?"
)
_MONTH = r"(?:jan|feb|mar|mär|mrz|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez)[^\W\d_]*\.?"
_TIME = r"\d{1,3}:\d\d(?::\d\d)?(?:\s?[ap]\.?m\.?)?"
_DATE = re.compile(
    rf"(?:\d{{4}}[-/.]\d{{1,2}}(?:[-/.]\d{{1,2}})?|\d{{1,2}}[./-]\d{{1,2}}[./-](?:\d{{4}}|\d\d)?"
    rf"|\d{{1,2}}[./-]\d{{4}}|(?:\d{{1,2}}\.?[ -])?{_MONTH}(?:[ ,/'-]*\d{{1,2}},)?[ ,/'-]*\d{{2,4}}"
    rf"|\d{{1,2}}\.?[ -]{_MONTH}|\d{{4}}年.*|{_TIME})(?:[T ,]+{_TIME}Z?)?",
    re.IGNORECASE,
)
_DIGITS = re.compile(r"\d+(?:[.,]\d+)?")

_UNITS = frozenset(
    """% ‰ g kg mg µg t to oz lb lbs mm cm m km in inch ft yd mi nm µm mm² cm² m² km² ha m2 m3 m³ cm³ l ml cl hl gal
    s sec ms µs min h hr hrs hours d days day years year yrs months
    month weeks week date n no. # pcs pc ea each units unit st stk stück
    w kw mw gw wh kwh mwh gwh v kv mv a ma ah mah ω ohm hz khz mhz ghz pa kpa mpa bar mbar psi n kn nm j kj mj kcal cal
    k °c °f c f eur usd gbp chf jpy € $ £ ¥ €m $m £m $k m€ t€ k€ teur mio mio. mn bn million millions billion thousand
    thousands dpi px pt db db(a)
    kb mb gb tb kbit/s mbit/s km/h m/s mph rpm l/100km €/kg $/kg kg/m³ g/cm³ ppm ppb mol mmol/l
    mg/l µg/m³ mg/dl iu""".split()  # noqa: SIM905
)
_BRACKETED = re.compile(r"\([^()]{1,20}\)|\[[^\[\]]{1,20}\]")


def kind_of(cell: str) -> CellKind:
    """The kind of a cell's text; a year is a year although it is a number, a measure is a number with a unit."""
    if not cell:
        return "empty"
    if len(cell) > LONGEST_VALUE or not any(char.isdigit() for char in cell):
        return "text"
    if _YEAR.fullmatch(cell):
        return "year"
    if _DATE.fullmatch(cell):
        return "date"
    if _NUMBER.fullmatch(cell):
        return "number"
    return "measure" if _MEASURE.fullmatch(cell) else "text"


def unit_of(cell: str) -> str:
    """The unit of a measure, ``%`` or the currency of a number; empty where there is none."""
    if len(cell) > LONGEST_VALUE:
        return ""
    match = _MEASURE.fullmatch(cell)
    if match:
        return match[2].lower()
    return next((sign for sign in "%‰€$£¥" if sign in cell), "")


def is_unit(cell: str) -> bool:
    """True for a unit of measurement alone: ``kg``, ``(EUR)``, ``[%]``."""
    if len(cell) > LONGEST_VALUE:
        return False
    parts = cell.lower().split(" / ")
    return all(part in _UNITS for part in parts) or bool(_BRACKETED.fullmatch(cell))


def is_series(cells: Sequence[str]) -> bool:
    """True for values that count on as names of columns do: years, dates, sizes, or numbers of one step."""
    kinds = {kind_of(cell) for cell in cells}
    if len(set(cells)) < len(cells) or len(kinds) != 1:
        return False
    kind = kinds.pop()
    if kind == "date":
        return True
    numbers = [float(match[0].replace(",", ".")) for cell in cells if (match := _DIGITS.search(cell))]
    steps = [right - left for left, right in pairwise(numbers)]
    rising = all(step > 0 for step in steps) or all(step < 0 for step in steps)
    if kind == "year":
        return rising
    if kind == "measure":
        units = {unit_of(cell) for cell in cells}
        return rising and (len(units) == 1 or len({unit.rstrip("s") for unit in units}) == 1)  # 1 zone, 2 zones
    # Numbers alone are names where they are whole, and at least three of them of one step: 1, 2, 3 or 10, 20, 30.
    whole = all(number == int(number) for number in numbers)
    return kind == "number" and whole and len(numbers) > 2 and len(set(steps)) == 1 and steps[0] != 0
