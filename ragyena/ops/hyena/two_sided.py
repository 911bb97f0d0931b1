"""Order-2 two-sided Hyena, whose filters are functions of the lag in tokens and stay within a sequence's bounds.

Shape suffixes: B sequences, L positions, D width, C = 3 D projected channels or the channels of a filter, K filter
lags, F position features of a lag.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ragyena.ops.arguments import check_sequence
from ragyena.ops.hyena.implicit_filter import FilterNetwork
from ragyena.ops.linear import Linear
from ragyena.ops.long_conv import long_conv
from ragyena.ops.passage_conv import MAX_SLOT, passage_conv
from ragyena.ops.passage_conv.segments import segment_bounds
from ragyena.ops.short_gates import short_gates

__all__ = ["TwoSidedFilter", "TwoSidedHyena"]

_LONGEST_PERIOD, _SHORTEST_PERIOD = 2048.0, 6.0  # tokens; the sines of the position features
_LAG_UNIT = 512.0  # the lag features are of order one within a passage
_SCALE_POWER = 0.75  # between unit L1 gain (1) and none (0)
_INITIAL_FREQUENCY = 2.0
_INITIAL_STD = 0.02


class TwoSidedHyena(nn.Module):
    """Two-sided Hyena: ``y = out(x0 * (h conv (x1 * v)))``, [batch, length, width] to the same shape.

    ``x1, x0, v`` are three-tap convolutions of a projection. Each sequence of the batch, or each segment of a packed
    one, is mixed by itself, at any length: the filter is a function of the lag in tokens (``TwoSidedFilter``). A new
    one passes its gated values on: filters start as the identity.

    Args:
        width: channels of the sequence.
        near_taps: free filter taps at lags -near_taps .. near_taps.
        implicit_filter: adds an implicit part to the free taps.
        filter_width: hidden channels of the filter network.
        filter_bands: frequencies of the filter network's position features.
        time_scales: shortest and longest decay of the filters, in tokens.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> import torch
        >>> from ragyena.ops import TwoSidedHyena
        >>> mixer = TwoSidedHyena(64)
        >>> mixer(torch.randn(2, 300, 64)).shape
        torch.Size([2, 300, 64])
        >>> packed = torch.randn(1, 300, 64)  # three sequences, one after another
        >>> mixer(packed, cu_seqlens=torch.tensor([0, 100, 250, 300])).shape
        torch.Size([1, 300, 64])
    """

    if TYPE_CHECKING:  # nn.Module's call is untyped

        def __call__(
            self, x_BLD: Tensor, mask_BL: Tensor | None = None, cu_seqlens: Tensor | None = None
        ) -> Tensor: ...

    def __init__(
        self,
        width: int,
        *,
        near_taps: int = 12,
        implicit_filter: bool = True,
        filter_width: int = 64,
        filter_bands: int = 14,
        time_scales: tuple[float, float] = (16.0, 300.0),
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("width", width, 1),
            ("near_taps", near_taps, 0),
            ("filter_width", filter_width, 1),
            ("filter_bands", filter_bands, 1),
        ):
            if value < least:
                raise ValueError(f"{name} is {value}; it must be at least {least}")
        if not 0 < time_scales[0] <= time_scales[1]:
            raise ValueError(f"time_scales are {time_scales}; they must be positive, the shortest first")
        self.width = width
        self.project = Linear(width, 3 * width, maps=3)  # gate x1, gate x0, value v
        self.short = nn.Parameter(torch.zeros(3, 3 * width))  # taps at lags 1, 0, -1
        self.filter = TwoSidedFilter(
            width,
            near_taps=near_taps,
            implicit=implicit_filter,
            width=filter_width,
            bands=filter_bands,
            time_scales=time_scales,
        )
        self.out = Linear(width, width)
        with torch.no_grad():
            self.filter.taps[:, near_taps] = 1.0
            self.short[1] = 1.0
            self.short[0].normal_(std=_INITIAL_STD)
            self.short[2].normal_(std=_INITIAL_STD)

    def forward(self, x_BLD: Tensor, mask_BL: Tensor | None = None, cu_seqlens: Tensor | None = None) -> Tensor:
        """[B, L, D] in the type of ``x``, or that of autocast.

        mask_BL: bool, False at padding, which no other position hears. cu_seqlens: the bounds of the segments of a
        packed batch of 1, as in ``passage_conv``, in place of a mask. Raises ValueError and TypeError for other inputs.
        """
        check_sequence(x_BLD, self.width)
        batch, length, width = x_BLD.shape
        projected_BLC = self.project(x_BLD)
        if cu_seqlens is not None:
            if mask_BL is not None:
                raise ValueError("give mask_BL or cu_seqlens, not both: a packed batch has no padding")
            return self._packed(projected_BLC, cu_seqlens)
        if mask_BL is None:
            mask_BL = torch.ones(batch, length, dtype=torch.bool, device=x_BLD.device)
        taps_DK = self.filter(length)
        gate_1DN, gated_1DN = short_gates(projected_BLC, self.short, mask_BL)
        if batch and length <= MAX_SLOT:
            mixed_1DN = passage_conv(gated_1DN, taps_DK, slot_tokens=length, gate_out_BDL=gate_1DN)
            mixed_DBL = mixed_1DN.view(width, batch, length)
        else:
            gate_BDL, gated_BDL = (x.view(width, batch, length).transpose(0, 1) for x in (gate_1DN, gated_1DN))
            mixed_BDL = long_conv(gated_BDL, taps_DK, direction="two_sided", gate_out_BDL=gate_BDL)
            mixed_DBL = mixed_BDL.transpose(0, 1)
        return self.out(mixed_DBL.permute(1, 2, 0))

    def _packed(self, projected_1LC: Tensor, cu_seqlens: Tensor) -> Tensor:
        batch, length, _ = projected_1LC.shape
        if batch != 1:
            raise ValueError(f"x has a batch of {batch}; with cu_seqlens its sequences are packed into a batch of 1")
        bounds = segment_bounds(cu_seqlens, length)
        longest = max(end - start for start, end in pairwise(bounds))
        taps_3C = self.short.to(projected_1LC.dtype)
        # Neighbours hear each other where the second of them does not start a segment.
        starts_L = torch.zeros(length + 1, dtype=torch.bool, device=projected_1LC.device)
        starts_L[cu_seqlens.long()] = True
        joined_L1 = ~starts_L[1:length, None]
        before_1LC = F.pad(projected_1LC[:, :-1] * joined_L1, (0, 0, 1, 0))
        after_1LC = F.pad(projected_1LC[:, 1:] * joined_L1, (0, 0, 0, 1))
        z_1LC = projected_1LC * taps_3C[1] + before_1LC * taps_3C[0] + after_1LC * taps_3C[2]
        gate_in, gate_out, value = z_1LC.transpose(1, 2).chunk(3, 1)
        mixed_1DL = passage_conv(
            value, self.filter(longest), cu_seqlens=cu_seqlens, gate_in_BDL=gate_in, gate_out_BDL=gate_out
        )
        return self.out(mixed_1DL.transpose(1, 2))


class TwoSidedFilter(FilterNetwork):
    """Implicit filters h_c(lag), plus free near taps, for all lags of a sequence, in fp32 (fp64 in fp64) whatever
    the model's half precision.

    Lags are absolute and decay times log-spaced: the published filter's windows (``ImplicitFilter``) are fractions of
    the longest sequence, which leaves no local filters at 128K tokens. ``h = taps + scale * window *
    network(features(lag))``. The network's output layer starts at zero, so that a new filter is its taps: filters of
    unit norm swamp the rest and training does not recover.
    """

    frequencies: Tensor
    scale: Tensor

    if TYPE_CHECKING:  # nn.Module's call is untyped

        def __call__(self, length: int) -> Tensor: ...

    def __init__(
        self, channels: int, *, near_taps: int, implicit: bool, width: int, bands: int, time_scales: tuple[float, float]
    ) -> None:
        super().__init__()
        self.channels, self.near_taps, self.implicit = channels, near_taps, implicit
        self.taps = nn.Parameter(torch.zeros(channels, 2 * near_taps + 1))
        if not implicit:
            return
        periods = torch.logspace(math.log10(_LONGEST_PERIOD), math.log10(_SHORTEST_PERIOD), bands)
        self.register_buffer("frequencies", 2 * math.pi / periods, persistent=False)
        self.input = nn.Linear(3 + 2 * bands, width)
        self.hidden = nn.Linear(width, width)
        self.output = nn.Linear(width, channels)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)
        self.input_frequency = nn.Parameter(torch.full((width,), _INITIAL_FREQUENCY))
        self.hidden_frequency = nn.Parameter(torch.full((width,), _INITIAL_FREQUENCY))
        shortest, longest = time_scales
        scales = torch.logspace(math.log10(shortest), math.log10(longest), channels)
        scales = scales[torch.randperm(channels, generator=torch.Generator().manual_seed(channels))]
        self.log_decay = nn.Parameter(torch.stack([-scales.log(), -scales.log()]))  # [2, C]: lags >= 0, lags < 0
        self.register_buffer("scale", (2 * scales).clamp(min=1.0) ** -_SCALE_POWER)

    def forward(self, length: int) -> Tensor:
        """[C, 2 length - 1] in fp32 (fp64 where the module is), lag -(length - 1) first."""
        device, dtype = self.taps.device, torch.promote_types(self.taps.dtype, torch.float32)
        with torch.autocast(device.type, enabled=False):
            if self.implicit:
                lag_K = torch.arange(-(length - 1), length, device=device, dtype=dtype)
                filter_CK = self._implicit(lag_K)
            else:
                filter_CK = torch.zeros(self.channels, 2 * length - 1, device=device, dtype=dtype)
            reach = min(self.near_taps, length - 1)
            middle = self.near_taps
            taps = self.taps.to(dtype)[:, middle - reach : middle + reach + 1]
            edge = length - 1 - reach
            return filter_CK + F.pad(taps, (edge, edge))

    def _implicit(self, lag_K: Tensor) -> Tensor:
        angle_KF = lag_K[:, None] * self.frequencies
        scaled_K1 = lag_K[:, None] / _LAG_UNIT
        features_KF = torch.cat([scaled_K1, scaled_K1.abs(), lag_K[:, None].sign(), angle_KF.sin(), angle_KF.cos()], -1)
        hidden = torch.sin(self.input_frequency * self.input(features_KF))
        hidden = torch.sin(self.hidden_frequency * self.hidden(hidden))
        rate_2C = self.log_decay.exp()
        distance = lag_K.abs()[:, None]
        window_KC = torch.where(
            lag_K[:, None] >= 0, torch.exp(-distance * rate_2C[0]), torch.exp(-distance * rate_2C[1])
        )
        filter_KC: Tensor = self.output(hidden) * window_KC * self.scale
        return filter_KC.t()
