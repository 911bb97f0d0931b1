"""E-books (EPUB 2 and 3): the chapters in reading order, with the printed pages where the book marks them."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from zipfile import ZipFile

from ragyena.config import IndexConfig
from ragyena.documents.html_tree import Element, decode_html, name_of, parse_html, visible_text
from ragyena.documents.html_writer import HtmlWriter
from ragyena.documents.text_builder import TextBuilder, check_office_file
from ragyena.errors import UnreadableDocumentError
from ragyena.types import Document

SUFFIXES = (".epub",)
WAY_OUT = dict.fromkeys((".mobi", ".azw", ".azw3"), "convert it to .epub")

_PAGES = (".xhtml", ".html", ".htm", ".xml")
_METADATA = {"creator": "author", "date": "created", "language": "language", "subject": "keywords"}
_METADATA |= {"description": "description", "publisher": "publisher"}


def load(path: Path, config: IndexConfig) -> Iterator[Document]:
    check_office_file(path, config)
    with ZipFile(path) as archive:
        names = dict.fromkeys(archive.namelist())
        package, folder = _package(archive, names)
        _check_protection(archive, names, path)
        chapters, labels = _reading_order(archive, names, package, folder)
        builder = TextBuilder()
        if any(b"pagebreak" in archive.read(name) for name in chapters):
            builder.page()  # what stands before the first page that is marked
        for name in chapters:
            root = parse_html(decode_html(archive.read(name), path), path)
            if root is None:
                continue
            body = next((node for node in root.iter() if name_of(node) == "body"), root)
            label = labels.get(name)
            if label and not any(name_of(node) in {"h1", "h2", "h3"} for node in body.iter()):
                builder.heading(1, label)
            HtmlWriter(builder).write(body)
    title, metadata = _metadata(package)
    yield builder.document(path, title, metadata)


def _parsed(data: bytes) -> Element | None:
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, recover=True)
    try:
        return etree.fromstring(data, parser)
    except etree.XMLSyntaxError:
        return None


def _package(archive: ZipFile, names: dict[str, None]) -> tuple[Any, str]:
    """The package document and its folder; (None, "") where the book has none."""
    place = next((name for name in names if name.lower().endswith(".opf")), "")
    container = _parsed(archive.read("META-INF/container.xml")) if "META-INF/container.xml" in names else None
    if container is not None:
        stated = next((node.get("full-path") or "" for node in container.iter() if name_of(node) == "rootfile"), "")
        place = stated if stated in names else place
    if not place:
        return None, ""
    return _parsed(archive.read(place)), posixpath.dirname(place)


def _check_protection(archive: ZipFile, names: dict[str, None], path: Path) -> None:
    if "META-INF/encryption.xml" not in names:
        return
    root = _parsed(archive.read("META-INF/encryption.xml"))
    targets = (
        [] if root is None else [node.get("URI") or "" for node in root.iter() if name_of(node) == "cipherreference"]
    )
    if any(target.lower().endswith(_PAGES) for target in targets):
        raise UnreadableDocumentError(
            f"{path} is protected against copying: its text is encrypted", hint="get a copy without protection"
        )


def _reading_order(
    archive: ZipFile, names: dict[str, None], package: Any, folder: str
) -> tuple[list[str], dict[str, str]]:
    """The files of the chapters, and for each the name that the table of contents gives it."""
    items: dict[str, tuple[str, str]] = {}
    spine: list[str] = []
    if package is not None:
        for node in package.iter():
            name = name_of(node)
            if name == "item":
                place = _joined(folder, node.get("href") or "")
                items[node.get("id") or ""] = (place, f"{node.get('media-type')} {node.get('properties') or ''}")
            elif name == "itemref" and node.get("idref"):
                spine.append(node.get("idref"))
    contents = [place for place, kind in items.values() if "dtbncx" in kind or kind.split()[-1:] == ["nav"]]
    order = [items[key][0] for key in dict.fromkeys(spine) if key in items and " nav" not in items[key][1]]
    order = [place for place in order if place in names]
    if not order:  # no package, or one that names nothing: every page as it stands in the file
        order = [name for name in names if name.lower().endswith(_PAGES[:3]) and name not in contents]
    labels: dict[str, str] = {}
    for place in contents:
        if place in names:
            for target, text in _entries(archive.read(place)):
                labels.setdefault(_joined(posixpath.dirname(place), target), text)
    return order, labels


def _entries(data: bytes) -> Iterator[tuple[str, str]]:
    """(file, name) of the entries of a table of contents, of EPUB 3 (``nav``) or 2 (``ncx``)."""
    root = _parsed(data)
    label = ""
    for node in root.iter() if root is not None else ():
        name = name_of(node)
        if name == "a" and node.get("href"):
            yield node.get("href"), " ".join("".join(visible_text(node)).split())[:200]
        elif name == "text":
            label = " ".join((node.text or "").split())[:200]
        elif name == "content" and node.get("src"):
            yield node.get("src"), label


def _joined(folder: str, target: str) -> str:
    return posixpath.normpath(posixpath.join(folder, unquote(target.partition("#")[0])))


def _metadata(package: Any) -> tuple[str, dict[str, str]]:
    fields: dict[str, list[str]] = {}
    for node in package.iter() if package is not None else ():
        name, text = name_of(node), " ".join((node.text or "").split())[:2000]
        if name in {*_METADATA, "title"} and text and "purl.org/dc" in str(node.tag):
            fields.setdefault(name, []).append(text)
    title = (fields.pop("title", None) or [""])[0]
    return title, {_METADATA[name]: ", ".join(texts[:50]) for name, texts in fields.items()}
