"""Headings of a document without an outline: lines larger or bolder than its running text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from ragyena.documents.pdf.elements import Part

__all__ = ["bare_heading", "body_size", "heading_levels"]

LARGER = 1.12
"""A heading's size against the running text."""
LONGEST = 200
MOST_LEVELS = 4
_NUMBERED = re.compile(r"^(?:chapter |section |part |appendix )?(?:\d+|[A-Z])(?:\.\d+)*[.:)]?\s+", re.IGNORECASE)


def body_size(pages: Sequence[Sequence[Part]]) -> float:
    """The size of most of the running text, to half a point."""
    sizes: Counter[float] = Counter()
    for parts in pages:
        for part in parts:
            if part.kind == "prose" and not part.margin and part.size:
                sizes[round(2 * part.size) / 2] += len(part.text)
    return sizes.most_common(1)[0][0] if sizes else 0.0


def heading_levels(pages: Sequence[Sequence[Part]], body: float) -> dict[int, int]:
    """id of a part -> the level of the heading that it is: by size, then bold text of the size of the body."""
    found: list[Part] = []
    bold: Counter[bool] = Counter()
    for part in (part for parts in pages for part in parts if part.kind == "prose"):
        bold[part.bold] += len(part.text)
    bold_counts = bold[False] > bold[True]
    for parts in pages:
        for i, part in enumerate(parts):
            if _may_be_heading(part, body, bold_counts, parts[i + 1] if i + 1 < len(parts) else None):
                found.append(part)
    if len(found) > 0.5 * sum(len(parts) for parts in pages) + 1:
        return {}
    ranks = sorted({_rank(part, body) for part in found}, reverse=True)
    levels = {rank: min(i, MOST_LEVELS) for i, rank in enumerate(ranks, 1)}
    return {id(part): levels[_rank(part, body)] for part in found}


def _rank(part: Part, body: float) -> tuple[float, bool]:
    size = round(part.size)
    return (size, part.bold) if part.size > LARGER * body else (round(body), part.bold)


def _may_be_heading(part: Part, body: float, bold_counts: bool, below: Part | None) -> bool:
    text = part.text.strip()
    if part.kind != "prose" or part.margin or not body or len(text) > LONGEST or part.lines > 3:
        return False
    if sum(char.isalpha() for char in text) < 2 or text[-1] in ".,;" or below is None:
        return False
    if part.size > LARGER * body:
        return True
    return bold_counts and part.bold and part.size >= 0.95 * body and len(text) <= 120 and text[-1] != ":"


def bare_heading(text: str) -> str:
    """The letters and figures of a heading without its number, to compare two writings of it."""
    plain = _NUMBERED.sub("", " ".join(text.split()), count=1)
    return "".join(char for char in (plain or text).lower() if char.isalnum())
