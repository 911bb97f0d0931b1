"""Small raised characters: marks of footnotes, which are no part of the word or figure before them, and exponents."""

from __future__ import annotations

import re

__all__ = ["FAR_ENOUGH", "LONGEST_MARK", "RAISED", "is_mark", "is_typed_mark", "mark_text", "raise_text", "typed"]

RAISED = r"[¹²³ʰ-ʸˡ-ˣᴬ-ᶿ⁰-ⁿ]"
"""Pattern of a raised figure, letter or bracket."""
_RAISED = str.maketrans("0123456789+-−=()n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ⁿ")
_MARKS = str.maketrans("0123456789()abcdefghijklmnoprstuvwxyz", "⁰¹²³⁴⁵⁶⁷⁸⁹⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ")
_MARK = re.compile(r"[\d(\[]*(?:\d{1,3}|[ivx]{1,5}|[a-zA-Z]{1,2}|[*†‡§¶#]{1,4})[)\]]?(?:[ ,;]+[^\s,;]{1,5})*")
_POWER = re.compile(r"(?:^|[^\d.,])10$|(?:^|[^\w])(?:[^\W\dA-Z_]|R|[kcdmµn]m|ft|in|yd|mi)$|(?:^|[^\w])[A-Z]$")
"""The end of a text that an exponent goes on with: ten, a length, a sign of a formula."""
_BASE = re.compile(r"(?:^|[^\d.,])\d{1,2}$|\b(?:sin|cos|tan|log|ln|exp)$|\b[IVXLC]+$")
"""More ends of a text with an exponent, or of an ordinal number, where the markup says that a text is raised."""
LONGEST_MARK = 12
"""Chars of a raised text that may be the mark of a footnote."""
FAR_ENOUGH = 40
"""Chars before a raised text that tell what it is."""
_THING = re.compile(r"[^\W\d_]{3,} [A-QS-Z]$")
"""A letter that tells things apart, as in ``Class A``."""
_NUMBER = re.compile(r"(?:^|[^\d.,])\d{1,3}$")
_ORDINAL = re.compile(r"st|nd|rd|th|er|re|e|ème")
_SIGNS = {"TM": "™", "SM": "℠"}


def is_mark(before: str, raised: str) -> bool:
    """True for raised characters after the text ``before`` that are the mark of a footnote: no exponent, no end of a
    word, as in ``1st``, and no sign."""
    if raised in _SIGNS or not _MARK.fullmatch(raised):
        return False
    if _ORDINAL.fullmatch(raised) and _NUMBER.search(before):
        return False
    return not raised.isalnum() or not _POWER.search(before) or bool(_THING.search(before))


def is_typed_mark(before: str, raised: str) -> bool:
    """``is_mark`` of text that was typed as raised."""
    before = before[-FAR_ENOUGH:]
    return bool(before[-1:].strip()) and is_mark(before, raised) and not _BASE.search(before)


def typed(before: str, raised: str) -> str:
    """A text that was typed as raised, after ``before``: `` ¹`` for the mark of a footnote, ``²`` for an exponent, and
    as it is for the end of a word."""
    text = raised.strip()
    if not 0 < len(text) <= LONGEST_MARK:
        return raised
    return f" {mark_text(text)}" if is_typed_mark(before, text) else raised.replace(text, raise_text(text))


def mark_text(raised: str) -> str:
    """``1`` -> ``¹``, ``(a)`` -> ``⁽ᵃ⁾``; characters that have no raised form stay as they are."""
    return raised.translate(_MARKS)


def raise_text(raised: str) -> str:
    """``6`` -> ``⁶``, ``TM`` -> ``™``; text with other characters stays as it is."""
    if raised in _SIGNS:
        return _SIGNS[raised]
    text = raised.translate(_RAISED)
    return text if all(char not in raised for char in text) else raised
