"""The vector index: a FAISS file derived from the store. The only module that imports faiss.

A file is written beside its place, flushed, and renamed: it is there whole or not at all. It is read memory-mapped,
after a check of its layout, so opening takes milliseconds, and a moment more for the links of a large graph. Ids in it
are passage ids. It may lag behind the store: passages added since have ids above ``VectorFile.last_id``, and ids of
removed ones are no longer in the store.

    flat    exact, half precision (what the store holds)     up to 200,000 passages
    hnsw    graph of neighbours, half precision              up to 2,000,000
    ivfpq   clusters and 48-byte codes                       above
"""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import faiss as untyped_faiss
import numpy as np
import numpy.typing as npt

from ragyena.errors import IndexCorruptError, StorageError
from ragyena.index.storage import REBUILD, flush_folder, storage_errors
from ragyena.index.vector_layout import check_layout

__all__ = ["REPAIR", "Kind", "VectorFile", "VectorIndex", "choose_kind", "measure_recall", "write_vectors"]

faiss: Any = untyped_faiss  # its type hints know neither keyword arguments nor many of its classes
Kind = Literal["flat", "hnsw", "ivfpq"]
FloatArray = npt.NDArray[np.float32]
IdArray = npt.NDArray[np.int64]
Batches = Iterable[tuple[IdArray, npt.NDArray[np.float16]]]

FLAT_MOST = 200_000
HNSW_MOST = 2_000_000
IVFPQ_LEAST = 10_000
"""Fewer vectors do not train the codes of ``ivfpq``."""
TRAIN_MOST = 200_000
HNSW_LINKS = 32
HNSW_BUILD = 100
CODE_BYTES = 48
SEARCH_CLUSTERS = 64
APPROXIMATE_FACTOR = 4
"""Approximate kinds fetch this many times the matches wanted; the best by the stored vectors are kept."""
REPAIR = "nothing is lost, it is derived from the store: ragyena index verify --repair"
RECALL_QUERIES = 200
RECALL_HITS = 10


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
    """Fraction of the true 10 nearest that a search returns, measured when the file was written; 1 for flat."""


def choose_kind(setting: Kind | Literal["auto"], count: int) -> tuple[Kind, str]:
    """The kind of FAISS index for ``count`` vectors, and why."""
    if setting == "ivfpq" and count < IVFPQ_LEAST:
        return "flat", f"{count:,} passages do not train ivfpq, which needs at least {IVFPQ_LEAST:,}"
    if setting != "auto":
        return setting, "set by index.vector_index"
    if count <= FLAT_MOST:
        return "flat", f"{count:,} passages are few enough to search exactly"
    if count <= HNSW_MOST:
        return "hnsw", f"{count:,} passages are more than {FLAT_MOST:,}"
    return "ivfpq", f"{count:,} passages are more than {HNSW_MOST:,}"


def write_vectors(
    path: Path,
    batches: Callable[[int], Batches],
    *,
    dimension: int,
    count: int,
    last_id: int,
    setting: Kind | Literal["auto"],
    extend: Path | None = None,
    extend_after: int = 0,
) -> VectorFile:
    """Write the vector file of a store.

    ``batches(after)`` yields ids and unit vectors above an id. With ``extend``, a file of the same kind that holds all
    ids up to ``extend_after``, the approximate kinds add what is new to that instead of starting over.

    Raises StorageError where the file cannot be written, with nothing left at ``path``, and IndexCorruptError where
    ``batches`` yields fewer than ``count``.
    """
    kind, reason = choose_kind(setting, count)
    if extend is not None and kind != "flat":
        index, after = _read(extend), extend_after
    else:
        index, after = _empty(kind, dimension, count, batches), 0
    for ids, vectors in batches(after):
        index.add_with_ids(np.ascontiguousarray(vectors, np.float32), ids)
    if kind == "flat":
        _check_complete(int(index.ntotal), count)
        recall = 1.0
    else:
        recall = measure_recall(VectorIndex(index, kind), batches, count)
    with storage_errors(path):
        unfinished = path.with_name(path.name + ".unfinished")
        try:
            _write(index, unfinished)
            unfinished.replace(path)
            flush_folder(path.parent)
        finally:
            unfinished.unlink(missing_ok=True)
        size = path.stat().st_size
    return VectorFile(path.name, kind, reason, int(index.ntotal), size, last_id, recall)


