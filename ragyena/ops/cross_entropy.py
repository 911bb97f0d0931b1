"""Cross-entropy of a linear layer, chunk by chunk, with gradients in the forward pass: the logits never exist at once.

Shape suffixes: N positions, D channels, V classes. At 64K positions and 30K classes fp32 logits alone take 8 GB, and
several passes over them as much time as a layer.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

__all__ = ["linear_cross_entropy"]

_CHUNK = 8192  # positions; keeps a large GPU busy with half a gigabyte of bf16 logits


def linear_cross_entropy(
    x_ND: Tensor, weight_VD: Tensor, target_N: Tensor, *, chunk: int = _CHUNK, compiled: bool = False
) -> Tensor:
    """Mean over positions of -log softmax(x weight^T)[target], fp32; positions with a negative target do not count.

    Products are in the type of ``x``, softmax and sums in fp32; the weight's gradient adds up in the weight's own
    type. ``compiled`` runs the softmax through ``torch.compile``. Differentiable once, in ``x`` and ``weight``.
    """
    step = _compiled_step() if compiled else _softmax_step
    if torch.is_grad_enabled() and (x_ND.requires_grad or weight_VD.requires_grad):
        return cast(Tensor, _LinearCrossEntropy.apply(x_ND, weight_VD, target_N, chunk, step))  # type: ignore[no-untyped-call]
    weight, scale, total = weight_VD.to(x_ND.dtype), _scale(x_ND, target_N), _zero(x_ND)
    for x, target in zip(torch.split(x_ND, chunk), torch.split(target_N, chunk)):
        total = total + step(x @ weight.t(), target, scale)[0]
    return total


def _zero(x_ND: Tensor) -> Tensor:
    return torch.zeros((), device=x_ND.device, dtype=torch.promote_types(x_ND.dtype, torch.float32))


def _scale(x_ND: Tensor, target_N: Tensor) -> Tensor:
    """1 / the number of positions that count."""
    return (_zero(x_ND) + 1.0) / (target_N >= 0).sum().clamp(min=1)


def _softmax_step(logits_NV: Tensor, target_N: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """A chunk's part of the loss, and the gradient of its logits."""
    logits = logits_NV.to(torch.promote_types(logits_NV.dtype, torch.float32))
    logsum_N1 = logits.logsumexp(1, keepdim=True)
    weight_N1 = (target_N >= 0)[:, None] * scale
    picked_N1 = logits.gather(1, target_N.clamp(min=0)[:, None])
    loss = ((logsum_N1 - picked_N1) * weight_N1).sum()
    is_target = torch.arange(logits.shape[1], device=logits.device) == target_N[:, None]
    gradient = ((logits - logsum_N1).exp() - is_target.to(logits.dtype)) * weight_N1
    return loss, gradient.to(logits_NV.dtype)


@functools.cache
def _compiled_step() -> Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]:
    return torch.compile(_softmax_step, dynamic=False)


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x_ND: Tensor,
        weight_VD: Tensor,
        target_N: Tensor,
        chunk: int,
        step: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]],
    ) -> Tensor:
        weight, scale = weight_VD.to(x_ND.dtype), _scale(x_ND, target_N)
        total = _zero(x_ND)
        dx, dweight = torch.empty_like(x_ND), torch.zeros_like(weight_VD)
        for x, target, into in zip(*(torch.split(t, chunk) for t in (x_ND, target_N, dx))):
            loss, dlogits = step(x @ weight.t(), target, scale)
            total += loss
            torch.mm(dlogits, weight, out=into)
            dweight += dlogits.t() @ x
        ctx.save_for_backward(dx, dweight)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        dx, dweight = ctx.saved_tensors
        return dx * gradients[0].to(dx.dtype), dweight * gradients[0], None, None, None
