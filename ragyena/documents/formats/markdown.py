"""Markdown: the text stays as written, so that lines are the file's; its structure is marked, front matter is
metadata."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.decoding import read_text
from ragyena.documents.front_matter import front_matter
from ragyena.documents.markdown_text import read_markdown
from ragyena.types import Document

SUFFIXES = (".md", ".markdown", ".mdown", ".mkd", ".mdx", ".qmd", ".rmd")
WAY_OUT: dict[str, str] = {}


def load(path: Path, config: IndexConfig) -> Iterator[Document]:
    text = read_text(path)
    skip, metadata = front_matter(text.split("\n", 2001)[:2001])
    result = read_markdown(text, skip)
    title = metadata.pop("title", "")
    headings = result.headings
    top = [heading for heading in headings if heading[1] == 1]
    if not title and headings and (len(top) == 1 or headings[0][1] == 1):
        title = (top or headings)[0][2]
    yield result.document(path, title, metadata)
