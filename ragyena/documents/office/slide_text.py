"""The text of the shapes of a slide: paragraphs, and items of lists by the bullets that they inherit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ragyena.documents.office.blocks import Block, Cell, Paragraph, seen, table_blocks
from ragyena.documents.office.math import formula
from ragyena.documents.office.numerals import numeral
from ragyena.documents.office.package import Element, children, local
from ragyena.documents.raised_marks import FAR_ENOUGH, typed

__all__ = ["A", "P", "frame_blocks", "frame_lines", "table_of"]

A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"

LEVELS = 9
MOST_COLUMNS = 100_000
"""Columns that a cell may claim."""
_NUMERALS = {
    "arabic": "decimal",
    "alphaLc": "lowerLetter",
    "alphaUc": "upperLetter",
    "romanLc": "lowerRoman",
    "romanUc": "upperRoman",
    "circleNum": "decimalEnclosedCircle",
    "ea1": "chineseCounting",
}


@dataclass(slots=True)
class _Counts:
    """The numbers that the levels of one frame have reached."""

    numbers: list[int] = field(default_factory=lambda: [0] * LEVELS)
    kinds: list[str] = field(default_factory=lambda: [""] * LEVELS)

    def next(self, level: int, kind: str, start: int) -> int:
        """The number of the next item; any other paragraph of the level (``kind`` "") begins the count again."""
        self.numbers[level] = self.numbers[level] + 1 if kind and self.kinds[level] == kind else start
        self.kinds[level] = kind
        for deeper in range(level + 1, LEVELS):
            self.kinds[deeper] = ""
        return self.numbers[level]


def frame_blocks(body: Element, styles: Sequence[Element]) -> list[Block]:
    """The blocks of a text frame. ``styles`` are the list styles that it inherits, nearest first.

    A bullet before a single paragraph makes no list.
    """
    blocks: list[Block] = []
    counts = _Counts()
    sources = [style for style in (body.find(A + "lstStyle"), *styles) if style is not None]
    for paragraph in body.iterchildren(A + "p"):
        text = _text(paragraph)
        if not text.strip():
            continue
        own = paragraph.find(A + "pPr")
        level = _number(None if own is None else own.get("lvl"), 0, LEVELS - 1)
        marker = _marker(_bullet(own, sources, level), level, counts)
        if marker is None:
            blocks.append(Paragraph(text.strip(), tight=True))
        else:
            blocks.append(Paragraph(text.strip(), "list", level, marker))
    if len(blocks) == 1 and isinstance(blocks[0], Paragraph) and blocks[0].marker == "-":
        return [Paragraph(blocks[0].text)]
    return blocks


def frame_lines(body: Element) -> str:
    """The text of a frame, a line a paragraph."""
    return "\n".join(text for text in map(_text, body.iterchildren(A + "p")) if text.strip())


def table_of(table: Element) -> list[Block]:
    """The blocks of an ``a:tbl``."""
    rows: list[list[Cell]] = []
    for row in table.iterchildren(A + "tr"):
        cells: list[Cell] = []
        for cell in row.iterchildren(A + "tc"):
            if _is_true(cell, "hMerge"):
                continue
            body = cell.find(A + "txBody")
            cells.append(
                Cell(
                    [] if body is None else frame_blocks(body, ()),
                    columns=_number(cell.get("gridSpan"), 1, MOST_COLUMNS),
                    continues=_is_true(cell, "vMerge"),
                )
            )
        rows.append(cells)
    return table_blocks(rows)


def _text(paragraph: Element) -> str:
    text = ""
    for piece, is_raised in _pieces(paragraph):
        text += typed(text[-FAR_ENOUGH:], piece) if is_raised else piece
    return text


def _pieces(paragraph: Element) -> Iterator[tuple[str, bool]]:
    """(text, True where it is raised)"""
    for child in children(paragraph):
        name = local(child)
        if name == "br":
            yield "\n", False
        elif name == "r" or (name == "fld" and child.get("type") != "slidenum"):
            properties = child.find(A + "rPr")
            baseline = "" if properties is None else properties.get("baseline", "")
            is_raised = baseline not in ("", "0", "0%") and not baseline.startswith("-")
            yield seen("".join(t.text or "" for t in child.iterchildren(A + "t"))), is_raised
        elif name in ("AlternateContent", "m"):  # a formula, and a picture of it
            yield from ((text, False) for text in _formulas(child))


def _formulas(element: Element) -> Iterable[str]:
    choice = next((option for option in children(element) if local(option) == "Choice"), element)
    return (formula(math) for math in choice.iter(_M + "oMath"))


def _bullet(own: Element | None, styles: Sequence[Element], level: int) -> Element | None:
    """The element that says what stands before a paragraph: ``buChar``, ``buAutoNum``, ``buNone`` ..."""
    named = [own] if own is not None else []
    named += [found for style in styles if (found := style.find(f"{A}lvl{level + 1}pPr")) is not None]
    for source in named:
        for child in children(source):
            if local(child) in ("buNone", "buChar", "buAutoNum", "buBlip"):
                return child
    return None


def _marker(bullet: Element | None, level: int, counts: _Counts) -> str | None:
    kind = "" if bullet is None else local(bullet)
    if bullet is None or kind != "buAutoNum":
        counts.next(level, "", 0)
        return None if kind in ("", "buNone") else "-"
    style = bullet.get("type", "arabicPeriod")
    number = counts.next(level, style, _number(bullet.get("startAt"), 1, 32_767))
    base = next((name for name in _NUMERALS if style.startswith(name)), "arabic")
    written = numeral(number, _NUMERALS[base])
    if style.endswith("ParenBoth"):
        return f"({written})"
    return f"{written})" if style.endswith("ParenR") else f"{written}." if style.endswith("Period") else written


def _number(text: str | None, default: int, most: int) -> int:
    is_number = text is not None and text.isascii() and text.isdigit() and len(text) < 10
    return min(int(text or ""), most) if is_number else default


def _is_true(element: Element, name: str) -> bool:
    return element.get(name) in ("1", "true")
