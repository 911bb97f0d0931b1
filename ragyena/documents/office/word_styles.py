"""Styles of a docx file: what a paragraph inherits from its style and the styles that is based on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ragyena.documents.office.package import Element

__all__ = ["BODY_LEVEL", "Style", "Styles", "W", "attribute", "integer", "is_on", "read_styles"]

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
LONGEST_CHAIN = 50
"""Styles based on one another; a longer chain is a loop."""

# Word names its own styles in English in every language; other programs, and styles made by hand, do not.
_HEADING = re.compile(
    r"(?i)(?:heading|head|überschrift|berschrift|titre|título|titulo|titolo|ttulo|kop|rubrik|overskrift|otsikko|"
    r"nagłówek|nagwek|nadpis|címsor|cmsor|başlık|balk|заголовок|заглавие|επικεφαλίδα|標題|标题|見出し|제목|عنوان|כותרת)"
    r"[ _]?([1-9])"
)
_TITLE = re.compile(r"(?i)title|titel|titre|título|titolo|tytuł|název|cím|название|标题|標題|表題|제목")
_CODE = re.compile(r"(?i).*\b(?:source code|code block|code|preformatted(?: text)?|listing|verbatim|plain text code)")
_LIST = re.compile(r"(?i)list (?:bullet|number)(?: ([2-5]))?")
_CONTENTS = re.compile(r"(?i)(?:toc|contents|table of figures|verzeichnis) ?\d*")
BODY_LEVEL = 9
"""The outline level of text that is no heading."""


@dataclass(frozen=True, slots=True)
class Style:
    """Properties of the paragraphs of a style, its parents' included."""

    heading: int = 0
    """Level of a heading, 0 for none."""
    list_id: str | None = None
    """The list (``w:num``) that its paragraphs are items of; "0" for none."""
    list_level: int | None = None
    is_title: bool = False
    list_depth: int = 0
    """Depth (1 = outermost) of an item of a list, as the style's name says: ``List Bullet 2``."""
    is_code: bool = False
    is_contents: bool = False
    """An entry of a table of contents."""
    is_hidden: bool = False


class Styles:
    """The styles of a file by id; unknown ids are judged by their names."""

    def __init__(self, styles: Mapping[str, Style], default: str) -> None:
        self._styles = dict(styles)
        self._default = default

    def __getitem__(self, identifier: str | None) -> Style:
        identifier = self._default if identifier is None else identifier
        style = self._styles.get(identifier)
        if style is None:
            style = self._styles[identifier] = _by_name(identifier, Style())
        return style


def attribute(element: Element | None, child: str, name: str = "val") -> str | None:
    """The attribute ``w:name`` of the child ``w:child`` of an element, None where either is absent."""
    found = None if element is None else element.find(W + child)
    return None if found is None else found.get(W + name)


def integer(text: str | None, default: int) -> int:
    """A whole number of at most nine digits, ``default`` for anything else."""
    return int(text) if text is not None and re.fullmatch(r"[+-]?[0-9]{1,9}", text.strip()) else default


def is_on(element: Element | None, child: str) -> bool:
    """True where the switch ``w:child`` is there and not turned off."""
    found = None if element is None else element.find(W + child)
    return found is not None and found.get(W + "val", "true").lower() not in ("0", "false", "off")


def read_styles(root: Element | None) -> Styles:
    """The styles of ``styles.xml``; any that are absent are judged by their ids."""
    elements = {} if root is None else {e.get(W + "styleId", ""): e for e in root.iterchildren(W + "style")}
    default = next(
        (i for i, e in elements.items() if e.get(W + "type") == "paragraph" and e.get(W + "default") in ("1", "true")),
        "",
    )
    resolved: dict[str, Style] = {"": Style()}
    for identifier in elements:
        chain: list[str] = []
        parent = identifier
        while parent in elements and parent not in resolved and parent not in chain and len(chain) < LONGEST_CHAIN:
            chain.append(parent)
            parent = attribute(elements[parent], "basedOn") or ""
        style = resolved.get(parent, Style())
        for name in reversed(chain):
            style = resolved[name] = _derived(elements[name], name, style)
    return Styles(resolved, default)


def _derived(element: Element, identifier: str, parent: Style) -> Style:
    paragraph, run = element.find(W + "pPr"), element.find(W + "rPr")
    named = _by_name(attribute(element, "name") or identifier, parent)
    heading = named.heading
    outline = integer(attribute(paragraph, "outlineLvl"), -1)
    if outline >= 0:
        heading = outline + 1 if outline < BODY_LEVEL else 0
    numbering = None if paragraph is None else paragraph.find(W + "numPr")
    list_id, list_level = attribute(numbering, "numId"), attribute(numbering, "ilvl")
    hidden = run is not None and run.find(W + "vanish") is not None
    return Style(
        heading=heading,
        list_id=parent.list_id if list_id is None else list_id,
        list_level=parent.list_level if list_level is None else integer(list_level, 0),
        is_title=named.is_title,
        list_depth=named.list_depth,
        is_code=named.is_code,
        is_contents=named.is_contents,
        is_hidden=is_on(run, "vanish") if hidden else parent.is_hidden,
    )


def _by_name(name: str, parent: Style) -> Style:
    heading, listed = _HEADING.fullmatch(name), _LIST.fullmatch(name)
    return Style(
        heading=int(heading[1]) if heading else parent.heading,
        list_id=parent.list_id,
        list_level=parent.list_level,
        is_title=bool(_TITLE.fullmatch(name)) or parent.is_title,
        list_depth=int(listed[1] or 1) if listed else parent.list_depth,
        is_code=bool(_CODE.fullmatch(name)) or parent.is_code,
        is_contents=bool(_CONTENTS.fullmatch(name)) or parent.is_contents,
        is_hidden=parent.is_hidden,
    )
