"""The short convolution: definition, gradients, and the same result a position at a time."""

from __future__ import annotations

import pytest
import torch

from ragyena.ops.reference import short_conv_reference
from ragyena.ops.short_conv import _shifted, short_conv, short_conv_history, short_conv_step


def inputs(length: int, taps: int, channels: int = 5) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(length + 31 * taps)
    return (
        torch.randn(2, channels, length, generator=generator, dtype=torch.float64, requires_grad=True),
        torch.randn(channels, taps, generator=generator, dtype=torch.float64, requires_grad=True),
        torch.randn(channels, generator=generator, dtype=torch.float64, requires_grad=True),
    )


@pytest.mark.parametrize("taps", [1, 2, 3, 7])
@pytest.mark.parametrize("length", [1, 2, 5, 33])
def test_outputs_and_gradients_match_the_definition(length: int, taps: int) -> None:
    arguments = inputs(length, taps)
    expected = short_conv_reference(*arguments)
    cotangent = torch.randn_like(expected)
    wanted = torch.autograd.grad(expected, arguments, cotangent)
    for function in (short_conv, _shifted):  # the second is what a compiler sees
        actual = function(*arguments)
        assert torch.allclose(actual, expected, rtol=1e-12, atol=1e-12)
        for a, b in zip(torch.autograd.grad(actual, arguments, cotangent), wanted):
            assert torch.allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("taps", [1, 3, 7])
@pytest.mark.parametrize("prompt", [0, 1, 2, 11])
def test_steps_after_a_prompt_equal_the_whole(prompt: int, taps: int) -> None:
    u, weight, bias = (a.detach() for a in inputs(17, taps))
    whole = short_conv(u, weight, bias)
    history = short_conv_history(u[..., :prompt], taps)
    assert history.shape == (2, 5, taps - 1)
    for t in range(prompt, 17):
        y, history = short_conv_step(u[..., t], history, weight, bias)
        assert torch.allclose(y, whole[..., t], rtol=1e-12, atol=1e-12)


def test_half_precision_keeps_its_type_and_no_bias_is_no_bias() -> None:
    u, weight, _ = (a.detach().bfloat16() for a in inputs(9, 3))
    y = short_conv(u, weight.float(), None)
    assert y.dtype == torch.bfloat16
    error = (y.double() - short_conv_reference(u, weight, None)).norm() / y.double().norm()
    assert error <= 4e-3
