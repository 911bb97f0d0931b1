"""Cloze questions made from text alone: a sentence with one of its names, dates or numbers blanked, asked of another
place that holds the same string (recurring spans: Ram et al. 2021, Splinter; spans found in another text: Glass et al.
2020).
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ragyena.documents.sentences import borders

__all__ = ["DATE", "KINDS", "NAME", "Cloze", "clozes", "mentions"]

KINDS = ("name", "date", "number")
_SHORTEST, _LONGEST = 40, 320  # chars of a sentence worth asking with
_LONGEST_ANSWER = 40  # chars

_JOIN = r"(?:\s+(?:of|the|de|la|von|van|del|and)(?=\s+[A-Z]))?"
NAME = rf"[A-Z][\w’'-]*(?:\.(?=\s[A-Z]))?(?:{_JOIN}\s+[A-Z][\w’'-]*)*"
_MONTH = r"(?:January|February|March|April|May|June|July|August|September|October|November|December)"
DATE = (
    rf"(?:\d{{1,2}}\s+{_MONTH}(?:\s+\d{{4}})?|{_MONTH}\s+\d{{1,2}}(?:,\s+\d{{4}})?"
    rf"|(?:{_MONTH}\s+)?1\d{{3}}|(?:{_MONTH}\s+)?20\d{{2}})"
)
_NUMBER = r"\d[\d,.]*\d|\d"
_CANDIDATE = re.compile(rf"(?P<date>\b{DATE}\b)|(?P<number>\b(?:{_NUMBER})\b)|(?P<name>\b{NAME})")
_FUNCTION_WORDS = frozenset(
    """The A An In On At By For From With He She It They We I You His Her Its Their Our My This That These Those There
    Here And But Or So If As When While After Before Since Until Although However Then What Who Whom Whose Where Why
    How Which Is Was Are Were Did Does Do Has Have Had Can Could Will Would To Of During Under Between According Many
    Most Some All Both Each One Two Three Other Another Also Not No Such Than Through""".split()  # noqa: SIM905
)


@dataclass(frozen=True, slots=True)
class Cloze:
    """A sentence of a text with a blank; offsets are chars of the text, ends exclusive."""

    sentence: tuple[int, int]
    answer: tuple[int, int]
    """The blank, inside the sentence."""
    kind: str
    """One of KINDS."""
    elsewhere: tuple[int, int] | None
    """The same string outside the sentence, in the same text."""


def mentions(text: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, kind) of what looks like a name, a date or a number. Function words at a sentence's start are no
    names, and are cut off the front of one."""
    for match in _CANDIDATE.finditer(text):
        kind = str(match.lastgroup)
        start, end = match.span()
        if kind == "name":
            words = list(re.finditer(r"\S+", match.group()))
            while words and words[0].group() in _FUNCTION_WORDS:
                words.pop(0)
            if not words:
                continue
            start = match.start() + words[0].start()
        if end - start > 1 or kind == "number":
            yield start, end, kind


def clozes(text: str, chooser: random.Random, most: int) -> list[Cloze]:
    """Up to ``most`` cloze questions on a text, of different sentences; recurring spans first."""
    starts = [0, *(offset for offset, _ in borders(text)), len(text)]
    recurring: list[Cloze] = []
    single: list[Cloze] = []
    for begin, end in itertools.pairwise(starts):
        stop = begin + len(text[begin:end].rstrip())
        if not _SHORTEST <= stop - begin <= _LONGEST:
            continue
        found = [
            (begin + a, begin + b, kind)
            for a, b, kind in mentions(text[begin:stop])
            if b - a <= _LONGEST_ANSWER and (kind != "number" or b - a > 1)
        ]
        chooser.shuffle(found)
        best: Cloze | None = None
        for a, b, kind in found:
            other = _elsewhere(text, text[a:b], begin, stop)
            if best is None or other is not None:
                best = Cloze((begin, stop), (a, b), kind, other)
            if other is not None:
                break
        if best is not None:
            (recurring if best.elsewhere else single).append(best)
    chooser.shuffle(recurring)
    chooser.shuffle(single)
    return [*recurring, *single][:most]


def _elsewhere(text: str, answer: str, begin: int, end: int) -> tuple[int, int] | None:
    """The nearest whole-word occurrence of ``answer`` outside [begin, end)."""
    if text.find(answer) == text.rfind(answer):
        return None
    found = (match.span() for match in re.finditer(rf"(?<!\w){re.escape(answer)}(?!\w)", text))
    places = [place for place in found if place[1] <= begin or place[0] >= end]
    return min(places, key=lambda place: abs(place[0] - begin)) if places else None
