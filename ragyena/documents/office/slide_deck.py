"""The slides of a presentation of any format, and the document that they make."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ragyena.documents.office.blocks import Block, write
from ragyena.documents.office.package import metadata_of, usable_title
from ragyena.documents.text_builder import TextBuilder, tidy
from ragyena.types import Document, Skipped

__all__ = ["Slide", "deck"]


@dataclass(slots=True)
class Slide:
    """A slide that is shown, or a hidden one, which has no text."""

    number: int
    """As it is printed on the slide."""
    is_hidden: bool = False
    title: str = ""
    blocks: list[Block] = field(default_factory=list)
    notes: str = ""
    comments: list[str] = field(default_factory=list)


def deck(path: Path, slides: Iterable[Slide], properties: Mapping[str, str]) -> Iterator[Document | Skipped]:
    """The document of a presentation: a page a slide, its title a heading, notes last. Hidden slides are said."""
    builder = TextBuilder()
    first_title = ""
    for slide in slides:
        builder.page(str(slide.number))
        if slide.is_hidden:
            yield Skipped(
                f"{path}#slide-{slide.number}",
                f"{path.name}, slide {slide.number} is hidden",
                "set index.hidden to read it, too",
                is_fault=False,
            )
            continue
        first_title = first_title or slide.title
        builder.heading(1, tidy(slide.title))
        write(slide.blocks, builder)
        if notes := tidy(slide.notes).strip():
            builder.block(f"Speaker notes: {notes}", kind="notes")
        for comment in slide.comments:
            builder.block(tidy(comment), kind="notes")
    yield builder.document(path, usable_title(properties.get("title", "")) or first_title, metadata_of(properties))
