"""The tensors of dataclasses, however nested."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ragyena.model.tensor_fields import mapped, signature, tensors


@dataclasses.dataclass(frozen=True, slots=True)
class Inner:
    x: Tensor


@dataclasses.dataclass(frozen=True, slots=True)
class Outer:
    inner: Inner
    y: Tensor
    count: int = 3


def outer(length: int = 4) -> Outer:
    return Outer(Inner(torch.randn(length, 2)), torch.randn(length, 1))


def test_tensors_of_a_batch_come_in_the_order_of_fields() -> None:
    batch = outer()
    first, second = tensors(batch)
    assert first is batch.inner.x and second is batch.y


def test_a_copy_shares_nothing_and_is_equal() -> None:
    batch = outer()
    copy = mapped(batch, torch.Tensor.clone)
    assert copy.count == 3
    for mine, theirs in zip(tensors(copy), tensors(batch)):
        assert torch.equal(mine, theirs) and mine.data_ptr() != theirs.data_ptr()


def test_batches_of_one_shape_and_type_share_a_graph() -> None:
    batch = outer()
    assert signature(batch) == signature(outer())
    assert signature(batch) != signature(outer(5))
    assert signature(batch) != signature(dataclasses.replace(batch, y=batch.y.double()))
