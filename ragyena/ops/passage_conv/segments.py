"""Segments of unequal lengths in one packed sequence, gathered into padded slots of a few sizes.

Shape suffixes: D channels, L positions of the packed sequence, N segments of a size, S positions of a slot.

Segments are sorted by their lengths into sizes that grow by factors of two, so that no segment is padded to more than
twice its length (or to 16 positions), and each size is one call of a convolution.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

__all__ = ["Segments", "equal_segments", "segment_bounds", "segments"]

_LEAST_SLOT = 16


@dataclass(frozen=True, slots=True)
class Segments:
    """The segments of one size, as slots."""

    size: int
    """S: the longest of them, rounded up to a multiple of 16."""
    sources: Tensor
    """[N, S]: the position of a slot's input in the packed sequence; L, one past the last, where there is none."""
    positions: Tensor
    """The positions of the packed sequence that these segments hold, in order."""
    cells: Tensor
    """The places of these positions among the N S of the slots."""


def segment_bounds(cu_seqlens: Tensor, length: int) -> list[int]:
    """``cu_seqlens`` as numbers: where each segment starts, and the end of the last. A device is waited for.

    Raises ValueError where they do not rise from 0 to ``length``, TypeError where they are not integers.
    """
    if cu_seqlens.ndim != 1 or len(cu_seqlens) < 2:
        raise ValueError(f"cu_seqlens is {tuple(cu_seqlens.shape)}; it must be [segments + 1], of one or more")
    if cu_seqlens.dtype not in (torch.int32, torch.int64):
        raise TypeError(f"cu_seqlens is {cu_seqlens.dtype}; it must be int32 or int64")
    bounds: list[int] = cu_seqlens.tolist()
    if bounds[0] != 0 or bounds[-1] != length:
        raise ValueError(f"cu_seqlens goes from {bounds[0]} to {bounds[-1]}; it must go from 0 to {length}, all of u")
    if any(start > end for start, end in pairwise(bounds)):
        raise ValueError("cu_seqlens falls; each segment must start where the one before it ends, or be empty")
    return bounds


def equal_segments(bounds: Sequence[int]) -> int | None:
    """The length of all segments if they are alike, of which the last may be shorter; None if they are not."""
    lengths = [end - start for start, end in pairwise(bounds)]
    first = lengths[0]
    alike = first > 0 and all(length == first for length in lengths[:-1]) and 0 < lengths[-1] <= first
    return first if alike else None


def segments(bounds: Sequence[int], device: torch.device) -> Iterator[Segments]:
    """The segments by size, the shortest first. Empty segments are in none."""
    length = bounds[-1]
    sizes: dict[int, list[tuple[int, int]]] = {}
    for start, end in pairwise(bounds):
        if start < end:
            sizes.setdefault((end - start - 1).bit_length(), []).append((start, end))
    for _, members in sorted(sizes.items()):
        longest = max(end - start for start, end in members)
        size = max(_LEAST_SLOT, -(-longest // _LEAST_SLOT) * _LEAST_SLOT)
        start_N1, end_N1 = torch.tensor(members).t()[..., None]
        source_NS = start_N1 + torch.arange(size)
        inside_NS = source_NS < end_N1
        cells = inside_NS.flatten().nonzero()[:, 0]
        positions = source_NS.flatten()[cells]
        source_NS = torch.where(inside_NS, source_NS, length)
        yield Segments(size, *(index.to(device) for index in (source_NS, positions, cells)))
