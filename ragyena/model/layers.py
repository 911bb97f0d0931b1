"""LayerNorm and feed-forward whose parameters, as those of ``ragyena.ops.linear``, are cast to the activations' dtype
as they are used.

Training keeps fp32 parameters under bf16 activations; inference stores them in the activations' dtype, and the cast
is free.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

from ragyena.ops.linear import Linear

__all__ = ["FeedForward", "LayerNorm", "merge_heads", "split_heads"]


class LayerNorm(nn.LayerNorm):
    """``nn.LayerNorm`` in the dtype of its input, statistics in fp32."""

    if TYPE_CHECKING:

        def __call__(self, x: Tensor) -> Tensor: ...

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.bias.to(x.dtype), self.eps)


class FeedForward(nn.Module):
    """Linear, GELU, Linear."""

    if TYPE_CHECKING:

        def __call__(self, x: Tensor) -> Tensor: ...

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.expand = Linear(width, hidden)
        self.contract = Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.contract(self.expand.gelu(x))

    def plus(self, x: Tensor) -> Tensor:
        """``x``, plus what this makes of it."""
        return self.contract.plus(self.expand.gelu(x), x)


def split_heads(x_BTD: Tensor, heads: int) -> Tensor:
    """[B, T, D] -> [B, H, T, D / H]."""
    batch, length, width = x_BTD.shape
    return x_BTD.view(batch, length, heads, width // heads).transpose(1, 2)


def merge_heads(x_BHTE: Tensor) -> Tensor:
    """[B, H, T, E] -> [B, T, H E]."""
    return x_BHTE.transpose(1, 2).flatten(2)
