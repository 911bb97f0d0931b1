"""The long convolution in torch operations: by ``torch.fft``, directly for short filters, and for ``torch.compile`` as
real arithmetic around two complex transforms.

Shape suffixes: B batch, D channels, L positions, K filter taps, M transform size (M >= L); a last dimension of 2 holds
real and imaginary parts. Transforms and sums run in fp32 (fp64 for fp64).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ragyena.ops.custom_op import empty_gradient, operator

__all__ = ["LongConv", "convolve", "direct_conv", "fft_conv", "fft_size", "finish", "gated", "weighted_fft_conv"]

# Channels are transformed in groups of about this many samples, which bounds the memory of their spectra; on a CPU a
# group also fits its caches.
_GROUP_SAMPLES = {"cpu": 1 << 20, "cuda": 1 << 27}
_ODD_SMOOTH = tuple(sorted(3**b * 5**c for b in range(12) for c in range(8) if 3**b * 5**c < 1 << 18))


def fft_size(minimum: int, device: str = "cpu") -> int:
    """The least fast transform size of at least ``minimum``: 2^a 3^b 5^c on a CPU, 2^a times 1, 3 or 5 on CUDA."""
    best = 1 << max(minimum - 1, 0).bit_length()
    for odd in (1, 3, 5) if device == "cuda" else _ODD_SMOOTH:
        if odd < best:
            best = min(best, odd << max(-(-minimum // odd) - 1, 0).bit_length())
    return best


def gated(u_BDL: Tensor, gate_in_BDL: Tensor | None) -> Tensor:
    """``gate_in * u`` in the type of the sums."""
    p_BDL = u_BDL.to(_working(u_BDL.dtype))
    return p_BDL if gate_in_BDL is None else p_BDL * gate_in_BDL


def finish(c_BDL: Tensor, p_BDL: Tensor, skip_D: Tensor | None, gate_out_BDL: Tensor | None) -> Tensor:
    """``gate_out * (c + skip * p)``."""
    s_BDL = c_BDL if skip_D is None else c_BDL + p_BDL * skip_D[:, None]
    return s_BDL if gate_out_BDL is None else s_BDL * gate_out_BDL


def direct_conv(p_BDL: Tensor, filter_DK: Tensor, *, causal: bool) -> Tensor:
    """``filter * p`` as a depthwise convolution."""
    taps = filter_DK.shape[1]
    padding = (taps - 1, 0) if causal else (taps // 2, taps // 2)
    kernel = filter_DK.flip(1)[:, None]
    with torch.autocast(p_BDL.device.type, enabled=False):
        return functional.conv1d(functional.pad(p_BDL, padding), kernel, groups=p_BDL.shape[1])


def _working(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def _reach(taps: int, length: int, causal: bool, outputs: int) -> tuple[int, int]:
    """First and end of the filter's taps that reach any of the first ``outputs`` outputs."""
    if causal:
        return 0, min(taps, outputs)
    middle = taps // 2
    reach = min(middle, length - 1)
    return middle - reach, middle + reach + 1


