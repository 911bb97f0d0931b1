"""Phrases in a question, found by its function words alone: no parser, no tags. Places are positions of words.

A noun phrase begins after a determiner, a preposition, the first verb or with a capital letter, and ends before the
next function word, or before the verb that belongs to it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ragyena.documents.words import read_words

__all__ = [
    "AUXILIARIES",
    "DETERMINERS",
    "PREPOSITIONS",
    "QUESTION_WORDS",
    "could_be_verb",
    "end_of_phrase",
    "name_phrases",
    "noun_phrases",
    "stem",
]

PREPOSITIONS = frozenset(read_words(__file__, "prepositions"))
QUESTION_WORDS = frozenset(read_words(__file__, "question_words"))
AUXILIARIES = frozenset(read_words(__file__, "auxiliaries"))
DETERMINERS = frozenset(read_words(__file__, "determiners"))
CONJUNCTIONS = frozenset(read_words(__file__, "conjunctions"))
VERBS = frozenset(read_words(__file__, "closing_verbs"))


def name_phrases(words: Sequence[str]) -> list[tuple[int, int]]:
    """Runs of capitalised words, but for the first word of the question."""
    found: list[tuple[int, int]] = []
    at = 1
    while at < len(words):
        end = at
        while end < len(words) and (words[end][:1].isupper() or any(char.isdigit() for char in words[end])):
            end += 1
        if end > at and words[at].lower() not in QUESTION_WORDS | AUXILIARIES:
            found.append((at, end))
        at = max(end, at + 1)
    return found


def noun_phrases(words: Sequence[str]) -> list[tuple[int, int]]:
    """Stretches that look like noun phrases: after a determiner, a preposition or the first verb, or capitalised."""
    found = []
    at = 0
    while at < len(words):
        word = words[at].lower()
        begins = word in DETERMINERS or (at > 0 and words[at - 1].lower() in PREPOSITIONS | AUXILIARIES)
        begins = begins or (at > 0 and (words[at][:1].isupper() or words[at - 1].lower() in ("much", "many")))
        if begins and word not in QUESTION_WORDS | AUXILIARIES | PREPOSITIONS:
            end = end_of_phrase(words, at)
            found.append((at, end))
            at = end
        else:
            at += 1
    return found


def end_of_phrase(words: Sequence[str], start: int) -> int:
    """The word after the phrase that begins at ``start``."""
    end = start + 1
    while end < len(words):
        word = words[end].lower()
        if word in PREPOSITIONS | AUXILIARIES | QUESTION_WORDS | CONJUNCTIONS or (
            word in DETERMINERS and end > start + 1
        ):
            break
        least = start + 1 + (words[start].lower() in DETERMINERS)
        if (end >= least or end + 1 == len(words)) and is_verb(words, start, end):
            break
        end += 1
    return end


def could_be_verb(word: str) -> bool:
    """True for a word that often ends a question as its verb, and for a participle."""
    return word.lower() in VERBS or (word.lower().endswith("ed") and len(word) > 2)


def is_verb(words: Sequence[str], start: int, end: int) -> bool:
    """True where a word is the verb after its subject: "does the small pump | weigh"."""
    asked = any(word.lower() in AUXILIARIES for word in words[:start])
    return asked and could_be_verb(words[end])


def stem(word: str) -> str:
    word = word.lower()
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word
