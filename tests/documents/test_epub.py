"""E-books: chapters in reading order, names of chapters, printed pages, metadata."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from ragyena.config import IndexConfig
from ragyena.documents.loading import load
from ragyena.errors import UnreadableDocumentError
from ragyena.types import Document

CONTAINER = '<container><rootfiles><rootfile full-path="OEBPS/book.opf"/></rootfiles></container>'
PACKAGE = """<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>
<dc:title>The Heron</dc:title><dc:creator>R. Vance</dc:creator><dc:creator>A. Roe</dc:creator><dc:language>en
</dc:language></metadata><manifest>
<item id="n" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
<item id="b" href="text/b%20two.xhtml" media-type="application/xhtml+xml"/>
<item id="a" href="text/a.xhtml" media-type="application/xhtml+xml"/></manifest>
<spine><itemref idref="n"/><itemref idref="b"/><itemref idref="a"/></spine></package>"""
NAV = """<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops"><body>
<nav epub:type="toc"><ol><li><a href="text/b%20two.xhtml#x">First chapter</a></li>
<li><a href="text/a.xhtml">Last</a></li></ol></nav></body>
</html>"""
PAGE = """<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml"
xmlns:epub="http://www.idpf.org/2007/ops"><head><title/></head><body>{}</body></html>"""


def write(path: Path, files: dict[str, str]) -> Path:
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/epub+zip")
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def book(tmp_path: Path, **more: str) -> Path:
    break_ = '<span epub:type="pagebreak" id="p{0}" title="{0}"/>'
    return write(
        tmp_path / "a.epub",
        {
            "META-INF/container.xml": CONTAINER,
            "OEBPS/text/a.xhtml": PAGE.format("<h2>Own heading</h2><p>The end.</p>"),
            "OEBPS/book.opf": PACKAGE,
            "OEBPS/nav.xhtml": NAV,
            "OEBPS/text/b two.xhtml": PAGE.format(
                f"<p>{break_.format('iv')}The heron nests in April.</p>"
                f"<p>It is {break_.format('5')}grey.</p><p>Tall.</p>"
            ),
            **more,
        },
    )


def test_chapters_in_reading_order_with_pages(tmp_path: Path) -> None:
    (document,) = load(book(tmp_path), IndexConfig())
    assert isinstance(document, Document)
    assert document.title == "The Heron"
    assert document.metadata == {"author": "R. Vance, A. Roe", "language": "en"}
    assert document.text == (
        "First chapter\n\nThe heron nests in April.\n\nIt is grey.\n\nTall.\n\nOwn heading\n\nThe end."
    )
    assert [(h.level, h.text) for h in document.headings] == [(1, "First chapter"), (2, "Own heading")]
    assert document.page_labels == ("", "iv", "5")
    assert [document.text[start:][:9] for start in document.page_starts] == ["First cha", "The heron", "It is gre"]


def test_a_book_without_a_package(tmp_path: Path) -> None:
    path = write(tmp_path / "a.epub", {"c.xhtml": "<html><body><p>The heron nests in April.</p></body></html>"})
    (document,) = load(path, IndexConfig())
    assert isinstance(document, Document)
    assert document.text == "The heron nests in April."


def test_a_protected_book_is_named(tmp_path: Path) -> None:
    protection = '<encryption><x><CipherReference URI="OEBPS/text/a.xhtml"/></x></encryption>'
    path = book(tmp_path, **{"META-INF/encryption.xml": protection})
    with pytest.raises(UnreadableDocumentError, match="is protected against copying"):
        list(load(path, IndexConfig()))


def test_a_book_that_unpacks_without_bound_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.epub", {"c.xhtml": " " * 25_000_000})
    with pytest.raises(UnreadableDocumentError, match="unpacks to 25 MB"):
        list(load(path, IndexConfig(max_file_mb=1)))
