"""The published implicit filter (Poli et al. 2023, section 3.3): a sine network on position features under an
exponential window. Names of parameters are those of the released checkpoints.

Shape suffixes: O long convolutions, D channels, C = O D filters, K filter lags, F position features.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

__all__ = ["FilterNetwork", "ImplicitFilter"]


class FilterNetwork(nn.Module):
    """A module that stays in fp32 when the model around it is cast to a half precision: its sines are too steep for
    one."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> FilterNetwork:
        def apply(tensor: Tensor) -> Tensor:
            cast_tensor = fn(tensor)
            return (
                tensor.to(cast_tensor.device) if cast_tensor.dtype in (torch.float16, torch.bfloat16) else cast_tensor
            )

        super()._apply(apply, recurse)  # type: ignore[no-untyped-call]
        return self


class ImplicitFilter(FilterNetwork):
    """Filters of ``convolutions`` long convolutions of ``width`` channels, and the weight of the present input in each.

    The arguments are those of ``Hyena``.
    """

    if TYPE_CHECKING:  # nn.Module's call is untyped

        def __call__(self, lags: int) -> Tensor: ...

    def __init__(
        self,
        width: int,
        *,
        convolutions: int,
        max_length: int,
        filter_width: int,
        filter_depth: int,
        filter_embedding: int,
        sine_frequency: float,
        modulate: bool,
        fast_decay: float,
        slow_decay: float,
        decay_target: float,
        decay_shift: float,
    ) -> None:
        super().__init__()
        self.width, self.convolutions, self.max_length = width, convolutions, max_length
        channels = width * convolutions
        self.bias = nn.Parameter(torch.randn(channels))
        self.pos_emb = _PositionFeatures(filter_embedding, max_length)
        sine = _Sine(filter_width, sine_frequency)  # one for all layers, as published
        layers: list[nn.Module] = [nn.Linear(filter_embedding, filter_width), sine]
        for _ in range(filter_depth):
            layers += [nn.Linear(filter_width, filter_width), sine]
        self.implicit_filter = nn.Sequential(*layers, nn.Linear(filter_width, channels, bias=False))
        decay = (math.log(decay_target) / slow_decay, math.log(decay_target) / fast_decay)
        self.modulation = _Window(channels, modulate=modulate, decay=decay, shift=decay_shift)

    def forward(self, lags: int) -> Tensor:
        """[O, D, lags] filters in fp32 (fp64 where the module is): lags 0 .. lags - 1, lags at most ``max_length``."""
        if not 1 <= lags <= self.max_length:
            raise ValueError(f"{lags} lags of filters that have 1 to {self.max_length}")
        with torch.autocast(self.bias.device.type, enabled=False):
            h_1KC = self.implicit_filter(self.pos_emb.z[:, :lags])
            h_1KC = self.modulation(self.pos_emb.t[:, :lags], h_1KC)
        # Published channel order: the convolutions of one channel are neighbours.
        return cast(Tensor, h_1KC[0].view(lags, self.width, self.convolutions).permute(2, 1, 0))

    def skip(self) -> Tensor:
        """[O, D]: weight of the present input in each convolution."""
        return self.bias.view(self.width, self.convolutions).t()


class _PositionFeatures(nn.Module):
    """Time from 0 to 1 (``t``), and time with cosines and sines of it (``z``, which is trained)."""

    z: Tensor
    t: Tensor

    def __init__(self, features: int, max_length: int) -> None:
        super().__init__()
        t_1K1 = torch.linspace(0, 1, max_length)[None, :, None]
        bands = (features - 1) // 2
        angle_1K1 = 2 * math.pi * torch.linspace(0, max_length - 1, max_length)[None, :, None] / max_length
        phase_1KF = torch.linspace(1e-4, bands - 1, bands)[None, None] * angle_1K1
        self.z = nn.Parameter(torch.cat([t_1K1, phase_1KF.cos(), -phase_1KF.sin()], dim=-1))
        self.register_buffer("t", t_1K1)


class _Sine(nn.Module):
    def __init__(self, features: int, frequency: float) -> None:
        super().__init__()
        self.freq = nn.Parameter(torch.full((1, features), frequency))

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(self.freq * x)


class _Window(nn.Module):
    """``exp(-t |delta|) + shift``, with decay rates spread evenly over the channels."""

    deltas: Tensor

    def __init__(self, channels: int, *, modulate: bool, decay: tuple[float, float], shift: float) -> None:
        super().__init__()
        self.modulate, self.shift = modulate, shift
        self.register_buffer("deltas", torch.linspace(*decay, channels)[None, None])

    def forward(self, t_1K1: Tensor, h_1KC: Tensor) -> Tensor:
        return h_1KC * (torch.exp(-t_1K1 * self.deltas.abs()) + self.shift) if self.modulate else h_1KC
