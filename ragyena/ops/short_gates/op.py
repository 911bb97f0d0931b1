"""Short depthwise convolution of a Hyena mixer's projection and the gates it makes, in one pass.

Shape suffixes: N slots (padded passages), S positions of a slot, D channels, C = 3 D projected channels, B sequences,
L positions, T taps.

``short_gates`` is the reader's: taps at lags 1, 0, -1 inside slots, thirds gate_in, gate_out and value; padding enters
as zero. ``causal_gates`` is the published operator's (Poli et al. 2023, section 3): causal taps and a bias, thirds x0,
x1 and v. Both return ``gate_out`` and ``gate_in * value`` with a channel's positions contiguous, the layout of
``passage_conv`` and ``long_conv``.

Backends: ``torch``, and ``triton``, which reads the projection once, sums in fp32 and transposes on chip.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ragyena.ops.backends import choose_backend, triton_unavailable
from ragyena.ops.custom_op import refuse_forward_mode
from ragyena.ops.short_conv import short_conv
from ragyena.ops.short_gates import triton_op

__all__ = [
    "GatesBackend",
    "causal_gates",
    "causal_gates_backend",
    "short_gates",
    "short_gates_by_position",
    "short_gates_of_rows",
]

GatesBackend = Literal["auto", "torch", "triton"]

_TAPS = 3  # of the kernels


def short_gates(
    projected_NSC: Tensor, taps_3C: Tensor, mask_NS: Tensor, *, backend: GatesBackend = "auto"
) -> tuple[Tensor, Tensor]:
    """``gate_out`` and ``gate_in * value`` inside slots, [1, D, N S] each, contiguous, in the projection's type.

    projected_NSC: gate_in, gate_out and value, fp16, bf16 or fp32 (the torch backend takes any). taps_3C: at lags 1,
    0, -1. mask_NS: bool, False for padding, which enters as zero and whose product is zero. Differentiable in
    projection and taps. Raises ValueError for wrong shapes, MissingDependencyError for an unavailable backend.
    """
    _check(projected_NSC, taps_3C)
    if mask_NS.shape != projected_NSC.shape[:2] or mask_NS.dtype != torch.bool:
        raise ValueError(
            f"mask is {tuple(mask_NS.shape)} of {mask_NS.dtype}; it must be {tuple(projected_NSC.shape[:2])} of bool"
        )
    if _chosen("short_gates", backend, projected_NSC) == "triton":
        refuse_forward_mode(projected_NSC, taps_3C)
        gates: tuple[Tensor, Tensor] = triton_op.gates(projected_NSC, taps_3C, None, mask_NS, False)
        return gates
    gate_out, gated = short_gates_by_position(projected_NSC, taps_3C, mask_NS)
    return _channel_major(gate_out), _channel_major(gated)


def short_gates_by_position(projected_NSC: Tensor, taps_3C: Tensor, mask_NS: Tensor) -> tuple[Tensor, Tensor]:
    """``short_gates`` in torch operations, as [N, S, D] each."""
    taps = taps_3C.to(projected_NSC.dtype)
    mask = mask_NS[..., None].to(projected_NSC.dtype)
    projected = projected_NSC * mask
    z = projected * taps[1]
    z[:, 1:].addcmul_(projected[:, :-1], taps[0])
    z[:, :-1].addcmul_(projected[:, 1:], taps[2])
    gate_in, gate_out, value = z.chunk(3, -1)
    return gate_out, gate_in * value * mask


def short_gates_of_rows(projected_TC: Tensor, taps_3C: Tensor) -> tuple[Tensor, Tensor]:
    """``short_gates`` for inference, as [T, D] each, of passages one after another with zero rows between
    them, in which the product is not zero."""
    taps = taps_3C.to(projected_TC.dtype)
    z = projected_TC * taps[1]
    z[1:].addcmul_(projected_TC[:-1], taps[0])
    z[:-1].addcmul_(projected_TC[1:], taps[2])
    gate_in, gate_out, value = z.chunk(3, -1)
    return gate_out, gate_in * value


def causal_gates(
    projected_BLC: Tensor, weight_CT: Tensor, bias_C: Tensor | None, *, backend: GatesBackend = "auto"
) -> tuple[Tensor, Tensor]:
    """``x0`` and ``x1 * v``, [B, D, L] each, after the causal short convolution of ``x0``, ``x1`` and ``v``.

    weight_CT as in ``short_conv``, its last tap at lag 0; the Triton backend takes three taps. Differentiable in every
    argument. Raises as ``short_gates``.
    """
    _check(projected_BLC, weight_CT.t(), taps=weight_CT.shape[1])
    if causal_gates_backend(projected_BLC, weight_CT.shape[1], backend) == "triton":
        taps_3C = weight_CT.t().contiguous()
        refuse_forward_mode(projected_BLC, taps_3C, bias_C)
        gates: tuple[Tensor, Tensor] = triton_op.gates(projected_BLC, taps_3C, bias_C, None, True)
        return gates
    gate_out, gate_in, value = short_conv(projected_BLC.transpose(1, 2), weight_CT, bias_C).chunk(3, 1)
    return gate_out, gate_in * value


def causal_gates_backend(projected: Tensor, taps: int, requested: GatesBackend) -> str:
    """The backend of ``causal_gates``, for a mixer to choose between this op and its parts."""
    return _chosen("causal_gates", requested, projected, taps)


def _chosen(operation: str, requested: GatesBackend, projected: Tensor, taps: int = _TAPS) -> str:
    reason = triton_unavailable(projected) if taps == _TAPS else f"it takes {_TAPS} taps, not {taps}"
    return choose_backend(operation, requested, ("torch", "triton"), "torch", {"triton": reason}, x=projected)


def _channel_major(x_NSD: Tensor) -> Tensor:
    """[N, S, D] -> [1, D, N S]."""
    return x_NSD.permute(2, 0, 1).reshape(1, x_NSD.shape[2], -1).contiguous()


def _check(projected: Tensor, taps_TC: Tensor, *, taps: int = _TAPS) -> None:
    if projected.ndim != 3 or projected.shape[2] % 3:
        raise ValueError(f"projection is {tuple(projected.shape)}; it must be [N, S, three thirds of channels]")
    if taps_TC.shape != (taps, projected.shape[2]):
        raise ValueError(f"taps are {tuple(taps_TC.shape)} for {taps} of each of {projected.shape[2]} channels")
