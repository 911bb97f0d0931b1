"""Maps in int8 against the same maps in floating point."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ragyena.ops.int8_linear import Int8Map, Levels, int8_unavailable
from ragyena.ops.linear import Linear

REASON = int8_unavailable()
needs_int8 = pytest.mark.skipif(REASON is not None, reason=str(REASON))


def _linear(inputs: int, outputs: int) -> Linear:
    torch.manual_seed(0)
    return Linear(inputs, outputs).requires_grad_(False)


def _error(got: Tensor, expected: Tensor) -> float:
    """Root of the mean squared error over that of what was expected."""
    return ((got.float() - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize(("low", "high"), [(-3.0, 5.0), (-0.17, 9.0), (0.5, 2.0), (-2.0, -1.0), (0.0, 0.0)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_levels_are_the_nearest_with_zero_among_them_and_clip(low: float, high: float, dtype: torch.dtype) -> None:
    levels = Levels.over(low, high)
    x = torch.cat([torch.zeros(1), torch.linspace(min(low, 0.0), max(high, 0.0), 301)]).to(dtype)
    encoded = levels.encode(x)
    assert encoded.dtype == torch.uint8 and encoded[0] == levels.zero
    back = levels.scale * (encoded.float() - levels.zero)
    assert (back - x.float()).abs().max() <= levels.scale * 1.01
    outside = levels.encode(torch.tensor([low - 100.0, high + 100.0], dtype=dtype))
    assert outside.tolist() == [0, 255]


@needs_int8
@pytest.mark.parametrize("rows", [1, 5, 63, 257])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_map_in_int8_is_near_the_map(rows: int, dtype: torch.dtype) -> None:
    linear, x, other = _linear(24, 40), torch.randn(rows, 24).to(dtype), torch.randn(rows, 40).to(dtype)
    inputs = x.float()
    expected = linear(inputs)
    low, high = (value.item() for value in inputs.aminmax())
    linear.prepare_int8(Levels.over(low, high))
    assert linear.int8 and linear(x).dtype == dtype
    assert _error(linear(x), expected) < 0.02
    assert _error(linear.gelu(x), F.gelu(expected)) < 0.02
    assert _error(linear.plus(x, other), expected + other) < 0.02


@needs_int8
def test_bytes_go_from_one_map_to_the_next() -> None:
    first, second, x = _linear(24, 48), _linear(48, 24), torch.randn(33, 24)
    hidden = F.gelu(first(x))
    expected = x + second(hidden)
    between = Levels.over(hidden.min().item(), hidden.max().item())
    first.prepare_int8(Levels.over(x.min().item(), x.max().item()), between)
    second.prepare_int8(between)
    assert first.gelu(x).dtype == torch.uint8
    assert _error(second.plus(first.gelu(x), x), expected) < 0.02


@needs_int8
def test_rows_of_int8_weights_stay_exact() -> None:
    torch.manual_seed(0)
    weight = torch.randint(-127, 128, (16, 32)).float()
    weight[:, 0] = 127
    scales = torch.rand(16, 1).half().float() + 0.01
    inputs = Levels(0.5, 128)
    x = 0.5 * torch.randint(-128, 128, (7, 32)).float()  # each on a level
    got = Int8Map.of(weight * scales, torch.zeros(16), inputs)(x)
    torch.testing.assert_close(got, F.linear(x, weight * scales), rtol=1e-5, atol=1e-3)


@needs_int8
def test_sums_do_not_saturate() -> None:
    x, weight = torch.full((3, 64), 255.0), torch.full((5, 64), 127.0)
    got = Int8Map.of(weight, torch.zeros(5), Levels(1.0, 0))(x)
    assert got.unique().tolist() == [255.0 * 127 * 64]


@needs_int8
def test_threads_compute_the_same_at_once() -> None:
    linear, inputs = _linear(24, 40), [torch.randn(rows, 24) for rows in (3, 17, 40, 129)]
    linear.prepare_int8(Levels.over(-4.0, 4.0))
    alone = [linear(x) for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        for got in [list(pool.map(linear, inputs)) for _ in range(8)]:
            for one, other in zip(got, alone):
                torch.testing.assert_close(one, other, rtol=0, atol=0)


@needs_int8
def test_the_matrix_is_laid_out_once() -> None:
    linear = _linear(24, 40)
    linear.prepare_int8(Levels.over(-4.0, 4.0))
    linear.prepare_cpu()
    assert linear._laid_out is None


def test_a_missing_part_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    if not torch._C._has_mkldnn:
        pytest.skip("this build of torch has no oneDNN")
    none: Callable[[], dict[str, bool]] = dict
    monkeypatch.setattr(torch.cpu, "get_capabilities", none, raising=False)
    assert "avx512_vnni" in str(int8_unavailable())
    monkeypatch.setattr("ragyena.ops.int8_linear._OPERATORS", ("qlinear_of_another_version",))
    assert "onednn::qlinear_of_another_version" in str(int8_unavailable())
