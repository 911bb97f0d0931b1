"""The drawn lines, images and clipping of a page of pdfium."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ragyena.documents.pdf.elements import Box

if TYPE_CHECKING:
    from pypdfium2 import PdfPage

__all__ = ["Drawings", "read_drawings"]

MOST_OBJECTS = 30_000
"""Objects of one page that are looked at; what a map or a plot draws beyond them is no table."""
MOST_SEGMENTS = 60_000
MOST_DEPTH = 6
"""Drawings inside drawings (form XObjects)."""
THIN = 3.0
"""Points: a filled rectangle below this height or width is a line."""
LEAST_RULE = 4.0
"""Points: shorter lines part no cells."""
MOST_CLIP_PATHS = 16
DOT = (1.5, 7.0)
"""Least and largest side of a drawn bullet in points."""
MOST_DOTS = 2000

_Matrix = tuple[float, float, float, float, float, float]
_UNIT: _Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)


@dataclass(slots=True)
class Drawings:
    """In the coordinates of the file: y grows upwards."""

    lines: list[Box] = field(default_factory=list)
    """Level and upright ones."""
    dots: list[Box] = field(default_factory=list)
    """Small filled shapes: bullets that are drawn."""
    images: list[Box] = field(default_factory=list)
    outermost: set[int] = field(default_factory=set)
    """Addresses of the text objects that are part of no drawing: their clipping is in the page's coordinates."""
    objects: int = 0
    segments: int = 0
    clip_segments: int = 0
    most_pixels: int = 0
    """Pixels of the largest image."""

    def clip(self, handle: Any, address: int) -> Box | None:
        """The rectangle around what a text object is clipped to, None where that is unknown or all of the page."""
        import pypdfium2.raw as pdfium

        if address not in self.outermost:
            return None
        path = pdfium.FPDFPageObj_GetClipPath(handle)
        count = pdfium.FPDFClipPath_CountPaths(path) if path else 0
        if self.clip_segments > MOST_SEGMENTS:
            return None
        clip = None
        x, y = ctypes.c_float(), ctypes.c_float()
        for i in range(min(max(count, 0), MOST_CLIP_PATHS)):
            points = []
            segments = min(pdfium.FPDFClipPath_CountPathSegments(path, i), 1000)
            self.clip_segments += max(segments, 1)
            for j in range(segments):
                segment = pdfium.FPDFClipPath_GetPathSegment(path, i, j)
                if segment and pdfium.FPDFPathSegment_GetPoint(segment, ctypes.byref(x), ctypes.byref(y)):
                    points.append((x.value, y.value))
            if len(points) < 3:
                continue
            box = _around(points)
            clip = box if clip is None else _common(clip, box)
        return clip


def read_drawings(page: PdfPage, crop: Box) -> Drawings:
    """The lines and images on a page, to a bound of objects."""
    drawings = Drawings()
    _visit(page.raw, None, _UNIT, 0, drawings)
    page_size = max(crop.width, crop.height, 1.0)
    drawings.images = [box for box in drawings.images if box.width > 4 and box.height > 4]
    drawings.lines = [line for line in drawings.lines if LEAST_RULE <= max(line.width, line.height) <= 2 * page_size]
    return drawings


def _visit(page: Any, form: Any, matrix: _Matrix, depth: int, drawings: Drawings) -> None:
    import pypdfium2.raw as pdfium

    count = pdfium.FPDFFormObj_CountObjects(form) if form else pdfium.FPDFPage_CountObjects(page)
    for i in range(max(count, 0)):
        drawings.objects += 1
        if drawings.objects > MOST_OBJECTS:
            return
        item = pdfium.FPDFFormObj_GetObject(form, i) if form else pdfium.FPDFPage_GetObject(page, i)
        if not item:
            continue
        kind = pdfium.FPDFPageObj_GetType(item)
        if kind == pdfium.FPDF_PAGEOBJ_TEXT:
            if not form:
                drawings.outermost.add(ctypes.cast(item, ctypes.c_void_p).value or 0)
        elif kind == pdfium.FPDF_PAGEOBJ_PATH:
            if drawings.segments < MOST_SEGMENTS:
                _path(pdfium, item, matrix, drawings)
        elif kind == pdfium.FPDF_PAGEOBJ_IMAGE:
            width, height = ctypes.c_uint(), ctypes.c_uint()
            if pdfium.FPDFImageObj_GetImagePixelSize(item, ctypes.byref(width), ctypes.byref(height)):
                drawings.most_pixels = max(drawings.most_pixels, width.value * height.value)
            a, b, c, d, e, f = _times(_matrix(pdfium, item), matrix)
            drawings.images.append(_around([(e, f), (a + e, b + f), (c + e, d + f), (a + c + e, b + d + f)]))
        elif kind == pdfium.FPDF_PAGEOBJ_FORM and depth < MOST_DEPTH:
            _visit(page, item, _times(_matrix(pdfium, item), matrix), depth + 1, drawings)


