"""CSV and TSV: every row is a document, and the first row names the fields. Read row by row, whatever the size."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.decoding import check_text, open_text
from ragyena.documents.rows import row_document
from ragyena.errors import UnreadableDocumentError
from ragyena.types import Document

SUFFIXES = (".csv", ".tsv")
WAY_OUT: dict[str, str] = {}
SAMPLE_CHARS = 16_384
LONGEST_FIELD = 1 << 30


def load(path: Path, config: IndexConfig) -> Iterator[Document]:
    """Rows count from 1 after the row of names. A row longer than that row is an error; a shorter one lacks fields."""
    csv.field_size_limit(LONGEST_FIELD)  # the module's own limit is below the length of an ordinary article
    with open_text(path, newline="") as file:
        delimiter = _delimiter(file.read(SAMPLE_CHARS), path)
        file.seek(0)
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            names = _names(next(reader, []), path)
            for number, cells in enumerate(reader, 1):
                if not any(cells):
                    continue
                if any(cells[len(names) :]):
                    raise UnreadableDocumentError(
                        f"{path}, line {reader.line_num}: {len(cells)} fields, but the first row names {len(names)}",
                        hint="put fields that hold the delimiter in quotes, or correct the row",
                    )
                check_text("".join(cells), path)
                yield row_document(path, number, dict(zip(names, cells, strict=False)), config)
        except csv.Error as error:
            raise UnreadableDocumentError(
                f"{path}, line {reader.line_num}: {error}", hint="correct the quotes of that row"
            ) from error


def _delimiter(sample: str, path: Path) -> str:
    if path.suffix.lower() == ".tsv":
        return "\t"
    # By the row of names: names hold no delimiters, while texts are full of commas.
    names = sample.splitlines()[0] if sample.strip() else ""
    return max(",;\t|", key=names.count)


def _names(row: list[str], path: Path) -> list[str]:
    names = [name.strip().lstrip("\ufeff") or f"column {number}" for number, name in enumerate(row, 1)]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UnreadableDocumentError(
            f"{path}: the first row names the field '{twice}' twice", hint="give every column a name of its own"
        )
    return names
