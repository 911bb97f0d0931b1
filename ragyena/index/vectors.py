"""The vector index: a FAISS file derived from the store.

A file is written beside its place, flushed, and renamed: it is there whole or not at all. It is read memory-mapped,
after a check of its layout, so opening takes milliseconds, and a moment more for the links of a large graph. Ids in it
are passage ids. It may lag behind the store: passages added since have ids above ``VectorFile.last_id``, and ids of
removed ones are no longer in the store.

    flat    exact, half precision (what the store holds)     up to 100,000 passages; sieved (``sieve``) once in use
    ivfpq   clusters and 96-byte codes                       above
    hnsw    graph of neighbours, half precision              where the settings say so

``auto`` takes ``ivfpq`` for what is large: its file has some 112 bytes a passage, where a graph has more than a
thousand, so that it is soon extended; matches are ranked by the vectors of the store. How many clusters a search looks
into is measured when the clusters are learned, and kept in the file. It is measured with means of three passages, not
with passages: questions lie between passages, and their nearest are spread over several times as many clusters.
"""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import faiss as untyped_faiss
import numpy as np
import numpy.typing as npt

from ragyena.errors import IndexCorruptError, StorageError
from ragyena.index.sieve import Sieve
from ragyena.index.storage import REBUILD, REPAIR, flush_folder, storage_errors
from ragyena.index.vector_layout import check_layout

__all__ = [
    "Kind",
    "VectorFile",
    "VectorIndex",
    "choose_kind",
    "trained_on",
    "write_trained",
    "write_vectors",
]

faiss: Any = untyped_faiss  # its type hints know neither keyword arguments nor many of its classes
Kind = Literal["flat", "hnsw", "ivfpq"]
FloatArray = npt.NDArray[np.float32]
IdArray = npt.NDArray[np.int64]
Batches = Iterable[tuple[IdArray, npt.NDArray[np.float16]]]

FLAT_MOST = 100_000
"""An exact search of so many takes about ten milliseconds."""
SIEVED_LEAST = 20_000
"""Vectors of an exact file that are searched by a sieve..."""
SIEVED_AFTER = 8
"""...after so many searches: making one takes as long as some fifty of them save."""
IVFPQ_LEAST = 10_000
"""Fewer vectors do not train the codes of ``ivfpq``."""
TRAIN_CLUSTER = 64
"""Vectors a cluster is learned from..."""
TRAIN_ROUNDS = 10
"""...in so many rounds: more change the recall by less than it varies between samples."""
HNSW_LINKS = 32
HNSW_BUILD = 100
CODE_BYTES = 96
SEARCH_CLUSTERS = (8, 16, 32, 64, 128, 256)
"""Clusters a search may look into: the fewest are taken with which recall reaches ``RECALL_ENOUGH``."""
UNMEASURED_CLUSTERS = 64
"""...in a file written before that was measured."""
RECALL_ENOUGH = 0.98
APPROXIMATE_FACTOR = 2
APPROXIMATE_MORE = 200
"""Approximate kinds fetch so many times the matches wanted and so many more; the best by the stored vectors are
kept."""
RECALL_QUERIES = 200
QUERY_PASSAGES = 3
"""A query that recall is measured with is the mean of so many passages."""
RECALL_HITS = 20


@dataclass(frozen=True, slots=True)
class VectorFile:
    """The manifest's record of a vector file."""

    name: str
    kind: Kind
    reason: str
    """Reason for choosing this kind."""
    count: int
    size: int
    """Bytes."""
    last_id: int
    """The largest passage id there was when it was written."""
    recall: float
    """Fraction of the true 20 nearest to vectors between passages that a search returns, measured when the file was
    last built from scratch; 1 for flat."""


def choose_kind(setting: Kind | Literal["auto"], count: int) -> tuple[Kind, str]:
    """The kind of FAISS index for ``count`` vectors, and why."""
    if count == 0:
        return "flat", "there are no passages"
    if setting == "ivfpq" and count < IVFPQ_LEAST:
        return "flat", f"{count:,} passages do not train ivfpq, which needs at least {IVFPQ_LEAST:,}"
    if setting != "auto":
        return setting, "set by index.vector_index"
    if count <= FLAT_MOST:
        return "flat", f"{count:,} passages are few enough to search exactly"
    return "ivfpq", f"{count:,} passages are more than {FLAT_MOST:,}"


