"""Short convolution and gates as a custom operator on Triton kernels.

Shape suffixes: N slots, S positions of a slot, D channels, C = 3 D projected channels; R rows of the outputs, P their
positions.

``causal`` selects the layout. False, the reader's: taps at lags 1, 0, -1, thirds gate_in, gate_out, value, outputs
[1, D, N S], the layout of ``passage_conv``. True, the published operator's: taps at lags 2, 1, 0, thirds
gate_out, gate_in, value, outputs [N, D, S], the layout of ``long_conv``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ragyena.ops.custom_op import contiguous, empty_gradient, kernels, operator, pointer

__all__ = ["gates"]

_KERNELS = "short_gates.triton_kernels"


class _Tiling(NamedTuple):
    """Positions and channels of a tile, warps of a program."""

    positions: int
    channels: int
    warps: int


# 64 channels of a half precision are 128 bytes of a position, 64 positions 128 bytes of a channel.
_FORWARD = _Tiling(64, 64, 8)
_TRANSPOSE = _Tiling(64, 64, 8)
# Five inputs of each of two thirds are in registers at once, and twelve sums.
_BACKWARD = _Tiling(8, 32, 2)
# At most so many programs share the tiles of positions; each leaves a row of sums.
_PROGRAMS = 1584


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Sizes of one call."""

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

    def tiles(self, plan: _Tiling) -> tuple[int, int, int, int]:
        """Positions and channels of a tile; number of tiles of positions, and of channels."""
        positions = min(plan.positions, max(16, 1 << max(self.size - 1, 0).bit_length()))
        channels = min(plan.channels, max(16, 1 << max(self.width - 1, 0).bit_length()))
        return positions, channels, self.slots * -(-self.size // positions), -(-self.width // channels)

    def flags(self, bias: Tensor | None, mask: Tensor | None) -> dict[str, Any]:
        return {
            "FIRST": 2 if self.causal else 1,
            "GATE_IN": 1 if self.causal else 0,
            "GATE_OUT": 0 if self.causal else 1,
            "HAS_BIAS": bias is not None,
            "HAS_MASK": mask is not None,
        }


def _sizes(c: Gates) -> _Sizes:
    slots, size, projected = c.projected.shape
    return _Sizes(slots, size, projected // 3, c.causal)


def _as_bytes(mask_NS: Tensor | None) -> Tensor | None:
    return None if mask_NS is None else mask_NS.contiguous().view(torch.uint8)


class Gates(NamedTuple):
    """Arguments of the operator: the taps are [3, C], the mask is [N, S] or None."""

    projected: Tensor
    taps: Tensor
    bias: Tensor | None
    mask: Tensor | None
    causal: bool


def _forward(c: Gates) -> tuple[Tensor, Tensor]:
    """``gate_out`` and ``gate_in * value`` of the convolved thirds, [R, D, P] each; masked inputs count as zero."""
    sizes = _sizes(c)
    gate_out, gated = _empty(c)
    if gate_out.numel() == 0:
        return gate_out, gated
    projected, mask = c.projected.contiguous(), _as_bytes(c.mask)
    positions, channels, tiles, blocks = sizes.tiles(_FORWARD)
    kernels(_KERNELS).gates_forward[(tiles * blocks,)](
        projected, c.taps.contiguous(), pointer(contiguous(c.bias), projected), pointer(mask, projected), gate_out,
        gated, sizes.per_example, sizes.size, sizes.width,
        BLOCK_T=positions, BLOCK_C=channels, num_warps=_FORWARD.warps, **sizes.flags(c.bias, c.mask),
    )  # fmt: skip
    return gate_out, gated


def _backward(dgate_out_RDP: Tensor, dgated_RDP: Tensor, c: Gates) -> tuple[Tensor, ...]:
    sizes = _sizes(c)
    projected, mask = c.projected.contiguous(), _as_bytes(c.mask)
    dprojected = torch.empty_like(projected)
    positions, channels, tiles, blocks = sizes.tiles(_BACKWARD)
    programs = max(1, min(tiles, _PROGRAMS // blocks))
    if tiles == 0:
        sums = torch.zeros(1, 4, 3 * sizes.width, dtype=torch.float32, device=projected.device)
    else:
        sums = torch.empty(programs, 4, 3 * sizes.width, dtype=torch.float32, device=projected.device)
        dgate_out, dgated = _by_position(sizes, dgate_out_RDP.to(projected.dtype), dgated_RDP.to(projected.dtype))
        kernels(_KERNELS).gates_backward[(blocks, programs)](
            dgate_out, dgated, projected, c.taps.contiguous(), pointer(contiguous(c.bias), projected),
            pointer(mask, projected), dprojected, sums, sizes.slots, sizes.size, sizes.width,
            BLOCK_T=positions, BLOCK_C=channels, num_warps=_BACKWARD.warps, num_stages=1,
            **sizes.flags(c.bias, c.mask),
        )  # fmt: skip
    total_4C = sums.sum(0)
    dbias = empty_gradient(c.bias, projected)
    if c.bias is not None:
        dbias.copy_(total_4C[3])
    return dprojected, total_4C[:3].to(c.taps.dtype).clone(), dbias


def _by_position(sizes: _Sizes, one_RDP: Tensor, other_RDP: Tensor) -> tuple[Tensor, Tensor]:
    """The two gradients as [R, P, D]: the backward kernel reads each at three shifts of a position, which in [R, D, P]
    would be three fetches of single elements."""
    rows, width, length = sizes.outputs
    one, other = (one_RDP.new_empty(rows, length, width) for _ in range(2))
    blocks, tiles = -(-width // _TRANSPOSE.channels), -(-length // _TRANSPOSE.positions)
    kernels(_KERNELS).by_position[(blocks * tiles * rows,)](
        one_RDP.contiguous(), other_RDP.contiguous(), one, other, length, width,
        BLOCK_T=_TRANSPOSE.positions, BLOCK_C=_TRANSPOSE.channels, num_warps=_TRANSPOSE.warps,
    )  # fmt: skip
    return one, other


def _empty(c: Gates) -> tuple[Tensor, Tensor]:
    shape = _sizes(c).outputs
    return c.projected.new_empty(shape), c.projected.new_empty(shape)


gates = operator("short_gates_triton", Gates, _forward, _backward, constant=("mask",), outputs=2, fake=_empty)
