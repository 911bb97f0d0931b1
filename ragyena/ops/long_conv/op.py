"""Exact long convolution with gates and a skip: ``y = gate_out * (h * p + skip * p)`` where ``p = gate_in * u``.

Shape suffixes: B batch, D channels, L positions, K filter taps, R reach of a two-sided filter (K = 2R + 1).

``causal`` filters hold lags 0 .. K-1, ``two_sided`` ones lags -R .. R. The convolution is linear, never circular, and
K may be shorter or longer than L. Inputs may be fp16, bf16, fp32 or fp64; transforms and sums run in fp32 (fp64 for
fp64) and the result has the type of ``u``. Only the inputs are kept for the backward pass, which transforms them again.

Backends: ``fft`` (torch.fft, any length), ``direct`` (a depthwise torch convolution, for short filters), ``ring``
(``ragyena.ops.long_conv.fft_conv``: causal, elementwise work left to ``torch.compile``; more memory, less time) and
``triton`` (``ragyena.ops.long_conv.triton_op``: on CUDA, up to 262,144 positions; fp16 and bf16 with fp16 operands).
``auto`` is ``triton`` for half precision on CUDA, outside of ``torch.compile`` (docs/kernels.md has the figures).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from ragyena.ops.backends import choose_backend, prefers_triton
from ragyena.ops.conv_operator import gradient_like, register
from ragyena.ops.long_conv import triton_op as long_conv_triton
from ragyena.ops.long_conv.fft_conv import ring_conv

__all__ = ["BACKENDS", "Direction", "fft_size", "long_conv", "long_conv_reference", "long_conv_with_tail"]

Direction = Literal["causal", "two_sided"]
BACKENDS = ("fft", "direct", "ring", "triton")

# Up to this many taps the direct sum is faster than two transforms of the input.
_DIRECT_TAPS = 16
# Channels are transformed in groups of about this many samples, which bounds the memory spectra take; on a CPU a
# group also fits its caches.
_GROUP_SAMPLES = {"cpu": 1 << 20, "cuda": 1 << 27}


def long_conv(
    u_BDL: Tensor,
    filter_DK: Tensor,
    *,
    direction: Direction,
    skip_D: Tensor | None = None,
    gate_in_BDL: Tensor | None = None,
    gate_out_BDL: Tensor | None = None,
    backend: str = "auto",
) -> Tensor:
    """``gate_out * (filter * (gate_in * u) + skip * (gate_in * u))`` as [B, D, L], differentiable in every argument.

    Raises ValueError for shapes that do not fit, TypeError for integer inputs, MissingDependencyError for a backend
    that is not there.
    """
    _check(u_BDL, filter_DK, direction, skip_D, gate_in_BDL, gate_out_BDL)
    if backend == "auto":
        preferred, refusals = _preferred(u_BDL, filter_DK.shape[1], direction), {}
    else:
        preferred = backend
        refusals = {
            "ring": None if direction == "causal" else "it is causal only",
            "triton": long_conv_triton.refusal(u_BDL, u_BDL.shape[2]),
        }
    available = tuple(name for name in BACKENDS if refusals.get(name) is None)
    chosen = choose_backend("long_conv", backend, available, preferred, refusals)
    if chosen == "triton":
        out_BDL: Tensor = long_conv_triton.conv(
            u_BDL, filter_DK, direction == "causal", skip_D, gate_in_BDL, gate_out_BDL
        )
        return out_BDL
    if chosen == "direct":
        return _direct(u_BDL, filter_DK, direction == "causal", skip_D, gate_in_BDL, gate_out_BDL)
    if chosen == "ring":
        p_BDL = _gated(u_BDL, gate_in_BDL)
        ring = fft_size(u_BDL.shape[2], u_BDL.device.type)
        c_BDL = ring_conv(p_BDL, filter_DK.to(p_BDL.dtype), ring=ring)
        return _finish(c_BDL, p_BDL, skip_D, gate_out_BDL).to(u_BDL.dtype)
    y_BDL: Tensor = _fft(u_BDL, filter_DK, direction == "causal", skip_D, gate_in_BDL, gate_out_BDL)
    return y_BDL


def long_conv_with_tail(
    u_BDL: Tensor,
    filter_DK: Tensor,
    *,
    history: int,
    skip_D: Tensor | None = None,
    gate_in_BDL: Tensor | None = None,
    gate_out_BDL: Tensor | None = None,
    backend: str = "auto",
) -> tuple[Tensor, Tensor]:
    """The causal ``long_conv`` and what the same inputs contribute to the next ``history`` positions.

    The second result is [B, D, history] in fp32 (fp64 for fp64): ``filter * (gate_in * u)`` at positions L ..
    L + history - 1, before skip and outer gate, which the inputs of those positions themselves decide. The
    zero-padded transform holds it anyway. It is what decoding keeps of a prompt.
    Backends: ``fft`` and ``triton``, which has no gradient here.
    """
    _check(u_BDL, filter_DK, "causal", skip_D, gate_in_BDL, gate_out_BDL)
    if history < 0:
        raise ValueError(f"history is {history}; it counts positions")
    length = u_BDL.shape[2]
    ring = long_conv_triton.ring_with_tail(length, min(filter_DK.shape[1], length + history))
    refusals = {"triton": long_conv_triton.refusal(u_BDL, ring)}
    available = tuple(name for name in ("fft", "triton") if refusals.get(name) is None)
    if choose_backend("long_conv_with_tail", backend, available, "fft", refusals) == "triton":
        return long_conv_triton.conv_with_tail(u_BDL, filter_DK, history, skip_D, gate_in_BDL, gate_out_BDL)
    p_BDL = _gated(u_BDL, gate_in_BDL)
    full = _convolve(p_BDL, filter_DK.to(p_BDL.dtype), causal=True, outputs=length + history)
    y_BDL = _finish(full[..., :length], p_BDL, skip_D, gate_out_BDL).to(u_BDL.dtype)
    return y_BDL, full[..., length:].contiguous()


def long_conv_reference(
    u_BDL: Tensor,
    filter_DK: Tensor,
    *,
    direction: Direction,
    skip_D: Tensor | None = None,
    gate_in_BDL: Tensor | None = None,
    gate_out_BDL: Tensor | None = None,
) -> Tensor:
    """The definition, a sum over lags in fp64: O(L K), differentiable. What everything faster is tested against."""
    length, taps = u_BDL.shape[2], filter_DK.shape[1]
    first_lag = 0 if direction == "causal" else -(taps // 2)
    p_BDL = u_BDL.double() if gate_in_BDL is None else u_BDL.double() * gate_in_BDL.double()
    y_BDL = torch.zeros_like(p_BDL) if skip_D is None else p_BDL * skip_D.double()[:, None]
    for tap in range(taps):
        lag = first_lag + tap
        if abs(lag) < length:
            moved = (
                functional.pad(p_BDL, (lag, 0))[..., :length]
                if lag >= 0
                else functional.pad(p_BDL, (0, -lag))[..., -lag:]
            )
            y_BDL = y_BDL + filter_DK[:, tap, None].double() * moved
    return y_BDL if gate_out_BDL is None else y_BDL * gate_out_BDL.double()


def fft_size(minimum: int, device: str = "cpu") -> int:
    """The least good transform size of at least ``minimum``: 2^a 3^b 5^c on a CPU, 2^a times 1, 3 or 5 on CUDA."""
    best = 1 << max(minimum - 1, 0).bit_length()
    for odd in (1, 3, 5) if device == "cuda" else _ODD_SMOOTH:
        if odd < best:
            best = min(best, odd << max(-(-minimum // odd) - 1, 0).bit_length())
    return best


_ODD_SMOOTH = tuple(sorted(3**b * 5**c for b in range(12) for c in range(8) if 3**b * 5**c < 1 << 18))


def _preferred(u_BDL: Tensor, taps: int, direction: Direction) -> str:
    """What ``auto`` runs."""
    if taps <= _DIRECT_TAPS:
        return "direct"
    if prefers_triton("long_conv", u_BDL) and long_conv_triton.refusal(u_BDL, u_BDL.shape[2]) is None:
        return "triton"
    return "ring" if torch.compiler.is_compiling() and direction == "causal" else "fft"


def _check(
    u_BDL: Tensor,
    filter_DK: Tensor,
    direction: Direction,
    skip_D: Tensor | None,
    gate_in_BDL: Tensor | None,
    gate_out_BDL: Tensor | None,
) -> None:
    if u_BDL.ndim != 3 or u_BDL.shape[2] == 0:
        raise ValueError(f"u is {tuple(u_BDL.shape)}; it must be [batch, channels, length] with length at least 1")
    channels = u_BDL.shape[1]
    if filter_DK.ndim != 2 or filter_DK.shape[0] != channels or filter_DK.shape[1] == 0:
        raise ValueError(f"filter is {tuple(filter_DK.shape)}; it must be [{channels}, taps] with at least one tap")
    if direction not in ("causal", "two_sided"):
        raise ValueError(f"direction is {direction!r}; it must be 'causal' or 'two_sided'")
    if direction == "two_sided" and filter_DK.shape[1] % 2 == 0:
        raise ValueError(f"a two-sided filter has an odd number of taps, lag 0 in the middle; got {filter_DK.shape[1]}")
    if skip_D is not None and skip_D.shape != (channels,):
        raise ValueError(f"skip is {tuple(skip_D.shape)}; it must be [{channels}]")
    for name, gate in (("gate_in", gate_in_BDL), ("gate_out", gate_out_BDL)):
        if gate is not None and gate.shape != u_BDL.shape:
            raise ValueError(f"{name} is {tuple(gate.shape)}; it must have the shape of u, {tuple(u_BDL.shape)}")
    for name, tensor in (
        ("u", u_BDL),
        ("filter", filter_DK),
        ("skip", skip_D),
        ("gate_in", gate_in_BDL),
        ("gate_out", gate_out_BDL),
    ):
        if tensor is not None and not tensor.is_floating_point():
            raise TypeError(f"{name} is {tensor.dtype}; it must be a real floating point tensor")


def _working(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def _gated(u_BDL: Tensor, gate_in_BDL: Tensor | None) -> Tensor:
    p_BDL = u_BDL.to(_working(u_BDL.dtype))
    return p_BDL if gate_in_BDL is None else p_BDL * gate_in_BDL


def _finish(c_BDL: Tensor, p_BDL: Tensor, skip_D: Tensor | None, gate_out_BDL: Tensor | None) -> Tensor:
    s_BDL = c_BDL if skip_D is None else c_BDL + p_BDL * skip_D[:, None]
    return s_BDL if gate_out_BDL is None else s_BDL * gate_out_BDL


# ---------------------------------------------------------------------------------------------------------------
# direct
# ---------------------------------------------------------------------------------------------------------------


def _direct(
    u_BDL: Tensor,
    filter_DK: Tensor,
    causal: bool,
    skip_D: Tensor | None,
    gate_in_BDL: Tensor | None,
    gate_out_BDL: Tensor | None,
) -> Tensor:
    p_BDL = _gated(u_BDL, gate_in_BDL)
    taps = filter_DK.shape[1]
    padding = (taps - 1, 0) if causal else (taps // 2, taps // 2)
    kernel = filter_DK.to(p_BDL.dtype).flip(1)[:, None]
    with torch.autocast(u_BDL.device.type, enabled=False):
        c_BDL = functional.conv1d(functional.pad(p_BDL, padding), kernel, groups=p_BDL.shape[1])
    return _finish(c_BDL, p_BDL, skip_D, gate_out_BDL).to(u_BDL.dtype)


# ---------------------------------------------------------------------------------------------------------------
# fft: one opaque operator, so that torch.compile passes it through whole
# ---------------------------------------------------------------------------------------------------------------


def _reach(taps: int, length: int, causal: bool, outputs: int) -> tuple[int, int]:
    """Of a filter's taps, the first and the end of those that reach any of the first ``outputs`` outputs."""
    if causal:
        return 0, min(taps, outputs)
    middle = taps // 2
    reach = min(middle, length - 1)
    return middle - reach, middle + reach + 1


