"""Pages that are pictures of text: found, rendered and recognised."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ragyena.documents import ocr
from ragyena.documents.pdf.elements import Page, Run

if TYPE_CHECKING:
    from pypdfium2 import PdfPage

__all__ = ["is_scan", "is_too_large", "read_scan"]

DOTS_PER_INCH = 150
MOST_PIXELS = 4_000_000
"""A page is rendered with at most this many pixels: A4 at 150 dots per inch has two million."""
MOST_IMAGE_PIXELS = 150_000_000
"""Most pixels of an image in the file that is read: A0 at 300 dots per inch has 140 million."""
LEAST_IMAGE = 0.05
"""Share of a page without any text that an image covers, for the page to count as a scan."""
WHOLE_PAGE = 0.7
"""Share that the image of a scan covers on a page with a few characters (a stamp, a page number)."""
FEW_CHARS = 60
MARGIN = 0.15
"""Share of its height by which the box of a recognised line is wider than the line, at either side."""
LEAST_SIZE = 40.0
"""Points of the shorter side: nothing legible is on a smaller page."""


def is_too_large(page: Page) -> bool:
    """True where an image of the page would take too much memory to render."""
    return page.most_pixels > MOST_IMAGE_PIXELS


def is_scan(page: Page) -> bool:
    """True for a page without text, or with hardly any, that shows an image."""
    area = page.width * page.height
    if min(page.width, page.height) < LEAST_SIZE:
        return False
    covered = sum(image.width * image.height for image in page.images) / area
    chars = sum(char.isalnum() for run in (*page.runs, *page.asides) for char in run.text)
    return covered >= LEAST_IMAGE if chars == 0 else chars < FEW_CHARS and covered >= WHOLE_PAGE


def read_scan(pdf_page: PdfPage) -> Page:
    """The page with the text that is recognised in its picture."""
    width, height = pdf_page.get_size()
    scale = min(DOTS_PER_INCH / 72, math.sqrt(MOST_PIXELS / max(width * height, 1.0)))
    bitmap = pdf_page.render(scale=scale, rev_byteorder=True)
    try:
        image = bitmap.to_numpy()[:, :, :3].copy()
    finally:
        bitmap.close()
    runs = []
    for line in ocr.recognise(image):
        x0, y0, x1, y1 = (value / scale for value in (line.x0, line.y0, line.x1, line.y1))
        tall = y1 - y0
        x0, x1 = x0 + MARGIN * tall, max(x1 - MARGIN * tall, x0 + 2 * MARGIN * tall)
        runs.append(Run(x0, y0, x1, y1, line.text, y1 - 0.25 * tall, 0.8 * tall))
    _level(runs)
    return Page(width, height, runs, [], [], [], [])


def _level(runs: list[Run]) -> None:
    """Sizes of one line vary with its letters: give lines of nearly one size the same."""
    sizes: list[list[Run]] = []
    for run in sorted(runs, key=lambda run: run.size):
        if sizes and run.size <= 1.25 * sizes[-1][0].size:
            sizes[-1].append(run)
        else:
            sizes.append([run])
    for group in sizes:
        middle = group[len(group) // 2].size
        for run in group:
            run.size = middle
