"""The definition of the short causal convolution. B batch, C channels, L positions, T taps."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

__all__ = ["short_conv_reference"]


def short_conv_reference(u_BCL: Tensor, weight_CT: Tensor, bias_C: Tensor | None) -> Tensor:
    """``y[t] = bias + sum_j weight[j] u[t - (T - 1) + j]`` in fp64."""
    length, taps = u_BCL.shape[2], weight_CT.shape[1]
    padded = pad(u_BCL.double(), (taps - 1, 0))
    y_BCL = torch.zeros_like(u_BCL, dtype=torch.float64)
    for tap in range(taps):
        y_BCL = y_BCL + weight_CT[:, tap, None].double() * padded[..., tap : tap + length]
    return y_BCL if bias_C is None else y_BCL + bias_C.double()[:, None]
