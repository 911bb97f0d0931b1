"""Ends of an answer that cut nothing apart: a word with its joints, an amount, a pair of brackets.

A reader marks word pieces, which end at each punctuation mark: ``row_factory`` of ``Connection.row_factory``, ``500``
of ``£1,500``. Of 20,875 answers in the questions on documents 19 would grow.
"""

from __future__ import annotations

import re

from ragyena.documents.cell_kinds import is_unit

__all__ = ["whole_words"]

_REACH = 80  # chars of a word that are looked at on either side
_BRACKET_REACH = 40
_WORD = re.compile(
    r"""
      [£€$]? (?<![\d,.]) \d{1,3} (?:,\d{3}){1,2} (?:\.\d+)? (?![\d,]) %?    # 1,500.00; more may be cells of a row
    | (?: (?<![\w-]) --? (?=[a-zA-Z]) | [£€$] (?=\d) )?                 # an option of a command; a sum
      \w+ (?: (?: \. | @ | - (?=[^\W\d]) | (?<=[a-z]) - | (?<=\d) : (?=\d\d\b) ) \w+ )*
      (?: (?<=\d) % )?
    """,
    re.VERBOSE,
)
_CURRENCIES = frozenset({"EUR", "USD", "GBP", "CHF", "JPY"})
LONGEST_UNIT = 8
"""Chars of a unit that is no answer without its number."""
_NUMBER_BEFORE = re.compile(r"(?<![\w.,])([£€$]?\d+(?:[.,]\d+)*)[ \u00a0\u202f]$")
_NUMBER_AFTER = re.compile(r"[ \u00a0\u202f]\d+(?:[.,]\d+)*(?![\w])")  # EUR 59.90
_OPENING = {")": "(", "]": "["}
_BRACKETS = frozenset(_OPENING.values())


def whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    """[start, end) of a text, grown to whole words: names with dots, underscores or hyphens, addresses, amounts and
    times. A bracket without the other is completed where that is near, and left out where it ends the answer."""
    if not start < end:
        return start, end
    for match in _words_at(text, start):
        start = match.start() if text[match.start() : start].strip("_") else start  # underscores alone are emphasis
    for match in _words_at(text, end):
        end = match.end() if text[end : match.end()].strip("_.") else end
    return _brackets(text, *_with_number(text, start, end))


def _with_number(text: str, start: int, end: int) -> tuple[int, int]:
    """A unit alone with the number that it belongs to: ``EUR`` of ``59.90 EUR``, ``months`` of ``3 months``."""
    unit = text[start:end]
    if len(unit) > LONGEST_UNIT or (len(unit) < 2 and unit.isalpha()) or unit[:1] in _BRACKETS or not is_unit(unit):
        return start, end  # one letter may be a name, section 12 C, and brackets may hold anything: 2019 (Leeds)
    before = _NUMBER_BEFORE.search(text, max(0, start - _REACH), start)
    after = _NUMBER_AFTER.match(text, end) if unit in _CURRENCIES else None
    return (before.start(1), end) if before else (start, after.end() if after else end)


def _words_at(text: str, place: int) -> list[re.Match[str]]:
    """The word that goes on at both sides of a place, if there is one."""
    if place in (0, len(text)) or text[place - 1].isspace() or text[place].isspace():
        return []
    first = len(text[max(0, place - _REACH) : place].rsplit(maxsplit=1)[-1])  # chars of it before the place
    return [
        match for match in _WORD.finditer(text, place - first, place + _REACH) if match.start() < place < match.end()
    ]


def _brackets(text: str, start: int, end: int) -> tuple[int, int]:
    for closing, opening in _OPENING.items():
        surplus = text.count(opening, start, end) - text.count(closing, start, end)
        if surplus == 1:
            place = text.find(closing, end, end + _BRACKET_REACH)
            if place >= 0 and not any(mark in text[end:place] for mark in ("\n", opening)):
                end = place + 1
        elif surplus == -1 and text[end - 1] == closing and end - start > 1:
            end -= 1
    return start, end
