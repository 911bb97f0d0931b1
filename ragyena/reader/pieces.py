"""Borders that no answer crosses: of paragraphs, sentences, lines that stand alone, and cells of a table's row.

Of 14,528 answers in the questions on documents that readers are trained on, 28 cross one. A reader's best span crosses
one more often: it starts in the right cell and ends in a word of the next.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from ragyena.documents.sentences import borders

__all__ = ["piece_starts"]

_BLANK_LINE = re.compile(r"\n[ \t]*\n")
_CELL = re.compile(r"; (?=[^;:|\n]{1,60}: )")


def piece_starts(text: str) -> npt.NDArray[np.int64]:
    """The offsets in ``text`` at which a new piece begins, in order; the first piece begins at 0, which is left out.

    Rows of a table are lines of ``Header: value; Header: value`` (``ragyena.documents.tables``); each cell with its
    name is a piece.
    """
    starts = {match.end() for pattern in (_BLANK_LINE, _CELL) for match in pattern.finditer(text)}
    starts.update(offset for offset, _ in borders(text))
    return np.array(sorted(starts), np.int64)
