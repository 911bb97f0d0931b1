"""Markdown with its lines kept: a CommonMark parser finds headings, tables, code and lists.

Tables are rewritten row for row with the names of their columns; comments and the tags of HTML blocks are left out.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ragyena.documents.line_text import LineText
from ragyena.documents.merged_cells import Cell
from ragyena.documents.tables import read_table
from ragyena.types import Document

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

__all__ = ["has_table", "read_markdown", "read_tables", "with_tables"]

LONGEST_INLINE = 5000
"""Chars of a heading or a table cell whose marks are read."""

_HEADING_ID = re.compile(r"\s*\{[#.:][^{}]{0,200}\}\s*\Z")
_MARKS = re.compile(r"[*_`\[\]<>&!\\~]|  $")
_TAG = re.compile(r"<[^<>]*>")
_ALT = re.compile(r"""\balt\s{0,9}=\s{0,9}["']([^"'<>]*)["']""", re.IGNORECASE)
_HTML_HEADING = re.compile(r"<h([1-6])\b[^<>]{0,500}>(.{0,500}?)</h\1\s{0,9}>", re.IGNORECASE | re.DOTALL)
_BOLD = re.compile(r"(\*\*|__)[^*_]{1,200}\1")
_RULE = re.compile(r" {0,3}\|?(?: *:?-+:? *\|)+ *(?::?-+:? *)?")
"""The line below the names of a table."""
_RULE_LINE = re.compile(rf"\n{_RULE.pattern}$", re.MULTILINE)
_FOOTNOTE = re.compile(r" {0,3}\[\^[^\]\s]{1,80}\]:")


def read_markdown(text: str, skip: int = 0) -> LineText:
    """The text with its structure marked. The first ``skip`` lines (front matter) are kept and not parsed."""
    from markdown_it import MarkdownIt

    result = LineText(text)
    body = "\n" * skip + "\n".join(result.lines[skip:])
    inline = MarkdownIt("commonmark")
    tokens = MarkdownIt("commonmark").enable("table").disable("inline").parse(body)
    for i, token in enumerate(tokens):
        first, end = token.map or (0, 0)
        if token.type == "heading_open":
            words = _HEADING_ID.sub("", _plain(tokens[i + 1].content, inline))
            result.heading(first, int(token.tag[1:]), words)
        elif token.type in {"bullet_list_open", "ordered_list_open"} and token.level == 0:
            result.mark(first, end, "list")
        elif token.type == "fence":
            closed = end - first >= 2 and result.lines[end - 1].strip(" >").startswith(token.markup[:3])
            result.mark(first + 1, end - 1 if closed else end, "code")
        elif token.type == "code_block":
            result.mark(first, end, "code")
        elif token.type == "html_block":
            _without_tags(result, first, end)
        elif token.type == "table_open":
            _table(result, tokens, i, inline)
        elif token.type == "inline" and "<!--" in token.content and token.map is not None:
            _without_comments(result, first, end)
    for number, line in enumerate(result.lines[skip:], skip):
        if _FOOTNOTE.match(line) and not result.is_code(number):
            result.mark(number, number + 1, "footnote")
    return result


def has_table(text: str) -> bool:
    """True for a text with the names of a Markdown table and the rule below them."""
    return any("|" in text[text.rfind("\n", 0, rule.start()) + 1 : rule.start()] for rule in _RULE_LINE.finditer(text))


def read_tables(text: str) -> LineText:
    """The text with its Markdown tables marked and rewritten, and everything else as it stands. A table ends with the
    lines that follow its rule without a blank line."""
    from markdown_it import MarkdownIt

    result = LineText(text)
    inline = MarkdownIt("commonmark")
    blocks = MarkdownIt("commonmark").enable("table").disable("inline")
    lines = list(result.lines)
    end = 0
    for rule, line in enumerate(lines):
        if rule <= end or not _RULE.fullmatch(line) or "|" not in lines[rule - 1]:
            continue
        first, end = rule - 1, rule
        while end < len(lines) and lines[end].strip():
            end += 1
        tokens = blocks.parse("\n".join(lines[first:end]))
        for i, token in enumerate(tokens):
            if token.type == "table_open":
                _table(result, tokens, i, inline, first)
    return result


def with_tables(document: Document) -> Document:
    """A document of plain text with its Markdown tables as ``read_tables`` makes them, its lines kept; the document as
    it is where there are none, or where its structure is marked already."""
    text = document.text.replace("\r\n", "\n")
    if document.blocks or document.headings or document.page_starts or not has_table(text):
        return document
    loaded = read_tables(text).document(Path(document.source))
    return replace(document, text=loaded.text, blocks=loaded.blocks)


def _plain(content: str, inline: MarkdownIt) -> str:
    """Inline Markdown without its marks."""
    if len(content) > LONGEST_INLINE or not _MARKS.search(content):
        return " ".join(content.split())
    tokens = inline.parseInline(content)[0].children or ()
    return " ".join("".join(_words(token, content) for token in tokens).split())


def _words(token: Token, content: str) -> str:
    if token.type in {"softbreak", "hardbreak"} or (token.type == "html_inline" and token.content[:3] == "<br"):
        return " "
    return token.content if token.type in {"text", "code_inline", "image"} else ""


def _table(result: LineText, tokens: Sequence[Token], i: int, inline: MarkdownIt, line: int = 0) -> None:
    """Rewrite the table whose tokens begin at ``i``, of a text that begins at ``line``."""
    rows: list[tuple[int, list[Cell]]] = []
    bold: list[bool] = []  # of each row: every text in it is
    first, end = tokens[i].map or (0, 0)
    for token in tokens[i:]:
        if token.type == "table_close":
            break
        if token.type == "tr_open" and token.map is not None:
            rows.append((line + token.map[0], []))
            bold.append(True)
        elif token.type == "inline" and rows:
            rows[-1][1].append(Cell(_plain(token.content, inline)))
            bold[-1] = bold[-1] and (not token.content or bool(_BOLD.fullmatch(token.content)))
    if len(rows) == 1:
        return  # names alone: the lines stay as they are
    result.table(
        line + first, line + end, rows, header_rows=_header_rows([[cell.text for cell in row] for _, row in rows], bold)
    )


def _header_rows(rows: Sequence[Sequence[str]], bold: Sequence[bool]) -> int:
    """The number of rows that name the columns. Markdown asks for exactly one: people leave it empty and begin with
    names in the row below, or have two, the upper with gaps where a name covers several columns."""
    names, below = rows[0], rows[1]
    if all(names) or len(rows) < 3:
        return int(any(names))
    layout = read_table(rows).layout
    found = layout.first_row if layout.form == "records" and not layout.titles else 0
    if not any(names):
        is_named = all(below) and bold[1] and not all(bold)
        return 2 if is_named or (found == 1 and layout.is_sure and len(names) > 2) else 0
    return 2 if found == 2 and any(names[1:]) and not all(names[1:]) and not (names[0] and below[0]) else 1


def _without_tags(result: LineText, first: int, end: int) -> None:
    """HTML between paragraphs: its text and the ``alt`` of its pictures, line for line."""
    block = "\n".join(result.lines[first:end])
    for match in _HTML_HEADING.finditer(block):
        line = first + block.count("\n", 0, match.start())
        result.heading(line, int(match[1]), html.unescape(_TAG.sub(_shown, match[2])))
    block = _TAG.sub(_shown, _uncommented(block))
    lines = [" ".join(html.unescape(line).split()) for line in block.split("\n")]
    result.lines[first:end] = lines[: end - first]


def _shown(tag: re.Match[str]) -> str:
    alt = _ALT.search(tag[0]) if tag[0][:4].lower() == "<img" else None
    return (f" {alt[1]} " if alt else " " if tag[0][:3].lower() == "<br" else "") + "\n" * tag[0].count("\n")


def _without_comments(result: LineText, first: int, end: int) -> None:
    lines = _uncommented("\n".join(result.lines[first:end])).split("\n")
    result.lines[first:end] = lines


def _uncommented(text: str) -> str:
    """``text`` without ``<!-- ... -->``, its newlines kept."""
    parts: list[str] = []
    position = 0
    while True:
        start = text.find("<!--", position)
        end = text.find("-->", start + 4) if start >= 0 else -1
        if end < 0:
            return "".join((*parts, text[position:]))
        parts.append(text[position:start])
        parts.append("\n" * text.count("\n", start, end))
        position = end + 3
