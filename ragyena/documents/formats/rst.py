"""reStructuredText: the text stays as written, so that lines are the file's; docutils finds headings and tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.decoding import read_text
from ragyena.documents.line_text import LineText
from ragyena.documents.merged_cells import Cell
from ragyena.types import Document

SUFFIXES = (".rst", ".rest")
WAY_OUT: dict[str, str] = {}
LARGEST_GRID = 100_000
"""Chars of a drawn table that is taken apart; docutils takes time quadratic in it. A larger one stays as drawn."""

_FIELD = re.compile(r":([A-Za-z][\w .-]{0,40}):[ \t]{1,9}(\S.*)")
_GRID = re.compile(r"\s*\+[-=+]{2,}\+\s*\Z")
_SIMPLE = re.compile(r"\s*={2,}(?:[ \t]+={2,})+[ \t]*\Z")
_DIRECTIVE = re.compile(r"([ \t]*)\.\.[ \t]+([\w:-]{1,40})::[ \t]*(.*)")
_OPTION = re.compile(r"\s*:([\w-]{1,40}):[ \t]*(.*)")
_CODE = frozenset({"code", "code-block", "sourcecode", "literalinclude", "parsed-literal", "highlight", "prompt"})


def load(path: Path, config: IndexConfig) -> Iterator[Document]:
    text = read_text(path)
    result = LineText(text)
    _headings(result, text, path)
    _blocks(result)
    headings = result.headings
    title = headings[0][2] if headings and headings[0][1] == 1 else ""
    yield result.document(path, title, _fields(result.lines, headings[0][0] if headings else 0))


def _headings(result: LineText, text: str, path: Path) -> None:
    from docutils import nodes
    from docutils.frontend import get_default_settings
    from docutils.parsers.rst import Parser
    from docutils.utils import new_document

    parser = Parser()
    settings = get_default_settings(parser)
    settings.report_level = settings.halt_level = 6  # never: Sphinx roles are unknown to docutils, and no matter here
    settings.file_insertion_enabled = False  # a document may not read other files
    settings.raw_enabled = False
    tree = new_document(str(path), settings)
    parser.parse(text, tree)
    for section in tree.findall(nodes.section):
        title = section.next_node(nodes.title)
        if title is None or section.line is None:
            continue
        line = section.line - 2  # docutils names the underline, counting from 1
        overlined = line > 0 and re.fullmatch(r"([^\w\s])\1+\s*", result.lines[line - 1]) is not None
        level, parent = 1, section.parent
        while isinstance(parent, nodes.section):
            level, parent = level + 1, parent.parent
        result.heading(max(line - overlined, 0), level, title.astext())


def _fields(lines: Sequence[str], start: int) -> dict[str, str]:
    """The field list at the top of the file or below its title: ``:Author: ...``."""
    fields: dict[str, str] = {}
    for line in lines[start : start + 40]:
        match = _FIELD.match(line)
        if match is not None:
            fields.setdefault(match[1].lower(), match[2].strip()[:2000])
        elif fields and line.strip():
            break
    return fields


def _blocks(result: LineText) -> None:
    """Mark code, and rewrite tables: drawn ones and those of directives."""
    lines = result.lines
    i = 0
    while i < len(lines):
        directive = _DIRECTIVE.match(lines[i])
        if directive is not None:
            i = _directive(result, i, directive)
        elif lines[i].rstrip().endswith("::") and not lines[i].lstrip().startswith(".. "):
            end = _indented(lines, i + 1, _indent(lines[i]))
            result.mark(i + 1, end, "code")
            i = max(end, i + 1)
        elif _GRID.match(lines[i]):
            end = _end(lines, i, lambda line: line.lstrip().startswith(("+", "|")))
            _drawn(result, i, end, is_grid=True)
            i = end
        elif _SIMPLE.match(lines[i]):
            end = _simple_end(lines, i)
            if end > i + 1:
                _drawn(result, i, end, is_grid=False)
            i = end
        else:
            i += 1


def _directive(result: LineText, i: int, match: re.Match[str]) -> int:
    """Handle a directive at line ``i``; the line to go on with."""
    lines, name = result.lines, match[2]
    end = _indented(lines, i + 1, len(match[1]))
    if name in _CODE:
        result.mark(i + 1, end, "code")
        return end
    if name not in {"list-table", "csv-table"}:
        return i + 1
    options: dict[str, str] = {}
    start = i + 1
    while start < end and (option := _OPTION.match(lines[start])):
        options[option[1]] = option[2].strip()
        start += 1
    read = _list_table if name == "list-table" else _csv_table
    rows = read(lines, start, end)
    count = int(options["header-rows"]) if options.get("header-rows", "").isdecimal() else 0
    if name == "csv-table" and options.get("header"):
        rows = [(i, _csv_cells(options["header"])), *rows]
        count = 1
    if rows:
        caption = match[3]
        result.table(i, end, rows, header_rows=min(count, len(rows)) or None)
        if caption and not lines[i]:
            lines[i] = match[1] + caption
    return end


def _list_table(lines: Sequence[str], start: int, end: int) -> list[tuple[int, list[Cell]]]:
    rows: list[tuple[int, list[Cell]]] = []
    for i in range(start, end):
        text = lines[i].strip()
        if text.startswith("* -"):
            rows.append((i, [Cell(text[3:].strip())]))
        elif (rows and text.startswith("- ")) or text == "-":
            if rows:
                rows[-1][1].append(Cell(text[1:].strip()))
        elif rows and text:
            rows[-1][1][-1] = Cell(f"{rows[-1][1][-1].text} {text}"[:4000].strip())
    return rows


def _csv_table(lines: Sequence[str], start: int, end: int) -> list[tuple[int, list[Cell]]]:
    return [(i, _csv_cells(lines[i].strip())) for i in range(start, end) if lines[i].strip()]


def _csv_cells(line: str) -> list[Cell]:
    import csv

    return [Cell(cell) for cell in next(csv.reader([line], skipinitialspace=True), [])]


def _drawn(result: LineText, first: int, end: int, *, is_grid: bool) -> None:
    """Rewrite a table drawn with lines; one that docutils cannot read stays as it is, marked as a table."""
    from docutils.parsers.rst.tableparser import GridTableParser, SimpleTableParser, TableMarkupError
    from docutils.statemachine import StringList

    indent = _indent(result.lines[first])
    drawn = [line[indent:].rstrip() for line in result.lines[first:end]]
    width = max(map(len, drawn))
    if width * len(drawn) > LARGEST_GRID or (is_grid and not drawn[-1].startswith("+")):
        result.mark(first, end, "table")
        return
    block = StringList([line.ljust(width) if is_grid else line for line in drawn], source="table")
    try:
        _, head, body = (GridTableParser if is_grid else SimpleTableParser)().parse(block)
    except (TableMarkupError, AssertionError, IndexError, ValueError):
        result.mark(first, end, "table")
        return
    rows = []
    for row in (*head, *body):
        cells = [
            Cell(" ".join(" ".join(cell[3]).split()), columns=cell[1] + 1, rows=cell[0] + 1)
            for cell in row
            if cell is not None
        ]
        offsets = [cell[2] for cell in row if cell is not None]
        rows.append((min(first + (min(offsets) if offsets else 0), end - 1), cells))
    for i in range(1, len(rows)):  # a row whose cells all hang down from above has no line of its own
        rows[i] = (min(max(rows[i][0], rows[i - 1][0] + 1), end - 1), rows[i][1])
    result.table(first, end, rows, header_rows=len(head) or None)


def _end(lines: Sequence[str], start: int, belongs: object) -> int:
    end = start
    while end < len(lines) and belongs(lines[end]):  # type: ignore[operator]
        end += 1
    return end


def _simple_end(lines: Sequence[str], start: int) -> int:
    """The line after a simple table: its second rule, or the third where the second closes the names."""
    rules = 0
    for i in range(start + 1, min(len(lines), start + 5000)):
        if _SIMPLE.match(lines[i]):
            rules += 1
            if rules == 2 or i + 1 >= len(lines) or not lines[i + 1].strip():
                return i + 1
    return start + 1


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _indented(lines: Sequence[str], start: int, indent: int) -> int:
    """The line after those that are blank or indented deeper than ``indent``."""
    end, last = start, start
    while end < len(lines) and (not lines[end].strip() or _indent(lines[end]) > indent):
        end += 1
        if lines[end - 1].strip():
            last = end
    return last
