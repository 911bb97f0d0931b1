"""Decoding: what a causal layer must keep of the past to go on exactly; of constant size for a Hyena layer.

Shape suffixes: B sequences, O long convolutions of a layer (order - 1), C short-convolution channels, D channels,
K filter lags, N tokens the state has room for, S = min(N, K - 1) positions a prompt still contributes to.

The long convolution's output at a new position is the prompt's contribution to it, which the zero-padded transform
of the prompt gives away (``long_conv_with_tail``), plus a short sum over the tokens decoded since. The state is
O(N D) a layer whatever the prompt's length; where N reaches K, the ring of recent inputs wraps and decoding may go
on for ever.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ragyena.errors import UsageError

__all__ = ["AttentionState", "HyenaState", "LanguageModelState", "sample"]


@dataclass(slots=True)
class HyenaState:
    """State of one layer. A step advances it in place: keep a ``clone`` to go back to."""

    history: Tensor
    """[B, C, taps - 1] inputs of the short convolution at the last positions."""
    tail: Tensor
    """[O, B, D, S] the prompt's contribution to the positions after it, fp32."""
    recent: Tensor
    """[O, B, D, N] ring of the long convolutions' inputs since the prompt, fp32; zero where there were none yet."""
    filters: Tensor
    """[O, D, 2 N] the filters reversed, twice in a row, so that each alignment with the ring is a slice. Shared."""
    limited: bool
    """Whether N is less than the filters' lags, so that the ring must not wrap."""
    position: int = 0
    """Tokens decoded since the prompt."""

    @classmethod
    def begin(cls, history: Tensor, tail: Tensor, filter_ODK: Tensor, steps: int | None) -> HyenaState:
        """A state with room for ``steps`` tokens after the prompt; None for no limit."""
        lags = filter_ODK.shape[2]
        room = lags if steps is None else min(steps, lags)
        reversed_ODN = filter_ODK[..., :room].flip(2)
        order, batch, channels, _ = tail.shape
        return cls(
            history=history,
            tail=tail,
            recent=tail.new_zeros(order, batch, channels, room),
            filters=torch.cat([reversed_ODN, reversed_ODN], dim=2),
            limited=room < lags,
        )

    def convolve(self, index: int, p_BD: Tensor) -> Tensor:
        """Takes the input of long convolution ``index`` at the present position; gives its output there, [B, D]."""
        room, position = self.recent.shape[3], self.position
        if self.limited and position >= room:
            raise UsageError(
                f"the decoding state has room for {room} tokens and all are used", hint="prefill with more steps"
            )
        ring_BDN = self.recent[index]
        ring_BDN[..., position % room] = p_BD
        used = min(position + 1, room)
        start = (room - 1 - position) % room
        aligned_DN = self.filters[index, :, start : start + used]
        y_BD = torch.einsum("bdn,dn->bd", ring_BDN[..., :used], aligned_DN)
        if position < self.tail.shape[3]:
            y_BD = y_BD + self.tail[index, ..., position]
        return y_BD

    def clone(self) -> HyenaState:
        """An independent copy (the filters, which no step changes, stay shared)."""
        return self._mapped(self.history.clone(), self.tail.clone(), self.recent.clone())

    def select(self, rows: Tensor) -> HyenaState:
        """The states of the sequences ``rows``, in that order; a sequence may come twice (beam search)."""
        return self._mapped(self.history[rows], self.tail[:, rows], self.recent[:, rows])

    def nbytes(self) -> int:
        """Bytes of the state; the filters count once, though sequences and clones share them."""
        tensors = (self.history, self.tail, self.recent, self.filters)
        return sum(t.numel() * t.element_size() for t in tensors)

    def _mapped(self, history: Tensor, tail: Tensor, recent: Tensor) -> HyenaState:
        return HyenaState(history, tail, recent, self.filters, self.limited, self.position)


@dataclass(slots=True)
class AttentionState:
    """Keys and values of every past position of one attention layer, [B, H, N, E]: ``length`` of the N are in use."""

    keys: Tensor
    values: Tensor
    length: int
    limited: bool
    """Whether N is all the room there will be."""

    @classmethod
    def begin(cls, keys: Tensor, values: Tensor, steps: int | None) -> AttentionState:
        """A state after a prompt with room for ``steps`` positions more; None for no limit."""
        room = keys.shape[2] if steps is None else steps
        keys, values = (torch.nn.functional.pad(t, (0, 0, 0, room)).contiguous() for t in (keys, values))
        return cls(keys, values, keys.shape[2] - room, steps is not None)

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Takes the key and value [B, H, 1, E] of the present position; gives all up to it."""
        if self.length == self.keys.shape[2]:
            if self.limited:
                raise UsageError("the decoding state has no room left", hint="prefill with more steps")
            self.keys, self.values = (torch.cat([t, torch.zeros_like(t)], 2) for t in (self.keys, self.values))
        self.keys[:, :, self.length] = key[:, :, 0]
        self.values[:, :, self.length] = value[:, :, 0]
        self.length += 1
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]

    def clone(self) -> AttentionState:
        """An independent copy."""
        return AttentionState(self.keys.clone(), self.values.clone(), self.length, self.limited)

    def select(self, rows: Tensor) -> AttentionState:
        """The states of the sequences ``rows``, in that order."""
        return AttentionState(self.keys[rows], self.values[rows], self.length, self.limited)

    def nbytes(self) -> int:
        """Bytes of the state."""
        return 2 * self.keys.numel() * self.keys.element_size()


@dataclass(slots=True)
class LanguageModelState:
    """The states of a language model's layers, first layer first."""

    layers: list[HyenaState | AttentionState]

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
