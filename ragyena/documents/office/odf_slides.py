"""The slides of an OpenDocument presentation, each as the blocks that a person sees on it, with its notes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ragyena.documents.office.blocks import Block, Paragraph, flat
from ragyena.documents.office.odf_file import DRAW, OFFICE, PRESENTATION, SVG, OdfFile
from ragyena.documents.office.odf_text import Walk
from ragyena.documents.office.package import Element, children
from ragyena.documents.office.slide_deck import Slide
from ragyena.documents.office.slide_order import Box, Shape, reading_order

__all__ = ["slides_of"]

_BESIDE = frozenset(("header", "footer", "date-time", "page-number"))
"""Classes of frames that repeat their text on every slide."""
_UNITS = {"cm": 1.0, "mm": 0.1, "in": 2.54, "pt": 2.54 / 72, "pc": 2.54 / 6, "px": 2.54 / 96, "": 1.0}
_LENGTH = re.compile(r"(-?\d{1,9}(?:\.\d{1,9})?)(cm|mm|in|pt|pc|px|)")


def slides_of(file: OdfFile, *, comments: bool, hidden: bool) -> Iterator[Slide]:
    """The slides in their order. Texts that every slide repeats are given once, with the first."""
    walk = Walk(file, comments=comments)
    body = file.body.find(OFFICE + "presentation")
    pages = [] if body is None else list(body.iterchildren(DRAW + "page"))
    masters = {master.get(_STYLE_NAME, ""): master for master in file.masters}
    footers = {} if body is None else {e.get(PRESENTATION + "name"): e for e in body.iterchildren(_FOOTER)}
    seen: set[str] = set()
    for number, page in enumerate(pages, start=1):
        if page.get(DRAW + "style-name") in file.hidden_pages and not hidden:
            yield Slide(number, is_hidden=True)
            continue
        slide = Slide(number)
        for shape in reading_order(_shapes(page, walk)):
            if shape.is_title and not slide.title:
                slide.title = flat(shape.blocks)
            else:
                slide.blocks += shape.blocks
        master = masters.pop(page.get(DRAW + "master-page-name", ""), None)
        repeated = [] if master is None else [b for s in reading_order(_shapes(master, walk)) for b in s.blocks]
        footer = footers.pop(page.get(PRESENTATION + "use-footer-name"), None)
        repeated += [] if footer is None else [Paragraph(" ".join((footer.text or "").split()))]
        for block in repeated:
            if not isinstance(block, Paragraph) or block.text not in seen:
                slide.blocks.append(block)
                seen.add(block.text if isinstance(block, Paragraph) else "")
        slide.notes = "\n".join(_notes(page, walk))
        if comments:
            found = [b for e in page.iterchildren(OFFICE + "annotation") for b in walk.read(e)]
            slide.comments = [block.text for block in found if isinstance(block, Paragraph)]
        yield slide


def _shapes(page: Element, walk: Walk) -> list[Shape]:
    top = Shape(None)
    waiting = [(page, top)]
    groups = [top]
    while waiting:
        element, group = waiting.pop()
        for child in children(element):
            if child.tag == DRAW + "g":
                shape = Shape(None)
                group.parts.append(shape)
                groups.append(shape)
                waiting.append((child, shape))
            elif child.tag.startswith(DRAW) and not _is_prompt(child):
                blocks = walk.read(child)
                if blocks:
                    kind = child.get(PRESENTATION + "class")
                    group.parts.append(Shape(_box(child), _plain(blocks), is_title=kind == "title"))
    for group in reversed(groups):
        boxes = [part.box for part in group.parts if part.box is not None]
        if boxes:
            lefts, tops, rights, bottoms = zip(*boxes)
            group.box = Box(min(lefts), min(tops), max(rights), max(bottoms))
        group.parts = [part for part in group.parts if part.blocks or part.parts]
    return top.parts


def _is_prompt(element: Element) -> bool:
    """True for an empty placeholder, which shows a prompt, and for what every slide repeats."""
    kind: str = element.get(PRESENTATION + "class", "")
    is_masters = bool(kind) and next(element.iterancestors(DRAW + "page"), None) is None
    return kind in _BESIDE or _is_empty(element) or is_masters


def _plain(blocks: list[Block]) -> list[Block]:
    """A bullet before a single paragraph makes no list; paragraphs of one frame stand together."""
    if len(blocks) == 1 and isinstance(blocks[0], Paragraph) and blocks[0].marker == "-":
        return [Paragraph(blocks[0].text)]
    for block in blocks:
        if isinstance(block, Paragraph) and block.kind == "prose":
            block.tight = True
    return blocks


def _notes(page: Element, walk: Walk) -> Iterator[str]:
    for notes in page.iterchildren(PRESENTATION + "notes"):
        for frame in children(notes):
            if frame.get(PRESENTATION + "class") == "notes" and not _is_empty(frame):
                for block in walk.read(frame):
                    yield block.text if isinstance(block, Paragraph) else flat([block])


def _is_empty(frame: Element) -> bool:
    placeholder: str = frame.get(PRESENTATION + "placeholder", "")
    return placeholder == "true"


def _box(element: Element) -> Box | None:
    lengths = [_LENGTH.fullmatch(element.get(SVG + name, "")) for name in ("x", "y", "width", "height")]
    if lengths[0] is None or lengths[1] is None:
        return None
    left, top, width, height = (float(f[1]) * _UNITS[f[2]] if f is not None else 0.0 for f in lengths)
    return Box(left, top, left + max(width, 0.0), top + max(height, 0.0))


_STYLE_NAME = "{urn:oasis:names:tc:opendocument:xmlns:style:1.0}name"
_FOOTER = PRESENTATION + "footer-decl"
