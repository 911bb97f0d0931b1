"""Slide decks: a slide is a page, its title a heading, its shapes in the order of reading, then its notes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.text_builder import TextBuilder, tidy
from ragyena.types import Document, Skipped

SUFFIXES = (".pptx", ".pptm", ".ppsx", ".ppsm", ".potx", ".potm")
WAY_OUT = dict.fromkeys((".ppt", ".pps", ".key"), "save it as .pptx or .pdf")


def load(path: Path, config: IndexConfig) -> Iterator[Document | Skipped]:
    from ragyena.documents.office.blocks import write
    from ragyena.documents.office.package import Package, metadata_of, usable_title
    from ragyena.documents.office.slides import Deck

    builder = TextBuilder()
    first_title = ""
    with Package(path, config) as package:
        for slide in Deck(package, comments=config.comments).slides():
            builder.page(str(slide.number))
            if slide.is_hidden:
                yield Skipped(
                    f"{path}#slide-{slide.number}",
                    f"{path.name}, slide {slide.number} is hidden",
                    "show it in its program if it is to be read",
                    is_fault=False,
                )
                continue
            first_title = first_title or slide.title
            builder.heading(1, tidy(slide.title))
            write(slide.blocks, builder)
            builder.block(tidy(slide.notes), kind="notes")
            for comment in slide.comments:
                builder.block(tidy(comment), kind="notes")
        properties = package.properties
    yield builder.document(path, usable_title(properties.get("title", "")) or first_title, metadata_of(properties))
