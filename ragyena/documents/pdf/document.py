"""Pages of parts -> the text of a document with its headings, tables, lists and page labels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ragyena.documents.merged_cells import keep_mark
from ragyena.documents.pdf.elements import Box, Part
from ragyena.documents.pdf.headings import bare_heading, body_size, heading_levels
from ragyena.documents.pdf.hyphens import Hyphens
from ragyena.documents.pdf.margins import drop_repeated, printed_labels
from ragyena.documents.raised_marks import RAISED
from ragyena.documents.tables import read_table
from ragyena.documents.text_builder import TextBuilder, tidy
from ragyena.types import BlockKind

__all__ = ["OutlineEntry", "build_text", "continue_tables", "top_title"]

_FOOTNOTE = re.compile(rf"(?:{RAISED}+|\d{{1,3}}|[*†‡§¶]+)\s?(?=\S)")
_RAISED_MARK = re.compile(rf"(?:{RAISED}+|[†‡§¶])\s?\S")
_CONTINUED = re.compile(
    r"^.{0,80}\b(?:continued|cont['’]?d)\b"
    r"(?:\W{0,5}|\W{1,5}(?:overleaf|(?:on|from) (?:the )?(?:page|next|previous|following)\b.{0,20}))$",
    re.IGNORECASE,
)
LONGEST_HEADING = 400
NEAR = 8.0
"""Points within which the columns of two tables are in the same places."""
_BULLETS = frozenset("•◦▪▫‣●○■□▸►–—*-·")


@dataclass(frozen=True, slots=True)
class OutlineEntry:
    """An entry of a document's outline: page from 0, level from 1, title."""

    page: int
    level: int
    title: str


def build_text(
    pages: Sequence[list[Part]], outline: Sequence[OutlineEntry], labels: Sequence[str], heights: Sequence[float]
) -> TextBuilder:
    """The text of the document. ``labels`` are those of the file, () where it has none."""
    labels = labels or printed_labels(pages)
    drop_repeated(pages)
    continue_tables(pages)
    over_page = _continue_paragraphs(pages)
    hyphens = Hyphens(part.text for parts in pages for part in parts if part.kind == "prose")
    for parts in pages:
        for part in parts:
            part.text = tidy(part.text if part.kind == "code" else hyphens.join_lines(part.text))
            part.rows = [[keep_mark(cell, tidy(hyphens.join_lines(cell))) for cell in row] for row in part.rows]
    body = body_size(pages)
    levels = _outline_levels(pages, outline) or heading_levels(pages, body)
    builder = TextBuilder()
    for i, parts in enumerate(pages):
        goes_on = bool(parts) and id(parts[0]) in over_page
        builder.page(labels[i] if i < len(labels) else "", inside=goes_on)
        footnotes = _footnotes(parts, body, heights[i])
        list_left: list[float] = []
        for part in parts:
            if goes_on and part is parts[0]:
                kind = over_page[id(part)]
                builder.block(part.text, kind=kind, tight=True)
                continue
            if part.kind == "prose" and part.marker and id(part) not in levels and id(part) not in footnotes:
                _add_item(builder, part, list_left)
                continue
            list_left = []
            if id(part) in levels:
                builder.heading(levels[id(part)], part.text)
            elif part.kind == "table":
                builder.table(part.rows, header_rows=part.header_rows)
            elif part.kind == "code":
                builder.code(part.text)
            else:
                builder.block(part.text, kind="footnote" if id(part) in footnotes else "prose")
    return builder


