"""The linear layer's cross-entropy against its fp64 definition: value and gradients, any chunk, targets left out."""

from __future__ import annotations

import pytest
import torch
from numeric import relative

from ragyena.ops.cross_entropy import linear_cross_entropy
from ragyena.ops.reference import linear_cross_entropy_reference

TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-6, torch.bfloat16: 1e-2}


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("chunk", [1, 5, 64])
def test_value_and_gradients_match_the_definition(dtype: torch.dtype, chunk: int) -> None:
    generator = torch.Generator().manual_seed(chunk)
    x = torch.randn(23, 12, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
    kept = torch.float64 if dtype == torch.float64 else torch.float32  # weights in training
    weight = torch.randn(37, 12, generator=generator, dtype=torch.float64).to(dtype).to(kept).requires_grad_()
    target = torch.randint(-1, 37, (23,), generator=generator)
    expected = linear_cross_entropy_reference(x, weight, target)
    actual = linear_cross_entropy(x, weight, target, chunk=chunk)
    assert actual.dtype == kept
    assert relative(actual.detach(), expected.detach()) <= TOLERANCE[dtype]
    wanted = torch.autograd.grad(3 * expected, [x, weight])
    gradients = torch.autograd.grad(3 * actual, [x, weight])
    for f, w, a in zip(gradients, wanted, (x, weight)):
        assert f.dtype == a.dtype
        assert relative(f, w) <= TOLERANCE[dtype]
    with torch.no_grad():
        assert torch.allclose(linear_cross_entropy(x, weight, target, chunk=chunk), actual.detach())


def test_without_a_target_there_is_no_loss() -> None:
    x, weight = torch.randn(4, 3, requires_grad=True), torch.randn(5, 3)
    loss = linear_cross_entropy(x, weight, torch.full((4,), -1))
    loss.backward()
    assert float(loss.detach()) == 0.0 and x.grad is not None and not x.grad.any()
