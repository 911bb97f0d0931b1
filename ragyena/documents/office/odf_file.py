"""An OpenDocument file, a zip archive or one flat XML file: its content, styles and properties."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.office.package import Element, Package, children, local, parse_xml
from ragyena.errors import UnreadableDocumentError
from ragyena.files import read_file

__all__ = [
    "DRAW",
    "OFFICE",
    "PRESENTATION",
    "STYLE",
    "SVG",
    "TABLE",
    "TEXT",
    "XLINK",
    "OdfFile",
    "OdfStyle",
    "open_odf",
]

_NAMES = "urn:oasis:names:tc:opendocument:xmlns"
OFFICE = f"{{{_NAMES}:office:1.0}}"
TEXT = f"{{{_NAMES}:text:1.0}}"
TABLE = f"{{{_NAMES}:table:1.0}}"
STYLE = f"{{{_NAMES}:style:1.0}}"
DRAW = f"{{{_NAMES}:drawing:1.0}}"
PRESENTATION = f"{{{_NAMES}:presentation:1.0}}"
SVG = f"{{{_NAMES}:svg-compatible:1.0}}"
XLINK = "{http://www.w3.org/1999/xlink}"

LONGEST_CHAIN = 50
"""Styles that inherit from one another; a longer chain is a loop."""


@dataclass(frozen=True, slots=True)
class OdfStyle:
    """Properties that a style gives its text, its parents' included."""

    names: tuple[str, ...] = ()
    """Its own name and those of its parents, as a person sees them, nearest first."""
    heading: int = 0
    is_hidden: bool = False


@dataclass(slots=True)
class OdfFile:
    """The parts of an OpenDocument file that are read."""

    package: Package | None
    """None for a flat file."""
    content: Element
    styles: Mapping[str, OdfStyle]
    list_styles: Mapping[str, Element]
    outline_style: Element | None
    """Numbering of headings."""
    hidden_pages: frozenset[str]
    """Styles of slides that are not shown."""
    masters: tuple[Element, ...]
    """The kinds of pages, with their headers and footers."""
    properties: Mapping[str, str] = field(default_factory=dict)
    """Under the names of OOXML's core properties."""

    @property
    def body(self) -> Element:
        """The element that holds the text."""
        body = self.content.find(OFFICE + "body")
        return self.content if body is None else body


@contextmanager
def open_odf(path: Path, config: IndexConfig) -> Iterator[OdfFile]:
    """Open an OpenDocument file. Raises UnreadableDocumentError for one that is encrypted, ValueError for one without
    content, XMLSyntaxError and BadZipFile for a damaged one."""
    if path.suffix.lower().startswith(".f"):
        root = parse_xml(read_file(path, config.max_file_mb * 1_000_000))
        yield _file(None, root, [root], root)
        return
    with Package(path, config) as package:
        manifest = package.read("META-INF/manifest.xml")
        if manifest is not None and b"encryption-data" in manifest:
            raise UnreadableDocumentError(
                f"{path} is encrypted with a password", hint="save it without a password in its own program"
            )
        content = package.xml("content.xml")
        if content is None:
            raise ValueError("it has no part content.xml")
        styles = package.xml("styles.xml")
        yield _file(package, content, [r for r in (styles, content) if r is not None], package.xml("meta.xml"))


def _file(package: Package | None, content: Element, roots: list[Element], meta: Element | None) -> OdfFile:
    elements: dict[str, Element] = {}
    lists: dict[str, Element] = {}
    outline: Element | None = None
    masters: list[Element] = []
    for root in roots:
        for group in children(root):
            if group.tag in (OFFICE + "styles", OFFICE + "automatic-styles"):
                for element in children(group):
                    if element.tag == STYLE + "style":
                        elements[element.get(STYLE + "name", "")] = element
                    elif element.tag == TEXT + "list-style":
                        lists[element.get(STYLE + "name", "")] = element
                    elif element.tag == TEXT + "outline-style":
                        outline = element
            elif group.tag == OFFICE + "master-styles":
                masters += group.iterchildren(STYLE + "master-page")
    hidden_pages = {
        name
        for name, element in elements.items()
        for properties in element.iterchildren(STYLE + "drawing-page-properties")
        if properties.get(PRESENTATION + "visibility") == "hidden"
    }
    return OdfFile(
        package, content, _styles(elements), lists, outline, frozenset(hidden_pages), tuple(masters), _properties(meta)
    )


def _styles(elements: Mapping[str, Element]) -> dict[str, OdfStyle]:
    resolved: dict[str, OdfStyle] = {}
    for start in elements:
        chain: list[str] = []
        name = start
        while name in elements and name not in resolved and name not in chain and len(chain) < LONGEST_CHAIN:
            chain.append(name)
            name = elements[name].get(STYLE + "parent-style-name", "")
        style = resolved.get(name, OdfStyle((_shown_name(name),)) if name and name not in elements else OdfStyle())
        for name in reversed(chain):
            style = resolved[name] = _derived(elements[name], name, style)
    return resolved


def _derived(element: Element, name: str, parent: OdfStyle) -> OdfStyle:
    level = element.get(STYLE + "default-outline-level", "")
    display = next((e.get(TEXT + "display") for e in element.iterchildren(STYLE + "text-properties")), None)
    shown = element.get(STYLE + "display-name") or _shown_name(name)
    return OdfStyle(
        (shown, *parent.names)[:LONGEST_CHAIN],
        int(level) if level in tuple("123456789") else parent.heading,
        parent.is_hidden if display is None else display == "none",
    )


def _shown_name(name: str) -> str:
    return name.replace("_20_", " ")


def _properties(meta: Element | None) -> dict[str, str]:
    root = None if meta is None else meta.find(OFFICE + "meta")
    values: dict[str, list[str]] = {}
    for element in () if root is None else children(root):
        if element.text and element.text.strip():
            values.setdefault(local(element), []).append(element.text.strip())
    names = {
        "title": ("title",),
        "creator": ("initial-creator", "creator"),
        "created": ("creation-date",),
        "modified": ("date",),
        "language": ("language",),
        "keywords": ("keyword",),
    }
    found = {name: next((values[key] for key in keys if key in values), []) for name, keys in names.items()}
    return {name: ", ".join(texts) for name, texts in found.items() if texts}
