"""Second hops made from ordinary questions: the *alias task*.

A name in the question is replaced by an invented one, and a sentence in another passage says which name the invented
one stands for. A reader that attends to each passage alone knows less of the question than one that joins the two.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence

from ragyena.documents.sentences import Border, borders
from ragyena.documents.words import read_words

__all__ = ["definition", "invent", "names", "put_into", "question_name", "renamed"]

_WORD = re.compile(r"\w[\w\-]*")
_CONNECTORS = frozenset(read_words(__file__, "name_connectors"))
_NOT_NAMES = frozenset(read_words(__file__, "not_names"))
_SYLLABLES = read_words(__file__, "syllables")
_ENDS = ("", *read_words(__file__, "name_ends"))
_MOST_WORDS = 5


def names(text: str) -> Iterator[str]:
    """The longest runs of capitalised words in ``text``, in order.

    The first word of a sentence counts only together with others, or where another sentence holds it inside.
    """
    firsts = {0, *(offset for offset, _ in borders(text))}
    for run in _runs(text):
        start, end = run[0][0], run[-1][1]
        doubtful = len(run) == 1 and start in firsts and not _inside(text[start:end], text, firsts)
        if end - start > 1 and not doubtful:
            yield text[start:end]


def question_name(question: str, passages: Sequence[str], answers: Sequence[str]) -> str | None:
    """The name in ``question`` to hide; None where there is none.

    ``passages`` hold it letter for letter, and it shares no word with an answer. A whole name goes before a part, then
    the longest, then the first. The question's first word counts as a name only where a passage has it capitalised
    inside a sentence, and never in lower case.
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
                worth = (len(part) == len(run), len(name))
                if (
                    (best is None or worth > best)
                    and any(_holds(text, name) for text in passages)
                    and (part[0][0] > 0 or _clearly_a_name(words[0], passages))
                ):
                    best, chosen = worth, name
    return chosen


def invent(rng: random.Random, texts: Sequence[str]) -> str:
    """An invented name that none of ``texts`` holds, in upper or lower case, as a word or a part of one."""
    lower = [text.lower() for text in texts]
    while True:
        alias = ("".join(rng.choices(_SYLLABLES, k=rng.choice((2, 3)))) + rng.choice(_ENDS)).capitalize()
        if not any(alias.lower() in text for text in lower):
            return alias


def renamed(question: str, name: str, alias: str) -> str:
    """The question with ``alias`` wherever ``name`` stands as whole words."""
    return re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", alias, question)


def definition(alias: str, name: str) -> str:
    """The sentence that defines an alias."""
    return f"{alias} is another name for {name}."


def put_into(text: str, sentence: str, rng: random.Random) -> str:
    """``text`` with ``sentence`` at its start, its end or between two of its sentences, drawn with ``rng``."""
    places = [0, *(offset for offset, kind in borders(text) if kind is Border.SENTENCE and offset), len(text)]
    place = rng.choice(places)
    before, after = text[:place], text[place:]
    return f"{before}{'' if not before or before[-1].isspace() else ' '}{sentence}{' ' if after else ''}{after}"


def _runs(text: str) -> Iterator[list[tuple[int, int]]]:
    """Runs of capitalised words with one space between them, and connectors inside; each as offsets of its words."""
    run: list[tuple[int, int]] = []
    for match in _WORD.finditer(text):
        word, (start, end) = match.group(), match.span()
        capital = word[0].isupper() and word.lower() not in _NOT_NAMES
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
    """True where ``text`` holds the word elsewhere than at the start of a sentence (``firsts``)."""
    matches = re.finditer(rf"(?<!\w){re.escape(word)}(?!\w)", text)
    return any(match.start() not in firsts for match in matches)
