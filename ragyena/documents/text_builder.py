"""The text of a document put together from blocks, with the offsets of its headings and pages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from zipfile import ZipFile

from ragyena.config import IndexConfig
from ragyena.documents.budget import spend
from ragyena.documents.decoding import normalise_newlines
from ragyena.documents.tables import read_table
from ragyena.errors import UnreadableDocumentError
from ragyena.types import Block, BlockKind, Document, Heading

__all__ = ["TextBuilder", "check_office_file", "tidy"]

_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
INFLATION = 20
"""An office file unpacks to at most this many times ``max_file_mb``."""


class TextBuilder:
    """Blocks in reading order, parted by blank lines; text that is not prose is remembered by its kind."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._headings: list[Heading] = []
        self._blocks: list[Block] = []
        self._page_starts: list[int] = []
        self._page_labels: list[str] = []

    def page(self, label: str = "", *, inside: bool = False) -> None:
        """Begin a page with the next block. A page may stay empty; ``label`` is the name printed on it.

        ``inside`` says that the paragraph before it goes on over the page: a line ends there, not the paragraph.
        """
        if self._length and not self._parts[-1].endswith("\n\n"):
            self._append("\n" if inside else "\n\n")
        spend(pages=1)
        self._page_starts.append(self._length)
        self._page_labels.append(label)

    def heading(self, level: int, text: str) -> None:
        """Add a heading of level 1 (top) and below, as a block of its own."""
        text = " ".join(text.split())
        if text:
            self.heading_at(self.block(text), level, text)

    def heading_at(self, start: int, level: int, text: str) -> None:
        """Mark text that is already in as a heading."""
        self._headings.append(Heading(start, level, text))

    def block(self, text: str, *, kind: BlockKind = "prose", tight: bool = False, header: tuple[str, ...] = ()) -> int:
        """Add a paragraph or the like and return the offset at which it starts. Blank text adds nothing.

        ``tight`` puts it on the next line without a blank line (list items, table rows); it then belongs to the block
        before it where that is of the same kind and header.
        """
        text = text.strip("\n").rstrip()
        if not text.strip():
            return self._length
        at_page_start = bool(self._page_starts) and self._page_starts[-1] == self._length
        if self._length and not at_page_start:
            self._append("\n" if tight else "\n\n")
        start = self._length
        self._append(text)
        if kind != "prose":
            last = self._blocks[-1] if self._blocks else None
            if last and tight and last.end == start - 1 and (last.kind, last.header) == (kind, header):
                self._blocks[-1] = Block(last.start, self._length, kind, header)
            else:
                self._blocks.append(Block(start, self._length, kind, header))
        return start

    def list_item(self, text: str, *, marker: str = "-", level: int = 0) -> None:
        """Add an item of a list; items that follow each other stand on lines of their own without blank lines."""
        last = self._blocks[-1] if self._blocks else None
        tight = last is not None and last.kind == "list" and last.end == self._length
        self.block(f"{'  ' * level}{marker} {text.strip()}" if text.strip() else "", kind="list", tight=tight)

    def code(self, text: str) -> None:
        """Add program code or other text whose lines and indents are to stay."""
        self.block(text, kind="code")

    def table(
        self,
        rows: Sequence[Sequence[str]],
        *,
        header_rows: int | None = None,
        caption: str = "",
        whole: Sequence[bool] | None = None,
    ) -> None:
        """Add a table, one line a row, each with the names of its columns: ``Model: V-20; Weight: 3.9 kg``.

        ``rows`` hold the text of every cell, merged cells repeated in each cell that they cover. ``header_rows`` is the
        number of rows that name the columns, None to detect it; ``whole`` tells of each row whether it is one cell
        across the table, where the file says so (``documents.tables``).
        """
        spend(cells=sum(map(len, rows)))
        table = read_table(rows, header_rows, whole).without_marks()
        for line in (caption, *table.titles):
            self.block(" ".join(line.split()))
        tight = False
        for lines in table.lines():
            for line in lines:
                self.block(line, kind="table", tight=tight, header=table.header)
                tight = True
        if not tight:  # names without rows
            self.block(" | ".join(filter(None, table.names)), kind="table")

    def add(self, part: Document) -> None:
        """Add the text of another document, with its headings and blocks."""
        text = part.text.rstrip()
        shift = len(text) - len(text.lstrip("\n"))
        start = self.block(text)
        end = self._length
        for heading in part.headings:
            self.heading_at(start + max(0, heading.start - shift), heading.level, heading.text)
        for block in part.blocks:
            first, last = start + max(0, block.start - shift), min(end, start + block.end - shift)
            if first < last:
                self._blocks.append(Block(first, last, block.kind, block.header))

    def document(self, path: Path, title: str = "", metadata: Mapping[str, str] | None = None) -> Document:
        """The finished document of the file ``path``."""
        return Document(
            source=str(path),
            text="".join(self._parts),
            title=" ".join(title.split()),
            page_starts=tuple(self._page_starts),
            page_labels=tuple(self._page_labels) if any(self._page_labels) else (),
            headings=tuple(sorted(self._headings, key=lambda heading: heading.start)),
            blocks=tuple(self._blocks),
            metadata=metadata or {},
        )

    def _append(self, text: str) -> None:
        spend(chars=len(text))
        self._parts.append(text)
        self._length += len(text)


def check_office_file(path: Path, config: IndexConfig) -> None:
    """Raise UnreadableDocumentError for an office file that is encrypted or unpacks without bound, BadZipFile for one
    that is damaged."""
    with path.open("rb") as file:
        if file.read(len(_OLE)) == _OLE:
            raise UnreadableDocumentError(
                f"{path} is encrypted with a password, or of the format before 2007",
                hint="open it in its own program and save it without a password in the current format",
            )
    with ZipFile(path) as archive:
        size = sum(item.file_size for item in archive.infolist())
    if size > INFLATION * config.max_file_mb * 1_000_000:
        raise UnreadableDocumentError(
            f"{path} unpacks to {size / 1e6:.0f} MB", hint="split it, or raise index.max_file_mb"
        )


def tidy(text: str) -> str:
    """Text of a parser as clean lines: no trailing blanks, at most one blank line in a row, one kind of newline."""
    text = normalise_newlines(text).replace("\x0b", "\n").replace("\x0c", "\n")
    text = re.sub(r"[\x00-\x08\x0e-\x1f\x7f]", "", text)
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[^\S\n]+(?=\n)", "", text))
