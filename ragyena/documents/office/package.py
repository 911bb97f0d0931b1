"""The zip archive of an office file: its parts as XML read to a limit, their relations, and the file's properties."""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import IO, Any
from urllib.parse import unquote

from ragyena.config import IndexConfig
from ragyena.documents.text_builder import check_office_file
from ragyena.errors import UnreadableDocumentError

__all__ = ["Element", "Package", "Relation", "local", "metadata_of", "parse_xml", "usable_title"]

Element = Any
"""An element of lxml, which has no types."""

MOST_PARTS = 100_000
"""Entries of an archive."""

_STRICT = re.compile(rb"http://purl\.oclc\.org/ooxml/(\w+)/")
_NO_TITLE = re.compile(
    r"(?i)(?:word document|powerpoint[- ]presentation|pr[eé]sentation powerpoint|powerpoint-präsentation|slide \d+|"
    r"untitled|unbenannt|document\d*|dokument\d*|presentation\d*|title|titel|no slide title|.*\.(?:docx?|pptx?|od[tp]))"
)


@dataclass(frozen=True, slots=True)
class Relation:
    """A link of one part to another, or to the outside."""

    kind: str
    """The last word of its type: ``footnotes``, ``chart``."""
    target: str
    """The name of the part; "" for a link to the outside."""


class Package:
    """An office file opened for reading. Parts are read only when asked for, and never beyond ``config.max_file_mb``.

    Raises UnreadableDocumentError for a file that is encrypted or unpacks without bound, BadZipFile for a damaged one.
    """

    def __init__(self, path: Path, config: IndexConfig) -> None:
        check_office_file(path, config)
        self.path = path
        self._limit = config.max_file_mb * 1_000_000
        self._taken: set[str] = set()
        self._zip = zipfile.ZipFile(path)
        try:
            items = self._zip.infolist()
            if len(items) > MOST_PARTS:
                raise UnreadableDocumentError(
                    f"{path} is an archive of {len(items):,} parts", hint="open it in its own program and save it again"
                )
            # Part names are compared without case; some programs write backslashes.
            self._items = {item.filename.replace("\\", "/").lstrip("/").lower(): item for item in items}
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Package:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._items

    def read(self, name: str) -> bytes | None:
        """The bytes of a part, None where there is no such part."""
        item = self._items.get(name.lower())
        if item is None:
            return None
        if item.flag_bits & 1:
            raise UnreadableDocumentError(
                f"{self.path} is encrypted with a password", hint="save it without a password in its own program"
            )
        if item.file_size <= self._limit:
            with self._zip.open(item) as file:
                content = file.read(self._limit + 1)  # the archive may lie about the size
            if len(content) <= self._limit:
                return content
        raise UnreadableDocumentError(
            f"{self.path}: its part {item.filename[:80]} unpacks to more than {self._limit / 1e6:.0f} MB",
            hint="split it, or raise index.max_file_mb",
        )

    def stream(self, name: str) -> IO[bytes] | None:
        """A part to read piece by piece, whatever its size; None where there is no such part."""
        item = self._items.get(name.lower())
        return None if item is None or item.flag_bits & 1 else self._zip.open(item)

    def xml(self, name: str) -> Element | None:
        """The root element of a part, None where there is no such part. Raises XMLSyntaxError."""
        content = self.read(name)
        return None if not content else parse_xml(content)

    def take_xml(self, name: str) -> Element | None:
        """The root element of a part at the first call for it, None at any other: a part that ten thousand others
        refer to is read once."""
        if name.lower() in self._taken:
            return None
        self._taken.add(name.lower())
        return self.xml(name)

    def relations(self, name: str) -> Mapping[str, Relation]:
        """Relation id -> relation of the part ``name`` ("" for the file itself) of an OOXML file."""
        folder, file = posixpath.split(name)
        root = self.xml(posixpath.join(folder, "_rels", f"{file}.rels"))
        relations: dict[str, Relation] = {}
        for element in () if root is None else children(root):
            kind = element.get("Type", "").rsplit("/", 1)[-1]
            target = unquote(element.get("Target", "")).replace("\\", "/").split("#")[0]
            outside = element.get("TargetMode") == "External" or not target
            if not outside:
                target = posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
            relations[element.get("Id", "")] = Relation(kind, "" if outside else target)
        return relations

    def main_part(self, usual: str) -> str:
        """The name of the part that an OOXML file begins with. Raises ValueError where there is none."""
        for relation in self.relations("").values():
            if relation.kind == "officeDocument" and relation.target in self:
                return relation.target
        if usual in self:
            return usual
        raise ValueError(f"it has no part {usual}")

    @cached_property
    def properties(self) -> Mapping[str, str]:
        """Name -> value of the file's core properties: ``title``, ``creator``, ``created`` ..."""
        for name in (
            *(r.target for r in self.relations("").values() if r.kind == "core-properties"),
            "docProps/core.xml",
        ):
            root = self.xml(name)
            if root is not None:
                return {local(child): (child.text or "").strip() for child in children(root)}
        return {}


def parse_xml(content: bytes) -> Element:
    """Parse the XML of a part: no entities, no network, no unbounded depth; strict OOXML gets the usual namespaces."""
    from lxml import etree

    if b"purl.oclc.org/ooxml" in content:
        content = _STRICT.sub(rb"http://schemas.openxmlformats.org/\1/2006/", content)
    return etree.fromstring(
        content, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False, remove_comments=True)
    )


def local(element: Element) -> str:
    """The name of an element without its namespace; "" for an entity or a processing instruction."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def children(element: Element) -> Iterator[Element]:
    """The child elements of an element, without entities and processing instructions."""
    return (child for child in element if isinstance(child.tag, str))


def metadata_of(properties: Mapping[str, str]) -> dict[str, str]:
    """Metadata for filters, under the names that all formats share, from core properties or OpenDocument's meta.xml."""
    values = {
        "author": properties.get("creator", ""),
        "created": properties.get("created", "")[:10],
        "modified": properties.get("modified", "")[:10],
        "language": properties.get("language", ""),
        "keywords": properties.get("keywords", ""),
    }
    return {name: value for name, value in values.items() if value}


def usable_title(title: str) -> str:
    """A title of the file's properties, "" for one that the program filled in (``Word Document``, ``Slide 1``)."""
    title = " ".join(title.split())
    title = re.sub(r"(?i)^microsoft (?:word|powerpoint) - ", "", title)
    return "" if _NO_TITLE.fullmatch(title) else title
