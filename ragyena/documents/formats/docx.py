"""Word documents: what a person sees with all tracked changes accepted, headers and footers once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ragyena.config import IndexConfig
from ragyena.documents.text_builder import TextBuilder
from ragyena.types import Document

if TYPE_CHECKING:
    from ragyena.documents.office.blocks import Block
    from ragyena.documents.office.package import Element
    from ragyena.documents.office.word_state import WordFile

SUFFIXES = (".docx", ".docm", ".dotx", ".dotm")
WAY_OUT = dict.fromkeys((".doc", ".dot", ".wps", ".pages"), "save it as .docx or .pdf")


def load(path: Path, config: IndexConfig) -> Iterator[Document]:
    from ragyena.documents.office import blocks
    from ragyena.documents.office.package import Package, metadata_of, usable_title
    from ragyena.documents.office.word_notes import Notes
    from ragyena.documents.office.word_numbering import read_numbering
    from ragyena.documents.office.word_state import WordFile
    from ragyena.documents.office.word_styles import W, is_on, read_styles
    from ragyena.documents.office.word_text import read_part

    with Package(path, config) as package:
        main = package.main_part("word/document.xml")
        root = package.xml(main)
        if root is None or root.tag != W + "document":
            raise ValueError("it holds no Word document")
        relations = package.relations(main)
        parts = {relation.kind: relation.target for relation in relations.values()}
        targets = {identifier: relation.target for identifier, relation in relations.items()}
        styles = read_styles(package.xml(parts.get("styles", "")))
        file = WordFile(package, styles, read_numbering(package.xml(parts.get("numbering", "")), styles), Notes())
        settings = package.xml(parts.get("settings", ""))
        file.has_even_pages = settings is not None and is_on(settings, "evenAndOddHeaders")
        _read_notes(file, parts, settings, comments=config.comments)
        body = read_part(root, targets, file)
        headers = _beside(file, file.headers, targets)
        footers = _beside(file, file.footers, targets)
        properties = package.properties

    builder = TextBuilder()
    blocks.write(headers, builder)
    blocks.write(body, builder)
    blocks.write([block for block in footers if block not in headers], builder)
    yield builder.document(
        path, usable_title(properties.get("title", "")) or blocks.title_of(body), metadata_of(properties)
    )


def _read_notes(file: WordFile, parts: Mapping[str, str], settings: Element | None, *, comments: bool) -> None:
    """Read the footnotes and endnotes of a file, and its comments where they are asked for."""
    from ragyena.documents.office.blocks import flat
    from ragyena.documents.office.package import children
    from ragyena.documents.office.word_notes import Notes
    from ragyena.documents.office.word_styles import W, attribute
    from ragyena.documents.office.word_text import read_part

    apart = replace(file, notes=Notes())  # a note that refers to a note does not contain it
    for kind in ("footnote", "endnote", "comment") if comments else ("footnote", "endnote"):
        name = parts.get(f"{kind}s", "")
        root = file.package.xml(name)
        targets = {} if root is None else {i: r.target for i, r in file.package.relations(name).items()}
        for element in () if root is None else children(root):
            text = flat(read_part(element, targets, apart))
            if kind == "comment" and text:
                text = f"Comment by {element.get(W + 'author') or 'an unnamed author'}: {text}"
            file.notes.add(kind, element.get(W + "id", ""), text)
        style = None if settings is None else attribute(settings.find(f"{W}{kind}Pr"), "numFmt")
        if style is not None:
            file.notes.number_by(kind, style)


def _beside(file: WordFile, identifiers: Iterable[str], targets: Mapping[str, str]) -> list[Block]:
    """The blocks of headers or footers, each text once, without the numbers of pages."""
    from ragyena.documents.office.page_margins import once
    from ragyena.documents.office.word_text import read_part

    blocks: list[Block] = []
    for name in dict.fromkeys(targets.get(identifier, "") for identifier in identifiers):
        root = file.package.xml(name)
        relations = {} if root is None else file.package.relations(name)
        if root is not None:
            blocks += read_part(root, {identifier: relation.target for identifier, relation in relations.items()}, file)
    return once(blocks)
