"""What the long convolution's Triton kernels need that is plain PyTorch: plans, tables and a filter's spectrum.

Shape suffixes: D channels, K filter taps, M ring length, N outer radix, A inner rows, B inner columns (M = N A B).

The twisted ring. Weighted by ``w^n``, ``w = exp(i pi / 2M)``, a circular convolution of complex length M is one modulo
``x^M = i``. For real inputs its untwisted real part is the linear convolution at positions 0 .. M-1, exactly, and its
imaginary part what lies M further (or, for negative lags, minus what lies M before). Nothing is padded to 2M. In other
words: the transform is read at the frequencies ``k - 1/4``. With ``n = n1 A B + n2`` and ``k = k1 + N k2``,

    exp(-2 pi i n (k - 1/4) / M) = F[k1, n1] * T[k1, n2] * (a plain transform of length A B, from n2 to k2)
    F[k1, n1] = exp(-2 pi i n1 (k1 - 1/4) / N),   T[k1, n2] = exp(-2 pi i n2 (k1 - 1/4) / M)

so the twist costs nothing: it is folded into F and T, the first product has a real operand and the last a real result.
Every transform is unitary or, at odd powers of two, smaller by sqrt(2), which bounds all that fp16 must hold (see
``spectrum``); matrices are scaled by powers of two, for 1 / sqrt(32) in fp16 is wrong by the same share everywhere.

Sources: Poli et al. 2023 (Hyena) for the operator, Bailey 1990 for the split of a transform over a hierarchy of
memories, Fu et al. 2023 (FlashFFTConv) for doing it with matrix units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = [
    "MAX_RING",
    "SPECTRUM_TOP",
    "RingPlan",
    "RingTables",
    "Spectrum",
    "lags_on_ring",
    "ring_plan",
    "ring_tables",
    "spectrum",
]

MAX_RING = 1 << 18
_MIN_RING = 256  # 16 x 16: the least that a matrix product takes
SPECTRUM_TOP = 32.0


@dataclass(frozen=True, slots=True)
class RingPlan:
    """How a ring of ``outer * rows * columns`` positions is cut, and how its kernels are launched."""

    outer: int
    """N, the radix across kernels; 1 where one kernel holds a whole ring on chip."""
    rows: int
    columns: int
    """B; A where the ring is split."""
    block: int = 64
    """Columns of one tile of the outer stage; a multiple of ``columns``."""
    outer_warps: int = 4
    inner_warps: int = 4
    outer_stages: int = 1
    inner_stages: int = 1
    backward_stages: int = 1
    """How many rows a program has in hand: with two or more it asks for the next one while it works."""
    outer_programs: int = 1056
    inner_programs: int = 528
    """Programs that share a group's rows, at most: several on each of some 130 multiprocessors."""

    @property
    def ring(self) -> int:
        return self.outer * self.rows * self.columns

    @property
    def inner(self) -> int:
        return self.rows * self.columns

    @property
    def shrink(self) -> float:
        """What the scaled matrices of one transform multiply it by: 1 / sqrt(M), or some sqrt(2) less."""
        return _matrix_scale(self.outer) * _matrix_scale(self.rows) * _matrix_scale(self.columns)

    @property
    def tiles(self) -> int:
        """Tiles of the outer stage in a ring."""
        return self.inner // self.block if self.outer > 1 else 1


_WHOLE = {
    256: RingPlan(1, 16, 16, inner_warps=1),
    512: RingPlan(1, 32, 16, inner_warps=1),
    1024: RingPlan(1, 32, 32, inner_warps=2),
    2048: RingPlan(1, 64, 32, inner_stages=2, inner_programs=792),
    4096: RingPlan(1, 64, 64, inner_stages=2),
    8192: RingPlan(1, 128, 64, inner_warps=8, inner_stages=2),
}
_AHEAD = {"inner_stages": 3, "backward_stages": 2}
_SPLIT = {
    16384: RingPlan(16, 32, 32, block=128, inner_warps=2, outer_stages=2, **_AHEAD),
    32768: RingPlan(32, 32, 32, block=128, inner_warps=2, outer_warps=8, outer_stages=2, **_AHEAD),
    65536: RingPlan(16, 64, 64, block=256, outer_stages=3, **_AHEAD),
    131072: RingPlan(32, 64, 64, block=128, outer_warps=8, outer_stages=3, **_AHEAD),
    262144: RingPlan(64, 64, 64, block=64, outer_stages=2, **_AHEAD),
}
# In fp32 no matrix unit helps: products are unrolled into multiply-adds, so that tiles must be small.
_FULL_PRECISION = {
    4096: RingPlan(16, 16, 16, block=32),
    8192: RingPlan(32, 16, 16, block=32),
    16384: RingPlan(16, 32, 32, block=32, inner_warps=8),
    32768: RingPlan(32, 32, 32, block=32, inner_warps=8),
    65536: RingPlan(64, 32, 32, block=32, outer_warps=8, inner_warps=8),
    131072: RingPlan(128, 32, 32, block=32, outer_warps=8, inner_warps=8),
    262144: RingPlan(64, 64, 64, block=64, outer_warps=8, inner_warps=8),
}


def ring_plan(positions: int, dtype: torch.dtype) -> RingPlan:
    """The plan of the least ring, a power of two, that holds ``positions``. Raises ValueError past ``MAX_RING``."""
    if positions > MAX_RING:
        raise ValueError(f"{positions:,} positions; the Triton convolution holds at most {MAX_RING:,}")
    ring = max(_MIN_RING, 1 << max(positions - 1, 0).bit_length())
    if dtype == torch.float32 and ring in _FULL_PRECISION:
        return _FULL_PRECISION[ring]
    return _WHOLE.get(ring) or _SPLIT[ring]


