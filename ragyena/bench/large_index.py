"""An index of very many passages to measure retrieval and packing on: real prose repeated with variation.

The prose is the demo corpus, copy after copy. Every copy but the first has names of its own in the place of names, and
of the other words some are replaced by others of the corpus: so no two passages are nearly equal, and a name is as rare
as in a real collection. Vectors are random ones from a seed: embedding so many passages would take an hour, and an
exact search takes the same time whatever it finds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ragyena import demo, recipes
from ragyena.config import IndexConfig
from ragyena.documents.reading import read
from ragyena.documents.tokenizer import Tokenizer
from ragyena.documents.walk import find_files
from ragyena.index.add import add, gather
from ragyena.index.embedder import Embedder
from ragyena.index.manifest import Manifest, is_index
from ragyena.index.writer import Writer, create
from ragyena.types import Document, Progress, Silent, Skipped

__all__ = ["SEED", "VARIED", "SeededVectors", "build_large"]

SEED = 1
"""Seed of the copies' words and of the vectors."""
VARIED = 0.15
"""Part of the words of a copy that are replaced."""
MARGIN = 1.02
"""So many times the passages wanted are aimed at: copies differ in length."""
ONE_COPY = "SELECT count(*) FROM passages JOIN origins USING (document_id) WHERE origin LIKE '%, copy 0'"

_WORD = re.compile(r"([A-Za-z]{2,})")
_ONSETS = (*"bcdfghklmnprstvwz", "br", "dr", "gr", "pr", "st", "tr")
_VOWELS = "aeiou"


class SeededVectors(Embedder):
    """Random unit vectors for passages, in the place of those of another embedder, which embeds the questions."""

    def __init__(self, other: Embedder, seed: int) -> None:
        self.name, self.dimension, self.fingerprint = other.name, other.dimension, other.fingerprint
        self._other = other
        self._rng = np.random.default_rng(seed)

    def embed(
        self, texts: Sequence[str], *, on_progress: Callable[[int], None] | None = None
    ) -> npt.NDArray[np.float32]:
        vectors = self._rng.standard_normal((len(texts), self.dimension), np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        if on_progress is not None:
            on_progress(len(texts))
        return vectors

    def embed_question(self, question: str) -> npt.NDArray[np.float32]:
        return self._other.embed_question(question)


def build_large(folder: Path, passages: int, *, seed: int, progress: Progress | None = None) -> int:
    """Build an index of at least ``passages`` passages in ``folder``, or finish one; returns how many it has.

    One that has as many already is left as it is. Raises what ``Index.create`` and ``Index.add`` raise.
    """
    progress = progress or Silent()
    config = IndexConfig(vector_index="flat")  # random vectors have no clusters that another kind could learn
    tokenizer = Tokenizer.from_folder(recipes.asset("reader"))
    if not is_index(folder):
        create(folder, config, tokenizer)
    held = Manifest.read(folder).passages
    with Writer(folder) as writer:
        embedder = SeededVectors(Embedder.open(config.embedder), seed)
        copies = 1
        while held < passages:
            documents = [doc for copy in range(copies) for doc in _copy(config, seed, copy)]
            add(writer, gather(documents, (), folder), config, tokenizer, embedder, progress=progress)
            held = writer.store.counts().passages
            # The first copy of the corpus, unchanged, says how many are needed.
            (one,) = writer.store.row(ONE_COPY, types=(int,))
            copies = max(copies + 1, round(MARGIN * passages / one))
    return held


def _copy(config: IndexConfig, seed: int, copy: int) -> Iterator[Document]:
    """The documents of the corpus; from the second copy on with words replaced."""
    rng = np.random.default_rng([seed, copy])
    texts, words, names = _texts(config)
    renamed = dict(zip(names, _names(rng, len(names)))) if copy else {}
    for name, parts in texts:
        parts = [renamed.get(part, part) for part in parts] if copy else parts
        chosen = np.flatnonzero(rng.random(len(parts) // 2) < VARIED) if copy else np.empty(0, np.int64)
        for place, other in zip(chosen.tolist(), rng.integers(len(words), size=len(chosen)).tolist()):
            parts[2 * place + 1] = words[other]
        yield Document(f"{name}, copy {copy}", "".join(parts), title=Path(name).stem)


def _names(rng: np.random.Generator, count: int) -> list[str]:
    """Names of three syllables, of some two million."""
    letters = rng.integers([len(_ONSETS), len(_VOWELS)], size=(count, 3, 2))
    return ["".join(_ONSETS[a] + _VOWELS[b] for a, b in name).capitalize() for name in letters.tolist()]


@cache
def _texts(config: IndexConfig) -> tuple[list[tuple[str, list[str]]], list[str], list[str]]:
    """Name and text of each document of the demo corpus, split at its words, which have odd places; its words that are
    no names; its names."""
    texts = [
        (path.name, _WORD.split(document.text))
        for path in find_files([demo.corpus()]).files
        for document in read(path, config)  # our own files: no process that may be ended need read them
        if not isinstance(document, Skipped)
    ]
    words = [word for _, parts in texts for word in parts[1::2]]
    lower = {word for word in words if word.islower()}
    names = sorted({word for word in words if word.lower() not in lower})
    return texts, [word for word in words if word in lower], names
