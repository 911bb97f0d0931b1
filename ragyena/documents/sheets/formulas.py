"""Formulas whose values a workbook does not hold, as one written by a program: arithmetic and the usual functions.

Libraries that compute formulas are under licences that do not go with this one, or compile whole workbooks. What is not
known here (other functions, names, references to other files) stays named as a formula without a stored value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from ragyena.documents.sheets.number_formats import shown
from ragyena.documents.sheets.sheet import Area, Sheet
from ragyena.documents.sheets.workbook_xml import LAST_COLUMN, Value, Workbook, area_of

__all__ = ["fill_formulas"]

MOST_VISITED = 3_000_000
"""Cells that all formulas of a workbook may look at."""
COST_OF_CHAR = 3
"""A char of a formula takes about the time of this many cells."""
DEEPEST = 60
"""Formulas, and brackets in them, inside each other. Those that lean on the ones above them need no depth."""

Argument = Value | list[Value]


class _UnknownError(Exception):
    """The formula cannot be computed here."""


class _CellError(Exception):
    """The value is an error, such as ``#DIV/0!``."""


def fill_formulas(book: Workbook, sheets: Sequence[Sheet]) -> None:
    """Write the values of formulas without stored values into the cells of ``sheets``, read with ``keeps_values``."""
    calculator = _Calculator(book)
    by_name = {sheet.name: sheet for sheet in sheets}
    for (name, row, column), formula in book.formulas.items():
        try:
            value = calculator.value_of(name, row, column)
        except (_UnknownError, ArithmeticError, ValueError, TypeError, IndexError, RecursionError):
            continue
        except _CellError as error:
            text = str(error)
        else:
            if isinstance(value, bool):
                text = "TRUE" if value else "FALSE"
            elif isinstance(value, float):
                text = shown(value, formula.number_format, is_1904=book.is_1904)
            else:
                text = value or ""
        cells = by_name[name].cells.get(row, {})
        if text:
            cells[column] = " ".join(text.split())
        else:
            cells.pop(column, None)


class _Calculator:
    def __init__(self, book: Workbook) -> None:
        self._formulas = book.formulas
        self._stored: Mapping[str, Mapping[int, Mapping[int, Value]]] = book.values or {}
        self._known: dict[tuple[str, int, int], tuple[Value, str | None]] = {}
        """Value of each formula, and its error (empty where it cannot be computed); no exceptions, which hold on to all
        that they passed."""
        self._open: set[tuple[str, int, int]] = set()
        self._left = MOST_VISITED

    def value_of(self, sheet: str, row: int, column: int) -> Value:
        place = (sheet, row, column)
        if place not in self._formulas:
            return self._stored.get(sheet, {}).get(row, {}).get(column)
        if place not in self._known:
            self._left -= len(self._formulas[place].text) * COST_OF_CHAR
            if place in self._open or len(self._open) >= DEEPEST or self._left < 0:
                raise _UnknownError
            self._open.add(place)
            try:
                self._known[place] = _single(_Reader(self._formulas[place].text, sheet, self).read()), None
            except _UnknownError:
                self._known[place] = None, ""
            except _CellError as error:
                self._known[place] = None, str(error)
            finally:
                self._open.discard(place)
        value, error_text = self._known[place]
        if error_text is not None:
            raise _CellError(error_text) if error_text else _UnknownError
        return value

    def area(self, sheet: str, area: Area) -> list[Value]:
        """The values of the cells of an area that hold something."""
        rows = self._stored.get(sheet, {})
        self._left -= min(area.bottom - area.top, len(rows)) // 8
        if self._left < 0:
            raise _UnknownError
        span = range(area.top, area.bottom + 1)
        numbers = span if len(span) < len(rows) else sorted(row for row in rows if row in span)
        values: list[Value] = []
        for row in numbers:
            cells = rows.get(row, {})
            self._left -= 1 + min(len(cells), area.right - area.left + 1)
            if self._left < 0:
                raise _UnknownError
            columns = range(area.left, area.right + 1)
            for column in columns if len(columns) < len(cells) else sorted(c for c in cells if c in columns):
                if column in cells:
                    values.append(self.value_of(sheet, row, column))
        return values


