"""Borders that no answer crosses: of paragraphs, sentences, lines that stand alone, and cells of a table's row.

Of 14,528 answers in the questions on documents that readers are trained on, 28 cross one. A reader's best span crosses
one more often: it starts in the right cell and ends in a word of the next.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from ragyena.documents.sentences import borders
from ragyena.types import BlockKind

__all__ = ["past_name", "piece_starts"]

_BLANK_LINE = re.compile(r"\n[ \t]*\n")
_CELL = re.compile(r"; (?=[^;:|\n]{1,60}: )")
_NAME = re.compile(r"(?:^|(?<=; ))[^;:|\n]{1,60}: ", re.MULTILINE)
_BAR = re.compile(r" \| ")
_LINE = re.compile(r"\n[ \t]*")
_MARKDOWN_ROW = re.compile(r"^[ \t]*\|[^\n]*\|[ \t]*$", re.MULTILINE)


def piece_starts(text: str, kind: BlockKind = "prose") -> npt.NDArray[np.int64]:
    """The offsets in ``text`` at which a new piece begins, in order; the first piece begins at 0, which is left out.

    Rows of a table are lines of ``Header: value; Header: value`` (``ragyena.documents.tables``); each cell with its
    name is a piece. So is each cell between the bars of a row in Markdown, and of a row without names, ``value |
    value``, in a text of the kind ``table``: elsewhere a bar may be that of a command. There every line begins a piece,
    too: ``borders`` takes a long row for a line that goes on in the next.
    """
    starts = {match.end() for pattern in (_BLANK_LINE, _CELL) for match in pattern.finditer(text)}
    if kind == "table":
        starts.update(match.end() for pattern in (_BAR, _LINE) for match in pattern.finditer(text))
    elif "|" in text:
        for row in _MARKDOWN_ROW.finditer(text):
            starts.update(match.end() for match in _BAR.finditer(text, *row.span()))
    inside = {offset for offset, _ in borders(text)}
    if kind == "table":  # "Price excl. VAT: 559" is one cell, whose name is no sentence
        names = [match.span() for match in _NAME.finditer(text)]
        inside = {offset for offset in inside if not any(start < offset < end for start, end in names)}
    starts.update(inside)
    return np.array(sorted(starts), np.int64)


def past_name(text: str, start: int, end: int) -> int:
    """The start of an answer in a table's row that begins in the name of a cell and goes on into its value, moved to
    the value: ``559`` of ``EUR excl. VAT: 559``. Any other start as it is."""
    line = text.rfind("\n", 0, start) + 1
    for name in _NAME.finditer(text, line, end):
        if name.start() <= start < name.end() < end:
            return name.end()
    return start
