"""Rows of a table-like file -> documents: their text and title fields, and metadata to filter by."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.decoding import normalise_newlines
from ragyena.types import Document

__all__ = ["row_document"]

METADATA_CHARS = 500
"""Longer fields are not kept as metadata: they are no use as filters."""


def row_document(path: Path, row: int, fields: Mapping[str, object], config: IndexConfig) -> Document:
    """One row as a document. Its text may be empty, where the row's text field is."""
    values = {str(name): _as_text(value) for name, value in fields.items()}
    text_name, title_name = _first(config.text_fields, values), _first(config.title_fields, values)
    if text_name is None:
        text = "\n".join(f"{name}: {value}" for name, value in values.items() if value.strip())
    else:
        text = values[text_name]
    metadata = {
        name: value
        for name, value in values.items()
        if name not in (text_name, title_name) and value and len(value) <= METADATA_CHARS
    }
    title = "" if title_name is None or title_name == text_name else " ".join(values[title_name].split())
    return Document(f"{path}#{row}", normalise_newlines(text), title, metadata=metadata)


def _first(wanted: Sequence[str], values: Mapping[str, str]) -> str | None:
    """The field named first in ``wanted``, upper and lower case being alike."""
    by_name = {name.strip().lower(): name for name in values}
    return next((by_name[name.lower()] for name in wanted if name.lower() in by_name), None)


def _as_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "\n\n".join(value)
    return json.dumps(value, ensure_ascii=False)
