"""Short causal depthwise convolution, of a sequence or one position at a time.

Shape suffixes: B batch, C channels, L positions, T taps. ``y[t] = bias + sum_j weight[j] u[t - (T - 1) + j]``: the last
tap is lag 0. The history of a position is the T - 1 inputs before it, zeros where there are none.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["short_conv", "short_conv_history", "short_conv_step"]


def short_conv(u_BCL: Tensor, weight_CT: Tensor, bias_C: Tensor | None) -> Tensor:
    """[B, C, L] in the type of ``u``; weight and bias are cast to it."""
    taps = weight_CT.shape[1]
    bias = None if bias_C is None else bias_C.to(u_BCL.dtype)
    if torch.compiler.is_compiling():
        return _shifted(u_BCL, weight_CT.to(u_BCL.dtype), bias)
    weight = weight_CT.to(u_BCL.dtype)[:, None]
    return functional.conv1d(functional.pad(u_BCL, (taps - 1, 0)), weight, bias, groups=weight_CT.shape[0])


def _shifted(u_BCL: Tensor, weight_CT: Tensor, bias_C: Tensor | None) -> Tensor:
    """A sum over shifts, which a compiler fuses with its neighbours; a library's convolution is not fused, and its
    gradient of the weights is slow."""
    length, taps = u_BCL.shape[2], weight_CT.shape[1]
    y_BCL = u_BCL * weight_CT[:, -1:]
    for lag in range(1, min(taps, length)):
        moved_BCL = functional.pad(u_BCL[..., : length - lag], (lag, 0))
        y_BCL = y_BCL + moved_BCL * weight_CT[:, taps - 1 - lag, None]
    return y_BCL if bias_C is None else y_BCL + bias_C[:, None]


def short_conv_history(u_BCL: Tensor, taps: int) -> Tensor:
    """[B, C, taps - 1]: the history of the position after the last of ``u``."""
    missing = max(0, taps - 1 - u_BCL.shape[2])
    return functional.pad(u_BCL, (missing, 0))[..., missing + u_BCL.shape[2] - (taps - 1) :].clone()


def short_conv_step(
    u_BC: Tensor, history_BCT: Tensor, weight_CT: Tensor, bias_C: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The output [B, C] at one position and the history of the next."""
    window_BCT = torch.cat([history_BCT, u_BC[..., None]], dim=2)
    y_BC = (window_BCT * weight_CT.to(u_BC.dtype)).sum(2)
    return y_BC if bias_C is None else y_BC + bias_C.to(u_BC.dtype), window_BCT[..., 1:]
