"""The causal long convolution as real arithmetic around two complex transforms of the sequence's own length.

Shape suffixes: B batch, D channels, L positions, K filter taps, M ring length (M >= L); a last dimension of 2 holds
real and imaginary parts.

Twisting: multiplied by ``w^n``, ``w = exp(i pi / 2M)``, a circular convolution of length M is one modulo ``x^M = i``:
for real inputs its real part, untwisted, is the linear convolution at positions 0 .. M-1 (the imaginary part those
after). So nothing is padded to twice its length. Only the transforms are opaque operators: the gates around them, the
twists and the product with the filter's spectrum are plain arithmetic that ``torch.compile`` fuses with their
neighbours, forward and backward.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

__all__ = ["ring_conv"]


def ring_conv(p_BDL: Tensor, filter_DK: Tensor, *, ring: int) -> Tensor:
    """``filter * p`` at positions 0 .. L - 1, exactly linear; fp32 or fp64. ``ring`` is a good length, at least L.

    Differentiable in both. Keeps the input's transform for the backward pass: 8 bytes a position and channel.
    """
    length = p_BDL.shape[2]
    taps = min(filter_DK.shape[1], length)
    angle_M = torch.arange(ring, device=p_BDL.device, dtype=p_BDL.dtype) * (math.pi / (2 * ring))
    cosine_M, sine_M = angle_M.cos(), angle_M.sin()

    def spectrum(x: Tensor) -> tuple[Tensor, Tensor]:
        here = x.shape[-1]
        twisted = torch.stack([x * cosine_M[:here], x * sine_M[:here]], -1)
        if here < ring:
            twisted = torch.nn.functional.pad(twisted, (0, 0, 0, ring - here))
        real, imaginary = _dft(twisted, False).unbind(-1)
        return real, imaginary

    filter_real, filter_imaginary = (part / ring for part in spectrum(filter_DK[:, :taps]))
    real, imaginary = spectrum(p_BDL)
    product = torch.stack(
        [
            real * filter_real - imaginary * filter_imaginary,
            real * filter_imaginary + imaginary * filter_real,
        ],
        -1,
    )
    ring_real, ring_imaginary = _dft(product, True).unbind(-1)
    y_BDM: Tensor = ring_real * cosine_M + ring_imaginary * sine_M
    return y_BDM[..., :length]


@torch.library.custom_op("ragyena::dft", mutates_args=())
def _dft(x: Tensor, inverse: bool) -> Tensor:
    """Discrete Fourier transform over the dimension before the last, which holds real and imaginary parts; no scale."""
    z = torch.view_as_complex(x.contiguous())
    z = torch.fft.ifft(z, norm="forward") if inverse else torch.fft.fft(z)
    return torch.view_as_real(z).contiguous()


@_dft.register_fake
def _dft_fake(x: Tensor, inverse: bool) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _dft_save(ctx: Any, inputs: tuple[Tensor, bool], output: Tensor) -> None:
    ctx.inverse = inputs[1]


def _dft_grad(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
    # The adjoint of the unscaled transform is the unscaled transform the other way.
    return _dft(gradient.contiguous(), not ctx.inverse), None


_dft.register_autograd(_dft_grad, setup_context=_dft_save)
