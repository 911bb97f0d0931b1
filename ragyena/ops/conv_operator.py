"""What the long convolution's custom operators have in common, whatever kernels they run: fakes and gradients.

Shape suffixes: B batch, D channels, L positions, K filter taps.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["gradient_like", "register"]


def gradient_like(tensor: Tensor | None, u_BDL: Tensor) -> Tensor:
    """Room for a gradient; empty where there is no argument, for an operator's outputs cannot be absent."""
    return u_BDL.new_empty(0) if tensor is None else torch.empty_like(tensor, memory_format=torch.contiguous_format)


def register(forward: Any, backward: Any) -> None:
    """Makes a custom operator differentiable by another, and gives both their shapes under ``torch.compile``.

    ``forward(u_BDL, filter_DK, causal, skip_D, gate_in_BDL, gate_out_BDL)`` makes a new [B, D, L] in the type of ``u``:
    ``gate_out * (filter * p + skip * p)``, ``p = gate_in * u``. ``backward`` takes its gradient before the same
    arguments and makes those of u, filter, skip, gate_in and gate_out, empty where there is no such argument. Only the
    arguments are kept for the backward pass.
    """
    forward.register_fake(_forward_fake)
    backward.register_fake(_backward_fake)

    def gradient(ctx: Any, dy_BDL: Tensor) -> tuple[Tensor | None, ...]:
        u_BDL, filter_DK, skip_D, gate_in_BDL, gate_out_BDL = ctx.saved_tensors
        # Where what follows lays channels side by side, dy comes transposed: turned here, a compiler sees and tiles it.
        dy_BDL = dy_BDL.contiguous()
        du, dfilter, *rest = backward(dy_BDL, u_BDL, filter_DK, ctx.causal, skip_D, gate_in_BDL, gate_out_BDL)
        optional = (skip_D, gate_in_BDL, gate_out_BDL)
        given = (None if tensor is None else found for tensor, found in zip(optional, rest))
        return du, dfilter, None, *given

    forward.register_autograd(gradient, setup_context=_save)


def _forward_fake(
    u_BDL: Tensor,
    filter_DK: Tensor,
    causal: bool,
    skip_D: Tensor | None,
    gate_in_BDL: Tensor | None,
    gate_out_BDL: Tensor | None,
) -> Tensor:
    return torch.empty_like(u_BDL, memory_format=torch.contiguous_format)


def _backward_fake(
    dy_BDL: Tensor,
    u_BDL: Tensor,
    filter_DK: Tensor,
    causal: bool,
    skip_D: Tensor | None,
    gate_in_BDL: Tensor | None,
    gate_out_BDL: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    return (
        gradient_like(u_BDL, u_BDL),
        gradient_like(filter_DK, u_BDL),
        gradient_like(skip_D, u_BDL),
        gradient_like(gate_in_BDL, u_BDL),
        gradient_like(gate_out_BDL, u_BDL),
    )


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    u_BDL, filter_DK, causal, skip_D, gate_in_BDL, gate_out_BDL = inputs
    ctx.save_for_backward(u_BDL, filter_DK, skip_D, gate_in_BDL, gate_out_BDL)
    ctx.causal = causal
