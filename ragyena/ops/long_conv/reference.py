"""The definition of the gated long convolution. B batch, D channels, L positions, K filter taps."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["long_conv_reference"]


def long_conv_reference(
    u_BDL: Tensor,
    filter_DK: Tensor,
    *,
    direction: str,
    skip_D: Tensor | None = None,
    gate_in_BDL: Tensor | None = None,
    gate_out_BDL: Tensor | None = None,
) -> Tensor:
    """``gate_out * (filter * p + skip * p)``, ``p = gate_in * u``, by one zero-padded transform in fp64.

    ``causal`` filters hold lags 0 .. K - 1, ``two_sided`` ones lags -(K // 2) .. K // 2.
    """
    length, taps = u_BDL.shape[2], filter_DK.shape[1]
    first = 0 if direction == "causal" else taps // 2
    size = 1 << (length + taps - 2).bit_length()
    p_BDL = u_BDL.double() if gate_in_BDL is None else u_BDL.double() * gate_in_BDL.double()
    product = torch.fft.rfft(p_BDL, n=size) * torch.fft.rfft(filter_DK.double(), n=size)
    y_BDL: Tensor = torch.fft.irfft(product, n=size)[..., first : first + length]
    if skip_D is not None:
        y_BDL = y_BDL + skip_D.double()[:, None] * p_BDL
    return y_BDL if gate_out_BDL is None else y_BDL * gate_out_BDL.double()
