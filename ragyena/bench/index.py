"""The use case of ``ragyena bench index``: an index grown to a million passages, and how it fares on the way.

One index grows through all sizes by ``Index.add``, as a user's would: cut, stored, full text, vector file, manifest.
Only the embedder is another one: it knows the vectors of the text that is made (``bench.varied`` says how, and what
that is good for); questions go through the real model. At each size the index is opened anew and searched, its matches
are compared with those of an exact search, and a thousand passages are added.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from ragyena import machine
from ragyena.bench.figures import Benchmark, Figure, benchmark
from ragyena.bench.varied import PAGES, VariedCorpus, VariedEmbedder, read_sentences
from ragyena.config import PipelineConfig
from ragyena.errors import UsageError
from ragyena.index.embedder import BUNDLED, Embedder
from ragyena.index.index import Index
from ragyena.types import Document, Progress

__all__ = ["SizeRow", "bench_index"]

ROUND = 2_500
"""Documents given to ``Index.add`` together: 20,000 passages."""
MORE = 125
"""Documents of the addition that is timed: 1,000 passages."""
HITS = 20
OPENINGS = 3
QUESTION_WORDS = (4, 10)
SEED = 7
LIMITS = {"p50": 30.0, "p99": 100.0, "open": 1.0, "recall": 0.95, "memory": 2048.0}
"""Targets: milliseconds, milliseconds, seconds, a fraction, MiB."""

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SizeRow:
    """Figures of an index at one size."""

    passages: int
    kind: str
    """Kind of the vector file, and the reason for it."""
    build_seconds: float
    """Seconds of all additions so far."""
    rate_first: float
    """Passages added a second by the first full addition, by the slowest and by the last. An addition that learns the
    clusters of the vector file anew is among them."""
    rate_slowest: float
    rate_last: float
    rate_median: float
    build_mib: float | None
    """The most memory while it was built to this size, beyond that before the first addition (models, vocabulary)."""
    search_mib: float | None
    """The most while it was opened and searched, beyond the same; pages of mapped files count."""
    open_seconds: float
    hybrid_p50: float
    """Milliseconds of a search for 20 passages, the embedding of the question included."""
    hybrid_p99: float
    embed_p50: float
    """Milliseconds of embedding the question, which is a part of the above."""
    lexical_p50: float
    lexical_p99: float
    dense_p50: float
    dense_p99: float
    recall: float
    """Share of the 20 nearest of an exact search among the 20 that a dense search gives."""
    add_seconds: float
    """Seconds to add 1,000 passages."""
    text_bytes: float
    """Bytes a passage: its text, all files of the index, and the vector file alone."""
    disk_bytes: float
    vector_file_bytes: float


def bench_index(
    config: PipelineConfig, folder: Path, sizes: Sequence[int], *, questions: int, progress: Progress
) -> tuple[Benchmark, list[SizeRow]]:
    """Grow an index in ``folder`` to each of ``sizes`` passages. Raises UsageError for sizes that cannot be."""
    if not sizes or min(sizes) < 2 * MORE * PAGES:
        raise UsageError(f"--passages has {min(sizes, default=0)}", hint=f"give numbers from {2 * MORE * PAGES} on")
    if config.index.embedder != BUNDLED:
        raise UsageError(f"index.embedder is {config.index.embedder}", hint=f"it is measured with {BUNDLED}")
    real = Embedder.open(BUNDLED)
    sentences = read_sentences()
    progress.start("embedding the corpus", len(sentences), "sentences")
    vectors = real.embed(sentences, on_progress=progress.advance)
    corpus = VariedCorpus(sentences, vectors)
    likeness = _likeness(corpus, real)
    grown = _Grown(config, folder, corpus, VariedEmbedder(real), progress)
    rows = [grown.measure(size, questions) for size in sorted(set(sizes))]
    setting = {
        "text": "sentences of the demo corpus in new orders, names, numbers and rare words replaced (Zipf)",
        "vectors": "sums of the sentences' real embeddings and noise",
        "cosine_to_real_embedding": likeness,
        "passages_a_document": PAGES,
        "passages_an_addition": ROUND * PAGES,
        "questions": questions,
        "sizes": [asdict(row) for row in rows],
    }
    return benchmark("index", [figure for row in rows for figure in _figures(row)], setting), rows


class _Grown:
    """The index that grows, and what was noted of it."""

    def __init__(
        self, config: PipelineConfig, folder: Path, corpus: VariedCorpus, embedder: VariedEmbedder, progress: Progress
    ) -> None:
        self._config, self._folder, self._corpus, self._embedder = config, folder, corpus, embedder
        self._progress = progress
        self._documents = 0
        self._passages = 0
        self._text_bytes = 0
        self._seconds = 0.0
        self._rates: list[float] = []
        Index.create(folder, settings=config).close()
        list(corpus.documents(0, 1))
        self._base = psutil.Process().memory_info().rss / 2**20

    def measure(self, size: int, questions: int) -> SizeRow:
        """Grow to ``size`` passages and measure."""
        machine.forget_peak_memory("cpu")
        first = len(self._rates)
        with self._opened() as index:
            while self._passages < size - MORE * PAGES:
                wanted = -(-(size - MORE * PAGES - self._passages) // PAGES)
                self._add(index, min(ROUND, wanted))
            add_seconds = self._add(index, MORE)
            manifest = index.manifest
        build_mib = self._peak()
        rates = self._rates[first:-1] or self._rates[-1:]
        machine.forget_peak_memory("cpu")
        open_seconds = min(self._open_seconds() for _ in range(OPENINGS))
        with self._opened() as index:
            asked = self._questions(questions)
            times = {mode: self._searched(index, asked, mode) for mode in ("hybrid", "lexical", "dense")}
            embedding = [_milliseconds(lambda q=q: self._embedder.embed_question(q)) for q in asked]
            search_mib = self._peak()
            recall = self._recall(index, asked)
            disk = index.status().size
        file = manifest.vectors
        assert file is not None
        self._progress.note(f"{self._passages:,} passages: {file.kind} ({file.reason}), recall {recall:.3f}")
        return SizeRow(
            passages=self._passages,
            kind=f"{file.kind}: {file.reason}",
            build_seconds=self._seconds,
            rate_first=rates[0],
            rate_slowest=min(rates),
            rate_last=rates[-1],
            rate_median=float(np.median(rates)),
            build_mib=build_mib,
            search_mib=search_mib,
            open_seconds=open_seconds,
            hybrid_p50=float(np.percentile(times["hybrid"], 50)),
            hybrid_p99=float(np.percentile(times["hybrid"], 99)),
            embed_p50=float(np.percentile(embedding, 50)),
            lexical_p50=float(np.percentile(times["lexical"], 50)),
            lexical_p99=float(np.percentile(times["lexical"], 99)),
            dense_p50=float(np.percentile(times["dense"], 50)),
            dense_p99=float(np.percentile(times["dense"], 99)),
            recall=recall,
            add_seconds=add_seconds,
            text_bytes=self._text_bytes / self._passages,
            disk_bytes=disk / self._passages,
            vector_file_bytes=file.size / max(1, file.count),
        )

    def _opened(self) -> Index:
        index = Index.open(self._folder, settings=self._config)
        index.use_embedder(self._embedder)
        return index

    def _open_seconds(self) -> float:
        began = time.perf_counter()
        Index.open(self._folder, settings=self._config).close()
        return time.perf_counter() - began

    def _add(self, index: Index, count: int) -> float:
        """Add the next documents; seconds, without those of making them."""
        made = list(self._corpus.documents(self._documents, count))
        self._embedder.expect(made)
        documents: list[Document] = [document for document, _ in made]
        self._text_bytes += sum(len(document.text.encode()) for document in documents)
        began = time.perf_counter()
        report = index.add(documents, progress=self._progress)
        took = time.perf_counter() - began
        self._documents += count
        self._passages = report.total_passages
        self._seconds += took
        self._rates.append(report.passages / took)
        return took

    def _questions(self, count: int) -> list[str]:
        """Some words that follow each other in pages of the index, each page from anywhere in it."""
        rng = np.random.default_rng((SEED, self._documents))
        asked = []
        for number in rng.integers(0, self._documents, count).tolist():
            ((document, _),) = self._corpus.documents(number, 1)
            words = document.text.split()
            length = int(rng.integers(*QUESTION_WORDS))
            start = int(rng.integers(0, max(1, len(words) - length)))
            asked.append(" ".join(words[start : start + length]))
        return asked

    def _searched(self, index: Index, asked: Sequence[str], mode: str) -> list[float]:
        """Milliseconds of each search, after a few that open and load what the first one needs."""
        settings = {"retriever.mode": mode}
        self._progress.start(f"searching, {mode}", len(asked), "questions")
        for question in asked[:5]:
            index.search(question, k=HITS, settings=settings)
        times = []
        for question in asked:
            times.append(_milliseconds(lambda q=question: index.search(q, k=HITS, settings=settings)))
            self._progress.advance(1)
        return times

    def _recall(self, index: Index, asked: Sequence[str]) -> float:
        """The share of the true nearest that a dense search gives."""
        some = asked[:100]
        queries = np.stack([self._embedder.embed_question(question) for question in some])
        scores, ids = np.empty((len(some), 0), np.float32), np.empty((len(some), 0), np.int64)
        for batch_ids, vectors in index.store.vectors(queries.shape[1]):
            scores = np.concatenate([scores, queries @ vectors.astype(np.float32).T], axis=1)
            ids = np.concatenate([ids, np.broadcast_to(batch_ids, (len(some), len(batch_ids)))], axis=1)
            best = np.argpartition(-scores, min(HITS, scores.shape[1]) - 1, axis=1)[:, :HITS]
            scores, ids = np.take_along_axis(scores, best, 1), np.take_along_axis(ids, best, 1)
        shared = 0
        for query, true in zip(queries, ids):
            shared += len({match.passage.passage_id for match in index.nearest(query, k=HITS)} & set(true.tolist()))
        return shared / ids.size

    def _peak(self) -> float | None:
        peak = machine.peak_resident_gib()
        return None if peak is None else max(0.0, peak * 1024 - self._base)


def _likeness(corpus: VariedCorpus, real: Embedder) -> float:
    """The mean cosine between made vectors and real embeddings of the same pages."""
    cosines = []
    for document, vectors in corpus.documents(0, 2):
        cosines += (real.embed(document.text.split("\n")) * vectors).sum(axis=1).tolist()
    return round(float(np.mean(cosines)), 3)


def _milliseconds(work: Any) -> float:
    began = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - began)


def _figures(row: SizeRow) -> list[Figure]:
    at = f"{row.passages:,}"
    figures = [
        Figure(f"{at}: build, {row.kind.partition(':')[0]}", row.build_seconds, "s"),
        Figure(f"{at}: rate, median of the additions", row.rate_median, "passages/s"),
        Figure(f"{at}: rate, slowest addition", row.rate_slowest, "passages/s"),
        Figure(f"{at}: open", row.open_seconds, "s", limit=LIMITS["open"]),
        Figure(f"{at}: hybrid search, p50", row.hybrid_p50, "ms", limit=LIMITS["p50"]),
        Figure(f"{at}: hybrid search, p99", row.hybrid_p99, "ms", limit=LIMITS["p99"]),
        Figure(f"{at}: of that, embedding the question, p50", row.embed_p50, "ms"),
        Figure(f"{at}: lexical search, p50", row.lexical_p50, "ms"),
        Figure(f"{at}: lexical search, p99", row.lexical_p99, "ms"),
        Figure(f"{at}: dense search, p50", row.dense_p50, "ms"),
        Figure(f"{at}: recall@20 of dense search", row.recall, "", limit=LIMITS["recall"], better="higher"),
        Figure(f"{at}: adding 1,000 passages", row.add_seconds, "s"),
        Figure(f"{at}: text of a passage", row.text_bytes, "bytes"),
        Figure(f"{at}: disk a passage", row.disk_bytes, "bytes"),
        Figure(f"{at}: vector file a passage", row.vector_file_bytes, "bytes"),
    ]
    for name, value in (("building", row.build_mib), ("searching", row.search_mib)):
        if value is not None:
            figures.append(Figure(f"{at}: memory beyond the models, {name}", value, "MiB", limit=LIMITS["memory"]))
    return figures
