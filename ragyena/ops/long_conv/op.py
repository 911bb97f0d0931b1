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

from ragyena.ops.arguments import check_conv
from ragyena.ops.backends import choose_backend
from ragyena.ops.custom_op import refuse_forward_mode
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
    """``gate_out * (filter * (gate_in * u) + skip * (gate_in * u))``, where ``filter *`` is a convolution.

    Args:
        u_BDL: the input, [batch, channels, length] with length at least 1. Any strides; fp16, bf16, fp32 or fp64.
        filter_DK: a filter a channel, of any number of taps: lags 0 .. K - 1 if causal, -(K // 2) .. K // 2 with K odd
            if two-sided. Usually fp32, whatever the type of the input.
        direction: ``causal`` or ``two_sided``.
        skip_D: a weight a channel of the gated input itself.
        gate_in_BDL: multiplies the input.
        gate_out_BDL: multiplies the output.
        backend: ``auto``, or one of ``BACKENDS``, which is used or refused.

    Returns: [B, D, L] of the type of ``u``, differentiable in every argument, by ``direct`` and ``weighted_fft`` twice.

    Raises:
        ValueError: a shape, a device or ``direction`` is wrong.
        TypeError: an argument is not of floating point, or of eight bits.
        NotImplementedError: a derivative in forward mode, which ``direct`` alone has.
        MissingDependencyError: the backend cannot run here.

    Example:
        >>> import torch
        >>> from ragyena.ops import long_conv
        >>> u_BDL = torch.tensor([[[1.0, 0.0, 0.0, 2.0]]])
        >>> filter_DK = torch.tensor([[1.0, 0.5, 0.25]])  # weights of the present, the last and the second last input
        >>> long_conv(u_BDL, filter_DK, direction="causal")
        tensor([[[1.0000, 0.5000, 0.2500, 2.0000]]])
    """
    _check(u_BDL, filter_DK, direction, skip_D, gate_in_BDL, gate_out_BDL)
    causal, length = direction == "causal", u_BDL.shape[2]
    chosen = _chosen(backend, u_BDL, filter_DK.shape[1], causal)
    if u_BDL.numel() == 0:
        return _of_nothing(u_BDL, filter_DK, skip_D, gate_in_BDL, gate_out_BDL)
    if chosen != "direct":
        refuse_forward_mode(u_BDL, filter_DK, skip_D, gate_in_BDL, gate_out_BDL)
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
    if u_BDL.numel() == 0:
        y_BDL = _of_nothing(u_BDL, filter_DK, skip_D, gate_in_BDL, gate_out_BDL)
        return y_BDL, fft.gated(u_BDL, None).new_empty(*u_BDL.shape[:2], history)
    p_BDL = fft.gated(u_BDL, gate_in_BDL)
    full = fft.convolve(p_BDL, filter_DK.to(p_BDL.dtype), causal=True, outputs=length + history)
    y_BDL = fft.finish(full[..., :length], p_BDL, skip_D, gate_out_BDL).to(u_BDL.dtype)
    return y_BDL, full[..., length:].contiguous()


def _of_nothing(
    u_BDL: Tensor,
    filter_DK: Tensor,
    skip_D: Tensor | None,
    gate_in_BDL: Tensor | None,
    gate_out_BDL: Tensor | None,
) -> Tensor:
    """The convolution of no sequences or no channels, whose gradients are zero; libraries refuse to transform it."""
    p_BDL = fft.gated(u_BDL, gate_in_BDL)
    return fft.finish(p_BDL * filter_DK.sum(1)[:, None], p_BDL, skip_D, gate_out_BDL).to(u_BDL.dtype)


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
    if direction not in ("causal", "two_sided"):
        raise ValueError(f"direction is {direction!r}; it must be 'causal' or 'two_sided'")
    gates = {"skip_D": skip_D, "gate_in_BDL": gate_in_BDL, "gate_out_BDL": gate_out_BDL}
    check_conv(u_BDL, filter_DK, two_sided=direction == "two_sided", **gates)
