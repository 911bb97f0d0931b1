# mypy: ignore-errors
"""The Triton kernels of the long convolution over a twisted ring; ``ragyena.kernels.twisted_ring`` has the mathematics.

Legend: a ring of M = OUTER A B positions, position ``n1 A B + a B + b``; row: one channel of one example. Rows stand at
``(row // channels) * width + first + row % channels`` of the arguments, which have ``width`` channels of ``length``
positions; those at and past ``length`` are zeros that are never read. ``zr, zi``: [rows, OUTER, A B], a transform on
its way, in the type of the operands (fp16 or fp32); every sum is fp32.

- ``whole_conv``: a ring that one program holds, from inputs to outputs.
- ``split_in``, ``split_middle``, ``split_out``: a longer one in three, over n1, over n2 and back, over k1 back.

What a filter needs, its spectrum and its gradient, is in ``ring_filter_triton``.

fp16 operands are block floating point: each tile of inputs is divided by the power of two above its largest magnitude,
and no further stage enlarges the L2 norm. Nothing is summed by atomics: the same inputs give the same bits.

Numbers that no address is a multiple of are not specialised on, so that other widths and batches compile nothing anew.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ragyena.kernels.ring_parts_triton import (
    above,
    gated,
    inner_back,
    inner_transform,
    inverse,
    largest,
    right,
    square,
)

__all__ = ["split_in", "split_middle", "split_out", "whole_conv"]


@triton.jit
def _ends(base, cell, keep, gate_out, other, HAS_GATE_OUT: tl.constexpr, HAS_OTHER: tl.constexpr):
    """What ``_finish`` needs of the arguments, to be asked for before the products: they hide its way from memory."""
    outer, beside = 0.0, 0.0
    if HAS_GATE_OUT:
        outer = tl.load(gate_out + base + cell, mask=keep, other=0.0)
    if HAS_OTHER:
        beside = tl.load(other + base + cell, mask=keep, other=0.0)
    return outer, beside


@triton.jit
def _finish(
    s, outer, beside, base, cell, keep, y, y_other, HAS_GATE_OUT: tl.constexpr, HAS_OTHER: tl.constexpr
):  # fmt: skip
    """Write ``y = gate_out * s`` and, for a backward pass, ``y_other = s * other``."""
    if HAS_OTHER:
        tl.store(y_other + base + cell, (s * beside.to(tl.float32)).to(y_other.dtype.element_ty), mask=keep)
    if HAS_GATE_OUT:
        s *= outer.to(tl.float32)
    tl.store(y + base + cell, s.to(y.dtype.element_ty), mask=keep)


@triton.jit
def _skip_part(skip, channel, spectrum_scale, local, delta, TOP: tl.constexpr):
    """The skip as a constant to add to a channel's spectrum, and the power of two that the sum must be divided by to
    have parts of at most 2 TOP. ``delta``: a filter of one tap has this spectrum, over ``spectrum_scale``."""
    part = tl.load(skip + channel).to(tl.float32) * (delta / tl.load(spectrum_scale + local))
    return part, above(tl.maximum(tl.abs(part) / TOP, 0.5))


@triton.jit
def _keep_tail(real, imaginary, cell, tail, length, history, ring):
    """Outputs at ``length .. length + history - 1``: those on the ring, then those one ring further."""
    here = cell - length
    tl.store(tail + here, real, mask=(here >= 0) & (here < history))
    there = cell + ring - length
    tl.store(tail + there, imaginary, mask=(there >= 0) & (there < history))


@triton.jit(do_not_specialize=["rows", "channels", "first", "width", "history"])
def whole_conv(
    u, gate_in, gate_out, skip, other, y, y_other, tail, spectrum_re, spectrum_im, spectrum_scale, outer_table,
    column_table, twiddle, rows, channels, first, width, length, history,
    A: tl.constexpr, B: tl.constexpr, CONJUGATE: tl.constexpr, HAS_SKIP: tl.constexpr, HAS_GATE_IN: tl.constexpr,
    HAS_GATE_OUT: tl.constexpr, HAS_OTHER: tl.constexpr, HAS_TAIL: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """The convolution of rows whose ring is A B; a program takes every ``num_programs``-th row."""
    cell = tl.arange(0, A)[:, None] * B + tl.arange(0, B)[None, :]
    keep = cell < length
    for row in range(tl.program_id(0), rows, tl.num_programs(0)):
        local = row % channels
        place = (row // channels) * width + first + local
        base = tl.cast(place, tl.int64) * length
        p = gated(u, gate_in, base, cell, keep, HAS_GATE_IN)
        power = above(largest(p))
        o_re = square(outer_table, 0, A)
        o_im = square(outer_table, 1, A)
        x = (p * inverse(power)).to(o_re.dtype)
        x_re = tl.dot(o_re, x, input_precision=PRECISION)
        x_im = tl.dot(o_im, x, input_precision=PRECISION)
        t_re = tl.load(twiddle + cell)
        t_im = tl.load(twiddle + A * B + cell)
        c_re = square(column_table, 0, B)
        c_im = square(column_table, 1, B)
        y_re, y_im = right(
            (x_re * t_re - x_im * t_im).to(o_re.dtype), (x_re * t_im + x_im * t_re).to(o_re.dtype),
            c_re, c_im, -c_im, PRECISION,
        )  # fmt: skip
        h = tl.cast(local, tl.int64) * (A * B)
        h_re = tl.load(spectrum_re + h + cell).to(tl.float32)
        h_im = tl.load(spectrum_im + h + cell).to(tl.float32)
        if CONJUGATE:
            h_im = -h_im
        x_re, x_im = right(
            (y_re * h_re - y_im * h_im).to(o_re.dtype), (y_re * h_im + y_im * h_re).to(o_re.dtype),
            c_re, -c_im, c_im, PRECISION,
        )  # fmt: skip
        z_re = (x_re * t_re + x_im * t_im).to(o_re.dtype)
        z_im = (x_im * t_re - x_re * t_im).to(o_re.dtype)
        b_re = square(outer_table, 2, A)
        b_im = square(outer_table, 3, A)
        gain = power * tl.load(spectrum_scale + local)
        c = tl.dot(b_re, z_re, input_precision=PRECISION)
        c = tl.dot(b_im, z_im, c, input_precision=PRECISION) * gain
        if HAS_TAIL:
            d = tl.dot(b_re, z_im, input_precision=PRECISION)
            d = (d - tl.dot(b_im, z_re, input_precision=PRECISION)) * gain
            _keep_tail(c, d, cell, tail + tl.cast(place, tl.int64) * history, length, history, A * B)
        if HAS_SKIP:
            c += tl.load(skip + first + local).to(tl.float32) * gated(u, gate_in, base, cell, keep, HAS_GATE_IN)
        outer, beside = _ends(base, cell, keep, gate_out, other, HAS_GATE_OUT, HAS_OTHER)
        _finish(c, outer, beside, base, cell, keep, y, y_other, HAS_GATE_OUT, HAS_OTHER)


@triton.jit(do_not_specialize=["rows", "channels", "first", "width"])
def split_in(
    u, gate, zr, zi, scale, outer_table, outer_twiddle, rows, channels, first, width, length, inner, tiles,
    OUTER: tl.constexpr, BLOCK: tl.constexpr, HAS_GATE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Gate, transform over n1, twiddle. Grid: tiles of n2 x programs that share the rows."""
    tile = tl.program_id(0)
    k = tl.arange(0, OUTER)
    cell = k[:, None] * inner + (tile * BLOCK + tl.arange(0, BLOCK))[None, :]
    keep = cell < length
    f_re = square(outer_table, 0, OUTER)
    f_im = square(outer_table, 1, OUTER)
    for row in range(tl.program_id(1), rows, tl.num_programs(1)):
        place = (row // channels) * width + first + row % channels
        p = gated(u, gate, tl.cast(place, tl.int64) * length, cell, keep, HAS_GATE)
        t_re = tl.load(outer_twiddle + cell)
        t_im = tl.load(outer_twiddle + OUTER * inner + cell)
        power = above(largest(p))
        tl.store(scale + row * tiles + tile, power)
        x = (p * inverse(power)).to(f_re.dtype)
        x_re = tl.dot(f_re, x, input_precision=PRECISION)
        x_im = tl.dot(f_im, x, input_precision=PRECISION)
        z = tl.cast(row, tl.int64) * (OUTER * inner)
        tl.store(zr + z + cell, (x_re * t_re - x_im * t_im).to(f_re.dtype))
        tl.store(zi + z + cell, (x_re * t_im + x_im * t_re).to(f_re.dtype))


@triton.jit(do_not_specialize=["rows", "channels", "first"])
def split_middle(
    zr, zi, scale, spectrum_re, spectrum_im, spectrum_even, spectrum_scale, skip, row_table, column_table,
    inner_twiddle, outer_twiddle, rows, channels, first, tiles, outer, delta,
    A: tl.constexpr, B: tl.constexpr, BLOCK: tl.constexpr, CONJUGATE: tl.constexpr, HAS_SKIP: tl.constexpr,
    TOP: tl.constexpr, EARLY: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Transform over n2, times the spectrum and skip, and back, in place. Grid: k1 x programs that share the rows."""
    k1 = tl.program_id(0)
    cell = tl.arange(0, A)[:, None] * B + tl.arange(0, B)[None, :]
    f_re = square(row_table, 0, A)
    f_im = square(row_table, 1, A)
    c_re = square(column_table, 0, B)
    c_im = square(column_table, 1, B)
    for row in range(tl.program_id(1), rows, tl.num_programs(1)):
        at = tl.cast(row * outer + k1, tl.int64) * (A * B)
        local = row % channels
        h = tl.cast(local * outer + k1, tl.int64) * (A * B)
        if EARLY:
            g_re = tl.load(spectrum_re + h + cell)
            g_im = tl.load(spectrum_im + h + cell)
        t_re = tl.load(inner_twiddle + cell)
        t_im = tl.load(inner_twiddle + A * B + cell)
        y_re, y_im, _ = inner_transform(
            zr, zi, at, cell, scale + row * tiles, f_re, f_im, c_re, c_im, t_re, t_im, A, B, BLOCK, PRECISION
        )
        if not EARLY:
            g_re = tl.load(spectrum_re + h + cell)
            g_im = tl.load(spectrum_im + h + cell)
        even = tl.load(spectrum_even + local * outer + k1)
        part = 0.0
        if HAS_SKIP:
            part, over = _skip_part(skip, first + local, spectrum_scale, local, delta, TOP)
            even *= inverse(over)
            part *= inverse(over)
        h_re = g_re.to(tl.float32) * even + part
        h_im = g_im.to(tl.float32) * even
        if CONJUGATE:
            h_im = -h_im
        inner_back(
            (y_re * h_re - y_im * h_im).to(f_re.dtype), (y_re * h_im + y_im * h_re).to(f_re.dtype),
            zr, zi, at, cell, outer_twiddle + k1 * (A * B), outer * (A * B), f_re, f_im, c_re, c_im, t_re, t_im,
            PRECISION,
        )  # fmt: skip


@triton.jit(do_not_specialize=["rows", "channels", "first", "width", "history"])
def split_out(
    zr, zi, scale, spectrum_scale, skip, gate_out, other, y, y_other, tail, outer_table,
    rows, channels, first, width, length, inner, tiles, history, delta,
    OUTER: tl.constexpr, BLOCK: tl.constexpr, TILES: tl.constexpr, HAS_SKIP: tl.constexpr,
    HAS_GATE_OUT: tl.constexpr, HAS_OTHER: tl.constexpr, HAS_TAIL: tl.constexpr, TOP: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """The inverse over k1, real part and gate. TILES: a power of two, at least ``tiles``."""
    tile = tl.program_id(0)
    k = tl.arange(0, OUTER)
    cell = k[:, None] * inner + (tile * BLOCK + tl.arange(0, BLOCK))[None, :]
    keep = cell < length
    b_re = square(outer_table, 2, OUTER)
    b_im = square(outer_table, 3, OUTER)
    each = tl.arange(0, TILES)
    for row in range(tl.program_id(1), rows, tl.num_programs(1)):
        local = row % channels
        place = (row // channels) * width + first + local
        base = tl.cast(place, tl.int64) * length
        z = tl.cast(row, tl.int64) * (OUTER * inner)
        z_re = tl.load(zr + z + cell)
        z_im = tl.load(zi + z + cell)
        outer, beside = _ends(base, cell, keep, gate_out, other, HAS_GATE_OUT, HAS_OTHER)
        power = tl.max(tl.load(scale + row * tiles + each, mask=each < tiles, other=0.0), 0)
        gain = power * tl.load(spectrum_scale + local)
        if HAS_SKIP:
            _, over = _skip_part(skip, first + local, spectrum_scale, local, delta, TOP)
            gain *= over
        c = tl.dot(b_re, z_re, input_precision=PRECISION)
        c = tl.dot(b_im, z_im, c, input_precision=PRECISION) * gain
        if HAS_TAIL:
            d = tl.dot(b_re, z_im, input_precision=PRECISION)
            d = (d - tl.dot(b_im, z_re, input_precision=PRECISION)) * gain
            _keep_tail(c, d, cell, tail + tl.cast(place, tl.int64) * history, length, history, OUTER * inner)
        _finish(c, outer, beside, base, cell, keep, y, y_other, HAS_GATE_OUT, HAS_OTHER)
