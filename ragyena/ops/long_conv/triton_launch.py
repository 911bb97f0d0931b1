"""One call of the long convolution on the kernels of ``twisted_ring_triton`` and ``ring_filter_triton``: its launches.

Shape suffixes: B batch, D channels, L positions, K filter taps.

fp16 and bf16 arguments are transformed with fp16 operands (block floating point, fp32 sums), fp32 ones with fp32
operands. Channels go through in groups, which bounds the memory of their transforms. Triton is imported when a kernel
is first launched.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor

from ragyena.ops.long_conv.weighted_fft import (
    SPECTRUM_TOP,
    RingPlan,
    RingTables,
    Spectrum,
    lags_on_ring,
    ring_tables,
    spectrum,
)

__all__ = ["Gradients", "Run", "flat", "operand_type"]

# Bytes of transforms that one group of channels may take, whatever its input; and that one of a large input may.
_GROUP_BYTES = 16 << 20
_LARGE_GROUP_BYTES = 128 << 20
# Of a product of fp32 operands. tf32, the default, would leave an error of 3e-4.
_PRECISION = "ieee"


@functools.cache
def _kernels() -> ModuleType:
    return importlib.import_module("ragyena.ops.long_conv.triton_weighted")


@functools.cache
def _filter_kernels() -> ModuleType:
    return importlib.import_module("ragyena.ops.long_conv.triton_filter")


def operand_type(dtype: torch.dtype) -> torch.dtype:
    """What arguments of a type are transformed in."""
    return torch.float32 if dtype == torch.float32 else torch.float16


def flat(tensor: Tensor | None) -> Tensor | None:
    """An argument as the kernels address it."""
    return None if tensor is None else tensor.contiguous()


@dataclass(frozen=True, slots=True)
class Transform:
    """Rows transformed over n1, [rows, N, 2, A B], and the scale of each of their tiles."""

    numbers: Tensor
    scale: Tensor


@dataclass(frozen=True, slots=True)
class Gradients:
    """Of a convolution's arguments; a gate's is empty where there is none. The filter's and the skip's are fp32."""

    u: Tensor
    filter: Tensor
    skip: Tensor
    """[D], a sum by itself. The filter's gradient at lag 0 is the same number, but only as exact as a transform: to a
    thousandth of what stands at other lags, of which it may be a small part."""
    gate_in: Tensor
    gate_out: Tensor


class Run:
    """One call's sizes, tables and launches."""

    def __init__(self, u_BDL: Tensor, plan: RingPlan) -> None:
        self.batch, self.width, self.length = u_BDL.shape
        self.plan = plan
        self.operand = operand_type(u_BDL.dtype)
        self.device = u_BDL.device
        self.tables: RingTables = ring_tables(plan, self.operand, u_BDL.device)
        self.delta = 1 / (plan.ring * plan.shrink**2)
        self.outer = {"num_warps": plan.outer_warps, "num_stages": plan.outer_stages, "PRECISION": _PRECISION}
        self.inner = {"num_warps": plan.inner_warps, "num_stages": plan.inner_stages, "PRECISION": _PRECISION}
        # What is launched once for a filter has few rows for a program: to ask ahead costs more than it brings.
        self.outer_once, self.inner_once = {**self.outer, "num_stages": 1}, {**self.inner, "num_stages": 1}

    def groups(self) -> Iterator[slice]:
        """Channels that go through together."""
        # Of a ring that one program holds, a spectrum alone is kept, whatever the batch.
        kept = self.batch if self.plan.outer > 1 else 1
        bytes_of_channel = 2 * self.operand.itemsize * kept * self.plan.ring
        # Large inputs go in larger groups, up to nine tenths of their own size: fewer launches, whose ends idle.
        small, large = _GROUP_BYTES // bytes_of_channel, _LARGE_GROUP_BYTES // bytes_of_channel
        step = max(1, small, min(large, self.width * 9 // 20))
        step = -(-self.width // -(-self.width // step))  # as many groups, of one size
        for start in range(0, self.width, step):
            yield slice(start, min(start + step, self.width))

    def spectrum(self, group: slice, filter_DK: Tensor, *, causal: bool, reach: int) -> Spectrum:
        """Of a group's filters: on these kernels, or for fp32 operands by ``torch.fft``."""
        if self.operand == torch.float32:
            return spectrum(filter_DK[group], self.plan, self.operand, causal=causal, reach=reach)
        plan, channels, taps = self.plan, group.stop - group.start, filter_DK.shape[1]
        middle, ahead, behind = lags_on_ring(taps, plan, causal=causal, reach=reach)
        filter_DK = filter_DK.contiguous()
        real = torch.empty(channels, plan.ring, dtype=self.operand, device=self.device)
        imaginary = torch.empty_like(real)
        scale = torch.empty(channels, plan.outer, dtype=torch.float32, device=self.device)
        if plan.outer == 1:
            _filter_kernels().whole_filter[(channels,)](
                filter_DK, real, imaginary, scale, self.tables.outer, self.tables.inner, self.tables.inner_twiddle,
                group.start, taps, middle, ahead, behind, A=plan.rows, B=plan.columns, TWO_SIDED=not causal,
                TOP=SPECTRUM_TOP, **self.inner_once,
            )  # fmt: skip
        else:
            z = self._room(channels)
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
        return Spectrum(real, imaginary, scale / top, top[:, 0] / (plan.ring * plan.shrink**3), plan)

    def _room(self, rows: int) -> Transform:
        plan = self.plan
        return Transform(
            torch.empty(rows, 2 * plan.ring, dtype=self.operand, device=self.device),
            torch.empty(rows, plan.tiles, dtype=torch.float32, device=self.device),
        )

    def transform(self, group: slice, u: Tensor, gate: Tensor | None) -> Transform:
        """``gate * u`` over n1."""
        made = self._room(self.batch * (group.stop - group.start))
        self._launch_in(group, (u, gate, made), None, self.plan.outer_stages)
        return made

    def transform_both(
        self, group: slice, u: Tensor, gate: Tensor | None, other: Tensor, other_gate: Tensor | None
    ) -> tuple[Transform, Transform, Tensor]:
        """``gate * u`` and ``other_gate * other`` over n1, and the sum of their products, [channels] in fp32."""
        channels, tiles = group.stop - group.start, self.plan.tiles
        made, second = self._room(self.batch * channels), self._room(self.batch * channels)
        products = torch.empty(self.batch * channels, tiles, dtype=torch.float32, device=self.device)
        # Twice the tiles are under way: fewer ahead, or fewer programs fit.
        stages = min(2, self.plan.outer_stages)
        self._launch_in(group, (u, gate, made), (other, other_gate, second, products), stages)
        return made, second, products.view(self.batch, channels, tiles).sum((0, 2))

    def _launch_in(
        self,
        group: slice,
        one: tuple[Tensor, Tensor | None, Transform],
        two: tuple[Tensor, Tensor | None, Transform, Tensor] | None,
        stages: int,
    ) -> None:
        plan, channels = self.plan, group.stop - group.start
        rows = self.batch * channels
        u, gate, made = one
        other, other_gate, second, products = two or (u, None, made, made.scale)
        _kernels().split_in[plan.tiles, _share(rows, plan.tiles, plan.outer_programs)](
            u, _or(gate, u), made.numbers, made.scale, other, _or(other_gate, u), second.numbers, second.scale,
            products, self.tables.outer, self.tables.outer_twiddle, rows, channels, group.start, self.width,
            self.length, plan.inner, plan.tiles, OUTER=plan.outer, BLOCK=plan.block, HAS_GATE=gate is not None,
            HAS_OTHER=two is not None, HAS_OTHER_GATE=other_gate is not None, **{**self.outer, "num_stages": stages},
        )  # fmt: skip

    def convolve(
        self,
        group: slice,
        given: Spectrum,
        u: Tensor | None,
        gate_in: Tensor | None,
        gate_out: Tensor | None,
        skip: Tensor | None,
        y: Tensor,
        *,
        tail: Tensor | None = None,
        conjugate: bool = False,
        other: Tensor | None = None,
        y_other: Tensor | None = None,
    ) -> None:
        """``y = gate_out * s``, ``s = h * p + skip * p``, ``p = gate_in * u``, for a group of channels.

        For a backward pass ``y_other`` is ``other * s``, and ``conjugate`` takes the adjoint of h.
        """
        assert u is not None
        plan, channels = self.plan, group.stop - group.start
        rows = self.batch * channels
        history = 0 if tail is None else tail.shape[2]
        if plan.outer == 1:
            _kernels().whole_conv[(_share(rows, 1, plan.inner_programs),)](
                u, _or(gate_in, u), _or(gate_out, u), _or(skip, u), _or(other, u), y, _or(y_other, y), _or(tail, y),
                given.real, given.imaginary, given.scale, self.tables.outer, self.tables.inner,
                self.tables.inner_twiddle, rows, channels, group.start, self.width, self.length, history,
                A=plan.rows, B=plan.columns, CONJUGATE=conjugate, HAS_SKIP=skip is not None,
                HAS_GATE_IN=gate_in is not None, HAS_GATE_OUT=gate_out is not None, HAS_OTHER=y_other is not None,
                HAS_TAIL=tail is not None, **self.inner,
            )  # fmt: skip
            return
        z = self.transform(group, u, gate_in)
        _kernels().split_middle[plan.outer, _share(rows, plan.outer, plan.inner_programs)](
            z.numbers, z.scale, given.real, given.imaginary, given.even, given.scale, _or(skip, u), self.tables.inner,
            self.tables.inner_twiddle, self.tables.outer_twiddle, rows, channels, group.start, plan.tiles, plan.outer,
            self.delta, A=plan.rows, BLOCK=plan.block, CONJUGATE=conjugate, HAS_SKIP=skip is not None,
            TOP=SPECTRUM_TOP, **self.inner,
        )  # fmt: skip
        self.finish(group, z, given, skip, gate_out, y, tail=tail, other=other, y_other=y_other)

    def finish(
        self,
        group: slice,
        z: Transform,
        given: Spectrum,
        skip: Tensor | None,
        gate_out: Tensor | None,
        y: Tensor,
        *,
        tail: Tensor | None = None,
        other: Tensor | None = None,
        y_other: Tensor | None = None,
    ) -> None:
        """The last stage of a split ring."""
        plan, channels = self.plan, group.stop - group.start
        rows = self.batch * channels
        _kernels().split_out[plan.tiles, _share(rows, plan.tiles, plan.outer_programs)](
            z.numbers, z.scale, given.scale, _or(skip, y), _or(gate_out, y), _or(other, y), y, _or(y_other, y),
            _or(tail, y), self.tables.outer, rows, channels, group.start, self.width, self.length, plan.inner,
            plan.tiles, 0 if tail is None else tail.shape[2], self.delta, OUTER=plan.outer, BLOCK=plan.block,
            TILES=_power_of_two(plan.tiles), HAS_SKIP=skip is not None, HAS_GATE_OUT=gate_out is not None,
            HAS_OTHER=y_other is not None, HAS_TAIL=tail is not None, TOP=SPECTRUM_TOP, **self.outer,
        )  # fmt: skip

    def gradients(
        self,
        group: slice,
        given: Spectrum,
        dy: Tensor,
        u: Tensor,
        gate_in: Tensor | None,
        gate_out: Tensor | None,
        skip: Tensor | None,
        made: Gradients,
        *,
        causal: bool,
    ) -> None:
        """All gradients of a group of channels."""
        plan, channels = self.plan, group.stop - group.start
        rows, taps = self.batch * channels, made.filter.shape[1]
        middle, gain = 0 if causal else taps // 2, 1 / (plan.ring * plan.shrink**3)
        # dy takes the outer gate's place: dgate_out = dy * (h * p + skip * p). The convolution's adjoint has the
        # conjugate spectrum; the gates change places.
        partner = {} if gate_in is None else {"other": u, "y_other": made.gate_in}
        if plan.outer == 1:
            skipped = group.start * self.length
            _filter_kernels().whole_correlate[(channels,)](
                _from(dy, skipped), _from(_or(gate_out, dy), skipped), _from(u, skipped),
                _from(_or(gate_in, u), skipped), made.filter[group.start :],
                made.skip[group.start :], self.tables.outer, self.tables.inner,
                self.tables.inner_twiddle, self.batch, self.width, self.length, taps, middle, gain,
                A=plan.rows, B=plan.columns, HAS_GATE_IN=gate_in is not None, HAS_GATE_OUT=gate_out is not None,
                TWO_SIDED=not causal, **self.inner_once,
            )  # fmt: skip
            if gate_out is not None:
                self.convolve(group, given, u, gate_in, dy, skip, made.gate_out)
            self.convolve(group, given, dy, gate_out, gate_in, skip, made.u, conjugate=True, **partner)
            return
        z, q, made.skip[group] = self.transform_both(group, u, gate_in, dy, gate_out)
        w = torch.empty_like(z.numbers)
        w_scale = torch.empty(rows, plan.outer, dtype=torch.float32, device=self.device)
        _filter_kernels().split_backward[plan.outer, _share(rows, plan.outer, plan.inner_programs)](
            z.numbers, z.scale, q.numbers, q.scale, w, w_scale, given.real, given.imaginary, given.even, given.scale,
            _or(skip, u), self.tables.inner, self.tables.inner_twiddle, self.tables.outer_twiddle, rows, channels,
            group.start, plan.tiles, plan.outer, self.delta, A=plan.rows, BLOCK=plan.block, HAS_SKIP=skip is not None,
            FORWARD=gate_out is not None, TOP=SPECTRUM_TOP, **{**self.inner, "num_stages": plan.backward_stages},
        )  # fmt: skip
        _filter_kernels().split_lags[plan.tiles, channels](
            w, w_scale, made.filter, self.tables.outer, self.batch, channels, group.start, self.length, plan.inner,
            taps, middle, gain, OUTER=plan.outer, BLOCK=plan.block, TWO_SIDED=not causal,
            **self.outer_once,
        )  # fmt: skip
        if gate_out is not None:
            self.finish(group, z, given, skip, dy, made.gate_out)
        self.finish(group, q, given, skip, gate_in, made.u, **partner)


def _or(tensor: Tensor | None, stand_in: Tensor) -> Tensor:
    """An argument that is not there: its kernel never reads it, but needs a pointer."""
    return stand_in if tensor is None else tensor


def _from(tensor: Tensor, elements: int) -> Tensor:
    return tensor.view(-1)[elements:]


def _share(rows: int, by: int, programs: int) -> int:
    return max(1, min(rows, programs // by))


def _power_of_two(count: int) -> int:
    return 1 << max(count - 1, 0).bit_length()
