"""The parts of an Office Open XML workbook -> sheets. Cells are read in one pass, only those that are there.

Sheets are read from their XML rather than through openpyxl, which refuses workbooks over faults in styles or filters,
leaves out merged cells and hidden rows where it streams, and steps through a billion rows that a sheet only declares.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO

from ragyena.documents.office.package import Package
from ragyena.documents.sheets.number_formats import shown
from ragyena.documents.sheets.sheet import MOST_CELLS, Area, Sheet
from ragyena.documents.sheets.sheet_xml import Cell, SheetReader, StringReader, column_name, column_number, unescaped
from ragyena.errors import UnreadableDocumentError

__all__ = ["LAST_COLUMN", "Formula", "Value", "Workbook", "area_of"]

Value = float | str | bool | None
"""A cell's value as formulas see it."""

MOST_STRING_CHARS = 50_000_000
"""Chars of the texts that cells share."""
MOST_CHARS = 50_000_000
"""Chars of all cells: ten thousand cells can share one long text."""
MOST_ELEMENTS = 5_000_000
"""Cells, also without content, and rows of one workbook."""
MOST_FORMULA_CHARS = 2000
MOST_MOVED_CHARS = 100_000
"""Chars of shared formulas that are moved to their places; further ones are shown as at the first of their places."""
MOST_ITEMS = 2000
"""Groups of columns, and tables, of one sheet."""
LAST_COLUMN = 16_384

