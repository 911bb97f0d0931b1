"""Numbers of lists and headings in a docx file, counted as Word counts them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ragyena.documents.office.numerals import numeral
from ragyena.documents.office.package import Element
from ragyena.documents.office.word_styles import Styles, W, attribute, integer

__all__ = ["Numbering", "read_numbering"]

LEVELS = 9
BULLET = "-"
_KEPT_BULLETS = "☐☑☒✓✔✗✘"
"""Bullets that say something of the item."""
_PLACE = re.compile(r"%([1-9])")
_PADDED = re.compile(r"(0*)1, ")


@dataclass(frozen=True, slots=True)
class _Level:
    style: str = "decimal"
    """``lowerRoman``, ``bullet`` ..., or ``00`` for numbers of that many digits and one more."""
    text: str = "%1."
    start: int = 1
    restart: int | None = None
    """The level (from 1) after which it starts again: None for any above it, 0 for never."""
    all_decimal: bool = False
    paragraph_style: str | None = None


_Levels = Mapping[int, _Level]


@dataclass(slots=True)
class _List:
    """A ``w:num``: the abstract list whose count it shares, and where it differs from that."""

    abstract: str
    levels: dict[int, _Level]
    starts: dict[int, int] = field(default_factory=dict)
    """Levels that begin again at a number when the list is first used."""


class Numbering:
    """Counts the items of all lists of a file, in the order in which they are asked for."""

    def __init__(self, lists: Mapping[str, _List]) -> None:
        self._lists = lists
        self._counts: dict[str, list[int | None]] = {}
        self._used: set[str] = set()

    def marker(self, list_id: str, level: int | None, style: str | None) -> tuple[str, int] | None:
        """The marker (``2.1``, ``-``; "" for an item without) and the level of the next item; None for no list.

        Without ``level``, the one that belongs to the paragraph's ``style``, or the first.
        """
        found = self._lists.get(list_id)
        if found is None:
            return None
        if level is None:
            level = next((i for i, at in found.levels.items() if style is not None and at.paragraph_style == style), 0)
        level = min(max(level, 0), LEVELS - 1)
        at = found.levels.get(level, _Level(text=f"%{level + 1}."))
        self._count(list_id, found, level, at)
        if at.style == "bullet":
            return at.text if at.text and at.text in _KEPT_BULLETS else BULLET, level
        return _PLACE.sub(lambda place: self._written(found, int(place[1]) - 1, at), at.text).strip(), level

    def _count(self, list_id: str, found: _List, level: int, at: _Level) -> None:
        counts = self._counts.setdefault(found.abstract, [None] * LEVELS)
        if list_id not in self._used:
            self._used.add(list_id)
            for i in found.starts:
                counts[i] = None
        count = counts[level]
        counts[level] = found.starts.get(level, at.start) if count is None else count + 1
        for i in range(level):
            if counts[i] is None:  # an item without one above it counts as the first of that
                counts[i] = found.starts.get(i, found.levels.get(i, _Level()).start)
        for i in range(level + 1, LEVELS):
            restart = found.levels.get(i, _Level()).restart
            if restart is None or level < restart:
                counts[i] = None

    def _written(self, found: _List, level: int, at: _Level) -> str:
        number = self._counts[found.abstract][level]
        style = found.levels.get(level, _Level()).style
        if number is None or style == "bullet":
            return ""
        if at.all_decimal and style != "decimalZero":
            style = "decimal"
        return f"{number:0{len(style) + 1}d}" if style.startswith("0") else numeral(number, style)


def read_numbering(root: Element | None, styles: Styles) -> Numbering:
    """The lists of ``numbering.xml``, none where the file has no such part."""
    if root is None:
        return Numbering({})
    abstracts = {e.get(W + "abstractNumId", ""): e for e in root.iterchildren(W + "abstractNum")}
    numbers = {e.get(W + "numId", ""): e for e in root.iterchildren(W + "num")}
    levels: dict[str, dict[int, _Level]] = {}
    lists: dict[str, _List] = {}
    for list_id, element in numbers.items():
        name = attribute(element, "abstractNumId") or ""
        linked = attribute(abstracts.get(name), "numStyleLink")
        if linked is not None:  # the list is another's, by way of a style
            name = attribute(numbers.get(styles[linked].list_id or ""), "abstractNumId") or name
        if name not in levels:
            levels[name] = _levels(abstracts.get(name))
        found = lists[list_id] = _List(name, levels[name])
        for override in element.iterchildren(W + "lvlOverride"):
            level = integer(override.get(W + "ilvl"), 0)
            own = override.find(W + "lvl")
            if own is not None:
                found.levels = {**found.levels, level: _level(own)}
            start = attribute(override, "startOverride")
            if start is not None:
                found.starts[level] = integer(start, 1)
    return Numbering(lists)


def _levels(abstract: Element | None) -> dict[int, _Level]:
    found = () if abstract is None else abstract.iterchildren(W + "lvl")
    return {integer(element.get(W + "ilvl"), 0): _level(element) for element in found}


def _level(element: Element) -> _Level:
    formats = list(element.iter(W + "numFmt"))  # the last of several is the one that older programs take
    custom = next((f for f in formats if f.get(W + "val") == "custom"), None)
    style = formats[-1].get(W + "val", "decimal") if formats else "decimal"
    padded = None if custom is None else _PADDED.match(custom.get(W + "format", ""))
    text = attribute(element, "lvlText")
    restart = attribute(element, "lvlRestart")
    legal = element.find(W + "isLgl")
    level = _Level(
        style=padded[1] if padded and padded[1] else style,
        text=f"%{integer(element.get(W + 'ilvl'), 0) + 1}." if text is None else text,
        start=integer(attribute(element, "start"), 1),
        restart=None if restart is None else integer(restart, 0),
        all_decimal=legal is not None and legal.get(W + "val", "1") not in ("0", "false"),
        paragraph_style=attribute(element, "pStyle"),
    )
    return replace(level, text="") if style == "none" and "%" in level.text else level
