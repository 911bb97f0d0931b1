"""Cloze questions made from text alone: a sentence with one of its names, dates or numbers blanked, whose answer is
another place that holds the same string (recurring spans: Ram et al. 2021, Splinter; spans of another text: Glass et
al. 2020).
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ragyena.documents.sentences import borders
from ragyena.documents.words import read_words

__all__ = ["DATE", "KINDS", "NAME", "Cloze", "clozes", "mentions"]

KINDS = ("name", "date", "number")
_SHORTEST, _LONGEST = 40, 320  # chars of a sentence worth asking with
_LONGEST_ANSWER = 40  # chars

_JOIN = r"(?:\s+(?:of|the|de|la|von|van|del|and)(?=\s+[A-Z]))?"
NAME = rf"[A-Z][\w’'-]*(?:\.(?=\s[A-Z]))?(?:{_JOIN}\s+[A-Z][\w’'-]*)*"
_MONTH = rf"(?:{'|'.join(read_words(__file__, 'months'))})"
DATE = (
    rf"(?:\d{{1,2}}\s+{_MONTH}(?:\s+\d{{4}})?|{_MONTH}\s+\d{{1,2}}(?:,\s+\d{{4}})?"
    rf"|(?:{_MONTH}\s+)?1\d{{3}}|(?:{_MONTH}\s+)?20\d{{2}})"
)
_NUMBER = r"\d[\d,.]*\d|\d"
_CANDIDATE = re.compile(rf"(?P<date>\b{DATE}\b)|(?P<number>\b(?:{_NUMBER})\b)|(?P<name>\b{NAME})")
_FUNCTION_WORDS = frozenset(read_words(__file__, "function_words"))


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
    """(start, end, kind) of apparent names, dates and numbers. Function words are cut off the front of a name."""
    for match in _CANDIDATE.finditer(text):
        kind = str(match.lastgroup)
        start, end = match.span()
        if kind == "name":
            words = re.finditer(r"\S+", match.group())
            start += next((word.start() for word in words if word.group() not in _FUNCTION_WORDS), end - start)
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
        candidates = [
            (begin + a, begin + b, kind)
            for a, b, kind in mentions(text[begin:stop])
            if b - a <= _LONGEST_ANSWER and (kind != "number" or b - a > 1)
        ]
        chooser.shuffle(candidates)
        options = [
            Cloze((begin, stop), (a, b), kind, _elsewhere(text, text[a:b], begin, stop)) for a, b, kind in candidates
        ]
        best = next((cloze for cloze in options if cloze.elsewhere), options[0] if options else None)
        if best is not None:
            (recurring if best.elsewhere else single).append(best)
    chooser.shuffle(recurring)
    chooser.shuffle(single)
    return [*recurring, *single][:most]


def _elsewhere(text: str, answer: str, begin: int, end: int) -> tuple[int, int] | None:
    """The nearest whole-word occurrence of ``answer`` outside [begin, end)."""
    if text.find(answer) == text.rfind(answer):
        return None
    matches = (match.span() for match in re.finditer(rf"(?<!\w){re.escape(answer)}(?!\w)", text))
    places = [place for place in matches if place[1] <= begin or place[0] >= end]
    return min(places, key=lambda place: abs(place[0] - begin)) if places else None
