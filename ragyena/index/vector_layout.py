"""Check of a FAISS file before FAISS reads it: declared counts against the size of the file, links against its ids.

FAISS allocates what a header declares and follows the links it finds. A damaged file could therefore ask for any
amount of memory, or have memory read that is not its own. Only the layouts that ``vectors`` writes are known here.

    IxMp  ids of ...    IxSQ  half floats    IHNs  graph over IxSQ    IwPQ  lists of codes, found by IxFI (centroids)
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["check_layout"]

HALF_FLOATS = 4
"""FAISS's number of its half float codes."""
INNER_PRODUCT = 0
EF_MOST = 65_536
CLUSTERS_MOST = 65_536
CHUNK = 4_000_000
"""Links looked at together."""

Number = TypeVar("Number", bound=np.number[Any])


def check_layout(path: Path, kind: str, dimension: int, count: int) -> None:
    """Raises ValueError where a file is not one of ``kind`` with ``count`` vectors. Takes time for its links alone."""
    if path.stat().st_size == 0:
        raise ValueError("it is empty")
    file = _File(np.memmap(path, np.uint8, mode="r"))
    file.header(b"IxMp", dimension, count)
    if kind == "hnsw":
        _check_graph(file, dimension, count)
    elif kind == "ivfpq":
        _check_lists(file, dimension, count)
    else:
        _check_codes(file, dimension, count)
    if len(file.array(np.int64)) != count:
        raise ValueError("it has not an id for every vector")
    if file.position != len(file.data):
        raise ValueError("it is longer than what it holds")


class _File:
    """A position in the bytes of a file; every read is checked against their number."""

    def __init__(self, data: npt.NDArray[np.uint8]) -> None:
        self.data = data
        self.position = 0

    def take(self, size: int) -> npt.NDArray[np.uint8]:
        if size > len(self.data) - self.position:
            raise ValueError("it is shorter than what it should hold")
        self.position += size
        return self.data[self.position - size : self.position]

    def numbers(self, layout: str) -> tuple[int, ...]:
        return struct.unpack(f"<{layout}", self.take(struct.calcsize(f"<{layout}")).tobytes())

    def array(self, kind: type[Number], count: int | None = None) -> npt.NDArray[Number]:
        """``count`` numbers; without it, as many as stands before them."""
        if count is None:
            (count,) = self.numbers("Q")
        return self.take(count * np.dtype(kind).itemsize).view(kind)

    def header(self, name: bytes, dimension: int, count: int) -> None:
        if self.take(4).tobytes() != name:
            raise ValueError("it is of another kind")
        held = self.numbers("iqqq?i")
        if (held[0], held[1], held[4], held[5]) != (dimension, count, True, INNER_PRODUCT):
            raise ValueError(f"it declares {held[1]} vectors of {held[0]} dimensions")


def _check_codes(file: _File, dimension: int, count: int) -> None:
    file.header(b"IxSQ", dimension, count)
    code, _, _, held, size = file.numbers("iifQQ")
    if (code, held, size) != (HALF_FLOATS, dimension, 2 * dimension) or len(file.array(np.float32)):
        raise ValueError("its vectors are no half floats")
    if len(file.array(np.uint8)) != 2 * dimension * count:
        raise ValueError("it has not all vectors")


def _check_graph(file: _File, dimension: int, count: int) -> None:
    file.header(b"IHNs", dimension, count)
    chances = file.array(np.float64)
    ends = file.array(np.int32).astype(np.int64)
    levels = file.array(np.int32).astype(np.int64)
    offsets = file.array(np.uint64).astype(np.int64)
    links = file.array(np.int32)
    entry, top, ef_build, ef_search, _ = file.numbers("iiiii")
    if not (len(ends) == len(chances) + 1 and ends[0] == 0 and (np.diff(ends) > 0).all()):
        raise ValueError("its levels are damaged")
    if len(levels) != count or len(offsets) != count + 1 or ((levels < 1) | (levels >= len(ends))).any():
        raise ValueError("its levels are damaged")
    if offsets[0] != 0 or offsets[-1] != len(links) or (np.diff(offsets) != ends[levels]).any():
        raise ValueError("its links are not where they should be")
    for first in range(0, len(links), CHUNK):
        part = links[first : first + CHUNK]
        if ((part < -1) | (part >= count)).any():
            raise ValueError("it has links to vectors that are not there")
    for level in range(1, len(ends) - 1):
        members = np.flatnonzero(levels > level)
        if not len(members):
            break
        held = links[offsets[members, None] + np.arange(ends[level], ends[level + 1])]
        if (levels[held[held >= 0]] <= level).any():
            raise ValueError("it has links to vectors of a lower level")
    sound_entry = 0 <= entry < count and levels[entry] == top + 1 if count else (entry, top) == (-1, -1)
    if not (sound_entry and 1 <= ef_build <= EF_MOST and 1 <= ef_search <= EF_MOST):
        raise ValueError("its graph has no entry")
    _check_codes(file, dimension, count)


def _check_lists(file: _File, dimension: int, count: int) -> None:
    file.header(b"IwPQ", dimension, count)
    lists, searched = file.numbers("QQ")
    if not 1 <= searched <= CLUSTERS_MOST:
        raise ValueError("it says no number of clusters to look into")
    file.header(b"IxFI", dimension, lists)
    if len(file.array(np.float32)) != lists * dimension:
        raise ValueError("it has not all centroids")
    direct, direct_size, _, code_size, held, parts, bits = file.numbers("bQ?QQQQ")
    if (direct, direct_size, held, bits, code_size) != (0, 0, dimension, 8, parts) or dimension % max(1, parts):
        raise ValueError("its codes are damaged")
    if parts == 0 or len(file.array(np.float32)) != 256 * dimension:
        raise ValueError("its codes are damaged")
    if file.take(4).tobytes() != b"ilar" or file.numbers("QQ") != (lists, code_size):
        raise ValueError("its lists are damaged")
    if file.take(4).tobytes() == b"full":
        sizes = file.array(np.uint64)
        whole = len(sizes) == lists
    else:
        numbers, sizes = file.array(np.uint64).reshape(-1, 2).T
        whole = not len(numbers) or bool((numbers[:-1] < numbers[1:]).all() and numbers[-1] < lists)
    if not whole or sizes.astype(np.float64).sum() != count:
        raise ValueError("its lists have not all vectors")
    for size in sizes.tolist():
        file.take(size * code_size)
        ids = file.array(np.int64, size)
        if ((ids < 0) | (ids >= count)).any():
            raise ValueError("its lists have vectors that are not there")
