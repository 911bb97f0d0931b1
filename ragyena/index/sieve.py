"""Four-bit codes of vectors, in memory, by which an exact search has few of them to compare.

An exact search of a hundred thousand vectors reads 77 MB; their codes are 19 MB, which FAISS adds up in registers, in
a quarter of the time. The vectors whose codes come nearest are then compared exactly, and so many of them that none of
the nearest is left out: codes are wrong by a sum of hundreds of small errors, whose spread is known, and a search takes
all that are within ``DEVIATIONS`` times that spread of the last match. So the result is that of comparing all of them.
"""

from __future__ import annotations

from typing import Any

import faiss as untyped_faiss
import numpy as np
import numpy.typing as npt

__all__ = ["Sieve"]

faiss: Any = untyped_faiss  # its type hints know neither keyword arguments nor many of its classes

LEVELS = 16
STEP = 0.335
"""Distance of two levels in standard deviations, with which 16 of them fit a normal distribution best."""
DEVIATIONS = 5.0
"""In one of some million searches, a match is wrong by more."""
SHRINK = 0.02
"""Part of a similarity that codes lose: what they leave out is, on average, a part of the vector."""
LOOSE = 1.5
"""Codes whose error is so many times the usual one say too little: these vectors are always compared..."""
LOOSE_MOST = 0.02
"""...and where they are more than this part of all, codes are of no use."""
TIMES, MORE = 3.5, 700
"""So many times the matches wanted and so many more are compared at first."""
WIDENED = 2
COMPARED_MOST = 0.25
"""Part of all vectors from which on it is as fast to compare all."""
BLOCK = 128
"""Vectors that FAISS adds up together."""
CHUNK = 8192

FloatArray = npt.NDArray[np.float32]
PositionArray = npt.NDArray[np.int64]


class Sieve:
    """Codes of the vectors of an exact FAISS index of inner products."""

    def __init__(self, exact: Any) -> None:
        """``exact`` is that index, of vectors of an even number of dimensions, which are read once."""
        self._exact = exact
        count, width = int(exact.ntotal), int(exact.d)
        sample = np.stack([exact.reconstruct(place) for place in range(0, count, max(1, count // CHUNK))])
        middle_D = sample.mean(axis=0)
        step_D = np.maximum(STEP * sample.std(axis=0), 1e-9).astype(np.float32)
        codes = np.empty((count, width // 2), np.uint8)
        errors_N, squares_D = np.empty(count, np.float32), np.zeros(width)
        for first in range(0, count, CHUNK):
            vectors = exact.reconstruct_n(first, min(CHUNK, count - first))
            levels = np.clip(np.floor((vectors - middle_D) / step_D), -LEVELS // 2, LEVELS // 2 - 1)
            some = (levels + LEVELS // 2).astype(np.uint8)
            codes[first : first + CHUNK] = some[:, ::2] | some[:, 1::2] << 4
            squares = np.square(vectors - (middle_D + (levels + 0.5) * step_D))
            errors_N[first : first + CHUNK] = squares.sum(axis=1)
            squares_D += squares.sum(axis=0)
        self._variance_D = squares_D / count
        self._loose = np.flatnonzero(errors_N > LOOSE**2 * self._variance_D.sum())
        self.useful = len(self._loose) <= LOOSE_MOST * count
        """False where a search by codes would compare too many."""
        offsets = np.arange(LEVELS, dtype=np.float32) - (LEVELS // 2 - 0.5)
        self._codes = _packed(codes, middle_D[:, None] + step_D[:, None] * offsets) if self.useful else None

    def search(self, query: FloatArray, count: int) -> tuple[FloatArray, PositionArray] | None:
        """The ``count`` nearest vectors to ``query`` [D], as ``exact`` finds them: scores and places, each [1, count];
        None where it is no slower to search that."""
        total = int(self._exact.ntotal)
        margin = DEVIATIONS * float(np.sqrt(np.square(query.astype(np.float64)) @ self._variance_D))
        compared = int(TIMES * count) + MORE
        while self._codes is not None and compared <= COMPARED_MOST * total:
            near, places = self._codes.search(query[None], compared)
            flags = np.zeros(total, np.bool_)
            flags[places[0]] = True
            flags[self._loose] = True
            chosen = np.packbits(flags, bitorder="little")
            selector = faiss.IDSelectorBitmap(chosen)
            scores, found = self._exact.search(query[None], count, params=faiss.SearchParameters(sel=selector))
            last = float(scores[0, -1])
            if float(near[0, -1]) <= last - margin - SHRINK * abs(last):
                return scores, found
            compared *= WIDENED
        return None


def _packed(codes: npt.NDArray[np.uint8], levels: FloatArray) -> Any:
    """A FAISS index of codes [N, D / 2], two to a byte, that stand for ``levels`` [D, LEVELS] of each number."""
    width = len(levels)
    plain = faiss.IndexPQ(width, width, 4, faiss.METRIC_INNER_PRODUCT)
    faiss.copy_array_to_vector(np.ascontiguousarray(levels, np.float32).ravel(), plain.pq.centroids)
    faiss.copy_array_to_vector(codes.ravel(), plain.codes)
    plain.is_trained, plain.ntotal = True, len(codes)
    return faiss.IndexPQFastScan(plain, BLOCK)
