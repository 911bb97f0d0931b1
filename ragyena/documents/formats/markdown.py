"""Markdown: the text stays as written, so that lines are the file's; headings are found by a CommonMark parser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from ragyena.config import IndexConfig
from ragyena.documents.decoding import read_text
from ragyena.types import Document, Heading

__all__ = ["load"]

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*$", re.DOTALL | re.MULTILINE)
_TITLE = re.compile(r"^title[ \t]*:[ \t]*(.+?)[ \t]*$", re.MULTILINE)


def load(path: Path, config: IndexConfig) -> Iterator[Document]:
    text = read_text(path)
    title, body = "", text
    front = _FRONT_MATTER.match(text)
    if front is not None:  # blanked, not cut: a parser would take its last line for a heading's underline
        body = "\n" * front[0].count("\n") + text[front.end() :]
        found = _TITLE.search(front[1])
        title = found[1].strip("\"'") if found else ""
    headings = _headings(text, body)
    top = [heading for heading in headings if heading.level == 1]
    if not title and headings and (len(top) == 1 or headings[0].level == 1):
        title = (top or headings)[0].text
    yield Document(source=str(path), text=text, title=title, headings=headings)


def _headings(text: str, body: str) -> tuple[Heading, ...]:
    """Headings of ``body`` with offsets in ``text``, whose lines are the same."""
    blocks = MarkdownIt("commonmark").disable("inline")
    inline = MarkdownIt("commonmark")
    line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
    found = []
    tokens = blocks.parse(body)
    for opening, content in pairwise(tokens):
        if opening.type != "heading_open" or opening.map is None:
            continue
        words = "".join(_words(token) for token in inline.parseInline(content.content)[0].children or ())
        words = " ".join(words.split())
        if words:
            found.append(Heading(line_starts[opening.map[0]], int(opening.tag[1:]), words))
    return tuple(found)


def _words(token: Token) -> str:
    if token.type in {"softbreak", "hardbreak"}:
        return " "
    return token.content if token.type in {"text", "code_inline", "image"} else ""
