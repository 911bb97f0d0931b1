"""A page of pdfium -> its runs of text, drawn lines and images.

One call of pdfium for every character is what time is spent on, so each is asked for its code and its box alone; font,
colour and direction are asked of the text object that it belongs to, once.
"""

from __future__ import annotations

import ctypes
import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from ragyena.documents.pdf.drawings import Drawings, read_drawings
from ragyena.documents.pdf.elements import Box, Page, Run
from ragyena.documents.pdf.forms import Entry
from ragyena.documents.pdf.runs import Glyph, Style, build_runs, slanted_runs

if TYPE_CHECKING:
    from pypdfium2 import PdfPage

__all__ = ["MOST_CHARS", "PageError", "read_page"]

MOST_CHARS = 200_000
"""Characters of one page; that of a book has 3,000."""

LABEL_WIDTH, LABEL_HEIGHT = 150.0, 12.0
"""Points around a form field in which printed text is taken for its label."""

MOST_NEAR = 200
"""Runs looked at around a field or a bullet."""
_TEX_LIGATURES = frozenset((11, 12, 13, 14, 15, 27, 28, 29, 30, 31))
_INVISIBLE = 3
_FIXED_PITCH, _FORCE_BOLD = 1, 1 << 18
_BOLD_WEIGHT = 600
_BOLD_NAMES = ("bold", "black", "heavy", "semibold", "demi")
_MONO_NAMES = ("courier", "mono", "nimbusmon", "consol", "typewriter", "cmtt", "menlo", "code")


