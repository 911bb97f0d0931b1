"""Rows of a table-like file -> documents: their text and title fields, and metadata to filter by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.decoding import check_text, normalise_newlines
from ragyena.documents.markdown_text import with_tables
from ragyena.errors import UnreadableDocumentError
from ragyena.types import Document, Skipped

__all__ = ["flat_fields", "row_document"]

METADATA_CHARS = 500
"""Longer fields are not kept as metadata: they are no use as filters."""
LONGEST_NAME = 200
"""Chars of a nested field's name, of which the end is kept: ``author.name``."""


def row_document(
    path: Path, row: int, fields: Mapping[str, object], config: IndexConfig, *, place: str, title: str = ""
) -> Document | Skipped:
    """One row as a document, or named as skipped where it holds no text.

    Its text is the first of ``config.text_fields`` that is neither missing nor empty, followed by other fields too long
    for metadata; without any, all its fields as ``name: value`` lines. Nested fields have names like ``author.name``.

    Args:
        path: The file.
        row: The row's number, for the document's source.
        fields: The row's fields.
        config: Names of text and title fields.
        place: Names the row in a message: ``notes.csv, line 7``.
        title: The title of a row without a title field.
    """
    values = dict(flat_fields(fields))
    text_name, title_name = _text_field(config.text_fields, values), _first(config.title_fields, values)
    if text_name is None:
        text = "\n".join(f"{name}: {' '.join(value.split())}" for name, value in values.items() if value.strip())
        lacks_text = _lacks_text(fields, values, config)
    else:
        others = [name for name, value in values.items() if len(value) > METADATA_CHARS and _has_words(value)]
        text = "\n\n".join(
            [values[text_name], *(f"{n}: {values[n]}" for n in others if n not in (text_name, title_name))]
        )
        lacks_text = False
    source = f"{path}#{row}"
    if lacks_text or not any(char.isalnum() for char in text):
        names = ", ".join(config.text_fields)
        return Skipped(source, f"{place} has no text", f"give it a field with a text, named one of: {names}")
    try:
        check_text(text, path)
    except UnreadableDocumentError:
        return Skipped(source, f"{place} holds binary data, not text", "remove the control characters of that row")
    metadata = {
        name: value
        for name, value in values.items()
        if name not in (text_name, title_name) and value and len(value) <= METADATA_CHARS
    }
    if title_name is not None and title_name != text_name:
        title = " ".join(values[title_name].split())
    return with_tables(Document(source, normalise_newlines(text), title, metadata=metadata))


def flat_fields(fields: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Fields as texts, nested ones by their path: ``{"author": {"name": "Ann"}}`` gives ``author.name``: ``Ann``.

    A list of plain values is one text, a paragraph each where they are long; the members of other lists count from 1.
    """
    waiting: list[tuple[str, object]] = [(str(name), value) for name, value in reversed(list(fields.items()))]
    while waiting:
        name, value = waiting.pop()
        inner: list[tuple[str, object]] = []
        if isinstance(value, Mapping):
            inner = [(str(key), item) for key, item in value.items()]
        elif isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value):
            inner = [(str(number), item) for number, item in enumerate(value, 1)]
        elif isinstance(value, list):
            texts = [_as_text(item) for item in value]
            yield name, ("\n\n" if max(map(len, texts), default=0) > METADATA_CHARS // 5 else ", ").join(texts)
        else:
            yield name, _as_text(value)
        waiting.extend((f"{name}.{key}"[-LONGEST_NAME:], item) for key, item in reversed(inner))


def _text_field(wanted: Sequence[str], values: Mapping[str, str]) -> str | None:
    """The field that holds the text: by its name, else by the last part of a nested name."""
    name = _first(wanted, values)
    if name is not None:
        return name
    parts = {name: name.split(".") for name in values if "." in name}
    inner = {name: path for name, path in parts.items() if not any(part.isdigit() for part in path)}
    last = {path[-1].strip().lower(): name for name, path in reversed(inner.items()) if values[name].strip()}
    return next((last[name.lower()] for name in wanted if name.lower() in last), None)


def _first(wanted: Sequence[str], values: Mapping[str, str]) -> str | None:
    """The field named first in ``wanted`` that is not empty, upper and lower case being alike."""
    by_name = {name.strip().lower(): name for name, value in values.items() if value.strip()}
    return next((by_name[name.lower()] for name in wanted if name.lower() in by_name), None)


def _lacks_text(fields: Mapping[str, object], values: Mapping[str, str], config: IndexConfig) -> bool:
    """True for a row whose text field is there but empty, and whose other fields are not sentences either."""
    names = {str(name).strip().lower() for name in fields}
    if not any(name.lower() in names for name in config.text_fields):
        return False
    titles = {name.lower() for name in config.title_fields}
    return not any(_has_words(value) for name, value in values.items() if name.strip().lower() not in titles)


def _has_words(value: str) -> bool:
    words = value.split()
    return len(words) > 1 and sum(any(char.isalpha() for char in word) for word in words[:100]) * 2 > len(words[:100])


def _as_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
