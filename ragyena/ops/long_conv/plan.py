"""Plans, tables and filter spectra of the long convolution's Triton kernels, in plain PyTorch.

Shape suffixes: D channels, K filter taps, M FFT size, N outer radix, A inner rows, B inner columns (M = N A B).

The weighted (right-angle) FFT. Weighted by ``w^n``, ``w = exp(i pi / 2M)``, a circular convolution of complex size M is
one modulo ``x^M = i``. For real inputs the unweighted real part is the linear convolution at positions 0 .. M-1,
exactly, and the imaginary part, for negative lags, minus that M positions before. So nothing is padded to 2M. The
weights amount to reading the transform at frequencies ``k - 1/4``. With ``n = n1 A B + n2`` and ``k = k1 + N k2``,

    exp(-2 pi i n (k - 1/4) / M) = F[k1, n1] * T[k1, n2] * (a plain transform of size A B, from n2 to k2)
    F[k1, n1] = exp(-2 pi i n1 (k1 - 1/4) / N),   T[k1, n2] = exp(-2 pi i n2 (k1 - 1/4) / M)

so the weights cost nothing: they are part of F and T, the first product has a real operand and the last a real result.
Every transform is unitary or, at odd powers of two, smaller by sqrt(2), which bounds the values that fp16 must hold
(see ``filter_spectrum``). Matrices are scaled by powers of two, so that their entries round as unscaled ones.

Sources: Poli et al. 2023 (Hyena) for the operator, Crandall & Fagin 1994 for weighted transforms, Bailey 1990 for the
split of a transform over a hierarchy of memories, Fu et al. 2023 (FlashFFTConv) for transforms on matrix units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = [
    "MAX_FFT_SIZE",
    "SPECTRUM_TOP",
    "FftPlan",
    "FftTables",
    "Spectrum",
    "fft_plan",
    "fft_tables",
    "filter_spectrum",
    "lag_range",
]

MAX_FFT_SIZE = 1 << 18
_MIN_FFT_SIZE = 256  # 16 x 16: the smallest that a matrix product takes
SPECTRUM_TOP = 32.0


@dataclass(frozen=True, slots=True)
class FftPlan:
    """Factors of an FFT of ``outer * rows * columns`` positions, and the launches of its kernels."""

    outer: int
    """N, the radix across kernels; 1 if one kernel holds the whole transform on chip."""
    rows: int
    columns: int
    """B; equals A if the transform is split over three kernels."""
    block: int = 64
    """Columns of one tile of the outer stage; a multiple of ``columns``."""
    outer_warps: int = 4
    inner_warps: int = 4
    outer_stages: int = 1
    inner_stages: int = 1
    backward_stages: int = 1
    """Rows that a program has in flight: with two or more the next is loaded during the work on one."""
    outer_programs: int = 1056
    inner_programs: int = 528
    """At most so many programs share a group's rows: several on each of some 130 multiprocessors."""

    @property
    def size(self) -> int:
        return self.outer * self.rows * self.columns

    @property
    def inner(self) -> int:
        return self.rows * self.columns

    @property
    def shrink(self) -> float:
        """Scale of one transform by the scaled matrices: 1 / sqrt(M), or less by factors of sqrt(2)."""
        return _matrix_scale(self.outer) * _matrix_scale(self.rows) * _matrix_scale(self.columns)

    @property
    def tiles(self) -> int:
        """Tiles of the outer stage."""
        return self.inner // self.block if self.outer > 1 else 1


