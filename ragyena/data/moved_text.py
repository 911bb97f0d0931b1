"""Places in a text -> the same words in the text that a loader makes of it, line by line.

Loaders of Markdown keep the lines of a file and change some of them: a table's rows get the names of their columns,
comments are blanked.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import SequenceMatcher

__all__ = ["follow"]

Place = tuple[int, int]


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
        for first, second, size in _common(line, written):
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


def _common(line: str, written: str) -> list[tuple[int, int, int]]:
    """Stretches that two lines have in common, in order."""
    if line == written:
        return [(0, 0, len(line))]
    blocks = SequenceMatcher(None, line, written, autojunk=False).get_matching_blocks()
    return [(block.a, block.b, block.size) for block in blocks]
