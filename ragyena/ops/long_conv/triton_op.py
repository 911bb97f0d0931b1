"""The long convolution as a custom operator on Triton kernels: their launches, and filters prepared for inference.

Shape suffixes: B batch, D channels, L positions, K filter taps.

fp16 and bf16 arguments are transformed with fp16 operands (block floating point, fp32 sums), fp32 ones with fp32
operands. Channels are processed in groups, which bounds the memory of their transforms.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ragyena.ops import backends
from ragyena.ops.custom_op import contiguous, empty_gradient, kernels, operand_type, operator, pointer
from ragyena.ops.long_conv.fft import LongConv
from ragyena.ops.long_conv.plan import (
    MAX_FFT_SIZE,
    SPECTRUM_TOP,
    FftPlan,
    Spectrum,
    fft_plan,
    fft_tables,
    filter_spectrum,
    lag_range,
)

__all__ = ["PreparedFilter", "conv", "prepare_filter", "prepared_conv", "triton_unavailable"]

_CONV, _FILTER = "long_conv.triton_conv", "long_conv.triton_filter"
# Bytes of transforms that one group of channels may take for any input, and for a large one.
_GROUP_BYTES = 16 << 20
_LARGE_GROUP_BYTES = 128 << 20
# Precision of products of fp32 operands. The default, tf32, has an error of 3e-4.
_PRECISION = "ieee"


@dataclass(frozen=True, slots=True)
class PreparedFilter:
    """A filter's spectrum, for inference: computed once, used for every input of up to ``length`` positions."""

    spectrum: Spectrum
    length: int
    operand: torch.dtype


def triton_unavailable(u: Tensor, length: int) -> str | None:
    """The reason why these kernels do not take ``u``; None if they do."""
    if length > MAX_FFT_SIZE:
        return f"it takes up to {MAX_FFT_SIZE:,} positions, not {length:,}"
    return backends.triton_unavailable(u)


def prepare_filter(filter_DK: Tensor, *, length: int, causal: bool, dtype: torch.dtype) -> PreparedFilter:
    """The spectrum of a filter [D, K] for inputs of type ``dtype`` and up to ``length`` positions.

    Takes 4 bytes a channel and position of the FFT for half precision, 8 for fp32. Without gradient.
    """
    operand = operand_type(dtype)
    with torch.no_grad():
        spectrum = filter_spectrum(filter_DK, fft_plan(length, operand), operand, causal=causal, reach=length)
    return PreparedFilter(spectrum, length, operand)


def prepared_conv(
    u_BDL: Tensor,
    filter_: PreparedFilter,
    *,
    skip_D: Tensor | None = None,
    gate_in_BDL: Tensor | None = None,
    gate_out_BDL: Tensor | None = None,
) -> Tensor:
    """``long_conv`` with a prepared filter, without gradient. Raises ValueError for inputs it was not prepared for."""
    _, channels, length = u_BDL.shape
    if length > filter_.length or operand_type(u_BDL.dtype) != filter_.operand:
        raise ValueError(
            f"the filter was prepared for up to {filter_.length:,} positions and {filter_.operand} operands; "
            f"the input has {length:,} of {u_BDL.dtype}"
        )
    spectrum = filter_.spectrum
    if channels != spectrum.real.shape[0]:
        raise ValueError(f"the filter was prepared for {spectrum.real.shape[0]} channels; the input has {channels}")
    launcher = Launcher(u_BDL, spectrum.plan)
    y_BDL = torch.empty_like(u_BDL, memory_format=torch.contiguous_format)
    arguments = Arguments.of(u_BDL, gate_in_BDL, gate_out_BDL, skip_D)
    for group in launcher.groups():
        launcher.convolve(group, spectrum.channels(group), arguments, y_BDL)
    return y_BDL


