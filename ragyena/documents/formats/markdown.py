"""Markdown: the text stays as written, so that lines are the file's; headings are found by a CommonMark parser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.decoding import read_text
from ragyena.types import Document, Heading

SUFFIXES = (".md", ".markdown", ".mdown", ".mkd")
WAY_OUT: dict[str, str] = {}
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*$", re.DOTALL | re.MULTILINE)
_TITLE = re.compile(r"^title[ \t]*:[ \t]*(.+?)[ \t]*$", re.MULTILINE)


def load(path: Path, config: IndexConfig) -> Iterator[Document]:
    text = read_text(path)
    title, body = "", text
    front = _FRONT_MATTER.match(text)
    if front is not None:  # blanked, not cut: a parser would take its last line for a heading's underline
        body = "\n" * front[0].count("\n") + text[front.end() :]
        title_line = _TITLE.search(front[1])
        title = title_line[1].strip("\"'") if title_line else ""
    headings = _headings(body)
    top = [heading for heading in headings if heading.level == 1]
    if not title and headings and (len(top) == 1 or headings[0].level == 1):
        title = (top or headings)[0].text
    line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
    offsets = tuple(Heading(line_starts[heading.start], heading.level, heading.text) for heading in headings)
    yield Document(source=str(path), text=text, title=title, headings=offsets)


def _headings(body: str) -> list[Heading]:
    """Headings with their line, counting from 0, in place of an offset."""
    from markdown_it import MarkdownIt

    inline = MarkdownIt("commonmark")
    headings = []
    for opening, content in pairwise(MarkdownIt("commonmark").disable("inline").parse(body)):
        if opening.type == "heading_open" and opening.map is not None:
            tokens = inline.parseInline(content.content)[0].children or ()
            words = " ".join("".join(_words(token.type, token.content) for token in tokens).split())
            if words:
                headings.append(Heading(opening.map[0], int(opening.tag[1:]), words))
    return headings


def _words(kind: str, content: str) -> str:
    if kind in {"softbreak", "hardbreak"}:
        return " "
    return content if kind in {"text", "code_inline", "image"} else ""
