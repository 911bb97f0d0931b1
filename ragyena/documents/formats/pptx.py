"""Slide decks: a slide is a page, its title a heading; tables and speaker notes are text, too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ragyena.config import IndexConfig
from ragyena.documents.text_builder import TextBuilder, check_office_file, tidy
from ragyena.types import Document

SUFFIXES = (".pptx", ".pptm")
WAY_OUT = {".ppt": "save it as .pptx or .pdf"}


def load(path: Path, config: IndexConfig) -> Iterator[Document]:
    import pptx

    check_office_file(path, config)
    deck = pptx.Presentation(str(path))
    builder = TextBuilder()
    for slide in deck.slides:
        builder.page()
        title = slide.shapes.title
        if title is not None:
            builder.heading(1, tidy(title.text_frame.text))
        for shape in slide.shapes:
            if title is None or shape.shape_id != title.shape_id:
                _add(builder, shape)
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
            builder.block(tidy(slide.notes_slide.notes_text_frame.text))
    yield builder.document(path, (deck.core_properties.title or "").strip())


def _add(builder: TextBuilder, shape: Any) -> None:
    if hasattr(shape, "shapes"):  # a group
        for part in shape.shapes:
            _add(builder, part)
    elif getattr(shape, "has_table", False):
        builder.table([[cell.text for cell in row.cells] for row in shape.table.rows])
    elif shape.has_text_frame:
        lines = [tidy(paragraph.text).strip() for paragraph in shape.text_frame.paragraphs]
        builder.block("\n".join(line for line in lines if line))
