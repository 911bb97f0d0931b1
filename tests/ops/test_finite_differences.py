"""Gradients of the public operations by finite differences in fp64: odd lengths, any strides, missing arguments."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call, jvp

from ragyena.ops import Hyena, TwoSidedHyena, long_conv, passage_conv

SIZES = [(1, 1), (3, 5), (13, 3), (17, 33)]  # positions and taps: fewer, and more, than positions
BACKENDS = [*itertools.product(["auto", "fft", "direct"], ["causal", "two_sided"]), ("weighted_fft", "causal")]
LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "transposed": lambda x: x.transpose(-1, -2).contiguous().transpose(-1, -2),
    "every second": lambda x: torch.stack([x, x], -1).flatten(-2)[..., ::2],
    "batch last": lambda x: x.permute(1, 2, 0).contiguous().permute(2, 0, 1),
    "broadcast": lambda x: x[..., :1].expand_as(x),
}


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def leaf(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=dtype).requires_grad_()


@pytest.mark.parametrize(("backend", "direction"), BACKENDS)
@pytest.mark.parametrize(("length", "taps"), SIZES)
def test_long_conv(backend: str, direction: Any, length: int, taps: int) -> None:
    u, filter_DK, skip, gate_in, gate_out = (
        leaf(2, 3, length), leaf(3, taps), leaf(3), leaf(2, 3, length), leaf(2, 3, length)
    )  # fmt: skip

    def conv(u: Tensor, filter_DK: Tensor, skip: Tensor | None, inner: Tensor | None, outer: Tensor | None) -> Tensor:
        return long_conv(
            u, filter_DK, direction=direction, skip_D=skip, gate_in_BDL=inner, gate_out_BDL=outer, backend=backend
        )

    assert gradcheck(conv, (u, filter_DK, skip, gate_in, gate_out), fast_mode=True)
    for given in itertools.product([True, False], repeat=3):
        options = [one if kept else None for one, kept in zip((skip, gate_in, gate_out), given)]
        assert gradcheck(conv, (u, filter_DK, *options), fast_mode=True), given


@pytest.mark.parametrize(("backend", "direction"), BACKENDS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_long_conv_of_any_strides(backend: str, direction: Any, layout: str) -> None:
    put = LAYOUTS[layout]

    def conv(u: Tensor, filter_DK: Tensor, gate: Tensor) -> Tensor:
        given = {"gate_in_BDL": put(gate), "gate_out_BDL": put(gate)}
        return put(long_conv(put(u), filter_DK.flip(-1), direction=direction, backend=backend, **given))

    assert gradcheck(conv, (leaf(2, 3, 11), leaf(3, 7), leaf(2, 3, 11)), fast_mode=True)


@pytest.mark.parametrize(("backend", "direction"), BACKENDS)
def test_second_derivatives_are_exact_or_refused(backend: str, direction: Any) -> None:
    def conv(u: Tensor, filter_DK: Tensor, gate: Tensor) -> Tensor:
        return long_conv(u, filter_DK, direction=direction, gate_in_BDL=gate, gate_out_BDL=gate, backend=backend)

    tensors = leaf(1, 2, 7), leaf(2, 5), leaf(1, 2, 7)
    if backend == "fft":
        with pytest.raises(RuntimeError, match="no autograd formula"):
            gradgradcheck(conv, tensors, fast_mode=True)
    else:
        assert gradgradcheck(conv, tensors, fast_mode=True)


@pytest.mark.parametrize(("backend", "direction"), BACKENDS)
def test_forward_mode_is_exact_or_refused(backend: str, direction: Any) -> None:
    """torch drops the tangents of a custom operator's arguments and says nothing: derivatives would be zero."""
    u, filter_DK, tangent = torch.randn(1, 2, 20), torch.randn(2, 17), torch.randn(1, 2, 20)

    def conv(x: Tensor) -> Tensor:
        return long_conv(x, filter_DK, direction=direction, backend=backend)

    if backend == "direct":
        torch.testing.assert_close(jvp(conv, (u,), (tangent,))[1], conv(tangent))
    else:
        for argument in (conv, lambda x: long_conv(u, filter_DK, direction=direction, backend=backend, gate_out_BDL=x)):
            with pytest.raises(NotImplementedError, match="forward-mode"):
                jvp(argument, (u,), (tangent,))