class _Reader:
    """Reads one formula from left to right and computes it."""

    def __init__(self, text: str, sheet: str, calculator: _Calculator) -> None:
        from openpyxl.formula import Tokenizer

        try:
            tokens = Tokenizer(f"={text}").items
        except Exception as error:  # the tokenizer raises its own error and others for what is no formula
            raise _UnknownError from error
        self._tokens = [token for token in tokens if token.type != "WHITE-SPACE"]
        self._sheet = sheet
        self._calculator = calculator
        self._place = 0
        self._depth = 0

    def read(self) -> Argument:
        value = self._operation(0)
        if self._place < len(self._tokens):
            raise _UnknownError
        return value

    def _next(self) -> Any:
        if self._place >= len(self._tokens):
            raise _UnknownError
        self._place += 1
        return self._tokens[self._place - 1]

    def _peek(self, kind: str) -> str | None:
        """The text of the next token, where it is of this kind."""
        token = self._tokens[self._place] if self._place < len(self._tokens) else None
        return str(token.value) if token is not None and token.type == kind else None

    def _operation(self, level: int) -> Argument:
        if level == len(_LEVELS):
            return self._operand()
        left = self._operation(level + 1)
        while (sign := self._peek("OPERATOR-INFIX")) is not None and sign in _LEVELS[level]:
            self._place += 1
            left = _LEVELS[level][sign](_single(left), _single(self._operation(level + 1)))
        return left

    def _operand(self) -> Argument:
        token = self._next()
        self._depth += 1
        if self._depth > DEEPEST:
            raise _UnknownError
        value: Argument
        if token.type == "OPERATOR-PREFIX":
            value = _number(_single(self._operand()))
            value = -value if token.value == "-" else value
        elif token.type == "PAREN" and token.subtype == "OPEN":
            value = self._operation(0)
            self._close()
        elif token.type == "FUNC" and token.subtype == "OPEN":
            value = self._function(token.value[:-1].upper().removeprefix("_XLFN."))
        elif token.type == "OPERAND":
            value = self._constant(token.subtype, token.value)
        else:
            raise _UnknownError
        while self._peek("OPERATOR-POSTFIX") == "%":
            self._place += 1
            value = _number(_single(value)) / 100
        self._depth -= 1
        return value

    def _close(self) -> None:
        token = self._next()
        if token.type not in ("PAREN", "FUNC") or token.subtype != "CLOSE":
            raise _UnknownError

    def _function(self, name: str) -> Argument:
        function = _FUNCTIONS.get(name)
        if function is None:
            raise _UnknownError
        arguments: list[Argument | Exception] = []
        while not (self._peek("FUNC") == ")" and self._tokens[self._place].subtype == "CLOSE"):
            if self._peek("SEP") is not None:
                self._place += 1
                continue
            try:
                arguments.append(self._operation(0))
            except _CellError as error:
                if name not in ("IF", "IFERROR"):
                    raise
                arguments.append(error)
        self._close()
        return function(arguments)

    def _constant(self, kind: str, text: str) -> Argument:
        if kind == "NUMBER":
            return float(text)
        if kind == "TEXT":
            return text[1:-1].replace('""', '"')
        if kind == "LOGICAL":
            return text.upper() == "TRUE"
        if kind == "ERROR":
            raise _CellError(text)
        name, _, reference = text.rpartition("!")
        sheet = name.strip("'").replace("''", "'") if name else self._sheet
        if "[" in text:
            raise _UnknownError  # another file, or a table's column
        reference = reference.replace("$", "").upper()
        first, _, last = reference.partition(":")
        if first.isalpha() and last.isalpha():
            reference = f"{first}1:{last}1048576"
        elif first.isdigit() and last.isdigit():
            reference = f"A{first}:XFD{last}"
        area = area_of(reference)
        if area is None or area.right > LAST_COLUMN:
            raise _UnknownError
        if ":" not in reference:
            return self._calculator.value_of(sheet, area.top, area.left)
        return self._calculator.area(sheet, area)


def _single(value: Argument) -> Value:
    if isinstance(value, list):
        if len(value) == 1:
            return value[0]
        raise _UnknownError
    return value


def _number(value: Value) -> float:
    if value is None:
        return 0.0
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            raise _CellError("#VALUE!") from None
    return float(value)


