"""Exact long convolution with gates and a skip: ``y = gate_out * (h * p + skip * p)`` where ``p = gate_in * u``.

Shape suffixes: B batch, D channels, L positions, K filter taps.

``causal`` filters hold lags 0 .. K - 1, ``two_sided`` ones lags -(K // 2) .. K // 2. The convolution is linear, never
circular, and K may be shorter or longer than L. Inputs may be fp16, bf16, fp32 or fp64; the result has the type of
``u``. Only the inputs are kept for the backward pass, which transforms them again.

Backends: ``fft`` (``torch.fft``, any length), ``direct`` (depthwise torch convolution, for short filters),
``weighted_fft`` (causal, for ``torch.compile``; more memory, less time) and ``triton`` (CUDA, up to 262,144 positions;
half precision with fp16 operands and fp32 sums). ``auto`` is ``triton`` for half precision on CUDA.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ragyena.ops.backends import choose_backend
from ragyena.ops.long_conv import fft, triton_op

__all__ = ["BACKENDS", "Direction", "long_conv", "long_conv_with_tail"]

Direction = Literal["causal", "two_sided"]
BACKENDS = ("fft", "direct", "weighted_fft", "triton")

_DIRECT_TAPS = 16  # up to so many taps the direct sum is faster than two transforms of the input


def long_conv(
    u_BDL: Tensor,
    filter_DK: Tensor,
    *,
    direction: Direction,
    skip_D: Tensor | None = None,
    gate_in_BDL: Tensor | None = None,
    gate_out_BDL: Tensor | None = None,
    backend: str = "auto",
) -> Tensor:
    """``gate_out * (filter * (gate_in * u) + skip * (gate_in * u))`` as [B, D, L], differentiable in every argument.

    Raises ValueError for wrong shapes, TypeError for integer inputs, MissingDependencyError for an unavailable backend.
    """
    _check(u_BDL, filter_DK, direction, skip_D, gate_in_BDL, gate_out_BDL)
    causal, length = direction == "causal", u_BDL.shape[2]
    chosen = _chosen(backend, u_BDL, filter_DK.shape[1], causal)
    if chosen in ("triton", "fft"):
        operator = triton_op.conv if chosen == "triton" else fft.fft_conv
        y_BDL: Tensor = operator(u_BDL, filter_DK, causal, skip_D, gate_in_BDL, gate_out_BDL)
        return y_BDL
    p_BDL = fft.gated(u_BDL, gate_in_BDL)
    filter_DK = filter_DK.to(p_BDL.dtype)
    if chosen == "direct":
        c_BDL = fft.direct_conv(p_BDL, filter_DK, causal=causal)
    else:
        c_BDL = fft.weighted_fft_conv(p_BDL, filter_DK, size=fft.fft_size(length, u_BDL.device.type))
    return fft.finish(c_BDL, p_BDL, skip_D, gate_out_BDL).to(u_BDL.dtype)


def long_conv_with_tail(
    u_BDL: Tensor,
    filter_DK: Tensor,
    *,
    history: int,
    skip_D: Tensor | None = None,
    gate_in_BDL: Tensor | None = None,
    gate_out_BDL: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The causal ``long_conv`` and the contribution of the same inputs to the next ``history`` positions, by ``fft``.

    The second result, the state that decoding starts from, is [B, D, history] in fp32 (fp64 for fp64):
    ``filter * (gate_in * u)`` at positions L .. L + history - 1, before skip and outer gate, which depend on the inputs
    of those positions. Raises as ``long_conv``, and ValueError for a negative ``history``.
    """
    _check(u_BDL, filter_DK, "causal", skip_D, gate_in_BDL, gate_out_BDL)
    if history < 0:
        raise ValueError(f"history is {history}; it counts positions")
    length = u_BDL.shape[2]
    p_BDL = fft.gated(u_BDL, gate_in_BDL)
    full = fft.convolve(p_BDL, filter_DK.to(p_BDL.dtype), causal=True, outputs=length + history)
    y_BDL = fft.finish(full[..., :length], p_BDL, skip_D, gate_out_BDL).to(u_BDL.dtype)
    return y_BDL, full[..., length:].contiguous()


def _chosen(requested: str, u_BDL: Tensor, taps: int, causal: bool) -> str:
    if requested == "auto" and taps <= _DIRECT_TAPS:
        return "direct"
    unavailable = {
        "weighted_fft": None if causal else "it is causal only",
        "triton": triton_op.triton_unavailable(u_BDL, u_BDL.shape[2]),
    }
    default = "weighted_fft" if torch.compiler.is_compiling() and causal else "fft"
    return choose_backend("long_conv", requested, BACKENDS, default, unavailable, x=u_BDL)


def _check(
    u_BDL: Tensor,
    filter_DK: Tensor,
    direction: Direction,
    skip_D: Tensor | None,
    gate_in_BDL: Tensor | None,
    gate_out_BDL: Tensor | None,
) -> None:
    if u_BDL.ndim != 3 or u_BDL.shape[2] == 0:
        raise ValueError(f"u is {tuple(u_BDL.shape)}; it must be [batch, channels, length] with length at least 1")
    channels = u_BDL.shape[1]
    if filter_DK.ndim != 2 or filter_DK.shape[0] != channels or filter_DK.shape[1] == 0:
        raise ValueError(f"filter is {tuple(filter_DK.shape)}; it must be [{channels}, taps] with at least one tap")
    if direction not in ("causal", "two_sided"):
        raise ValueError(f"direction is {direction!r}; it must be 'causal' or 'two_sided'")
    if direction == "two_sided" and filter_DK.shape[1] % 2 == 0:
        raise ValueError(f"a two-sided filter has an odd number of taps, lag 0 in the middle; got {filter_DK.shape[1]}")
    full = tuple(u_BDL.shape)
    for name, tensor, shape in (
        ("u", u_BDL, full),
        ("filter", filter_DK, tuple(filter_DK.shape)),
        ("skip", skip_D, (channels,)),
        ("gate_in", gate_in_BDL, full),
        ("gate_out", gate_out_BDL, full),
    ):
        if tensor is not None and tensor.shape != shape:
            raise ValueError(f"{name} is {tuple(tensor.shape)}; it must be {list(shape)}")
        if tensor is not None and not tensor.is_floating_point():
            raise TypeError(f"{name} is {tensor.dtype}; it must be a real floating point tensor")
