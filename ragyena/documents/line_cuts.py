"""Borders inside tables and code, whose lines are units: punctuation in a cell or a command ends no sentence.

A row of a table is never cut where a passage holds it: its second half would have lost the name of what it is about.
Code is cut rather between things than inside one: the less a line is indented, the cheaper a cut before it, and a line
is kept with the line that it stands under: a key with its values, an ``if`` with what it does, a comment with what it
explains.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ragyena.types import Block, Document

__all__ = ["with_line_cuts"]

CUT_ROW = 0.12
"""Cost of a cut between two rows of a table, in passages."""
CUT_OUTERMOST = 0.05
"""Cost of a cut before a line of code that is not indented."""
CUT_INDENT = 0.02
"""Cost of each column that a line of code is indented, up to ``DEEPEST``."""
DEEPEST = 12
AFTER_BLANK = 0.5
"""Part of the cost of a cut in code that remains after a blank line."""
CUT_UNDER = 0.5
"""Cost of a cut before a line of code that belongs to the one before: deeper, under a comment, or a closing bracket."""

_LINE = re.compile(r"(?P<blank>\n[^\S\n]*)*\n(?P<indent>[^\S\n]*)(?=\S)")
_CLOSING = re.compile(r"[)\]}]|(?:end|fi|done|esac|else|elif|except|finally|catch)\b")
_COMMENT = re.compile(r"(?:\#|//|--|;|/?\*)[^\n]*\w")
_TAB = 4  # columns


def with_line_cuts(
    document: Document, cuts: Sequence[tuple[int, float]], token_starts: npt.NDArray[np.int64], limit: int
) -> dict[int, float]:
    """``cuts``, offsets in order with the cost of each, with those inside tables and code replaced by cuts at lines.

    A row of more than ``limit`` tokens keeps the cuts inside it. Takes time linear in the length of the document.
    """
    offsets = [offset for offset, _ in cuts]
    result: dict[int, float] = {}
    copied = 0
    for block in document.blocks:
        if block.kind not in ("table", "code"):
            continue
        first, last = bisect_right(offsets, block.start, copied), bisect_left(offsets, block.end, copied)
        result.update(cuts[copied : max(first, copied)])
        lines = _lines(document.text, block)
        if block.kind == "table":
            result.update(_inside_long_rows(cuts[first:last], [block.start, *lines, block.end], token_starts, limit))
        result.update(lines)
        copied = max(last, copied)
    result.update(cuts[copied:])
    return result


def _lines(text: str, block: Block) -> dict[int, float]:
    """The starts of the lines of a block but its first, with the cost of a cut at each."""
    costs: dict[int, float] = {}
    line_start = text.rfind("\n", 0, block.start) + 1
    before = _columns(text[line_start : block.start])
    commented = _COMMENT.match(text, block.start, block.end) is not None
    end = block.start + len(text[block.start : block.end].rstrip())  # blank lines at the end would be looked at again
    for match in _LINE.finditer(text, block.start, end):
        offset, indent = match.end(), _columns(match["indent"])
        if block.kind == "table":
            costs[offset] = CUT_ROW
            continue
        blank = match["blank"] is not None
        if indent > before or (commented and not blank) or _CLOSING.match(text, offset):
            costs[offset] = CUT_UNDER
        else:
            costs[offset] = (CUT_OUTERMOST + CUT_INDENT * min(indent, DEEPEST)) * (AFTER_BLANK if blank else 1.0)
        before, commented = indent, _COMMENT.match(text, offset, block.end) is not None
    return costs


def _columns(indent: str) -> int:
    return len(indent.expandtabs(_TAB)) if not indent.strip() else 0


def _inside_long_rows(
    cuts: Sequence[tuple[int, float]], row_starts: Sequence[int], token_starts: npt.NDArray[np.int64], limit: int
) -> dict[int, float]:
    """The cuts that stand in rows of more than ``limit`` tokens. ``row_starts`` ends with the end of the table."""
    tokens = np.diff(np.searchsorted(token_starts, np.array(row_starts, np.int64)))
    return {offset: cost for offset, cost in cuts if tokens[bisect_right(row_starts, offset) - 1] > limit}
