"""Text for benchmarks of large indexes: real sentences in new orders, with other names, rare words and numbers.

Embedding a million passages takes hours on a CPU, and no million passages ship with this package. So every page made
here is a few sentences of the shipped demo corpus, most of them neighbours; their names, numbers and rare words are
replaced from a seeded vocabulary whose ranks follow Zipf's law, so that the number of passages that hold a word spans
the range it has in real text. The vector of a page is the sum of the real embeddings of its sentences and of noise, of
unit length: pages of one subject are near each other, and no two are alike.

What it is not: new knowledge. Speed, memory and the recall of an approximate index can be measured on it, the quality
of retrieval cannot.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ragyena import demo
from ragyena.config import IndexConfig
from ragyena.documents.loading import load
from ragyena.documents.sentences import borders
from ragyena.documents.walk import find_files
from ragyena.index.embedder import Embedder
from ragyena.types import Document

__all__ = ["PAGES", "VariedCorpus", "VariedEmbedder", "read_sentences"]

PAGES = 8
"""Pages of a document. A page border is always cut, and a page fits a passage: so many passages."""
BLOCK = 256
"""Documents made together, from one seed."""
SENTENCES = 4
"""Sentences of a page, the last of them from anywhere in the corpus."""
NEAR = 12
"""The others are from a stretch of so many."""
PAGE_CHARS = 400
"""With names of several tokens, a page must stay under the 200 of a passage."""
SENTENCE_CHARS = (30, 240)
LETTERS = 0.8
"""Share of letters and spaces in a sentence: with code and signs, a page would not fit a passage."""
VOCABULARY = 400_000
RARE = 2
"""A word in at most so many sentences of the corpus is replaced like a name."""
NOISE = 0.5
"""Length of the noise added to the sum of the sentences' vectors, of which each has length 1."""

_WORD = re.compile(r"[^\W\d_]+|\d+")
_ONSETS = (*"bcdfghjklmnprstvwz", "br", "ch", "dr", "fl", "gr", "kl", "pr", "qu", "sh", "sk", "st", "th", "tr")
_VOWELS = (*"aeiou", "ai", "ea", "ie", "oo", "ou")
_CODAS = ("", "", "", *"nrlstm", "nd", "rk", "st")

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Sentence:
    """A sentence as text between slots: what is replaced is a number of so many digits (0 for a word)."""

    fixed: tuple[str, ...]
    """One more than ``digits``."""
    digits: tuple[int, ...]
    named: tuple[bool, ...]
    """True for a word that is written with a capital."""


def read_sentences() -> list[str]:
    """The sentences of the shipped demo corpus, in its order: those of usual length, each once."""
    found: dict[str, None] = {}
    for path in find_files([demo.corpus()], (), outside=None).files:
        for document in load(path, IndexConfig()):
            if isinstance(document, Document):
                starts = [offset for offset, _ in borders(document.text)]
                for start, end in zip([0, *starts], [*starts, len(document.text)]):
                    sentence = " ".join(document.text[start:end].split())
                    letters = sum(char.isalpha() or char == " " for char in sentence)
                    if SENTENCE_CHARS[0] <= len(sentence) <= SENTENCE_CHARS[1] and letters > LETTERS * len(sentence):
                        found[sentence] = None
    return list(found)


