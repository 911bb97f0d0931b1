"""Short convolution and gates on the kernels of ``short_conv_triton``: launches and custom operators.

Shape suffixes: N slots, S positions of a slot, D channels, C = 3 D projected channels, R outputs' rows, P their
positions.

``causal`` says what a projection holds. False, the reader's: taps at lags 1, 0, -1, thirds gate_in, gate_out, value,
outputs [1, D, N S], which the convolution inside slots takes. True, the published operator's: taps at lags 2, 1, 0,
thirds gate_out, gate_in, value, outputs [N, D, S], which the long convolution takes.

Triton is imported when a kernel is first launched, so that the operators exist without it.
"""

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from ragyena.ops.conv_operator import gradient_like

__all__ = ["GatesPlan", "gates"]


@dataclass(frozen=True, slots=True)
class GatesPlan:
    """Tiles and launches: positions and channels of a tile, warps of a program."""

    positions: int
    channels: int
    warps: int


# 64 channels of a half precision are 128 bytes of a position, 64 positions 128 bytes of a channel.
_FORWARD = GatesPlan(64, 64, 8)
_TRANSPOSE = GatesPlan(64, 64, 8)
# Five inputs of two thirds are in registers at once, and twelve sums.
_BACKWARD = GatesPlan(8, 32, 2)
# Programs that share the tiles of positions, at most: each leaves a row of sums.
_PROGRAMS = 1584


@functools.cache
def _kernels() -> ModuleType:
    return importlib.import_module("ragyena.ops.short_conv.triton_op")


