"""Footnotes, endnotes and comments of a docx file, each to stand once where it is first referred to."""

from __future__ import annotations

from ragyena.documents.office.numerals import numeral

__all__ = ["Notes"]

_STYLES = {"footnote": "decimal", "endnote": "lowerRoman"}
"""Numbering that Word gives notes where a file does not say."""


class Notes:
    """The texts of notes by kind (``footnote``, ``endnote``, ``comment``) and id."""

    def __init__(self) -> None:
        self._texts: dict[tuple[str, str], str] = {}
        self._counts = dict.fromkeys(_STYLES, 0)
        self._styles = dict(_STYLES)

    def add(self, kind: str, identifier: str, text: str) -> None:
        """Add a note."""
        self._texts[kind, identifier] = text

    def number_by(self, kind: str, style: str) -> None:
        """Set the numbering style of a kind of note."""
        self._styles[kind] = style

    def take(self, kind: str, identifier: str) -> str:
        """The text of a note, at its first reference; "" afterwards."""
        return self._texts.pop((kind, identifier), "")

    def label(self, kind: str, *, is_own: bool) -> str:
        """The number of the next note in brackets; "" for one with a mark of its own, which is not counted."""
        if is_own:
            return ""
        self._counts[kind] += 1
        return f"[{numeral(self._counts[kind], self._styles[kind])}]"
