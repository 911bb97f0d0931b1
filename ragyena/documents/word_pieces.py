"""Word pieces looked up by word: what a BERT tokenizer says of a text, some ten times as fast.

Such a tokenizer cuts a text at white space and ASCII punctuation before anything else, and what it makes of a word
depends on nothing around it. So each different word is given to it once, and a text is a gather over the words known.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Pieces", "WordPieces", "cuts_at_words"]

MOST_WORDS = 150_000
"""Words known at once, some 30 MB; then the collection starts over."""
LONGEST_WORD = 64
"""A text with a longer word (in characters) is none of words: base64, or a script without spaces."""
MOST_BEYOND_ASCII = 0.1
"""Share of its bytes beyond ASCII with which a text is of another script, whose words are long and seldom come back."""

_SPACES = " \t\n\r\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""White space as these tokenizers have it: other control characters are taken out, and join what stands around them."""
_PUNCTUATION = r"!-/:-@\[-`{-~"
_WORD = re.compile(rf"[{_PUNCTUATION}]|[^{_SPACES}{_PUNCTUATION}]+")

_LETTER, _SPACE, _MARK = 0, 1, 2
_WIDE_SPACES = np.array([*map(ord, re.findall(f"[{_SPACES}]", "".join(map(chr, range(0x80, 0x10000)))))], np.uint32)
_KINDS = np.zeros(0x80, np.uint8)
for _code in range(0x80):
    if re.match(f"[{_SPACES}]", chr(_code)):
        _KINDS[_code] = _SPACE
    elif re.match(f"[{_PUNCTUATION}]", chr(_code)):
        _KINDS[_code] = _MARK

Ids = npt.NDArray[np.int32]
Pieces = tuple[Sequence[int], Sequence[tuple[int, int]]]
"""Ids of the pieces of a word, and where each starts and ends in it."""


def cuts_at_words(definition: bytes) -> bool:
    """True for the tokenizer.json of a tokenizer that treats each word alone, as those of the BERT family do."""
    parts: dict[str, Any] = json.loads(definition)
    kinds = [(parts.get(name) or {}).get("type") for name in ("normalizer", "pre_tokenizer", "model")]
    normalized = any(token.get("normalized") for token in parts.get("added_tokens") or ())
    return kinds == ["BertNormalizer", "BertPreTokenizer", "WordPiece"] and not normalized


class WordPieces:
    """The words met so far and their pieces. Threads may share it."""

    def __init__(self, encode: Callable[[Sequence[str]], Sequence[Pieces]]) -> None:
        """``encode`` gives the pieces of words, each by itself."""
        self._encode = encode
        self._words = _Words()
        self._adding = threading.Lock()

    def encode(self, text: str) -> tuple[Ids, Ids, Ids] | None:
        """Ids, starts and ends of the pieces of a text; None for one that is not of words with spaces between."""
        known = self._known(text)
        if known is None:
            return None
        words, numbers, codes = known
        counts = words.counts[numbers]
        before = np.cumsum(counts) - counts
        total = int(counts.sum())
        at = np.repeat(words.firsts[numbers] - before, counts) + np.arange(total, dtype=np.int64)
        shift = np.repeat(_word_starts(codes), counts)
        return words.ids[at], words.starts[at] + shift, words.ends[at] + shift

    def count(self, text: str) -> int | None:
        """The number of pieces of a text; None as for ``encode``."""
        known = self._known(text)
        return None if known is None else int(known[0].counts[known[1]].sum())

    def _known(self, text: str) -> tuple[_Words, npt.NDArray[np.int64], npt.NDArray[np.uint32]] | None:
        """The numbers of a text's words, each of which is known afterwards, and the text's code points."""
        if not text.isascii() and len(text.encode()) - len(text) > MOST_BEYOND_ASCII * len(text):
            return None
        found = _WORD.findall(text)
        words = self._words
        try:
            numbers = np.fromiter(map(words.numbers.__getitem__, found), np.int64, len(found))
        except KeyError:
            if max(map(len, found)) > LONGEST_WORD:
                return None
            words = self._learn(found)
            numbers = np.fromiter(map(words.numbers.__getitem__, found), np.int64, len(found))
        if text.isascii():
            return words, numbers, np.frombuffer(text.encode("ascii"), np.uint8).astype(np.uint32)
        return words, numbers, np.frombuffer(text.encode("utf-32-le"), np.uint32)

    def _learn(self, found: Sequence[str]) -> _Words:
        with self._adding:
            if len(self._words.numbers) > MOST_WORDS:
                self._words = _Words()  # whoever reads from the old one keeps it
            missing = [word for word in dict.fromkeys(found) if word not in self._words.numbers]
            self._words.add(missing, self._encode(missing))
            return self._words


class _Words:
    """Pieces of all words one after another. Grows: arrays are replaced by longer ones before a word is known."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.counts = np.empty(0, np.int64)
        self.firsts = np.empty(0, np.int64)
        self.ids = self.starts = self.ends = np.empty(0, np.int32)
        self._used = 0

    def add(self, words: Sequence[str], pieces: Sequence[Pieces]) -> None:
        if not words:
            return
        first = len(self.numbers)
        total = sum(len(ids) for ids, _ in pieces)
        self.counts = _room(self.counts, first + len(words))
        self.firsts = _room(self.firsts, first + len(words))
        for name in ("ids", "starts", "ends"):
            setattr(self, name, _room(getattr(self, name), self._used + total))
        for number, (ids, offsets) in enumerate(pieces, first):
            end = self._used + len(ids)
            self.counts[number], self.firsts[number] = len(ids), self._used
            self.ids[self._used : end] = ids
            self.starts[self._used : end] = [start for start, _ in offsets]
            self.ends[self._used : end] = [end for _, end in offsets]
            self._used = end
        self.numbers.update(zip(words, range(first, first + len(words))))


def _room(array: npt.NDArray[Any], length: int) -> npt.NDArray[Any]:
    """The array, or a longer copy of one that is shorter than ``length``."""
    if len(array) >= length:
        return array
    longer = np.zeros(max(length, 2 * len(array)), array.dtype)
    longer[: len(array)] = array
    return longer


def _word_starts(codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.int32]:
    """The starts of the words of a text, as ``_WORD`` finds them, from its code points."""
    kinds = _KINDS[np.minimum(codes, 0x7F)]
    beyond = codes >= 0x80
    if beyond.any():
        kinds = np.where(beyond, np.where(np.isin(codes, _WIDE_SPACES), _SPACE, _LETTER), kinds)
    inside = np.zeros(len(kinds), bool)
    inside[1:] = (kinds[1:] == _LETTER) & (kinds[:-1] == _LETTER)
    return np.flatnonzero((kinds != _SPACE) & ~inside).astype(np.int32)