class VariedCorpus:
    """Documents of eight pages, each made from its number alone: the same in every run."""

    def __init__(self, sentences: Sequence[str], vectors: FloatArray, *, seed: int = 0) -> None:
        """``vectors`` [S, D] are the embeddings of the sentences, of unit length."""
        in_sentences = Counter(word for text in sentences for word in set(_WORD.findall(text.lower())))
        self._sentences = [_slots(text, in_sentences) for text in sentences]
        self._lengths = np.array([len(text) for text in sentences])
        self._vectors = vectors
        self._seed = seed
        self._words = _vocabulary(VOCABULARY, seed)

    def documents(self, first: int, count: int) -> Iterator[tuple[Document, FloatArray]]:
        """Documents ``first`` to ``first + count``, each with the vectors [PAGES, D] of its pages."""
        for block in range(first // BLOCK, -(-(first + count) // BLOCK)):
            made = self._block(block)
            yield from made[max(0, first - block * BLOCK) : first + count - block * BLOCK]

    def _block(self, block: int) -> list[tuple[Document, FloatArray]]:
        rng = np.random.default_rng((self._seed, block))
        total, pages = len(self._sentences), BLOCK * PAGES
        steps = rng.integers(1, 1 + NEAR // (SENTENCES - 1), size=(pages, SENTENCES - 1))
        near = rng.integers(0, total - NEAR, size=(pages, 1)) + np.cumsum(steps, axis=1) - 1
        chosen = np.concatenate([near, rng.integers(0, total, size=(pages, 1))], axis=1)
        kept = np.cumsum(self._lengths[chosen], axis=1) <= PAGE_CHARS
        kept[:, 0] = True
        sums = np.einsum("psd,ps->pd", self._vectors[chosen], kept.astype(np.float32))
        noise = rng.standard_normal(sums.shape, dtype=np.float32)
        sums += noise * (NOISE / np.sqrt(sums.shape[1], dtype=np.float32))
        sums /= np.linalg.norm(sums, axis=1, keepdims=True)
        draws = iter(_draws(rng, pages * SENTENCES * 16))
        texts = [
            " ".join(self._varied(int(s), draws) for s in row[keep]) for row, keep in zip(chosen, kept, strict=True)
        ]
        documents = []
        for i in range(BLOCK):
            mine = texts[i * PAGES : (i + 1) * PAGES]
            starts = np.cumsum([0, *(len(text) + 1 for text in mine[:-1])]).tolist()
            name = f"{self._words[next(draws)]} {self._words[next(draws)]}".title()
            document = Document(
                f"varied/{block * BLOCK + i:07d}", "\n".join(mine), name, page_starts=tuple(starts), metadata={}
            )
            documents.append((document, sums[i * PAGES : (i + 1) * PAGES]))
        return documents

    def _varied(self, sentence: int, draws: Iterator[int]) -> str:
        """A sentence with other words in its slots."""
        held = self._sentences[sentence]
        parts = [held.fixed[0]]
        for digits, named, fixed in zip(held.digits, held.named, held.fixed[1:]):
            drawn = next(draws)
            if digits:
                parts.append(str(drawn % 10**digits))
            else:
                parts.append(self._words[drawn].capitalize() if named else self._words[drawn])
            parts.append(fixed)
        return "".join(parts)


class VariedEmbedder(Embedder):
    """Gives the pages of a ``VariedCorpus`` their vectors; questions are embedded by ``real``."""

    def __init__(self, real: Embedder) -> None:
        self.name, self.dimension, self.fingerprint = real.name, real.dimension, real.fingerprint
        self._real = real
        self._known: dict[str, FloatArray] = {}

    def expect(self, documents: Iterable[tuple[Document, FloatArray]]) -> None:
        """Keep the vectors of the documents that are embedded next."""
        self._known = {
            page: vector
            for document, vectors in documents
            for page, vector in zip(document.text.split("\n"), vectors, strict=True)
        }

    def embed(self, texts: Sequence[str], *, on_progress: Callable[[int], None] | None = None) -> FloatArray:
        """The vectors of these pages; a part of a page that was too long for a passage has that of the page."""
        result = np.empty((len(texts), self.dimension), np.float32)
        for i, text in enumerate(texts):
            part = text.rpartition("\n")[2]
            vector = self._known.get(part)
            if vector is None:
                vector = next(vector for page, vector in self._known.items() if part in page)
            result[i] = vector
        if on_progress is not None:
            on_progress(len(texts))
        return result

    def embed_question(self, question: str) -> FloatArray:
        return self._real.embed_question(question)


def _slots(text: str, in_sentences: Counter[str]) -> _Sentence:
    fixed, digits, named = [], [], []
    last = 0
    for match in _WORD.finditer(text):
        word = match.group()
        name = match.start() > 0 and word[0].isupper()
        if word.isdecimal() or name or in_sentences[word.lower()] <= RARE:
            fixed.append(text[last : match.start()])
            digits.append(min(len(word), 6) if word.isdecimal() else 0)
            named.append(word[0].isupper())
            last = match.end()
    return _Sentence((*fixed, text[last:]), tuple(digits), tuple(named))


def _vocabulary(count: int, seed: int) -> list[str]:
    """Different words of two to four syllables; the first, which are drawn most, are the shortest."""
    rng = np.random.default_rng(seed)
    words: dict[str, None] = {}
    for syllables, wanted in ((2, count // 8), (3, count)):
        while len(words) < wanted:
            picks = rng.random((count // 4, syllables, 3))
            for row in picks:
                word = "".join(
                    _ONSETS[int(a * len(_ONSETS))] + _VOWELS[int(b * len(_VOWELS))] + _CODAS[int(c * len(_CODAS))]
                    for a, b, c in row
                )
                words.setdefault(word)
    return list(words)[:count]


def _draws(rng: np.random.Generator, count: int) -> list[int]:
    """Ranks from 0, of which that of rank r comes in proportion to 1 / (r + 1)."""
    ranks = np.exp(rng.random(count) * np.log(VOCABULARY)).astype(np.int64) - 1
    result: list[int] = np.minimum(ranks, VOCABULARY - 1).tolist()
    return result
