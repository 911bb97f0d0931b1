"""XML without its markup: documents (DocBook, JATS, TEI, DITA ...), feeds, drawings, and records of data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ragyena.config import IndexConfig
from ragyena.documents.decoding import LARGEST
from ragyena.documents.html_tree import Element, main_parts, metadata_of, name_of, title_of
from ragyena.documents.html_writer import HtmlWriter
from ragyena.documents.text_builder import TextBuilder
from ragyena.documents.xml_data import write_data, write_feed
from ragyena.documents.xml_vocabularies import as_html, is_document
from ragyena.errors import UnreadableDocumentError
from ragyena.files import read_file
from ragyena.types import Document, Skipped

SUFFIXES = (".xml", ".nxml", ".dbk", ".docbook", ".tei", ".dita", ".fb2", ".rss", ".atom", ".svg", ".xbrl")
WAY_OUT = {".xml": "check it with: xmllint --noout FILE"}

LONGEST_ENTITY = 500
"""Chars of an entity of the file's own that is put in; what is longer, or refers to others or to files, is left out."""


def load(path: Path, config: IndexConfig) -> Iterator[Document | Skipped]:
    root, fault = _parsed(read_file(path, LARGEST), path)
    builder = TextBuilder()
    title, metadata = "", {}
    name = name_of(root)
    if name == "html":
        title, metadata = title_of(root), metadata_of(root)
        HtmlWriter(builder).write(*main_parts(root))
    elif name in {"rss", "feed", "rdf"}:
        title = write_feed(builder, root)
    elif name == "svg":
        title = _write_drawing(builder, root)
    elif is_document(root):
        title, metadata = as_html(root)
        HtmlWriter(builder).write(root)
    else:
        write_data(builder, root)
    yield builder.document(path, title, metadata)
    if fault is not None:
        yield Skipped(
            f"{path}#{fault}", f"{path} is damaged at line {fault}: text after it may be missing", WAY_OUT[".xml"]
        )


def _parsed(data: bytes, path: Path) -> tuple[Element, int | None]:
    """The root element, and the line of the first fault where there is one. Entities of other files are not read."""
    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=True, remove_pis=True,
        remove_comments=True,
    )  # fmt: skip
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise UnreadableDocumentError(f"{path} is damaged, or no XML: {error}", hint=WAY_OUT[".xml"]) from error
    if root is None or not isinstance(root.tag, str):
        raise UnreadableDocumentError(f"{path} is damaged, or no XML", hint=WAY_OUT[".xml"])
    faults: list[Any] = [entry for entry in parser.error_log if entry.level >= 3 and entry.type_name not in _HARMLESS]
    if any("depth" in fault.message for fault in faults):
        raise UnreadableDocumentError(
            f"{path} nests elements too deeply to be read (line {faults[0].line})",
            hint="make it flatter, or convert it",
        )
    _put_in_entities(root, data)
    return root, faults[0].line if faults else None


_HARMLESS = frozenset({"WAR_UNDECLARED_ENTITY", "ERR_UNDECLARED_ENTITY", "NS_ERR_UNDEFINED_NAMESPACE"})


def _put_in_entities(root: Element, data: bytes) -> None:
    """Replace references to the entities that the file defines as plain text, and to those of HTML."""
    from html.entities import html5

    from lxml import etree

    table = root.getroottree().docinfo.internalDTD
    own = {entity.name: entity.content or "" for entity in table.entities()} if table is not None else {}
    budget = len(data) + 10_000
    for node in list(root.iter(etree.Entity)):
        text = own.get(node.name, html5.get(f"{node.name};", ""))
        if "&" in text or "<" in text or len(text) > LONGEST_ENTITY or len(text) > budget:
            text = ""
        budget -= len(text)
        text += node.tail or ""
        previous, parent = node.getprevious(), node.getparent()
        node.tail = None
        if previous is not None:
            previous.tail = (previous.tail or "") + text
        else:
            parent.text = (parent.text or "") + text
        parent.remove(node)


def _write_drawing(builder: TextBuilder, root: Element) -> str:
    """The texts of an SVG drawing, each on a line; its title."""
    title = ""
    for node in root.iter():
        name = name_of(node) if isinstance(node.tag, str) else ""
        text = " ".join("".join(node.itertext()).split()) if name in {"title", "desc", "text"} else ""
        if name == "title" and not title and node.getparent() is root:
            title = text
        builder.block(text, tight=name == "text")
    return title