@dataclass(frozen=True, slots=True)
class _Sizes:
    """One call's sizes."""

    slots: int
    size: int
    width: int
    causal: bool

    @property
    def outputs(self) -> tuple[int, int, int]:
        if self.causal:
            return self.slots, self.width, self.size
        return 1, self.width, self.slots * self.size

    @property
    def per_example(self) -> int:
        return 1 if self.causal else max(1, self.slots)

    def tiles(self, plan: GatesPlan) -> tuple[int, int, int, int]:
        """Positions and channels of a tile; tiles of all positions, and of channels."""
        positions = min(plan.positions, max(16, 1 << max(self.size - 1, 0).bit_length()))
        channels = min(plan.channels, max(16, 1 << max(self.width - 1, 0).bit_length()))
        return positions, channels, self.slots * -(-self.size // positions), -(-self.width // channels)

    def kinds(self, bias: Tensor | None, mask: Tensor | None) -> dict[str, Any]:
        return {
            "FIRST": 2 if self.causal else 1,
            "GATE_IN": 1 if self.causal else 0,
            "GATE_OUT": 0 if self.causal else 1,
            "HAS_BIAS": bias is not None,
            "HAS_MASK": mask is not None,
        }


def _sizes(projected_NSC: Tensor, causal: bool) -> _Sizes:
    slots, size, projected = projected_NSC.shape
    return _Sizes(slots, size, projected // 3, causal)


def _bytes(mask_NS: Tensor | None) -> Tensor | None:
    return None if mask_NS is None else mask_NS.contiguous().view(torch.uint8)


# ---------------------------------------------------------------------------------------------------------------
# operators
# ---------------------------------------------------------------------------------------------------------------


@torch.library.custom_op("ragyena::short_gates_triton", mutates_args=())
def gates(
    projected_NSC: Tensor, taps_3C: Tensor, bias_C: Tensor | None, mask_NS: Tensor | None, causal: bool
) -> tuple[Tensor, Tensor]:
    """``gate_out`` and ``gate_in * value`` of the convolved thirds, [R, D, P] each; an input where
    ``mask`` is False is not heard."""
    sizes = _sizes(projected_NSC, causal)
    gate_out = projected_NSC.new_empty(sizes.outputs)
    gated = torch.empty_like(gate_out)
    if gate_out.numel() == 0:
        return gate_out, gated
    projected, mask = projected_NSC.contiguous(), _bytes(mask_NS)
    positions, channels, tiles, blocks = sizes.tiles(_FORWARD)
    _kernels().gates_forward[(tiles * blocks,)](
        projected, taps_3C.contiguous(), projected if bias_C is None else bias_C.contiguous(),
        projected if mask is None else mask, gate_out, gated, sizes.per_example, sizes.size, sizes.width,
        BLOCK_T=positions, BLOCK_C=channels, num_warps=_FORWARD.warps, **sizes.kinds(bias_C, mask_NS),
    )  # fmt: skip
    return gate_out, gated


@torch.library.custom_op("ragyena::short_gates_triton_backward", mutates_args=())
def _backward(
    dgate_out_RDP: Tensor,
    dgated_RDP: Tensor,
    projected_NSC: Tensor,
    taps_3C: Tensor,
    bias_C: Tensor | None,
    mask_NS: Tensor | None,
    causal: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of projection, taps and bias; the last is empty where there is no bias."""
    sizes = _sizes(projected_NSC, causal)
    projected, mask = projected_NSC.contiguous(), _bytes(mask_NS)
    dprojected = torch.empty_like(projected)
    positions, channels, tiles, blocks = sizes.tiles(_BACKWARD)
    programs = max(1, min(tiles, _PROGRAMS // blocks))
    if tiles == 0:
        sums = torch.zeros(1, 4, 3 * sizes.width, dtype=torch.float32, device=projected.device)
    else:
        sums = torch.empty(programs, 4, 3 * sizes.width, dtype=torch.float32, device=projected.device)
        dgate_out, dgated = _by_position(sizes, dgate_out_RDP.to(projected.dtype), dgated_RDP.to(projected.dtype))
        _kernels().gates_backward[(blocks, programs)](
            dgate_out, dgated, projected, taps_3C.contiguous(), projected if bias_C is None else bias_C.contiguous(),
            projected if mask is None else mask, dprojected, sums, sizes.slots, sizes.size, sizes.width,
            BLOCK_T=positions, BLOCK_C=channels, num_warps=_BACKWARD.warps, num_stages=1,
            **sizes.kinds(bias_C, mask_NS),
        )  # fmt: skip
    total_4C = sums.sum(0)
    dbias = gradient_like(bias_C, projected)
    if bias_C is not None:
        dbias.copy_(total_4C[3])
    return dprojected, total_4C[:3].to(taps_3C.dtype).clone(), dbias


def _by_position(sizes: _Sizes, one_RDP: Tensor, other_RDP: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients with a position's channels side by side. Read as they are, at three shifts of a position, each would
    be fetched three times, an element at a time."""
    rows, width, length = sizes.outputs
    one, other = (one_RDP.new_empty(rows, length, width) for _ in range(2))
    blocks, tiles = -(-width // _TRANSPOSE.channels), -(-length // _TRANSPOSE.positions)
    _kernels().by_position[(blocks * tiles * rows,)](
        one_RDP.contiguous(), other_RDP.contiguous(), one, other, length, width,
        BLOCK_T=_TRANSPOSE.positions, BLOCK_C=_TRANSPOSE.channels, num_warps=_TRANSPOSE.warps,
    )  # fmt: skip
    return one, other


@gates.register_fake
def _gates_fake(
    projected_NSC: Tensor, taps_3C: Tensor, bias_C: Tensor | None, mask_NS: Tensor | None, causal: bool
) -> tuple[Tensor, Tensor]:
    shape = _sizes(projected_NSC, causal).outputs
    return projected_NSC.new_empty(shape), projected_NSC.new_empty(shape)


@_backward.register_fake
def _backward_fake(
    dgate_out_RDP: Tensor,
    dgated_RDP: Tensor,
    projected_NSC: Tensor,
    taps_3C: Tensor,
    bias_C: Tensor | None,
    mask_NS: Tensor | None,
    causal: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    return (
        gradient_like(projected_NSC, projected_NSC),
        gradient_like(taps_3C, projected_NSC),
        gradient_like(bias_C, projected_NSC),
    )


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    projected_NSC, taps_3C, bias_C, mask_NS, causal = inputs
    ctx.save_for_backward(projected_NSC, taps_3C, bias_C, mask_NS)
    ctx.causal = causal


def _gradient(ctx: Any, dgate_out_RDP: Tensor, dgated_RDP: Tensor) -> tuple[Tensor | None, ...]:
    projected_NSC, taps_3C, bias_C, mask_NS = ctx.saved_tensors
    dprojected, dtaps, dbias = _backward(dgate_out_RDP, dgated_RDP, projected_NSC, taps_3C, bias_C, mask_NS, ctx.causal)
    return dprojected, dtaps, None if bias_C is None else dbias, None, None


gates.register_autograd(_gradient, setup_context=_save)
