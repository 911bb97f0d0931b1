"""The input of a reader model: contexts as tensors.

Legend: B contexts, Q question tokens, P passages, S slot tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ragyena.types import Context

__all__ = ["ContextShape", "ReaderInput", "collate", "on_device"]


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


def collate(contexts: Sequence[Context], device: torch.device | str, *, pad_id: int = 0) -> ReaderInput:
    """Contexts padded to one shape; empty slots and padding are masked."""
    batch = len(contexts)
    question = max(c.question_ids.shape[0] for c in contexts)
    passages, slot = (max(c.token_ids.shape[axis] for c in contexts) for axis in (0, 1))
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
    arrays = (question_ids, question_mask, token_ids, token_mask, text_mask)
    return ReaderInput(*(on_device(torch.from_numpy(array), device) for array in arrays))


def on_device(tensor: Tensor, device: torch.device | str) -> Tensor:
    """A tensor of the host on ``device``. To a GPU it goes from pinned memory, and nobody waits until it is there: what
    is launched after it on the same stream finds it."""
    if torch.device(device).type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
