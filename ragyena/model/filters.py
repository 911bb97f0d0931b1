"""The reader's two-sided implicit filters: a network on absolute lags under a decaying window, plus free near taps.

Legend: C channels, L sequence length, K = 2 L - 1 lags from -(L - 1) to L - 1, F position features.

They differ from the published filter (``ragyena.model.mixers.causal_hyena``), whose decay windows are fractions of the
longest sequence and leave no local filters at 128K tokens: here lags are absolute and decay times log-spaced.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

__all__ = ["TwoSidedFilter"]

_LONGEST_PERIOD, _SHORTEST_PERIOD = 2048.0, 6.0  # tokens; the sines of the position features
_LAG_UNIT = 512.0  # the lag features are of order one within a passage
_SCALE_POWER = 0.75  # between unit L1 gain (1) and none (0): what trained best among those tried
_INITIAL_FREQUENCY = 2.0


class TwoSidedFilter(nn.Module):
    """Filters h_c(lag) for all lags of a sequence, in fp32 whatever the model's dtype.

    ``h = taps + scale * window * network(features(lag))``. The network's output layer starts at zero, so that a new
    filter is its taps: filters of unit norm swamp the rest and training does not mend it.
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
        """[C, 2 length - 1] fp32, lag -(length - 1) first."""
        device = self.taps.device
        with torch.autocast(device.type, enabled=False):
            if self.implicit:
                lag_K = torch.arange(-(length - 1), length, device=device, dtype=torch.float32)
                filter_CK = self._implicit(lag_K)
            else:
                filter_CK = torch.zeros(self.channels, 2 * length - 1, device=device)
            reach = min(self.near_taps, length - 1)
            middle = self.near_taps
            taps = self.taps.float()[:, middle - reach : middle + reach + 1]
            edge = length - 1 - reach
            return filter_CK + torch.nn.functional.pad(taps, (edge, edge))

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