def top_title(parts: Sequence[Part]) -> str:
    """The largest text on the first page, where it stands out and is in the upper part; else ``""``."""
    prose = [part for part in parts if part.kind == "prose" and not part.aside and part.text.strip()]
    if len(prose) < 2:
        return ""
    largest = max(prose[:6], key=lambda part: part.size)
    usual = sorted(part.size for part in prose for _ in range(part.lines))
    if largest.size < 1.2 * usual[len(usual) // 2] or not 3 <= len(largest.text) <= 200:
        return ""
    return " ".join(largest.text.split())


def _outline_levels(pages: Sequence[Sequence[Part]], outline: Sequence[OutlineEntry]) -> dict[int, int]:
    levels: dict[int, int] = {}
    by_title: dict[tuple[int, str], list[Part]] = {}
    for page in {entry.page for entry in outline if entry.page < len(pages)}:
        for part in reversed(pages[page]):
            if part.kind == "prose" and len(part.text) <= LONGEST_HEADING:
                by_title.setdefault((page, bare_heading(part.text)), []).append(part)
    for entry in outline:
        parts = by_title.get((entry.page, bare_heading(entry.title)), [])
        if parts and bare_heading(entry.title):
            levels[id(parts.pop())] = entry.level
    return levels


def _footnotes(parts: Sequence[Part], body: float, height: float) -> set[int]:
    """ids of the parts at the foot of a page, smaller than the running text, from the first with a mark on."""
    found: set[int] = set()
    for part in reversed(parts):
        if part.margin:
            continue
        if part.kind != "prose" or part.size > 0.93 * body or part.box.y0 < 0.4 * height:
            break
        found.add(id(part))
    found |= {
        id(part)  # at the foot of a column
        for part in parts
        if part.kind == "prose"
        and part.size <= 0.93 * body
        and part.box.y0 > 0.6 * height
        and _RAISED_MARK.match(part.text)
    }
    for part in parts:
        if id(part) in found and not _FOOTNOTE.match(part.text):
            found.discard(id(part))
        elif id(part) in found:
            break
    return found


def _add_item(builder: TextBuilder, part: Part, lefts: list[float]) -> None:
    """Add an item of a list; its level by its indent among the items before it."""
    while lefts and part.box.x0 < lefts[-1] - 3:
        lefts.pop()
    if not lefts or part.box.x0 > lefts[-1] + 3:
        lefts.append(part.box.x0)
    text = part.text[len(part.marker) :].strip()
    marker = "-" if part.marker in _BULLETS else part.marker
    builder.list_item(text, marker=marker, level=len(lefts) - 1)


def _body(parts: Sequence[Part]) -> list[Part]:
    return [part for part in parts if not part.margin]


def continue_tables(pages: Sequence[list[Part]]) -> None:
    """Give a table that goes on from the one before its names: on the next page, at the top of the next column or below
    a line of text across it; footnotes and a line that says so may stand between them. A row that is alone on its
    page becomes a table, too."""
    last: Part | None = None
    for parts in pages:
        if last is not None and last.kind == "table":
            _take_rows(last, parts)
        for part in _body(parts):
            if part.kind == "prose" and (_RAISED_MARK.match(part.text) or _CONTINUED.search(part.text)):
                continue
            if part.kind == "table" and last is not None and last.kind == "table" and _same_columns(last, part):
                names = read_table(last.rows, last.header_rows).names
                first = [" ".join(cell.split()) for cell in part.rows[0]]
                has_names = part.header_rows is not None or read_table(part.rows).layout.is_sure
                if names and not has_names and first != list(names):
                    part.rows, part.header_rows = [list(names), *part.rows], 1
            last = part


def _take_rows(table: Part, parts: list[Part]) -> None:
    """Make one table of the lines at the top of a page that are rows of ``table``, on the page before."""
    count = next((n for n, part in enumerate(parts) if not _is_next_row(table, part)), len(parts))
    if count:
        rows = [row for part in parts[:count] for row in part.rows]
        box = Box(table.box.x0, parts[0].box.y0, table.box.x1, parts[count - 1].box.y1)
        size = parts[0].size
        parts[:count] = [Part("", box, size, kind="table", rows=rows, columns=table.columns)]


def _is_next_row(table: Part, line: Part) -> bool:
    """True for the line with cells that begin one in each column of a table."""
    if line.kind != "prose" or not line.rows or len(line.columns) != len(table.columns):
        return False
    if "".join(line.text.split()) != "".join("".join(line.rows[0]).split()):
        return False  # joined with other lines, or a running header without its number
    ends = (*(left - NEAR for left in table.columns[1:]), table.box.x1)
    return all(a - NEAR < left < end for a, left, end in zip(table.columns, line.columns, ends, strict=True))


def _same_columns(one: Part, other: Part) -> bool:
    """True for columns in the same places, or three and more that are all moved by as much: to another column."""
    if len(one.columns) != len(other.columns):
        return False
    moved = other.columns[0] - one.columns[0] if len(one.columns) > 2 else 0.0
    return all(abs(b - a - moved) < NEAR for a, b in zip(one.columns, other.columns))


def _continue_paragraphs(pages: Sequence[list[Part]]) -> dict[int, BlockKind]:
    """Join paragraphs that go on in the next column; a word parted between two pages moves to the first.

    Gives the ids of the parts that go on from the page before, with the kind of their paragraph. They are put first on
    their page, and the parts that they go on from last, so that no running header stands between them.
    """
    over_page: dict[int, BlockKind] = {}
    previous: Part | None = None
    for i, parts in enumerate(pages):
        kept: list[Part] = []
        first = next((n for n, part in enumerate(parts) if not part.margin), None)
        for n, part in enumerate(parts):
            if previous is not None and _goes_on(previous, part):
                if kept and kept[-1] is previous:
                    previous.text += "\n" + part.text
                    previous.open_end, previous.lines = part.open_end, previous.lines + part.lines
                    continue
                if n == first and i and any(part is previous for part in pages[i - 1]):
                    if previous.text.endswith("-"):
                        word, _, rest = part.text.partition(" " if " " in part.text.split("\n")[0] else "\n")
                        previous.text, part.text = f"{previous.text}\n{word}", rest
                    if part.text.strip():
                        over_page[id(part)] = "list" if previous.marker else "prose"
                        pages[i - 1][:] = [*(other for other in pages[i - 1] if other is not previous), previous]
                        kept.insert(0, part)
                        previous = part
                        continue
            kept.append(part)
            if not part.margin:
                previous = part
        parts[:] = kept
    return over_page


def _goes_on(part: Part, following: Part) -> bool:
    if part.kind != "prose" or following.kind != "prose" or following.margin or following.marker:
        return False
    same = abs(part.size - following.size) < 0.6 and part.bold == following.bold
    begins = following.text[:1]
    return same and part.open_end and (begins.islower() or (part.lines > 1 and begins.isalnum()))
