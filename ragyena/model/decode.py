"""Decoding from a state of constant size: what a causal Hyena layer must keep of the past to go on exactly.

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

__all__ = ["HyenaState", "LanguageModelState", "sample"]


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
class LanguageModelState:
    """The states of a language model's layers, first layer first."""

    layers: list[HyenaState]

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
