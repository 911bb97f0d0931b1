"""A second hop made from ordinary questions: the *alias task*.

A name in the question is replaced by an invented one, and a sentence in another passage says what the invented name
stands for. Whoever reads each passage alone knows less of what is asked than whoever joins the two.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence

from ragyena.documents.sentences import Border, borders

__all__ = ["definition", "invent", "names", "put_into", "question_name", "renamed"]

_WORD = re.compile(r"\w[\w\-]*")
_CONNECTORS = frozenset({"of", "de", "da", "del", "la", "van", "von", "the"})
"""Inside a name, never at its ends."""
_MOST_WORDS = 5
# words with a capital that name nothing by themselves: they begin questions and sentences, or are of the calendar
_LITTLE_WORDS = """
    a about after all also although among an and another are as at because before both but by can could describe did do
    does during each every few for from give had has have he her here his how however i if in is it its itself list many
    may most much my name no nor not of on one or other our she should since so some such than that the their them then
    there these they this those though through to under until was we were what when where whether which while who whom
    whose why will with would you your
    january february march april may june july august september october november december
    monday tuesday wednesday thursday friday saturday sunday
"""
_NO_NAMES = frozenset(_LITTLE_WORDS.split())
_SYLLABLES = """
    ba bra da dri dro fo fa go gle hai hor ka kro la lu mai mor na ni pea quo ro ra sta sul sai to tro vu vea zo zul
"""
_ENDS = " n r l s th x nd m"
_OPENINGS, _CODAS = tuple(_SYLLABLES.split()), tuple(_ENDS.split(" "))


def names(text: str) -> Iterator[str]:
    """Every name in ``text`` by its looks: runs of capitalised words, as long as they come, in order. The word that
    begins a sentence is one only together with others, or where it stands inside another sentence as well."""
    firsts = {0, *(offset for offset, _ in borders(text))}
    for run in _runs(text):
        (start, end), alone = (run[0][0], run[-1][1]), len(run) == 1
        if end - start > 1 and not (alone and start in firsts and not _inside(text[start:end], text, firsts)):
            yield text[start:end]


def question_name(question: str, passages: Sequence[str], answers: Sequence[str]) -> str | None:
    """The name in ``question`` to hide: one that its own passages hold letter for letter and that has no word in common
    with an answer; a whole one rather than a part, then the longest, then the first. None where there is none.

    The question's first word counts as a name only where a passage has it capitalised inside a sentence, and never in
    lower case.
    """
    taken = {word.lower() for answer in answers for word in _WORD.findall(answer)}
    best: tuple[bool, int] | None = None
    chosen = None
    for run in _runs(question):
        if any(question[start:end].lower() in taken for start, end in run):
            continue
        for first in range(len(run)):
            for last in range(len(run), first, -1):
                part = run[first:last]
                words = [question[start:end] for start, end in part]
                name = question[part[0][0] : part[-1][1]]
                if not words[0][0].isupper() or words[-1] in _CONNECTORS or len(words) > _MOST_WORDS or len(name) < 2:
                    continue
                if not any(_holds(text, name) for text in passages):
                    continue
                if part[0][0] == 0 and not _clearly_a_name(words[0], passages):
                    continue
                worth = (len(part) == len(run), len(name))
                if best is None or worth > best:
                    best, chosen = worth, name
    return chosen


def invent(rng: random.Random, texts: Sequence[str]) -> str:
    """A name that none of ``texts`` holds, in any case, as a part of a word or whole."""
    lower = [text.lower() for text in texts]
    while True:
        alias = ("".join(rng.choices(_OPENINGS, k=rng.choice((2, 3)))) + rng.choice(_CODAS)).capitalize()
        if not any(alias.lower() in text for text in lower):
            return alias


def renamed(question: str, name: str, alias: str) -> str:
    """The question with ``alias`` wherever ``name`` stands as whole words."""
    return re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", alias, question)


def definition(alias: str, name: str) -> str:
    """The sentence that says what an alias stands for."""
    return f"{alias} is another name for {name}."


def put_into(text: str, sentence: str, rng: random.Random) -> str:
    """``text`` with ``sentence`` at its begin, its end or between two of its sentences, drawn with ``rng``."""
    places = [0, *(offset for offset, kind in borders(text) if kind is Border.SENTENCE and offset), len(text)]
    place = rng.choice(places)
    before, after = text[:place], text[place:]
    return f"{before}{'' if not before or before[-1].isspace() else ' '}{sentence}{' ' if after else ''}{after}"


def _runs(text: str) -> Iterator[list[tuple[int, int]]]:
    """Runs of capitalised words with one space between them, and connectors inside; as places of words."""
    run: list[tuple[int, int]] = []
    for match in _WORD.finditer(text):
        word, (start, end) = match.group(), match.span()
        capital = word[0].isupper() and word.lower() not in _NO_NAMES
        follows = bool(run) and text[run[-1][1] : start] == " "
        goes_on = follows and (capital or word in _CONNECTORS or (word[0].isdigit() and len(word) <= 4))
        if not goes_on:
            yield from _closed(run, text)
            run = []
        if goes_on or capital:
            run.append((start, end))
    yield from _closed(run, text)


def _closed(run: list[tuple[int, int]], text: str) -> Iterator[list[tuple[int, int]]]:
    while run and text[slice(*run[-1])] in _CONNECTORS:
        run.pop()
    if run:
        yield run


def _holds(text: str, name: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None


def _clearly_a_name(word: str, passages: Sequence[str]) -> bool:
    inside = any(_inside(word, text, {0, *(offset for offset, _ in borders(text))}) for text in passages)
    return inside and not any(_holds(text, word.lower()) for text in passages)


def _inside(word: str, text: str, firsts: set[int]) -> bool:
    """Whether a word stands in ``text`` other than where a sentence begins."""
    found = re.finditer(rf"(?<!\w){re.escape(word)}(?!\w)", text)
    return any(match.start() not in firsts for match in found)