_WHOLE = {
    256: FftPlan(1, 16, 16, inner_warps=1),
    512: FftPlan(1, 32, 16, inner_warps=1),
    1024: FftPlan(1, 32, 32, inner_warps=2),
    2048: FftPlan(1, 64, 32, inner_stages=2, inner_programs=792),
    4096: FftPlan(1, 64, 64, inner_stages=2),
    8192: FftPlan(1, 128, 64, inner_warps=8, inner_stages=2),
}
_AHEAD = {"inner_stages": 3, "backward_stages": 2}
_SPLIT = {
    16384: FftPlan(16, 32, 32, block=128, inner_warps=2, outer_stages=2, **_AHEAD),
    32768: FftPlan(32, 32, 32, block=128, inner_warps=2, outer_warps=8, outer_stages=2, **_AHEAD),
    65536: FftPlan(16, 64, 64, block=256, outer_stages=3, **_AHEAD),
    131072: FftPlan(32, 64, 64, block=128, outer_warps=8, outer_stages=3, **_AHEAD),
    262144: FftPlan(64, 64, 64, block=64, outer_stages=2, **_AHEAD),
}
# fp32 products are unrolled into multiply-adds without matrix units, so that tiles must be small.
_SPLIT_FP32 = {
    4096: FftPlan(16, 16, 16, block=32),
    8192: FftPlan(32, 16, 16, block=32),
    16384: FftPlan(16, 32, 32, block=32, inner_warps=8),
    32768: FftPlan(32, 32, 32, block=32, inner_warps=8),
    65536: FftPlan(64, 32, 32, block=32, outer_warps=8, inner_warps=8),
    131072: FftPlan(128, 32, 32, block=32, outer_warps=8, inner_warps=8),
    262144: FftPlan(64, 64, 64, block=64, outer_warps=8, inner_warps=8),
}


def fft_plan(positions: int, dtype: torch.dtype) -> FftPlan:
    """The plan of the least size, a power of two, for ``positions``. Raises ValueError above ``MAX_FFT_SIZE``."""
    if positions > MAX_FFT_SIZE:
        raise ValueError(f"{positions:,} positions; the Triton convolution holds at most {MAX_FFT_SIZE:,}")
    size = max(_MIN_FFT_SIZE, 1 << max(positions - 1, 0).bit_length())
    if dtype == torch.float32 and size in _SPLIT_FP32:
        return _SPLIT_FP32[size]
    return _WHOLE.get(size) or _SPLIT[size]


@dataclass(frozen=True, slots=True)
class FftTables:
    """Constants of a plan on a device, in the operands' type."""

    outer: Tensor
    """[2 N, N]: F (of the rows' transform if N is 1), the imaginary part as the last rows. Its transpose is the inverse
    to real numbers."""
    inner: Tensor
    """[2 B, 2 B]: a plain transform of B complex values as one real matrix, [[re, -im], [im, re]]. Its transpose is the
    inverse. A split transform has A = B, so that it serves rows and columns."""
    inner_twiddle: Tensor
    """[2, A, B]: between the rows' and the columns' transform; weighted if N is 1."""
    outer_twiddle: Tensor
    """[2, N, A B]: T."""


_tables: dict[tuple[FftPlan, torch.dtype, torch.device], FftTables] = {}


def fft_tables(plan: FftPlan, operand: torch.dtype, device: torch.device) -> FftTables:
    """The plan's constants, computed in fp64 once for each device and kept."""
    key = (plan, operand, device)
    if key in _tables:
        return _tables[key]
    whole = plan.outer == 1
    outer = plan.rows if whole else plan.outer
    F = _waves(outer, outer, outer, shift=-0.25) * _matrix_scale(outer)
    inner = _waves(plan.columns, plan.columns, plan.columns) * _matrix_scale(plan.columns)
    tables = FftTables(
        outer=torch.cat([F.real, F.imag]).to(device, operand),
        inner=torch.cat([torch.cat([inner.real, -inner.imag], 1), torch.cat([inner.imag, inner.real], 1)]).to(
            device, operand
        ),
        inner_twiddle=_planes(_waves(plan.rows, plan.columns, plan.inner, shift=-0.25 if whole else 0.0)).to(
            device, operand
        ),
        outer_twiddle=_planes(_waves(plan.outer, plan.inner, plan.size, shift=-0.25)).to(device, operand),
    )
    if not _capturing(device):  # memory of a CUDA graph's pool must not outlive it
        _tables[key] = tables
    return tables


@dataclass(frozen=True, slots=True)
class Spectrum:
    """A filter's transform of a plan's size, in the order in which the kernels read it: [D, N, A, B]."""

    real: Tensor
    imaginary: Tensor
    relative: Tensor
    """[D, N], fp32 powers of two of at most 1: factors of the values at each k1."""
    scale: Tensor
    """[D], fp32 powers of two: factors of the convolution's outputs."""
    plan: FftPlan

    def channels(self, some: slice) -> Spectrum:
        return Spectrum(self.real[some], self.imaginary[some], self.relative[some], self.scale[some], self.plan)


