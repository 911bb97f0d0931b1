"""Launches of the long convolution's Triton kernels.

Shape suffixes: B batch, D channels, L positions, K filter taps.

fp16 and bf16 arguments are transformed with fp16 operands (block floating point, fp32 sums), fp32 ones with fp32
operands. Channels are processed in groups, which bounds the memory of their transforms. Triton is imported at the first
launch.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor

from ragyena.ops.long_conv.plan import (
    SPECTRUM_TOP,
    FftPlan,
    FftTables,
    Spectrum,
    fft_tables,
    filter_spectrum,
    lag_range,
)

__all__ = ["Gradients", "Launcher", "contiguous", "operand_type"]

# Bytes of transforms that one group of channels may take for any input, and for a large one.
_GROUP_BYTES = 16 << 20
_LARGE_GROUP_BYTES = 128 << 20
# Precision of products of fp32 operands. The default, tf32, has an error of 3e-4.
_PRECISION = "ieee"


@functools.cache
def _kernels() -> ModuleType:
    return importlib.import_module("ragyena.ops.long_conv.triton_conv")


@functools.cache
def _filter_kernels() -> ModuleType:
    return importlib.import_module("ragyena.ops.long_conv.triton_filter")


def operand_type(dtype: torch.dtype) -> torch.dtype:
    """The type in which arguments of ``dtype`` are transformed."""
    return torch.float32 if dtype == torch.float32 else torch.float16


def contiguous(tensor: Tensor | None) -> Tensor | None:
    """An argument in the layout that the kernels address, or None."""
    return None if tensor is None else tensor.contiguous()


@dataclass(frozen=True, slots=True)
class Transform:
    """Rows transformed over n1, [rows, N, 2, A B], and the scale of each tile."""

    numbers: Tensor
    scale: Tensor


@dataclass(frozen=True, slots=True)
class Gradients:
    """Gradients of a convolution's arguments, those of filter and skip in fp32; a missing gate's is empty."""

    u: Tensor
    filter: Tensor
    skip: Tensor
    """[D], summed by itself: the filter's gradient at lag 0 is the same number, but its error is a thousandth of the
    largest lag's, of which it may be a small part."""
    gate_in: Tensor
    gate_out: Tensor


