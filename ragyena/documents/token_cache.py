"""A tokenizer that caches encodings, for passages that are packed into thousands of contexts."""

from __future__ import annotations

from collections.abc import Sequence

from ragyena.documents.tokenizer import Encoding, Tokenizer

__all__ = ["TokenCache"]

_MOST_TEXTS = 300_000  # of about 2 KB each


class TokenCache(Tokenizer):
    """Encodes as the tokenizer it wraps, each text once. Not for texts that never come again."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        vars(self).update(vars(tokenizer))  # the same definition and special tokens; nothing is loaded twice
        self._known: dict[str, Encoding] = {}

    def encode_batch(self, texts: Sequence[str]) -> list[Encoding]:
        missing = list(dict.fromkeys(text for text in texts if text not in self._known))
        if len(self._known) + len(missing) > _MOST_TEXTS:
            self._known.clear()
            missing = list(dict.fromkeys(texts))
        self._known.update(zip(missing, super().encode_batch(missing)))
        return [self._known[text] for text in texts]
