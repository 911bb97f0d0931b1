"""The mixers of readers and of causal language models, by the names that configurations give them."""

from __future__ import annotations

from typing import Any

from ragyena.config import CausalModelConfig, ReaderModelConfig
from ragyena.model.mixers.attention import AttentionMixer, LocalAttentionMixer
from ragyena.model.mixers.base import CausalMixer, ReaderMixer, Registry
from ragyena.model.mixers.causal_attention import CausalAttention
from ragyena.model.mixers.causal_hyena import CausalHyena
from ragyena.model.mixers.hyena import HyenaMixer

__all__ = ["CAUSAL_MIXERS", "READER_MIXERS", "check_mixers"]

READER_MIXERS: Registry[ReaderMixer] = Registry(
    "reader",
    {
        "hyena": HyenaMixer,
        "attention": AttentionMixer,  # the attention baseline
        "local_attention": LocalAttentionMixer,  # the FiD baseline
    },
)
CAUSAL_MIXERS: Registry[CausalMixer] = Registry("language model", {"hyena": CausalHyena, "attention": CausalAttention})


def check_mixers(config: ReaderModelConfig | CausalModelConfig) -> None:
    """Raises ConfigError where a layer's mixer is unknown or cannot be built from the configuration."""
    registry: Registry[Any] = READER_MIXERS if isinstance(config, ReaderModelConfig) else CAUSAL_MIXERS
    for layer, name in enumerate(config.layer_mixers):
        registry[name].check(config, layer)
