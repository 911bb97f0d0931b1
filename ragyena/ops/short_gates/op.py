"""Short depthwise convolution of a projection and the gates it makes: what stands between a Hyena mixer's projection
and its long convolution, in one pass.

Shape suffixes: N slots, S positions of a slot, D channels, C = 3 D projected channels, L = N S, B sequences, T taps.

Two ops, of the two mixers. ``short_gates`` is the reader's: taps at lags 1, 0, -1 inside slots, thirds gate_in x1,
gate_out x0 and value v, padding unheard. ``causal_gates`` is the published operator's (Poli et al. 2023, section 3):
causal taps and a bias, thirds x0, x1 and v. Both give ``gate_out`` and ``gate_in * value`` with a channel's positions
side by side, as convolutions take them (``gated_slot_conv``, ``long_conv``).

Backends: ``torch``, and ``triton`` (``ragyena.ops.short_gates.triton_op``), which reads the projection once, sums in
fp32 and transposes on chip; outputs have the projection's type.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ragyena.ops.backends import choose_backend, prefers_triton, triton_refusal
from ragyena.ops.short_conv.op import short_conv, short_conv_reference
from ragyena.ops.short_gates import triton_op as short_gates_triton

__all__ = [
    "GatesBackend",
    "causal_gates",
    "causal_gates_backend",
    "causal_gates_reference",
    "short_gates",
    "short_gates_by_position",
    "short_gates_reference",
]

GatesBackend = Literal["auto", "torch", "triton"]

_TAPS = 3  # what the kernels are written for


def short_gates(
    projected_NSC: Tensor, taps_3C: Tensor, mask_NS: Tensor, *, backend: GatesBackend = "auto"
) -> tuple[Tensor, Tensor]:
    """``gate_out`` and ``gate_in * value`` inside slots, [1, D, N S] each, contiguous, in the projection's type.

    projected_NSC: gate_in, gate_out and value, fp16, bf16 or fp32 (the torch backend takes any). taps_3C: at lags 1,
    0, -1. mask_NS: bool, False for padding, which no tap hears and whose product is zero. Differentiable in projection
    and taps. Raises ValueError for shapes that do not fit, MissingDependencyError for a backend that is not there.
    """
    _check(projected_NSC, taps_3C)
    if mask_NS.shape != projected_NSC.shape[:2] or mask_NS.dtype != torch.bool:
        raise ValueError(
            f"mask is {tuple(mask_NS.shape)} of {mask_NS.dtype}; it must be {tuple(projected_NSC.shape[:2])} of bool"
        )
    if _chosen("short_gates", backend, projected_NSC) == "triton":
        made: tuple[Tensor, Tensor] = short_gates_triton.gates(projected_NSC, taps_3C, None, mask_NS, False)
        return made
    gate_out, gated = short_gates_by_position(projected_NSC, taps_3C, mask_NS)
    return _channel_major(gate_out), _channel_major(gated)


def short_gates_by_position(projected_NSC: Tensor, taps_3C: Tensor, mask_NS: Tensor) -> tuple[Tensor, Tensor]:
    """``short_gates`` in torch operations, with a position's channels side by side: [N, S, D] each."""
    taps = taps_3C.to(projected_NSC.dtype)
    mask = mask_NS[..., None].to(projected_NSC.dtype)
    projected = projected_NSC * mask  # no tap hears padding
    z = projected * taps[1]
    z[:, 1:].addcmul_(projected[:, :-1], taps[0])
    z[:, :-1].addcmul_(projected[:, 1:], taps[2])
    gate_in, gate_out, value = z.chunk(3, -1)
    return gate_out, gate_in * value * mask


def short_gates_reference(projected_NSC: Tensor, taps_3C: Tensor, mask_NS: Tensor) -> tuple[Tensor, Tensor]:
    """The definition in fp64: [1, D, N S] each, a sum over taps."""
    size = projected_NSC.shape[1]
    mask = mask_NS[..., None].double()
    heard = torch.nn.functional.pad(projected_NSC.double() * mask, (0, 0, 1, 1))
    z = sum((heard[:, tap : tap + size] * taps_3C[tap].double() for tap in range(3)), torch.zeros_like(heard[:, 1:-1]))
    gate_in, gate_out, value = z.chunk(3, -1)
    return _channel_major(gate_out), _channel_major(gate_in * value * mask)


def causal_gates(
    projected_BLC: Tensor, weight_CT: Tensor, bias_C: Tensor | None, *, backend: GatesBackend = "auto"
) -> tuple[Tensor, Tensor]:
    """``x0`` and ``x1 * v``, [B, D, L] each, after the causal short convolution of ``x0``, ``x1`` and ``v``.

    projected_BLC as a linear layer leaves it, weight_CT as ``short_conv`` has it, the last tap at the present; the
    Triton backend takes three taps. Differentiable in every argument. Raises as ``short_gates`` does.
    """
    _check(projected_BLC, weight_CT.t(), taps=weight_CT.shape[1])
    if causal_gates_backend(projected_BLC, weight_CT.shape[1], backend) == "triton":
        taps_3C = weight_CT.t().contiguous()
        made: tuple[Tensor, Tensor] = short_gates_triton.gates(projected_BLC, taps_3C, bias_C, None, True)
        return made
    gate_out, gate_in, value = short_conv(projected_BLC.transpose(1, 2), weight_CT, bias_C).chunk(3, 1)
    return gate_out, gate_in * value


def causal_gates_reference(projected_BLC: Tensor, weight_CT: Tensor, bias_C: Tensor | None) -> tuple[Tensor, Tensor]:
    """The definition in fp64."""
    gate_out, gate_in, value = short_conv_reference(projected_BLC.transpose(1, 2), weight_CT, bias_C).chunk(3, 1)
    return gate_out, gate_in * value


def causal_gates_backend(projected: Tensor, taps: int, wish: GatesBackend) -> str:
    """The backend that ``causal_gates`` runs on; a mixer asks before it chooses between this op and its parts."""
    return _chosen("causal_gates", wish, projected, taps)


def _chosen(operation: str, wish: GatesBackend, projected: Tensor, taps: int = _TAPS) -> str:
    if wish == "auto" and not prefers_triton(operation, projected):
        return choose_backend(operation, wish, ("torch",), "torch")
    reason = triton_refusal(projected) if taps == _TAPS else f"it takes {_TAPS} taps, not {taps}"
    available = ("torch",) if reason else ("torch", "triton")
    return choose_backend(operation, wish, available, available[-1], {"triton": reason})


def _channel_major(x_NSD: Tensor) -> Tensor:
    """[N, S, D] -> [1, D, N S]."""
    return x_NSD.permute(2, 0, 1).reshape(1, x_NSD.shape[2], -1).contiguous()


def _check(projected: Tensor, taps_TC: Tensor, *, taps: int = _TAPS) -> None:
    if projected.ndim != 3 or projected.shape[2] % 3:
        raise ValueError(f"projection is {tuple(projected.shape)}; it must be three thirds of channels in three axes")
    if taps_TC.shape != (taps, projected.shape[2]):
        raise ValueError(f"taps are {tuple(taps_TC.shape)} for {taps} of each of {projected.shape[2]} channels")
