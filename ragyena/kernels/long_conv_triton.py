"""The long convolution on the kernels of ``twisted_ring_triton`` and ``ring_filter_triton``: launches and operators.

Shape suffixes: B batch, D channels, L positions, K filter taps, M ring length.

fp16 and bf16 arguments are transformed with fp16 operands (block floating point, fp32 sums), fp32 ones with fp32
operands. Channels go through in groups, whose transforms then fit the device's second-level cache and whose memory is
bounded. Triton is imported when a kernel is first launched, so that the operators exist without it.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor

from ragyena.kernels.backends import triton_refusal
from ragyena.kernels.conv_operator import gradient_like, register
from ragyena.kernels.twisted_ring import (
    MAX_RING,
    SPECTRUM_TOP,
    RingPlan,
    RingTables,
    Spectrum,
    lags_on_ring,
    ring_plan,
    ring_tables,
    spectrum,
)

__all__ = ["PreparedFilter", "conv", "conv_with_tail", "prepare_filter", "prepared_conv", "refusal"]

# Bytes of transforms that one group of channels may take: a part of the second-level cache (50 MB on Hopper).
_GROUP_BYTES = 16 << 20
_LARGE_GROUP_BYTES = 128 << 20
# Of a product of fp32 operands. tf32, the default, would leave an error of 3e-4.
_PRECISION = "ieee"


@dataclass(frozen=True, slots=True)
class PreparedFilter:
    """A filter's spectrum, for inference: computed once, used for every input of up to ``length`` positions."""

    spectrum: Spectrum
    length: int
    operand: torch.dtype


def refusal(u: Tensor, length: int) -> str | None:
    """Why these kernels cannot convolve ``u``; None where they can."""
    if length > MAX_RING:
        return f"it takes up to {MAX_RING:,} positions, not {length:,}"
    return triton_refusal(u)


def prepare_filter(
    filter_DK: Tensor, *, length: int, causal: bool, dtype: torch.dtype, plan: RingPlan | None = None
) -> PreparedFilter:
    """The spectrum of a filter [D, K] for inputs of type ``dtype`` and up to ``length`` positions.

    Takes 4 bytes a channel and position of the ring for half precision, 8 for fp32. No gradient flows through it.
    """
    operand = _operand(dtype)
    plan = plan or ring_plan(length, operand)
    with torch.no_grad():
        found = spectrum(filter_DK, plan, operand, causal=causal, reach=length)
    return PreparedFilter(found, length, operand)


def prepared_conv(
    u_BDL: Tensor,
    filter_: PreparedFilter,
    *,
    skip_D: Tensor | None = None,
    gate_in_BDL: Tensor | None = None,
    gate_out_BDL: Tensor | None = None,
) -> Tensor:
    """``long_conv`` with a prepared filter; no gradient. Raises ValueError for longer or other inputs than prepared."""
    _, channels, length = u_BDL.shape
    if length > filter_.length or _operand(u_BDL.dtype) != filter_.operand:
        raise ValueError(
            f"the filter was prepared for up to {filter_.length:,} positions and {filter_.operand} operands; "
            f"the input has {length:,} of {u_BDL.dtype}"
        )
    given = filter_.spectrum
    if channels != given.real.shape[0]:
        raise ValueError(f"the filter was prepared for {given.real.shape[0]} channels; the input has {channels}")
    run = _Run(u_BDL, given.plan)
    y_BDL = torch.empty_like(u_BDL, memory_format=torch.contiguous_format)
    u, gate_in, gate_out = _flat(u_BDL), _flat(gate_in_BDL), _flat(gate_out_BDL)
    for group in run.groups():
        run.convolve(group, given.channels(group), u, gate_in, gate_out, _flat(skip_D), y_BDL)
    return y_BDL


# ---------------------------------------------------------------------------------------------------------------
# launches
# ---------------------------------------------------------------------------------------------------------------


@functools.cache
def _kernels() -> ModuleType:
    return importlib.import_module("ragyena.kernels.twisted_ring_triton")


