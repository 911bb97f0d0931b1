"""The convolution inside slots as a custom operator on Triton kernels, and their launches.

Shape suffixes: B batch, D channels, L positions, K = 2 S - 1 lags. A slot is ``slot_tokens`` neighbouring positions;
the last one of an example may be shorter.
"""

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ragyena.ops import backends
from ragyena.ops.custom_op import contiguous, empty_gradient, kernels, operand_type, operator, pointer

__all__ = ["MAX_SLOT", "SlotPlan", "conv", "slot_plan", "triton_unavailable"]

MAX_SLOT = 512
_KERNELS = "passage_conv.triton_kernels"
# Copies of a filter, each starting one lag later: the widest access, 16 bytes, holds as many half-precision taps.
_COPIES = 8
# At most so many programs share the slots of all channels: several on each of some 130 multiprocessors.
_PROGRAMS = 1056


@dataclass(frozen=True, slots=True)
class SlotPlan:
    """Tiles and launches for slots of at most ``size`` positions."""

    size: int
    """A power of two."""
    out: int
    """Outputs of a slot that one program makes."""
    rows: int
    """Slots of one tile."""
    warps: int
    source: int
    """Inputs of a slot that one program of the filter's gradient takes."""
    target: int
    """Outputs of a slot that one program of the filter's gradient takes."""
    gradient_rows: int
    gradient_warps: int
    precision: str = "ieee"


def slot_plan(slot_tokens: int, dtype: torch.dtype) -> SlotPlan:
    """The plan of the least power of two that holds a slot. Raises ValueError above ``MAX_SLOT``."""
    if slot_tokens > MAX_SLOT:
        raise ValueError(f"slots of {slot_tokens} tokens; the Triton convolution holds at most {MAX_SLOT}")
    size = max(16, 1 << max(slot_tokens - 1, 0).bit_length())
    if dtype == torch.float32:
        # Three tf32 products on matrix units are as exact as one in fp32, except in sums of 512 terms (1.2e-6).
        precision = "tf32x3" if size < MAX_SLOT else "ieee"
        return SlotPlan(size, min(size, 32), 32, 4, min(size, 32), min(size, 64), 32, 4, precision)
    out = min(size, 256 if size <= 256 else 64)
    warps = 8 if size >= 256 else 4
    return SlotPlan(size, out, 64, warps, min(size, 64), min(size, 256), 64, 8 if size >= 128 else 4)


def triton_unavailable(u: Tensor, slot_tokens: int) -> str | None:
    """The reason why these kernels do not take ``u``; None if they do."""
    if slot_tokens > MAX_SLOT:
        return f"it takes slots of up to {MAX_SLOT} tokens, not {slot_tokens}"
    return backends.triton_unavailable(u)


