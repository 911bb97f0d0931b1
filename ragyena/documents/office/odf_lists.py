"""Numbers of lists and headings in an OpenDocument file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ragyena.documents.office.numerals import numeral
from ragyena.documents.office.odf_file import STYLE, TEXT
from ragyena.documents.office.package import Element, children, local

__all__ = ["Counter", "Counters", "count"]

LEVELS = 10
BULLET = "-"
_KEPT_BULLETS = "☐☑☒✓✔✗✘"
"""Bullets that say something of the item."""


@dataclass(slots=True)
class Counter:
    """The numbers that the levels of one list have reached."""

    numbers: list[int | None] = field(default_factory=lambda: [None] * LEVELS)


def count(style: Element | None, counter: Counter, level: int, start: int | None = None) -> str:
    """The marker of the next item of a ``level`` (0 = outermost), "" for none. ``start`` is its number where it is
    given; an item of a list without a style gets a bullet."""
    level = min(level, LEVELS - 1)
    levels = {_number(e.get(TEXT + "level"), 1) - 1: e for e in children(style)} if style is not None else {}
    at = levels.get(level)
    last = counter.numbers[level]
    if start is not None:
        counter.numbers[level] = start
    else:
        counter.numbers[level] = _start(at) if last is None else last + 1
    for deeper in range(level + 1, LEVELS):
        counter.numbers[deeper] = None
    if at is None:
        return BULLET if style is None else ""
    if local(at) in ("list-level-style-bullet", "list-level-style-image"):
        char: str = at.get(TEXT + "bullet-char", "")
        return char if char and char in _KEPT_BULLETS else BULLET
    prefix: str = at.get(STYLE + "num-prefix", "")
    suffix: str = at.get(STYLE + "num-suffix", "")
    if not at.get(STYLE + "num-format"):
        return (prefix + suffix).strip()
    shown = min(_number(at.get(TEXT + "display-levels"), 1), level + 1)
    numbers = [_written(levels.get(i), counter.numbers[i]) for i in range(level + 1 - shown, level + 1)]
    written = ".".join(number for number in numbers if number)
    return (prefix + written + suffix).strip()


def _written(at: Element | None, number: int | None) -> str:
    style = "" if at is None else at.get(STYLE + "num-format", "")
    return numeral(_start(at) if number is None else number, style) if style else ""


def _start(at: Element | None) -> int:
    return 1 if at is None else _number(at.get(TEXT + "start-value"), 1)


def _number(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 8 else default


@dataclass(slots=True)
class _List:
    style: str
    counter: Counter
    depth: int


class Counters:
    """The lists around the text that is being read, and those that a later list may go on with."""

    def __init__(self, styles: Mapping[str, Element]) -> None:
        self._styles = styles
        self._open: list[_List] = []
        self._by_style: dict[str, Counter] = {}
        self._by_id: dict[str, Counter] = {}
        self._waiting: list[tuple[bool, int | None]] = []
        """For each open item: whether its first paragraph is still to come, and the number it begins at."""

    def begin(self, element: Element) -> None:
        """Begin a ``text:list``."""
        style = element.get(TEXT + "style-name", "")
        if self._open:
            outer = self._open[-1]
            found = _List(style or outer.style, outer.counter, outer.depth + 1)
        else:
            counter = self._by_id.get(element.get(TEXT + "continue-list", ""))
            if counter is None and element.get(TEXT + "continue-numbering") == "true":
                counter = self._by_style.get(style)
            found = _List(style, counter or Counter(), 0)
            self._by_style[style] = found.counter
        identifier = element.get("{http://www.w3.org/XML/1998/namespace}id")
        if identifier is not None:
            self._by_id[identifier] = found.counter
        self._open.append(found)

    def end(self) -> None:
        """End the innermost list."""
        if self._open:
            self._open.pop()

    def begin_item(self, element: Element) -> None:
        """Begin an item; a ``text:list-header`` has no marker."""
        start = element.get(TEXT + "start-value")
        is_item = local(element) == "list-item"
        self._waiting.append((is_item, None if start is None else _number(start, 1)))

    def end_item(self) -> None:
        """End the innermost item."""
        if self._waiting:
            self._waiting.pop()

    def marker(self) -> tuple[str, int] | None:
        """The marker and level of a paragraph that begins an item; None for any other."""
        if not self._open or not self._waiting or not self._waiting[-1][0]:
            return None
        start = self._waiting[-1][1]
        self._waiting[-1] = (False, None)
        found = self._open[-1]
        return count(self._styles.get(found.style), found.counter, found.depth, start), min(found.depth, LEVELS - 1)
