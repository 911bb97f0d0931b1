"""Short convolution with gates, the reader's and the published operator's, against their definitions in fp64.

Without a GPU the Triton kernels run in Triton's interpreter (tests/conftest.py).
"""

from __future__ import annotations

import pytest
import torch
from numeric import DEVICE, TRITON_TOLERANCE, relative
from torch import Tensor

from ragyena.errors import MissingDependencyError
from ragyena.ops.reference import causal_gates_reference, short_gates_reference
from ragyena.ops.short_gates import causal_gates, short_gates, short_gates_by_position

pytest.importorskip("triton", reason="Triton is not installed")

SHAPES = [  # slots, their positions, channels of a third
    (1, 1, 1, torch.float32),
    (3, 2, 5, torch.float32),
    (2, 37, 20, torch.bfloat16),
    (5, 16, 3, torch.float16),
    (2, 67, 66, torch.float32),  # more tiles than one of every kernel, the last ones partly filled
    (1, 65, 33, torch.float16),
]


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape))).to(DEVICE)


def padded(slots: int, size: int) -> Tensor:
    """Some slots whole, some padded at their end, a hole in the first, the last one empty where there are several."""
    mask = torch.arange(size) < torch.arange(size, size - slots, -1)[:, None].clamp(min=1)
    mask[0, size // 2] = size < 3
    mask[-1] = slots == 1
    return mask.to(DEVICE)


def compare(actual: tuple[Tensor, ...], expected: tuple[Tensor, ...], arguments: list[Tensor], limit: float) -> None:
    dtype = arguments[0].dtype
    cotangents = [drawn(*y.shape, seed=i).to(dtype) for i, y in enumerate(actual)]
    for a, e in zip(actual, expected):
        assert a.dtype == dtype and a.shape == e.shape
        assert relative(a, e) <= limit
    gradients = torch.autograd.grad(actual, arguments, cotangents)
    wanted = torch.autograd.grad(expected, arguments, [c.double() for c in cotangents])
    for f, w, argument in zip(gradients, wanted, arguments):
        assert f.dtype == argument.dtype and f.shape == argument.shape
        assert relative(f, w) <= limit


@pytest.mark.parametrize(("slots", "size", "width", "dtype"), SHAPES, ids=str)
def test_the_readers_gates_match_fp64(slots: int, size: int, width: int, dtype: torch.dtype) -> None:
    projected = drawn(slots, size, 3 * width).to(dtype).requires_grad_()
    taps, mask = drawn(3, 3 * width).requires_grad_(), padded(slots, size)
    actual = short_gates(projected, taps, mask, backend="triton")
    assert actual[0].shape == (1, width, slots * size) and actual[0].is_contiguous()
    compare(actual, short_gates_reference(projected, taps, mask), [projected, taps], TRITON_TOLERANCE[dtype])


@pytest.mark.parametrize(
    ("slots", "size", "width", "dtype", "has_bias"),
    [*((*shape, True) for shape in SHAPES), *((*shape, False) for shape in SHAPES[:4])],
    ids=str,
)
def test_the_published_gates_match_fp64(slots: int, size: int, width: int, dtype: torch.dtype, has_bias: bool) -> None:
    projected = drawn(slots, size, 3 * width).to(dtype).requires_grad_()
    weight, bias = drawn(3 * width, 3).requires_grad_(), drawn(3 * width).requires_grad_() if has_bias else None
    actual = causal_gates(projected, weight, bias, backend="triton")
    assert actual[0].shape == (slots, width, size)
    arguments = [projected, weight] if bias is None else [projected, weight, bias]
    compare(actual, causal_gates_reference(projected, weight, bias), arguments, TRITON_TOLERANCE[dtype])


def test_torch_matches_fp64() -> None:
    projected, taps = drawn(3, 12, 15).requires_grad_(), drawn(3, 15).requires_grad_()
    expected = short_gates_reference(projected, taps, padded(3, 12))
    compare(short_gates(projected, taps, padded(3, 12), backend="torch"), expected, [projected, taps], 1e-6)
    by_position = short_gates_by_position(projected, taps, padded(3, 12))
    for a, e in zip(by_position, expected):
        assert relative(a.permute(2, 0, 1).flatten(1)[None], e) <= 1e-6
    weight, bias = drawn(15, 4).requires_grad_(), drawn(15).requires_grad_()
    outputs = causal_gates(projected, weight, bias, backend="torch")
    compare(outputs, causal_gates_reference(projected, weight, bias), [projected, weight, bias], 1e-6)


def test_padding_is_not_read() -> None:
    projected, taps, mask = drawn(2, 9, 6), drawn(3, 6), padded(2, 9)
    filled = torch.where(mask[..., None], projected, float("nan"))
    for a, e in zip(short_gates(filled, taps, mask, backend="triton"), short_gates_reference(projected, taps, mask)):
        assert relative(a, e) <= 1e-6


def test_the_same_bits_from_run_to_run() -> None:
    projected, taps = drawn(3, 20, 36).half().requires_grad_(), drawn(3, 36).requires_grad_()

    def once() -> list[Tensor]:
        gates = short_gates(projected, taps, padded(3, 20), backend="triton")
        return [*gates, *torch.autograd.grad(sum(g.float().square().sum() for g in gates), (projected, taps))]

    assert all(torch.equal(a, b) for a, b in zip(once(), once()))


def test_operator_is_registered_soundly() -> None:
    projected, taps = drawn(2, 5, 6).requires_grad_(), drawn(3, 6).requires_grad_()
    operator = torch.ops.ragyena.short_gates_triton.default
    torch.library.opcheck(operator, (projected, taps, None, padded(2, 5), False))
    torch.library.opcheck(operator, (projected, taps, drawn(6).requires_grad_(), None, True))


def test_no_slots_are_no_error() -> None:
    projected, taps = drawn(0, 5, 6).requires_grad_(), drawn(3, 6).requires_grad_()
    gates = short_gates(projected, taps, torch.ones(0, 5, dtype=torch.bool, device=DEVICE), backend="triton")
    assert gates[0].shape == (1, 2, 0)
    _, dtaps = torch.autograd.grad(gates[0].sum() + gates[1].sum(), (projected, taps))
    assert not dtaps.any()


def test_arguments_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    projected, taps, mask = drawn(2, 5, 6), drawn(3, 6), padded(2, 5)
    with pytest.raises(ValueError, match="three thirds"):
        short_gates(projected[..., :5], taps, mask)
    with pytest.raises(ValueError, match="taps are"):
        short_gates(projected, taps[:2], mask)
    with pytest.raises(ValueError, match="mask is"):
        short_gates(projected, taps, mask.float())
    with pytest.raises(MissingDependencyError, match="fp16, bf16 and fp32, not"):
        short_gates(projected.double(), taps, mask, backend="triton")
    with pytest.raises(MissingDependencyError, match="3 taps, not 2"):
        causal_gates(projected, drawn(6, 2), None, backend="triton")
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    with pytest.raises(MissingDependencyError, match="does not run on cpu"):
        short_gates(projected.cpu(), taps.cpu(), mask.cpu(), backend="triton")
