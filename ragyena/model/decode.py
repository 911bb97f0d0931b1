"""Decoding state: the past that a language model keeps to continue exactly. That of a Hyena layer, of constant size, is
``ragyena.ops.hyena.HyenaState``.

Shape suffixes: B sequences, H heads, E channels of a head, N tokens the state has room for, V rows of the vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ragyena.errors import UsageError
from ragyena.ops.hyena import DecodingState

__all__ = ["AttentionState", "LanguageModelState", "sample"]


@dataclass(slots=True)
class AttentionState(DecodingState):
    """Keys and values [B, H, N, E] of every past position of one attention layer; ``length`` of the N are in use."""

    SEQUENCES = {"keys": 0, "values": 0}  # noqa: RUF012 - a constant

    keys: Tensor
    values: Tensor
    length: int
    limited: bool
    """True if N must not grow."""

    @classmethod
    def begin(cls, keys: Tensor, values: Tensor, steps: int | None) -> AttentionState:
        """A state after a prompt with room for ``steps`` positions more; None for no limit."""
        room = keys.shape[2] if steps is None else steps
        keys, values = (torch.nn.functional.pad(t, (0, 0, 0, room)).contiguous() for t in (keys, values))
        return cls(keys, values, keys.shape[2] - room, steps is not None)

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Takes the key and value [B, H, 1, E] of the present position; those of all positions up to it."""
        if self.length == self.keys.shape[2]:
            if self.limited:
                raise UsageError("the decoding state has no room left", hint="prefill with more steps")
            self.keys, self.values = (torch.cat([t, torch.zeros_like(t)], 2) for t in (self.keys, self.values))
        self.keys[:, :, self.length] = key[:, :, 0]
        self.values[:, :, self.length] = value[:, :, 0]
        self.length += 1
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]


@dataclass(slots=True)
class LanguageModelState:
    """The states of a language model's layers, first layer first."""

    layers: list[DecodingState]

    def clone(self) -> LanguageModelState:
        """An independent copy."""
        return LanguageModelState([layer.clone() for layer in self.layers])

    def select(self, rows: Tensor) -> LanguageModelState:
        """The states of the sequences ``rows``, in that order."""
        return LanguageModelState([layer.select(rows) for layer in self.layers])

    def nbytes(self) -> int:
        """Bytes of all layers."""
        return sum(layer.nbytes() for layer in self.layers)


def sample(logits_BV: Tensor, *, temperature: float, generator: torch.Generator | None) -> Tensor:
    """[B] token ids: the likeliest at temperature 0, else drawn from the softmax of ``logits / temperature``."""
    if temperature < 0:
        raise UsageError(f"temperature is {temperature}", hint="give 0 for the likeliest token, or a positive number")
    if temperature == 0:
        return logits_BV.argmax(-1)
    probabilities_BV = (logits_BV.float() / temperature).softmax(-1)
    return torch.multinomial(probabilities_BV, 1, generator=generator)[:, 0]
