"""Source code and settings files: kept as they stand, titled by their name. A notebook yields its cells."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.decoding import read_text
from ragyena.documents.formats.builder import TextBuilder
from ragyena.types import Document

__all__ = ["load"]


def load(path: Path, config: IndexConfig) -> Iterator[Document]:
    text = read_text(path)
    if path.suffix.lower() == ".ipynb":
        yield _notebook(path, text)
    else:
        yield Document(source=str(path), text=text)


def _notebook(path: Path, text: str) -> Document:
    """The sources of a notebook's cells; outputs and metadata are no text to ask about."""
    builder = TextBuilder()
    for cell in json.loads(text)["cells"]:
        source = cell.get("source", "")
        builder.block("".join(source) if isinstance(source, list) else str(source))
    return builder.document(path)