def _spectrum(filter_DK: Tensor, size: int, causal: bool) -> Tensor:
    """Transform of a filter whose negative lags stand at the end of the ring."""
    channels, taps = filter_DK.shape
    ring = filter_DK
    if not causal:
        ring = filter_DK.new_zeros(channels, size)
        ring[:, : taps // 2 + 1] = filter_DK[:, taps // 2 :]
        ring[:, size - taps // 2 :] = filter_DK[:, : taps // 2]
    spectrum: Tensor = torch.fft.rfft(ring, n=size)
    return spectrum


def _ring(length: int, taps: int, causal: bool, device: str) -> int:
    # What wraps around must miss every output that is kept: two-sided outputs begin after the wrapped ones end.
    return fft_size(length + (taps - 1 if causal else taps // 2), device)


def _groups(batch: int, channels: int, size: int, device: str) -> Iterator[slice]:
    step = max(1, _GROUP_SAMPLES.get(device, 1 << 27) // (batch * size))
    for start in range(0, channels, step):
        yield slice(start, min(start + step, channels))


def _convolve(p_BDL: Tensor, filter_DK: Tensor, *, causal: bool, outputs: int) -> Tensor:
    """``filter * p`` at positions 0 .. outputs - 1 (outputs may pass L where the filter is causal)."""
    batch, channels, length = p_BDL.shape
    device = p_BDL.device.type
    first, end = _reach(filter_DK.shape[1], length, causal, outputs)
    size = _ring(length, end - first, causal, device)
    parts = []
    for group in _groups(batch, channels, size, device):
        H = _spectrum(filter_DK[group, first:end], size, causal)
        part = torch.fft.irfft(torch.fft.rfft(p_BDL[:, group], n=size) * H, n=size)
        parts.append(functional.pad(part, (0, max(0, outputs - size)))[..., :outputs])
    return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]


@torch.library.custom_op("ragyena::long_conv_fft", mutates_args=())
def _fft(
    u_BDL: Tensor,
    filter_DK: Tensor,
    causal: bool,
    skip_D: Tensor | None,
    gate_in_BDL: Tensor | None,
    gate_out_BDL: Tensor | None,
) -> Tensor:
    p_BDL = _gated(u_BDL, gate_in_BDL)
    c_BDL = _convolve(p_BDL, filter_DK.to(p_BDL.dtype), causal=causal, outputs=u_BDL.shape[2])
    y_BDL = _finish(c_BDL, p_BDL, skip_D, gate_out_BDL).to(u_BDL.dtype)
    return y_BDL.contiguous()


@torch.library.custom_op("ragyena::long_conv_fft_backward", mutates_args=())
def _fft_backward(
    dy_BDL: Tensor,
    u_BDL: Tensor,
    filter_DK: Tensor,
    causal: bool,
    skip_D: Tensor | None,
    gate_in_BDL: Tensor | None,
    gate_out_BDL: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of u, filter, skip, gate_in, gate_out; empty where there is no such argument."""
    batch, channels, length = u_BDL.shape
    device, work = u_BDL.device.type, _working(u_BDL.dtype)
    first, end = _reach(filter_DK.shape[1], length, causal, length)
    size = _ring(length, end - first, causal, device)
    du, dfilter = gradient_like(u_BDL, u_BDL), torch.zeros_like(filter_DK, memory_format=torch.contiguous_format)
    dskip, dgate_in, dgate_out = (
        gradient_like(skip_D, u_BDL),
        gradient_like(gate_in_BDL, u_BDL),
        gradient_like(gate_out_BDL, u_BDL),
    )
    for group in _groups(batch, channels, size, device):
        dy = dy_BDL[:, group].to(work)
        p = _gated(u_BDL[:, group], None if gate_in_BDL is None else gate_in_BDL[:, group])
        P = torch.fft.rfft(p, n=size)
        H = _spectrum(filter_DK[group, first:end].to(work), size, causal)
        skip = None if skip_D is None else skip_D[group].to(work)
        if gate_out_BDL is not None:
            c = torch.fft.irfft(P * H, n=size)[..., :length]
            dgate_out[:, group] = (dy * _finish(c, p, skip, None)).to(dgate_out.dtype)
            dy = dy * gate_out_BDL[:, group]
        DY = torch.fft.rfft(dy, n=size)
        dp = torch.fft.irfft(DY * H.conj(), n=size)[..., :length]
        dring = torch.fft.irfft((DY * P.conj()).sum(0), n=size)
        reach = (end - first) // 2
        dtaps = dring[:, : end - first] if causal else dring.roll(reach, 1)[:, : end - first]
        dfilter[group, first:end] = dtaps.to(dfilter.dtype)
        if skip is not None:
            dskip[group] = (dy * p).sum((0, 2)).to(dskip.dtype)
            dp = dp + dy * skip[:, None]
        if gate_in_BDL is not None:
            dgate_in[:, group] = (dp * u_BDL[:, group]).to(dgate_in.dtype)
            dp = dp * gate_in_BDL[:, group]
        du[:, group] = dp.to(du.dtype)
    return du, dfilter, dskip, dgate_in, dgate_out


register(_fft, _fft_backward)
