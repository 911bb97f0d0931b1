"""Workbooks: a sheet is a section, a row a line of ``column: value``, by the names in the sheet's first row."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from itertools import chain
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.text_builder import TextBuilder, check_office_file, tidy
from ragyena.types import Document

SUFFIXES = (".xlsx", ".xlsm")
WAY_OUT = {".xls": "save it as .xlsx or .csv"}


def load(path: Path, config: IndexConfig) -> Iterator[Document]:
    import openpyxl

    check_office_file(path, config)
    book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    try:
        builder = TextBuilder()
        for sheet in book.worksheets:
            rows = ([_cell(value) for value in row] for row in sheet.iter_rows(values_only=True))
            _add(builder, sheet.title, (row for row in rows if any(row)))
        yield builder.document(path, (book.properties.title or "").strip())
    finally:
        book.close()


def _add(builder: TextBuilder, name: str, rows: Iterator[list[str]]) -> None:
    first, second = next(rows, None), next(rows, None)
    if first is None:
        return
    builder.heading(1, name)
    if second is None:
        builder.block(_unnamed(first))
        return
    named = _names_columns(first, second)
    if not named:
        builder.block(_unnamed(first))
    tight = not named
    for cells in chain([second], rows):
        if named:
            pairs = zip(first, cells, strict=False)
            line = "; ".join(f"{column}: {cell}" if column else cell for column, cell in pairs if cell)
        else:
            line = _unnamed(cells)
        builder.block(line, tight=tight)
        tight = True


def _names_columns(first: list[str], second: list[str]) -> bool:
    """True for distinct names without bare numbers, one above every column that has values."""
    names = [cell for cell in first if cell]
    return (
        len(names) == len(set(names))
        and all(not cell.replace(".", "", 1).isdigit() for cell in names)
        and all(first[i] for i, cell in enumerate(second) if cell and i < len(first))
    )


def _unnamed(cells: list[str]) -> str:
    return " | ".join(cell for cell in cells if cell)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime) and value.time().isoformat() == "00:00:00":
        value = value.date()
    if isinstance(value, datetime | date):
        return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return " ".join(tidy(str(value)).split())
