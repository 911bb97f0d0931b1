"""Plain text, kept as it stands, so that lines are the file's. Tables in Markdown, as people and programs put them into
text, are rewritten row for row with the names of their columns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.decoding import read_text
from ragyena.documents.markdown_text import with_tables
from ragyena.types import Document

SUFFIXES = (
    *(".txt", ".text", ".log"),
    *("readme", "license", "notice", "authors", "changelog"),
)
WAY_OUT = {".zip": "unpack it", ".gz": "unpack it"}


def load(path: Path, config: IndexConfig) -> Iterator[Document]:
    yield with_tables(Document(source=str(path), text=read_text(path)))
