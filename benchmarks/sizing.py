"""Measure what docs/sizing.md multiplies: bytes and seconds a passage, without embedding, and searches.

    python benchmarks/sizing.py [--passages 20000] [--out benchmarks/results]

Documents are sentences of the demo corpus in random order, ten passages of about 200 tokens each. Vectors are random,
so that only what an index does itself is timed; how fast passages are embedded is ``ragyena bench embed``. About two
minutes for 20,000 passages on two cores.
"""

from __future__ import annotations

import argparse
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ragyena import Document, Index, recipes
from ragyena.bench.figures import Figure, benchmark, write
from ragyena.documents.sentences import borders
from ragyena.index.embedder import BUNDLED, Embedder

CHARS = 880  # of a passage of about 200 tokens
IN_DOCUMENT = 10  # passages
QUESTIONS = 100


class RandomVectors(Embedder):
    """The bundled embedder for questions, random directions for passages."""

    def __init__(self) -> None:
        self._real = Embedder.open(BUNDLED)
        self.name, self.dimension, self.fingerprint = BUNDLED, self._real.dimension, self._real.fingerprint
        self._random = np.random.default_rng(0)

    def embed(
        self, texts: Sequence[str], *, on_progress: Callable[[int], None] | None = None
    ) -> npt.NDArray[np.float32]:
        vectors = self._random.standard_normal((len(texts), self.dimension), dtype=np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def embed_question(self, question: str) -> npt.NDArray[np.float32]:
        return self._real.embed_question(question)


def sentences() -> list[str]:
    """The sentences of the demo corpus that look like sentences."""
    texts = [path.read_text(encoding="utf-8") for path in sorted((recipes.asset("demo") / "corpus").rglob("*.md"))]
    found = []
    for text in texts:
        starts = [0, *(offset for offset, _ in borders(text)), len(text)]
        found += [text[start:end].strip() for start, end in pairwise(starts)]
    return [sentence for sentence in found if 40 <= len(sentence) <= 400 and sentence.endswith(".")]


def documents(count: int, pool: Sequence[str]) -> Iterator[Document]:
    draw = random.Random(0)
    for number in range(count):
        parts, chars = [], 0
        while chars < CHARS * IN_DOCUMENT:
            parts.append(draw.choice(pool))
            chars += len(parts[-1]) + 1
        yield Document(f"document-{number}", " ".join(parts), title=f"Document {number}")


def timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=20_000)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    pool = sentences()
    given = list(documents(options.passages // IN_DOCUMENT, pool))
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "index"
        settings = {"index.vector_index": "flat", "index.embed_processes": 1}
        with Index.create(place, settings=settings) as index:
            index._embedder = RandomVectors()
            cpu, began = time.process_time(), time.perf_counter()
            report = index.add(given)
            wall, cpu = time.perf_counter() - began, time.process_time() - cpu
            count = report.total_passages
            figures.append(Figure("passages cut and stored, embedding left out", count / cpu, "passages/CPU s"))
            figures.append(Figure("  the same by the clock", count / wall, "passages/s"))
            print(f"{count:,} passages in {wall:.1f} s, {cpu:.1f} s of CPU", flush=True)
        store = sum(path.stat().st_size for path in place.iterdir() if path.name.startswith("store"))
        text = sum(len(document.text.encode()) for document in given)
        figures.append(Figure("bytes of text a passage", text / count, "bytes"))
        figures.append(Figure("bytes of the store a passage, its text and vectors included", store / count, "bytes"))
        for kind in ("flat", "ivfpq"):
            with Index.create(Path(folder) / kind, settings={**settings, "index.vector_index": kind}) as index:
                index._embedder = RandomVectors()
                index.add(given)
                file = index.manifest.vectors
                assert file is not None and file.kind == kind, file
                figures.append(Figure(f"bytes of the {kind} vector file a passage", file.size / file.count, "bytes"))
                questions = [" ".join(random.Random(n).sample(pool, 1)[0].split()[:9]) for n in range(QUESTIONS)]
                for mode in ("dense", "lexical", "hybrid") if kind == "ivfpq" else ():
                    chosen = {"retriever.mode": mode}
                    for question in questions[:5]:
                        index.search(question, k=20, settings=chosen)
                    times = [timed(lambda q=q, s=chosen: index.search(q, k=20, settings=s)) for q in questions]
                    middle, high = np.percentile(np.array(times) * 1e3, [50, 95])
                    name = f"{mode} search of the 20 best"
                    figures.append(Figure(name, float(middle), "ms", p95=float(high), samples=QUESTIONS))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures.append(Figure("peak memory, the model included", memory, "MiB"))
    for figure in figures:
        print(figure)
    print(write(benchmark("sizing", figures, {"passages": count, "passage_chars": CHARS}), options.out))


if __name__ == "__main__":
    main()
