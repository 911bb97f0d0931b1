"""Places in a text -> the same words in the text that a loader makes of it, line by line.

Loaders of Markdown keep the lines of a file and change some of them: a table's rows get the names of their columns,
comments are blanked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import SequenceMatcher

__all__ = ["common", "follow"]

Place = tuple[int, int]
Stretch = tuple[int, int, int]
"""A stretch that two lines have in common: where it begins in each, and its length."""

_BAR = re.compile(r"(?<!\\)\|")
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)")
_MARKS = re.compile(r"<br\s*/?>|[*_`~\\]")


def follow(old: str, new: str) -> Callable[[int, int], Place | None] | None:
    """The new place of a stretch of the ``old`` text, by its start and end; None where none of it is kept.

    A stretch that lost characters at its ends (marks of emphasis, bars) begins and ends with those that are left. None
    in place of the function where the texts differ in their number of lines.
    """
    old_lines, new_lines = old.split("\n"), new.split("\n")
    if len(old_lines) != len(new_lines):
        return None
    moved = [-1] * (len(old) + 1)
    before = after = 0
    for line, written in zip(old_lines, new_lines, strict=True):
        for first, second, size in common(line, written):
            moved[before + first : before + first + size] = range(after + second, after + second + size)
        moved[before + len(line)] = after + len(written)  # the line's end
        before, after = before + len(line) + 1, after + len(written) + 1

    def place(start: int, end: int) -> Place | None:
        kept = [offset for offset in range(start, end) if moved[offset] >= 0 and not old[offset].isspace()]
        if not kept:
            return None
        first, last = moved[kept[0]], moved[kept[-1]]
        return (first, last + 1) if first <= last else None

    return place


def common(line: str, written: str) -> list[Stretch]:
    """Stretches that two lines have in common, in order."""
    if line == written:
        return [(0, 0, len(line))]
    if not written:
        return []
    cells = _cells(line, written) if line.lstrip().startswith("|") else None
    return cells if cells is not None else _blocks(line, written)


def _blocks(text: str, written: str) -> list[Stretch]:
    blocks = SequenceMatcher(None, text, written, autojunk=False).get_matching_blocks()
    return [(block.a, block.b, block.size) for block in blocks]


def _cells(line: str, written: str) -> list[Stretch] | None:
    """The stretches of a Markdown table's row in ``Name: value; Name: value``, cell by cell: a short value may stand in
    the names or in other cells as well. None where a cell is not found again as a whole value."""
    bars = [match.start() for match in _BAR.finditer(line)]
    stretches: list[Stretch] = []
    position = 0
    for bar, following in zip(bars, [*bars[1:], len(line)], strict=True):
        cell = line[bar + 1 : following]
        text = cell.strip()
        if not text:
            continue
        begin = bar + 1 + len(cell) - len(cell.lstrip())
        plain = " ".join(_MARKS.sub(lambda mark: " " if mark[0][0] == "<" else "", _LINK.sub(r"\1", text)).split())
        for value in dict.fromkeys((text, plain)):
            match = re.compile(rf"(?:(?<=; )|(?<=: )|(?<= > )|(?<= \| )|^){re.escape(value)}(?=; | \| |$)").search(
                written, position
            )
            if match is not None:
                break
        else:
            return None
        position = match.end()
        shared = _blocks(text, value) if value != text else [(0, 0, len(text))]
        stretches += [(begin + first, match.start() + second, size) for first, second, size in shared]
    return stretches
