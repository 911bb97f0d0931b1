"""Headers and footers, which stand on every page: read once, without the numbers of pages."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ragyena.documents.office.blocks import Block, Grid, Paragraph

__all__ = ["PAGE_NUMBER", "once"]

PAGE_NUMBER = "\x00"
"""Stands in a text where a page shows its number, which differs from page to page."""
FEWEST_WORDS = 4
"""Words beside a page number that are kept; ``Page 3 of 7`` has fewer."""


def once(blocks: Iterable[Block]) -> list[Block]:
    """The blocks of all headers, or all footers, of a file: each text once, none a heading."""
    found: dict[str, Block] = {}
    for block in blocks:
        if isinstance(block, Grid):
            block = Grid([[_without_number(cell) for cell in row] for row in block.rows], block.header_rows)
            found.setdefault(repr(block.rows), block)
        else:
            block = Paragraph(_without_number(block.text))
            found.setdefault(block.text, block)
    return list(found.values())


def _without_number(text: str) -> str:
    if PAGE_NUMBER not in text:
        return text
    kept = []
    for piece in re.split(r"\t|\n| {3,}", text):
        words = piece.replace(PAGE_NUMBER, " ").split()
        if PAGE_NUMBER not in piece or sum(any(c.isalpha() for c in word) for word in words) >= FEWEST_WORDS:
            kept.append(" ".join(words))
    return "\t".join(kept)
