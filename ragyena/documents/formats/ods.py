"""OpenDocument spreadsheets (LibreOffice Calc): a sheet is a section, a row a line of ``column: value``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.types import Document, Skipped

SUFFIXES = (".ods", ".ots", ".fods")
WAY_OUT = {".sxc": "save it as .ods or .csv"}


def load(path: Path, config: IndexConfig) -> Iterator[Document | Skipped]:
    from ragyena.documents.office.odf_file import open_odf
    from ragyena.documents.office.package import metadata_of, usable_title
    from ragyena.documents.sheets.odf_sheets import read_sheets
    from ragyena.documents.sheets.writing import write_workbook

    with open_odf(path, config) as file:
        sheets = list(read_sheets(file))
        title, metadata = usable_title(file.properties.get("title", "")), metadata_of(file.properties)
    yield from write_workbook(path, sheets, config, title, metadata)
