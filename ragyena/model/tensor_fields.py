"""The tensors of a dataclass, such as a batch, and of the dataclasses in it: to copy and to compare."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

__all__ = ["mapped", "signature", "tensors"]


def tensors(batch: Any) -> Iterator[Tensor]:
    """The tensors of a dataclass and of the dataclasses in it, in the order of their fields."""
    for field in dataclasses.fields(batch):
        value = getattr(batch, field.name)
        if isinstance(value, Tensor):
            yield value
        elif dataclasses.is_dataclass(value):
            yield from tensors(value)


def mapped(batch: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The dataclass with ``change`` done to its tensors, and to those of the dataclasses in it."""
    values = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
    changed = {name: change(value) for name, value in values.items() if isinstance(value, Tensor)}
    nested = {name: mapped(value, change) for name, value in values.items() if dataclasses.is_dataclass(value)}
    return dataclasses.replace(batch, **changed, **nested)


def signature(batch: Any) -> tuple[tuple[torch.Size, torch.dtype], ...]:
    """Shapes and types of the batch's tensors; batches with equal ones share a graph."""
    return tuple((tensor.shape, tensor.dtype) for tensor in tensors(batch))
