"""PowerPoint decks: a slide is a page, its title a heading, its shapes in the order of reading, then its notes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.types import Document, Skipped

SUFFIXES = (".pptx", ".pptm", ".ppsx", ".ppsm", ".potx", ".potm")
WAY_OUT = dict.fromkeys((".ppt", ".pps", ".key"), "save it as .pptx or .pdf")


def load(path: Path, config: IndexConfig) -> Iterator[Document | Skipped]:
    from ragyena.documents.office.package import Package
    from ragyena.documents.office.slide_deck import deck
    from ragyena.documents.office.slides import Deck

    with Package(path, config) as package:
        slides = Deck(package, comments=config.comments, hidden=config.hidden).slides()
        yield from deck(path, slides, package.properties)
