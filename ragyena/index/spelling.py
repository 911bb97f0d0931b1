"""Spelling of a query: a misspelt word that no passage holds is taken for the nearest word that one does.

Most queries cost one look at the full text index a word. Only a word that is not in it, is not known to be English and
has four Latin letters or more is looked at further: all words one error away (a letter left out, added, exchanged, or
two swapped; Damerau 1964) are looked up, about 50 a letter, each in the time of one look, whatever the size of the
index. The index stems what it is asked, so that no list of its words is needed.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from string import ascii_lowercase

from ragyena import recipes
from ragyena.documents.tokenizer import Tokenizer
from ragyena.index.store import Store

__all__ = ["Counts", "corrections", "counts_in", "neighbours", "replaced"]

LEAST_LETTERS = 4
MOST_LETTERS = 24
MOST_WORDS = 12
"""Words of a query that are corrected at most."""
COUNTED = 1000
"""Passages of a word that are counted at most."""

# Logarithms, of how likely one error is against another.
ENGLISH = 4.0
"""For a known English word: the stemmed index also answers to letters after the stem."""
FIRST = -2.0
"""First letters are seldom wrong."""
FAR = -1.5
"""Against letters that are neighbours on the keyboard."""
EXTRA = {"insert": 0.0, "delete": 0.0, "swap": 0.5, "replace": 0.0}

KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_WORD = re.compile(r"[^\W\d_]+")
_ENDINGS = ("s", "es", "ed", "ing", "ly", "er", "ers", "ness")


Counts = Callable[[Sequence[str], int], Mapping[str, int]]
"""The words of some that passages hold, and the number of passages, counted up to a limit."""


def corrections(counts: Counts, query: str) -> dict[str, str]:
    """The misspelt words of ``query``, as they stand there, and what each is taken for; in their order."""
    words = [word for word in dict.fromkeys(_WORD.findall(query)) if _correctable(word)]
    if not words:
        return {}
    held = counts([_folded(word) for word in words], 1)
    unknown = [word for word in words if _folded(word) not in held and not _english(_folded(word))]
    taken = ((word, _nearest(counts, _folded(word))) for word in unknown[:MOST_WORDS])
    return {word: _cased(other, like=word) for word, other in taken if other is not None}


def replaced(query: str, changes: dict[str, str]) -> str:
    """``query`` with its words changed, the rest as it is."""
    return _WORD.sub(lambda word: changes.get(word[0], word[0]), query)


def counts_in(store: Store) -> Counts:
    """The counts of a store."""
    statement = (
        "SELECT word, held FROM (SELECT value AS word, (SELECT count(*) FROM (SELECT 1 FROM lexicon WHERE lexicon MATCH"
        " '\"' || value || '\"' LIMIT ?)) AS held FROM json_each(?)) WHERE held > 0"
    )
    return lambda words, most: dict(store.rows(statement, (most, json.dumps(words)), types=(str, int)))


def _nearest(counts: Counts, word: str) -> str | None:
    """The likeliest word of the index within one error, None where there is none."""
    errors = _one_error_away(word)
    held = counts([*errors], COUNTED)
    if not held:
        return None
    weights = {other: math.log(1 + count) + errors[other] for other, count in held.items()}
    return min(weights, key=lambda other: (-weights[other] - ENGLISH * _english(other), other))


def _one_error_away(word: str) -> dict[str, float]:
    """The strings from which one typing error makes ``word``, and the logarithm of how likely that is."""
    result: dict[str, float] = {}

    def add(other: str, kind: str, place: int, far: bool = False) -> None:
        weight = EXTRA[kind] + FIRST * (place == 0) + FAR * far
        if other != word and weight > result.get(other, -math.inf):
            result[other] = weight

    for place in range(len(word) + 1):
        before, after = word[:place], word[place:]
        near = {*before[-1:], *after[:1]}
        for letter in ascii_lowercase:
            add(f"{before}{letter}{after}", "insert", place)
            if after:
                add(f"{before}{letter}{after[1:]}", "replace", place, letter not in neighbours().get(after[0], ""))
        if after:
            extra = after[0] in before[-1:] or any(after[0] in neighbours().get(one, "") for one in near - {after[0]})
            add(f"{before}{after[1:]}", "delete", place, not extra)
        if len(after) > 1:
            add(f"{before}{after[1]}{after[0]}{after[2:]}", "swap", place)
    return result


@cache
def neighbours() -> dict[str, str]:
    """The keys around each key of an English keyboard."""
    around: dict[str, str] = {}
    for row, keys in enumerate(KEYS):
        for column, key in enumerate(keys):
            near = [(row, column - 1), (row, column + 1), (row - 1, column), (row - 1, column + 1)]
            near += [(row + 1, column), (row + 1, column - 1)]
            around[key] = "".join(KEYS[r][c] for r, c in near if 0 <= r < len(KEYS) and 0 <= c < len(KEYS[r]))
    return around


def _correctable(word: str) -> bool:
    folded = _folded(word)
    return LEAST_LETTERS <= len(folded) <= MOST_LETTERS and folded.isascii() and folded.isalpha()


def _folded(word: str) -> str:
    """As the index folds words: lower case, without marks."""
    return "".join(c for c in unicodedata.normalize("NFD", word.casefold()) if not unicodedata.combining(c))


def _cased(word: str, *, like: str) -> str:
    return word.upper() if like.isupper() else word.capitalize() if like[0].isupper() else word


def _english(word: str) -> bool:
    """True for a word of the reader's vocabulary, or one with an ending."""
    known = _vocabulary()
    if word in known:
        return True
    stems = [word.removesuffix(ending) for ending in _ENDINGS if word.endswith(ending)]
    return any(len(stem) >= LEAST_LETTERS - 1 and (stem in known or f"{stem}e" in known) for stem in stems)


@cache
def _vocabulary() -> frozenset[str]:
    pieces = Tokenizer.from_folder(recipes.asset("reader")).vocabulary()
    return frozenset(piece for piece in pieces if len(piece) > 2 and piece.isascii() and piece.isalpha())