@pytest.mark.parametrize(("backend", "direction"), BACKENDS)
def test_each_gradient_has_the_type_of_its_argument(backend: str, direction: Any) -> None:
    types = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
    for of_input, of_filter in itertools.product(types, repeat=2):
        exact = [leaf(2, 3, 9), leaf(3, 5), leaf(2, 3, 9), leaf(3)]
        given = [x.detach().to(of_input if n == 0 else of_filter).requires_grad_() for n, x in enumerate(exact)]
        gradients = []
        doubles = [x.detach().double() for x in given]
        for u, filter_DK, gate, skip in (
            given,
            [x.requires_grad_() for x in doubles],
            [x.detach().abs().requires_grad_() for x in doubles],  # its sums do not cancel: what an error is part of
        ):
            options = {"gate_in_BDL": gate, "gate_out_BDL": gate, "skip_D": skip}
            y = long_conv(u, filter_DK, direction=direction, backend=backend, **options)
            assert y.dtype == u.dtype
            gradients.append(torch.autograd.grad(y.double().sum(), (u, filter_DK, gate, skip)))
        worst = max(torch.finfo(of_input).eps, torch.finfo(of_filter).eps)
        for one, mine, expected, summed in zip(given, *gradients, strict=True):
            assert mine.dtype == one.dtype
            assert (mine.double() - expected).norm() < 8 * worst * summed.norm(), (of_input, of_filter)


@pytest.mark.parametrize("backend", ["auto", "toeplitz", "fft"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_passage_conv(backend: Any, layout: str) -> None:
    put = LAYOUTS[layout]
    bounds = torch.tensor([0, 1, 6, 6, 15])
    for taps, segments in itertools.product((1, 7, 41), ({"slot_tokens": 5}, {"cu_seqlens": bounds})):

        def conv(u: Tensor, filter_DK: Tensor, inner: Tensor, outer: Tensor, **segments: Any) -> Tensor:
            gates = {"gate_in_BDL": put(inner), "gate_out_BDL": outer}
            return passage_conv(put(u), filter_DK, backend=backend, **gates, **segments)

        tensors = leaf(1, 3, 15), leaf(3, taps), leaf(1, 3, 15), leaf(1, 3, 15)
        assert gradcheck(lambda *t, given=segments: conv(*t, **given), tensors, fast_mode=True), (taps, segments)


MIXERS: dict[str, tuple[Callable[[], nn.Module], dict[str, Any]]] = {
    "order 2": (lambda: Hyena(4, max_length=9, filter_width=6, filter_embedding=5), {}),
    "order 4": (lambda: Hyena(4, max_length=9, order=4, filter_width=6, filter_embedding=5), {}),
    "two-sided": (lambda: TwoSidedHyena(4, near_taps=2, filter_width=6, filter_bands=3), {}),
    "padded": (
        lambda: TwoSidedHyena(4, near_taps=2, filter_width=6, filter_bands=3),
        {"mask_BL": torch.arange(11)[None] < 8},
    ),
    "packed": (
        lambda: TwoSidedHyena(4, near_taps=2, filter_width=6, filter_bands=3),
        {"cu_seqlens": torch.tensor([0, 1, 8, 11])},
    ),
}


@pytest.mark.parametrize("name", MIXERS)
def test_modules(name: str) -> None:
    """In the input and in every parameter; a causal one has more positions here than its filters have lags."""
    make, options = MIXERS[name]
    mixer = make().double()
    names = [name for name, _ in mixer.named_parameters()]

    def mix(x_BLD: Tensor, *parameters: Tensor) -> Tensor:
        turned = x_BLD.transpose(1, 2).contiguous().transpose(1, 2)
        return functional_call(mixer, dict(zip(names, parameters)), (turned,), options)

    values = [(torch.randn_like(p) * 0.2 + p.detach()).requires_grad_() for p in mixer.parameters()]
    assert gradcheck(mix, (leaf(1, 11, 4), *values), fast_mode=True)
