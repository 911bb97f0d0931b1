"""OpenDocument texts (LibreOffice Writer): what a person sees with all tracked changes accepted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ragyena.config import IndexConfig
from ragyena.documents.text_builder import TextBuilder
from ragyena.types import Document

if TYPE_CHECKING:
    from ragyena.documents.office.blocks import Block
    from ragyena.documents.office.odf_file import OdfFile

SUFFIXES = (".odt", ".ott", ".fodt")
WAY_OUT = dict.fromkeys((".sxw", ".odm"), "save it as .odt or .pdf")


def load(path: Path, config: IndexConfig) -> Iterator[Document]:
    from ragyena.documents.office.blocks import title_of, write
    from ragyena.documents.office.odf_file import open_odf
    from ragyena.documents.office.odf_text import Walk
    from ragyena.documents.office.package import metadata_of, usable_title

    builder = TextBuilder()
    with open_odf(path, config) as file:
        body = Walk(file, comments=config.comments).read(file.body)
        headers = _beside(file, "header")
        footers = [block for block in _beside(file, "footer") if block not in headers]
        properties = file.properties
    write([*headers, *body, *footers], builder)
    yield builder.document(path, usable_title(properties.get("title", "")) or title_of(body), metadata_of(properties))


def _beside(file: OdfFile, name: str) -> list[Block]:
    """The blocks of all headers or footers."""
    from ragyena.documents.office.odf_file import STYLE
    from ragyena.documents.office.odf_text import Walk
    from ragyena.documents.office.page_margins import once

    tags = [STYLE + name + kind for kind in ("", "-left", "-first")]
    walk = Walk(file)
    parts = [part for master in file.masters for part in master.iterchildren(*tags)]
    shown = [part for part in parts if part.get(STYLE + "display") != "false"]
    return once(block for part in shown for block in walk.read(part))
