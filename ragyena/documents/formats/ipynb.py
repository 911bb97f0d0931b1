"""Jupyter notebooks: text cells, code cells and what they printed, in order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ragyena.config import IndexConfig
from ragyena.documents.decoding import read_text
from ragyena.documents.front_matter import flatten
from ragyena.documents.html_tree import parse_html
from ragyena.documents.html_writer import HtmlWriter
from ragyena.documents.markdown_text import read_markdown
from ragyena.documents.text_builder import TextBuilder
from ragyena.errors import UnreadableDocumentError
from ragyena.parsing import parse_json
from ragyena.types import Document

SUFFIXES = (".ipynb",)
WAY_OUT: dict[str, str] = {}

_ESCAPES = re.compile(r"\x1b\[[0-9;?]{0,40}[A-Za-z]")
"""Colours of a terminal."""


def load(path: Path, config: IndexConfig) -> Iterator[Document]:
    notebook = parse_json(read_text(path))
    if not isinstance(notebook, dict):
        raise UnreadableDocumentError(f"{path} is damaged, or no notebook", hint="save it again in Jupyter")
    cells = notebook.get("cells")
    if not isinstance(cells, list):  # the format before 4 has its cells in worksheets
        sheets = notebook.get("worksheets")
        if not isinstance(sheets, list):
            raise UnreadableDocumentError(
                f"{path} is damaged, or no notebook: it has no cells", hint="save it again in Jupyter"
            )
        cells = [cell for sheet in sheets if isinstance(sheet, dict) for cell in _list(sheet.get("cells"))]
    builder = TextBuilder()
    for cell in cells:
        if isinstance(cell, dict):
            _write_cell(builder, cell, path)
    metadata = notebook.get("metadata")
    fields = flatten(metadata) if isinstance(metadata, dict) else {}
    names = (("language_info.name", "programming_language"), ("authors.name", "author"), ("authors", "author"))
    document = builder.document(path, fields.get("title", ""), {name: fields[k] for k, name in names if k in fields})
    yield replace(document, title=document.title or next((heading.text for heading in document.headings), ""))


def _write_cell(builder: TextBuilder, cell: dict[str, Any], path: Path) -> None:
    source = _joined(cell.get("source", cell.get("input", "")))
    kind = cell.get("cell_type")
    if kind == "markdown":
        builder.add(read_markdown(source).document(path))
    elif kind == "heading":
        level = cell.get("level")
        builder.heading(level if isinstance(level, int) and 1 <= level <= 6 else 1, source)
    elif kind == "code":
        builder.code(source)
        for output in _list(cell.get("outputs")):
            if isinstance(output, dict):
                _write_output(builder, output, path)
    else:
        builder.block(source)


def _write_output(builder: TextBuilder, output: dict[str, Any], path: Path) -> None:
    """Write what a cell printed, in the richest of its forms that is text."""
    kind = output.get("output_type")
    if kind == "stream":
        builder.code(_printed(_joined(output.get("text"))))
        return
    if kind in {"error", "pyerr"}:
        builder.code(f"{_joined(output.get('ename'))}: {_joined(output.get('evalue'))}")
        return
    data = output.get("data", output)
    if not isinstance(data, dict):
        return
    page = _joined(data.get("text/html", data.get("html")))
    markdown = _joined(data.get("text/markdown"))
    if "<table" in page:
        root = parse_html(page, path)
        if root is not None:
            HtmlWriter(builder).write(root)
    elif markdown:
        builder.add(read_markdown(markdown).document(path))
    else:
        plain = _joined(data.get("text/plain", data.get("text")))
        is_picture = any(str(key).startswith("image/") for key in data)
        if not (is_picture and plain.startswith("<")):  # "<Figure size 640x480 with 1 Axes>" beside a picture
            builder.code(_printed(plain))


def _printed(text: str) -> str:
    """The text as a terminal shows it at last: no colours, a line written over by ``\\r`` once."""
    lines = _ESCAPES.sub("", text).split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)


def _joined(value: Any) -> str:
    if isinstance(value, list):
        return "".join(part for part in value if isinstance(part, str))
    return value if isinstance(value, str) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
