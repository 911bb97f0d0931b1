"""Tables of Markdown documents with the name of its column before each cell, as loaders of other formats write them.

A document on which questions are asked has ``| V-20 | 3.9 kg |`` under a row of names; the same table from a workbook
or a web page reads ``Model: V-20; Weight: 3.9 kg``. Readers are trained on both.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["NamedRows", "named_rows"]

_RULE = re.compile(r"^[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_BAR = re.compile(r"(?<!\\)\|")
_MARKS = "*_` \t"


@dataclass(frozen=True, slots=True)
class NamedRows:
    """A text whose tables were rewritten, and the way of its places."""

    text: str
    pieces: tuple[tuple[int, int, int], ...]
    """Stretches of the former text that are kept: first char, one after the last, first char in the new text."""

    def place(self, start: int, end: int) -> tuple[int, int] | None:
        """The new place of a stretch of the former text; None where an end of it is not kept."""
        first, last = self._at(start), self._at(end - 1)
        return None if first is None or last is None or last < first else (first, last + 1)

    def _at(self, offset: int) -> int | None:
        i = bisect_right(self.pieces, offset, key=lambda piece: piece[0]) - 1
        if i < 0 or offset >= self.pieces[i][1]:
            return None
        return self.pieces[i][2] + offset - self.pieces[i][0]


def named_rows(text: str) -> NamedRows | None:
    """``text`` with its Markdown tables rewritten; None where it has none."""
    lines = text.split("\n")
    out: list[str] = []
    pieces: list[tuple[int, int, int]] = []
    old = new = 0
    names: list[str] = []
    found = False
    for number, line in enumerate(lines):
        following = lines[number + 1] if number + 1 < len(lines) else ""
        if names and "|" not in line:
            names = []
        if not names and "|" in line and "|" in following and _RULE.match(following) and not _RULE.match(line):
            names = [line[start:end].strip(_MARKS) for start, end in _cells(line)]
            found = True
            written = ""  # every row has the names
        elif names and _RULE.match(line):
            written = ""
        elif names:
            written = ""
            for name, (start, end) in zip(names, _cells(line), strict=False):
                if start < end:
                    written += ("; " if written else "") + (f"{name}: " if name else "")
                    pieces.append((old + start, old + end, new + len(written)))
                    written += line[start:end]
        else:
            written = line
            pieces.append((old, old + len(line) + 1, new))
        out.append(written)
        old, new = old + len(line) + 1, new + len(written) + 1
    return NamedRows("\n".join(out), tuple(pieces)) if found else None


def _cells(line: str) -> Sequence[tuple[int, int]]:
    """The stretches of a row's cells, without white space around them; empty cells are empty stretches."""
    bounds = [-1, *(match.start() for match in _BAR.finditer(line)), len(line)]
    stretches = [(left + 1, right) for left, right in pairwise(bounds)]
    if not line[stretches[0][0] : stretches[0][1]].strip():
        stretches = stretches[1:]
    if stretches and not line[stretches[-1][0] : stretches[-1][1]].strip():
        stretches = stretches[:-1]
    cells = []
    for start, end in stretches:
        part = line[start:end]
        left = len(part) - len(part.lstrip())
        cells.append((start + left, start + max(left, len(part.rstrip()))))
    return cells