def _forward(c: LongConv) -> Tensor:
    length = c.u.shape[2]
    launcher = Launcher(c.u, fft_plan(length, operand_type(c.u.dtype)))
    y_BDL = torch.empty_like(c.u, memory_format=torch.contiguous_format)
    arguments = Arguments.of(c.u, c.gate_in, c.gate_out, c.skip)
    for group in launcher.groups():
        spectrum = launcher.spectrum(group, c.filter, causal=c.causal, reach=length)
        launcher.convolve(group, spectrum, arguments, y_BDL)
    return y_BDL


def _backward(dy_BDL: Tensor, c: LongConv) -> tuple[Tensor, ...]:
    length = c.u.shape[2]
    launcher = Launcher(c.u, fft_plan(length, operand_type(c.u.dtype)))
    arguments = Arguments.of(c.u, c.gate_in, c.gate_out, c.skip)
    u = arguments.u
    dy = dy_BDL.to(u.dtype).contiguous()
    out = Gradients(
        empty_gradient(u, u),
        torch.zeros(c.filter.shape, dtype=torch.float32, device=u.device),
        torch.empty(c.filter.shape[0], dtype=torch.float32, device=u.device),
        empty_gradient(c.gate_in, u),
        empty_gradient(c.gate_out, u),
    )
    for group in launcher.groups():
        spectrum = launcher.spectrum(group, c.filter, causal=c.causal, reach=length)
        launcher.gradients(group, spectrum, dy, arguments, out, causal=c.causal)
    dskip = u.new_empty(0) if c.skip is None else out.skip.to(c.skip.dtype, copy=True)
    return out.u, out.filter.to(c.filter.dtype), dskip, out.gate_in, out.gate_out


conv = operator("long_conv_triton", LongConv, _forward, _backward)


class Arguments(NamedTuple):
    """Arguments of a convolution, contiguous."""

    u: Tensor
    gate_in: Tensor | None
    gate_out: Tensor | None
    skip: Tensor | None

    @classmethod
    def of(cls, u: Tensor, gate_in: Tensor | None, gate_out: Tensor | None, skip: Tensor | None) -> Arguments:
        return cls(u.contiguous(), contiguous(gate_in), contiguous(gate_out), contiguous(skip))


class Gradients(NamedTuple):
    """Gradients of a convolution's arguments, those of filter and skip in fp32; a missing gate's is empty."""

    u: Tensor
    filter: Tensor
    skip: Tensor
    """[D], summed by itself: the filter's gradient at lag 0 is the same number, but its error is a thousandth of the
    largest lag's, of which it may be a small part."""
    gate_in: Tensor
    gate_out: Tensor


class Transform(NamedTuple):
    """Rows transformed over n1, [rows, N, 2, A B], and the scale of each tile."""

    numbers: Tensor
    scale: Tensor


