"""Values of form fields and free text that were written onto a page."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ragyena.documents.pdf.elements import Run

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument, PdfPage

__all__ = ["Entry", "read_entries"]

MOST_ENTRIES = 3000
"""Annotations of a page."""
MOST_CHARS = 20_000
"""Characters of one entry."""
_HIDDEN = 1 << 1 | 1 << 5
"""Annotation flags: hidden, not to be shown."""
_PASSWORD = 1 << 13
"""Flag of a text field."""


@dataclass(slots=True)
class Entry:
    """A filled-in text at its place, and the name that the file gives the field (for one without a printed label)."""

    runs: list[Run]
    label: str


def read_entries(pdf: PdfDocument, page: PdfPage) -> list[Entry]:
    """The filled-in fields and free texts of a page, in the coordinates of the file."""
    import pypdfium2.raw as pdfium

    entries: list[Entry] = []
    for i in range(min(max(pdfium.FPDFPage_GetAnnotCount(page), 0), MOST_ENTRIES)):
        annotation = pdfium.FPDFPage_GetAnnot(page, i)
        if not annotation:
            continue
        try:
            entry = _entry(pdfium, pdf, annotation)
        finally:
            pdfium.FPDFPage_CloseAnnot(annotation)
        if entry is not None:
            entries.append(entry)
    return entries


def _entry(pdfium: Any, pdf: PdfDocument, annotation: Any) -> Entry | None:
    if pdfium.FPDFAnnot_GetFlags(annotation) & _HIDDEN:
        return None
    kind = pdfium.FPDFAnnot_GetSubtype(annotation)
    label = ""
    if kind == pdfium.FPDF_ANNOT_FREETEXT:
        text = _string(pdfium.FPDFAnnot_GetStringValue, annotation, b"Contents")
    elif kind == pdfium.FPDF_ANNOT_WIDGET and pdf.formenv is not None:
        form = pdf.formenv.raw
        text = _value(pdfium, form, annotation)
        label = _string(pdfium.FPDFAnnot_GetFormFieldAlternateName, form, annotation)
        label = label or _string(pdfium.FPDFAnnot_GetFormFieldName, form, annotation)
    else:
        return None
    rect = pdfium.FS_RECTF()
    if not text.strip() or not pdfium.FPDFAnnot_GetRect(annotation, ctypes.byref(rect)):
        return None
    return Entry(_runs(text, rect.left, rect.bottom, rect.right, rect.top), " ".join(label.split()))


def _value(pdfium: Any, form: Any, annotation: Any) -> str:
    kind = pdfium.FPDFAnnot_GetFormFieldType(form, annotation)
    if kind in (pdfium.FPDF_FORMFIELD_CHECKBOX, pdfium.FPDF_FORMFIELD_RADIOBUTTON):
        return "☒" if pdfium.FPDFAnnot_IsChecked(form, annotation) else "☐"
    if kind == pdfium.FPDF_FORMFIELD_TEXTFIELD:
        secret = pdfium.FPDFAnnot_GetFormFieldFlags(form, annotation) & _PASSWORD
        return "" if secret else _string(pdfium.FPDFAnnot_GetFormFieldValue, form, annotation)
    if kind in (pdfium.FPDF_FORMFIELD_COMBOBOX, pdfium.FPDF_FORMFIELD_LISTBOX):
        return _string(pdfium.FPDFAnnot_GetFormFieldValue, form, annotation)
    return ""


def _string(function: Any, *arguments: Any) -> str:
    """The text that a function of pdfium writes into a buffer, in UTF-16."""
    import pypdfium2.raw as pdfium

    size = function(*arguments, None, 0)
    if size <= 2:
        return ""
    size = min(size, 2 * MOST_CHARS + 2)
    buffer = (pdfium.FPDF_WCHAR * (size // 2))()
    if function(*arguments, buffer, size) > size:
        return ""  # too long for a field
    return bytes(buffer).decode("utf-16-le", "replace").rstrip("\0")


def _runs(text: str, x0: float, y0: float, x1: float, y1: float) -> list[Run]:
    """One run a line, from the top of the rectangle down."""
    x0, x1, y0, y1 = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
    lines = [line.strip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n") if line.strip()]
    height = min((y1 - y0) / max(len(lines), 1), 14.0)
    top = (y0 + y1) / 2 + height * len(lines) / 2
    runs = []
    for i, line in enumerate(lines):
        width = min(x1 - x0, 0.5 * height * len(line))
        upper = top - i * height
        runs.append(Run(x0, upper - height, x0 + width, upper, line, 0.0, 0.75 * height))
    return runs
