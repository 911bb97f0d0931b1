"""Running headers, footers, page numbers and watermarks: kept where they stand first, left out of all other pages."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from ragyena.documents.pdf.elements import Part

__all__ = ["drop_repeated", "is_page_number", "printed_labels"]

LONGEST_NUMBER = 40
"""Characters of a line that is a page number."""
_DIGITS = re.compile(r"\d+")
_NUMBER = re.compile(
    r"\W*(?:page|seite|p\.|pg\.)?\s*(?P<number>\d{1,5}|[ivxlc]{1,7})(?:\s*(?:/|of|von|sur|de)\s*\d{1,5})?\W*",
    re.IGNORECASE,
)


def is_page_number(text: str) -> bool:
    """True for a number that stands alone: ``7``, ``- iv -``, ``Page 3 of 9``."""
    return _number(text) is not None


def _number(text: str) -> re.Match[str] | None:
    return _NUMBER.fullmatch(text) if len(text) < LONGEST_NUMBER else None


def drop_repeated(pages: Sequence[list[Part]]) -> None:
    """Take out of each page the marginal parts that stood on a page before it, their numbers aside."""
    counts: Counter[str] = Counter()
    for parts in pages:
        counts.update({_key(part) for part in parts if part.margin})
    seen: set[str] = set()
    for parts in pages:
        kept = []
        for part in parts:
            if part.margin and counts[_key(part)] > 1:
                if _key(part) in seen or _number(part.text):
                    continue
                seen.add(_key(part))
            elif not part.aside:
                part.margin = False
            kept.append(part)
        parts[:] = kept


def _key(part: Part) -> str:
    number = _number(part.text)
    return "#" if number else _DIGITS.sub("#", " ".join(part.text.lower().split()))


def printed_labels(pages: Sequence[list[Part]]) -> list[str]:
    """The page numbers printed in the margins, where they run on through the document; () where they do not, or are
    those of the file anyway."""
    found: dict[int, int] = {}
    for i, parts in enumerate(pages):
        for part in parts:
            match = _number(part.text) if part.margin else None
            if match and match["number"].isdecimal():
                found[i] = int(match["number"])
    if len(found) < max(2, 0.6 * len(pages)):
        return []
    (offset, count), *_ = Counter(number - i for i, number in found.items()).most_common(1)
    if offset == 1 or count < 0.9 * len(found) or offset < 1:
        return []
    return [str(i + offset) for i in range(len(pages))]
