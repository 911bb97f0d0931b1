"""Fields of a docx file (cross references, dates, page numbers, forms): results are shown, codes are not."""

from __future__ import annotations

from dataclasses import dataclass

from ragyena.documents.office.package import Element
from ragyena.documents.office.page_margins import PAGE_NUMBER
from ragyena.documents.office.word_styles import W, attribute, integer, is_on

__all__ = ["Fields", "is_page_number"]

_PAGE_FIELDS = frozenset(("PAGE", "NUMPAGES", "SECTIONPAGES"))
LONGEST_CODE = 1000
"""Chars of a code that are kept to know the field by."""


@dataclass(slots=True)
class _Field:
    form: str = ""
    """Text shown for a field of a form, which has no result."""
    code: str = ""
    is_silent: bool = True
    """The text read now is its code, or a result that is not shown."""


class Fields:
    """The fields around the text that is being read, outermost first."""

    def __init__(self) -> None:
        self._open: list[_Field] = []
        self._silent = 0

    @property
    def is_silent(self) -> bool:
        """True while what is read is not shown."""
        return self._silent > 0

    def code(self, text: str) -> None:
        """Take a piece of a field's code."""
        if self._open and len(self._open[-1].code) < LONGEST_CODE:
            self._open[-1].code += text

    def mark(self, element: Element) -> str:
        """Take a ``w:fldChar`` and return the text that is shown for it."""
        kind = element.get(W + "fldCharType")
        if kind == "begin":
            self._push(_Field(_form(element.find(W + "ffData"))))
        elif kind == "separate" and self._open and self._open[-1].is_silent:
            if not is_page_number(self._open[-1].code):
                self._open[-1].is_silent = False
                self._silent -= 1
        elif kind == "end" and self._open:
            field = self._open[-1]
            self.end()
            return PAGE_NUMBER if is_page_number(field.code) else field.form
        return ""

    def end(self) -> None:
        """End the innermost field."""
        if self._open:
            self._silent -= self._open.pop().is_silent

    def end_paragraph(self) -> None:
        """Let a code that is never closed hide no further paragraph."""
        while self._open and self._open[-1].is_silent:
            self.end()

    def _push(self, field: _Field) -> None:
        self._open.append(field)
        self._silent += field.is_silent


def is_page_number(code: str) -> bool:
    """True for the code of a field that shows the number of a page, or how many there are."""
    words = code.split(None, 1)
    return bool(words) and words[0].upper() in _PAGE_FIELDS


def _form(data: Element | None) -> str:
    """Text that a form shows for a check box or a list of choices, from its ``w:ffData``."""
    if data is None:
        return ""
    box, choices = data.find(W + "checkBox"), data.find(W + "ddList")
    if box is not None:
        return "☒" if is_on(box, "checked" if box.find(W + "checked") is not None else "default") else "☐"
    if choices is not None:
        entries = [entry.get(W + "val", "") for entry in choices.iterchildren(W + "listEntry")]
        index = integer(attribute(choices, "result") or attribute(choices, "default"), 0)
        return entries[index] if 0 <= index < len(entries) else ""
    return ""
