"""The Triton convolution against fp64: outputs and gradients at small and odd sizes, in one kernel and in three.

Without a GPU the same kernels run in Triton's interpreter (tests/conftest.py), and long transforms are replaced by
small ones of the same structure.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from numeric import DEVICE, TRITON_TOLERANCE, relative
from torch import Tensor

from ragyena.errors import MissingDependencyError
from ragyena.ops.long_conv import long_conv, triton_op
from ragyena.ops.long_conv import plan as plans
from ragyena.ops.long_conv.op import _chosen
from ragyena.ops.long_conv.plan import MAX_FFT_SIZE, FftPlan, fft_plan
from ragyena.ops.long_conv.triton_op import prepare_filter, prepared_conv
from ragyena.ops.reference import long_conv_reference

pytest.importorskip("triton", reason="Triton is not installed")

NAMES = ["u", "filter", "skip", "gate_in", "gate_out"]


@pytest.fixture
def small_split(monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest transform in three kernels, in place of those in one."""
    plan = FftPlan(16, 16, 16, block=128, inner_warps=1)
    monkeypatch.setattr(plans, "_MIN_FFT_SIZE", plan.size)
    monkeypatch.setattr(plans, "_WHOLE", {})
    monkeypatch.setattr(plans, "_SPLIT_FP32", {})
    monkeypatch.setattr(plans, "_SPLIT", {plan.size: plan})


def inputs(length: int, taps: int, dtype: torch.dtype, *, batch: int = 1, channels: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(length * 1009 + taps)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype).to(DEVICE).requires_grad_()

    full = (batch, channels, length)
    return [draw(*full), draw(channels, taps), draw(channels), draw(*full), draw(*full)]


def options(arguments: list[Tensor], direction: str) -> dict[str, Any]:
    return {
        "direction": direction,
        **dict(zip(("skip_D", "gate_in_BDL", "gate_out_BDL"), arguments[2:])),
    }


def check(arguments: list[Tensor], direction: str) -> None:
    """Outputs and gradients against the fp64 reference."""
    doubles = [a.detach().cpu().double().requires_grad_() for a in arguments]
    expected = long_conv_reference(*doubles[:2], **options(doubles, direction))
    actual = long_conv(*arguments[:2], **options(arguments, direction), backend="triton")
    dtype = arguments[0].dtype
    assert actual.dtype == dtype
    assert relative(actual, expected) <= TRITON_TOLERANCE[dtype]
    cotangent = torch.randn(expected.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)
    wanted = torch.autograd.grad(expected, doubles, cotangent.double())
    gradients = torch.autograd.grad(actual, arguments, cotangent.to(DEVICE))
    for name, f, w, a in zip(NAMES, gradients, wanted, arguments):
        assert f.dtype == a.dtype
        assert relative(f, w) <= TRITON_TOLERANCE[dtype], name


@pytest.mark.parametrize(
    ("length", "taps", "direction", "dtype", "batch"),
    [
        (1, 1, "causal", torch.float16, 1),
        (1, 5, "two_sided", torch.float32, 1),
        (7, 33, "causal", torch.bfloat16, 3),
        (256, 511, "two_sided", torch.float16, 1),
        (257, 257, "causal", torch.float32, 2),
        (300, 1001, "two_sided", torch.bfloat16, 2),
        (300, 31, "two_sided", torch.float16, 2),
        (1021, 1021, "causal", torch.float16, 1),
    ],
    ids=str,
)
def test_one_kernel_matches_fp64(length: int, taps: int, direction: str, dtype: torch.dtype, batch: int) -> None:
    check(inputs(length, taps, dtype, batch=batch), direction)


@pytest.mark.usefixtures("small_split")
@pytest.mark.parametrize(
    ("length", "taps", "direction", "dtype", "batch"),
    [(4095, 4095, "causal", torch.float16, 1), (2999, 5001, "two_sided", torch.float32, 1)],
    ids=str,
)
def test_three_kernels_match_fp64(length: int, taps: int, direction: str, dtype: torch.dtype, batch: int) -> None:
    check(inputs(length, taps, dtype, batch=batch, channels=1), direction)


@pytest.mark.usefixtures("small_split")
def test_groups_and_batches_in_three_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """More groups than one, and examples whose scales differ by 2^20."""
    monkeypatch.setattr(triton_op, "_GROUP_BYTES", 1)
    arguments = [a.detach() for a in inputs(600, 600, torch.float32, batch=2, channels=2)]
    arguments[0][1] *= 2.0**20
    check([a.requires_grad_() for a in arguments], "causal")