def _path(pdfium: Any, item: Any, matrix: _Matrix, drawings: Drawings) -> None:
    """Add the straight lines of a path: those that are stroked, and filled rectangles as thin as a line."""
    fill, stroke = ctypes.c_int(), ctypes.c_int()
    if not pdfium.FPDFPath_GetDrawMode(item, ctypes.byref(fill), ctypes.byref(stroke)):
        return
    if not fill.value and not stroke.value:
        return
    box = _bounds(pdfium, item, matrix)
    if box is not None and DOT[0] <= box.width <= DOT[1] and DOT[0] <= box.height <= DOT[1]:
        if 0.7 < box.width / box.height < 1.4 and len(drawings.dots) < MOST_DOTS:
            drawings.dots.append(box)
        return
    count = min(pdfium.FPDFPath_CountSegments(item), MOST_SEGMENTS - drawings.segments)
    drawings.segments += max(count, 1)
    x, y = ctypes.c_float(), ctypes.c_float()
    a, b, c, d, e, f = _times(_matrix(pdfium, item), matrix)
    points: list[tuple[float, float]] = []
    for i in range(count):
        segment = pdfium.FPDFPath_GetPathSegment(item, i)
        if not segment or not pdfium.FPDFPathSegment_GetPoint(segment, ctypes.byref(x), ctypes.byref(y)):
            continue
        kind = pdfium.FPDFPathSegment_GetType(segment)
        if kind == pdfium.FPDF_SEGMENT_MOVETO:
            _add_lines(points, bool(stroke.value), drawings)
            points = []
        elif kind == pdfium.FPDF_SEGMENT_BEZIERTO:
            points = points[-1:] if len(points) > 1 else []  # rounded corners and curves are no borders of cells
            _add_lines(points, bool(stroke.value), drawings)
        points.append((a * x.value + c * y.value + e, b * x.value + d * y.value + f))
        if pdfium.FPDFPathSegment_GetClose(segment) and points:
            points.append(points[0])
    _add_lines(points, bool(stroke.value), drawings)


def _bounds(pdfium: Any, item: Any, matrix: _Matrix) -> Box | None:
    """The rectangle around a path in the coordinates of the page; None where it is none of its own matrix's."""
    edges = [ctypes.c_float() for _ in range(4)]
    if not pdfium.FPDFPageObj_GetBounds(item, *(ctypes.byref(edge) for edge in edges)):
        return None
    left, bottom, right, top = (edge.value for edge in edges)
    a, b, c, d, e, f = matrix
    corners = [(x, y) for x in (left, right) for y in (bottom, top)]
    return _around([(a * x + c * y + e, b * x + d * y + f) for x, y in corners])


def _add_lines(points: list[tuple[float, float]], stroked: bool, drawings: Drawings) -> None:
    if len(points) < 2:
        return
    if not stroked:
        box = _around(points)
        if len(points) > 6 or min(box.width, box.height) > THIN:
            return
        middle = ((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2)
        flat = box.height <= box.width
        points = [(box.x0, middle[1]), (box.x1, middle[1])] if flat else [(middle[0], box.y0), (middle[0], box.y1)]
    for (x0, y0), (x1, y1) in pairwise(points):
        if min(abs(x1 - x0), abs(y1 - y0)) <= 0.5:
            drawings.lines.append(_around([(x0, y0), (x1, y1)]))


def _matrix(pdfium: Any, item: Any) -> _Matrix:
    matrix = pdfium.FS_MATRIX()
    if not pdfium.FPDFPageObj_GetMatrix(item, ctypes.byref(matrix)):
        return _UNIT
    return matrix.a, matrix.b, matrix.c, matrix.d, matrix.e, matrix.f


def _times(inner: _Matrix, outer: _Matrix) -> _Matrix:
    a, b, c, d, e, f = inner
    A, B, C, D, E, F = outer
    return a * A + b * C, a * B + b * D, c * A + d * C, c * B + d * D, e * A + f * C + E, e * B + f * D + F


def _around(points: list[tuple[float, float]]) -> Box:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return Box(min(xs), min(ys), max(xs), max(ys))


def _common(one: Box, other: Box) -> Box:
    return Box(max(one.x0, other.x0), max(one.y0, other.y0), min(one.x1, other.x1), min(one.y1, other.y1))
