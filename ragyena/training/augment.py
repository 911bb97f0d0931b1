"""Questions twisted until their passage answers them not.

Such a question asks for something its passage does not say, by the means that the annotators of SQuAD 2.0 used most
(Rajpurkar et al. 2018, table 1): another name or number, an antonym, a negation.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from ragyena.text.clozes import mentions

__all__ = ["twist"]

_IN_PASSAGE = 0.5  # of the swapped-in names, taken from the passage itself where it has one

_SWAP_FIRST, _NEGATE = 0.7, 0.3  # negations are the plainest of the three: only now and then

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
