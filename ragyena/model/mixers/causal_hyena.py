"""The published causal Hyena operator (``ragyena.ops.Hyena``) as the mixer of a language model's layer.

Shape suffixes: B sequences, L positions, D channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from ragyena.config import CausalModelConfig
from ragyena.config.models import HyenaConfig
from ragyena.model.flops import conv_flops
from ragyena.model.mixers.base import CausalMixer, matrix_entries
from ragyena.ops.hyena import Hyena

__all__ = ["CausalHyena"]


class CausalHyena(Hyena, CausalMixer):
    """Causal Hyena mixer of any order, in the configuration of a language model."""

    FILTERS = ("filter_fn.", "short_filter.")

    def __init__(self, config: CausalModelConfig, layer: int = 0) -> None:
        settings = {name: getattr(config, name) for name in HyenaConfig.model_fields}
        super().__init__(config.width, max_length=config.max_length, **settings)

    def flops(self, length: int) -> float:
        short = 2.0 * self.short_filter.kernel_size[0] * self.short_filter.in_channels
        return 2.0 * matrix_entries(self) + (self.order - 1) * conv_flops(length, self.width) + short

    def forward(self, x_BLD: Tensor, shared: Any = None) -> Tensor:
        return super().forward(x_BLD)

    if TYPE_CHECKING:
        __call__ = forward
