"""Embeddings by the hash of a text, for tests of many texts in which it does not matter which are near."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ragyena.index.embedder import BUNDLED, BUNDLED_SHA256, Embedder

__all__ = ["hashed_embeddings"]


class HashEmbedder(Embedder):
    """Known to an index as the bundled embedder."""

    name, fingerprint, dimension = BUNDLED, BUNDLED_SHA256, 16

    def embed(self, texts: Sequence[str], *, on_progress: Callable[[int], None] | None = None) -> Any:
        vectors = np.empty((len(texts), self.dimension), np.float32)
        for row, text in enumerate(texts):
            seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
            vectors[row] = np.random.default_rng(seed).standard_normal(self.dimension)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@contextmanager
def hashed_embeddings() -> Iterator[None]:
    """Within it every index embeds so."""
    real = Embedder.__dict__["open"]
    Embedder.open = staticmethod(lambda name, *, download=True: HashEmbedder())  # type: ignore[method-assign]
    try:
        yield
    finally:
        Embedder.open = real  # type: ignore[method-assign]
