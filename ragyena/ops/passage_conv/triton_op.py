"""The convolution inside slots on the kernels of ``slot_toeplitz_triton``: launches and custom operators.

Shape suffixes: B batch, D channels, L positions, P segments, K = 2 R + 1 lags of reach R. A slot is ``slot_tokens``
neighbouring positions, the last one of an example may be cut short, and R is one less; or, with ``starts`` [P + 1],
int32, slots are segments of an example that begin there, at most ``slot_tokens`` long, and R may be any.

Triton is imported when a kernel is first launched, so that the operators exist without it.
"""

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ragyena.ops.backends import triton_refusal
from ragyena.ops.conv_operator import gradient_like

__all__ = ["MAX_SLOT", "SlotPlan", "conv", "refusal", "slot_plan"]

MAX_SLOT = 512
# Of a filter, each begun a lag later: 16 bytes of half precision, the widest access, hold as many taps.
_COPIES = 8
# Programs that share the slots of all channels, at most: several on each of some 130 multiprocessors.
_PROGRAMS = 1056
_OPERANDS = {torch.float16: torch.float16, torch.bfloat16: torch.float16, torch.float32: torch.float32}


@dataclass(frozen=True, slots=True)
class SlotPlan:
    """How slots of at most ``size`` positions are cut into tiles, and how the kernels are launched."""

    size: int
    """A power of two."""
    out: int
    """Outputs of a slot that one program makes."""
    rows: int
    """Slots of one tile."""
    warps: int
    stages: int
    """Tiles of inputs under way."""
    source: int
    """Inputs and outputs of a slot, and slots of one tile, that a program of the filter's gradient takes."""
    target: int
    gradient_rows: int
    gradient_warps: int
    precision: str = "ieee"
    registers: int | None = None
    """Of a thread, at most: fewer let more programs share a multiprocessor."""


def slot_plan(slot_tokens: int, dtype: torch.dtype) -> SlotPlan:
    """The plan of the least power of two that holds a slot. Raises ValueError past ``MAX_SLOT``."""
    if slot_tokens > MAX_SLOT:
        raise ValueError(f"slots of {slot_tokens} tokens; the Triton convolution holds at most {MAX_SLOT}")
    size = max(16, 1 << max(slot_tokens - 1, 0).bit_length())
    if dtype == torch.float32:
        # Three products of tf32 parts are as exact as one of fp32, on matrix units; but of 512 terms these round the
        # sum to 1.2e-6.
        precision = "tf32x3" if size < MAX_SLOT else "ieee"
        return SlotPlan(size, min(size, 32), 32, 4, 1, min(size, 32), min(size, 64), 32, 4, precision)
    out = min(size, 256 if size <= 256 else 64)
    warps = 8 if size >= 256 else 4
    return SlotPlan(size, out, 64, warps, 1, min(size, 64), min(size, 256), 64, 8 if size >= 128 else 4)


def refusal(u: Tensor, slot_tokens: int) -> str | None:
    """Why these kernels cannot convolve ``u``; None where they can."""
    if slot_tokens > MAX_SLOT:
        return f"it takes slots of up to {MAX_SLOT} tokens, not {slot_tokens}"
    return triton_refusal(u)


@functools.cache
def _kernels() -> ModuleType:
    return importlib.import_module("ragyena.ops.passage_conv.triton_toeplitz")


@functools.cache
def _triton_type(dtype: torch.dtype) -> Any:
    return getattr(importlib.import_module("triton.language"), str(dtype).removeprefix("torch."))


