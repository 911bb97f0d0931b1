"""``passage_conv`` of segments of unequal lengths, and of slots, against the definition; its arguments."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numeric import DEVICE, TRITON_TOLERANCE, relative
from torch import Tensor

from ragyena.errors import MissingDependencyError
from ragyena.ops import passage_conv
from ragyena.ops.passage_conv.segments import equal_segments, segment_bounds, segments
from ragyena.ops.reference import passage_conv_reference

BOUNDS = [
    [0, 1],
    [0, 1, 2],
    [0, 3, 5],
    [0, 5, 5],
    [0, 0, 7],
    [0, 1, 2, 2, 40, 41, 70],
    [0, 33, 34, 50, 83],
    [0, 600, 601, 700, 1300],
]


def inputs(bounds: list[int], dtype: torch.dtype = torch.float64, *, channels: int = 3, taps: int = 0) -> list[Tensor]:
    """u, filter, gate_in, gate_out."""
    length, longest = bounds[-1], max(end - start for start, end in pairwise(bounds))
    generator = torch.Generator().manual_seed(length)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype).to(DEVICE).requires_grad_()

    full = (1, channels, length)
    return [draw(*full), draw(channels, taps or 2 * longest - 1), draw(*full), draw(*full)]


def check(arguments: list[Tensor], bounds: list[int], tolerance: float, **options: Any) -> None:
    cu_seqlens = torch.tensor(bounds, dtype=torch.int32, device=DEVICE)

    def call(function: Any, given: list[Tensor], **options: Any) -> Tensor:
        u, taps, gate_in, gate_out = given
        y: Tensor = function(u, taps, cu_seqlens=cu_seqlens, gate_in_BDL=gate_in, gate_out_BDL=gate_out, **options)
        return y

    doubles = [a.detach().cpu().double().requires_grad_() for a in arguments]
    actual, expected = call(passage_conv, arguments, **options), call(passage_conv_reference, doubles)
    assert actual.dtype == arguments[0].dtype
    assert relative(actual, expected) <= tolerance
    cotangent = torch.randn(expected.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    cotangent = cotangent.to(actual.dtype)
    gradients = torch.autograd.grad(actual, arguments, cotangent.to(DEVICE))
    wanted = torch.autograd.grad(expected, doubles, cotangent.double())
    for name, f, w, a in zip(("u", "filter", "gate_in", "gate_out"), gradients, wanted, arguments):
        assert f.dtype == a.dtype
        assert relative(f, w) <= tolerance, name


@pytest.mark.parametrize("bounds", BOUNDS, ids=str)
def test_outputs_and_gradients_are_those_of_each_segment_alone(bounds: list[int]) -> None:
    check(inputs(bounds), bounds, 1e-13)


@pytest.mark.parametrize("taps", [1, 7, 301])
def test_filters_of_fewer_and_more_lags_than_segments_have(taps: int) -> None:
    check(inputs([0, 3, 40, 90], taps=taps), [0, 3, 40, 90], 1e-13)


@pytest.mark.parametrize("backend", ["toeplitz", "fft"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 2e-6)], ids=str)
def test_each_backend(backend: str, dtype: torch.dtype, tolerance: float) -> None:
    check(inputs([0, 9, 10, 47], dtype), [0, 9, 10, 47], tolerance, backend=backend)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision(dtype: torch.dtype) -> None:
    check(inputs([0, 20, 41, 44], dtype), [0, 20, 41, 44], 2e-2 if dtype == torch.bfloat16 else 3e-3)


def test_the_kernels_take_segments() -> None:
    pytest.importorskip("triton", reason="Triton is not installed")
    check(inputs([0, 20, 41, 44], torch.float32, channels=1), [0, 20, 41, 44], 2e-6, backend="triton")
    u, taps, *_ = (a.detach() for a in inputs([0, 9, 25], torch.float16, channels=1))
    cu_seqlens = torch.tensor([0, 9, 25])
    y = passage_conv(u, taps, cu_seqlens=cu_seqlens, backend="triton")
    expected = passage_conv_reference(u, taps, cu_seqlens=cu_seqlens)
    assert relative(y, expected) <= TRITON_TOLERANCE[torch.float16]


def test_gradients_by_finite_differences() -> None:
    arguments = [a.cpu().detach().requires_grad_() for a in inputs([0, 2, 2, 7, 8], channels=2, taps=5)]
    cu_seqlens = torch.tensor([0, 2, 2, 7, 8])
    assert torch.autograd.gradcheck(
        lambda u, taps, a, b: passage_conv(u, taps, cu_seqlens=cu_seqlens, gate_in_BDL=a, gate_out_BDL=b), arguments
    )
    assert torch.autograd.gradcheck(
        lambda u, taps, a, b: passage_conv(u, taps, slot_tokens=3, gate_in_BDL=a, gate_out_BDL=b), arguments
    )


def test_segments_do_not_see_each_other() -> None:
    u, taps, *_ = (a.detach() for a in inputs([0, 20, 41, 44]))
    changed = u.clone()
    changed[..., 25] += 1
    cu_seqlens = torch.tensor([0, 20, 41, 44])
    difference = (passage_conv(u, taps, cu_seqlens=cu_seqlens) - passage_conv(changed, taps, cu_seqlens=cu_seqlens))[0]
    assert difference[:, :20].abs().max() == 0 and difference[:, 41:].abs().max() == 0
    assert difference[:, 20:41].abs().max() > 0


@pytest.mark.parametrize("bounds", [[0, 20, 40, 60], [0, 20, 40, 47], [0, 9]], ids=str)
def test_equal_segments_are_slots(bounds: list[int]) -> None:
    u, taps, *_ = (a.detach() for a in inputs(bounds))
    y = passage_conv(u, taps, cu_seqlens=torch.tensor(bounds))
    assert torch.equal(y, passage_conv(u, taps, slot_tokens=bounds[1]))
    assert equal_segments(bounds) == bounds[1]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 90), min_size=1, max_size=12).filter(any))
def test_every_position_is_in_one_slot_padded_to_less_than_twice_its_segment(lengths: list[int]) -> None:
    bounds = [sum(lengths[:n]) for n in range(len(lengths) + 1)]
    held = []
    for size in segments(bounds, torch.device("cpu")):
        held += size.positions.tolist()
        inside = size.sources < bounds[-1]
        assert torch.equal(size.sources.flatten()[size.cells], size.positions)
        assert int(inside.sum()) == len(size.cells)
        shortest = int(inside.sum(1).min())
        assert size.size <= max(16, 2 * shortest + 16)
    assert sorted(held) == list(range(bounds[-1]))


def test_it_compiles_around_the_bounds() -> None:
    u, taps, *_ = (a.detach() for a in inputs([0, 5, 12]))
    cu_seqlens = torch.tensor([0, 5, 12])
    compiled = torch.compile(lambda u, taps: 2 * passage_conv(u, taps, cu_seqlens=cu_seqlens), backend="eager")
    assert relative(compiled(u, taps), 2 * passage_conv(u, taps, cu_seqlens=cu_seqlens)) <= 1e-13


def test_slots_compile_in_one_graph() -> None:
    u, taps, *_ = inputs([0, 12], torch.float32)
    compiled = torch.compile(lambda u, taps: passage_conv(u, taps, slot_tokens=5), backend="aot_eager", fullgraph=True)
    y, expected = compiled(u, taps), passage_conv(u, taps, slot_tokens=5)
    assert relative(y, expected) <= 1e-6
    for f, w in zip(torch.autograd.grad(y.sum(), [u, taps]), torch.autograd.grad(expected.sum(), [u, taps])):
        assert relative(f, w) <= 1e-5


@pytest.mark.parametrize("backend", ["auto", "fft", "toeplitz"])
def test_no_sequences_and_no_channels(backend: Any) -> None:
    for batch, channels in ((0, 3), (2, 0)):
        u, taps = torch.zeros(batch, channels, 9, requires_grad=True), torch.ones(channels, 7, requires_grad=True)
        y = passage_conv(u, taps, slot_tokens=4, gate_in_BDL=torch.zeros_like(u), backend=backend)
        assert y.shape == (batch, channels, 9)
        assert all(not gradient.any() for gradient in torch.autograd.grad(y.sum(), [u, taps]))


@pytest.mark.parametrize(
    ("cu_seqlens", "message"),
    [
        ([0, 3], "goes from 0 to 3; it must go from 0 to 6"),
        ([1, 6], "goes from 1 to 6"),
        ([0, 4, 2, 6], "falls"),
        ([6], "segments"),
        ([[0, 6]], "segments"),
    ],
)
def test_wrong_bounds_are_named(cu_seqlens: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        segment_bounds(torch.tensor(cu_seqlens), 6)


def test_wrong_arguments_are_named() -> None:
    u, taps = torch.zeros(1, 2, 6), torch.zeros(2, 11)
    bounds = torch.tensor([0, 6])
    with pytest.raises(TypeError, match=r"cu_seqlens is torch\.float32"):
        passage_conv(u, taps, cu_seqlens=bounds.float())
    with pytest.raises(ValueError, match="one of the two"):
        passage_conv(u, taps)
    with pytest.raises(ValueError, match="one of the two"):
        passage_conv(u, taps, slot_tokens=3, cu_seqlens=bounds)
    with pytest.raises(ValueError, match="packed into a batch of 1"):
        passage_conv(u.expand(2, 2, 6), taps, cu_seqlens=bounds)
    with pytest.raises(ValueError, match="slots of 0 tokens"):
        passage_conv(u, taps, slot_tokens=0)
    with pytest.raises(ValueError, match="odd number of taps"):
        passage_conv(u, taps[:, 1:], slot_tokens=3)
    with pytest.raises(TypeError, match=r"gate_in is torch\.int64"):
        passage_conv(u, taps, slot_tokens=3, gate_in_BDL=u.long())
    with pytest.raises(ValueError, match="filter is on meta and u on cpu"):
        passage_conv(u, taps.to("meta"), slot_tokens=3)
    with pytest.raises(MissingDependencyError, match="no backend 'grouped'"):
        passage_conv(u, taps, slot_tokens=3, backend="grouped")
