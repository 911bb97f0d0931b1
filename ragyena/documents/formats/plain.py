"""Plain text: kept as it stands in the file, so that lines and offsets are the file's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.decoding import read_text
from ragyena.types import Document

__all__ = ["load"]


def load(path: Path, config: IndexConfig) -> Iterator[Document]:
    yield Document(source=str(path), text=read_text(path))
