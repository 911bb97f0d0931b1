"""AsciiDoc: the text stays as written, so that lines are the file's; its structure is marked, comments are left out.

Read line by line here: there is no library for it in Python. Files that ``include::`` names are not read.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.decoding import read_text
from ragyena.documents.line_text import LineText
from ragyena.documents.merged_cells import Cell
from ragyena.types import Document

SUFFIXES = (".adoc", ".asciidoc", ".asc")
WAY_OUT: dict[str, str] = {}

_HEADING = re.compile(r"(={1,6}|#{1,6})[ \t]+(\S.*?)(?:[ \t]+\1)?[ \t]*\Z")
_ATTRIBUTE = re.compile(r":(!?[\w][\w-]{0,60}!?):(?:[ \t]+(.*))?\Z")
_REFERENCE = re.compile(r"\{([\w][\w-]{0,60})\}")
_FENCE = re.compile(r"(-{4,}|\.{4,}|={4,}|\*{4,}|_{4,}|\+{4,}|/{4,}|--|```[\w+-]{0,40})[ \t]*\Z")
_TABLE = re.compile(r"[|,:!]={3,}[ \t]*\Z")
_BLOCK_ATTRIBUTES = re.compile(r"\[[^\]\n]{0,400}\][ \t]*\Z")
_ITEM = re.compile(r"[ \t]*(?:-|\*{1,5}|\.{1,5}|\d{1,9}\.|<\d{1,3}>)[ \t]+\S|\S.{0,300}?(?:::|;;)(?:[ \t]|\Z)")
_CELL = re.compile(r"(?<!\\)(?:(\d{1,6})(?:\.(\d{1,6}))?\+|\.(\d{1,6})\+|(\d{1,4})\*)?[<^>.]{0,4}([adehlmsv])?\|")
_COLUMNS = re.compile(r"""cols\s{0,9}=\s{0,9}["']?([^"'\]]{1,400})""")
_AUTHOR = re.compile(r"[^\s:=|\[<][^:=|\[<]{0,100}(?:<[^<>\s]{1,100}>)?[ \t]*\Z")
_REVISION = re.compile(r"(?:v?[\d.]{1,20},?[ \t]*)?(\d{4}-\d{2}-\d{2})\b.*\Z")
_VERBATIM = frozenset("-.+`")
_FIELDS = {"author": "author", "revdate": "created", "keywords": "keywords", "description": "description"}
_FIELDS |= {"lang": "language"}


def load(path: Path, config: IndexConfig) -> Iterator[Document]:
    yield _Reader(read_text(path)).read(path)


class _Reader:
    """Reads one text, line by line."""

    def __init__(self, text: str) -> None:
        self.result = LineText(text)
        self.lines = self.result.lines
        self.attributes: dict[str, str] = {}
        self.title = ""
        self._fences: dict[str, list[int]] = {}
        for i, line in enumerate(self.lines):
            if _FENCE.match(line) or _TABLE.match(line):
                self._fences.setdefault(line.rstrip(), []).append(i)

    def _closing(self, first: int, fence: str) -> int | None:
        """The line that closes a block begun at a line, None where it stays open."""
        places = self._fences.get(fence, [])
        k = bisect_right(places, first)
        return places[k] if k < len(places) else None

    def read(self, path: Path) -> Document:
        i = self._header()
        style = ""
        while i < len(self.lines):
            line = self.lines[i]
            fence, heading = _FENCE.match(line), _HEADING.match(line)
            if _BLOCK_ATTRIBUTES.match(line):
                style, self.lines[i] = line, ""
                i += 1
                continue
            if fence is not None:
                i = self._fenced(i, fence[1])
            elif _TABLE.match(line):
                i = self._table(i, style)
            else:
                if heading is not None and not style.startswith("[discrete"):
                    self.result.heading(i, len(heading[1]), self._plain(heading[2]))
                    self.lines[i] = self._plain(line)
                else:
                    self._line(i, line)
                i += 1
            style = style if not line.strip() or line.startswith(".") else ""
        fields = {name: self.attributes[key][:2000] for key, name in _FIELDS.items() if self.attributes.get(key)}
        return self.result.document(path, self.title, fields)

    def _header(self) -> int:
        """Read the title, the author and revision lines and the attributes below it; the line after them."""
        i = 0
        while i < len(self.lines) and (not self.lines[i].strip() or self._is_attribute(i) or self._is_comment(i)):
            i += 1
        match = _HEADING.match(self.lines[i]) if i < len(self.lines) else None
        if match is None or len(match[1]) != 1:
            return i
        self.title = self._plain(match[2])
        self.result.heading(i, 1, self.title)
        i += 1
        if i < len(self.lines) and _AUTHOR.match(self.lines[i]) and self.lines[i].strip():
            self.attributes.setdefault("author", self.lines[i].strip())
            revision = _REVISION.match(self.lines[i + 1]) if i + 1 < len(self.lines) else None
            if revision is not None:
                self.attributes.setdefault("revdate", revision[1])
                i += 1
            i += 1
        while i < len(self.lines) and (self._is_attribute(i) or self._is_comment(i)):
            i += 1
        return i

    def _is_attribute(self, i: int) -> bool:
        match = _ATTRIBUTE.match(self.lines[i])
        if match is None:
            return False
        self.attributes[match[1]] = self._plain((match[2] or "").strip())[:2000]
        return True

    def _is_comment(self, i: int) -> bool:
        line = self.lines[i]
        if line.startswith("//") and not line.startswith("///"):
            self.lines[i] = ""
            return True
        return False

    def _line(self, i: int, line: str) -> None:
        if self._is_comment(i) or self._is_attribute(i):
            return
        if line.startswith(("include::", "ifdef::", "ifndef::", "ifeval::", "endif::", "toc::")):
            self.lines[i] = ""
        elif line.startswith(("image::", "video::", "audio::")):
            alt = line.partition("[")[2].rpartition("]")[0].partition(",")[0].strip("\"' ")
            self.lines[i] = alt if "=" not in alt else ""
        else:
            self.lines[i] = self._plain(line)
            if _ITEM.match(line):
                self.result.mark(i, i + 1, "list")

    def _plain(self, line: str) -> str:
        """A line with the attributes that it names (``{version}``) replaced by their values."""
        if "{" not in line:
            return line
        return _REFERENCE.sub(lambda match: self.attributes.get(match[1], match[0])[:200], line)

    def _fenced(self, first: int, fence: str) -> int:
        """Mark a delimited block; the line to go on with, inside it where it holds text."""
        closing = "```" if fence.startswith("```") else fence
        if (fence[0] not in _VERBATIM and fence[0] != "/") or fence == "--":
            self.lines[first] = ""
            return first + 1
        end = self._closing(first, closing)
        if end is None:
            return first + 1
        if fence[0] == "/":
            self.result.blank(first, end + 1)
        else:
            self.result.mark(first + 1, end, "code")
        return end + 1

    def _table(self, first: int, style: str) -> int:
        """Rewrite a table; the line after it."""
        closing = self.lines[first].rstrip()
        end = self._closing(first, closing)
        if end is None:
            return first + 1
        sign = {",": ",", ":": ":"}.get(closing[0])
        if sign or "format=csv" in style:
            filled = [i for i in range(first + 1, end) if self.lines[i].strip()]
            rows = [(i, self._separated(self.lines[i], sign or ",")) for i in filled]
            header = 1 if first + 2 < end and not self.lines[first + 2].strip() else None
        else:
            rows, header = self._rows(first + 1, end, style)
        rows = [(min(line, end), cells) for line, cells in rows]
        if rows:
            named = "%header" in style or ("options=" in style and "header" in style)
            self.result.table(first, end + 1, rows, header_rows=1 if named else header)
        else:
            self.result.blank(first, end + 1)
        return end + 1

    def _rows(self, first: int, end: int, style: str) -> tuple[list[tuple[int, list[Cell]]], int | None]:
        """The rows of a table whose cells begin with ``|``, on one line or one below the other."""
        cells: list[tuple[int, Cell]] = []
        in_first_line, first_text = 0, next((i for i in range(first, end) if self.lines[i].strip()), end)
        for i in range(first, end):
            line = self._plain(self.lines[i])
            marks = list(_CELL.finditer(line))
            before = line[: marks[0].start()] if marks else line
            if cells and before.strip():
                place, cell = cells[-1]
                cells[-1] = (place, Cell(f"{cell.text} {before.strip()}"[:8000], cell.columns, cell.rows))
            for k, mark in enumerate(marks):
                text = line[mark.end() : marks[k + 1].start() if k + 1 < len(marks) else len(line)]
                cell = Cell(text.replace("\\|", "|").strip(), int(mark[1] or 1), int(mark[2] or mark[3] or 1))
                cells += [(i, cell)] * min(int(mark[4] or 1), 100)
                in_first_line += min(int(mark[4] or mark[1] or 1), 1000) if i == first_text else 0
        columns = _column_count(style) or in_first_line or 1
        header = 1 if first_text == first and first + 1 < end and not self.lines[first + 1].strip() else None
        return _in_rows(cells, columns), header if in_first_line == columns or header is None else None

    def _separated(self, line: str, sign: str) -> list[Cell]:
        import csv

        return [Cell(cell) for cell in next(csv.reader([self._plain(line)], delimiter=sign), [])]


def _column_count(style: str) -> int:
    """The number of columns that ``[cols="1,2*,3"]`` declares; 0 where it declares none."""
    match = _COLUMNS.search(style)
    if match is None:
        return 0
    count = 0
    for part in re.split(r"[,;]", match[1]) if re.search(r"[,;]", match[1]) else [match[1]]:
        times = re.match(r"\s*(\d{1,3})\*", part)
        count += int(times[1]) if times else 1
    if count == 1 and match[1].strip().isdecimal():
        return int(match[1])
    return count


def _in_rows(cells: list[tuple[int, Cell]], columns: int) -> list[tuple[int, list[Cell]]]:
    """Cells in rows of so many columns, those counted that hang down from rows above."""
    rows: list[tuple[int, list[Cell]]] = []
    hanging: dict[int, int] = {}  # row -> columns taken by cells of rows above
    number, filled = 0, columns
    for line, cell in cells:
        if filled >= columns:
            number += 1
            filled = hanging.pop(number, 0)
            rows.append((line, []))
        rows[-1][1].append(cell)
        filled += cell.columns
        for below in range(number + 1, number + min(cell.rows, 200)):
            hanging[below] = hanging.get(below, 0) + cell.columns
    for k in range(1, len(rows)):  # each row on a line of its own
        rows[k] = (max(rows[k][0], rows[k - 1][0] + 1), rows[k][1])
    return rows