@pytest.mark.skipif(DEVICE == "cpu", reason="too slow to interpret")
@pytest.mark.parametrize("dtype", list(TRITON_TOLERANCE), ids=str)
@pytest.mark.parametrize("length", [2048, 4000, 8192, 16_384, 32_767, 65_536, 100_003, 131_072, 262_144])
@pytest.mark.parametrize("direction", ["causal", "two_sided"])
def test_every_size_of_every_type(length: int, dtype: torch.dtype, direction: str) -> None:
    check(inputs(length, 2 * (length // 2) + 1, dtype, batch=2, channels=3), direction)


@pytest.mark.parametrize("given_arguments", [(), ("skip_D",), ("gate_in_BDL",), ("gate_out_BDL",)], ids=str)
def test_each_optional_argument_alone(given_arguments: tuple[str, ...]) -> None:
    arguments = inputs(37, 37, torch.float32)
    u, taps, *rest = arguments
    chosen = {k: v for k, v in zip(("skip_D", "gate_in_BDL", "gate_out_BDL"), rest) if k in given_arguments}
    needed = [u, taps, *chosen.values()]
    actual = long_conv(u, taps, direction="two_sided", backend="triton", **chosen)
    expected = long_conv_reference(u, taps, direction="two_sided", **chosen)
    assert relative(actual, expected) <= 1e-6
    gradients = torch.autograd.grad(actual.sum(), needed)
    for f, w in zip(gradients, torch.autograd.grad(expected.sum(), needed)):
        assert relative(f, w) <= 2e-6


def _mean(u: Tensor, taps: Tensor) -> tuple[Tensor, Tensor]:
    return u + 100, taps.abs()


def _range(u: Tensor, taps: Tensor) -> tuple[Tensor, Tensor]:
    envelope = torch.logspace(-4, 4, u.shape[-1], device=u.device)
    return u * envelope, taps * torch.logspace(0, -6, taps.shape[-1], device=u.device)


def _extremes(u: Tensor, taps: Tensor) -> tuple[Tensor, Tensor]:
    scale = torch.tensor([[2.0**-12], [2.0**15]], device=u.device)
    return (u.clamp(-1.5, 1.5) * scale), taps / scale


@pytest.mark.parametrize("change", [_mean, _range, _extremes])
@pytest.mark.parametrize("dtype", list(TRITON_TOLERANCE), ids=str)
def test_means_and_dynamic_range(change: Any, dtype: torch.dtype) -> None:
    u, taps, *_ = (a.detach() for a in inputs(500, 500, torch.float32))
    u, taps = change(u, taps)
    u = u.to(dtype)
    actual = long_conv(u, taps, direction="causal", backend="triton")
    expected = long_conv_reference(u, taps, direction="causal")
    assert torch.isfinite(actual).all()
    assert relative(actual, expected) <= TRITON_TOLERANCE[dtype]


@pytest.mark.usefixtures("small_split")
def test_a_constant_does_not_overflow_three_kernels() -> None:
    """All of the input and all of the filter stand in the lowest frequency."""
    u = torch.full((1, 1, 4096), 60_000.0, dtype=torch.float16, device=DEVICE)
    taps = torch.full((1, 4096), 2.0**-13, device=DEVICE)
    expected = 60_000.0 * 2.0**-13 * torch.arange(1, 4097, dtype=torch.float64)
    assert relative(long_conv(u, taps, direction="causal", backend="triton")[0, 0], expected) <= 1e-3


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32], ids=str)
def test_a_filter_of_zeros_gives_zeros(dtype: torch.dtype) -> None:
    """A new implicit filter is one."""
    u, taps, *_ = (a.detach() for a in inputs(300, 300, dtype))
    taps = taps.float()
    taps[1] = 0
    y = long_conv(u, taps, direction="causal", backend="triton")
    assert not y[:, 1].any()
    assert relative(y, long_conv_reference(u, taps, direction="causal")) <= TRITON_TOLERANCE[dtype]


def test_causality() -> None:
    """An input at t changes outputs before t by rounding alone, as in every transform.

    A transform's rounding is spread over all positions: at most 1e-6 of the change's energy, ``|du| |h|``.
    """
    u, taps, *_ = (a.detach() for a in inputs(200, 200, torch.float32))
    before = long_conv(u, taps, direction="causal", backend="triton")
    for t in (1, 100, 199):
        du = torch.zeros_like(u)
        du[..., t:] = 1e3 * torch.randn(u[..., t:].shape, generator=torch.Generator().manual_seed(t)).to(DEVICE)
        change = long_conv(u + du, taps, direction="causal", backend="triton") - before
        assert (change[..., :t].norm(dim=2) <= 1e-6 * du.norm(dim=2) * taps.norm(dim=1)).all()
        assert (change[..., t:].norm(dim=2) > 0.01 * du.norm(dim=2)).all()


def test_linear_not_circular() -> None:
    u = torch.zeros(1, 1, 256, device=DEVICE)
    u[0, 0, 255] = 1
    y = long_conv(u, torch.ones(1, 9, device=DEVICE), direction="two_sided", backend="triton")
    assert {i for i in range(256) if abs(float(y[0, 0, i])) > 1e-5} == set(range(251, 256))


def test_the_same_bits_from_run_to_run() -> None:
    arguments = inputs(300, 300, torch.float16)

    def once() -> list[Tensor]:
        y = long_conv(*arguments[:2], **options(arguments, "causal"), backend="triton")
        return [y, *torch.autograd.grad(y.float().sum(), arguments)]

    assert all(torch.equal(a, b) for a, b in zip(once(), once()))


def test_a_prepared_filter_serves_shorter_inputs_too() -> None:
    arguments = [a.detach() for a in inputs(300, 300, torch.float32)]
    u, taps, *rest = arguments
    prepared = prepare_filter(taps, length=300, causal=True, dtype=u.dtype)
    gates = dict(zip(("skip_D", "gate_in_BDL", "gate_out_BDL"), rest))
    expected = long_conv(u, taps, direction="causal", backend="triton", **gates)
    assert torch.equal(prepared_conv(u, prepared, **gates), expected)
    short = {key: value[..., :123] if value.ndim == 3 else value for key, value in gates.items()}
    assert relative(prepared_conv(u[..., :123], prepared, **short), expected[..., :123]) <= 1e-6
    with pytest.raises(ValueError, match="prepared for up to 300"):
        prepared_conv(torch.zeros(1, 2, 301), prepared)
    with pytest.raises(ValueError, match="prepared for 2 channels"):
        prepared_conv(torch.zeros(1, 3, 300), prepared)


@pytest.mark.parametrize("causal", [True, False])
def test_operator_is_registered_soundly(causal: bool) -> None:
    u, taps, skip, gate_in, gate_out = inputs(13, 5, torch.float32)
    operator = torch.ops.ragyena.long_conv_triton.default
    torch.library.opcheck(operator, (u, taps, causal, skip, gate_in, gate_out))
    torch.library.opcheck(operator, (u, taps, causal, None, None, None))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32], ids=str)
