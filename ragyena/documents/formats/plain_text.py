"""Plain text, kept as it stands, so that lines and offsets are the file's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.decoding import read_text
from ragyena.types import Document

SUFFIXES = (
    *(".txt", ".text", ".log"),
    *("readme", "license", "notice", "authors", "changelog"),
)
WAY_OUT = {".zip": "unpack it", ".gz": "unpack it"}


def load(path: Path, config: IndexConfig) -> Iterator[Document]:
    yield Document(source=str(path), text=read_text(path))
