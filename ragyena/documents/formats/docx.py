"""Word documents: paragraphs, lists and tables in order, headings by their style."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.text_builder import TextBuilder, check_office_file, tidy
from ragyena.types import Document

SUFFIXES = (".docx", ".docm")
WAY_OUT = dict.fromkeys((".doc", ".odt", ".rtf"), "save it as .docx or .pdf")


def load(path: Path, config: IndexConfig) -> Iterator[Document]:
    import docx
    from docx.table import Table

    check_office_file(path, config)
    file = docx.Document(str(path))
    builder = TextBuilder()
    title = (file.core_properties.title or "").strip()
    in_list = False
    for block in file.iter_inner_content():
        if isinstance(block, Table):
            builder.table([[cell.text for cell in row.cells] for row in block.rows])
            in_list = False
            continue
        style = (block.style.name if block.style is not None else "") or ""
        text = tidy(block.text).strip()
        heading = re.fullmatch(r"heading (\d)", style, re.IGNORECASE)
        if heading is not None:
            builder.heading(int(heading[1]), text)
        elif style.startswith("List") and text:
            builder.block(f"- {text}", tight=in_list)
        else:
            builder.block(text)
            title = title or (text if style == "Title" else "")
        in_list = style.startswith("List") if text else in_list
    yield builder.document(path, title)
