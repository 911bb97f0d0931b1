"""Causal softmax attention with rotary positions: the mixer of the Transformer baseline and of hybrids.

Shape suffixes: B sequences, L positions, D channels, H heads, E = D / H.
"""

from __future__ import annotations

from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from ragyena.config import CausalModelConfig
from ragyena.errors import ConfigError
from ragyena.model.decode import AttentionState
from ragyena.model.flops import attention_flops
from ragyena.model.layers import merge_heads
from ragyena.model.mixers.base import CausalMixer, matrix_entries
from ragyena.ops.linear import Linear

__all__ = ["CausalAttention", "Rotation", "rotate", "rotation"]

Rotation: TypeAlias = tuple[Tensor, Tensor]
"""Cosines and sines [L, E / 2] of the angles that positions are turned by, fp32."""


class CausalAttention(CausalMixer):
    """Multi-head attention of each position to itself and all before it (Vaswani et al. 2017; positions of Su et al.
    2021)."""

    def __init__(self, config: CausalModelConfig, layer: int = 0) -> None:
        super().__init__(config, layer)
        width = config.width
        self.heads, self.each, self.rotary_base = config.heads, width // config.heads, config.rotary_base
        self.out_proj = Linear(width, width)
        self.in_proj = Linear(width, 3 * width, maps=3)  # query, key, value

    @classmethod
    def check(cls, config: CausalModelConfig, layer: int) -> None:
        if config.width % config.heads or config.width // config.heads % 2:
            raise ConfigError(
                f"width {config.width} is not an even multiple of heads {config.heads}",
                hint="rotary positions turn pairs of channels: set heads so that each has an even number",
            )

    def flops(self, length: int) -> float:
        return 2.0 * matrix_entries(self) + attention_flops(length, self.heads * self.each, causal=True)

    def shared(self, length: int, on: torch.device) -> Rotation:
        """The rotation of the positions: a compiled layer would compute its sines for every sequence and head."""
        return rotation(self.each, self.rotary_base, length, on)

    def forward(self, x_BLD: Tensor, shared: Rotation | None = None) -> Tensor:
        return self._attend(*self._heads(x_BLD, 0, shared))

    @torch.no_grad()
    def prefill(self, x_BLD: Tensor, steps: int | None) -> tuple[Tensor, AttentionState]:
        query, key, value = self._heads(x_BLD, 0)
        return self._attend(query, key, value), AttentionState.begin(key, value, steps)

    @torch.no_grad()
    def step(self, x_BD: Tensor, state: AttentionState) -> tuple[Tensor, AttentionState]:
        query, key, value = self._heads(x_BD[:, None], state.length)
        keys, values = state.append(key, value)
        mixed_BHLE = F.scaled_dot_product_attention(query, keys, values)
        return self.out_proj(merge_heads(mixed_BHLE))[:, 0], state

    def _heads(self, x_BLD: Tensor, first: int, turn: Rotation | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value [B, H, L, E] of positions from ``first`` on; positions are turned in fp32."""
        batch, length, _ = x_BLD.shape
        projected = self.in_proj(x_BLD).view(batch, length, 3, self.heads, self.each).permute(2, 0, 3, 1, 4)
        query, key, value = projected.unbind(0)
        turn = turn or rotation(self.each, self.rotary_base, length, x_BLD.device, first=first)
        return rotate(query, turn), rotate(key, turn), value

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return self.out_proj(merge_heads(F.scaled_dot_product_attention(query, key, value, is_causal=True)))


def rotation(each: int, base: float, length: int, device: torch.device, *, first: int = 0) -> Rotation:
    """Rotary factors of ``length`` positions from ``first`` on, for heads of ``each`` channels (Su et al. 2021)."""
    position = torch.arange(first, first + length, device=device, dtype=torch.float32)
    exponent = torch.arange(0, each, 2, device=device, dtype=torch.float32) / each
    angle_LE = position[:, None] * base**-exponent
    return angle_LE.cos(), angle_LE.sin()


def rotate(x_BHLE: Tensor, turn: Rotation) -> Tensor:
    """Each pair (e, e + E/2) turned by its angle; in the type of ``x``."""
    cosine, sine = turn
    one, other = x_BHLE.to(torch.promote_types(x_BHLE.dtype, torch.float32)).chunk(2, -1)
    return torch.cat([one * cosine - other * sine, one * sine + other * cosine], -1).to(x_BHLE.dtype)
