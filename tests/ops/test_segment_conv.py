"""Convolution inside segments of several lengths against its definition in fp64, every backend.

Without a GPU the Triton kernels run in Triton's interpreter (tests/conftest.py).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ragyena.errors import MissingDependencyError
from ragyena.ops.passage_conv.op import gated_segment_conv, gated_segment_conv_reference, gated_slot_conv

pytest.importorskip("triton", reason="Triton is not installed")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
TOLERANCE = {torch.float16: 1e-3, torch.bfloat16: 6e-3, torch.float32: 1e-6}
NAMES = ["u", "filter", "gate_in", "gate_out"]


@pytest.fixture(autouse=True, scope="module")
def poisoned() -> Iterator[None]:
    """``torch.empty`` gives NaN: what a kernel leaves unwritten, or reads too early, is seen."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    yield
    torch.use_deterministic_algorithms(False)


def relative(actual: Tensor, expected: Tensor) -> float:
    actual, expected = actual.detach().double().cpu(), expected.detach().double().cpu()
    return float((actual - expected).norm() / expected.norm().clamp_min(1e-300))


def inputs(batch: int, channels: int, length: int, reach: int, dtype: torch.dtype) -> list[Tensor]:
    """u, filter, gate_in, gate_out."""
    generator = torch.Generator().manual_seed(length * 1009 + reach)
    shapes = [(batch, channels, length), (channels, 2 * reach + 1), *[(batch, channels, length)] * 2]
    made = [torch.randn(*shape, generator=generator) for shape in shapes]
    return [x.to(DEVICE, torch.float32 if i == 1 else dtype).requires_grad_() for i, x in enumerate(made)]


def compare(lengths: list[int], reach: int, dtype: torch.dtype, backend: str, limit: float, *, batch: int = 2) -> None:
    arguments = inputs(batch, 2, sum(lengths), reach, dtype)
    u, taps, gate_in, gate_out = arguments
    gates = {"gate_in_BDL": gate_in, "gate_out_BDL": gate_out}
    actual = gated_segment_conv(u, taps, lengths=lengths, backend=backend, **gates)
    expected = gated_segment_conv_reference(u, taps, lengths=lengths, **gates)
    assert actual.dtype == dtype
    assert relative(actual, expected) <= limit
    cotangent = torch.randn(u.shape, generator=torch.Generator().manual_seed(0)).to(DEVICE, dtype)
    found = torch.autograd.grad(actual, arguments, cotangent)
    for name, f, w in zip(NAMES, found, torch.autograd.grad(expected, arguments, cotangent.double())):
        assert relative(f, w) <= limit, name


@pytest.mark.parametrize(
    ("lengths", "reach", "dtype"),
    [
        ([1], 0, torch.float32),
        ([5, 1, 9, 2], 8, torch.float32),
        ([30, 70, 3], 12, torch.float16),
        ([17, 100, 40], 150, torch.bfloat16),
        ([130, 20, 64], 129, torch.float16),
    ],
    ids=str,
)
def test_matches_fp64(lengths: list[int], reach: int, dtype: torch.dtype) -> None:
    """A reach of the longest segment, a shorter and a longer one."""
    compare(lengths, reach, dtype, "triton", TOLERANCE[dtype])


@pytest.mark.parametrize("backend", ["toeplitz", "fft"])
@pytest.mark.parametrize(("lengths", "reach"), [([1], 3), ([5, 1, 9, 2], 8), ([30, 70, 3], 12)], ids=str)
def test_torch_matches_fp64(lengths: list[int], reach: int, backend: str) -> None:
    compare(lengths, reach, torch.float32, backend, 4e-6)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(1, 24), min_size=1, max_size=6), st.integers(0, 30))
def test_any_segmentation_on_triton(lengths: list[int], reach: int) -> None:
    compare(lengths, reach, torch.float32, "triton", 2e-6, batch=1)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 24), min_size=1, max_size=6), st.integers(0, 30), st.sampled_from(["toeplitz", "fft"]))
def test_any_segmentation_in_torch(lengths: list[int], reach: int, backend: str) -> None:
    compare(lengths, reach, torch.float32, backend, 5e-6)


@pytest.mark.skipif(DEVICE == "cpu", reason="too slow to interpret")
@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("longest", [16, 31, 64, 100, 128, 200, 256, 320, 512])
def test_every_plan_of_every_type(longest: int, dtype: torch.dtype) -> None:
    compare([longest, longest // 3, 1, longest // 2, longest], longest - 1, dtype, "triton", TOLERANCE[dtype])


@pytest.mark.parametrize("backend", ["toeplitz", "triton"])
def test_equal_segments_are_slots(backend: str) -> None:
    u, taps, gate_in, gate_out = inputs(2, 3, 60, 19, torch.float32)
    gates = {"gate_in_BDL": gate_in, "gate_out_BDL": gate_out}
    segments = gated_segment_conv(u, taps, lengths=[20, 20, 20], backend=backend, **gates)
    assert torch.equal(segments, gated_slot_conv(u, taps, slot_tokens=20, backend=backend, **gates))


@pytest.mark.parametrize("backend", ["toeplitz", "fft", "triton"])
def test_a_segment_does_not_hear_another(backend: str) -> None:
    u, taps, *_ = (a.detach() for a in inputs(1, 2, 50, 30, torch.float32))
    changed = u.clone()
    changed[..., 15] += 1
    y, z = (gated_segment_conv(x, taps, lengths=[12, 21, 17], backend=backend) for x in (u, changed))
    moved = (y != z).any(1)[0].cpu()
    assert not moved[:12].any() and moved[12:33].any() and not moved[33:].any()


def test_the_same_bits_from_run_to_run() -> None:
    arguments = inputs(1, 2, 90, 29, torch.float16)

    def once() -> list[Tensor]:
        u, taps, gate_in, gate_out = arguments
        gates = {"gate_in_BDL": gate_in, "gate_out_BDL": gate_out}
        y = gated_segment_conv(u, taps, lengths=[30, 9, 51], backend="triton", **gates)
        return [y, *torch.autograd.grad(y.float().sum(), arguments)]

    assert all(torch.equal(a, b) for a, b in zip(once(), once()))


def test_operator_is_registered_soundly() -> None:
    u, taps, gate_in, gate_out = inputs(1, 2, 13, 6, torch.float32)
    starts = torch.tensor([0, 5, 12, 13], dtype=torch.int32, device=DEVICE)
    operator = torch.ops.ragyena.slot_conv_triton.default
    torch.library.opcheck(operator, (u, taps, 7, gate_in, gate_out, starts))


def test_what_does_not_fit_is_refused() -> None:
    u, taps = torch.zeros(1, 2, 8, device=DEVICE), torch.zeros(2, 7, device=DEVICE)
    for lengths in ([3, 4], [8, 0], [], [9]):
        with pytest.raises(ValueError, match="segments of"):
            gated_segment_conv(u, taps, lengths=lengths)
    for wrong in (taps[:, :6], taps[:1], taps[0]):
        with pytest.raises(ValueError, match="filter of shape"):
            gated_segment_conv(u, wrong, lengths=[8])
    with pytest.raises(ValueError, match="gate_out"):
        gated_segment_conv(u, taps, lengths=[8], gate_out_BDL=u[..., :4])
    long = torch.zeros(1, 2, 600, device=DEVICE)
    with pytest.raises(MissingDependencyError, match="up to 512 tokens"):
        gated_segment_conv(long, taps, lengths=[600], backend="triton")
    assert gated_segment_conv(long, taps, lengths=[600]).shape == long.shape
