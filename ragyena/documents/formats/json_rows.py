"""JSON lines: every line is a document; its line number is its row. Read line by line, whatever the size."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.decoding import undecodable
from ragyena.documents.formats.rows import encoding_of_file, row_document
from ragyena.errors import UnreadableDocumentError
from ragyena.types import Document

__all__ = ["load"]


def load(path: Path, config: IndexConfig) -> Iterator[Document]:
    encoding = encoding_of_file(path)
    try:
        with path.open(encoding=encoding) as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield row_document(path, number, _fields(line, number, path), config)
    except UnicodeDecodeError as error:
        raise undecodable(path, encoding) from error


def _fields(line: str, number: int, path: Path) -> dict[str, object]:
    """A line is an object, or a string: a text without further fields."""
    try:
        value = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        reason = f"{error.msg}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else "nested too deep"
        raise UnreadableDocumentError(
            f"{path}, line {number} is not JSON: {reason}", hint="every line is one JSON object; mend that line"
        ) from error
    if isinstance(value, str):
        return {"text": value}
    if not isinstance(value, dict):
        raise UnreadableDocumentError(
            f"{path}, line {number} is a JSON {type(value).__name__}, not an object",
            hint='every line is an object like {"title": "...", "text": "..."}',
        )
    return value
