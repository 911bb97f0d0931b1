"""A text kept line by line, so that its line numbers are the file's, with its headings, tables and code marked.

For the formats that people write as plain text (Markdown, reStructuredText, Org, AsciiDoc).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path

from ragyena.documents.merged_cells import Cell, is_whole, texts, unmerge
from ragyena.documents.tables import read_table
from ragyena.types import Block, BlockKind, Document, Heading

__all__ = ["LineText"]

_Mark = tuple[BlockKind, tuple[str, ...], int]


class LineText:
    """Lines to read and replace; lines are never added or removed. Line numbers count from 0, ends are exclusive."""

    def __init__(self, text: str) -> None:
        self.lines = text.split("\n")
        self._marks: dict[int, _Mark] = {}
        self._headings: list[tuple[int, int, str]] = []
        self._groups = 0

    def heading(self, line: int, level: int, text: str) -> None:
        """Mark a line as the start of a section."""
        text = " ".join(text.split())
        if text:
            self._headings.append((line, level, text))

    @property
    def headings(self) -> list[tuple[int, int, str]]:
        """(line, level, text) in order of lines."""
        return sorted(self._headings)

    def mark(self, first: int, end: int, kind: BlockKind, header: tuple[str, ...] = ()) -> None:
        """Mark lines as one block of a kind. A later mark replaces an earlier one."""
        self._groups += 1
        for line in range(first, min(end, len(self.lines))):
            self._marks[line] = (kind, header, self._groups)

    def is_code(self, line: int) -> bool:
        """True for a line that is marked as code."""
        return line in self._marks and self._marks[line][0] == "code"

    def blank(self, first: int, end: int) -> None:
        """Leave out the content of lines."""
        for line in range(first, min(end, len(self.lines))):
            self.lines[line] = ""

    def table(
        self, first: int, end: int, rows: Sequence[tuple[int, Sequence[Cell]]], header_rows: int | None = None
    ) -> None:
        """Rewrite the table that stands in [first, end): each row, given with its line, as ``Name: value; ...``.

        The lines of column names and rules become empty; those of titles above the names keep their text. Rows that are
        given the same line share it.
        """
        grid = unmerge([cells for _, cells in rows])
        filled = [
            (line, texts(cells))
            for (line, _), cells in zip(rows, grid, strict=True)
            if any(cell.text.strip() for cell in cells)
        ]
        if header_rows is not None:  # rows without text do not count
            header_rows = sum(1 for row in grid[:header_rows] if any(cell.text.strip() for cell in row))
        flags = zip(is_whole(grid), grid, strict=True)
        whole = [flag for flag, cells in flags if any(cell.text.strip() for cell in cells)]
        table = read_table([cells for _, cells in filled], header_rows, whole)
        self.blank(first, end)
        for (line, _), title in zip(filled, table.titles, strict=False):
            self.lines[line] = title
        if not table.rows and table.names:
            self.lines[filled[-1][0]] = " | ".join(name for name in table.names if name)
        body = [line for line, _ in filled[len(filled) - len(table.rows) :]] if table.rows else []
        written: dict[int, list[str]] = {}
        for line, written_lines in zip(body, table.lines(), strict=True):
            written.setdefault(line, []).extend(written_lines)
        for line, parts in written.items():
            self.lines[line] = "; ".join(parts)
        if body:
            self.mark(body[0], body[-1] + 1, "table", table.header)

    def document(self, path: Path, title: str = "", metadata: Mapping[str, str] | None = None) -> Document:
        """The finished document of the file ``path``."""
        starts = [0, *accumulate(len(line) + 1 for line in self.lines)]
        return Document(
            source=str(path),
            text="\n".join(self.lines),
            title=title,
            headings=tuple(Heading(starts[line], level, text) for line, level, text in self.headings),
            blocks=tuple(self._blocks(starts)),
            metadata=metadata or {},
        )

    def _blocks(self, starts: Sequence[int]) -> list[Block]:
        blocks: list[Block] = []
        last: tuple[int, int, _Mark] | None = None  # first line, line after the last one with text, mark
        for line in sorted(line for line in self._marks if self.lines[line].strip()):
            mark = self._marks[line]
            goes_on = last is not None and (last[2] == mark or (mark[0] == "list" == last[2][0] and last[1] == line))
            if last is not None and goes_on:
                last = (last[0], line + 1, mark)
                continue
            if last is not None:
                blocks.append(self._block(last, starts))
            last = (line, line + 1, mark)
        if last is not None:
            blocks.append(self._block(last, starts))
        return blocks

    def _block(self, run: tuple[int, int, _Mark], starts: Sequence[int]) -> Block:
        first, end, (kind, header, _) = run
        return Block(starts[first], starts[end] - 1, kind, header)