def test_plans_hold_what_they_must(dtype: torch.dtype) -> None:
    for positions in (1, 256, 257, 4096, 8193, 100_000, MAX_FFT_SIZE):
        plan = fft_plan(positions, dtype)
        assert positions <= plan.size <= max(256, 2 * positions)
        assert plan.outer == 1 or (plan.block % plan.columns == 0 and plan.inner % plan.block == 0)
    with pytest.raises(ValueError, match="at most 262,144"):
        fft_plan(MAX_FFT_SIZE + 1, dtype)


def test_auto_takes_these_kernels_on_cuda_alone() -> None:
    on_cpu = torch.empty(1, 1, 1, dtype=torch.bfloat16)
    assert {_chosen("auto", on_cpu, taps, True) for taps in (3, 5000)} == {"direct", "fft"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_auto_takes_these_kernels_for_half_precision() -> None:
    on_cuda = torch.empty(1, 1, 5000, dtype=torch.bfloat16, device="cuda")
    assert [_chosen("auto", x, 5000, True) for x in (on_cuda, on_cuda.float())] == ["triton", "fft"]
    assert _chosen("auto", on_cuda, 3, True) == "direct"


def test_refusals_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    u, taps = torch.zeros(1, 1, 8, dtype=torch.float64), torch.zeros(1, 8)
    with pytest.raises(MissingDependencyError, match=r"no backend 'triton' here: it takes fp16, bf16 and fp32"):
        long_conv(u, taps, direction="causal", backend="triton")
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    with pytest.raises(MissingDependencyError, match="Triton does not run on cpu"):
        long_conv(u.float(), taps, direction="causal", backend="triton")
