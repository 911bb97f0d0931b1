"""Causal softmax attention with rotary positions: the mixer of the Transformer twin and of hybrids.

Shape suffixes: B sequences, L positions, D channels, H heads, E = D / H, N cached positions.
"""

from __future__ import annotations

from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ragyena.model.decode import AttentionState
from ragyena.model.layers import Linear

__all__ = ["CausalAttention", "Turns", "rotate", "turns"]

Turns: TypeAlias = tuple[Tensor, Tensor]
"""Cosines and sines [L, E / 2] of the angles that positions are turned by, fp32."""


class CausalAttention(nn.Module):
    """Multi-head attention of each position to itself and all before it (Vaswani et al. 2017; positions of Su et al.
    2021). ``forward`` for a sequence; ``prefill``, then ``step``: the same function."""

    def __init__(self, width: int, *, heads: int, rotary_base: float) -> None:
        super().__init__()
        self.heads, self.each, self.rotary_base = heads, width // heads, rotary_base
        self.out_proj = Linear(width, width)
        self.in_proj = Linear(width, 3 * width)  # query, key, value

    def forward(self, x_BLD: Tensor, turned: Turns | None = None) -> Tensor:
        """[B, L, D] in the type of ``x``. ``turned`` are ``turns`` of the same positions, where all layers share them:
        a compiled layer would work out each of its sines again for every sequence and head."""
        return self._attend(*self._heads(x_BLD, 0, turned))

    @torch.no_grad()
    def prefill(self, x_BLD: Tensor, steps: int | None) -> tuple[Tensor, AttentionState]:
        """``forward`` and the state to go on from, with room for ``steps`` more positions (None: no limit)."""
        query, key, value = self._heads(x_BLD, 0)
        return self._attend(query, key, value), AttentionState.begin(key, value, steps)

    @torch.no_grad()
    def step(self, x_BD: Tensor, state: AttentionState) -> tuple[Tensor, AttentionState]:
        """The output [B, D] at one more position and ``state``, advanced in place."""
        query, key, value = self._heads(x_BD[:, None], state.length)
        keys, values = state.append(key, value)
        mixed_BHLE = F.scaled_dot_product_attention(query, keys, values)
        return self._merged(mixed_BHLE)[:, 0], state

    def _heads(self, x_BLD: Tensor, first: int, turned: Turns | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value [B, H, L, E] of positions from ``first`` on; positions are turned in fp32."""
        batch, length, _ = x_BLD.shape
        projected = self.in_proj(x_BLD).view(batch, length, 3, self.heads, self.each).permute(2, 0, 3, 1, 4)
        query, key, value = projected.unbind(0)
        if turned is None:
            turned = turns(self.each, self.rotary_base, length, x_BLD.device, first=first)
        return rotate(query, turned), rotate(key, turned), value

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return self._merged(F.scaled_dot_product_attention(query, key, value, is_causal=True))

    def _merged(self, x_BHLE: Tensor) -> Tensor:
        return self.out_proj(x_BHLE.transpose(1, 2).flatten(2))


def turns(each: int, base: float, length: int, device: torch.device, *, first: int = 0) -> Turns:
    """Of ``length`` positions from ``first`` on, for heads of ``each`` channels (Su et al. 2021)."""
    position = torch.arange(first, first + length, device=device, dtype=torch.float32)
    exponent = torch.arange(0, each, 2, device=device, dtype=torch.float32) / each
    angle_LE = position[:, None] * base**-exponent
    return angle_LE.cos(), angle_LE.sin()


def rotate(x_BHLE: Tensor, turned: Turns) -> Tensor:
    """Each pair (e, e + E/2) turned by its angle; in the type of ``x``."""
    cosine, sine = turned
    one, other = x_BHLE.to(torch.promote_types(x_BHLE.dtype, torch.float32)).chunk(2, -1)
    return torch.cat([one * cosine - other * sine, one * sine + other * cosine], -1).to(x_BHLE.dtype)
