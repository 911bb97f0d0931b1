"""What the pages of a word processor show, in order: paragraphs and tables, and how they are written as text."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Literal

from ragyena.documents.tables import read_table
from ragyena.documents.text_builder import TextBuilder, tidy

__all__ = ["Block", "Cell", "Grid", "Paragraph", "flat", "table_blocks", "write"]

LONGEST_HEADING = 300
"""Chars of a heading; a longer paragraph that is styled as one is prose."""
MOST_REPEATED = 2_000
"""Chars that a merged cell adds by being repeated along its row; beyond, it stands in its first columns alone."""
LONGEST_REPEATED = 500
"""Chars of a merged cell that is repeated on every row that it covers; a longer text stands on its first row alone."""
MOST_CELLS = 50_000
"""Cells of a grid above which it may be at most ``SPARSEST`` times as large as the cells that are written."""
SPARSEST = 20


@dataclass(slots=True)
class Paragraph:
    """A paragraph, heading, item of a list, note or line of code."""

    text: str
    kind: Literal["prose", "heading", "list", "code", "footnote", "notes"] = "prose"
    level: int = 0
    """Of a heading (1 = top) or of an item of a list (0 = outermost)."""
    marker: str = "-"
    """Of an item of a list."""
    tight: bool = False
    """On the line after the paragraph before it, without a blank line, where that is tight, too."""
    is_title: bool = False
    """The title of the document, as its style says."""


@dataclass(slots=True)
class Grid:
    """A table as rows of cell texts, merged cells repeated."""

    rows: list[list[str]]
    header_rows: int | None = None
    caption: str = ""


Block = Paragraph | Grid


@dataclass(slots=True)
class Cell:
    """A cell as it is written in its row."""

    blocks: list[Block] = field(default_factory=list)
    before: int = 0
    """Columns left empty before it."""
    columns: int = 1
    """Columns that it covers."""
    continues: bool = False
    """It belongs to the cell above it."""


def write(blocks: Iterable[Block], builder: TextBuilder) -> None:
    """Add blocks to the text of a document."""
    last: Block | None = None
    for block in blocks:
        if isinstance(block, Grid):
            _write_grid(block, builder)
        elif block.kind == "heading":
            if len(block.text) <= LONGEST_HEADING:
                builder.heading(block.level, tidy(block.text))
            else:
                builder.block(tidy(block.text).strip())
        elif block.kind == "list":
            builder.list_item(tidy(block.text), marker=block.marker, level=block.level)
        elif block.kind == "code":
            follows = isinstance(last, Paragraph) and last.kind == "code"
            builder.block(tidy(block.text), kind="code", tight=follows)
        else:
            follows = block.tight and isinstance(last, Paragraph) and last.tight
            builder.block(tidy(block.text).strip(), kind=block.kind, tight=follows)
        last = block


def _write_grid(grid: Grid, builder: TextBuilder) -> None:
    width = max(map(len, grid.rows), default=0)
    written = sum(1 for row in grid.rows for cell in row if cell)
    if _is_sparse(len(grid.rows), width, written):
        builder.block(grid.caption)
        for number, row in enumerate(grid.rows):
            builder.block(" | ".join(" ".join(cell.split()) for cell in row if cell), kind="table", tight=number > 0)
        return
    header_rows = grid.header_rows
    if header_rows is not None:
        titles = len(read_table(grid.rows[: header_rows + 2], 0).titles)
        header_rows = max(header_rows - titles, 0) if header_rows < len(grid.rows) else None
    builder.table([[tidy(cell) for cell in row] for row in grid.rows], header_rows=header_rows, caption=grid.caption)


def _is_sparse(rows: int, columns: int, cells: int) -> bool:
    """True for a grid so large and empty that to fill it would cost more than it says."""
    return rows * columns > max(MOST_CELLS, SPARSEST * cells)


def flat(blocks: Iterable[Block]) -> str:
    """Blocks as the text of one cell: the rows of a table in it are parted by `` / ``."""
    parts: list[str] = []
    for block in blocks:
        if isinstance(block, Grid):
            table = read_table(block.rows, block.header_rows)
            parts.append(" / ".join(filter(None, (*table.titles, *map(table.line, table.rows)))))
        elif block.kind == "list":
            parts.append(f"{block.marker} {block.text}" if block.text.strip() else "")
        elif block.kind not in ("footnote", "notes"):
            parts.append(block.text)
    return " ".join(part for part in parts if part and not part.isspace())


def table_blocks(rows: Sequence[Sequence[Cell]], header_rows: int | None = None, caption: str = "") -> list[Block]:
    """The blocks that a table is read as: itself, or the blocks inside its cells where it only lays out a page.

    A table lays out where it has one column, or one row with a cell that holds several paragraphs or a table. Notes
    of cells stand after the table.
    """
    rows = [row for row in rows if row]
    if all(len(row) == 1 for row in rows) or (len(rows) == 1 and any(_is_rich(cell) for cell in rows[0])):
        return [block for row in rows for cell in row if not cell.continues for block in cell.blocks]
    notes: list[Block] = [
        block
        for row in rows
        for cell in row
        for block in cell.blocks
        if isinstance(block, Paragraph) and block.kind in ("footnote", "notes")
    ]
    return [Grid(_texts(rows), header_rows, caption), *notes]


def _is_rich(cell: Cell) -> bool:
    texts = [block for block in cell.blocks if isinstance(block, Grid) or block.text.strip()]
    return len(texts) > 1 or any(isinstance(block, Grid) or block.kind == "heading" for block in texts)


def _texts(rows: Sequence[Sequence[Cell]]) -> list[list[str]]:
    """Rows of texts, merged cells repeated. Columns are counted by where cells start, so that a span of a million
    columns is as wide as the rows around it make it."""
    starts = [_starts(row) for row in rows]
    columns = {start: i for i, start in enumerate(sorted({start for row in starts for start in row}))}
    if _is_sparse(len(rows), len(columns), sum(map(len, rows))):
        return [[flat(cell.blocks) for cell in row] for row in rows]
    ends = sorted(columns)
    table: list[list[str]] = []
    above: dict[int, str] = {}  # column -> the text that a cell below continues
    for row, places in zip(rows, starts):
        texts: list[str] = []
        reaching: dict[int, str] = {}
        for cell, place in zip(row, places):
            column = columns[place]
            text = above.get(column, "") if cell.continues else flat(cell.blocks)
            width = bisect_left(ends, place + max(cell.columns, 1)) - column
            repeats = max(1, min(width, MOST_REPEATED // max(len(text), 1)))
            texts.extend("" for _ in range(len(texts), column))
            texts.extend([text] * repeats)
            if len(text) <= LONGEST_REPEATED:
                reaching.update(dict.fromkeys(range(column, column + repeats), text))
        table.append(texts)
        above = reaching
    return table


def _starts(row: Sequence[Cell]) -> list[int]:
    ends = list(accumulate(max(cell.before, 0) + max(cell.columns, 1) for cell in row))
    return [end - max(cell.columns, 1) for cell, end in zip(row, ends)]
