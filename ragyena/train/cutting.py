"""Texts cut to passages and token ids, and places in them as token ranges."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ragyena.documents.passages import split
from ragyena.documents.tokenizer import Encoding, Tokenizer
from ragyena.types import Document, Passage

__all__ = ["Cut", "encode", "flat", "token_range"]

_BLOCK = 1024  # texts encoded at once


@dataclass(frozen=True, slots=True)
class Cut:
    """The passages of all contexts in one list; those of a context are ``bounds[context_id]``."""

    tokenizer: Tokenizer
    passage_tokens: int
    passages: list[Passage] = field(default_factory=list)
    encodings: list[Encoding] = field(default_factory=list)
    bounds: dict[str, range] = field(default_factory=dict)

    def add(self, context_id: str, text: Document) -> int:
        """Adds the passages of a context; how many tokens they hold."""
        passages = split(text, self.tokenizer, self.passage_tokens)
        return self.take(context_id, passages, self.tokenizer.encode_batch([passage.text for passage in passages]))

    def take(self, context_id: str, passages: Sequence[Passage], encodings: Sequence[Encoding]) -> int:
        """Adds passages that were cut before; how many tokens they hold."""
        begin = len(self.passages)
        self.passages.extend(passages)
        self.encodings.extend(encodings)
        self.bounds[context_id] = range(begin, len(self.passages))
        return sum(len(encoding) for encoding in encodings)

    def find(self, context_id: str, start: int, end: int) -> tuple[int, tuple[int, int]] | None:
        """The passage of the context that holds chars [start, end), and the tokens of it that overlap them; None where
        none holds them whole."""
        for index in self.bounds[context_id]:
            passage = self.passages[index]
            if passage.start <= start and end <= passage.end:
                tokens = token_range(self.encodings[index], start - passage.start, end - passage.start)
                if tokens[0] < tokens[1]:
                    return index, tokens
        return None


def encode(texts: Iterable[str], tokenizer: Tokenizer) -> list[Encoding]:
    """Texts encoded in blocks."""
    everything = list(texts)
    return [e for i in range(0, len(everything), _BLOCK) for e in tokenizer.encode_batch(everything[i : i + _BLOCK])]


def token_range(encoding: Encoding, start: int, end: int) -> tuple[int, int]:
    """The tokens that overlap chars [start, end): first, and one after the last; (0, 0) for none."""
    first = int(np.searchsorted(encoding.ends, start, side="right"))
    last = int(np.searchsorted(encoding.starts, end, side="left"))
    return (first, last) if first < last else (0, 0)


def flat(name: str, rows: Sequence[npt.NDArray[np.integer]]) -> dict[str, npt.NDArray[np.generic]]:
    """Rows of token ids one after another, and the bounds of each."""
    offsets = np.zeros(len(rows) + 1, np.int32)
    np.cumsum([len(row) for row in rows], out=offsets[1:])
    joined = np.concatenate(rows) if rows else np.zeros(0, np.int32)
    return {name: joined.astype(np.uint16), f"{name}_offsets": offsets}
