"""Running headers, footers, page numbers and watermarks: kept once, left out of all other pages."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from ragyena.documents.pdf.elements import Part

__all__ = ["drop_repeated", "is_page_number", "printed_labels"]

LEAST_SPREAD = 200.0
"""Points between the header and the footer of a page without other text."""
LONGEST_NUMBER = 40
"""Characters of a line that is a page number."""
_DIGITS = re.compile(r"\d+")
_NUMBER = re.compile(
    r"\W*(?P<word>page|seite|p\.|pg\.)?\s*(?P<number>\d{1,5}|[ivxlc]{1,7})(?:\s*(?:/|of|von|sur|de)\s*\d{1,5})?\W*",
    re.IGNORECASE,
)
_NUMBER_AT_END = re.compile(
    r"\s*[-–—|·•]*\s*\b(?:page|seite|pg\.)\s*(?P<number>\d{1,5})(?:\s*(?:/|of|von|sur|de)\s*\d{1,5})?\W*$",
    re.IGNORECASE,
)


def is_page_number(text: str) -> bool:
    """True for a number that stands alone: ``7``, ``- iv -``, ``Page 3 of 9``."""
    return _number(text) is not None


def _number(text: str) -> re.Match[str] | None:
    return _NUMBER.fullmatch(text) if len(text) < LONGEST_NUMBER else None


def drop_repeated(pages: Sequence[list[Part]]) -> None:
    """Keep running headers where they stand first and running footers where they stand last, without page numbers."""
    counts: Counter[str] = Counter()
    for parts in pages:
        counts.update({_key(part) for part in parts if part.margin})
    places: dict[tuple[str, bool], int] = {}
    """Key of a part that stands on several pages, True for one below the text -> the page on which it stays."""
    for i, parts in enumerate(pages):
        for part, below in _margins(parts):
            if below or (_key(part), below) not in places:
                places[_key(part), below] = i
    placed: set[str] = set()
    for i, parts in enumerate(pages):
        below_text = {id(part): below for part, below in _margins(parts)}
        kept: list[Part] = []
        right = max((part.box.x1 for part in parts), default=0.0)
        last: Part | None = None
        """The line in the margin before this one, where it is text after all."""
        for part in parts:
            if part.margin and not part.aside and _is_number_of(part, i, counts):
                continue
            if part.margin and counts[_key(part)] > 1:
                below = below_text[id(part)]
                if _key(part) in placed or places[_key(part), below] != i or (below and (_key(part), False) in places):
                    continue
                placed.add(_key(part))
                part.text = _without_number(part.text)
            elif part.margin and not part.aside:
                part.text, part.margin = _without_number(part.text), False
                if last is not None and _is_next_line(last, part, right):
                    last.text += "\n" + part.text
                    last.lines, last.box.y1 = last.lines + 1, part.box.y1
                    continue
                last = part
            else:
                last = None
            kept.append(part)
        if any(part.text.strip() or part.rows for part in kept):
            parts[:] = kept


def _is_next_line(last: Part, part: Part, right: float) -> bool:
    """True where ``last`` is a full line of the paragraph that ``part`` goes on with."""
    tight = abs(last.size - part.size) < 0.6 and part.box.y0 - last.box.y1 < 0.6 * part.size
    return tight and last.box.x1 > right - 6 * part.size and last.box.x0 > part.box.x0 - 0.8 * part.size


def _margins(parts: Sequence[Part]) -> list[tuple[Part, bool]]:
    """The parts in the margins, True for those below the text."""
    text = [part.box.y0 for part in parts if not part.margin]
    margins = [part.box.y0 for part in parts if part.margin and not part.aside]
    middle = text[0] if text else min(margins, default=0.0) + LEAST_SPREAD
    return [(part, part.box.y0 > middle and not part.aside) for part in parts if part.margin]


def _is_number_of(part: Part, page: int, counts: Counter[str]) -> bool:
    """True for the number of a page by itself: one that has the others' company, says ``Page``, or counts right."""
    match = _number(part.text)
    if match is None:
        return False
    return counts[_key(part)] > 1 or bool(match["word"]) or match["number"] == str(page + 1)


def _without_number(text: str) -> str:
    return _NUMBER_AT_END.sub("", text) or text


def _key(part: Part) -> str:
    number = _number(part.text)
    return "#" if number else _DIGITS.sub("#", " ".join(part.text.lower().split()))


def printed_labels(pages: Sequence[list[Part]]) -> list[str]:
    """The page numbers printed in the margins, where they run on through the document; () where they do not, or are
    those of the file anyway."""
    found: dict[int, int] = {}
    for i, parts in enumerate(pages):
        for part in parts:
            match = (_number(part.text) or _NUMBER_AT_END.search(part.text)) if part.margin else None
            if match and match["number"].isdecimal():
                found[i] = int(match["number"])
    if len(found) < max(2, 0.6 * len(pages)):
        return []
    (offset, count), *_ = Counter(number - i for i, number in found.items()).most_common(1)
    if offset == 1 or count < 0.9 * len(found) or offset < 1:
        return []
    return [str(i + offset) for i in range(len(pages))]