class VectorIndex:
    """An open vector file."""

    def __init__(self, index: Any, kind: Kind) -> None:
        self._index = index
        self.kind = kind
        self.exact = kind == "flat"

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
            return cls(_read(path, mapped=True), file.kind)
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
            count *= APPROXIMATE_FACTOR
        count = min(count, int(self._index.ntotal) if allowed is None else len(allowed))
        if count == 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        selector = faiss.IDSelectorBatch(allowed) if allowed is not None else None
        if self.kind == "hnsw":
            parameters = faiss.SearchParametersHNSW(sel=selector, efSearch=max(64, 2 * count))
        elif self.kind == "ivfpq":
            parameters = faiss.SearchParametersIVF(sel=selector, nprobe=SEARCH_CLUSTERS)
        else:
            parameters = faiss.SearchParameters(sel=selector)
        scores, ids = self._index.search(query[None], count, params=parameters)
        filled = ids[0] >= 0
        return ids[0][filled], scores[0][filled]


def measure_recall(index: VectorIndex, batches: Callable[[int], Batches], count: int) -> float:
    """The fraction of the true nearest vectors that ``index`` returns, for queries spread evenly over the store.

    Raises IndexCorruptError where the store, of ``count`` passages, yields fewer vectors."""
    ids = index.ids()
    queries_wanted = set(np.sort(ids)[:: max(1, len(ids) // RECALL_QUERIES)].tolist())
    queries, found = [], 0
    for batch_ids, vectors in batches(0):
        queries.append(vectors[np.isin(batch_ids, list(queries_wanted))].astype(np.float32))
        found += len(batch_ids)
    _check_complete(found, count)
    if not sum(map(len, queries)):
        return 1.0  # the store is empty, or its passages are few beside those that were removed
    query_QD = np.concatenate(queries)
    best_ids = np.empty((len(query_QD), 0), np.int64)
    best_scores = np.empty((len(query_QD), 0), np.float32)
    for batch_ids, vectors in batches(0):
        scores = np.concatenate([best_scores, query_QD @ vectors.astype(np.float32).T], axis=1)
        all_ids = np.concatenate([best_ids, np.broadcast_to(batch_ids, (len(query_QD), len(batch_ids)))], axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :RECALL_HITS]
        best_ids, best_scores = np.take_along_axis(all_ids, order, 1), np.take_along_axis(scores, order, 1)
    shared = [len(np.intersect1d(index.search(q, RECALL_HITS)[0], true)) for q, true in zip(query_QD, best_ids)]
    return float(sum(shared)) / best_ids.size


def _empty(kind: Kind, dimension: int, count: int, batches: Callable[[int], Batches]) -> Any:
    half, product = faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    if kind == "flat":
        return faiss.IndexIDMap(faiss.IndexScalarQuantizer(dimension, half, product))
    if kind == "hnsw":
        graph = faiss.IndexHNSWSQ(dimension, half, HNSW_LINKS, product)
        graph.train(np.zeros((1, dimension), np.float32))  # half floats have nothing to learn, but it insists
        graph.hnsw.efConstruction = HNSW_BUILD
        return faiss.IndexIDMap(graph)
    clusters = min(max(64, int(4 * math.sqrt(count))), max(1, min(count, TRAIN_MOST) // 39))
    code_bytes = next(m for m in range(min(CODE_BYTES, dimension), 0, -1) if dimension % m == 0)
    codes = faiss.index_factory(dimension, f"IVF{clusters},PQ{code_bytes}x8", product)
    codes.train(_training_sample(count, batches))
    return faiss.IndexIDMap(codes)


def _training_sample(count: int, batches: Callable[[int], Batches]) -> FloatArray:
    step = max(1, -(-count // TRAIN_MOST))
    samples, found = [], 0
    for ids, vectors in batches(0):
        samples.append(vectors[::step].astype(np.float32))
        found += len(ids)
    _check_complete(found, count)
    return np.concatenate(samples)


def _check_complete(found: int, count: int) -> None:
    """Raises IndexCorruptError where the store yielded fewer vectors than it has passages."""
    if found < count:
        raise IndexCorruptError(
            f"the store is damaged: {count - found:,} of {count:,} passages have no vector", hint=REBUILD
        )


def _read(path: Path, *, mapped: bool = False) -> Any:
    return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC if mapped else 0)


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