def _spectrum(filter_DK: Tensor, size: int, causal: bool) -> Tensor:
    """Transform of a filter whose negative lags are wrapped to the end."""
    channels, taps = filter_DK.shape
    wrapped = filter_DK
    if not causal:
        wrapped = filter_DK.new_zeros(channels, size)
        wrapped[:, : taps // 2 + 1] = filter_DK[:, taps // 2 :]
        wrapped[:, size - taps // 2 :] = filter_DK[:, : taps // 2]
    spectrum: Tensor = torch.fft.rfft(wrapped, n=size)
    return spectrum


def _size(length: int, taps: int, causal: bool, device: str) -> int:
    # Outputs that wrap around must miss those that are kept; two-sided ones begin after the wrapped ones end.
    return fft_size(length + (taps - 1 if causal else taps // 2), device)


def _groups(batch: int, channels: int, size: int, device: str) -> Iterator[slice]:
    step = max(1, _GROUP_SAMPLES.get(device, 1 << 27) // (batch * size))
    for start in range(0, channels, step):
        yield slice(start, min(start + step, channels))


def convolve(p_BDL: Tensor, filter_DK: Tensor, *, causal: bool, outputs: int) -> Tensor:
    """``filter * p`` at positions 0 .. outputs - 1; more than L only for a causal filter."""
    batch, channels, length = p_BDL.shape
    device = p_BDL.device.type
    first, end = _reach(filter_DK.shape[1], length, causal, outputs)
    size = _size(length, end - first, causal, device)
    parts = []
    for group in _groups(batch, channels, size, device):
        H = _spectrum(filter_DK[group, first:end], size, causal)
        part = torch.fft.irfft(torch.fft.rfft(p_BDL[:, group], n=size) * H, n=size)
        parts.append(functional.pad(part, (0, max(0, outputs - size)))[..., :outputs])
    return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]


class LongConv(NamedTuple):
    """Arguments of ``gate_out * (filter * p + skip * p)``, ``p = gate_in * u``."""

    u: Tensor
    filter: Tensor
    causal: bool
    skip: Tensor | None
    gate_in: Tensor | None
    gate_out: Tensor | None

    def channels(self, group: slice) -> LongConv:
        """The arguments of some channels."""
        gate_in, gate_out = (None if gate is None else gate[:, group] for gate in (self.gate_in, self.gate_out))
        skip = None if self.skip is None else self.skip[group]
        return LongConv(self.u[:, group], self.filter[group], self.causal, skip, gate_in, gate_out)


def _forward(c: LongConv) -> Tensor:
    p_BDL = gated(c.u, c.gate_in)
    c_BDL = convolve(p_BDL, c.filter.to(p_BDL.dtype), causal=c.causal, outputs=c.u.shape[2])
    return finish(c_BDL, p_BDL, c.skip, c.gate_out).to(c.u.dtype).contiguous()


def _backward(dy_BDL: Tensor, whole: LongConv) -> tuple[Tensor, ...]:
    batch, channels, length = whole.u.shape
    device, work = whole.u.device.type, _working(whole.u.dtype)
    first, end = _reach(whole.filter.shape[1], length, whole.causal, length)
    size = _size(length, end - first, whole.causal, device)
    du, dskip, dgate_in, dgate_out = (empty_gradient(x, whole.u) for x in (whole.u, *whole[3:]))
    dfilter = torch.zeros_like(whole.filter, memory_format=torch.contiguous_format)
    for group in _groups(batch, channels, size, device):
        c, dy = whole.channels(group), dy_BDL[:, group].to(work)
        p = gated(c.u, c.gate_in)
        P = torch.fft.rfft(p, n=size)
        H = _spectrum(c.filter[:, first:end].to(work), size, c.causal)
        skip = None if c.skip is None else c.skip.to(work)
        if c.gate_out is not None:
            s = torch.fft.irfft(P * H, n=size)[..., :length]
            dgate_out[:, group] = (dy * finish(s, p, skip, None)).to(dgate_out.dtype)
            dy = dy * c.gate_out
        DY = torch.fft.rfft(dy, n=size)
        dp = torch.fft.irfft(DY * H.conj(), n=size)[..., :length]
        dwrapped = torch.fft.irfft((DY * P.conj()).sum(0), n=size)
        reach = (end - first) // 2
        dtaps = dwrapped[:, : end - first] if c.causal else dwrapped.roll(reach, 1)[:, : end - first]
        dfilter[group, first:end] = dtaps.to(dfilter.dtype)
        if skip is not None:
            dskip[group] = (dy * p).sum((0, 2)).to(dskip.dtype)
            dp = dp + dy * skip[:, None]
        if c.gate_in is not None:
            dgate_in[:, group] = (dp * c.u).to(dgate_in.dtype)
            dp = dp * c.gate_in
        du[:, group] = dp.to(du.dtype)
    return du, dfilter, dskip, dgate_in, dgate_out


fft_conv = operator("long_conv_fft", LongConv, _forward, _backward)


def weighted_fft_conv(p_BDL: Tensor, filter_DK: Tensor, *, size: int) -> Tensor:
    """``filter * p`` at positions 0 .. L - 1, fp32 or fp64, by transforms of ``size`` (a fast one, at least L).

    A right-angle convolution (Crandall & Fagin 1994): weighted by ``w^n``, ``w = exp(i pi / 2M)``, a circular
    convolution of size M is one modulo ``x^M = i``. For real inputs its unweighted real part is the linear convolution
    at positions 0 .. M - 1, without padding to 2M. Only the transforms are opaque operators: gates, weights and the
    product with the filter's spectrum are real arithmetic that a compiler fuses with their neighbours.

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
            weighted = functional.pad(weighted, (0, 0, 0, size - here))
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
