"""Convolution inside slots: implementations of one definition."""

from __future__ import annotations

import pytest
import torch

from ragyena.errors import MissingDependencyError
from ragyena.ops.passage_conv import slot_conv
from ragyena.ops.passage_conv.op import toeplitz
from ragyena.ops.reference import slot_conv_reference

SIZES = [1, 2, 3, 7, 16, 37, 64, 129]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("backend", ["toeplitz", "fft"])
def test_equals_the_definition_in_outputs_and_gradients(size: int, backend: str) -> None:
    generator = torch.Generator().manual_seed(size)
    u = (torch.randn(3, size, 5, generator=generator) + 2).requires_grad_()
    taps = torch.randn(5, 2 * size - 1, generator=generator).requires_grad_()
    cotangent = torch.randn(3, size, 5, generator=generator)
    y = slot_conv(u, taps, backend=backend)
    expected = slot_conv_reference(u, taps)
    assert (y.double() - expected).norm() <= 2e-6 * expected.norm()
    gradients = torch.autograd.grad((y * cotangent).sum(), (u, taps))
    expected_gradients = torch.autograd.grad((expected * cotangent.double()).sum(), (u, taps))
    for got, want in zip(gradients, expected_gradients):
        assert (got.double() - want.double()).norm() <= 4e-6 * want.double().norm()


@pytest.mark.parametrize("size", [*SIZES, 256])
def test_grouped_matrices_equal_the_definition(size: int) -> None:
    u, taps = torch.randn(3, size, 21), torch.randn(21, 2 * size - 1)
    with torch.no_grad():
        y = slot_conv(u, taps, backend="grouped")
    expected = slot_conv_reference(u, taps)
    assert (y.double() - expected).norm() <= 2e-6 * expected.norm()


def test_grouped_matrices_refuse_to_lose_a_gradient() -> None:
    with pytest.raises(MissingDependencyError, match="it has no gradient"):
        slot_conv(torch.randn(1, 8, 2, requires_grad=True), torch.randn(2, 15), backend="grouped")


def test_half_precision_stays_within_its_rounding() -> None:
    u, taps = torch.randn(4, 50, 8), torch.randn(8, 99)
    expected = slot_conv_reference(u, taps)
    for backend in ("toeplitz", "grouped", "fft"):
        y = slot_conv(u.bfloat16(), taps, backend=backend)
        assert y.dtype == torch.bfloat16
        assert (y.double() - expected).norm() <= 6e-3 * expected.norm()


def test_slots_are_independent() -> None:
    u, taps = torch.randn(3, 20, 4), torch.randn(4, 39)
    changed = u.clone()
    changed[1, 7] += 1
    difference = (slot_conv(u, taps) - slot_conv(changed, taps)).abs().amax((1, 2))
    assert difference[0] == 0 and difference[2] == 0 and difference[1] > 0


def test_toeplitz_holds_the_filter_by_lag() -> None:
    taps = torch.arange(7.0)[None]
    matrix = toeplitz(taps, 4)[0]
    for target in range(4):
        for source in range(4):
            assert matrix[target, source] == target - source + 3


def test_a_filter_without_a_middle_is_refused() -> None:
    with pytest.raises(ValueError, match="odd number of lags"):
        slot_conv(torch.zeros(1, 8, 2), torch.zeros(2, 14))


@pytest.mark.parametrize("taps", [1, 5, 15, 21, 99])
@pytest.mark.parametrize("backend", ["toeplitz", "grouped", "fft"])
def test_filters_of_fewer_or_more_lags_than_a_slot_has(taps: int, backend: str) -> None:
    generator = torch.Generator().manual_seed(taps)
    u, filter_CK = torch.randn(3, 8, 2, generator=generator), torch.randn(2, taps, generator=generator)
    expected = slot_conv_reference(u, filter_CK)
    assert (slot_conv(u, filter_CK, backend=backend).double() - expected).norm() <= 2e-6 * expected.norm()


def test_a_backend_that_is_not_there_is_refused() -> None:
    with pytest.raises(MissingDependencyError, match=r"slot_conv has no backend 'triton'"):
        slot_conv(torch.zeros(1, 8, 2), torch.zeros(2, 15), backend="triton")


@pytest.mark.parametrize("size", [1, 2, 7, 20])
def test_the_reference_is_a_sum_over_lags(size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    u = torch.randn(2, size, 3, generator=generator, dtype=torch.float64)
    taps = torch.randn(3, 2 * size - 1, generator=generator, dtype=torch.float64)
    expected = torch.einsum("cts,nsc->ntc", toeplitz(taps, size), u)
    assert torch.allclose(slot_conv_reference(u, taps), expected, rtol=1e-12, atol=1e-12)
