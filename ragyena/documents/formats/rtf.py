"""Rich Text Format, with its headings, lists, tables and footnotes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.decoding import LARGEST
from ragyena.documents.rtf_text import write_rtf
from ragyena.documents.text_builder import TextBuilder
from ragyena.errors import UnreadableDocumentError
from ragyena.files import read_file
from ragyena.types import Document

SUFFIXES = (".rtf",)
WAY_OUT: dict[str, str] = {}


def load(path: Path, config: IndexConfig) -> Iterator[Document]:
    data = read_file(path, LARGEST).lstrip()
    if not data.startswith(b"{\\rtf"):
        raise UnreadableDocumentError(
            f"{path} is damaged, or no RTF: it does not begin with {{\\rtf", hint="save it again as .rtf"
        )
    builder = TextBuilder()
    title, metadata = write_rtf(data, builder)
    yield builder.document(path, title, metadata)
