"""The definition of every operation, in plain PyTorch and fp64.

Shape suffixes: B batch, C or D channels, K filter taps or lags, L positions, N slots (or positions of a batch), S
positions of a slot, T taps, V classes.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad

__all__ = [
    "causal_gates_reference",
    "linear_cross_entropy_reference",
    "long_conv_reference",
    "passage_conv_reference",
    "short_conv_reference",
    "short_gates_reference",
    "slot_conv_reference",
]


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


def slot_conv_reference(u_NSC: Tensor, filter_CK: Tensor) -> Tensor:
    """``y[n, t, c] = sum_s filter[c, t - s] u[n, s, c]`` in fp64, lag 0 in the middle of the filter."""
    return long_conv_reference(u_NSC.transpose(1, 2), filter_CK, direction="two_sided").transpose(1, 2)


def passage_conv_reference(
    u_BDL: Tensor,
    filter_DK: Tensor,
    *,
    slot_tokens: int | None = None,
    cu_seqlens: Tensor | None = None,
    gate_in_BDL: Tensor | None = None,
    gate_out_BDL: Tensor | None = None,
) -> Tensor:
    """``gate_out * (filter * (gate_in * u))`` in fp64, each segment by itself: every ``slot_tokens`` positions, or
    between neighbours of ``cu_seqlens``."""
    length = u_BDL.shape[2]
    given: list[int] = [] if cu_seqlens is None else cu_seqlens.tolist()
    bounds = [*range(0, length, slot_tokens), length] if slot_tokens else given
    parts = [
        long_conv_reference(
            u_BDL[..., start:end],
            filter_DK,
            direction="two_sided",
            gate_in_BDL=None if gate_in_BDL is None else gate_in_BDL[..., start:end],
            gate_out_BDL=None if gate_out_BDL is None else gate_out_BDL[..., start:end],
        )
        for start, end in pairwise(bounds)
        if start < end
    ]
    return torch.cat(parts, 2)


def short_conv_reference(u_BCL: Tensor, weight_CT: Tensor, bias_C: Tensor | None) -> Tensor:
    """``y[t] = bias + sum_j weight[j] u[t - (T - 1) + j]`` in fp64."""
    length, taps = u_BCL.shape[2], weight_CT.shape[1]
    padded = pad(u_BCL.double(), (taps - 1, 0))
    y_BCL = torch.zeros_like(u_BCL, dtype=torch.float64)
    for tap in range(taps):
        y_BCL = y_BCL + weight_CT[:, tap, None].double() * padded[..., tap : tap + length]
    return y_BCL if bias_C is None else y_BCL + bias_C.double()[:, None]


def short_gates_reference(projected_NSC: Tensor, taps_3C: Tensor, mask_NS: Tensor) -> tuple[Tensor, Tensor]:
    """``gate_out`` and ``gate_in * value`` inside slots in fp64, [1, D, N S] each."""
    mask_N1S = mask_NS[:, None].double()
    heard_NCS = projected_NSC.double().transpose(1, 2) * mask_N1S
    # A causal convolution of one position more, whose output at t + 1 is centred at t.
    z_NCS = short_conv_reference(pad(heard_NCS, (0, 1)), taps_3C.t(), None)[..., 1:]
    gate_in, gate_out, value = z_NCS.chunk(3, 1)
    return _side_by_side(gate_out), _side_by_side(gate_in * value * mask_N1S)


def causal_gates_reference(projected_BLC: Tensor, weight_CT: Tensor, bias_C: Tensor | None) -> tuple[Tensor, Tensor]:
    """``x0`` and ``x1 * v`` in fp64, [B, D, L] each."""
    gate_out, gate_in, value = short_conv_reference(projected_BLC.transpose(1, 2), weight_CT, bias_C).chunk(3, 1)
    return gate_out, gate_in * value


def _side_by_side(x_NDS: Tensor) -> Tensor:
    """[N, D, S] -> [1, D, N S]."""
    return x_NDS.transpose(0, 1).flatten(1)[None]


def linear_cross_entropy_reference(x_ND: Tensor, weight_VD: Tensor, target_N: Tensor) -> Tensor:
    """Mean of -log softmax(x weight^T)[target] in fp64 over positions whose target is not negative."""
    return cross_entropy(x_ND.double() @ weight_VD.double().t(), target_N.clamp(min=-1), ignore_index=-1)
