"""JSON lines: every line is a document, its line number is its row. Read line by line, whatever the size."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.decoding import open_text
from ragyena.documents.rows import row_document
from ragyena.errors import UnreadableDocumentError
from ragyena.types import Document, Skipped

SUFFIXES = (".jsonl", ".ndjson")
WAY_OUT = {".parquet": "convert it to .jsonl or .csv"}


def load(path: Path, config: IndexConfig) -> Iterator[Document | Skipped]:
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                fields = _fields(line, f"{path}, line {number}")
            except UnreadableDocumentError as error:
                yield Skipped(f"{path}#{number}", error.message, error.hint)
                continue
            yield row_document(path, number, fields, config)


def _fields(line: str, place: str) -> dict[str, object]:
    """The fields of a line: an object, or a string, which is a text without further fields."""
    try:
        value = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        reason = f"{error.msg}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else "nested too deep"
        raise UnreadableDocumentError(
            f"{place} is not JSON: {reason}", hint="every line is one JSON object; correct that line"
        ) from error
    if isinstance(value, str):
        return {"text": value}
    if not isinstance(value, dict):
        raise UnreadableDocumentError(
            f"{place} is a JSON {type(value).__name__}, not an object",
            hint='every line is an object like {"title": "...", "text": "..."}',
        )
    return value
