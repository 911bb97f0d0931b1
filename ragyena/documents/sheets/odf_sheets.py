"""The tables of an OpenDocument spreadsheet -> sheets. Its cells hold the text that they show."""

from __future__ import annotations

from collections.abc import Iterator

from ragyena.documents.office.odf_file import OFFICE, STYLE, TABLE, TEXT, OdfFile
from ragyena.documents.office.package import Element, children, local
from ragyena.documents.sheets.sheet import MOST_CELLS, Area, Sheet

__all__ = ["read_sheets"]

LAST_COLUMN = 16_384
MOST_REPEATED_ROWS = 1000
"""Equal rows, or cells with a content, that one element stands for; the rest is format, not content."""
MOST_CHARS = 50_000_000
_SPACES = {"s": " ", "tab": " ", "line-break": " "}


def read_sheets(file: OdfFile) -> Iterator[Sheet]:
    """Read the sheets of a spreadsheet in their order."""
    hidden = _hidden_styles(file)
    left = [MOST_CELLS, MOST_CHARS]
    for body in file.body.iterchildren(OFFICE + "spreadsheet"):
        for table in body.iterchildren(TABLE + "table"):
            sheet = Sheet(table.get(TABLE + "name", "Sheet"))
            sheet.is_hidden = table.get(TABLE + "style-name", "") in hidden
            _read_columns(table, sheet)
            _read_rows(table, sheet, left)
            yield sheet


def _hidden_styles(file: OdfFile) -> set[str]:
    return {
        style.get(STYLE + "name", "")
        for style in file.content.iter(STYLE + "style")
        for properties in style.iterchildren(STYLE + "table-properties")
        if properties.get(TABLE + "display") == "false"
    }


def _read_columns(table: Element, sheet: Sheet) -> None:
    column = 1
    for element in table.iter(TABLE + "table-column"):
        count = _count(element, "number-columns-repeated", LAST_COLUMN)
        if element.get(TABLE + "visibility", "visible") != "visible" and column <= LAST_COLUMN:
            sheet.hidden_columns.update(range(column, min(column + count, LAST_COLUMN + 1)))
        column += count


def _read_rows(table: Element, sheet: Sheet, left: list[int]) -> None:
    number = 1
    for element in table.iter(TABLE + "table-row"):
        repeated = _count(element, "number-rows-repeated", 1 << 30)
        cells = _read_cells(element, sheet, number)
        for row in range(number, number + min(repeated, MOST_REPEATED_ROWS)) if cells else ():
            left[0] -= len(cells)
            left[1] -= sum(map(len, cells.values()))
            if min(left) < 0:
                sheet.is_cut = True
                return
            sheet.cells[row] = dict(cells)
            if element.get(TABLE + "visibility", "visible") != "visible":
                sheet.hidden_rows.add(row)
        number += repeated


def _read_cells(element: Element, sheet: Sheet, row: int) -> dict[int, str]:
    cells: dict[int, str] = {}
    column = 1
    for cell in children(element):
        if local(cell) not in ("table-cell", "covered-table-cell"):
            continue
        repeated = _count(cell, "number-columns-repeated", LAST_COLUMN)
        text = "" if local(cell) == "covered-table-cell" else _text(cell)
        if text and column <= LAST_COLUMN:
            cells.update((column + i, text) for i in range(min(repeated, MOST_REPEATED_ROWS)))
            down, across = (_count(cell, f"number-{kind}-spanned", 1 << 20) for kind in ("rows", "columns"))
            if down > 1 or across > 1:
                sheet.merged.append(Area(row, column, row + down - 1, column + across - 1))
        sheet.comments += _comments(cell, row, column)
        column += repeated
    return cells


def _text(cell: Element) -> str:
    paragraphs = [" ".join(_paragraph(p).split()) for p in cell.iterchildren(TEXT + "p")]
    text = " ".join(filter(None, paragraphs))
    if text or cell.get(OFFICE + "value-type") is None:
        return text
    names = ("string-value", "date-value", "time-value", "boolean-value", "value")
    return next((value for name in names if (value := cell.get(OFFICE + name))), "")


def _paragraph(element: Element) -> str:
    parts: list[str] = []
    for node in element.iter():
        if node is not element and isinstance(node.tag, str):
            parts.append(_SPACES.get(local(node), ""))
        parts.append((node.text or "") if isinstance(node.tag, str) else "")
        if node is not element:
            parts.append(node.tail or "")
    return "".join(parts)


def _comments(cell: Element, row: int, column: int) -> Iterator[tuple[str, str]]:
    from ragyena.documents.sheets.sheet_xml import column_name

    for note in cell.iterchildren(OFFICE + "annotation"):
        author = "".join(e.text or "" for e in note if local(e) == "creator")
        text = " ".join(_paragraph(p) for p in note.iterchildren(TEXT + "p"))
        yield f"{column_name(column)}{row}" + (f" ({author})" if author else ""), text


def _count(element: Element, name: str, most: int) -> int:
    given = element.get(TABLE + name, "1")
    return min(max(1, int(given)), most) if given.isascii() and given.isdigit() and len(given) < 11 else 1