class Launcher:
    """Sizes, tables and launches of one call."""

    def __init__(self, u_BDL: Tensor, plan: FftPlan) -> None:
        self.batch, self.width, self.length = u_BDL.shape
        self.plan = plan
        self.operand = operand_type(u_BDL.dtype)
        self.device = u_BDL.device
        self.tables = fft_tables(plan, self.operand, u_BDL.device)
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
            kernels(_FILTER).whole_filter[(channels,)](
                filter_DK, real, imaginary, scale, self.tables.outer, self.tables.inner, self.tables.inner_twiddle,
                group.start, taps, middle, ahead, behind, A=plan.rows, B=plan.columns, TWO_SIDED=not causal,
                TOP=SPECTRUM_TOP, **self.inner_once,
            )  # fmt: skip
        else:
            z = self._empty_transform(channels)
            kernels(_FILTER).split_filter_in[plan.tiles, _share(channels, plan.tiles, plan.outer_programs)](
                filter_DK, z.numbers, z.scale, self.tables.outer, self.tables.outer_twiddle, channels,
                group.start, taps, middle, ahead, behind, plan.inner, plan.tiles, OUTER=plan.outer, BLOCK=plan.block,
                TWO_SIDED=not causal, **self.outer_once,
            )  # fmt: skip
            kernels(_FILTER).split_filter[plan.outer, _share(channels, plan.outer, plan.inner_programs)](
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

    def outer_transform(
        self, group: slice, u: Tensor, gate: Tensor | None, second: tuple[Tensor, Tensor | None] | None = None
    ) -> tuple[Transform, Transform, Tensor]:
        """``gate * u`` over n1; the same of a ``second`` signal and gate, and sums of the two signals' products, [rows,
        tiles] in fp32."""
        plan, rows = self.plan, self.batch * (group.stop - group.start)
        z = q = self._empty_transform(rows)
        products, stages, (other, other_gate) = z.scale, plan.outer_stages, second or (u, None)
        if second is not None:
            q, products = self._empty_transform(rows), torch.empty_like(z.scale)
            # With twice the tiles in flight fewer stages are loaded ahead, or fewer programs fit.
            stages = min(2, stages)
        kernels(_CONV).split_in[plan.tiles, _share(rows, plan.tiles, plan.outer_programs)](
            u, pointer(gate, u), z.numbers, z.scale, other, pointer(other_gate, u), q.numbers, q.scale, products,
            self.tables.outer, self.tables.outer_twiddle, rows, group.stop - group.start, group.start, self.width,
            self.length, plan.inner, plan.tiles, OUTER=plan.outer, BLOCK=plan.block, HAS_GATE=gate is not None,
            HAS_OTHER=second is not None, HAS_OTHER_GATE=other_gate is not None, **{**self.outer, "num_stages": stages},
        )  # fmt: skip
        return z, q, products

    def convolve(
        self,
        group: slice,
        spectrum: Spectrum,
        given: Arguments,
        y: Tensor,
        *,
        conjugate: bool = False,
        product: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        """``y = gate_out * s``, ``s = h * p + skip * p``, ``p = gate_in * u``, for a group of channels.

        For a backward pass ``conjugate`` selects the adjoint of h, and ``product`` holds a factor and the memory for
        ``factor * s``.
        """
        plan, channels = self.plan, group.stop - group.start
        rows, (u, gate_in, gate_out, skip) = self.batch * channels, given
        other, y_other = product or (u, y)
        if plan.outer == 1:
            kernels(_CONV).whole_conv[(_share(rows, 1, plan.inner_programs),)](
                u, pointer(gate_in, u), pointer(gate_out, u), pointer(skip, u), other, y, y_other, spectrum.real,
                spectrum.imaginary, spectrum.scale, self.tables.outer, self.tables.inner, self.tables.inner_twiddle,
                rows, channels, group.start, self.width, self.length, A=plan.rows, B=plan.columns, CONJUGATE=conjugate,
                HAS_SKIP=skip is not None, HAS_GATE_IN=gate_in is not None, HAS_GATE_OUT=gate_out is not None,
                HAS_OTHER=product is not None, **self.inner,
            )  # fmt: skip
            return
        z, *_ = self.outer_transform(group, u, gate_in)
        kernels(_CONV).split_middle[plan.outer, _share(rows, plan.outer, plan.inner_programs)](
            z.numbers, z.scale, spectrum.real, spectrum.imaginary, spectrum.relative, spectrum.scale, pointer(skip, u),
            self.tables.inner, self.tables.inner_twiddle, self.tables.outer_twiddle, rows, channels, group.start,
            plan.tiles, plan.outer, self.delta, A=plan.rows, BLOCK=plan.block, CONJUGATE=conjugate,
            HAS_SKIP=skip is not None, TOP=SPECTRUM_TOP, **self.inner,
        )  # fmt: skip
        self.outer_inverse(group, z, spectrum, given, y, product)

    def outer_inverse(
        self,
        group: slice,
        z: Transform,
        spectrum: Spectrum,
        given: Arguments,
        y: Tensor,
        product: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        """The last stage of a split transform, with the arguments' skip and outer gate."""
        plan, channels = self.plan, group.stop - group.start
        (_, _, gate_out, skip), (other, y_other) = given, product or (y, y)
        kernels(_CONV).split_out[plan.tiles, _share(self.batch * channels, plan.tiles, plan.outer_programs)](
            z.numbers, z.scale, spectrum.scale, pointer(skip, y), pointer(gate_out, y), other, y, y_other,
            self.tables.outer, self.batch * channels, channels, group.start, self.width, self.length, plan.inner,
            plan.tiles, self.delta, OUTER=plan.outer, BLOCK=plan.block, TILES=1 << (plan.tiles - 1).bit_length(),
            HAS_SKIP=skip is not None, HAS_GATE_OUT=gate_out is not None, HAS_OTHER=product is not None,
            TOP=SPECTRUM_TOP, **self.outer,
        )  # fmt: skip

    def gradients(
        self, group: slice, spectrum: Spectrum, dy: Tensor, given: Arguments, out: Gradients, *, causal: bool
    ) -> None:
        """Fill ``out`` for a group of channels."""
        plan, channels, taps = self.plan, group.stop - group.start, out.filter.shape[1]
        rows, (u, gate_in, gate_out, skip) = self.batch * channels, given
        middle, gain = 0 if causal else taps // 2, 1 / (plan.size * plan.shrink**3)
        # dgate_out = dy * (h * p + skip * p): dy replaces the outer gate.
        forward = given._replace(gate_out=dy)
        # The adjoint has the conjugate spectrum; the gates change places.
        adjoint, product = Arguments(dy, gate_out, gate_in, skip), None if gate_in is None else (u, out.gate_in)
        if plan.outer == 1:
            first = group.start * self.length
            kernels(_FILTER).whole_correlate[(channels,)](
                _from(dy, first), _from(pointer(gate_out, dy), first), _from(u, first),
                _from(pointer(gate_in, u), first), out.filter[group.start :], out.skip[group.start :],
                self.tables.outer, self.tables.inner, self.tables.inner_twiddle, self.batch, self.width, self.length,
                taps, middle, gain, A=plan.rows, B=plan.columns, HAS_GATE_IN=gate_in is not None,
                HAS_GATE_OUT=gate_out is not None, TWO_SIDED=not causal, **self.inner_once,
            )  # fmt: skip
            if gate_out is not None:
                self.convolve(group, spectrum, forward, out.gate_out)
            self.convolve(group, spectrum, adjoint, out.u, conjugate=True, product=product)
            return
        z, q, products = self.outer_transform(group, u, gate_in, (dy, gate_out))
        out.skip[group] = products.view(self.batch, channels, plan.tiles).sum((0, 2))
        w = torch.empty_like(z.numbers)
        w_scale = torch.empty(rows, plan.outer, dtype=torch.float32, device=self.device)
        kernels(_FILTER).split_backward[plan.outer, _share(rows, plan.outer, plan.inner_programs)](
            z.numbers, z.scale, q.numbers, q.scale, w, w_scale, spectrum.real, spectrum.imaginary, spectrum.relative,
            spectrum.scale, pointer(skip, u), self.tables.inner, self.tables.inner_twiddle, self.tables.outer_twiddle,
            rows, channels, group.start, plan.tiles, plan.outer, self.delta, A=plan.rows, BLOCK=plan.block,
            HAS_SKIP=skip is not None, FORWARD=gate_out is not None, TOP=SPECTRUM_TOP,
            **{**self.inner, "num_stages": plan.backward_stages},
        )  # fmt: skip
        kernels(_FILTER).split_lags[plan.tiles, channels](
            w, w_scale, out.filter, self.tables.outer, self.batch, channels, group.start, self.length, plan.inner,
            taps, middle, gain, OUTER=plan.outer, BLOCK=plan.block, TWO_SIDED=not causal, **self.outer_once,
        )  # fmt: skip
        if gate_out is not None:
            self.outer_inverse(group, z, spectrum, forward, out.gate_out)
        self.outer_inverse(group, q, spectrum, adjoint, out.u, product)


def _from(tensor: Tensor, elements: int) -> Tensor:
    return tensor.view(-1)[elements:]


def _share(rows: int, by: int, programs: int) -> int:
    return max(1, min(rows, programs // by))