@functools.cache
def _filter_kernels() -> ModuleType:
    return importlib.import_module("ragyena.kernels.ring_filter_triton")


def _operand(dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if dtype == torch.float32 else torch.float16


def _flat(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()


@dataclass(frozen=True, slots=True)
class _Transform:
    """Rows transformed over n1, [rows, N, 2, A B], and the scale of each of their tiles."""

    numbers: Tensor
    scale: Tensor


class _Run:
    """One call's sizes, tables and launches."""

    def __init__(self, u_BDL: Tensor, plan: RingPlan) -> None:
        self.batch, self.width, self.length = u_BDL.shape
        self.plan = plan
        self.operand = _operand(u_BDL.dtype)
        self.device = u_BDL.device
        self.tables: RingTables = ring_tables(plan, self.operand, u_BDL.device)
        self.delta = 1 / (plan.ring * plan.shrink**2)
        self.outer = {"num_warps": plan.outer_warps, "num_stages": plan.outer_stages, "PRECISION": _PRECISION}
        self.inner = {"num_warps": plan.inner_warps, "num_stages": plan.inner_stages, "PRECISION": _PRECISION}
        # What is launched once for a filter has few rows for a program: to ask ahead costs more than it brings.
        self.outer_once, self.inner_once = {**self.outer, "num_stages": 1}, {**self.inner, "num_stages": 1}

    def groups(self) -> Iterator[slice]:
        bytes_of_channel = 2 * self.operand.itemsize * self.batch * self.plan.ring
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

    def _room(self, rows: int) -> _Transform:
        plan = self.plan
        return _Transform(
            torch.empty(rows, 2 * plan.ring, dtype=self.operand, device=self.device),
            torch.empty(rows, plan.tiles, dtype=torch.float32, device=self.device),
        )

    def transform(self, group: slice, u: Tensor, gate: Tensor | None) -> _Transform:
        """``gate * u`` over n1."""
        plan, channels = self.plan, group.stop - group.start
        rows = self.batch * channels
        made = self._room(rows)
        _kernels().split_in[plan.tiles, _share(rows, plan.tiles, plan.outer_programs)](
            u, u if gate is None else gate, made.numbers, made.scale, self.tables.outer, self.tables.outer_twiddle,
            rows, channels, group.start, self.width, self.length, plan.inner, plan.tiles,
            OUTER=plan.outer, BLOCK=plan.block, HAS_GATE=gate is not None, **self.outer,
        )  # fmt: skip
        return made

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
        z: _Transform,
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
                _from(_or(gate_in, u), skipped), made.filter[group.start :], self.tables.outer, self.tables.inner,
                self.tables.inner_twiddle, self.batch, self.width, self.length, taps, middle, gain,
                A=plan.rows, B=plan.columns, HAS_GATE_IN=gate_in is not None, HAS_GATE_OUT=gate_out is not None,
                TWO_SIDED=not causal, **self.inner_once,
            )  # fmt: skip
            if gate_out is not None:
                self.convolve(group, given, u, gate_in, dy, skip, made.gate_out)
            self.convolve(group, given, dy, gate_out, gate_in, skip, made.u, conjugate=True, **partner)
            return
        z, q = self.transform(group, u, gate_in), self.transform(group, dy, gate_out)
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


@dataclass(frozen=True, slots=True)
class Gradients:
    """Of a convolution's arguments; empty where there is none. The filter's is fp32."""

    u: Tensor
    filter: Tensor
    gate_in: Tensor
    gate_out: Tensor


def _or(tensor: Tensor | None, stand_in: Tensor) -> Tensor:
    """An argument that is not there: its kernel never reads it, but needs a pointer."""
    return stand_in if tensor is None else tensor


def _from(tensor: Tensor, elements: int) -> Tensor:
    return tensor.view(-1)[elements:]


def _share(rows: int, by: int, programs: int) -> int:
    return max(1, min(rows, programs // by))


def _power_of_two(count: int) -> int:
    return 1 << max(count - 1, 0).bit_length()


# ---------------------------------------------------------------------------------------------------------------
# operators
# ---------------------------------------------------------------------------------------------------------------


@torch.library.custom_op("ragyena::long_conv_triton", mutates_args=())
def conv(
    u_BDL: Tensor,
    filter_DK: Tensor,
    causal: bool,
    skip_D: Tensor | None,
    gate_in_BDL: Tensor | None,
    gate_out_BDL: Tensor | None,
) -> Tensor:
    """``gate_out * (filter * p + skip * p)``, ``p = gate_in * u``, as [B, D, L] in the type of ``u``."""
    length = u_BDL.shape[2]
    plan = ring_plan(length, _operand(u_BDL.dtype))
    run = _Run(u_BDL, plan)
    y_BDL = torch.empty_like(u_BDL, memory_format=torch.contiguous_format)
    u, gate_in, gate_out, skip = _flat(u_BDL), _flat(gate_in_BDL), _flat(gate_out_BDL), _flat(skip_D)
    for group in run.groups():
        found = run.spectrum(group, filter_DK, causal=causal, reach=length)
        run.convolve(group, found, u, gate_in, gate_out, skip, y_BDL)
    return y_BDL


def conv_with_tail(
    u_BDL: Tensor,
    filter_DK: Tensor,
    history: int,
    skip_D: Tensor | None,
    gate_in_BDL: Tensor | None,
    gate_out_BDL: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """The causal ``conv`` and, in fp32, ``filter * p`` at the ``history`` positions after the last; no gradient."""
    batch, channels, length = u_BDL.shape
    taps = min(filter_DK.shape[1], length + history)
    plan = ring_plan(ring_with_tail(length, taps), _operand(u_BDL.dtype))
    run = _Run(u_BDL, plan)
    y_BDL = torch.empty_like(u_BDL, memory_format=torch.contiguous_format)
    tail_BDH = torch.zeros(batch, channels, history, dtype=torch.float32, device=u_BDL.device)
    u, gate_in, gate_out, skip = _flat(u_BDL), _flat(gate_in_BDL), _flat(gate_out_BDL), _flat(skip_D)
    for group in run.groups():
        found = run.spectrum(group, filter_DK, causal=True, reach=length + history)
        run.convolve(group, found, u, gate_in, gate_out, skip, y_BDL, tail=tail_BDH if history else None)
    return y_BDL, tail_BDH


def ring_with_tail(length: int, taps: int) -> int:
    """Positions of a ring on which the whole convolution, tail included, comes apart into real and imaginary part."""
    return max(length, taps, -(-(length + taps - 1) // 2))


@torch.library.custom_op("ragyena::long_conv_triton_backward", mutates_args=())
def _backward(
    dy_BDL: Tensor,
    u_BDL: Tensor,
    filter_DK: Tensor,
    causal: bool,
    skip_D: Tensor | None,
    gate_in_BDL: Tensor | None,
    gate_out_BDL: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of u, filter, skip, gate_in, gate_out; empty where there is no such argument."""
    length = u_BDL.shape[2]
    plan = ring_plan(length, _operand(u_BDL.dtype))
    run = _Run(u_BDL, plan)
    u, gate_in, gate_out, skip = _flat(u_BDL), _flat(gate_in_BDL), _flat(gate_out_BDL), _flat(skip_D)
    assert u is not None
    dy = dy_BDL.to(u.dtype).contiguous()
    made = Gradients(
        gradient_like(u, u),
        torch.zeros(filter_DK.shape, dtype=torch.float32, device=u.device),
        gradient_like(gate_in, u),
        gradient_like(gate_out, u),
    )
    for group in run.groups():
        found = run.spectrum(group, filter_DK, causal=causal, reach=length)
        run.gradients(group, found, dy, u, gate_in, gate_out, skip, made, causal=causal)
    # A skip is one more weight at lag 0.
    middle = 0 if causal else filter_DK.shape[1] // 2
    dskip = u.new_empty(0) if skip is None else made.filter[:, middle].to(skip.dtype, copy=True)
    return made.u, made.filter.to(filter_DK.dtype), dskip, made.gate_in, made.gate_out


register(conv, _backward)
