"""JSON lines: every line is a document, its line number is its row. Read line by line, whatever the size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.decoding import open_text
from ragyena.documents.rows import row_document
from ragyena.errors import UnreadableDocumentError
from ragyena.parsing import MalformedError, parse_json
from ragyena.types import Document, Skipped

SUFFIXES = (".jsonl", ".ndjson")
WAY_OUT = {".parquet": "convert it to .jsonl or .csv"}


def load(path: Path, config: IndexConfig) -> Iterator[Document | Skipped]:
    with open_text(path, errors="surrogateescape") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            place = f"{path}, line {number}"
            try:
                fields = _fields(line, place)
            except UnreadableDocumentError as error:
                yield Skipped(f"{path}#{number}", error.message, error.hint or "")
                continue
            yield row_document(path, number, fields, config, place=place)


def _fields(line: str, place: str) -> dict[str, object]:
    """The fields of a line: an object, or a string, which is a text without further fields."""
    if any("\udc80" <= char <= "\udcff" for char in line):
        raise UnreadableDocumentError(f"{place} is not valid UTF-8", hint="convert that line to UTF-8")
    try:
        value = parse_json(line, numbers_as_text=True)
    except MalformedError as error:
        raise UnreadableDocumentError(
            f"{place} is {error.problem}", hint="every line is one JSON object; correct that line"
        ) from error
    if isinstance(value, str):
        return {"text": value}
    if not isinstance(value, dict):
        raise UnreadableDocumentError(
            f"{place} is a JSON {type(value).__name__}, not an object",
            hint='every line is an object like {"title": "...", "text": "..."}',
        )
    return value