@dataclass(frozen=True, slots=True)
class _Sizes:
    """One call's sizes."""

    batch: int
    channels: int
    length: int
    slot: int
    plan: SlotPlan
    dtype: torch.dtype
    starts: Tensor | None

    @property
    def per_example(self) -> int:
        return -(-self.length // self.slot) if self.starts is None else self.starts.shape[0] - 1

    @property
    def stride(self) -> int:
        """From one slot to the next; with starts of their own, a number that compiles nothing anew."""
        return self.slot if self.starts is None else self.plan.size

    @property
    def slots(self) -> int:
        return self.batch * self.per_example

    @property
    def operands(self) -> dict[str, Any]:
        operand = _OPERANDS[self.dtype]
        return {
            "OPERAND": _triton_type(operand),
            "SCALED": operand == torch.float16,
            "HAS_STARTS": self.starts is not None,
            "PRECISION": self.plan.precision,
        }


def _sizes(u_BDL: Tensor, slot_tokens: int, starts: Tensor | None) -> _Sizes:
    batch, channels, length = u_BDL.shape
    plan = slot_plan(slot_tokens, u_BDL.dtype)
    if starts is not None and plan.size >= 256:
        plan = replace(plan, rows=32)  # places of any alignment take a register each: more rows spill
    return _Sizes(batch, channels, length, slot_tokens, plan, u_BDL.dtype, starts)


def _convolve(
    sizes: _Sizes,
    u: Tensor,
    filter_DK: Tensor,
    gate_in: Tensor | None,
    gate_out: Tensor | None,
    y: Tensor,
    *,
    adjoint: bool = False,
    other: Tensor | None = None,
    y_other: Tensor | None = None,
) -> None:
    """Fill ``y``, and ``y_other`` with the convolution times ``other`` where they are given; all contiguous."""
    plan = sizes.plan
    blocks = -(-sizes.slot // plan.out)
    tiles = -(-sizes.slots // plan.rows)
    share = max(1, min(tiles, _PROGRAMS // (blocks * sizes.channels)))
    operand = _OPERANDS[sizes.dtype]
    table = torch.empty(sizes.channels, _COPIES, 2 * plan.size, dtype=operand, device=u.device)
    powers = torch.empty(sizes.channels, dtype=torch.float32, device=u.device)
    _kernels().toeplitz_taps[(sizes.channels,)](
        filter_DK, table, powers, filter_DK.shape[1] // 2, SIZE=plan.size, COPIES=_COPIES, REVERSED=adjoint,
        SCALED=operand == torch.float16,
    )  # fmt: skip
    _kernels().toeplitz_conv[blocks, sizes.channels, share](
        u, u if gate_in is None else gate_in, u if gate_out is None else gate_out, u if other is None else other, y,
        y if y_other is None else y_other, table, powers, powers if sizes.starts is None else sizes.starts, sizes.slots,
        sizes.per_example, sizes.channels, sizes.length, sizes.stride, SIZE=plan.size, OUT=plan.out, ROWS=plan.rows,
        COPIES=_COPIES, HAS_GATE_IN=gate_in is not None, HAS_GATE_OUT=gate_out is not None,
        HAS_OTHER=y_other is not None, STAGES=plan.stages, num_warps=plan.warps, num_stages=1,
        maxnreg=plan.registers, **sizes.operands,
    )  # fmt: skip


def _filter_gradient(
    sizes: _Sizes, reach: int, u: Tensor, gate_in: Tensor | None, dy: Tensor, gate_out: Tensor | None
) -> Tensor:
    """[D, 2 reach + 1] fp32."""
    plan, slot = sizes.plan, sizes.slot
    sources, targets = -(-slot // plan.source), -(-slot // plan.target)
    tasks = sizes.channels * sources * targets
    programs = min(tasks, _PROGRAMS)
    both = plan.source + plan.target
    scratch = torch.empty(programs, plan.source, plan.target, dtype=torch.float32, device=u.device)
    lags = torch.empty(sizes.channels, sources, targets, both, dtype=torch.float32, device=u.device)
    _kernels().toeplitz_lags[(programs,)](
        u, u if gate_in is None else gate_in, dy, dy if gate_out is None else gate_out, scratch, lags,
        lags if sizes.starts is None else sizes.starts, sizes.slots, sizes.per_example, sizes.channels, sizes.length,
        sizes.stride, sources, targets, SOURCE=plan.source, TARGET=plan.target, ROWS=plan.gradient_rows,
        CHUNK=min(64, both & -both), HAS_GATE_IN=gate_in is not None, HAS_GATE_OUT=gate_out is not None,
        num_warps=plan.gradient_warps, num_stages=1, **sizes.operands,
    )  # fmt: skip
    # Blocks overlap in their lags; k = 0 of the last block of sources is the lowest.
    lowest = sources * plan.source - 1
    total = torch.zeros(sizes.channels, lowest + targets * plan.target + 1, dtype=torch.float32, device=u.device)
    for i in range(sources):
        for j in range(targets):
            begin = lowest + j * plan.target - i * plan.source - (plan.source - 1)
            total[:, begin : begin + both] += lags[:, i, j]
    within = total[:, lowest - (slot - 1) : lowest + slot]
    return functional.pad(
        within, (reach - (slot - 1), reach - (slot - 1))
    )  # lags no slot has, or that the filter lacks


def _flat(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()


# ---------------------------------------------------------------------------------------------------------------
# operators
# ---------------------------------------------------------------------------------------------------------------


@torch.library.custom_op("ragyena::slot_conv_triton", mutates_args=())
def conv(
    u_BDL: Tensor,
    filter_DK: Tensor,
    slot_tokens: int,
    gate_in_BDL: Tensor | None,
    gate_out_BDL: Tensor | None,
    starts: Tensor | None = None,
) -> Tensor:
    """``gate_out * (filter * (gate_in * u))`` inside slots, as [B, D, L] in the type of ``u``."""
    sizes = _sizes(u_BDL, slot_tokens, starts)
    y_BDL = torch.empty_like(u_BDL, memory_format=torch.contiguous_format)
    _convolve(sizes, u_BDL.contiguous(), filter_DK.contiguous(), _flat(gate_in_BDL), _flat(gate_out_BDL), y_BDL)
    return y_BDL


@torch.library.custom_op("ragyena::slot_conv_triton_backward", mutates_args=())
def _backward(
    dy_BDL: Tensor,
    u_BDL: Tensor,
    filter_DK: Tensor,
    slot_tokens: int,
    gate_in_BDL: Tensor | None,
    gate_out_BDL: Tensor | None,
    starts: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of u, filter, gate_in, gate_out; empty where there is no such argument."""
    sizes = _sizes(u_BDL, slot_tokens, starts)
    u, gate_in, gate_out, taps = u_BDL.contiguous(), _flat(gate_in_BDL), _flat(gate_out_BDL), filter_DK.contiguous()
    dy = dy_BDL.to(u.dtype).contiguous()
    du, dgate_in, dgate_out = gradient_like(u, u), gradient_like(gate_in, u), gradient_like(gate_out, u)
    if gate_out is not None:
        _convolve(sizes, u, taps, gate_in, dy, dgate_out)
    # The adjoint reverses the filter; the gates change places.
    beside = {} if gate_in is None else {"other": u, "y_other": dgate_in}
    _convolve(sizes, dy, taps, gate_out, gate_in, du, adjoint=True, **beside)
    dfilter = _filter_gradient(sizes, taps.shape[1] // 2, u, gate_in, dy, gate_out).to(filter_DK.dtype).contiguous()
    return du, dfilter, dgate_in, dgate_out


@conv.register_fake
def _conv_fake(
    u_BDL: Tensor,
    filter_DK: Tensor,
    slot_tokens: int,
    gate_in_BDL: Tensor | None,
    gate_out_BDL: Tensor | None,
    starts: Tensor | None = None,
) -> Tensor:
    return torch.empty_like(u_BDL, memory_format=torch.contiguous_format)


@_backward.register_fake
def _backward_fake(
    dy_BDL: Tensor,
    u_BDL: Tensor,
    filter_DK: Tensor,
    slot_tokens: int,
    gate_in_BDL: Tensor | None,
    gate_out_BDL: Tensor | None,
    starts: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return (
        gradient_like(u_BDL, u_BDL),
        gradient_like(filter_DK, u_BDL),
        gradient_like(gate_in_BDL, u_BDL),
        gradient_like(gate_out_BDL, u_BDL),
    )


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    u_BDL, filter_DK, slot_tokens, gate_in_BDL, gate_out_BDL, starts = inputs
    ctx.save_for_backward(u_BDL, filter_DK, gate_in_BDL, gate_out_BDL, starts)
    ctx.slot_tokens = slot_tokens


def _gradient(ctx: Any, dy_BDL: Tensor) -> tuple[Tensor | None, ...]:
    u_BDL, filter_DK, gate_in_BDL, gate_out_BDL, starts = ctx.saved_tensors
    du, dfilter, dgate_in, dgate_out = _backward(
        dy_BDL, u_BDL, filter_DK, ctx.slot_tokens, gate_in_BDL, gate_out_BDL, starts
    )
    return (
        du, dfilter, None, None if gate_in_BDL is None else dgate_in, None if gate_out_BDL is None else dgate_out, None
    )  # fmt: skip


conv.register_autograd(_gradient, setup_context=_save)
