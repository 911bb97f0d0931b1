"""The input of a reader model: contexts as tensors.

Legend: B contexts, Q question tokens, P passages, S slot tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ragyena.types import Context

__all__ = ["ContextShape", "ReaderInput", "collate", "collated", "on_device", "packed", "shape_of", "unpacked"]

_ALIGNED = 16  # bytes: the widest access of a GPU


class ContextShape(NamedTuple):
    """The size of a context, padding included."""

    question: int
    """Tokens of the question."""
    passages: int
    slot: int
    """Tokens of each padded passage."""

    @property
    def tokens(self) -> int:
        """Tokens of question and passages, padding included."""
        return self.question + self.passages * self.slot


@dataclass(frozen=True, slots=True)
class ReaderInput:
    """A batch of contexts of one shape."""

    question_ids: Tensor
    """[B, Q] int64."""
    question_mask: Tensor
    """[B, Q] bool, False at padding."""
    token_ids: Tensor
    """[B, P, S] int64."""
    token_mask: Tensor
    """[B, P, S] bool, False at padding."""
    text_mask: Tensor
    """[B, P, S] bool, True at tokens an answer may be taken from."""

    @property
    def shape(self) -> ContextShape:
        """The shape of each context."""
        return ContextShape(self.question_ids.shape[1], *self.token_ids.shape[1:])

    def row(self, index: int) -> ReaderInput:
        """One context of the batch, as a batch of one."""
        return self.rows(slice(index, index + 1))

    def rows(self, some: slice | Tensor) -> ReaderInput:
        """Some contexts of the batch, by a slice or an index."""
        return ReaderInput(*(getattr(self, field.name)[some] for field in fields(self)))


def collate(
    contexts: Sequence[Context], device: torch.device | str, *, pad_id: int = 0, shape: ContextShape | None = None
) -> ReaderInput:
    """Contexts padded to one ``shape``, by default the least that holds each; empty slots and padding are masked."""
    return ReaderInput(*on_device(collated(contexts, pad_id=pad_id, shape=shape), device))


def shape_of(contexts: Sequence[Context]) -> ContextShape:
    """The least shape that holds each of the contexts."""
    question = max(c.question_ids.shape[0] for c in contexts)
    return ContextShape(question, *(max(c.token_ids.shape[axis] for c in contexts) for axis in (0, 1)))


def collated(
    contexts: Sequence[Context], *, pad_id: int = 0, shape: ContextShape | None = None
) -> list[npt.NDArray[Any]]:
    """The fields of ``collate``'s input, in their order, on the host."""
    batch = len(contexts)
    question, passages, slot = shape or shape_of(contexts)
    question_ids = np.full((batch, question), pad_id, np.int64)
    token_ids = np.full((batch, passages, slot), pad_id, np.int64)
    question_mask = np.zeros(question_ids.shape, np.bool_)
    token_mask, text_mask = np.zeros((2, *token_ids.shape), np.bool_)
    for row, context in enumerate(contexts):
        size, (slots, tokens) = len(context.question_ids), context.token_ids.shape
        question_ids[row, :size], question_mask[row, :size] = context.question_ids, True
        token_ids[row, :slots, :tokens] = context.token_ids
        token_mask[row, :slots, :tokens] = context.token_mask
        text_mask[row, :slots, :tokens] = context.text_mask
    return [question_ids, question_mask, token_ids, token_mask, text_mask]


def on_device(arrays: Sequence[npt.NDArray[Any]], device: torch.device | str) -> list[Tensor]:
    """Arrays of the host as tensors on ``device``. To a GPU they go together, in one transfer from pinned memory that
    nobody waits for: what is launched after it on the same stream finds them."""
    given = [torch.from_numpy(array) for array in arrays]
    if torch.device(device).type != "cuda":
        return [tensor.to(device) for tensor in given]
    return unpacked(packed(given, pinned=True).to(device, non_blocking=True), given)


def packed(given: Sequence[Tensor], *, pinned: bool) -> Tensor:
    """The bytes of several tensors of the host in one, each from a multiple of ``_ALIGNED`` on."""
    places = _places(given)
    together = torch.empty(places[-1], dtype=torch.uint8, pin_memory=pinned)
    for part, tensor in zip(unpacked(together, given), given):
        part.copy_(tensor)
    return together


def unpacked(together: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Views of the tensors that ``packed`` joined, wherever they are now; types and shapes are those of ``like``."""
    return [
        together[first : first + tensor.nbytes].view(tensor.dtype).view(tensor.shape)
        for first, tensor in zip(_places(like), like)
    ]


def _places(tensors: Sequence[Tensor]) -> list[int]:
    """Offsets of each among the bytes of all, and of the end of the last one."""
    sizes = [-(-tensor.nbytes // _ALIGNED) * _ALIGNED for tensor in tensors]
    return [sum(sizes[:index]) for index in range(len(sizes) + 1)]
