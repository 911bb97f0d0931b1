"""The whole of a table in its document, of which a passage may hold a few rows."""

from __future__ import annotations

import logging
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import attrgetter

from ragyena.documents.table_rows import RowTable, read_rows
from ragyena.types import Block, Document

__all__ = ["WholeTable", "titles_at", "whole_table"]

log = logging.getLogger(__name__)

_PIECE = re.compile(r"#\d+(?:\.\d+)?$")
"""Ends the source of a piece of a long file."""
_LONGEST_CAPTION = 200
"""Chars above a table that are its caption."""


@dataclass(frozen=True, slots=True)
class WholeTable:
    """All rows of a table."""

    rows: RowTable = field(repr=False)
    start: int
    end: int
    """The table is ``text[start:end]`` of its document."""
    header: tuple[str, ...]
    alike: tuple[int, ...]
    """Offsets of the other tables of its document with the same names of columns."""


def whole_table(document: Document, offset: int, most_chars: int) -> WholeTable | None:
    """The table that holds ``offset``; parts that only a page border parts are one table. None where no table does,
    where it may go on in another piece of a long file, where it has more than ``most_chars``, which is logged, and
    where it is not clear which cell is in which column."""
    blocks = document.blocks
    at = bisect_right(blocks, offset, key=attrgetter("start")) - 1
    if at < 0 or offset >= blocks[at].end or blocks[at].kind != "table":
        return None
    first = last = at
    while first and _goes_on(document, blocks[first - 1], blocks[first]):
        first -= 1
    while last + 1 < len(blocks) and _goes_on(document, blocks[last], blocks[last + 1]):
        last += 1
    start, end, header = blocks[first].start, blocks[last].end, blocks[at].header
    if end - start > most_chars:
        log.info(
            "a table of %s has %d characters, over reader.table_chars: nothing is computed of it",
            document.source,
            end - start,
        )
        return None
    is_at_edge = not document.text[:start].strip() or not document.text[end:].strip()
    if _PIECE.search(document.source) and is_at_edge:
        return None
    rows = read_rows(document.text[start:end], start, header)
    if rows is None:
        return None
    own = range(first, last + 1)
    alike = (b.start for n, b in enumerate(blocks) if n not in own and (b.kind, b.header) == ("table", header))
    return WholeTable(rows, start, end, header, tuple(alike))


def _goes_on(document: Document, block: Block, following: Block) -> bool:
    return (
        following.kind == block.kind == "table"
        and following.header == block.header
        and any(block.end <= page <= following.start for page in document.page_starts)
        and not document.text[block.end : following.start].strip()
    )


def titles_at(document: Document, offset: int) -> Iterator[str]:
    """The titles of the table at ``offset``: of its document, of the sections it stands in, and a caption above it."""
    yield document.title
    level = 1 << 30
    for heading in reversed(document.headings[: bisect_right(document.headings, offset, key=attrgetter("start"))]):
        if heading.level < level:
            level = heading.level
            yield heading.text
    at = bisect_right(document.blocks, offset, key=attrgetter("start")) - 1
    start = document.blocks[at].start if at >= 0 else offset
    above = document.text[max(0, start - _LONGEST_CAPTION) : start].strip().rpartition("\n")[2]
    if at < 1 or document.blocks[at - 1].end < start - len(above) - 1:
        yield above