def filter_spectrum(filter_DK: Tensor, plan: FftPlan, operand: torch.dtype, *, causal: bool, reach: int) -> Spectrum:
    """Transform a filter's lags below ``reach`` (at most M), in fp32.

    Scaled so that no real or imaginary part exceeds 32. After a unitary transform of inputs below 1 neither a value nor
    their L2 norm exceeds sqrt(M) <= 512; so no product, and no value of the unitary inverse, exceeds
    512 * 32 * sqrt(2), which fp16 holds for all inputs.
    """
    channels, taps = filter_DK.shape
    middle, ahead, behind = lag_range(taps, plan, causal=causal, reach=reach)
    w_M = _weights(plan.size, filter_DK.device)
    filter_DK = filter_DK.float()
    wrapped_DM = torch.zeros(channels, plan.size, dtype=torch.complex64, device=filter_DK.device)
    wrapped_DM[:, :ahead] = filter_DK[:, middle : middle + ahead] * w_M[:ahead]
    if behind:
        # Lag -k is at M - k with the weight w^-k, which is exact because ``x^M = i``.
        # conj_physical: a compiled graph loses a lazy conj().
        back_M = torch.conj_physical(w_M[1 : behind + 1].flip(0))
        wrapped_DM[:, plan.size - behind :] += filter_DK[:, middle - behind : middle] * back_M
    H_DBAN = torch.fft.fft(wrapped_DM).view(channels, plan.columns, plan.rows, plan.outer)
    H_DNAB2 = torch.view_as_real(H_DBAN.permute(0, 3, 2, 1))
    top_D = H_DNAB2.abs().amax((1, 2, 3, 4))
    _, exponent_D = torch.frexp(top_D)
    scale_D = torch.ldexp(torch.full_like(top_D, 1 / SPECTRUM_TOP), exponent_D.clamp(-100, 120))
    scaled = H_DNAB2 / scale_D[:, None, None, None, None]
    gain = 1 / (plan.size * plan.shrink**2)  # a power of two
    return Spectrum(
        scaled[..., 0].to(operand).contiguous(),
        scaled[..., 1].to(operand).contiguous(),
        scale_D.new_ones(channels, plan.outer),
        scale_D * gain,
        plan,
    )


def lag_range(taps: int, plan: FftPlan, *, causal: bool, reach: int) -> tuple[int, int, int]:
    """Index of a filter's lag 0 among its taps, and the numbers of lags from it on, and before it, that are used."""
    middle = 0 if causal else taps // 2
    return middle, min(taps - middle, reach, plan.size), min(middle, reach - 1, plan.size - 1)


def _matrix_scale(size: int) -> float:
    """The largest power of two that is at most 1 / sqrt(size)."""
    return 2.0 ** -math.ceil(math.log2(size) / 2)


def _waves(rows: int, columns: int, period: int, *, shift: float = 0.0) -> Tensor:
    """``exp(-2 pi i (row + shift) column / period)`` in complex128."""
    row = torch.arange(rows, dtype=torch.float64)[:, None] + shift
    turns = torch.remainder(row * torch.arange(columns, dtype=torch.float64), period) / period
    return torch.polar(torch.ones_like(turns), -2 * math.pi * turns)


def _planes(z: Tensor) -> Tensor:
    return torch.stack([z.real, z.imag]).contiguous()


_weight_tables: dict[tuple[int, torch.device], Tensor] = {}


def _weights(size: int, device: torch.device) -> Tensor:
    key = (size, device)
    if key in _weight_tables:
        return _weight_tables[key]
    angle_M = torch.arange(size, dtype=torch.float64) * (math.pi / (2 * size))
    w_M = torch.polar(torch.ones_like(angle_M), angle_M).to(torch.complex64).to(device)
    if not _capturing(device):
        _weight_tables[key] = w_M
    return w_M


def _capturing(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()
