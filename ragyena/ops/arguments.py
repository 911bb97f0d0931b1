"""Checks of the arguments that the convolutions share.

Shape suffixes: B batch, D channels, L positions, K filter taps.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["TYPES", "check_conv", "check_sequence"]

TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def check_conv(
    u_BDL: Tensor,
    filter_DK: Tensor,
    *,
    two_sided: bool,
    skip_D: Tensor | None = None,
    gate_in_BDL: Tensor | None = None,
    gate_out_BDL: Tensor | None = None,
) -> None:
    """Raises ValueError for wrong shapes and devices, TypeError for arguments that are not fp16, bf16, fp32 or fp64."""
    if u_BDL.ndim != 3 or u_BDL.shape[2] == 0:
        raise ValueError(f"u is {tuple(u_BDL.shape)}; it must be [batch, channels, length] with length at least 1")
    channels, full = u_BDL.shape[1], tuple(u_BDL.shape)
    if filter_DK.ndim != 2 or filter_DK.shape[0] != channels or filter_DK.shape[1] == 0:
        raise ValueError(f"filter is {tuple(filter_DK.shape)}; it must be [{channels}, taps] with at least one tap")
    if two_sided and filter_DK.shape[1] % 2 == 0:
        raise ValueError(f"a two-sided filter has an odd number of taps, lag 0 in the middle; got {filter_DK.shape[1]}")
    for name, tensor, shape in (
        ("u", u_BDL, full),
        ("filter", filter_DK, tuple(filter_DK.shape)),
        ("skip", skip_D, (channels,)),
        ("gate_in", gate_in_BDL, full),
        ("gate_out", gate_out_BDL, full),
    ):
        if tensor is None:
            continue
        if tensor.shape != shape:
            raise ValueError(f"{name} is {tuple(tensor.shape)}; it must be {list(shape)}")
        if tensor.dtype not in TYPES:
            raise TypeError(f"{name} is {tensor.dtype}; it must be fp16, bf16, fp32 or fp64")
        if tensor.device != u_BDL.device:
            raise ValueError(f"{name} is on {tensor.device} and u on {u_BDL.device}; move them to one device")


def check_sequence(x_BLD: Tensor, width: int) -> None:
    """Raises ValueError for another shape than [batch, length, width] with length at least 1, TypeError for other types
    than fp16, bf16, fp32 and fp64."""
    if x_BLD.ndim != 3 or x_BLD.shape[1] == 0 or x_BLD.shape[2] != width:
        raise ValueError(f"x is {tuple(x_BLD.shape)}; it must be [batch, length, {width}] with length at least 1")
    if x_BLD.dtype not in TYPES:
        raise TypeError(f"x is {x_BLD.dtype}; it must be fp16, bf16, fp32 or fp64")
