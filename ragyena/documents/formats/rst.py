"""reStructuredText: the text stays as written, so that lines are the file's; docutils finds the headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.decoding import read_text
from ragyena.types import Document, Heading

SUFFIXES = (".rst", ".rest")
WAY_OUT: dict[str, str] = {}


def load(path: Path, config: IndexConfig) -> Iterator[Document]:
    text = read_text(path)
    headings = _headings(text, path)
    title = headings[0].text if headings and headings[0].level == 1 else ""
    yield Document(source=str(path), text=text, title=title, headings=headings)


def _headings(text: str, path: Path) -> tuple[Heading, ...]:
    from docutils import nodes
    from docutils.frontend import get_default_settings
    from docutils.parsers.rst import Parser
    from docutils.utils import new_document

    parser = Parser()
    settings = get_default_settings(parser)
    settings.report_level = settings.halt_level = 6  # never: Sphinx roles are unknown to docutils, and no matter here
    settings.file_insertion_enabled = False  # a document may not read other files
    settings.raw_enabled = False
    tree = new_document(str(path), settings)
    parser.parse(text, tree)
    lines = text.split("\n")
    line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
    headings = []
    for section in tree.findall(nodes.section):
        title = section.next_node(nodes.title)
        if title is None or section.line is None:
            continue
        line = section.line - 2  # docutils names the underline, counting from 1
        overlined = line > 0 and re.fullmatch(r"([^\w\s])\1+\s*", lines[line - 1]) is not None
        level, parent = 1, section.parent
        while isinstance(parent, nodes.section):
            level, parent = level + 1, parent.parent
        headings.append(Heading(line_starts[max(line - overlined, 0)], level, " ".join(title.astext().split())))
    return tuple(sorted(headings, key=lambda heading: heading.start))
