"""Linear, LayerNorm and feed-forward whose parameters are cast to the activations' dtype as they are used.

Training keeps fp32 parameters under bf16 activations; inference stores them in the activations' dtype, and the cast
is free.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["FeedForward", "LayerNorm", "Linear", "merge_heads", "split_heads"]


class Linear(nn.Linear):
    """``nn.Linear`` in the dtype of its input. ``maps`` maps of one shape may stand in its matrix, one after another:
    the optimizer orthogonalises the update of each alone."""

    if TYPE_CHECKING:  # nn.Module's call is untyped

        def __call__(self, x: Tensor) -> Tensor: ...

    def __init__(self, inputs: int, outputs: int, *, maps: int = 1) -> None:
        super().__init__(inputs, outputs)
        self.maps = maps

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.to(x.dtype), self.bias.to(x.dtype))


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
        return self.contract(F.gelu(self.expand(x)))


def split_heads(x_BTD: Tensor, heads: int) -> Tensor:
    """[B, T, D] -> [B, H, T, D / H]."""
    batch, length, width = x_BTD.shape
    return x_BTD.view(batch, length, heads, width // heads).transpose(1, 2)


def merge_heads(x_BHTE: Tensor) -> Tensor:
    """[B, H, T, E] -> [B, T, H E]."""
    return x_BHTE.transpose(1, 2).flatten(2)
