"""Borders of sentences, lines and paragraphs, by rules on characters: no model, no language setting."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import IntEnum

from ragyena.documents.words import read_words

__all__ = ["Border", "borders", "sentence_span"]

REACH = 400
"""A quoted sentence extends at most this many chars beyond either side of its answer."""


class Border(IntEnum):
    """Kinds of borders; a larger one is stronger."""

    LINE = 1
    """Start of a line that does not continue the one before: a list item, a table row, a line of code or verse."""
    SENTENCE = 2
    PARAGRAPH = 3
    """Start of text after one or more blank lines."""


# One alternative a kind of candidate; `_border` decides whether a candidate is a border.
_CANDIDATE = re.compile(
    r"""
      (?P<blank> \n [^\S\n]* (?: \n [^\S\n]* )+ )           # one or more blank lines
    | (?P<line>  \n [^\S\n]* )                              # the next line
    | (?P<stop>  (?<![.!?…]) [.!?…]+ ["'”’»)\]}*_]* (?: \[\w{1,3}\] )* ) (?= \s )  # closing quotes, footnotes, space
    | (?P<wide>  [。！？｡．]+ ["'”’」』）】》]* )             # CJK, where no space follows
    """,
    re.VERBOSE,
)
_SPACE = re.compile(r"[^\S\n]+")
_ITEM = re.compile(r"(?:[-*+•‣◦▪–—·|>#]|\d{1,3}[.)]\s|[(]?[A-Za-z][.)]\s|[{}\[\]<@$\\]|//|/\*|```|~~~)")
_LAST_WORD = re.compile(r"(\S+)\Z")

_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"\d{1,3}(?:\.\d{1,3})*")
_BEFORE_DIGITS = re.compile(r"\d{1,2}\.\d{1,2}|(?:[a-z]\.)+[a-z]")
"""Dates without a year, and initialisms."""
_AFTER_NUMBER = re.compile(r"\d\s?\Z")
_AFTER_LOWER = re.compile(r"(?:\A|\s)[a-z]+\s\Z")
_LABEL = re.compile(r"[\d§#(]|[A-Z]\b|[IVXLC]+\b")
_BEFORE_PLACEHOLDERS = frozenset((" ", ",", "[", "(", "|"))
"""Before an ellipsis that stands for what is left out (``ALTER TABLE ... SET``)."""
_ABBREVIATIONS = frozenset(read_words(__file__, "abbreviations"))
_BEFORE_NAMES = frozenset(read_words(__file__, "abbreviations_before_names"))
_ALSO_WORDS = frozenset(read_words(__file__, "abbreviations_or_words"))
_BEFORE_LABELS = frozenset(read_words(__file__, "abbreviations_before_labels"))
_CLOSING = frozenset(read_words(__file__, "abbreviations_closing"))
_UNITS = frozenset(read_words(__file__, "units_like_initials"))
_STARTERS = frozenset(read_words(__file__, "sentence_starters"))


def borders(text: str, start: int = 0, end: int | None = None) -> Iterator[tuple[int, Border]]:
    """The offsets in (start, end) at which a sentence, line or paragraph begins, in order, with the kind of each.

    An offset points at the first char that is not white space: nothing but white space (or, after CJK stops, nothing)
    lies between an end and the next start. Linear in the length of the text.
    """
    end = len(text) if end is None else end
    previous = start
    for match in _CANDIDATE.finditer(text, start, end):
        border = _border(text, match, previous, start, end)
        if border is not None and previous < border[0] < end:
            yield border
            previous = border[0]


def sentence_span(text: str, start: int, end: int) -> tuple[int, int]:
    """The sentence or sentences of ``text`` that hold [start, end), as offsets without surrounding white space.

    Always contains [start, end). Where a sentence reaches more than 400 chars beyond it, it is cut there, at a word.
    """
    if not 0 <= start <= end <= len(text):
        raise ValueError(f"span {start}:{end} is not inside a text of {len(text)} chars")
    # Reading starts a little before what may be returned: at a blank line where there is one, so that the first
    # sentence is recognised by its own beginning.
    low, high = max(0, start - REACH), min(len(text), end + REACH)
    origin = max(0, low - REACH)
    blank = text.rfind("\n\n", origin, start)
    origin = blank + 2 if blank >= 0 else origin
    first, last = origin, high
    whole = high == len(text)
    for offset, _ in borders(text, origin, min(len(text), high + REACH)):
        if offset <= start:
            first = offset
        elif offset >= end:
            last, whole = min(offset, high), offset <= high
            break
    if first < low:
        first = _word_start(text, low, start)
    elif first == origin and blank < 0 and origin > 0:
        first = _word_start(text, max(low, origin), start)
    if not whole:
        last = _word_end(text, end, last)
    before, after = text[first:start], text[end:last]
    return start - len(before.lstrip()), end + len(after.rstrip())


def _border(text: str, match: re.Match[str], previous: int, start: int, end: int) -> tuple[int, Border] | None:
    offset = match.end()
    if match["blank"] is not None:
        return offset, Border.PARAGRAPH
    if match["line"] is not None:
        return (offset, Border.LINE) if _line_begins(text, match.start(), offset, start, end) else None
    if match["wide"] is not None:
        while offset < end and text[offset].isspace():
            offset += 1
        blank = text.count("\n", match.end(), offset) > 1  # the next candidate, a stronger one
        return None if blank or offset >= end else (offset, Border.SENTENCE)
    space = _SPACE.match(text, offset, end)
    if space is None:  # a line ends here: a new one after a full stop is a sentence unless it goes on in lower case
        following = offset + 1
        while following < end and text[following].isspace():
            if text[following] == "\n":
                return None  # a blank line: the next candidate
            following += 1
    else:
        following = space.end()
    if following >= end or text[following] == "\n":
        return None
    return (following, Border.SENTENCE) if _sentence_ends(text, match, following, previous) else None


def _sentence_ends(text: str, match: re.Match[str], following: int, previous: int) -> bool:
    stop = match["stop"]
    then = text[following]
    if then.islower():
        return False
    next_word = _WORD.match(text, following)
    starts = next_word is not None and next_word[0] in _STARTERS
    if not stop.startswith(".") or stop.startswith(".."):
        placeholder = (
            stop.rstrip(")]}") in ("...", "…") and text[match.start() - 1 : match.start()] in _BEFORE_PLACEHOLDERS
        )
        return starts or not placeholder
    word_match = _LAST_WORD.search(text, max(previous, match.start() - 24), match.start())
    written = word_match[1].lstrip("\"'“‘(«[{*_") if word_match else ""
    word, place = written.lower(), match.start() - len(written)
    if _NUMBER.fullmatch(word) and (_at_line_start(text, place) or then == "_"):
        return False  # "3." numbers a heading, an item, or a line to fill in
    if then.isdigit() and _BEFORE_DIGITS.fullmatch(word):
        return False  # "04.02. 21:37", "5 U.S.C. 552"
    if word in _UNITS and written == word and _AFTER_NUMBER.search(text, max(previous, place - 12), place):
        return not then.isdigit()  # "6.4 m.": no initial
    if word in _BEFORE_NAMES and stop == ".":
        if word == "no" and place == previous and next_word is not None and next_word[0].istitle():
            return True  # the answer, which is a sentence of its own
        return word in _ALSO_WORDS and not then.isdigit() and not then.isupper()
    if word in _BEFORE_LABELS:
        return _LABEL.match(text, following) is None
    if word in _ABBREVIATIONS:
        return starts or (word in _CLOSING and then.isupper())
    if len(word) == 1 and word.isalpha() and stop == ".":
        # an initial (J. Smith), or a name by one letter at the end of its sentence
        return starts and _AFTER_LOWER.search(text, max(previous, place - 24), place) is not None
    return True


def _at_line_start(text: str, offset: int) -> bool:
    """True where nothing but white space and markup stands before ``offset`` in its line."""
    while offset > 0 and text[offset - 1] in " \t#*_>":
        offset -= 1
    return offset == 0 or text[offset - 1] == "\n"


def _line_begins(text: str, newline: int, offset: int, start: int, end: int) -> bool:
    """True for a line of its own, False for one that continues a sentence wrapped at a column."""
    if offset >= end:
        return False
    if _ITEM.match(text, offset, end):
        return True
    line_start = max(text.rfind("\n", start, newline) + 1, start)
    line = text[line_start:newline]
    if _ITEM.match(line.lstrip()[:8]) and line.lstrip()[:1] in "|#":
        return True  # what follows a table row or a heading is not its continuation
    if "\t" in line.strip() or "\t" in text[offset : min(end, offset + 200)].split("\n", 1)[0]:
        return True  # columns
    indent, previous_indent = offset - newline - 1, len(line) - len(line.lstrip())
    if line.rstrip().endswith((":", "{", "}", ";", "[", "(", "]", ")")) and indent != previous_indent:
        return True  # code, or a line that announces what stands indented below it
    # Wrapped lines are long. After a short one a capital or digit begins a line of its own.
    return len(line.strip()) < 45 and not text[offset].islower()


def _word_start(text: str, low: int, start: int) -> int:
    """The first start of a word at or after ``low``, ``low`` itself where there is none before ``start``."""
    if low == 0 or text[low - 1].isspace():
        return low
    return next((offset + 1 for offset in range(low, start) if text[offset].isspace()), low)


def _word_end(text: str, end: int, high: int) -> int:
    """The last end of a word at or before ``high``, ``high`` itself where there is none after ``end``."""
    if high >= len(text) or text[high].isspace():
        return high
    return next((offset - 1 for offset in range(high, end, -1) if text[offset - 1].isspace()), high)
