"""Workbooks: a sheet is a section, a row a line of ``column: value``, its values as the cells show them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.types import Document, Skipped

SUFFIXES = (".xlsx", ".xlsm", ".xltx", ".xltm")
WAY_OUT = {
    ".xls": "save it as .xlsx or .csv",
    ".xlsb": "save it as .xlsx or .csv",
    ".numbers": "export it as .xlsx or .csv",
}


def load(path: Path, config: IndexConfig) -> Iterator[Document | Skipped]:
    from ragyena.documents.office.package import Package, metadata_of, usable_title
    from ragyena.documents.sheets.formulas import fill_formulas
    from ragyena.documents.sheets.workbook_xml import Workbook
    from ragyena.documents.sheets.writing import write_workbook

    with Package(path, config) as package:
        book = Workbook(package)
        sheets = list(book.sheets())
        if book.formulas:
            sheets = list(book.sheets(keeps_values=True))
            fill_formulas(book, sheets)
        title, metadata = usable_title(package.properties.get("title", "")), metadata_of(package.properties)
    yield from write_workbook(path, sheets, config, title, metadata)
