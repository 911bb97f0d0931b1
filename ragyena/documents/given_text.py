"""A text that another program gave, read as ``ragyena index add`` reads a text file, and cited as it was given."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import replace
from itertools import accumulate
from typing import TypeVar

from ragyena.documents.markdown_text import with_tables
from ragyena.documents.moved_text import common
from ragyena.types import Citation, Document, Passage

__all__ = ["GivenText", "Placed"]

Placed = TypeVar("Placed", Citation, Passage)


class GivenText:
    """A text whose Markdown tables are rewritten row for row; places in it lead back to the text as it was given."""

    def __init__(self, text: str, metadata: Mapping[str, object], number: int) -> None:
        """``number`` names a text without a source; one whose metadata say what block it is of is kept as it is."""
        source, title = str(metadata.get("source") or f"document {number}"), str(metadata.get("title") or "")
        document = Document(source, text, title)
        self.given = text
        self.document = with_tables(document) if metadata.get("block_kind", "prose") == "prose" else document
        """The document to read."""
        self._given_lines: list[str] = []
        self._lines: list[str] = []
        if self.document is not document:
            self._given_lines, self._lines = self.given.split("\n"), self.document.text.split("\n")
        self._given_starts = [0, *accumulate(len(line) + 1 for line in self._given_lines)]
        self._starts = [0, *accumulate(len(line) + 1 for line in self._lines)]

    def as_given(self, placed: Placed) -> Placed:
        """A citation or a passage of the text read, with its place and words in the text given: whole lines where these
        are rows of a rewritten table."""
        if not self._lines:
            return placed
        start, end = self._rows(placed.start, placed.end)
        words = self.given[start:end]
        if isinstance(placed, Passage):
            return replace(placed, start=start, end=end, text=words)
        answer = None
        if placed.answer_start is not None and placed.answer_end is not None:
            answer = self._exact(placed.start + placed.answer_start, placed.start + placed.answer_end)
        return replace(
            placed,
            start=start,
            end=end,
            quote=words,
            answer_start=None if answer is None else answer[0] - start,
            answer_end=None if answer is None else answer[1] - start,
        )

    def place(self, start: int, end: int) -> tuple[int, int]:
        """A stretch of the text read in the text given; the whole lines where it is not there in these words."""
        return self._exact(start, end) or self._rows(start, end)

    def _rows(self, start: int, end: int) -> tuple[int, int]:
        """A stretch in the text given, of the rows of rewritten tables all."""
        first, last = self._line(start), self._line(max(start, end - 1))
        begin, stop = self._given_starts[first], self._given_starts[last] + len(self._given_lines[last])
        words = self.given[begin:stop]
        begin, stop = begin + len(words) - len(words.lstrip()), begin + len(words.rstrip())
        if not self._is_rewritten(first):  # a stretch may begin in prose and end in a table
            begin = self._given_starts[first] + start - self._starts[first]
        if not self._is_rewritten(last):
            stop = self._given_starts[last] + end - self._starts[last]
        return begin, stop

    def _exact(self, start: int, end: int) -> tuple[int, int] | None:
        """The same words in the text given; None where their first or last character is not in it."""
        if not self._lines:
            return start, end
        first, last = self._char(start), self._char(max(start, end - 1))
        return None if first is None or last is None or last < first else (first, last + 1)

    def _char(self, offset: int) -> int | None:
        line = self._line(offset)
        column = offset - self._starts[line]
        for given, read, size in common(self._given_lines[line], self._lines[line]):
            if read <= column < read + size:
                return self._given_starts[line] + given + column - read
        return None

    def _line(self, offset: int) -> int:
        return min(bisect_right(self._starts, offset), len(self._lines)) - 1

    def _is_rewritten(self, line: int) -> bool:
        return self._given_lines[line].removesuffix("\r") != self._lines[line]
