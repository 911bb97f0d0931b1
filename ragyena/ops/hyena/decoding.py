"""Decoding state: the past that a causal Hyena layer keeps to continue exactly, of constant size.

Shape suffixes: B sequences, O long convolutions of a layer (order - 1), C short-convolution channels, D channels,
K filter lags, N tokens the state has room for, S = min(N, K - 1) positions that a prompt still contributes to.

The long convolution's output at a new position is the prompt's contribution to it, which the zero-padded transform
of the prompt yields as well (``long_conv_with_tail``), plus a short sum over the tokens decoded since. The state is
O(N D) a layer whatever the prompt's length; where N reaches K, the circular buffer of recent inputs wraps and decoding
may go on without end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from ragyena.errors import UsageError

__all__ = ["DecodingState", "HyenaState"]


@dataclass(slots=True)
class DecodingState:
    """State of one layer. A step advances it in place: keep a ``clone`` to go back to."""

    SEQUENCES: ClassVar[Mapping[str, int]]
    """The tensors that belong to the sequences, with their dimension of sequences. The others are shared."""

    def clone(self) -> Self:
        """An independent copy."""
        return replace(self, **{name: getattr(self, name).clone() for name in self.SEQUENCES})

    def select(self, rows: Tensor) -> Self:
        """The states of the sequences ``rows``, in that order; a sequence may come twice (beam search)."""
        return replace(self, **{name: getattr(self, name).index_select(d, rows) for name, d in self.SEQUENCES.items()})

    def nbytes(self) -> int:
        """Bytes of the state, shared tensors included."""
        values = (getattr(self, field.name) for field in fields(self))
        return sum(value.nbytes for value in values if isinstance(value, Tensor))


@dataclass(slots=True)
class HyenaState(DecodingState):
    """State of a causal Hyena layer."""

    SEQUENCES = {"history": 0, "tail": 1, "recent": 1}  # noqa: RUF012 - a constant

    history: Tensor
    """[B, C, taps - 1] inputs of the short convolution at the last positions."""
    tail: Tensor
    """[O, B, D, S] the prompt's contribution to the positions after it, fp32."""
    recent: Tensor
    """[O, B, D, N] circular buffer of the long convolutions' inputs since the prompt, fp32; zero before."""
    filters: Tensor
    """[O, D, 2 N] the filters reversed, twice in a row, so that each alignment with the buffer is a slice."""
    limited: bool
    """True if N is less than the filters' lags, so that the buffer must not wrap."""
    position: int = 0
    """Tokens decoded since the prompt."""

    @classmethod
    def begin(cls, history: Tensor, tail: Tensor, filter_ODK: Tensor, steps: int | None) -> HyenaState:
        """A state with room for ``steps`` tokens after the prompt; None for no limit."""
        lags = filter_ODK.shape[2]
        room = lags if steps is None else min(steps, lags)
        reversed_ODN = filter_ODK[..., :room].flip(2)
        recent = tail.new_zeros(*tail.shape[:3], room)
        return cls(history, tail, recent, torch.cat([reversed_ODN, reversed_ODN], dim=2), limited=room < lags)

    def convolve(self, index: int, p_BD: Tensor) -> Tensor:
        """Takes the input of long convolution ``index`` at the present position; its output there, [B, D]."""
        room, position = self.recent.shape[3], self.position
        if self.limited and position >= room:
            raise UsageError(
                f"the decoding state has room for {room} tokens and all are used", hint="prefill with more steps"
            )
        recent_BDN = self.recent[index]
        recent_BDN[..., position % room] = p_BD
        used = min(position + 1, room)
        start = (room - 1 - position) % room
        aligned_DN = self.filters[index, :, start : start + used]
        y_BD = torch.einsum("bdn,dn->bd", recent_BDN[..., :used], aligned_DN)
        if position < self.tail.shape[3]:
            y_BD = y_BD + self.tail[index, ..., position]
        return y_BD
