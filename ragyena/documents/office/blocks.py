"""Paragraphs and tables of a word processor, in the order of its pages, and how they are written as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from ragyena.documents import merged_cells
from ragyena.documents.tables import read_table
from ragyena.documents.text_builder import TextBuilder, tidy

__all__ = ["Block", "Cell", "Grid", "Paragraph", "flat", "seen", "table_blocks", "title_of", "write"]

LONGEST_HEADING = 300
"""Chars of a heading; a longer paragraph that is styled as one is prose."""

LONGEST_REPEATED = 500
"""Chars of a merged cell that is repeated in the cells it covers. A longer text stands in the first alone: repeated at
every level of tables in tables, it would grow without bound."""
_LOOKS = {0xAD: None, 0x2011: "-"}


@dataclass(slots=True)
class Paragraph:
    """A paragraph, heading, item of a list, note or line of code."""

    text: str
    kind: Literal["prose", "heading", "list", "code", "footnote", "notes"] = "prose"
    level: int = 0
    """Level of a heading (1 = top) or of an item of a list (0 = outermost)."""
    marker: str = "-"
    """Mark or number before an item of a list."""
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
    whole: list[bool] | None = None
    """For each row, whether it is one cell across the table."""


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
    header_rows = grid.header_rows
    if header_rows is not None:
        first = header_rows + 2
        titles = len(read_table(grid.rows[:first], 0, None if grid.whole is None else grid.whole[:first]).titles)
        header_rows = max(header_rows - titles, 0) if header_rows < len(grid.rows) else None
    rows = [[merged_cells.keep_mark(cell, tidy(cell)) for cell in row] for row in grid.rows]
    builder.table(rows, header_rows=header_rows, caption=grid.caption, whole=grid.whole)


def title_of(blocks: Iterable[Block]) -> str:
    """The first paragraph of the style Title, else the first heading of level 1; "" where there is neither."""
    paragraphs = [b for b in blocks if isinstance(b, Paragraph) and len(b.text) <= LONGEST_HEADING]
    headings = (p.text for p in paragraphs if p.kind == "heading" and p.level == 1)
    return next((p.text for p in paragraphs if p.is_title), "") or next(headings, "")


def seen(text: str) -> str:
    """Text as it looks: without soft hyphens, with the hyphens that do not break as the usual ones."""
    return text if text.isascii() else text.translate(_LOOKS)


def flat(blocks: Iterable[Block]) -> str:
    """Blocks as the text of one cell: the rows of a table in it are parted by `` / ``."""
    parts: list[str] = []
    for block in blocks:
        if isinstance(block, Grid):
            table = read_table(block.rows, block.header_rows, block.whole)
            parts.append(" / ".join((*table.titles, *(line for lines in table.lines() for line in lines))))
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
    whole = [len(row) == 1 and row[0].columns > 1 and not row[0].continues for row in rows]
    return [Grid(_texts(rows), header_rows, caption, whole), *notes]


def _is_rich(cell: Cell) -> bool:
    texts = [block for block in cell.blocks if isinstance(block, Grid) or block.text.strip()]
    return len(texts) > 1 or any(isinstance(block, Grid) or block.kind == "heading" for block in texts)


def _texts(rows: Sequence[Sequence[Cell]]) -> list[list[str]]:
    """Rows of texts, merged cells repeated."""
    plain: list[list[merged_cells.Cell]] = []
    hanging: dict[int, tuple[int, int]] = {}  # column of a cell of the row above -> the row and place it began at
    for row in rows:
        cells: list[merged_cells.Cell] = []
        reached: dict[int, tuple[int, int]] = {}
        column = covered = 0
        for cell in row:
            if cell.continues and column < covered:  # below the second column of a cell that covers several
                column += cell.columns
                continue
            if cell.before > 0:
                cells.append(merged_cells.Cell("", cell.before))
                column += cell.before
            origin = hanging.get(column) if cell.continues else None
            if origin is None:
                origin = len(plain), len(cells)
                text = "" if cell.continues and not cell.blocks else flat(cell.blocks)
                is_long = len(text) > LONGEST_REPEATED
                cells.append(merged_cells.Cell(text, 1 if is_long else cell.columns))
                if is_long and cell.columns > 1:
                    cells.append(merged_cells.Cell("", cell.columns - 1))
                if is_long:
                    column += cell.columns
                    continue
            else:
                above = plain[origin[0]]
                covered = column + above[origin[1]].columns
                above[origin[1]] = replace(above[origin[1]], rows=above[origin[1]].rows + 1)
            reached[column] = origin
            column += cell.columns
        hanging = reached
        plain.append(cells)
    return [merged_cells.texts(row) for row in merged_cells.unmerge(plain)]