class PageError(Exception):
    """One page cannot be read: ``reason`` says what it is (``damaged``), ``hint`` what to do."""

    def __init__(self, reason: str, hint: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


@dataclass(slots=True)
class _Object:
    """Properties that all characters of a text object share."""

    style: Style
    turn: int
    """Quarter turns of the text's direction, counter-clockwise; -1 for a slanted one."""
    invisible: bool
    clip: Box | None


def read_page(page: PdfPage, entries: Sequence[Entry] = ()) -> Page:
    """The content of a page, turned so that most of its text runs from left to right.

    ``entries`` are what was filled in, in the coordinates of the file. Characters outside the page or its clipping, and
    invisible ones that lie over no image, are left out. Raises PageError for a page of more than
    ``MOST_CHARS`` characters.
    """
    left, bottom, right, top = page.get_cropbox()
    crop = Box(min(left, right), min(bottom, top), max(left, right), max(bottom, top))
    drawings = read_drawings(page, crop)
    by_turn = _glyphs(page, crop, drawings)
    turn = max((key for key in by_turn if key >= 0), key=lambda key: len(by_turn[key]), default=0)
    lines = [_turned(line, turn) for line in drawings.lines]
    horizontal = [line for line in lines if line.width >= line.height]
    vertical = [line for line in lines if line.width < line.height]
    runs = build_runs(by_turn.pop(turn, []), vertical)
    runs += _filled_in(entries, runs, turn)
    runs += _bullets([_turned(dot, turn) for dot in drawings.dots], runs)
    asides: list[Run] = []
    for key, glyphs in sorted(by_turn.items()):
        for run in slanted_runs(glyphs) if key < 0 else build_runs(glyphs, []):
            there = _turn(run.x0, run.y0, run.x1, run.y1, max(key, 0))
            run.x0, run.y0, run.x1, run.y1 = _turn(*there, turn)
            run.baseline = run.y1
            asides.append(run)
    corner = _turned(crop, turn)
    images = [_turned(image, turn) for image in drawings.images]
    for box in (*runs, *asides, *horizontal, *vertical, *images):
        _shift(box, -corner.x0, -corner.y0)
    for run in (*runs, *asides):
        run.baseline -= corner.y0
    return Page(corner.width, corner.height, runs, asides, horizontal, vertical, images, drawings.most_pixels)


def _glyphs(page: PdfPage, crop: Box, drawings: Drawings) -> dict[int, list[Glyph]]:
    """Characters in the order of the file, by the quarter turns of their direction."""
    import pypdfium2.raw as pdfium

    get_object = _text_object_function()
    text_page = pdfium.FPDFText_LoadPage(page)
    if not text_page:
        return {}
    try:
        count = pdfium.FPDFText_CountChars(text_page)
        if count > MOST_CHARS:
            raise PageError(f"too full, with {count:,} characters", "split or simplify the page")
        is_generated = pdfium.FPDFText_IsGenerated
        get_code, get_box = pdfium.FPDFText_GetUnicode, pdfium.FPDFText_GetLooseCharBox
        rect = pdfium.FS_RECTF()
        reference = ctypes.byref(rect)
        objects: dict[int, _Object] = {}
        by_turn: dict[int, list[Glyph]] = {}
        current, address = None, 0
        space = False
        for i in range(count):
            code = get_code(text_page, i)
            if code == 0xA0 or (
                code <= 32 and code != 2 and (code not in _TEX_LIGATURES or is_generated(text_page, i) == 1)
            ):
                space = True
                continue
            found = get_object(text_page, i)
            if found and found != address:
                address = found
                current = objects.get(address)
                if current is None:
                    current = objects[address] = _object(pdfium, text_page, i, address, drawings)
            if current is None or not get_box(text_page, i, reference):
                continue
            x0, y0, x1, y1 = rect.left, rect.bottom, rect.right, rect.top
            x, y = (x0 + x1) / 2, (y0 + y1) / 2
            shown = crop.holds(x, y) and (current.clip is None or current.clip.holds(x, y))
            if shown and current.invisible:
                shown = any(image.holds(x, y) for image in drawings.images)
            if shown:
                glyphs = by_turn.setdefault(current.turn, [])
                if current.turn:
                    x0, y0, x1, y1 = _turn(x0, y0, x1, y1, max(current.turn, 0))
                else:
                    y0, y1 = -y1, -y0
                glyphs.append(Glyph(code, x0, y0, x1, y1, current.style, space))
                space = False
        return by_turn
    finally:
        pdfium.FPDFText_ClosePage(text_page)


def _turn(x0: float, y0: float, x1: float, y1: float, turn: int) -> tuple[float, float, float, float]:
    """A rectangle of the file as text of that many quarter turns sees it, y downwards; the same again turns it back."""
    if turn == 0:
        return x0, -y1, x1, -y0
    if turn == 1:  # upwards
        return y0, x0, y1, x1
    if turn == 2:
        return -x1, y0, -x0, y1
    return -y1, -x1, -y0, -x0


def _object(pdfium: Any, text_page: Any, index: int, address: int, drawings: Drawings) -> _Object:
    handle = ctypes.cast(ctypes.c_void_p(address), pdfium.FPDF_PAGEOBJECT)
    angle = math.degrees(pdfium.FPDFText_GetCharAngle(text_page, index)) % 360
    quarter = round(angle / 90)
    turn = -quarter % 4 if abs(angle - quarter * 90) < 3 else -1
    bold, mono = _font_style(pdfium, pdfium.FPDFTextObj_GetFont(handle))
    x, y = ctypes.c_double(), ctypes.c_double()
    pdfium.FPDFText_GetCharOrigin(text_page, index, ctypes.byref(x), ctypes.byref(y))
    baseline = _turn(x.value, y.value, x.value, y.value, max(turn, 0))[1]
    return _Object(
        style=Style(baseline, _font_size(pdfium, text_page, index), bold, mono),
        turn=turn,
        invisible=pdfium.FPDFTextObj_GetTextRenderMode(handle) == _INVISIBLE,
        clip=drawings.clip(handle, address),
    )


def _font_size(pdfium: Any, text_page: Any, index: int) -> float:
    """The size as drawn: the font's size times the scale of its matrix."""
    size = float(pdfium.FPDFText_GetFontSize(text_page, index))
    matrix = pdfium.FS_MATRIX()
    if pdfium.FPDFText_GetMatrix(text_page, index, ctypes.byref(matrix)):
        size *= math.hypot(matrix.c, matrix.d)
    return size if 0 < size < 5000 else 1.0


def _font_style(pdfium: Any, font: Any) -> tuple[bool, bool]:
    """(bold, mono)"""
    if not font:
        return False, False
    buffer = ctypes.create_string_buffer(128)
    length = pdfium.FPDFFont_GetBaseFontName(font, buffer, 128)
    name = buffer.value.decode("utf-8", "replace").lower() if 0 < length <= 128 else ""
    flags = max(0, pdfium.FPDFFont_GetFlags(font))
    weight = pdfium.FPDFFont_GetWeight(font)
    bold = any(part in name for part in _BOLD_NAMES) or bool(flags & _FORCE_BOLD) or weight >= _BOLD_WEIGHT
    return bold, bool(flags & _FIXED_PITCH) or any(part in name for part in _MONO_NAMES)


@cache
def _text_object_function() -> Any:
    """FPDFText_GetTextObject with the address as a plain number: to compare handles would take longer."""
    import pypdfium2.raw as pdfium

    handle, number = pdfium.FPDF_TEXTPAGE, ctypes.c_int
    return ctypes.CFUNCTYPE(ctypes.c_void_p, handle, number)(
        ctypes.cast(pdfium.FPDFText_GetTextObject, ctypes.c_void_p).value or 0
    )


def _filled_in(entries: Sequence[Entry], printed: Sequence[Run], turn: int) -> list[Run]:
    """The runs of entries; the name of the field before one that has no printed text near it."""
    filled: list[Run] = []
    by_height = sorted(printed, key=lambda run: run.y0)
    tops = [run.y0 for run in by_height]
    for entry in entries:
        for run in entry.runs:
            run.x0, run.y0, run.x1, run.y1 = _turn(run.x0, run.y0, run.x1, run.y1, turn)
            run.baseline = run.y1 - 0.25 * (run.y1 - run.y0)
        first = entry.runs[0]
        near = by_height[bisect_left(tops, first.y0 - 2.5 * LABEL_HEIGHT) : bisect_left(tops, first.y1 + LABEL_HEIGHT)]
        labels = [
            run
            for run in near[:MOST_NEAR]
            if (run.x0 < first.x1 + LABEL_WIDTH and first.x0 - LABEL_WIDTH < run.x1) and run.y0 < first.y1
        ]
        level = [run for run in labels if abs((run.y0 + run.y1) / 2 - (first.y0 + first.y1) / 2) < 0.6 * LABEL_HEIGHT]
        if level:  # onto the line of its label
            nearest = min(level, key=lambda run: abs(run.x1 - first.x0))
            shift = nearest.baseline - first.baseline
            for run in entry.runs:
                run.baseline += shift
        if entry.label and not labels:
            first.text = f"{entry.label}: {first.text}"
        filled += entry.runs
    return filled


def _bullets(dots: Sequence[Box], runs: Sequence[Run]) -> list[Run]:
    """Small drawn shapes to the left of a line's beginning, as bullets."""
    by_height = sorted(runs, key=lambda run: run.y0)
    tops = [run.y0 for run in by_height]
    bullets: list[Run] = []
    for dot in dots:
        middle = (dot.y0 + dot.y1) / 2
        level = [
            run
            for run in by_height[bisect_left(tops, middle - 30) : bisect_left(tops, middle)][:MOST_NEAR]
            if run.y0 < middle < run.y1
        ]
        right = [run for run in level if 0 <= run.x0 - dot.x1 <= 2.5 * run.size]
        if right and not any(dot.x0 - 2 * run.size < run.x1 <= dot.x1 for run in level):
            run = min(right, key=lambda run: run.x0)
            bullets.append(Run(dot.x0, run.y0, dot.x1, run.y1, "•", run.baseline, run.size))
    return bullets


def _turned(box: Box, turn: int) -> Box:
    return Box(*_turn(box.x0, box.y0, box.x1, box.y1, turn))


def _shift(box: Box, dx: float, dy: float) -> None:
    box.x0, box.y0, box.x1, box.y1 = box.x0 + dx, box.y0 + dy, box.x1 + dx, box.y1 + dy
