"""A number and the format of its cell -> the text that the cell shows."""

from __future__ import annotations

import math
import re
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

__all__ = ["general", "shown"]

LONGEST_FORMAT = 255
"""As in Excel."""
LONGEST_SHOWN = 400
"""Chars; no format of use shows more."""

_SIMPLE = re.compile(r"(#,##)?0(\.0+)?(%)?")
_LITERAL = re.compile(r"\"[^\"]*\"|\\.|_.|\*.|\[[^\]]*\]")
_OF_DATES = re.compile(r"[ymdhs]", re.IGNORECASE)
_MIDNIGHT = re.compile(r"[ T]0?0:00(?::00(?:\.0+)?)?$")
_BY_SYSTEM = re.compile(r"\[\$-(?:F800|F400|x-sysdate|x-systime)\][^;]*", re.IGNORECASE)
_ISO = {
    "m/d/yy": "yyyy-mm-dd",
    "mm-dd-yy": "yyyy-mm-dd",
    "m/d/yy h:mm": "yyyy-mm-dd hh:mm",
    "m/d/yyyy h:mm": "yyyy-mm-dd hh:mm",
}
"""Formats that every program shows in the order of its own country: written in the order that all understand."""


def shown(number: float, code: str, *, is_1904: bool = False) -> str:
    """The text of a number (a date is a number of days) in a cell of the format ``code``, as Excel writes them.

    Dates whose order depends on the country of the viewer are in the order of ISO 8601, a time of midnight is left out,
    and what the format cannot show is written in the general format.
    """
    return _shown(number, code, is_1904)


@lru_cache(maxsize=65_536)
def _shown(number: float, code: str, is_1904: bool) -> str:
    if not math.isfinite(number) or code in ("", "General", "@") or len(code) > LONGEST_FORMAT:
        return general(number)
    simple = _SIMPLE.fullmatch(code)
    if simple and abs(number) < 1e15:
        return _fixed(number, grouped=bool(simple[1]), places=len(simple[2] or ".") - 1, percent=bool(simple[3]))
    is_date = _OF_DATES.search(_LITERAL.sub("", code.replace("General", ""))) is not None
    if is_date:
        code = _ISO.get(code) or _BY_SYSTEM.sub("yyyy-mm-dd", code)
        code = re.sub(rf"{_LITERAL.pattern}|\.(?!0)", lambda match: '"."' if match[0] == "." else match[0], code)
    from xlfmt import format_value

    try:
        text = " ".join(format_value(number, code, date1904=is_1904).split())
    except (ValueError, ArithmeticError, TypeError, IndexError):
        return general(number)
    if len(text) > LONGEST_SHOWN or (text and not text.strip("#")):
        return general(number)
    return _MIDNIGHT.sub("", text) if is_date else text


def _fixed(number: float, *, grouped: bool, places: int, percent: bool) -> str:
    value = Decimal(repr(number)) * (100 if percent else 1)
    value = value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)
    if value == 0:
        value = abs(value)
    return (f"{value:,f}" if grouped else f"{value:f}") + ("%" if percent else "")


def general(number: float) -> str:
    """A number without a format: whole numbers in full, others to ten significant digits."""
    if not math.isfinite(number):
        return str(number)
    if number == int(number) and abs(number) < 1e15:
        return str(int(number))
    text = f"{number:.10g}"
    return text if "e" not in text or abs(number) >= 1e15 or abs(number) < 1e-9 else f"{number:.15f}".rstrip("0")
