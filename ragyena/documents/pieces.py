"""A long document -> documents of some megabytes, so that memory is bounded by these, a run that was interrupted goes
on after the last of them, and a long file shows how far it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ragyena.types import Block, Document, Heading

__all__ = ["PIECE_CHARS", "pieces"]

PIECE_CHARS = 4_000_000
"""Chars of a piece, on average; one has from three quarters to one and a half times as many."""
NEAR = 10
"""A cut is looked for in the last ``1 / NEAR`` of a piece."""


def pieces(document: Document) -> Iterator[Document]:
    """Yield the document, or where it is long and has no pages, pieces of it in order, ``source#line`` each.

    They are cut before a heading, else at the end of a paragraph, of a line, or anywhere. Every piece stands under the
    headings that were open at its start, and its ``first_line`` is the line at which it begins.
    """
    length = len(document.text)
    if round(length / PIECE_CHARS) <= 1 or document.page_starts:
        yield document
        return
    names: Counter[str] = Counter()
    start, line, first = 0, document.first_line, 0
    open_headings: list[Heading] = []
    blocks = 0
    while start < length:
        parts = max(1, round((length - start) / PIECE_CHARS))
        end = length if parts == 1 else _cut(document, start, start + -(-(length - start) // parts))
        mine = first
        while first < len(document.headings) and document.headings[first].start < end:
            first += 1
        headings = document.headings[mine:first]
        above = _above(open_headings, headings, start)
        while blocks < len(document.blocks) and document.blocks[blocks].end <= start:
            blocks += 1
        name = f"{document.source}#{line}"
        names[name] += 1
        yield replace(
            document,
            source=name if names[name] == 1 else f"{name}.{names[name]}",  # several are of one line
            text=document.text[start:end],
            headings=(*above, *(replace(heading, start=heading.start - start) for heading in headings)),
            blocks=tuple(_blocks(document.blocks[blocks:], start, end)),
            first_line=line,
        )
        for heading in headings:
            _open(open_headings, heading)
        line += document.text.count("\n", start, end)
        start = end


def _cut(document: Document, start: int, end: int) -> int:
    """The best place for a cut at or before ``end``."""
    text, near = document.text, end - (end - start) // NEAR
    inside = [heading for heading in document.headings if near <= heading.start <= end]
    if inside:
        return min(inside, key=lambda heading: (heading.level, -heading.start)).start
    for border in ("\n\n", "\n", " "):
        at = text.rfind(border, near, end)
        if at >= 0:
            return at + len(border)
    return end


def _open(stack: list[Heading], heading: Heading) -> None:
    while stack and stack[-1].level >= heading.level:
        stack.pop()
    stack.append(heading)


def _above(stack: Sequence[Heading], headings: Sequence[Heading], start: int) -> list[Heading]:
    """The headings under which the text at ``start`` stands, at the start of the piece."""
    closed_by = headings[0].level if headings and headings[0].start == start else None
    return [replace(one, start=0) for one in stack if closed_by is None or one.level < closed_by]


def _blocks(blocks: Sequence[Block], start: int, end: int) -> Iterator[Block]:
    for block in blocks:
        if block.start >= end:
            return
        yield replace(block, start=max(block.start, start) - start, end=min(block.end, end) - start)