def write_vectors(
    path: Path,
    batches: Callable[[int], Batches],
    *,
    dimension: int,
    count: int,
    last_id: int,
    setting: Kind | Literal["auto"],
    extend: tuple[Path, VectorFile] | None = None,
    trained: Path | None = None,
) -> VectorFile:
    """Write the vector file of a store.

    ``batches(after)`` yields ids and unit vectors above an id. With ``extend``, an approximate file of the same kind,
    what is new is added to that instead of starting over. ``trained`` is a file of ``write_trained``, whose clusters
    and codes an ``ivfpq`` takes in place of learning its own.

    Raises StorageError where the file cannot be written, with nothing left at ``path``, and IndexCorruptError where
    ``batches`` yields fewer than ``count``.
    """
    kind, reason = choose_kind(setting, count)
    if extend is not None and kind == extend[1].kind != "flat":
        index, recall = _read(extend[0]), extend[1].recall
        for ids, vectors in batches(extend[1].last_id):
            index.add_with_ids(np.ascontiguousarray(vectors, np.float32), ids)
        _check_complete(int(index.ntotal), count)  # which holds removed ones, too
    elif kind == "flat":
        index, recall = _empty_flat(dimension), 1.0
        for ids, vectors in batches(0):
            index.add_with_ids(np.ascontiguousarray(vectors, np.float32), ids)
        _check_complete(int(index.ntotal), count)
    else:
        index, recall = _approximate(kind, dimension, count, batches, trained)
    _replace(path, index)
    size = path.stat().st_size
    return VectorFile(path.name, kind, reason, int(index.ntotal), size, last_id, recall)


def write_trained(path: Path, sample: FloatArray, *, count: int) -> None:
    """Learn the clusters and codes of ``ivfpq`` files of about ``count`` vectors each from ``sample`` [N, D], of
    ``trained_on(count)`` vectors or more, and write them, without any vector. Raises StorageError."""
    _replace(path, _learned(sample, count))


def trained_on(count: int) -> int:
    """Vectors that the clusters and codes of an ``ivfpq`` file of ``count`` vectors are learned from."""
    return TRAIN_CLUSTER * _cluster_count(count)


