"""The long convolution against its fp64 definition: outputs and gradients, odd lengths, every direction and backend."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numeric import relative
from torch import Tensor

from ragyena.errors import MissingDependencyError
from ragyena.ops import backends
from ragyena.ops.long_conv import fft, long_conv, long_conv_with_tail
from ragyena.ops.long_conv.fft import fft_size
from ragyena.ops.reference import long_conv_reference

# Relative L2 error against fp64, for inputs already rounded to the type: the sums themselves run in fp32.
TOLERANCE = {torch.float64: 1e-13, torch.float32: 2e-6, torch.float16: 6e-4, torch.bfloat16: 4e-3}
SHAPES = [(1, 1), (1, 5), (2, 1), (7, 7), (33, 5), (33, 101), (257, 257), (300, 1001), (1021, 31)]


def inputs(
    length: int, taps: int, *, dtype: torch.dtype = torch.float64, batch: int = 2, channels: int = 3
) -> list[Tensor]:
    generator = torch.Generator().manual_seed(length * 1009 + taps)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()

    full = (batch, channels, length)
    return [draw(*full), draw(channels, taps), draw(channels), draw(*full), draw(*full)]


def call(function, arguments: list[Tensor], direction: str, **options: str) -> Tensor:
    u, taps, skip, gate_in, gate_out = arguments
    return function(u, taps, direction=direction, skip_D=skip, gate_in_BDL=gate_in, gate_out_BDL=gate_out, **options)


@pytest.mark.parametrize("direction", ["causal", "two_sided"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_reference_is_the_sum_over_lags(shape: tuple[int, int], direction: str) -> None:
    u, taps, skip, gate_in, gate_out = (a.detach() for a in inputs(*shape))
    first = 0 if direction == "causal" else shape[1] // 2
    for b in range(2):
        for d in range(3):
            p = gate_in[b, d] * u[b, d]
            c = torch.from_numpy(np.convolve(p.numpy(), taps[d].numpy()))[first : first + shape[0]]
            expected = gate_out[b, d] * (c + skip[d] * p)
            actual = call(long_conv_reference, [u, taps, skip, gate_in, gate_out], direction)[b, d]
            assert relative(actual, expected) <= 1e-13


@pytest.mark.parametrize(
    ("backend", "direction"),
    [
        ("fft", "causal"),
        ("fft", "two_sided"),
        ("direct", "causal"),
        ("direct", "two_sided"),
        ("weighted_fft", "causal"),
    ],
)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
def test_outputs_and_gradients_match_the_definition(
    shape: tuple[int, int], direction: str, dtype: torch.dtype, backend: str
) -> None:
    arguments = inputs(*shape, dtype=dtype)
    expected = call(long_conv_reference, arguments, direction)
    actual = call(long_conv, arguments, direction, backend=backend)
    assert actual.dtype == dtype
    assert relative(actual, expected) <= TOLERANCE[dtype]
    cotangent = torch.randn(expected.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)
    wanted = torch.autograd.grad(expected, arguments, cotangent.double())
    gradients = torch.autograd.grad(actual, arguments, cotangent)
    for name, f, w, a in zip(["u", "filter", "skip", "gate_in", "gate_out"], gradients, wanted, arguments):
        assert f.dtype == a.dtype
        assert relative(f, w) <= TOLERANCE[dtype], name


@pytest.mark.parametrize("direction", ["causal", "two_sided"])
@pytest.mark.parametrize("given_arguments", [(), ("skip_D",), ("gate_in_BDL",), ("gate_out_BDL",)], ids=str)
def test_each_optional_argument_alone(direction: str, given_arguments: tuple[str, ...]) -> None:
    u, taps, skip, gate_in, gate_out = inputs(19, 9)
    optional = {"skip_D": skip, "gate_in_BDL": gate_in, "gate_out_BDL": gate_out}
    chosen = {name: optional[name] for name in given_arguments}
    expected = long_conv_reference(u, taps, direction=direction, **chosen)
    actual = long_conv(u, taps, direction=direction, backend="fft", **chosen)
    assert relative(actual, expected) <= 1e-13
    needed = [u, taps, *chosen.values()]
    for f, w in zip(
        torch.autograd.grad(actual.square().sum(), needed), torch.autograd.grad(expected.square().sum(), needed)
    ):
        assert relative(f, w) <= 1e-12


@pytest.mark.parametrize("direction", ["causal", "two_sided"])
def test_gradcheck(direction: str) -> None:
    arguments = inputs(11, 7, channels=2)
    assert torch.autograd.gradcheck(lambda *a: call(long_conv, list(a), direction, backend="fft"), arguments)


@pytest.mark.parametrize("direction", ["causal", "two_sided"])
def test_operator_is_registered_soundly(direction: str) -> None:
    """Fake tensors, autograd and schema of the custom operator agree: what torch.compile relies on."""
    u, taps, skip, gate_in, gate_out = inputs(13, 5, dtype=torch.float32)
    torch.library.opcheck(
        torch.ops.ragyena.long_conv_fft.default, (u, taps, direction == "causal", skip, gate_in, gate_out)
    )
    torch.library.opcheck(torch.ops.ragyena.long_conv_fft.default, (u, taps, direction == "causal", None, None, None))


@pytest.mark.parametrize("groups", [1, 2, 5])
def test_channel_groups_change_nothing(monkeypatch: pytest.MonkeyPatch, groups: int) -> None:
    arguments = inputs(40, 21, channels=5)
    whole = call(long_conv, arguments, "two_sided", backend="fft")
    gradients = torch.autograd.grad(whole.sum(), arguments)
    monkeypatch.setitem(fft._GROUP_SAMPLES, "cpu", 2 * 54 * groups)
    split = call(long_conv, arguments, "two_sided", backend="fft")
    assert relative(split, whole) <= 1e-15
    for a, b in zip(torch.autograd.grad(split.sum(), arguments), gradients):
        assert relative(a, b) <= 1e-14


@pytest.mark.parametrize("backend", ["fft", "direct"])
def test_causality(backend: str) -> None:
    """An input at t changes no output before t: exactly so in the sum, to rounding in a transform."""
    u, taps, *_ = (a.detach() for a in inputs(97, 97))
    before = long_conv(u, taps, direction="causal", backend=backend)
    for t in (1, 40, 96):
        moved = u.clone()
        moved[..., t:] += 1e3 * torch.randn_like(moved[..., t:])
        after = long_conv(moved, taps, direction="causal", backend=backend)
        leak = (after - before)[..., :t].abs().max() / (after - before).abs().max()
        assert leak == 0 if backend == "direct" else leak <= 1e-14
        assert (after - before)[..., t:].abs().max() > 1


def test_linear_not_circular() -> None:
    """An impulse at the end must not come back at the beginning, nor one at the beginning at the end."""
    taps = torch.ones(1, 9, dtype=torch.float64)
    for at, direction, reached in [
        (15, "causal", {15}),
        (15, "two_sided", set(range(11, 16))),
        (0, "two_sided", set(range(5))),
    ]:
        u = torch.zeros(1, 1, 16, dtype=torch.float64)
        u[0, 0, at] = 1
        y = long_conv(u, taps, direction=direction, backend="fft")  # type: ignore[arg-type]
        assert {i for i in range(16) if abs(float(y[0, 0, i])) > 1e-9} == reached


@settings(max_examples=60, deadline=None)
@given(length=st.integers(1, 90), taps=st.integers(1, 120), history=st.integers(0, 70))
def test_tail_is_what_zeros_would_receive(length: int, taps: int, history: int) -> None:
    u, filter_DK, skip, gate_in, gate_out = (a.detach() for a in inputs(length, taps))
    y, tail = long_conv_with_tail(
        u, filter_DK, history=history, skip_D=skip, gate_in_BDL=gate_in, gate_out_BDL=gate_out
    )
    assert relative(y, call(long_conv_reference, [u, filter_DK, skip, gate_in, gate_out], "causal")) <= 1e-12
    padded = torch.nn.functional.pad(u * gate_in, (0, history))
    expected = long_conv_reference(padded, filter_DK, direction="causal")[..., length:]
    assert tail.shape == (2, 3, history)
    assert torch.allclose(tail, expected, rtol=1e-12, atol=1e-12)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 600_000), st.sampled_from(["cpu", "cuda"]))
def test_transform_sizes_are_large_enough_and_smooth(minimum: int, device: str) -> None:
    size = fft_size(minimum, device)
    assert minimum <= size < 2 * minimum or size == 1
    for prime in (2, 3, 5):
        while size % prime == 0:
            size //= prime
    assert size == 1


def test_transform_size_is_the_least() -> None:
    smooth = sorted(2**a * 3**b * 5**c for a in range(12) for b in range(8) for c in range(6))
    for minimum in range(1, 2000):
        assert fft_size(minimum) == next(s for s in smooth if s >= minimum)


def test_two_sided_against_the_published_numbers() -> None:
    default = Path(__file__).resolve().parents[3] / "shared" / "reference"
    path = Path(os.environ.get("RAGYENA_REFERENCE", default)) / "kernel_two_sided.npz"
    if not path.is_file():
        pytest.skip(f"no {path.name}: set RAGYENA_REFERENCE to the folder of the published implementation's dumps")
    with np.load(path, allow_pickle=False) as dump:
        u, ahead, behind, skip, expected = (torch.from_numpy(dump[key]) for key in ("u", "k", "k_rev", "D", "y64"))
    present = ahead[:, :1] + behind[:, :1]
    taps = torch.cat([behind[:, 1:].flip(1), present, ahead[:, 1:]], dim=1)
    assert relative(long_conv(u, taps, direction="two_sided", skip_D=skip), expected) <= 1e-6
    doubles = {"direction": "two_sided", "skip_D": skip.double()}
    present = ahead[:, :1].double() + behind[:, :1].double()
    taps = torch.cat([behind[:, 1:].flip(1).double(), present, ahead[:, 1:].double()], dim=1)
    assert relative(long_conv(u.double(), taps, **doubles), expected) <= 1e-12
    assert relative(long_conv_reference(u, taps, **doubles), expected) <= 1e-12


def test_long_input_against_fp64_transform() -> None:
    """At 128K the fp32 error stays at rounding level (an independent fp64 circular transform of twice the length)."""
    length = 131_071
    u, taps, *_ = (a.detach() for a in inputs(length, length, dtype=torch.float32, batch=1, channels=1))
    n = 2 * length
    expected = torch.fft.irfft(torch.fft.rfft(u.double(), n) * torch.fft.rfft(taps.double(), n), n)[..., :length]
    assert relative(long_conv(u, taps, direction="causal"), expected) <= 2e-6


def test_uninitialised_memory_is_never_read() -> None:
    assert torch.empty(3).isnan().all()  # tests/ops/conftest.py
    arguments = inputs(37, 75, dtype=torch.float32)
    y = call(long_conv, arguments, "two_sided", backend="fft")
    assert all(torch.isfinite(t).all() for t in (y, *torch.autograd.grad(y.sum(), arguments)))


def test_missing_backend_is_refused_and_automatic_choice_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    u, taps, *_ = (a.detach() for a in inputs(8, 40))
    with pytest.raises(MissingDependencyError, match=r"long_conv has no backend 'cudnn'.*fft, direct"):
        long_conv(u, taps, direction="causal", backend="cudnn")
    backends._log_choice.cache_clear()
    with caplog.at_level(logging.INFO, logger="ragyena.ops"):
        long_conv(u, taps, direction="causal")
        long_conv(u, taps, direction="causal")
    assert [r.getMessage() for r in caplog.records] == ["long_conv: backend fft"]


def test_wrong_arguments_are_named() -> None:
    u, taps, skip, gate, _ = (a.detach() for a in inputs(8, 4))
    with pytest.raises(ValueError, match="odd number of taps"):
        long_conv(u, taps, direction="two_sided")
    with pytest.raises(ValueError, match=r"filter is \(2, 4\)"):
        long_conv(u, taps[:2], direction="causal")
    with pytest.raises(ValueError, match="skip"):
        long_conv(u, taps, direction="causal", skip_D=skip[:1])
    with pytest.raises(ValueError, match="gate_out"):
        long_conv(u, taps, direction="causal", gate_out_BDL=gate[..., :3])
    with pytest.raises(ValueError, match="length at least 1"):
        long_conv(u[..., :0], taps, direction="causal")
    with pytest.raises(ValueError, match="direction"):
        long_conv(u, taps, direction="backwards")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"u is torch\.int64"):
        long_conv(u.long(), taps, direction="causal")
