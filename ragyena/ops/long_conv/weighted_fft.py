"""The causal long convolution as real arithmetic around two complex transforms, for ``torch.compile``.

Shape suffixes: B batch, D channels, L positions, K filter taps, M transform size (M >= L); a last dimension of 2 holds
real and imaginary parts.

A right-angle convolution (Crandall & Fagin 1994): weighted by ``w^n``, ``w = exp(i pi / 2M)``, a circular convolution
of size M is one modulo ``x^M = i``. For real inputs its unweighted real part is the linear convolution at positions
0 .. M - 1, without padding to 2M. Only the transforms are opaque operators: gates, weights and the product with the
filter's spectrum are plain arithmetic that a compiler fuses with their neighbours, forward and backward.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

__all__ = ["weighted_fft_conv"]


def weighted_fft_conv(p_BDL: Tensor, filter_DK: Tensor, *, size: int) -> Tensor:
    """``filter * p`` at positions 0 .. L - 1, fp32 or fp64, by transforms of ``size`` (a fast one, at least L).

    Differentiable in both. Keeps the input's transform for the backward pass: 8 bytes a position and channel.
    """
    length = p_BDL.shape[2]
    taps = min(filter_DK.shape[1], length)
    angle_M = torch.arange(size, device=p_BDL.device, dtype=p_BDL.dtype) * (math.pi / (2 * size))
    cosine_M, sine_M = angle_M.cos(), angle_M.sin()

    def spectrum(x: Tensor) -> tuple[Tensor, Tensor]:
        here = x.shape[-1]
        weighted = torch.stack([x * cosine_M[:here], x * sine_M[:here]], -1)
        if here < size:
            weighted = torch.nn.functional.pad(weighted, (0, 0, 0, size - here))
        real, imaginary = _dft(weighted, False).unbind(-1)
        return real, imaginary

    filter_real, filter_imaginary = (part / size for part in spectrum(filter_DK[:, :taps]))
    real, imaginary = spectrum(p_BDL)
    product = torch.stack(
        [
            real * filter_real - imaginary * filter_imaginary,
            real * filter_imaginary + imaginary * filter_real,
        ],
        -1,
    )
    real, imaginary = _dft(product, True).unbind(-1)
    y_BDM: Tensor = real * cosine_M + imaginary * sine_M
    return y_BDM[..., :length]


@torch.library.custom_op("ragyena::dft", mutates_args=())
def _dft(x: Tensor, inverse: bool) -> Tensor:
    """Unscaled discrete Fourier transform over the last dimension but one."""
    z = torch.view_as_complex(x.contiguous())
    z = torch.fft.ifft(z, norm="forward") if inverse else torch.fft.fft(z)
    return torch.view_as_real(z).contiguous()


@_dft.register_fake
def _dft_fake(x: Tensor, inverse: bool) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _dft_save(ctx: Any, inputs: tuple[Tensor, bool], output: Tensor) -> None:
    ctx.inverse = inputs[1]


def _dft_grad(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
    # The adjoint of an unscaled transform is the unscaled inverse.
    return _dft(gradient.contiguous(), not ctx.inverse), None


_dft.register_autograd(_dft_grad, setup_context=_dft_save)
