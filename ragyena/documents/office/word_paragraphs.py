"""A paragraph of a docx file that has been read -> a heading, an item of a list, code or prose."""

from __future__ import annotations

from ragyena.documents.office.blocks import Block, Paragraph
from ragyena.documents.office.word_numbering import Numbering
from ragyena.documents.office.word_state import OpenParagraph
from ragyena.documents.office.word_styles import BODY_LEVEL, W, attribute, integer

__all__ = ["paragraph_blocks"]


def paragraph_blocks(paragraph: OpenParagraph, numbering: Numbering) -> list[Block]:
    """The blocks of a paragraph: its text, unless it is blank, and what is anchored to it. Counts it as an item."""
    text, style = "".join(paragraph.parts), paragraph.style
    outline = integer(attribute(paragraph.properties, "outlineLvl"), -1)
    heading = style.heading if outline < 0 else outline + 1 if outline < BODY_LEVEL else 0
    item = _item(paragraph, numbering)
    if style.is_code:
        return [Paragraph(text, "code"), *paragraph.after]
    text = text.strip()
    if not text:
        return paragraph.after
    if heading:
        number = f"{item[0]} " if item is not None and item[0] not in ("", "-") else ""
        block = Paragraph(number + text, "heading", heading)
    elif item is not None and item[0]:
        block = Paragraph(text, "list", max(item[1], style.list_depth - 1), item[0])
    elif item is None and style.list_depth:
        block = Paragraph(text, "list", style.list_depth - 1)
    else:
        block = Paragraph(text, tight=style.is_contents, is_title=style.is_title)
    return [block, *paragraph.after]


def _item(paragraph: OpenParagraph, numbering: Numbering) -> tuple[str, int] | None:
    """The marker and level of an item of a list, by its own properties or its style; None for none."""
    own = None if paragraph.properties is None else paragraph.properties.find(f"{W}numPr")
    list_id, level = attribute(own, "numId"), attribute(own, "ilvl")
    if list_id is None:
        list_id = paragraph.style.list_id
        found = paragraph.style.list_level if level is None else integer(level, 0)
    else:
        found = integer(level, 0)
    return None if list_id in (None, "0") else numbering.marker(list_id or "", found, paragraph.style_id)
