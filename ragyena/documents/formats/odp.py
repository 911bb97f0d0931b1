"""OpenDocument presentations (LibreOffice Impress): a slide is a page, its title a heading, then its notes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.types import Document, Skipped

SUFFIXES = (".odp", ".otp", ".fodp")
WAY_OUT = {".sxi": "save it as .odp or .pdf"}


def load(path: Path, config: IndexConfig) -> Iterator[Document | Skipped]:
    from ragyena.documents.office.odf_file import open_odf
    from ragyena.documents.office.odf_slides import slides_of
    from ragyena.documents.office.slide_deck import deck

    with open_odf(path, config) as file:
        yield from deck(path, slides_of(file, comments=config.comments, hidden=config.hidden), file.properties)
