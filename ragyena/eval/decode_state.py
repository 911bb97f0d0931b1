"""How much a reader keeps to write an answer, beside the KV cache of an attention reader; from the configuration.

Legend: D width, M tokens of the context and the question, N answer tokens that the filters cover.
"""

from __future__ import annotations

from dataclasses import dataclass

from ragyena.config import HyenaConfig, ReaderModelConfig

__all__ = ["DecodeState", "decode_state"]

_FP32, _INT64, _BOOL = 4, 8, 1  # bytes


@dataclass(frozen=True, slots=True)
class DecodeState:
    """Bytes kept from one token of an answer to the next, computed from the architecture, not measured."""

    tokens: int
    """Of the context, padding and question included, that the figures are for."""
    constant: int
    """Of the decoder's Hyena layers: whatever the context's length. 0 for a reader that only extracts."""
    memory: int
    """Of what the decoder looks at: the keys and values of its own layers, the keys it copies by, and the token ids.
    0 for a reader that only extracts."""
    attention: int
    """Of the KV cache that a decoder-only attention reader of the same depth, width and type would hold."""

    @property
    def total(self) -> int:
        return self.constant + self.memory


def decode_state(config: ReaderModelConfig, tokens: int, element_bytes: int) -> DecodeState:
    """For one context of ``tokens`` tokens, activations of ``element_bytes`` bytes.

    The filters of the decoder are not counted: like weights, they are the same for every context.
    """
    width, layers = config.width, config.decoder_layers
    operator = HyenaConfig()  # of the answer decoder
    short_history = (operator.order + 1) * width * (operator.short_filter - 1) * element_bytes
    recent = (operator.order - 1) * width * config.max_answer_tokens * _FP32
    keys_and_values = (2 * layers + 1) * width * element_bytes  # the one more: the keys to copy by
    return DecodeState(
        tokens=tokens,
        constant=layers * (short_history + recent),
        memory=tokens * (keys_and_values + _INT64 + _BOOL) if layers else 0,
        attention=2 * len(config.mixers) * width * element_bytes * tokens,
    )