class VectorIndex:
    """An open vector file."""

    def __init__(self, index: Any, kind: Kind, last_id: int = 0) -> None:
        self._index = index
        self.kind = kind
        self.last_id = last_id
        """The largest passage id there was when it was written."""
        self.count = int(index.ntotal)
        self.exact = kind == "flat"
        self._sieve: Sieve | None = None
        self._searches = 0
        self._clusters = UNMEASURED_CLUSTERS
        if kind == "ivfpq" and (clusters := int(faiss.extract_index_ivf(index).nprobe)) > 1:
            self._clusters = clusters

    @classmethod
    def open(cls, folder: Path, file: VectorFile, dimension: int) -> VectorIndex:
        """Map the file into memory. Raises FileNotFoundError where it is gone, IndexCorruptError where it does not
        match the manifest."""
        path = folder / file.name
        if not os.path.lexists(path):
            raise FileNotFoundError(errno.ENOENT, "is missing", str(path))
        size = path.stat().st_size if path.is_file() else 0
        if size != file.size:
            raise IndexCorruptError(f"{path} is damaged: {size:,} bytes instead of {file.size:,}", hint=REPAIR)
        try:
            with storage_errors(path):
                check_layout(path, file.kind, dimension, file.count)
            return cls(_read(path, mapped=True), file.kind, file.last_id)
        except (RuntimeError, ValueError) as error:
            raise IndexCorruptError(f"{path} is damaged: {error}", hint=REPAIR) from error

    def ids(self) -> IdArray:
        """All ids in the file, in its order."""
        return np.asarray(faiss.vector_to_array(self._index.id_map), np.int64)

    def stored(self) -> FloatArray:
        """All vectors in the file [N, D], in its order; those of ``ivfpq`` are approximate."""
        return np.asarray(self._index.index.reconstruct_n(0, self._index.ntotal), np.float32)

    def search(self, query: FloatArray, count: int, allowed: IdArray | None = None) -> tuple[IdArray, FloatArray]:
        """Ids and cosines of the nearest vectors to ``query`` [D], best first; of ``allowed`` ids alone, if given.
        An approximate index returns more of them, for the caller to rank by exact vectors."""
        if not self.exact:
            count = APPROXIMATE_FACTOR * count + APPROXIMATE_MORE
        total = int(self._index.ntotal)
        count = min(count, total if allowed is None else len(allowed))
        if count == 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        if allowed is None and self.exact and (sieved := self._sieved(query, count)) is not None:
            return sieved
        selector = faiss.IDSelectorBatch(allowed) if allowed is not None else None
        if self.kind == "hnsw":
            parameters = faiss.SearchParametersHNSW(sel=selector, efSearch=max(64, 2 * count))
        elif self.kind == "ivfpq":
            # Those allowed may be anywhere: the fewer they are, the more clusters hold the nearest of them.
            more = 1 if allowed is None else -(-total // len(allowed))
            parameters = faiss.SearchParametersIVF(sel=selector, nprobe=self._clusters * more)
        else:
            parameters = faiss.SearchParameters(sel=selector)
        scores, ids = self._index.search(query[None], count, params=parameters)
        filled = ids[0] >= 0
        return ids[0][filled], scores[0][filled]

    def _sieved(self, query: FloatArray, count: int) -> tuple[IdArray, FloatArray] | None:
        """The result of ``search`` by a sieve, where there is one or it is worth making one."""
        self._searches += 1
        if self.count < SIEVED_LEAST or self._searches <= SIEVED_AFTER or self._index.d % 2:
            return None
        if self._sieve is None:
            self._sieve, self._ids = Sieve(self._index.index), self.ids()
        found = self._sieve.search(query, count)
        return None if found is None else (self._ids[found[1][0]], found[0][0])

    def recall(self, queries: FloatArray, nearest: Sequence[IdArray]) -> float:
        """The fraction of the ``nearest`` ids to each of ``queries`` [Q, D] that a search returns."""
        shared = [len(np.intersect1d(self.search(q, len(true))[0], true)) for q, true in zip(queries, nearest)]
        return sum(shared) / max(1, sum(map(len, nearest)))

    def choose_clusters(self, queries: FloatArray, nearest: Sequence[IdArray]) -> float:
        """Have searches of ``ivfpq`` look into as few clusters as give enough recall, now and in the file that is
        written; returns the recall."""
        clusters = faiss.extract_index_ivf(self._index)
        recall = 0.0
        for self._clusters in SEARCH_CLUSTERS:
            clusters.nprobe = self._clusters
            recall = self.recall(queries, nearest)
            if recall >= RECALL_ENOUGH:
                break
        return recall


class _Nearest:
    """The true nearest of some queries among vectors that come in batches."""

    def __init__(self, queries: FloatArray) -> None:
        self._queries = queries
        self._ids = np.empty((len(queries), 0), np.int64)
        self._scores = np.empty((len(queries), 0), np.float32)

    def add(self, ids: IdArray, vectors: FloatArray) -> None:
        scores = np.concatenate([self._scores, self._queries @ vectors.T], axis=1)
        all_ids = np.concatenate([self._ids, np.broadcast_to(ids, (len(self._queries), len(ids)))], axis=1)
        if scores.shape[1] > RECALL_HITS:
            best = np.argpartition(-scores, RECALL_HITS - 1, axis=1)[:, :RECALL_HITS]
            scores, all_ids = np.take_along_axis(scores, best, 1), np.take_along_axis(all_ids, best, 1)
        self._scores, self._ids = scores, all_ids

    def ids(self) -> list[IdArray]:
        return list(self._ids)


def _empty_flat(dimension: int) -> Any:
    half = faiss.ScalarQuantizer.QT_fp16
    return faiss.IndexIDMap(faiss.IndexScalarQuantizer(dimension, half, faiss.METRIC_INNER_PRODUCT))


def _cluster_count(count: int) -> int:
    return max(1, min(round(2 * math.sqrt(count)), count // 39))


def _learned(sample: FloatArray, count: int) -> Any:
    """An ``ivfpq`` index without vectors."""
    dimension = sample.shape[1]
    code_bytes = next(m for m in range(min(CODE_BYTES, dimension), 0, -1) if dimension % m == 0)
    lists = faiss.index_factory(dimension, f"IVF{_cluster_count(count)},PQ{code_bytes}x8", faiss.METRIC_INNER_PRODUCT)
    for learned in (lists.cp, lists.pq.cp):
        learned.niter, learned.max_points_per_centroid = TRAIN_ROUNDS, TRAIN_CLUSTER
    lists.do_polysemous_training = False  # minutes, for searches by Hamming distance, which are not made here
    lists.train(sample)
    return lists


def _approximate(
    kind: Kind, dimension: int, count: int, batches: Callable[[int], Batches], trained: Path | None
) -> tuple[Any, float]:
    """An index of all vectors, and its recall for some of them. Reads the vectors twice."""
    learns = kind == "ivfpq" and trained is None
    sample = _sample(count, batches, max(trained_on(count) if learns else 0, RECALL_QUERIES))
    if kind == "hnsw":
        graph = faiss.IndexHNSWSQ(dimension, faiss.ScalarQuantizer.QT_fp16, HNSW_LINKS, faiss.METRIC_INNER_PRODUCT)
        graph.train(np.zeros((1, dimension), np.float32))  # half floats have nothing to learn, but it insists
        graph.hnsw.efConstruction = HNSW_BUILD
        index = faiss.IndexIDMap(graph)
    else:
        lists = _learned(sample, count) if trained is None else _read(trained)
        if lists.d != dimension:
            raise IndexCorruptError(
                f"{trained} is of dimension {lists.d}, not {dimension}", hint="delete it, and build again"
            )
        index = faiss.IndexIDMap(lists)
    queries = _between(sample)
    nearest = _Nearest(queries)
    for ids, vectors in batches(0):
        floats = np.ascontiguousarray(vectors, np.float32)
        index.add_with_ids(floats, ids)
        nearest.add(ids, floats)
    _check_complete(int(index.ntotal), count)
    opened = VectorIndex(index, kind)
    if kind == "ivfpq":
        return index, opened.choose_clusters(queries, nearest.ids())
    return index, opened.recall(queries, nearest.ids())


def _between(sample: FloatArray) -> FloatArray:
    """Unit vectors that lie between passages of the ``sample`` [N, D], as questions do."""
    rng = np.random.default_rng(0)
    means = sample[rng.integers(0, len(sample), (RECALL_QUERIES, QUERY_PASSAGES))].mean(1)
    return np.asarray(means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9), np.float32)


def _sample(count: int, batches: Callable[[int], Batches], most: int) -> FloatArray:
    """At most about so many of the vectors, spread evenly over the store."""
    step = max(1, count // most)
    samples, passed = [], 0
    for ids, vectors in batches(0):
        samples.append(vectors[-passed % step :: step].astype(np.float32))
        passed += len(ids)
    _check_complete(passed, count)
    return np.concatenate(samples)


def _check_complete(found: int, count: int) -> None:
    """Raises IndexCorruptError where the store yielded fewer vectors than it has passages."""
    if found < count:
        raise IndexCorruptError(
            f"the store is damaged: {count - found:,} of {count:,} passages have no vector", hint=REBUILD
        )


def _read(path: Path, *, mapped: bool = False) -> Any:
    return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC if mapped else 0)


def _replace(path: Path, index: Any) -> None:
    """Write a file beside its place, and rename it. Raises StorageError, with nothing left there."""
    with storage_errors(path):
        unfinished = path.with_name(path.name + ".unfinished")
        try:
            _write(index, unfinished)
            unfinished.replace(path)
            flush_folder(path.parent)
        finally:
            unfinished.unlink(missing_ok=True)


def _write(index: Any, path: Path) -> None:
    try:
        faiss.write_index(index, str(path))
    except RuntimeError as error:  # faiss says what failed in its message alone
        raise StorageError(
            f"{path} cannot be written: {str(error).rsplit(': ', 1)[-1]}",
            hint="make room or check the permissions, and run the command again: nothing is lost",
        ) from error
    with path.open("rb") as file:
        os.fsync(file.fileno())
