"""State of a docx file, and of the paragraphs and tables of it that are being read."""

from __future__ import annotations

from dataclasses import dataclass, field

from ragyena.documents.office.blocks import Block, Cell
from ragyena.documents.office.package import Element, Package
from ragyena.documents.office.word_notes import Notes
from ragyena.documents.office.word_numbering import Numbering
from ragyena.documents.office.word_styles import Style, Styles

__all__ = ["OpenParagraph", "OpenTable", "Story", "WordFile"]


@dataclass(slots=True)
class WordFile:
    """Files, styles and lists that the parts of a docx file share."""

    package: Package
    styles: Styles
    numbering: Numbering
    notes: Notes
    has_even_pages: bool = False
    """Even pages have headers and footers of their own."""
    headers: dict[str, None] = field(default_factory=dict)
    """Relation ids of the headers that the sections read so far show, in order."""
    footers: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class OpenParagraph:
    """A paragraph that is being read."""

    style: Style = field(default_factory=Style)
    style_id: str | None = None
    properties: Element | None = None
    parts: list[str] = field(default_factory=list)
    after: list[Block] = field(default_factory=list)
    is_joined: bool = False
    """It goes on in the next: the mark at its end is deleted, or it is a large first letter."""
    carried: tuple[Style, str | None, Element | None] | None = None
    """Style and numbering of the paragraph that goes on in this one, with the first ``carried_parts`` of its parts."""
    carried_parts: int = 0


@dataclass(slots=True)
class Story:
    """A body, cell or text box that is being read."""

    blocks: list[Block] = field(default_factory=list)
    open: list[OpenParagraph] = field(default_factory=list)
    carried: OpenParagraph | None = None


@dataclass(slots=True)
class OpenTable:
    rows: list[list[Cell]] = field(default_factory=list)
    header_rows: int = 0
    only_headers: bool = True
    """All rows so far are headers."""
    before: int = 0
    """Columns left empty before the next cell."""
