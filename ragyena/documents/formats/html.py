"""HTML and saved web pages: their readable text, without scripts and navigation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.decoding import LARGEST
from ragyena.documents.html_tree import decode_html, main_parts, metadata_of, parse_html, title_of
from ragyena.documents.html_writer import HtmlWriter
from ragyena.documents.text_builder import TextBuilder
from ragyena.errors import UnreadableDocumentError
from ragyena.files import read_file
from ragyena.types import Document

SUFFIXES = (".html", ".htm", ".xhtml", ".mhtml", ".mht")
WAY_OUT: dict[str, str] = {}


def load(path: Path, config: IndexConfig) -> Iterator[Document]:
    data, declared = read_file(path, LARGEST), ""
    if path.suffix.lower() in {".mhtml", ".mht"}:
        data, declared = _page_of_archive(data, path)
    root = parse_html(decode_html(data, path, declared), path)
    builder = TextBuilder()
    if root is None:
        yield builder.document(path)
        return
    HtmlWriter(builder).write(*main_parts(root))
    yield builder.document(path, title_of(root), metadata_of(root))


def _page_of_archive(data: bytes, path: Path) -> tuple[bytes, str]:
    """The page of a web archive (MIME), and the encoding that its header names."""
    from ragyena.documents.mail import parse_parts

    for part in parse_parts(data, path):
        if part.content_type == "text/html":
            return part.data, part.charset
    raise UnreadableDocumentError(f"{path} holds no page", hint="save it again from a browser, as .html")
