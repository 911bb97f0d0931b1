# mypy: ignore-errors
"""Triton kernels of the long convolution by a weighted FFT; ``plan.py`` has the mathematics.

Legend: an FFT of size M = OUTER A B, position ``n1 A B + a B + b``; row: one channel of one example, at
``(row // channels) * width + first + row % channels`` of the arguments, which have ``width`` channels of ``length``
positions. Positions past ``length`` count as zeros and are never read. ``z``: [rows, OUTER, 2, A B], a transform
between its stages, real before imaginary part, in the operands' type (fp16 or fp32); every sum is fp32.

- ``whole_conv``: a transform that one program holds, from inputs to outputs.
- ``split_in``, ``split_middle``, ``split_out``: a longer one in three, over n1, over n2 and back, over k1 back.

A filter's spectrum and gradient are in ``triton_filter.py``.

fp16 operands are block floating point: each tile of inputs is divided by the power of two above its largest magnitude,
and no further stage enlarges the L2 norm. Nothing is summed by atomics: the same inputs give the same bits.

Constants are loaded before the loops over rows and stay in registers. With ``num_stages`` of two or more, Triton loads
the next row during the work on one. Arguments that no address is a multiple of are not specialised on, so that other
widths and batches compile nothing anew.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ragyena.ops.triton_parts import (
    inner_inverse,
    inner_transform,
    load_gated,
    load_matrix,
    load_transposed,
    max_abs,
    pack_columns,
    pack_rows,
    power_above,
    reciprocal,
    unpack_columns,
    unpack_rows,
)

__all__ = ["skip_and_scale", "split_in", "split_middle", "split_out", "whole_conv"]


@triton.jit
def _load_output_factors(base, cell, keep, gate_out, other, HAS_GATE_OUT: tl.constexpr, HAS_OTHER: tl.constexpr):
    """The factors of ``_store_output``, loaded before the products, which hide the latency."""
    outer, partner = 0.0, 0.0
    if HAS_GATE_OUT:
        outer = tl.load(gate_out + base + cell, mask=keep, other=0.0)
    if HAS_OTHER:
        partner = tl.load(other + base + cell, mask=keep, other=0.0)
    return outer, partner


@triton.jit
def _store_output(
    s, outer, partner, base, cell, keep, y, y_other, HAS_GATE_OUT: tl.constexpr, HAS_OTHER: tl.constexpr
):  # fmt: skip
    """Write ``y = gate_out * s`` and, for a backward pass, ``y_other = s * other``."""
    if HAS_OTHER:
        tl.store(y_other + base + cell, (s * partner.to(tl.float32)).to(y_other.dtype.element_ty), mask=keep)
    if HAS_GATE_OUT:
        s *= outer.to(tl.float32)
    tl.store(y + base + cell, s.to(y.dtype.element_ty), mask=keep)


@triton.jit
def _skip_in_spectrum(skip, channel, spectrum_scale, local, delta, TOP: tl.constexpr):
    """The skip as a constant to add to a channel's spectrum, and the power of two to divide the sum by, so that no part
    exceeds 2 TOP. ``delta``: the spectrum of a filter of one tap, over ``spectrum_scale``."""
    part = tl.load(skip + channel).to(tl.float32) * (delta / tl.load(spectrum_scale + local))
    return part, power_above(tl.maximum(tl.abs(part) / TOP, 0.5))


@triton.jit
def skip_and_scale(
    skip, channel, spectrum_scale, spectrum_relative, local, at, delta, HAS_SKIP: tl.constexpr, TOP: tl.constexpr
):  # fmt: skip
    """The term to add to the spectrum at ``at`` for the skip, and the scale to multiply the spectrum by before."""
    factor = tl.load(spectrum_relative + at)
    part = 0.0
    if HAS_SKIP:
        part, over = _skip_in_spectrum(skip, channel, spectrum_scale, local, delta, TOP)
        factor *= reciprocal(over)
        part *= reciprocal(over)
    return part, factor


@triton.jit(do_not_specialize=["rows", "channels", "first", "width"])
def whole_conv(
    u, gate_in, gate_out, skip, other, y, y_other, spectrum_re, spectrum_im, spectrum_scale, outer_table,
    inner_table, twiddle, rows, channels, first, width, length,
    A: tl.constexpr, B: tl.constexpr, CONJUGATE: tl.constexpr, HAS_SKIP: tl.constexpr, HAS_GATE_IN: tl.constexpr,
    HAS_GATE_OUT: tl.constexpr, HAS_OTHER: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The convolution of rows with M = A B; a program takes every ``num_programs``-th row."""
    cell = tl.arange(0, A)[:, None] * B + tl.arange(0, B)[None, :]
    keep = cell < length
    f = load_matrix(outer_table, 2 * A, A)
    c = load_matrix(inner_table, 2 * B, 2 * B)
    t_re = tl.load(twiddle + cell)
    t_im = tl.load(twiddle + A * B + cell)
    for row in range(tl.program_id(0), rows, tl.num_programs(0)):
        local = row % channels
        base = tl.cast((row // channels) * width + first + local, tl.int64) * length
        p = load_gated(u, gate_in, base, cell, keep, HAS_GATE_IN)
        power = power_above(max_abs(p))
        x = (p * reciprocal(power)).to(f.dtype)
        re, im = unpack_rows(tl.dot(f, x, input_precision=PRECISION), A, B)
        x = pack_columns((re * t_re - im * t_im).to(f.dtype), (re * t_im + im * t_re).to(f.dtype), A, B)
        re, im = unpack_columns(tl.dot(x, tl.trans(c), input_precision=PRECISION), A, B)
        h = tl.cast(local, tl.int64) * (A * B)
        h_re = tl.load(spectrum_re + h + cell).to(tl.float32)
        h_im = tl.load(spectrum_im + h + cell).to(tl.float32)
        if CONJUGATE:
            h_im = -h_im
        x = pack_columns((re * h_re - im * h_im).to(f.dtype), (re * h_im + im * h_re).to(f.dtype), A, B)
        re, im = unpack_columns(tl.dot(x, c, input_precision=PRECISION), A, B)
        outer, partner = _load_output_factors(base, cell, keep, gate_out, other, HAS_GATE_OUT, HAS_OTHER)
        gain = power * tl.load(spectrum_scale + local)
        x = pack_rows((re * t_re + im * t_im).to(f.dtype), (im * t_re - re * t_im).to(f.dtype), A, B)
        s = tl.dot(tl.trans(f), x, input_precision=PRECISION) * gain
        if HAS_SKIP:
            s += tl.load(skip + first + local).to(tl.float32) * load_gated(u, gate_in, base, cell, keep, HAS_GATE_IN)
        _store_output(s, outer, partner, base, cell, keep, y, y_other, HAS_GATE_OUT, HAS_OTHER)


@triton.jit
def _outer_transform(
    p, z, scale, row, tile, tiles, k, column, inner, f, t_re, t_im, OUTER: tl.constexpr, BLOCK: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Store a tile's transform over n1, with its twiddle, and its scale."""
    power = power_above(max_abs(p))
    tl.store(scale + row * tiles + tile, power)
    x = (p * reciprocal(power)).to(f.dtype)
    re, im = unpack_rows(tl.dot(f, x, input_precision=PRECISION), OUTER, BLOCK)
    to = z + tl.cast(row, tl.int64) * (2 * OUTER * inner) + 2 * k * inner + column
    tl.store(to, (re * t_re - im * t_im).to(f.dtype))
    tl.store(to + inner, (re * t_im + im * t_re).to(f.dtype))


@triton.jit(do_not_specialize=["rows", "channels", "first", "width"])
def split_in(
    u, gate, z, scale, other, other_gate, q, q_scale, products, outer_table, outer_twiddle,
    rows, channels, first, width, length, inner, tiles,
    OUTER: tl.constexpr, BLOCK: tl.constexpr, HAS_GATE: tl.constexpr, HAS_OTHER: tl.constexpr,
    HAS_OTHER_GATE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Gate, transform over n1, twiddle. Grid: tiles of n2 x programs that share the rows.

    With HAS_OTHER, for a backward pass, also a second signal and ``products`` [rows, tiles]: sums of their products.
    """
    tile = tl.program_id(0)
    k = tl.arange(0, OUTER)[:, None]
    column = (tile * BLOCK + tl.arange(0, BLOCK))[None, :]
    cell = k * inner + column
    keep = cell < length
    f = load_matrix(outer_table, 2 * OUTER, OUTER)
    t_re = tl.load(outer_twiddle + cell)
    t_im = tl.load(outer_twiddle + OUTER * inner + cell)
    for row in range(tl.program_id(1), rows, tl.num_programs(1)):
        base = tl.cast((row // channels) * width + first + row % channels, tl.int64) * length
        p = load_gated(u, gate, base, cell, keep, HAS_GATE)
        _outer_transform(p, z, scale, row, tile, tiles, k, column, inner, f, t_re, t_im, OUTER, BLOCK, PRECISION)
        if HAS_OTHER:
            g = load_gated(other, other_gate, base, cell, keep, HAS_OTHER_GATE)
            _outer_transform(g, q, q_scale, row, tile, tiles, k, column, inner, f, t_re, t_im, OUTER, BLOCK, PRECISION)
            tl.store(products + row * tiles + tile, tl.sum(tl.sum(p * g, 1), 0))


@triton.jit(do_not_specialize=["rows", "channels", "first"])
def split_middle(
    z, scale, spectrum_re, spectrum_im, spectrum_relative, spectrum_scale, skip, inner_table, inner_twiddle,
    outer_twiddle, rows, channels, first, tiles, outer, delta,
    A: tl.constexpr, BLOCK: tl.constexpr, CONJUGATE: tl.constexpr, HAS_SKIP: tl.constexpr, TOP: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Transform over n2, times the spectrum and skip, and back, in place. Grid: k1 x programs that share the rows."""
    k1 = tl.program_id(0)
    cell = tl.arange(0, A)[:, None] * A + tl.arange(0, A)[None, :]
    f = load_matrix(inner_table, 2 * A, 2 * A)
    t_re = tl.load(inner_twiddle + cell)
    t_im = tl.load(inner_twiddle + A * A + cell)
    o_re = tl.load(outer_twiddle + k1 * (A * A) + cell)
    o_im = tl.load(outer_twiddle + (outer + k1) * (A * A) + cell)
    for row in range(tl.program_id(1), rows, tl.num_programs(1)):
        to = z + tl.cast(row * outer + k1, tl.int64) * (2 * A * A)
        local = row % channels
        h = tl.cast(local * outer + k1, tl.int64) * (A * A)
        re, im, _ = inner_transform(to, scale + row * tiles, f, t_re, t_im, A, BLOCK, PRECISION)
        part, factor = skip_and_scale(
            skip, first + local, spectrum_scale, spectrum_relative, local, local * outer + k1, delta, HAS_SKIP, TOP
        )
        h_re = tl.load(spectrum_re + h + cell).to(tl.float32) * factor + part
        h_im = tl.load(spectrum_im + h + cell).to(tl.float32) * factor
        if CONJUGATE:
            h_im = -h_im
        inner_inverse(re * h_re - im * h_im, re * h_im + im * h_re, to, f, t_re, t_im, o_re, o_im, A, PRECISION)


@triton.jit(do_not_specialize=["rows", "channels", "first", "width"])
def split_out(
    z, scale, spectrum_scale, skip, gate_out, other, y, y_other, outer_table,
    rows, channels, first, width, length, inner, tiles, delta,
    OUTER: tl.constexpr, BLOCK: tl.constexpr, TILES: tl.constexpr, HAS_SKIP: tl.constexpr,
    HAS_GATE_OUT: tl.constexpr, HAS_OTHER: tl.constexpr, TOP: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The inverse over k1, real part and gate. TILES: a power of two, at least ``tiles``."""
    tile = tl.program_id(0)
    column = (tile * BLOCK + tl.arange(0, BLOCK))[None, :]
    cell = tl.arange(0, OUTER)[:, None] * inner + column
    keep = cell < length
    b = load_transposed(outer_table, 2 * OUTER, OUTER)
    each = tl.arange(0, TILES)
    part = tl.arange(0, 2 * OUTER)[:, None]  # real parts, then imaginary ones
    place_of = (part % OUTER) * (2 * inner) + (part // OUTER) * inner + column
    for row in range(tl.program_id(1), rows, tl.num_programs(1)):
        local = row % channels
        base = tl.cast((row // channels) * width + first + local, tl.int64) * length
        x = tl.load(z + tl.cast(row, tl.int64) * (2 * OUTER * inner) + place_of)
        outer, partner = _load_output_factors(base, cell, keep, gate_out, other, HAS_GATE_OUT, HAS_OTHER)
        power = tl.max(tl.load(scale + row * tiles + each, mask=each < tiles, other=0.0), 0)
        gain = power * tl.load(spectrum_scale + local)
        if HAS_SKIP:
            _, over = _skip_in_spectrum(skip, first + local, spectrum_scale, local, delta, TOP)
            gain *= over
        s = tl.dot(b, x, input_precision=PRECISION) * gain
        _store_output(s, outer, partner, base, cell, keep, y, y_other, HAS_GATE_OUT, HAS_OTHER)