def _text(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    return value if isinstance(value, str) else shown(value, "General")


def _divide(left: Value, right: Value) -> float:
    if _number(right) == 0:
        raise _CellError("#DIV/0!")
    return _number(left) / _number(right)


def _power(left: Value, right: Value) -> float:
    base, exponent = _number(left), _number(right)
    if abs(exponent) > 1000:
        raise _UnknownError
    result = base**exponent
    if not isinstance(result, float):
        raise _CellError("#NUM!")
    return result


def _order(left: Value, right: Value) -> int:
    """-1, 0 or 1: numbers stand before texts, texts before truth values."""
    a, b = (("" if isinstance(o, str) else 0.0) if v is None else v for v, o in ((left, right), (right, left)))
    ranks = [2 if isinstance(v, bool) else 1 if isinstance(v, str) else 0 for v in (a, b)]
    if ranks[0] != ranks[1]:
        return -1 if ranks[0] < ranks[1] else 1
    if isinstance(a, str) and isinstance(b, str):
        a, b = a.lower(), b.lower()
        return (a > b) - (a < b)
    x, y = _number(a), _number(b)
    return (x > y) - (x < y)


_LEVELS: tuple[Mapping[str, Callable[[Value, Value], Value]], ...] = (
    {
        "=": lambda a, b: _order(a, b) == 0,
        "<>": lambda a, b: _order(a, b) != 0,
        "<": lambda a, b: _order(a, b) < 0,
        ">": lambda a, b: _order(a, b) > 0,
        "<=": lambda a, b: _order(a, b) <= 0,
        ">=": lambda a, b: _order(a, b) >= 0,
    },
    {"&": lambda a, b: _text(a) + _text(b)},
    {"+": lambda a, b: _number(a) + _number(b), "-": lambda a, b: _number(a) - _number(b)},
    {"*": lambda a, b: _number(a) * _number(b), "/": _divide},
    {"^": _power},
)
"""Operators, those that bind least first."""

Arguments = Sequence[Argument | Exception]


def _values(arguments: Arguments) -> Iterator[Value]:
    for argument in arguments:
        if isinstance(argument, Exception):
            raise argument
        yield from argument if isinstance(argument, list) else [argument]


def _numbers(arguments: Arguments) -> list[float]:
    """The numbers among the arguments; texts and truth values in areas do not count."""
    return [float(v) for v in _values(arguments) if isinstance(v, float | int) and not isinstance(v, bool)]


def _mean(arguments: Arguments) -> float:
    numbers = _numbers(arguments)
    if not numbers:
        raise _CellError("#DIV/0!")
    return math.fsum(numbers) / len(numbers)


def _median(arguments: Arguments) -> float:
    numbers = sorted(_numbers(arguments))
    if not numbers:
        raise _CellError("#NUM!")
    middle = len(numbers) // 2
    return numbers[middle] if len(numbers) % 2 else (numbers[middle - 1] + numbers[middle]) / 2


def _rounded(arguments: Arguments) -> float:
    number, places = [*map(_number, _values(arguments)), 0.0][:2]
    if abs(places) > 15 or abs(number) > 1e15:
        raise _UnknownError
    return float(Decimal(repr(number)).quantize(Decimal(1).scaleb(-int(places)), rounding=ROUND_HALF_UP))


def _if(arguments: Arguments) -> Argument:
    condition, then, otherwise = [*arguments, True, False][:3] if len(arguments) > 1 else (arguments[0], True, False)
    if len(arguments) == 2:
        otherwise = False
    if isinstance(condition, Exception):
        raise condition
    chosen = then if _number(_single(condition)) else otherwise
    if isinstance(chosen, Exception):
        raise chosen
    return chosen


def _if_error(arguments: Arguments) -> Argument:
    value, otherwise = arguments
    chosen = otherwise if isinstance(value, Exception) else value
    if isinstance(chosen, Exception):
        raise chosen
    return chosen


def _product_sum(arguments: Arguments) -> float:
    columns = [argument if isinstance(argument, list) else [argument] for argument in arguments]
    if len({len(column) for column in columns}) != 1:  # cells that are empty are not there to be counted
        raise _UnknownError
    return math.fsum(math.prod(_number(value) for value in row) for row in zip(*columns, strict=True))


_FUNCTIONS: Mapping[str, Callable[[Arguments], Argument]] = {
    "SUM": lambda a: math.fsum(_numbers(a)),
    "AVERAGE": _mean,
    "MEDIAN": _median,
    "MIN": lambda a: min(_numbers(a), default=0.0),
    "MAX": lambda a: max(_numbers(a), default=0.0),
    "COUNT": lambda a: float(len(_numbers(a))),
    "COUNTA": lambda a: float(sum(value is not None for value in _values(a))),
    "PRODUCT": lambda a: math.prod(_numbers(a)),
    "SUMPRODUCT": _product_sum,
    "ROUND": _rounded,
    "ABS": lambda a: abs(_number(next(_values(a)))),
    "INT": lambda a: float(math.floor(_number(next(_values(a))))),
    "SQRT": lambda a: math.sqrt(_number(next(_values(a)))),
    "IF": _if,
    "IFERROR": _if_error,
    "AND": lambda a: all(_number(value) for value in _values(a)),
    "OR": lambda a: any(_number(value) for value in _values(a)),
    "NOT": lambda a: not _number(next(_values(a))),
    "CONCATENATE": lambda a: "".join(map(_text, _values(a))),
    "CONCAT": lambda a: "".join(map(_text, _values(a))),
    "UPPER": lambda a: _text(next(_values(a))).upper(),
    "LOWER": lambda a: _text(next(_values(a))).lower(),
    "TRIM": lambda a: " ".join(_text(next(_values(a))).split()),
    "LEN": lambda a: float(len(_text(next(_values(a))))),
}
