"""Word documents: what a person sees with all tracked changes accepted, headers and footers once."""

from __future__ import annotations

import re
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

FEWEST_WORDS = 4
"""Words beside a page number in a header or footer that are kept; ``Page 3 of 7`` has fewer."""


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
    yield builder.document(path, usable_title(properties.get("title", "")) or _title(body), metadata_of(properties))


def _title(blocks: Iterable[Block]) -> str:
    """The first paragraph of the style Title, else the first heading of level 1."""
    from ragyena.documents.office.blocks import LONGEST_HEADING, Paragraph

    paragraphs = [b for b in blocks if isinstance(b, Paragraph) and len(b.text) <= LONGEST_HEADING]
    titles = [p.text for p in paragraphs if p.is_title] or [
        p.text for p in paragraphs if p.kind == "heading" and p.level == 1
    ]
    return titles[0] if titles else ""


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
    from ragyena.documents.office.blocks import Grid, Paragraph
    from ragyena.documents.office.word_text import read_part

    blocks: list[Block] = []
    for name in dict.fromkeys(targets.get(identifier, "") for identifier in identifiers):
        root = file.package.xml(name)
        if root is None:
            continue
        own_targets = {identifier: relation.target for identifier, relation in file.package.relations(name).items()}
        for block in read_part(root, own_targets, file):
            if isinstance(block, Grid):
                block = Grid([[_unnumbered(cell) for cell in row] for row in block.rows], block.header_rows)
            else:
                block = Paragraph(_unnumbered(block.text))
            if block not in blocks:
                blocks.append(block)
    return blocks


def _unnumbered(text: str) -> str:
    """A line of a header or footer without ``Page 3 of 7``."""
    from ragyena.documents.office.word_fields import PAGE_NUMBER

    if PAGE_NUMBER not in text:
        return text
    kept = []
    for piece in re.split(r"\t|\n| {3,}", text):
        words = piece.replace(PAGE_NUMBER, " ").split()
        if PAGE_NUMBER not in piece or sum(any(c.isalpha() for c in word) for word in words) >= FEWEST_WORDS:
            kept.append(" ".join(words))
    return "\t".join(kept)