_PLACE = re.compile(r"\$?([A-Z]{1,3})\$?(\d{1,10})")


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula whose value the file does not hold."""

    text: str
    """Without the equals sign."""
    number_format: str


@dataclass(slots=True)
class Workbook:
    """A workbook opened to read its sheets."""

    package: Package
    is_1904: bool = False
    formulas: dict[tuple[str, int, int], Formula] = field(default_factory=dict)
    """Sheet, row and column -> formula without a stored value."""
    values: dict[str, dict[int, dict[int, Value]]] | None = None
    """Sheet -> row -> column -> value that formulas refer to, where ``keeps_values``; None for one to be computed."""
    _formats: list[str] = field(default_factory=list)
    _strings: list[str] = field(default_factory=list)
    _left: int = MOST_CELLS
    _chars_left: int = MOST_CHARS
    _moves_left: int = MOST_MOVED_CHARS
    _empty_left: int = MOST_ELEMENTS

    def sheets(self, *, keeps_values: bool = False) -> Iterator[Sheet]:
        """Read the sheets in their order, those that are no tables of cells (charts) left out."""
        main = self.package.main_part("xl/workbook.xml")
        root = self.package.xml(main)
        if root is None:
            raise ValueError(f"its part {main} is empty")
        relations = self.package.relations(main)
        by_kind = {relation.kind: relation.target for relation in relations.values()}
        properties = next(iter(root.iter("{*}workbookPr")), None)
        self.is_1904 = properties is not None and properties.get("date1904", "0") in ("1", "true")
        self._formats = self._read_formats(by_kind.get("styles", "xl/styles.xml"))
        self._strings = self._read_strings(by_kind.get("sharedStrings", "xl/sharedStrings.xml"))
        self._left, self._chars_left, self._empty_left = MOST_CELLS, MOST_CHARS, MOST_ELEMENTS
        self._moves_left = MOST_MOVED_CHARS
        self.formulas, self.values = {}, {} if keeps_values else None
        for element in root.iter("{*}sheet"):
            key = next((value for name, value in element.attrib.items() if name.endswith("}id")), "")
            relation = relations.get(key)
            stream = self.package.stream(relation.target) if relation and relation.kind == "worksheet" else None
            if relation is None or stream is None:
                continue
            sheet = Sheet(element.get("name", "Sheet"), is_hidden=element.get("state", "visible") != "visible")
            with stream:
                self._read_cells(stream, sheet)
            self._read_related(relation.target, sheet)
            yield sheet

    def _read_formats(self, name: str) -> list[str]:
        """The number format of each style of cells."""
        from openpyxl.styles.numbers import BUILTIN_FORMATS

        root = self.package.xml(name)
        if root is None:
            return []
        codes: dict[str, str] = {str(number): code for number, code in BUILTIN_FORMATS.items()}
        codes.update({e.get("numFmtId", ""): e.get("formatCode", "") for e in root.iter("{*}numFmt")})
        styles = next(iter(root.iter("{*}cellXfs")), ())
        return [codes.get(style.get("numFmtId", "0"), "General") for style in styles if isinstance(style.tag, str)]

    def _read_strings(self, name: str) -> list[str]:
        stream = self.package.stream(name)
        if stream is None:
            return []
        with stream:
            reader = StringReader(MOST_STRING_CHARS)
            reader.read(stream)
        if reader.is_cut:
            raise UnreadableDocumentError(
                f"{self.package.path} holds more than {MOST_STRING_CHARS / 1e6:.0f} million characters of text",
                hint="split it, or save its sheets as .csv",
            )
        return reader.strings

    def _read_cells(self, stream: IO[bytes], sheet: Sheet) -> None:
        shared: dict[str, tuple[str, str]] = {}

        def add(cell: Cell) -> bool:
            text = self._text(cell, sheet.name, shared)
            if text:
                self._left -= 1
                self._chars_left -= len(text)
                if min(self._left, self._chars_left) < 0:
                    sheet.is_cut = True
                    return False
                sheet.cells.setdefault(cell.row, {})[cell.column] = text
            return True

        reader = SheetReader(add, self._empty_left)
        reader.read(stream)
        self._empty_left = reader.elements_left
        sheet.is_cut = sheet.is_cut or reader.is_cut
        sheet.hidden_rows, sheet.hidden_columns = reader.hidden_rows, reader.hidden_columns
        sheet.merged = [area for reference in reader.merged if (area := area_of(reference)) is not None]

    def _text(self, cell: Cell, sheet: str, shared: dict[str, tuple[str, str]]) -> str:
        """The text that a cell shows."""
        style = cell.style
        index = int(style) if style.isascii() and style.isdigit() and len(style) < 8 else 0
        code = self._formats[index] if index < len(self._formats) else "General"
        if cell.has_formula:
            place = f"{column_name(cell.column)}{cell.row}"
            if cell.is_shared and cell.formula:
                shared[cell.shared_key] = (cell.formula, place)
            if not cell.value and cell.kind != "str":
                written = self._formula_text(cell, place, shared)
                if written:
                    self.formulas[sheet, cell.row, cell.column] = Formula(written, code)
                    self._keep(sheet, cell.row, cell.column, None)
                    return f"(formula {written}, no stored value)"
        text, known = self._shown(cell.kind, cell.value, code)
        if known is not None:
            self._keep(sheet, cell.row, cell.column, known)
        return text

    def _formula_text(self, cell: Cell, place: str, shared: dict[str, tuple[str, str]]) -> str:
        """The formula of a cell, one that it shares with others moved to its place."""
        text = cell.formula
        if cell.is_shared and not text and cell.shared_key in shared:
            text, origin = shared[cell.shared_key]
            text = text[:MOST_FORMULA_CHARS]
            self._moves_left -= len(text)
            if self._moves_left > 0:
                from openpyxl.formula.translate import Translator

                text = Translator(f"={text}", origin=origin).translate_formula(place)[1:]
        return " ".join(text[:MOST_FORMULA_CHARS].split())

    def _keep(self, sheet: str, row: int, column: int, value: Value) -> None:
        if self.values is not None:
            self.values.setdefault(sheet, {}).setdefault(row, {})[column] = value

    def _shown(self, kind: str, value: str, code: str) -> tuple[str, Value]:
        """A stored value as shown, and as formulas see it."""
        if kind == "s":
            index = int(value) if value.isascii() and value.isdigit() and len(value) < 10 else -1
            text = self._strings[index] if 0 <= index < len(self._strings) else ""
            return text, text
        if kind in ("str", "inlineStr"):
            text = " ".join(unescaped(value).split())
            return text, text
        if kind == "b":
            is_true = value.strip() in ("1", "true")
            return ("TRUE" if is_true else "FALSE") if value else "", is_true
        if kind == "d":
            return _iso_date(value), value
        if kind == "e" or not value:
            return value, None
        try:
            number = float(value)
        except ValueError:
            return value, value
        digits = value.strip()
        if code == "General" and digits.isascii() and digits.isdigit() and len(digits) > 15:
            return digits, number
        return shown(number, code, is_1904=self.is_1904), number

    def _read_related(self, part: str, sheet: Sheet) -> None:
        """Tables, comments and floating texts of a sheet, which stand in parts of their own."""
        for relation in list(self.package.relations(part).values())[:MOST_ITEMS]:
            if relation.kind == "table":
                root = self.package.xml(relation.target)
                area = area_of(root.get("ref", "")) if root is not None else None
                if root is not None and area is not None and len(sheet.tables) < 200:
                    count = root.get("headerRowCount", "1")
                    sheet.tables.append((area, 0 if count == "0" else 1))
            elif relation.kind == "comments":
                sheet.comments += self._comments(relation.target)
            elif relation.kind == "drawing":
                sheet.texts += self._texts(relation.target)

    def _comments(self, part: str) -> Iterator[tuple[str, str]]:
        root = self.package.take_xml(part)
        if root is None:
            return
        authors = [" ".join((author.text or "").split()) for author in root.iter("{*}author")]
        for comment in root.iter("{*}comment"):
            text = " ".join("".join(t.text or "" for t in comment.iter("{*}t")).split())
            text = text.partition("Comment: ")[2] or text if text.startswith("[Threaded comment]") else text
            given = comment.get("authorId", "")
            index = int(given) if given.isascii() and given.isdigit() and len(given) < 6 else -1
            author = authors[index] if 0 <= index < len(authors) else ""
            shown_author = "" if author.startswith("tc=") or not author or text.startswith(author) else f" ({author})"
            if text:
                yield f"{comment.get('ref', '')}{shown_author}", text

    def _texts(self, part: str) -> Iterator[str]:
        """Text boxes of a drawing and the titles of its charts."""
        root = self.package.take_xml(part)
        if root is None:
            return
        for body in root.iter("{*}txBody"):
            for paragraph in body.iter("{*}p"):
                yield "".join(t.text or "" for t in paragraph.iter("{*}t"))
        for relation in list(self.package.relations(part).values())[:MOST_ITEMS]:
            chart = self.package.take_xml(relation.target) if relation.kind == "chart" else None
            title = next(iter(chart.iter("{*}title")), None) if chart is not None else None
            text = "".join(t.text or "" for t in title.iter("{*}t")) if title is not None else ""
            if text.strip():
                yield f"Chart: {text}"


def area_of(reference: str) -> Area | None:
    """``B2:C4`` -> an area."""
    places = [_PLACE.fullmatch(place) for place in reference.split(":")]
    if not 1 <= len(places) <= 2 or not all(places):
        return None
    rows = sorted(int(place[2]) for place in places if place)
    columns = sorted(column_number(place[1]) for place in places if place)
    return Area(rows[0], columns[0], rows[-1], columns[-1])


def _iso_date(value: str) -> str:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return value
    return moment.date().isoformat() if moment.time().isoformat() == "00:00:00" else moment.isoformat(" ")