@functools.cache
def _triton_type(dtype: torch.dtype) -> Any:
    return getattr(importlib.import_module("triton.language"), str(dtype).removeprefix("torch."))


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Sizes of one call."""

    batch: int
    channels: int
    length: int
    slot: int
    plan: SlotPlan
    dtype: torch.dtype

    @property
    def per_example(self) -> int:
        return -(-self.length // self.slot)

    @property
    def slots(self) -> int:
        return self.batch * self.per_example

    @property
    def operands(self) -> dict[str, Any]:
        operand = operand_type(self.dtype)
        return {
            "OPERAND": _triton_type(operand),
            "SCALED": operand == torch.float16,
            "PRECISION": self.plan.precision,
        }


def _sizes(u_BDL: Tensor, slot_tokens: int) -> _Sizes:
    batch, channels, length = u_BDL.shape
    return _Sizes(batch, channels, length, slot_tokens, slot_plan(slot_tokens, u_BDL.dtype), u_BDL.dtype)


def _convolve(
    sizes: _Sizes,
    u: Tensor,
    filter_DK: Tensor,
    gate_in: Tensor | None,
    gate_out: Tensor | None,
    y: Tensor,
    *,
    adjoint: bool = False,
    product: tuple[Tensor, Tensor] | None = None,
) -> None:
    """Fill ``y``; ``product`` holds a factor and the memory for its product with the convolution. All contiguous."""
    plan, (other, y_other) = sizes.plan, product or (u, y)
    blocks = -(-sizes.slot // plan.out)
    tiles = -(-sizes.slots // plan.rows)
    share = max(1, min(tiles, _PROGRAMS // (blocks * sizes.channels)))
    operand = operand_type(sizes.dtype)
    table = torch.empty(sizes.channels, _COPIES, 2 * plan.size, dtype=operand, device=u.device)
    powers = torch.empty(sizes.channels, dtype=torch.float32, device=u.device)
    kernels(_KERNELS).toeplitz_taps[(sizes.channels,)](
        filter_DK, table, powers, filter_DK.shape[1] // 2, SIZE=plan.size, COPIES=_COPIES, REVERSED=adjoint,
        SCALED=operand == torch.float16,
    )  # fmt: skip
    kernels(_KERNELS).toeplitz_conv[blocks, sizes.channels, share](
        u, pointer(gate_in, u), pointer(gate_out, u), other, y, y_other, table, powers, sizes.slots, sizes.per_example,
        sizes.channels, sizes.length, sizes.slot, SIZE=plan.size, OUT=plan.out, ROWS=plan.rows, COPIES=_COPIES,
        HAS_GATE_IN=gate_in is not None, HAS_GATE_OUT=gate_out is not None, HAS_OTHER=product is not None,
        num_warps=plan.warps, num_stages=1, **sizes.operands,
    )  # fmt: skip


def _filter_gradient(sizes: _Sizes, u: Tensor, gate_in: Tensor | None, dy: Tensor, gate_out: Tensor | None) -> Tensor:
    """[D, K] fp32."""
    plan, slot = sizes.plan, sizes.slot
    sources, targets = -(-slot // plan.source), -(-slot // plan.target)
    tasks = sizes.channels * sources * targets
    programs = min(tasks, _PROGRAMS)
    both = plan.source + plan.target
    scratch = torch.empty(programs, plan.source, plan.target, dtype=torch.float32, device=u.device)
    lags = torch.empty(sizes.channels, sources, targets, both, dtype=torch.float32, device=u.device)
    kernels(_KERNELS).toeplitz_lags[(programs,)](
        u, pointer(gate_in, u), dy, pointer(gate_out, dy), scratch, lags, sizes.slots, sizes.per_example,
        sizes.channels, sizes.length, sizes.slot, sources, targets, SOURCE=plan.source, TARGET=plan.target,
        ROWS=plan.gradient_rows, CHUNK=min(64, both & -both), HAS_GATE_IN=gate_in is not None,
        HAS_GATE_OUT=gate_out is not None, num_warps=plan.gradient_warps, num_stages=1, **sizes.operands,
    )  # fmt: skip
    # Blocks overlap in their lags; k = 0 of the last block of sources is the lowest.
    lowest = sources * plan.source - 1
    total = torch.zeros(sizes.channels, lowest + targets * plan.target + 1, dtype=torch.float32, device=u.device)
    for i in range(sources):
        for j in range(targets):
            begin = lowest + j * plan.target - i * plan.source - (plan.source - 1)
            total[:, begin : begin + both] += lags[:, i, j]
    return total[:, lowest - (slot - 1) : lowest + slot]


class PassageConv(NamedTuple):
    """Arguments of ``gate_out * (filter * (gate_in * u))`` inside slots."""

    u: Tensor
    filter: Tensor
    slot_tokens: int
    gate_in: Tensor | None
    gate_out: Tensor | None


def _forward(c: PassageConv) -> Tensor:
    y_BDL = torch.empty_like(c.u, memory_format=torch.contiguous_format)
    gates = contiguous(c.gate_in), contiguous(c.gate_out)
    _convolve(_sizes(c.u, c.slot_tokens), c.u.contiguous(), c.filter.contiguous(), *gates, y_BDL)
    return y_BDL


def _backward(dy_BDL: Tensor, c: PassageConv) -> tuple[Tensor, ...]:
    sizes = _sizes(c.u, c.slot_tokens)
    u, taps = c.u.contiguous(), c.filter.contiguous()
    gate_in, gate_out = contiguous(c.gate_in), contiguous(c.gate_out)
    dy = dy_BDL.to(u.dtype).contiguous()
    du, dgate_in, dgate_out = empty_gradient(u, u), empty_gradient(gate_in, u), empty_gradient(gate_out, u)
    if gate_out is not None:
        _convolve(sizes, u, taps, gate_in, dy, dgate_out)
    # The adjoint reverses the filter; the gates change places.
    product = None if gate_in is None else (u, dgate_in)
    _convolve(sizes, dy, taps, gate_out, gate_in, du, adjoint=True, product=product)
    dfilter = _filter_gradient(sizes, u, gate_in, dy, gate_out).to(c.filter.dtype).contiguous()
    return du, dfilter, dgate_in, dgate_out


conv = operator("passage_conv_triton", PassageConv, _forward, _backward)
