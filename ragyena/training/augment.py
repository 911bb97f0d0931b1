"""Questions made from text alone: cloze questions on prose, and questions twisted until their passage answers them not.

A cloze question is a sentence with one of its names, dates or numbers blanked, asked of another place that holds the
same string (recurring spans: Ram et al. 2021, Splinter; spans found in another text: Glass et al. 2020). A twisted
question asks for something its passage does not say, by the means that the annotators of SQuAD 2.0 used most
(Rajpurkar et al. 2018, table 1): another name or number, an antonym, a negation.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ragyena.text.sentences import borders

__all__ = ["KINDS", "Cloze", "clozes", "mentions", "twist"]

KINDS = ("name", "date", "number")
_SHORTEST, _LONGEST = 40, 320  # chars of a sentence worth asking with
_LONGEST_ANSWER = 40  # chars
_IN_PASSAGE = 0.5  # of the swapped-in names, taken from the passage itself where it has one

_SWAP_FIRST, _NEGATE = 0.7, 0.3  # negations are the plainest of the three: only now and then

_JOIN = r"(?:\s+(?:of|the|de|la|von|van|del|and)(?=\s+[A-Z]))?"
_NAME = rf"[A-Z][\w’'-]*(?:\.(?=\s[A-Z]))?(?:{_JOIN}\s+[A-Z][\w’'-]*)*"
_MONTH = r"(?:January|February|March|April|May|June|July|August|September|October|November|December)"
_DATE = (
    rf"(?:\d{{1,2}}\s+{_MONTH}(?:\s+\d{{4}})?|{_MONTH}\s+\d{{1,2}}(?:,\s+\d{{4}})?"
    rf"|(?:{_MONTH}\s+)?1\d{{3}}|(?:{_MONTH}\s+)?20\d{{2}})"
)
_NUMBER = r"\d[\d,.]*\d|\d"
_CANDIDATE = re.compile(rf"(?P<date>\b{_DATE}\b)|(?P<number>\b(?:{_NUMBER})\b)|(?P<name>\b{_NAME})")
_FUNCTION_WORDS = frozenset(
    """The A An In On At By For From With He She It They We I You His Her Its Their Our My This That These Those There
    Here And But Or So If As When While After Before Since Until Although However Then What Who Whom Whose Where Why
    How Which Is Was Are Were Did Does Do Has Have Had Can Could Will Would To Of During Under Between According Many
    Most Some All Both Each One Two Three Other Another Also Not No Such Than Through""".split()  # noqa: SIM905
)
_OPPOSITES = """first/last before/after largest/smallest biggest/smallest highest/lowest most/least more/fewer
    north/south northern/southern east/west eastern/western increase/decrease increased/decreased won/lost win/lose
    best/worst oldest/youngest older/younger early/late earlier/later begin/end began/ended start/stop started/stopped
    above/below inside/outside male/female positive/negative maximum/minimum open/close opened/closed longest/shortest
    major/minor married/divorced higher/lower larger/smaller join/leave joined/left agree/disagree public/private
    support/oppose supported/opposed allow/forbid allowed/forbidden accept/reject accepted/rejected common/rare
    strong/weak rich/poor rise/fall gained/lost"""
_PAIRS = [pair.split("/") for pair in _OPPOSITES.split()]
_ANTONYMS: dict[str, str] = {}
for _one, _other in _PAIRS:
    _ANTONYMS |= {_other: _one, _one: _other}
_ANTONYM = re.compile(r"\b(" + "|".join(_ANTONYMS) + r")\b", re.IGNORECASE)
_NEGATED = re.compile(r"\b(did|does|do|is|was|are|were|has|have|had|can|could|would|should)\b")


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


def twist(question: str, context: str, answer: str, pool: Sequence[str], chooser: random.Random) -> str | None:
    """The question asking for what ``context`` does not say; None where no way is found.

    ``pool`` holds names from other texts.
    """
    ways = [_swap, _antonym] if chooser.random() < _SWAP_FIRST else [_antonym, _swap]
    if chooser.random() < _NEGATE:
        ways.append(_negate)
    for way in ways:
        twisted = way(question, context, answer, pool, chooser)
        if twisted is not None:
            return twisted
    return None


def _swap(question: str, context: str, answer: str, pool: Sequence[str], chooser: random.Random) -> str | None:
    """Another name, date or number in the place of one that the context holds."""
    found = [(a, b, kind) for a, b, kind in mentions(question) if a > 0 and question[a:b] in context]
    if not found:
        return None
    start, end, kind = chooser.choice(found)
    old = question[start:end]
    if kind == "name":
        inside = [context[a:b] for a, b, other in mentions(context) if other == kind]
        inside = [n for n in inside if n not in question and n not in answer and answer not in n and old not in n]
        new = chooser.choice(inside) if inside and chooser.random() < _IN_PASSAGE else chooser.choice(pool)
        if new in question:
            return None
    else:
        digits = re.search(r"\d+", old)
        if digits is None:
            return None
        moved = int(digits.group()) + chooser.choice([-1, 1]) * chooser.randint(1, max(2, int(digits.group()) // 40))
        new = old[: digits.start()] + str(abs(moved)) + old[digits.end() :]
        if new == old or new in context:
            return None
    return question[:start] + new + question[end:]


def _antonym(question: str, context: str, answer: str, pool: Sequence[str], chooser: random.Random) -> str | None:
    match = _ANTONYM.search(question)
    if match is None:
        return None
    return question[: match.start()] + _ANTONYMS[match.group().lower()] + question[match.end() :]


def _negate(question: str, context: str, answer: str, pool: Sequence[str], chooser: random.Random) -> str | None:
    match = _NEGATED.search(question)
    if match is None or match.start() == 0:
        return None
    verb = match.group()
    negated = "can't" if verb == "can" else f"{verb}n't"
    return question[: match.start()] + negated + question[match.end() :]
