"""Rows of a table-like file -> documents: which fields are text and title, which are metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.decoding import SAMPLE_BYTES, encoding_of, normalise_newlines
from ragyena.types import Document

__all__ = ["encoding_of_file", "row_document"]

METADATA_CHARS = 500
"""Fields longer than this are no metadata: nobody filters by them."""


def row_document(path: Path, row: int, fields: Mapping[str, object], config: IndexConfig) -> Document:
    """One row as a document. Its text may be empty, where the row's text field is."""
    values = {str(name): _value(value) for name, value in fields.items()}
    by_name = {name.strip().lower(): name for name in values}
    text_name = next((by_name[name.lower()] for name in config.text_fields if name.lower() in by_name), None)
    title_name = next((by_name[name.lower()] for name in config.title_fields if name.lower() in by_name), None)
    if text_name is None:
        text = "\n".join(f"{name}: {value}" for name, value in values.items() if value.strip())
    else:
        text = values[text_name]
    title = " ".join(values[title_name].split()) if title_name is not None and title_name != text_name else ""
    return Document(
        source=f"{path}#{row}",
        text=normalise_newlines(text),
        title=title,
        metadata={
            name: value
            for name, value in values.items()
            if name not in (text_name, title_name) and value and len(value) <= METADATA_CHARS
        },
    )


def encoding_of_file(path: Path) -> str:
    """The codec to read a file with line by line. Raises UnreadableDocumentError for junk."""
    with path.open("rb") as file:
        return encoding_of(file.read(SAMPLE_BYTES), path)


def _value(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "\n\n".join(value)
    return json.dumps(value, ensure_ascii=False)