@dataclass(frozen=True, slots=True)
class RingTables:
    """Constants of a plan on a device, in the operands' type."""

    outer: Tensor
    """[2 N, N]: real above imaginary part of F (of the rows' transform where one kernel holds the ring). Transposed,
    real beside imaginary part, it leads back to real numbers."""
    inner: Tensor
    """[2 B, 2 B]: a plain transform of B complex values as one matrix of real ones, [[re, -im], [im, re]]; rows and
    columns of a split ring are alike, so that it serves both, and transposed it is the inverse."""
    inner_twiddle: Tensor
    """[2, A, B]: between the rows' and the columns' transform; twisted where one kernel holds the ring."""
    outer_twiddle: Tensor
    """[2, N, A B]: T."""


_tables: dict[tuple[RingPlan, torch.dtype, torch.device], RingTables] = {}


def ring_tables(plan: RingPlan, operand: torch.dtype, device: torch.device) -> RingTables:
    """The plan's constants, computed in fp64 once for each device and kept."""
    key = (plan, operand, device)
    if key in _tables:
        return _tables[key]
    whole = plan.outer == 1
    outer = plan.rows if whole else plan.outer
    F = _waves(outer, outer, outer, shift=-0.25) * _matrix_scale(outer)
    inner = _waves(plan.columns, plan.columns, plan.columns) * _matrix_scale(plan.columns)
    tables = RingTables(
        outer=torch.cat([F.real, F.imag]).to(device, operand),
        inner=torch.cat([torch.cat([inner.real, -inner.imag], 1), torch.cat([inner.imag, inner.real], 1)]).to(
            device, operand
        ),
        inner_twiddle=_planes(_waves(plan.rows, plan.columns, plan.inner, shift=-0.25 if whole else 0.0)).to(
            device, operand
        ),
        outer_twiddle=_planes(_waves(plan.outer, plan.inner, plan.ring, shift=-0.25)).to(device, operand),
    )
    if not _capturing(device):  # memory of a CUDA graph's own pool must not outlive it
        _tables[key] = tables
    return tables


@dataclass(frozen=True, slots=True)
class Spectrum:
    """A filter's transform over a plan's ring, in the order in which the kernels meet it: [D, N, A, B]."""

    real: Tensor
    imaginary: Tensor
    even: Tensor
    """[D, N], fp32 powers of two of at most 1: what the parts of each k1 must be multiplied by."""
    scale: Tensor
    """[D], fp32 powers of two: what the way there and back must be multiplied by."""
    plan: RingPlan

    def channels(self, some: slice) -> Spectrum:
        """Those of some channels."""
        return Spectrum(self.real[some], self.imaginary[some], self.even[some], self.scale[some], self.plan)


def spectrum(filter_DK: Tensor, plan: RingPlan, operand: torch.dtype, *, causal: bool, reach: int) -> Spectrum:
    """Transform a filter's lags below ``reach`` (at most the ring), in fp32.

    Scaled so that no part passes 32: after a unitary transform of inputs below 1 no value passes sqrt(M) <= 512, and
    neither does their L2 norm; so no product, and no value of the unitary way back, passes 512 * 32 * sqrt(2), which
    fp16 holds, whatever the inputs.
    """
    channels, taps = filter_DK.shape
    middle, ahead, behind = lags_on_ring(taps, plan, causal=causal, reach=reach)
    w_M = _twist(plan.ring, filter_DK.device)
    filter_DK = filter_DK.float()
    ring_DM = torch.zeros(channels, plan.ring, dtype=torch.complex64, device=filter_DK.device)
    ring_DM[:, :ahead] = filter_DK[:, middle : middle + ahead] * w_M[:ahead]
    if behind:
        # Lag -k stands at M - k with the weight w^-k; ``x^M = i`` makes that exact.
        # (A lazy conj() is lost where a compiled graph runs this operator.)
        back_M = torch.conj_physical(w_M[1 : behind + 1].flip(0))
        ring_DM[:, plan.ring - behind :] += filter_DK[:, middle - behind : middle] * back_M
    H_DBAN = torch.fft.fft(ring_DM).view(channels, plan.columns, plan.rows, plan.outer)
    H_DNAB2 = torch.view_as_real(H_DBAN.permute(0, 3, 2, 1))
    top_D = H_DNAB2.abs().amax((1, 2, 3, 4))
    _, exponent_D = torch.frexp(top_D)
    scale_D = torch.ldexp(torch.full_like(top_D, 1 / SPECTRUM_TOP), exponent_D.clamp(-100, 120))
    scaled = H_DNAB2 / scale_D[:, None, None, None, None]
    gain = 1 / (plan.ring * plan.shrink**2)  # a power of two
    return Spectrum(
        scaled[..., 0].to(operand).contiguous(),
        scaled[..., 1].to(operand).contiguous(),
        scale_D.new_ones(channels, plan.outer),
        scale_D * gain,
        plan,
    )


def lags_on_ring(taps: int, plan: RingPlan, *, causal: bool, reach: int) -> tuple[int, int, int]:
    """Where a filter's lag 0 stands among its taps, and how many lags from it on, and before it, matter."""
    middle = 0 if causal else taps // 2
    return middle, min(taps - middle, reach, plan.ring), min(middle, reach - 1, plan.ring - 1)


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


_twists: dict[tuple[int, torch.device], Tensor] = {}


def _twist(ring: int, device: torch.device) -> Tensor:
    key = (ring, device)
    if key in _twists:
        return _twists[key]
    angle_M = torch.arange(ring, dtype=torch.float64) * (math.pi / (2 * ring))
    w_M = torch.polar(torch.ones_like(angle_M), angle_M).to(torch.complex64).to(device)
    if not _capturing(device):
        _twists[key] = w_M
    return w_M


def _capturing(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()
