"""The roofline of this machine's CPU: the fastest matrix product and copy of memory that torch reaches here."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch

from ragyena.bench.figures import Figure, seconds
from ragyena.ops.linear import onednn_unavailable

__all__ = ["roofline", "share_of_peak"]

_SIZE = 2048  # of the square matrices: large enough that a product is bound by arithmetic
_COPIED = 1 << 28  # bytes, far more than caches hold
_TIMES = 4


def roofline(dtype: torch.dtype) -> list[Figure]:
    """The peak rate of matrix products in ``dtype`` and the bandwidth of memory; the best of a few."""
    name = str(dtype).removeprefix("torch.")
    bandwidth = 2 * _COPIED / _copy_seconds()
    return [
        Figure(f"roofline: matrix products in {name}", peak_flops(dtype) / 1e9, "GFLOP/s", samples=_TIMES),
        Figure("roofline: memory, read and written", bandwidth / 1e9, "GB/s", samples=_TIMES),
    ]


def share_of_peak(name: str, flops: float, taken: float, dtype: torch.dtype) -> Figure:
    """The share, in percent, of the peak rate that ``flops`` operations in ``taken`` seconds reach."""
    return Figure(f"  {name}: share of the peak of products", 100 * flops / taken / peak_flops(dtype), "%")


@functools.cache
def peak_flops(dtype: torch.dtype) -> float:
    """Operations a second of a large matrix product, weights laid out beforehand as the reader's are."""
    a, b = (torch.ones(_SIZE, _SIZE, dtype=dtype) for _ in range(2))
    if onednn_unavailable(dtype) is None:
        laid_out = torch.ops.mkldnn._reorder_linear_weight(b, _SIZE)
        best = _best(lambda: torch.ops.mkldnn._linear_pointwise(a, laid_out, None, "none", [], ""))
    else:
        best = _best(lambda: a @ b)
    return 2.0 * _SIZE**3 / best


@functools.cache
def _copy_seconds() -> float:
    source, target = (torch.ones(_COPIED, dtype=torch.uint8) for _ in range(2))
    return _best(lambda: target.copy_(source))


def _best(work: Callable[[], object]) -> float:
    work()
    return min(seconds(work) for _ in range(_TIMES))
