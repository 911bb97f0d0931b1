"""Pictures of the pages of a PDF file, and where on them a stretch of the document's text stands.

Boxes are found by what a quote spells: letters and digits alone, since spaces, hyphens and the marks of tables are not
on the page as they are in the text.
"""

from __future__ import annotations

import ctypes
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ragyena.documents.formats.pdf import open_pdf

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["PageBox", "draw_page", "find_boxes", "page_size"]

MOST_PIXELS = 12_000_000
MOST_CHARS = 200_000
SHORTEST_PIECE = 3
"""Letters of a piece of a quote that is looked for on its own."""
DEVICE = 100_000
"""Units across a page in which pdfium gives places, before they become parts of 1."""


@dataclass(frozen=True, slots=True)
class PageBox:
    """A box on a page as parts of its width and height, from the upper left corner of the page as it is shown."""

    x0: float
    y0: float
    x1: float
    y1: float


def page_size(path: Path, number: int) -> tuple[float, float]:
    """Width and height in points of page ``number``, from 0, as it is shown. Raises UnreadableDocumentError, and
    IndexError where there is no such page."""
    pdf = open_pdf(path)
    try:
        width, height = pdf[_checked(number, len(pdf))].get_size()
        return float(width), float(height)
    finally:
        pdf.close()


def draw_page(path: Path, number: int, width: int) -> npt.NDArray[np.uint8]:
    """RGB pixels [height, width, 3] of page ``number``, from 0. Raises UnreadableDocumentError and IndexError."""
    pdf = open_pdf(path)
    try:
        page = pdf[_checked(number, len(pdf))]
        points_wide, points_high = page.get_size()
        scale = width / max(points_wide, 1.0)
        pixels = scale * scale * points_wide * points_high
        if pixels > MOST_PIXELS:
            scale *= (MOST_PIXELS / pixels) ** 0.5
        bitmap = page.render(scale=scale, rev_byteorder=True, may_draw_forms=False)
        drawn: npt.NDArray[np.uint8] = bitmap.to_numpy()[:, :, :3].copy()
        return drawn
    finally:
        pdf.close()


def find_boxes(path: Path, number: int, quote: str, before: float = 0.0) -> list[PageBox]:
    """The boxes of ``quote`` on page ``number``, from 0, one for each line or part of one; none where it is not.

    Of several places it is the one nearest to ``before``, the part of the page's text (0 to 1) that comes before it.
    Raises UnreadableDocumentError and IndexError.
    """
    pdf = open_pdf(path)
    try:
        page = pdf[_checked(number, len(pdf))]
        text_page = page.get_textpage()
        letters, chars = _letters(text_page)
        boxes: list[PageBox] = []
        for first, last in _places(letters, quote, before):
            boxes += _boxes(page, text_page, chars[first], chars[last - 1])
        return boxes
    finally:
        pdf.close()


def _checked(number: int, count: int) -> int:
    if not 0 <= number < count:
        raise IndexError(f"page {number + 1} of {count}")
    return number


def _spelt(text: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFKC", text).casefold() if char.isalnum())


def _letters(text_page: object) -> tuple[str, list[int]]:
    """The letters of a page, and for each the index of its character on the page."""
    import pypdfium2.raw as pdfium

    letters: list[str] = []
    chars: list[int] = []
    for i in range(min(pdfium.FPDFText_CountChars(text_page), MOST_CHARS)):
        code = pdfium.FPDFText_GetUnicode(text_page, i)
        if 0xD800 <= code < 0xE000 or code > 0x10FFFF:
            continue
        spelt = _spelt(chr(code))
        letters.append(spelt)
        chars += [i] * len(spelt)
    return "".join(letters), chars


def _places(letters: str, quote: str, before: float) -> list[tuple[int, int]]:
    """Stretches of ``letters`` that spell the quote: the whole, or else its lines and cells, in their order."""
    whole = _spelt(quote)
    if not whole:
        return []
    near = round(before * len(letters))
    if (start := _nearest(letters, whole, near)) is not None:
        return [(start, start + len(whole))]
    places = []
    for line in quote.splitlines():
        spelt = _spelt(line)
        start = _nearest(letters, spelt, near) if len(spelt) >= SHORTEST_PIECE else None
        if start is not None:
            places.append((start, start + len(spelt)))
            near = start + len(spelt)
            continue
        for piece in map(_spelt, _cells(line)):
            start = _nearest(letters, piece, near) if len(piece) >= SHORTEST_PIECE else None
            if start is not None:
                places.append((start, start + len(piece)))
                near = start + len(piece)
    return places


def _cells(line: str) -> list[str]:
    """The values of a row that is written as ``Name: value; Name: value``, or its parts between bars."""
    return [cell.partition(": ")[2] or cell for part in line.split("|") for cell in part.split("; ")]


def _nearest(letters: str, wanted: str, near: int) -> int | None:
    best, start = None, letters.find(wanted)
    while start >= 0:
        if best is None or abs(start - near) < abs(best - near):
            best = start
        start = letters.find(wanted, start + 1)
    return best


def _boxes(page: object, text_page: object, first: int, last: int) -> list[PageBox]:
    """The boxes of characters ``first`` to ``last``, inclusive."""
    import pypdfium2.raw as pdfium

    boxes = []
    count = pdfium.FPDFText_CountRects(text_page, first, last - first + 1)
    for i in range(max(count, 0)):
        left, top, right, bottom = (ctypes.c_double() for _ in range(4))
        if not pdfium.FPDFText_GetRect(text_page, i, left, top, right, bottom):
            continue
        corners = []
        for x, y in ((left.value, top.value), (right.value, bottom.value)):
            at_x, at_y = ctypes.c_int(), ctypes.c_int()
            pdfium.FPDF_PageToDevice(page, 0, 0, DEVICE, DEVICE, 0, x, y, at_x, at_y)
            corners.append((min(1.0, max(0.0, at_x.value / DEVICE)), min(1.0, max(0.0, at_y.value / DEVICE))))
        (ax, ay), (bx, by) = corners
        if ax != bx and ay != by:
            boxes.append(PageBox(min(ax, bx), min(ay, by), max(ax, bx), max(ay, by)))
    return boxes
