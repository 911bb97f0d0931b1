"""HTML: its readable text, without scripts and navigation; block elements become paragraphs."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragyena.config import IndexConfig
from ragyena.documents.decoding import check_text, decode, normalise_newlines
from ragyena.documents.text_builder import TextBuilder
from ragyena.types import Document

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

SUFFIXES = (".html", ".htm", ".xhtml")
WAY_OUT = {".epub": "convert it to .html or .pdf"}

_DROPPED = (
    "script, style, noscript, template, nav, svg, iframe, object, canvas, form, button, select, dialog, "
    "[role=navigation], [role=banner], [role=search], [hidden], [aria-hidden=true]"
)
_BLOCKS = frozenset(
    """
    address article aside blockquote body caption center dd details div dl dt fieldset figcaption figure footer
    header hr html li main ol p pre section summary table tbody td tfoot th thead tr ul
    """.split()  # noqa: SIM905 -- as a list it would take a line a name
)
LONGEST_CELL = 400
"""Chars; a table with a longer cell lays out a page."""
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_LATIN_1 = frozenset({"iso-8859-1", "latin-1", "latin1", "us-ascii", "ascii"})
"""Declared encodings that browsers read as cp1252, the code page they are mistaken for."""


def load(path: Path, config: IndexConfig) -> Iterator[Document]:
    from bs4 import BeautifulSoup, Comment, Doctype

    soup = BeautifulSoup(_text_of(path), "lxml")
    title = soup.title.get_text(" ", strip=True) if soup.title else ""
    for tag in soup.select(_DROPPED):
        tag.decompose()
    for remark in soup.find_all(string=lambda text: isinstance(text, Comment | Doctype)):
        remark.extract()
    root = _main_part(soup)
    if not title:
        first = root.find("h1")
        title = first.get_text(" ", strip=True) if first else ""
    writer = _Writer()
    writer.write(root)
    yield writer.builder.document(path, title)


def _text_of(path: Path) -> str:
    """The text in the encoding that the file declares, else in the one its bytes look like."""
    from bs4.dammit import EncodingDetector

    data = path.read_bytes()
    declared = EncodingDetector.find_declared_encoding(data, is_html=True)
    has_bom = data.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if declared and not has_bom:
        try:
            text = data.decode("cp1252" if declared.lower() in _LATIN_1 else declared)
        except (LookupError, UnicodeDecodeError):
            pass  # the declaration is wrong, as it often is
        else:
            check_text(text, path)
            return normalise_newlines(text)
    return normalise_newlines(decode(data, path))


def _main_part(soup: BeautifulSoup) -> Tag:
    """The one element that says it is the content, where it holds most of the text; else the body."""
    body = soup.body or soup
    for selector in ("main, [role=main]", "article"):
        matches = soup.select(selector)
        if len(matches) == 1 and len(matches[0].get_text()) > 0.5 * len(body.get_text()):
            return matches[0]
    return body


def _inline(node: Tag) -> str:
    """The text of an element in one run, parts of words marked up by themselves not torn apart."""
    return "".join(
        part if isinstance(part, str) else " " if part.name == "br" or part.name in _BLOCKS else ""
        for part in node.descendants
    )


class _Writer:
    """Walks the tree, with a list for a stack as pages nest deeper than Python calls may, and writes a block whenever
    a block element begins or ends."""

    def __init__(self) -> None:
        self.builder = TextBuilder()
        self._line: list[str] = []
        self._marker = ""
        self._tight = False
        self._ahead: list[Any] = []
        """Nodes to visit and functions to call, next last."""

    def write(self, root: Tag) -> None:
        self._ahead = [self._flush, *reversed(list(root.children))]
        while self._ahead:
            node = self._ahead.pop()
            if isinstance(node, str):
                self._line.append(re.sub(r"\s+", " ", node))
            elif hasattr(node, "children"):
                self._element(node)
            else:
                node()

    def _element(self, node: Tag) -> None:
        name = node.name
        if name in _HEADINGS:
            self._flush()
            self.builder.heading(_HEADINGS[name], _inline(node))
        elif name == "br":
            self._line.append("\n")
        elif name == "pre":
            self._flush()
            self.builder.block(node.get_text())
        elif name != "table" or not self._table(node):
            if name in _BLOCKS:
                self._flush()
                closing: Callable[[], None] = self._end_list if name in {"ul", "ol"} else self._flush
                self._ahead.append(closing)
            if name == "li":
                numbered = node.parent is not None and node.parent.name == "ol"
                self._marker = f"{len(node.find_previous_siblings('li')) + 1}. " if numbered else "- "
            self._ahead.extend(reversed(list(node.children)))

    def _end_list(self) -> None:
        self._flush()
        self._tight = False

    def _table(self, node: Tag) -> bool:
        """Write a table of data row by row. False, and nothing written, for one that only lays out a page."""
        rows = [[_inline(cell) for cell in row.find_all(["td", "th"])] for row in node.find_all("tr")]
        longest = max((len(cell) for row in rows for cell in row), default=0)
        if not rows or longest > LONGEST_CELL or node.find(["table", *_HEADINGS]) is not None:
            return False
        self._flush()
        caption = node.find("caption")
        if caption is not None:
            self.builder.block(" ".join(_inline(caption).split()))
        self.builder.table(rows)
        self._tight = False
        return True

    def _flush(self) -> None:
        text = re.sub(r" *\n *", "\n", re.sub(r"[^\S\n]+", " ", "".join(self._line))).strip()
        self._line.clear()
        if not text:
            return
        item = bool(self._marker)
        self.builder.block(self._marker + text, tight=item and self._tight)
        self._tight, self._marker = item, ""
