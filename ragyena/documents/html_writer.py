"""A tree of HTML -> blocks of a ``TextBuilder``: paragraphs, headings, lists with their numbers, tables, code.

The tree is walked once and without recursion, as pages nest deeper than Python calls may.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ragyena.documents.html_tables import data_tables, write_table
from ragyena.documents.html_tree import Element, is_dropped, name_of, visible_text
from ragyena.documents.raised_marks import LONGEST_MARK, is_typed_mark, mark_text
from ragyena.documents.text_builder import TextBuilder

__all__ = ["HtmlWriter"]

HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCKS = frozenset(
    """
    address article aside blockquote body caption center dd details dialog div dl dt fieldset figcaption figure footer
    form header hgroup hr html legend li main menu dir ol p pre section summary table tbody td tfoot th thead tr ul
    noframes frameset optgroup option
    """.split()  # noqa: SIM905 -- as a list it would take a line a name
)
_STRUCK = frozenset({"s", "strike", "del"})
LONGEST_FORMER = 40
"""Chars of struck out text that is kept as ``(was ...)``."""
_LISTS = frozenset({"ul", "ol", "menu", "dir"})
_PREFORMATTED = frozenset({"pre", "listing", "xmp", "plaintext"})
_INPUTS = frozenset({"", "text", "number", "date", "datetime-local", "email", "tel", "url", "time", "month", "range"})
_SUPERSCRIPTS = str.maketrans("0123456789+-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻")
_SMALL_NUMBER = re.compile(r"\s*([+\-−]?\d{1,6})\s*")
_UNSEEN = re.compile("[\u00ad\u200b\u2060\ufeff]")
_INTEGER = re.compile(r"\s*(-?\d{1,9})")
_ROMAN = (
    *((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl")),
    *((10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i")),
)


@dataclass(slots=True)
class _List:
    is_ordered: bool
    number: int = 1
    step: int = 1
    style: str = "1"


class HtmlWriter:
    """Writes elements into a builder, one after the other."""

    def __init__(self, builder: TextBuilder, *, top_level: int = 1) -> None:
        """``top_level`` is the level that ``<h1>`` gets in the document."""
        self.builder = builder
        self._shift = top_level - 1
        self._line: list[str] = []
        self._lists: list[_List] = []
        self._definitions = 0
        self._marker: str | None = None
        self._in_item = False
        self._in_term = False
        self._term = ""
        self._tables: dict[Element, Any] = {}
        self._page = ""

    def write(self, *roots: Element) -> None:
        """Append what a reader of the page sees under each of ``roots``."""
        for root in roots:
            self._write(root)

    def _write(self, root: Element) -> None:
        from lxml import etree

        self._tables = data_tables(root)
        walk = etree.iterwalk(root, events=("start", "end", "comment", "pi"))
        skipped: Element | None = None
        for event, node in walk:
            if event == "start":
                name = name_of(node)
                if (node is not root and is_dropped(node, name)) or self._whole(node, name):
                    skipped = node
                    walk.skip_subtree()
                    continue
                self._start(node, name)
                if node.text:
                    self._line.append(_collapsed(node.text))
                continue
            if event == "end" and node is not skipped:
                self._end(name_of(node))
            if node is not root and node.tail:
                self._line.append(_collapsed(node.tail))
        self._flush()
        self._flush_term()

    def _whole(self, node: Element, name: str) -> bool:
        """Write an element at once, with all that is in it. False, and nothing written, for others."""
        text = replaced_text(node, name)
        if text is not None:
            self._line.append(text)
            return True
        label = _page_label(node)
        if label:
            self._page = label  # the page begins with the next block, not inside a sentence
            return True
        level = HEADINGS.get(name) or (_level(node) if node.get("role") == "heading" else 0)
        if level:
            self._interrupt()
            self.builder.heading(level + self._shift, inline_text(node))
        elif name in _PREFORMATTED:
            self._interrupt()
            self.builder.code(preformatted_text(node))
        elif name == "table" and node in self._tables:
            self._interrupt()
            write_table(self.builder, node, inline_text)
        else:
            return False
        return True

    def _start(self, node: Element, name: str) -> None:
        if name == "br":
            self._line.append("\n")
        elif name == "q":
            self._line.append("“")
        elif name not in _BLOCKS:
            return
        elif name in {"dt", "dd"}:
            if self._in_term:  # the end tag of a term may be left out
                self._end_term()
            self._flush()
            self._in_term = name == "dt"
        elif name in _LISTS:
            self._interrupt()
            self._lists.append(_list_of(node, name))
            self._in_item = False
        elif name == "li":
            self._flush()
            self._marker = self._next_marker(node)
            self._in_item = True
        else:
            self._flush()
            if name == "dl":
                self._flush_term()
                self._definitions += 1

    def _end(self, name: str) -> None:
        if name == "q":
            self._line.append("”")
        elif name == "dt" and self._in_term:
            self._end_term()
        elif name in _BLOCKS:
            self._flush()
            if name in _LISTS:
                if self._lists:
                    self._lists.pop()
                self._in_item = bool(self._lists)
                self._marker = None
            elif name == "li":
                self._marker = None
                self._in_item = False
            elif name == "dl":
                self._flush_term()
                self._definitions = max(0, self._definitions - 1)

    def _end_term(self) -> None:
        """Keep the text gathered so far for the definition that follows."""
        term = _tidy_line(self._line)
        self._line.clear()
        self._term = ", ".join(part for part in (self._term, term) if part)[:1000]
        self._in_term = False

    def _next_marker(self, node: Element) -> str:
        if not self._lists or not self._lists[-1].is_ordered:
            return "-"
        current = self._lists[-1]
        value = _INTEGER.match(node.get("value") or "")
        if value is not None:
            current.number = int(value[1])
        marker = f"{_numeral(current.number, current.style)}."
        current.number += current.step
        return marker

    def _flush(self) -> None:
        """Write the text gathered so far as a block."""
        text = _tidy_line(self._line)
        self._line.clear()
        if not text:
            return
        if self._page:
            self.builder.page(self._page)
            self._page = ""
        level = max(0, len(self._lists) + self._definitions - 1)
        if self._term:
            text, self._term = f"{self._term}: {text}", ""
            self.builder.list_item(text, level=level)
        elif self._marker is not None:
            self.builder.list_item(text, marker=self._marker, level=level)
            self._marker = None
        elif self._in_item:
            self.builder.list_item(text, marker=" ", level=level)
        else:
            self.builder.block(text)

    def _flush_term(self) -> None:
        """Write a term that no definition follows."""
        if self._term:
            term, self._term = self._term, ""
            self.builder.list_item(f"{term}:", level=max(0, len(self._lists) + self._definitions - 1))

    def _interrupt(self) -> None:
        """End the block before a heading, a table, a list or code."""
        self._flush()
        self._flush_term()
        if self._page:
            self.builder.page(self._page)
            self._page = ""


def inline_text(root: Element) -> str:
    """The text of an element in one line, parts of words marked up by themselves not torn apart."""
    from lxml import etree

    parts: list[str] = []
    walk = etree.iterwalk(root, events=("start", "end", "comment", "pi"))
    for event, node in walk:
        if event == "start":
            name = name_of(node)
            text = None if node is root else replaced_text(node, name)
            if text is not None or (node is not root and is_dropped(node, name)):
                parts.append(text or "")
                walk.skip_subtree()
                continue
            if name == "br" or name in _BLOCKS or name in HEADINGS:
                parts.append(" ")
            if node.text:
                parts.append(node.text)
        else:
            if event == "end" and (name_of(node) in _BLOCKS or name_of(node) in HEADINGS):
                parts.append(" ")
            if node is not root and node.tail:
                parts.append(node.tail)
    return " ".join(_UNSEEN.sub("", "".join(parts)).split())


def preformatted_text(root: Element) -> str:
    """The text of ``<pre>`` with its lines and indents."""
    from lxml import etree

    parts: list[str] = []
    walk = etree.iterwalk(root, events=("start", "end", "comment", "pi"))
    for event, node in walk:
        if event == "start":
            name = name_of(node)
            if node is not root and is_dropped(node, name):
                walk.skip_subtree()
                continue
            if name == "br":
                parts.append("\n")
            if node.text:
                parts.append(node.text)
        elif node is not root and node.tail:
            parts.append(node.tail)
    return "".join(parts).replace("\r", "").replace("\u00a0", " ")


def replaced_text(node: Element, name: str) -> str | None:
    """The text that stands for an element which is no run of text itself: pictures, formulas, controls of a form.
    None for all others."""
    if name in {"img", "amp-img"}:
        return "" if is_dropped(node, name) else _spaced(node.get("alt") or "")
    if name == "sup":
        return _raised(node)
    if name == "input":
        return _input_text(node)
    if name == "svg":
        return _spaced(next((child.text or "" for child in node if name_of(child) == "title"), ""))
    if name == "math":
        return _formula(node)
    if name in _STRUCK or "line-through" in (node.get("style") or ""):
        return _former(node)
    if name == "select":
        chosen = [child for child in node.iter() if name_of(child) == "option" and child.get("selected") is not None]
        return _spaced(", ".join(" ".join((child.text or "").split()) for child in chosen[:20]))
    return None


def _input_text(node: Element) -> str:
    kind = (node.get("type") or "").strip().lower()
    if node.get("hidden") is not None:
        return ""
    if kind in {"checkbox", "radio"}:
        return "[x] " if node.get("checked") is not None else "[ ] "
    if kind == "image":
        return _spaced(node.get("alt") or "")
    return _spaced(node.get("value") or "") if kind in _INPUTS else ""


def _raised(node: Element) -> str | None:
    """A number as raised digits, and the mark of a footnote after a space: ``reef ¹``, it is no part of the word.
    None where the text stands as it is, as the end of a word (``1st``)."""
    if len(node) > 1 or any(len(child) for child in node):
        return None  # a mark is a text or a link
    raised = "".join("".join(visible_text(node)).split())
    if not 0 < len(raised) <= LONGEST_MARK:
        return None
    sibling = node.getprevious()
    before = (sibling.tail if sibling is not None else node.getparent().text) or ""
    if before[-1:].strip() and raised.isalnum():
        is_link = any(name_of(child) == "a" and "#" in child.get("href", "") for child in node)
        if is_link or is_typed_mark(before, raised):
            return f" {mark_text(raised)}"
    number = _SMALL_NUMBER.fullmatch(raised) if len(node) == 0 else None
    return number[1].translate(_SUPERSCRIPTS) if number else None


def _former(node: Element) -> str:
    """Text that is struck out is gone for who reads the page, but for a figure or a date, such as a former price."""
    text = " ".join("".join(visible_text(node)).split())
    is_figure = len(text) <= LONGEST_FORMER and any(char.isdigit() for char in text)
    return f" (was {text}) " if is_figure else ""


def _formula(node: Element) -> str:
    """A formula as its author wrote it in TeX where the page keeps that, else its characters."""
    for child in node.iter():
        if name_of(child) == "annotation" and "tex" in (child.get("encoding") or "").lower():
            return " ".join((child.text or "").split())
    return " ".join((node.get("alttext") or "".join(visible_text(node))).split())


def _page_label(node: Element) -> str:
    """The printed page that begins at a page-break mark of a book."""
    kind = node.get("{http://www.idpf.org/2007/ops}type") or node.get("epub:type") or node.get("role") or ""
    if "pagebreak" not in kind:
        return ""
    label = node.get("title") or node.get("aria-label") or "".join(visible_text(node)) or node.get("id") or ""
    return " ".join(label.split())[:40]


def _list_of(node: Element, name: str) -> _List:
    if name != "ol":
        return _List(is_ordered=False)
    style = (node.get("type") or "1").strip()
    start = _INTEGER.match(node.get("start") or "")
    if node.get("reversed") is not None:
        count = sum(1 for child in node if name_of(child) == "li")
        return _List(True, int(start[1]) if start else count, -1, style)
    return _List(True, int(start[1]) if start else 1, 1, style)


def _numeral(number: int, style: str) -> str:
    """1, 2 or a, b or i, ii and the capitals, as the type of a list says."""
    if style in {"a", "A"} and number > 0:
        letters = ""
        while number:
            number, rest = divmod(number - 1, 26)
            letters = chr(ord(style) + rest) + letters
        return letters
    if style in {"i", "I"} and 0 < number < 4000:
        text = ""
        for value, letters in _ROMAN:
            text += letters * (number // value)
            number %= value
        return text if style == "i" else text.upper()
    return str(number)


def _level(node: Element) -> int:
    level = _INTEGER.match(node.get("aria-level") or "2")
    return min(max(int(level[1]), 1), 6) if level else 2


def _spaced(text: str) -> str:
    text = " ".join(text.split())
    return f" {text} " if text else ""


def _collapsed(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def _tidy_line(parts: list[str]) -> str:
    """The gathered text with single spaces; line breaks of ``<br>`` stay."""
    text = _UNSEEN.sub("", "".join(parts))
    return "\n".join(line for line in (" ".join(line.split()) for line in text.split("\n")) if line)
