"""Linear, LayerNorm and feed-forward whose parameters are cast to the activations' dtype as they are used.

Training keeps fp32 parameters under bf16 activations; inference stores them in the activations' dtype, and the cast
is free.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ragyena.ops.backends import choose_backend

__all__ = ["FeedForward", "LayerNorm", "Linear", "merge_heads", "split_heads"]

_ROWS = 4096  # for which oneDNN chooses a layout; it serves other numbers of rows


class Linear(nn.Linear):
    """``nn.Linear`` in the dtype of its input. ``maps`` maps of one shape may stand in its matrix, one after another:
    the optimizer orthogonalises the update of each alone.

    ``prepare_cpu`` lays the matrix out for oneDNN's products, which then also compute what follows them."""

    _laid_out: Tensor | None = None
    """The weight in oneDNN's own layout, of the same type; None without."""

    if TYPE_CHECKING:  # nn.Module's call is untyped

        def __call__(self, x: Tensor) -> Tensor: ...

    def __init__(self, inputs: int, outputs: int, *, maps: int = 1) -> None:
        super().__init__(inputs, outputs)
        self.maps = maps

    def forward(self, x: Tensor) -> Tensor:
        if self._laid_out is not None and x.dtype == self.weight.dtype:
            y: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._laid_out, self.bias, "none", [], "")
            return y
        return F.linear(x, self.weight.to(x.dtype), self.bias.to(x.dtype))

    def gelu(self, x: Tensor) -> Tensor:
        """GELU of the map of ``x``."""
        if self._laid_out is not None and x.dtype == self.weight.dtype:
            y: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._laid_out, self.bias, "gelu", [], "none")
            return y
        return F.gelu(self(x))

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        """The map of ``x``, plus ``other``."""
        if self._laid_out is not None and x.dtype == other.dtype == self.weight.dtype:
            y: Tensor = torch.ops.mkldnn._linear_pointwise.binary(x, other, self._laid_out, self.bias, "add")
            return y
        return other + self(x)

    def prepare_cpu(self, *, backend: str = "auto") -> None:
        """Lay the matrix out for inference on this CPU, where oneDNN is there; weights may not change afterwards.

        Raises MissingDependencyError for a backend that is not there.
        """
        there = bool(torch._C._has_mkldnn)
        reason = None if there else "this build of torch has no oneDNN"
        default = "torch" if reason else "onednn"
        chosen = choose_backend("linear", backend, ("torch", "onednn"), default, {"onednn": reason})
        if chosen == "onednn":
            self._laid_out = torch.ops.mkldnn._reorder_linear_weight(self.weight.detach(), _ROWS)


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
