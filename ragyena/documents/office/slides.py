"""The slides of a pptx file, each as the blocks that a person sees on it, with its notes and comments."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ragyena.documents.office.blocks import Block, Paragraph
from ragyena.documents.office.drawings import chart_block, diagram_blocks, drawing_text, picture_text
from ragyena.documents.office.package import Element, Package, children, local
from ragyena.documents.office.slide_deck import Slide
from ragyena.documents.office.slide_order import Box, Shape, reading_order
from ragyena.documents.office.slide_text import A, P, frame_blocks, frame_lines, table_of

__all__ = ["Deck"]

_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_TITLES = frozenset(("title", "ctrTitle"))
_BESIDE = frozenset(("dt", "ftr", "hdr"))
"""Placeholders that repeat their text on every slide."""
_LIKE = {"ctrTitle": "title", "subTitle": "body", "obj": "body"}
"""Kinds of placeholders that stand for another in a layout or master."""


@dataclass(slots=True)
class _Part:
    """A slide, layout or master."""

    root: Element
    targets: Mapping[str, str]
    """Relation id -> name of a part."""
    kinds: Mapping[str, str]
    """Kind of relation -> name of the last part of that kind."""
    by_index: dict[str, Element] = field(default_factory=dict)
    by_kind: dict[str, Element] = field(default_factory=dict)
    """The placeholders of a layout or master."""
    is_read: bool = False
    """Its own texts have been given."""

    def placeholder(self, mark: Element) -> Element | None:
        """The placeholder that one of a slide inherits from: by index in a layout, else by kind."""
        kind = mark.get("type", "obj")
        found = self.by_index.get(mark.get("idx", "")) if self.root.tag == P + "sldLayout" else None
        return self.by_kind.get(_LIKE.get(kind, kind)) if found is None else found


@dataclass(frozen=True, slots=True)
class _Frame:
    """Place of the shapes of a group: x of the slide = ``x`` + ``scale_x`` * x of the group."""

    x: float = 0
    y: float = 0
    scale_x: float = 1
    scale_y: float = 1

    def box(self, at: Element | None) -> Box | None:
        off, ext = (None, None) if at is None else (at.find(A + "off"), at.find(A + "ext"))
        if off is None or ext is None:
            return None
        left = self.x + self.scale_x * _number(off.get("x"))
        top = self.y + self.scale_y * _number(off.get("y"))
        width, height = self.scale_x * _number(ext.get("cx")), self.scale_y * _number(ext.get("cy"))
        return Box(left, top, left + max(width, 0), top + max(height, 0))

    def inside(self, at: Element | None) -> _Frame:
        """The frame of the shapes of a group that stands at ``at``."""
        box = self.box(at)
        off, ext = (None, None) if at is None else (at.find(A + "chOff"), at.find(A + "chExt"))
        if box is None or off is None or ext is None:
            return self
        width, height = _number(ext.get("cx")), _number(ext.get("cy"))
        scale_x = (box.right - box.left) / width if width else 1.0
        scale_y = (box.bottom - box.top) / height if height else 1.0
        return _Frame(
            box.left - scale_x * _number(off.get("x")), box.top - scale_y * _number(off.get("y")), scale_x, scale_y
        )


class Deck:
    """A presentation. What its slides repeat (footers, texts of their master) is given once, with the first."""

    def __init__(self, package: Package, *, comments: bool, hidden: bool) -> None:
        self._package = package
        self._hidden = hidden
        self._comments = comments
        self._parts: dict[str, _Part | None] = {}
        self._repeated: set[str] = set()
        main = self._part(package.main_part("ppt/presentation.xml"))
        if main is None or main.root.tag != P + "presentation":
            raise ValueError("it holds no presentation")
        self._main = main
        self._authors = self._read_authors()

    def slides(self) -> Iterator[Slide]:
        """The slides in their order."""
        first = self._main.root.get("firstSlideNum", "1")
        number = int(first) if first.isascii() and first.isdigit() and len(first) < 6 else 1
        listed = self._main.root.find(P + "sldIdLst")
        for item in () if listed is None else listed.iterchildren(P + "sldId"):
            part = self._once(self._main.targets.get(item.get(_R + "id", ""), ""))
            if part is not None and part.root.get("show") in ("0", "false") and not self._hidden:
                yield Slide(number, is_hidden=True)
            else:
                yield Slide(number) if part is None else self._slide(part, number)
            number += 1

    def _slide(self, part: _Part, number: int) -> Slide:
        layout = self._part(part.kinds.get("slideLayout", ""))
        master = None if layout is None else self._part(layout.kinds.get("slideMaster", ""))
        behind = [one for one in (layout, master) if one is not None]
        slide = Slide(number)
        for shape in reading_order(self._shapes(part, behind)):
            if shape.is_title and not slide.title:
                slide.title = " ".join(b.text for b in shape.blocks if isinstance(b, Paragraph))
            else:
                slide.blocks += shape.blocks
        shown = part
        for one in behind:
            if shown.root.get("showMasterSp") in ("0", "false"):
                break
            for shape in () if one.is_read else reading_order(self._shapes(one, (), is_behind=True)):
                slide.blocks += self._first_time(shape.blocks)
            one.is_read = True
            shown = one
        notes = self._package.take_xml(part.kinds.get("notesSlide", ""))
        slide.notes = "" if notes is None else _notes(notes)
        if self._comments:
            slide.comments = self._comments_of(part)
        return slide

    def _first_time(self, blocks: Sequence[Block]) -> list[Block]:
        """The blocks whose text no slide has repeated before."""
        fresh = [b for b in blocks if not isinstance(b, Paragraph) or b.text not in self._repeated]
        self._repeated.update(b.text for b in fresh if isinstance(b, Paragraph))
        return fresh

    # --- shapes

    def _shapes(self, part: _Part, behind: Sequence[_Part], *, is_behind: bool = False) -> list[Shape]:
        """The shapes of a slide, or those of a layout or master (``is_behind``) that show on its slides."""
        top = Shape(None)
        tree = next(part.root.iter(P + "spTree"), None)
        waiting: list[tuple[Element, Shape, _Frame]] = [] if tree is None else [(tree, top, _Frame())]
        while waiting:
            element, group, frame = waiting.pop()
            for child in children(element):
                name = local(child)
                if name == "grpSp":
                    at = child.find(f"{P}grpSpPr/{A}xfrm")
                    shape = Shape(frame.box(at))
                    group.parts.append(shape)
                    if not _is_hidden(child):
                        waiting.append((child, shape, frame.inside(at)))
                elif name == "AlternateContent":
                    option = next(iter(children(child)), None)  # the first is the newest that programs of today show
                    if option is not None:
                        shape = Shape(None)
                        group.parts.append(shape)
                        waiting.append((option, shape, frame))
                elif name in ("sp", "graphicFrame", "pic") and not _is_hidden(child):
                    shape = self._shape(child, part, behind, frame, is_behind=is_behind)
                    if shape.blocks:
                        group.parts.append(shape)
        return _with_boxes(top).parts

    def _shape(
        self, element: Element, part: _Part, behind: Sequence[_Part], frame: _Frame, *, is_behind: bool
    ) -> Shape:
        at = element.find(P + "xfrm") if local(element) == "graphicFrame" else element.find(f"{P}spPr/{A}xfrm")
        mark = next(element.iter(P + "ph"), None)
        if mark is not None and is_behind:
            return Shape(None)  # its text is a prompt
        kind = "" if mark is None else mark.get("type", "obj")
        models = [] if mark is None else [m for one in behind if (m := one.placeholder(mark)) is not None]
        box = frame.box(at)
        for model in models:
            box = box or _Frame().box(model.find(f"{P}spPr/{A}xfrm"))
        shape = Shape(box, is_title=kind in _TITLES)
        body = element.find(P + "txBody")
        if body is not None and kind != "sldNum":
            styles = [s for m in models if (s := m.find(f"{P}txBody/{A}lstStyle")) is not None]
            shape.blocks = frame_blocks(body, [*styles, *_master_styles(behind, kind)] if mark is not None else ())
        elif local(element) == "graphicFrame":
            shape.blocks = self._graphic(element, part)
        if kind in _BESIDE:
            shape.blocks = self._first_time(shape.blocks)
        if local(element) == "pic" or (body is None and not shape.blocks):
            text = next((picture_text(e) for e in element.iter(P + "cNvPr")), "")
            shape.blocks = [Paragraph(text)] if text else []
        return shape

    def _graphic(self, element: Element, part: _Part) -> list[Block]:
        data = next(element.iter(A + "graphicData"), None)
        blocks: list[Block] = []
        for child in () if data is None else children(data):
            if child.tag == A + "tbl":
                blocks += table_of(child)
                continue
            name = local(child)
            reference = child.get(_R + ("dm" if name == "relIds" else "id"), "")
            root = self._package.take_xml(part.targets.get(reference, "")) if name in ("chart", "relIds") else None
            if root is not None and name == "chart":
                chart = chart_block(root)
                blocks += [] if chart is None else [chart]
            elif root is not None:
                blocks += diagram_blocks(root)
        return blocks

    # --- parts

    def _part(self, name: str) -> _Part | None:
        """A part that slides share."""
        if name not in self._parts:
            self._parts[name] = self._once(name)
        return self._parts[name]

    def _once(self, name: str) -> _Part | None:
        root = self._package.take_xml(name)
        if root is None:
            return None
        relations = self._package.relations(name)
        targets = {identifier: relation.target for identifier, relation in relations.items()}
        part = _Part(root, targets, {relation.kind: relation.target for relation in relations.values()})
        for mark in () if root.tag == P + "sld" else root.iter(P + "ph"):
            kind, shape = mark.get("type", "obj"), next(mark.iterancestors(P + "sp"), None)
            if shape is not None:
                part.by_index.setdefault(mark.get("idx", ""), shape)
                part.by_kind.setdefault(_LIKE.get(kind, kind), shape)
        return part

    def _read_authors(self) -> dict[str, str]:
        """Id -> name of those who wrote comments, of both kinds of comments that PowerPoint has had."""
        authors: dict[str, str] = {}
        for kind in ("commentAuthors", "authors") if self._comments else ():
            root = self._package.xml(self._main.kinds.get(kind, ""))
            for element in () if root is None else children(root):
                authors[element.get("id", "")] = element.get("name", "")
        return authors

    def _comments_of(self, part: _Part) -> list[str]:
        comments = []
        root = self._package.take_xml(part.kinds.get("comments", ""))
        for element in () if root is None else root.iter():
            if local(element) in ("cm", "reply"):
                plain = next((e.text or "" for e in children(element) if local(e) == "text"), "")
                body = next((e for e in children(element) if local(e) == "txBody"), None)
                text = " ".join((plain or drawing_text(body)).split())
                author = self._authors.get(element.get("authorId", "")) or "an unnamed author"
                if text:
                    comments.append(f"Comment by {author}: {text}")
        return comments


def _with_boxes(top: Shape) -> Shape:
    """Give shapes that only hold others, and groups without a place, the box around these."""
    order, waiting = [], [top]
    while waiting:
        shape = waiting.pop()
        order.append(shape)
        waiting.extend(shape.parts)
    for shape in reversed(order):
        boxes = [part.box for part in shape.parts if part.box is not None]
        if shape.box is None and boxes:
            lefts, tops, rights, bottoms = zip(*boxes)
            shape.box = Box(min(lefts), min(tops), max(rights), max(bottoms))
        shape.parts = [part for part in shape.parts if part.blocks or part.parts]
    return top


def _master_styles(behind: Sequence[_Part], kind: str) -> list[Element]:
    """The style of all texts of a kind that the master has."""
    name = "titleStyle" if kind in _TITLES else "otherStyle" if kind in _BESIDE else "bodyStyle"
    roots = [one.root for one in behind if one.root.tag == P + "sldMaster"]
    return [style for root in roots if (style := root.find(f"{P}txStyles/{P}{name}")) is not None]


def _notes(root: Element) -> str:
    for shape in root.iter(P + "sp"):
        mark, body = next(shape.iter(P + "ph"), None), shape.find(P + "txBody")
        if mark is not None and mark.get("type") == "body" and body is not None:
            return frame_lines(body)
    return ""


def _is_hidden(element: Element) -> bool:
    named = next(element.iter(P + "cNvPr"), None)
    return named is not None and named.get("hidden") in ("1", "true")


def _number(text: str | None) -> float:
    return float(text) if text is not None and re.fullmatch(r"-?[0-9]{1,15}", text) else 0.0
