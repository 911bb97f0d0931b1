"""The words of a question and of a table, as both are compared: folded, without accents and plural endings."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from ragyena.documents.words import read_words

__all__ = [
    "ASKING",
    "BESIDE",
    "DEGREES",
    "FUNCTION_WORDS",
    "NEIGHBOURS",
    "OPERATION_WORDS",
    "ORDERS",
    "PEOPLE",
    "PLACES",
    "POSITIONS",
    "RANKS",
    "SHORT_NAMES",
    "UNMEASURED",
    "Degree",
    "Words",
    "stem",
    "words_of",
]

Words = tuple[str, ...]

_WORD = re.compile(r"\d+(?:[.,:]\d+)*(?:st|nd|rd|th)?(?![^\W\d_])|[^\W_]+")
_POSSESSIVE = re.compile(r"['’]s\b")


def words_of(text: str) -> Words:
    """The words and numbers of a text, in lower case and without accents; numbers without separators of thousands."""
    folded = text.lower()
    if not folded.isascii():
        folded = "".join(c for c in unicodedata.normalize("NFKD", folded) if not unicodedata.combining(c))
    bare = _POSSESSIVE.sub("", folded).replace("'", "").replace("’", "")
    return tuple(match[0].replace(",", "") for match in _WORD.finditer(bare))


def stem(word: str) -> str:
    """A word without the ending of a plural."""
    if word.isdigit() or len(word) < 4:
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("xes", "ches", "shes", "sses")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


@dataclass(frozen=True, slots=True)
class Degree:
    """The end of a column that a superlative or comparative asks for."""

    sign: int
    """1 for the most, -1 for the least."""
    columns: frozenset[str] = frozenset()
    """Names of columns that it is about where the question names none."""
    reversed_columns: frozenset[str] = frozenset()
    """Names of columns of which it asks for the other end: the oldest was born first."""


def _stems(words: str) -> frozenset[str]:
    return frozenset(map(stem, words.split()))


def _pairs(name: str) -> dict[Words, list[str]]:
    """The words after the colons of each line, by each of the words before the first."""
    pairs: dict[Words, list[str]] = {}
    for line in read_words(__file__, name):
        words, *rest = (part.strip() for part in line.split(":"))
        pairs.update({tuple(word.split()): rest for word in words.split(",")})
    return pairs


def _degree(sign: str, columns: str = "") -> Degree:
    named, _, other = columns.partition(";")
    return Degree(1 if sign == "most" else -1, _stems(named), _stems(other))


FUNCTION_WORDS = frozenset(read_words(__file__, "function_words"))
POSITIONS = frozenset(read_words(__file__, "positions"))
RANKS = frozenset(read_words(__file__, "ranks"))
UNMEASURED = frozenset(read_words(__file__, "unmeasured"))
PLACES = frozenset(read_words(__file__, "places"))
PEOPLE = frozenset(read_words(__file__, "people"))
ASKING = frozenset(read_words(__file__, "asking"))
SHORT_NAMES = {words[0]: stem(rest[0]) for words, rest in _pairs("short_names").items()}
DEGREES = {words: _degree(*rest) for words, rest in _pairs("degrees").items()}
ORDERS = {words: 1 if rest[0] == "last" else -1 for words, rest in _pairs("orders").items()}
NEIGHBOURS = {words: 1 if rest[0] == "next" else -1 for words, rest in _pairs("neighbours").items()}
BESIDE = frozenset(read_words(__file__, "beside_neighbours"))
OPERATION_WORDS = frozenset(word for table in (DEGREES, ORDERS, NEIGHBOURS) for words in table for word in words) - {
    "to"
}
"""Words that ask for an operation, which name no cell by themselves."""