class Launcher:
    """Sizes, tables and launches of one call."""

    def __init__(self, u_BDL: Tensor, plan: FftPlan) -> None:
        self.batch, self.width, self.length = u_BDL.shape
        self.plan = plan
        self.operand = operand_type(u_BDL.dtype)
        self.device = u_BDL.device
        self.tables: FftTables = fft_tables(plan, self.operand, u_BDL.device)
        self.delta = 1 / (plan.size * plan.shrink**2)
        self.outer = {"num_warps": plan.outer_warps, "num_stages": plan.outer_stages, "PRECISION": _PRECISION}
        self.inner = {"num_warps": plan.inner_warps, "num_stages": plan.inner_stages, "PRECISION": _PRECISION}
        # A filter's kernels have few rows a program: loading ahead costs more than it saves.
        self.outer_once, self.inner_once = {**self.outer, "num_stages": 1}, {**self.inner, "num_stages": 1}

    def groups(self) -> Iterator[slice]:
        """Groups of channels to process together."""
        # A transform that one program holds keeps only the spectrum in memory, for any batch.
        kept = self.batch if self.plan.outer > 1 else 1
        bytes_of_channel = 2 * self.operand.itemsize * kept * self.plan.size
        # Large inputs get larger groups, up to nine tenths of their own size: a device idles at the end of each launch.
        small, large = _GROUP_BYTES // bytes_of_channel, _LARGE_GROUP_BYTES // bytes_of_channel
        step = max(1, small, min(large, self.width * 9 // 20))
        step = -(-self.width // -(-self.width // step))  # as many groups, of equal size
        for start in range(0, self.width, step):
            yield slice(start, min(start + step, self.width))

    def spectrum(self, group: slice, filter_DK: Tensor, *, causal: bool, reach: int) -> Spectrum:
        """Spectra of a group's filters, on these kernels or, for fp32 operands, by ``torch.fft``."""
        if self.operand == torch.float32:
            return filter_spectrum(filter_DK[group], self.plan, self.operand, causal=causal, reach=reach)
        plan, channels, taps = self.plan, group.stop - group.start, filter_DK.shape[1]
        middle, ahead, behind = lag_range(taps, plan, causal=causal, reach=reach)
        filter_DK = filter_DK.contiguous()
        real = torch.empty(channels, plan.size, dtype=self.operand, device=self.device)
        imaginary = torch.empty_like(real)
        scale = torch.empty(channels, plan.outer, dtype=torch.float32, device=self.device)
        if plan.outer == 1:
            _filter_kernels().whole_filter[(channels,)](
                filter_DK, real, imaginary, scale, self.tables.outer, self.tables.inner, self.tables.inner_twiddle,
                group.start, taps, middle, ahead, behind, A=plan.rows, B=plan.columns, TWO_SIDED=not causal,
                TOP=SPECTRUM_TOP, **self.inner_once,
            )  # fmt: skip
        else:
            z = self._empty_transform(channels)
            _filter_kernels().split_filter_in[plan.tiles, _share(channels, plan.tiles, plan.outer_programs)](
                filter_DK, z.numbers, z.scale, self.tables.outer, self.tables.outer_twiddle, channels,
                group.start, taps, middle, ahead, behind, plan.inner, plan.tiles, OUTER=plan.outer, BLOCK=plan.block,
                TWO_SIDED=not causal, **self.outer_once,
            )  # fmt: skip
            _filter_kernels().split_filter[plan.outer, _share(channels, plan.outer, plan.inner_programs)](
                z.numbers, z.scale, real, imaginary, scale, self.tables.inner, self.tables.inner_twiddle, channels,
                plan.tiles, plan.outer, A=plan.rows, BLOCK=plan.block, TOP=SPECTRUM_TOP, **self.inner_once,
            )  # fmt: skip
        top = scale.amax(1, keepdim=True)
        return Spectrum(real, imaginary, scale / top, top[:, 0] / (plan.size * plan.shrink**3), plan)

    def _empty_transform(self, rows: int) -> Transform:
        plan = self.plan
        return Transform(
            torch.empty(rows, 2 * plan.size, dtype=self.operand, device=self.device),
            torch.empty(rows, plan.tiles, dtype=torch.float32, device=self.device),
        )

    def transform(self, group: slice, u: Tensor, gate: Tensor | None) -> Transform:
        """``gate * u`` over n1."""
        z = self._empty_transform(self.batch * (group.stop - group.start))
        self._launch_in(group, (u, gate, z), None, self.plan.outer_stages)
        return z

    def transform_both(
        self, group: slice, u: Tensor, gate: Tensor | None, other: Tensor, other_gate: Tensor | None
    ) -> tuple[Transform, Transform, Tensor]:
        """``gate * u`` and ``other_gate * other`` over n1, and the sum of their products, [channels] in fp32."""
        channels, tiles = group.stop - group.start, self.plan.tiles
        z, q = self._empty_transform(self.batch * channels), self._empty_transform(self.batch * channels)
        products = torch.empty(self.batch * channels, tiles, dtype=torch.float32, device=self.device)
        # With twice the tiles in flight fewer stages are loaded ahead, or fewer programs fit.
        stages = min(2, self.plan.outer_stages)
        self._launch_in(group, (u, gate, z), (other, other_gate, q, products), stages)
        return z, q, products.view(self.batch, channels, tiles).sum((0, 2))

    def _launch_in(
        self,
        group: slice,
        first: tuple[Tensor, Tensor | None, Transform],
        second: tuple[Tensor, Tensor | None, Transform, Tensor] | None,
        stages: int,
    ) -> None:
        plan, channels = self.plan, group.stop - group.start
        rows = self.batch * channels
        u, gate, z = first
        other, other_gate, q, products = second or (u, None, z, z.scale)
        _kernels().split_in[plan.tiles, _share(rows, plan.tiles, plan.outer_programs)](
            u, _or(gate, u), z.numbers, z.scale, other, _or(other_gate, u), q.numbers, q.scale, products,
            self.tables.outer, self.tables.outer_twiddle, rows, channels, group.start, self.width,
            self.length, plan.inner, plan.tiles, OUTER=plan.outer, BLOCK=plan.block, HAS_GATE=gate is not None,
            HAS_OTHER=second is not None, HAS_OTHER_GATE=other_gate is not None, **{**self.outer, "num_stages": stages},
        )  # fmt: skip

    def convolve(
        self,
        group: slice,
        spectrum: Spectrum,
        u: Tensor | None,
        gate_in: Tensor | None,
        gate_out: Tensor | None,
        skip: Tensor | None,
        y: Tensor,
        *,
        conjugate: bool = False,
        other: Tensor | None = None,
        y_other: Tensor | None = None,
    ) -> None:
        """``y = gate_out * s``, ``s = h * p + skip * p``, ``p = gate_in * u``, for a group of channels.

        For a backward pass ``y_other`` is ``other * s``, and ``conjugate`` selects the adjoint of h.
        """
        assert u is not None
        plan, channels = self.plan, group.stop - group.start
        rows = self.batch * channels
        if plan.outer == 1:
            _kernels().whole_conv[(_share(rows, 1, plan.inner_programs),)](
                u, _or(gate_in, u), _or(gate_out, u), _or(skip, u), _or(other, u), y, _or(y_other, y),
                spectrum.real, spectrum.imaginary, spectrum.scale, self.tables.outer, self.tables.inner,
                self.tables.inner_twiddle, rows, channels, group.start, self.width, self.length,
                A=plan.rows, B=plan.columns, CONJUGATE=conjugate, HAS_SKIP=skip is not None,
                HAS_GATE_IN=gate_in is not None, HAS_GATE_OUT=gate_out is not None, HAS_OTHER=y_other is not None,
                **self.inner,
            )  # fmt: skip
            return
        z = self.transform(group, u, gate_in)
        _kernels().split_middle[plan.outer, _share(rows, plan.outer, plan.inner_programs)](
            z.numbers, z.scale, spectrum.real, spectrum.imaginary, spectrum.relative, spectrum.scale, _or(skip, u),
            self.tables.inner, self.tables.inner_twiddle, self.tables.outer_twiddle, rows, channels, group.start,
            plan.tiles, plan.outer, self.delta, A=plan.rows, BLOCK=plan.block, CONJUGATE=conjugate,
            HAS_SKIP=skip is not None, TOP=SPECTRUM_TOP, **self.inner,
        )  # fmt: skip
        self.outer_inverse(group, z, spectrum, skip, gate_out, y, other=other, y_other=y_other)

    def outer_inverse(
        self,
        group: slice,
        z: Transform,
        spectrum: Spectrum,
        skip: Tensor | None,
        gate_out: Tensor | None,
        y: Tensor,
        *,
        other: Tensor | None = None,
        y_other: Tensor | None = None,
    ) -> None:
        """The last stage of a split transform."""
        plan, channels = self.plan, group.stop - group.start
        rows = self.batch * channels
        _kernels().split_out[plan.tiles, _share(rows, plan.tiles, plan.outer_programs)](
            z.numbers, z.scale, spectrum.scale, _or(skip, y), _or(gate_out, y), _or(other, y), y, _or(y_other, y),
            self.tables.outer, rows, channels, group.start, self.width, self.length, plan.inner,
            plan.tiles, self.delta, OUTER=plan.outer, BLOCK=plan.block,
            TILES=_power_of_two(plan.tiles), HAS_SKIP=skip is not None, HAS_GATE_OUT=gate_out is not None,
            HAS_OTHER=y_other is not None, TOP=SPECTRUM_TOP, **self.outer,
        )  # fmt: skip

    def gradients(
        self,
        group: slice,
        spectrum: Spectrum,
        dy: Tensor,
        u: Tensor,
        gate_in: Tensor | None,
        gate_out: Tensor | None,
        skip: Tensor | None,
        out: Gradients,
        *,
        causal: bool,
    ) -> None:
        """Fill ``out`` for a group of channels."""
        plan, channels = self.plan, group.stop - group.start
        rows, taps = self.batch * channels, out.filter.shape[1]
        middle, gain = 0 if causal else taps // 2, 1 / (plan.size * plan.shrink**3)
        # dgate_out = dy * (h * p + skip * p): dy replaces the outer gate. The convolution's adjoint has the conjugate
        # spectrum; the gates change places.
        partner = {} if gate_in is None else {"other": u, "y_other": out.gate_in}
        if plan.outer == 1:
            skipped = group.start * self.length
            _filter_kernels().whole_correlate[(channels,)](
                _from(dy, skipped), _from(_or(gate_out, dy), skipped), _from(u, skipped),
                _from(_or(gate_in, u), skipped), out.filter[group.start :],
                out.skip[group.start :], self.tables.outer, self.tables.inner,
                self.tables.inner_twiddle, self.batch, self.width, self.length, taps, middle, gain,
                A=plan.rows, B=plan.columns, HAS_GATE_IN=gate_in is not None, HAS_GATE_OUT=gate_out is not None,
                TWO_SIDED=not causal, **self.inner_once,
            )  # fmt: skip
            if gate_out is not None:
                self.convolve(group, spectrum, u, gate_in, dy, skip, out.gate_out)
            self.convolve(group, spectrum, dy, gate_out, gate_in, skip, out.u, conjugate=True, **partner)
            return
        z, q, out.skip[group] = self.transform_both(group, u, gate_in, dy, gate_out)
        w = torch.empty_like(z.numbers)
        w_scale = torch.empty(rows, plan.outer, dtype=torch.float32, device=self.device)
        _filter_kernels().split_backward[plan.outer, _share(rows, plan.outer, plan.inner_programs)](
            z.numbers, z.scale, q.numbers, q.scale, w, w_scale, spectrum.real, spectrum.imaginary, spectrum.relative,
            spectrum.scale, _or(skip, u), self.tables.inner, self.tables.inner_twiddle, self.tables.outer_twiddle, rows,
            channels, group.start, plan.tiles, plan.outer, self.delta, A=plan.rows, BLOCK=plan.block,
            HAS_SKIP=skip is not None, FORWARD=gate_out is not None, TOP=SPECTRUM_TOP,
            **{**self.inner, "num_stages": plan.backward_stages},
        )  # fmt: skip
        _filter_kernels().split_lags[plan.tiles, channels](
            w, w_scale, out.filter, self.tables.outer, self.batch, channels, group.start, self.length, plan.inner,
            taps, middle, gain, OUTER=plan.outer, BLOCK=plan.block, TWO_SIDED=not causal,
            **self.outer_once,
        )  # fmt: skip
        if gate_out is not None:
            self.outer_inverse(group, z, spectrum, skip, dy, out.gate_out)
        self.outer_inverse(group, q, spectrum, skip, gate_in, out.u, **partner)


def _or(tensor: Tensor | None, placeholder: Tensor) -> Tensor:
    """A missing argument as some pointer, which its kernel never reads."""
    return placeholder if tensor is None else tensor


def _from(tensor: Tensor, elements: int) -> Tensor:
    return tensor.view(-1)[elements:]


def _share(rows: int, by: int, programs: int) -> int:
    return max(1, min(rows, programs // by))


def _power_of_two(count: int) -> int:
    return 1 << max(count - 1, 0).bit_length()
