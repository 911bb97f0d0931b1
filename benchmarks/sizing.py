"""Measure what docs/sizing.md multiplies: bytes and seconds a passage, without embedding, and searches.

    python benchmarks/sizing.py [--passages 20000] [--ivfpq] [--out benchmarks/results]

Documents are sentences of the demo corpus in random order, ten passages of about 200 tokens each. Vectors are random,
so that only what an index does itself is timed; how fast passages are embedded is ``ragyena bench embed``. About a
minute for 20,000 passages on two cores; some more with ``--ivfpq``, whose clusters have to be learned.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from ragyena import Document, Index, recipes
from ragyena.bench.figures import Figure, benchmark, write
from ragyena.bench.large_index import SeededVectors
from ragyena.documents.sentences import borders

CHARS = 880  # of a passage of about 200 tokens
IN_DOCUMENT = 10  # passages
QUESTIONS = 100


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


def searched(index: Index, mode: str, questions: Sequence[str]) -> Figure:
    """Milliseconds of a search for the 20 best passages, the embedding of the question included."""
    settings = {"retriever.mode": mode}
    for question in questions[:5]:
        index.search(question, k=20, settings=settings)
    times = []
    for question in questions:
        began = time.perf_counter()
        index.search(question, k=20, settings=settings)
        times.append(1e3 * (time.perf_counter() - began))
    middle, high = np.percentile(times, [50, 95])
    return Figure(f"{mode} search of the 20 best", float(middle), "ms", p95=float(high), samples=len(times))


def measure_file(index: Index, figures: list[Figure]) -> None:
    """Add the bytes of the vector file a passage."""
    file = index.manifest.vectors
    assert file is not None
    figures.append(Figure(f"bytes of the {file.kind} vector file a passage", file.size / file.count, "bytes"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=20_000)
    parser.add_argument("--ivfpq", action="store_true", help="write an ivfpq vector file too (minutes of training)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    pool = sentences()
    given = list(documents(options.passages // IN_DOCUMENT, pool))
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "index"
        settings = {"index.vector_index": "flat", "index.embed_processes": 1}
        with Index.create(place, settings=settings) as index:
            index.use_embedder(SeededVectors(index.embedder(), seed=0))
            cpu, began = time.process_time(), time.perf_counter()
            report = index.add(given)
            wall, cpu = time.perf_counter() - began, time.process_time() - cpu
            count = report.total_passages
            figures.append(Figure("passages cut and stored, embedding left out", count / cpu, "passages/CPU s"))
            figures.append(Figure("  the same by the clock", count / wall, "passages/s"))
            print(f"{count:,} passages in {wall:.1f} s, {cpu:.1f} s of CPU", flush=True)
            measure_file(index, figures)
            questions = [" ".join(one.split()[:9]) for one in pool[:: len(pool) // QUESTIONS]]
            for mode in ("dense", "lexical", "hybrid"):
                figures.append(searched(index, mode, questions))
        store = sum(path.stat().st_size for path in place.iterdir() if path.name.startswith("store"))
        text = sum(len(document.text.encode()) for document in given)
        figures.append(Figure("bytes of text a passage", text / count, "bytes"))
        figures.append(Figure("bytes of the store a passage, its text and vectors included", store / count, "bytes"))
        if options.ivfpq:
            chosen = {**settings, "index.vector_index": "ivfpq"}
            with Index.create(Path(folder) / "ivfpq", settings=chosen) as index:
                index.use_embedder(SeededVectors(index.embedder(), seed=0))
                index.add(given)
                measure_file(index, figures)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures.append(Figure("peak memory, the model included", memory, "MiB"))
    for figure in figures:
        print(figure)
    print(
        write(
            benchmark("sizing", figures, {"passages": count, "passage_chars": CHARS, "load": os.getloadavg()[0]}),
            options.out,
        )
    )


if __name__ == "__main__":
    main()
