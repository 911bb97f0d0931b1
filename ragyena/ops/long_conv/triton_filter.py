# mypy: ignore-errors
"""Triton kernels of the long convolution's filter: its spectrum and its gradient. Names and layouts as in
``triton_conv.py``.

- ``split_filter_in`` and ``split_filter`` (or ``whole_filter``): a filter's spectrum.
- ``split_backward``: between the first and the last stage of all gradients; ``split_lags`` then makes the filter's by
  lag (``whole_correlate`` if one program holds a transform).
"""

from __future__ import annotations

import triton
import triton.language as tl

from ragyena.ops.long_conv.triton_conv import skip_and_scale
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
    times_minus_i,
    unpack_columns,
    unpack_rows,
)

__all__ = ["split_backward", "split_filter", "split_filter_in", "split_lags", "whole_correlate", "whole_filter"]


@triton.jit
def _filter_transform(
    taps, cell, middle, ahead, behind, size, outer_table, A: tl.constexpr, B: tl.constexpr,
    TWO_SIDED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """A filter's transform over n1, and its scale. Lag -k is at M - k, times -i because ``x^M = i``."""
    p = tl.load(taps + middle + cell, mask=cell < ahead, other=0.0).to(tl.float32)
    top = max_abs(p)
    if TWO_SIDED:
        lag = cell - size
        q = tl.load(taps + middle + lag, mask=lag >= -behind, other=0.0).to(tl.float32)
        top = tl.maximum(top, max_abs(q))
    power = power_above(tl.maximum(top, 1e-18))  # times the spectrum's scale it stays normal for a filter of zeros
    f = load_matrix(outer_table, 2 * A, A)
    re, im = unpack_rows(tl.dot(f, (p * reciprocal(power)).to(f.dtype), input_precision=PRECISION), A, B)
    if TWO_SIDED:
        q_re, q_im = unpack_rows(tl.dot(f, (q * reciprocal(power)).to(f.dtype), input_precision=PRECISION), A, B)
        re += q_im
        im -= q_re
    return re, im, power


@triton.jit
def _store_spectrum(h_re, h_im, power, cell, spectrum_re, spectrum_im, scale, TOP: tl.constexpr):
    """Store a tile of a spectrum, scaled by a power of two so that no part exceeds TOP."""
    top = power_above(tl.maximum(tl.maximum(max_abs(h_re), max_abs(h_im)), 6e-8))
    up = reciprocal(top) * TOP
    tl.store(spectrum_re + cell, (h_re * up).to(spectrum_re.dtype.element_ty))
    tl.store(spectrum_im + cell, (h_im * up).to(spectrum_im.dtype.element_ty))
    tl.store(scale, power * top / TOP)


@triton.jit
def _whole_transform(
    u, gate, base, cell, keep, f, c, t_re, t_im,
    A: tl.constexpr, B: tl.constexpr, HAS_GATE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    p = load_gated(u, gate, base, cell, keep, HAS_GATE)
    power = power_above(max_abs(p))
    re, im = unpack_rows(tl.dot(f, (p * reciprocal(power)).to(f.dtype), input_precision=PRECISION), A, B)
    x = pack_columns((re * t_re - im * t_im).to(f.dtype), (re * t_im + im * t_re).to(f.dtype), A, B)
    re, im = unpack_columns(tl.dot(x, tl.trans(c), input_precision=PRECISION), A, B)
    return p, re, im, power


@triton.jit
def _store_lags(
    real, imaginary, cell, gradient, length, taps, middle, size, TWO_SIDED: tl.constexpr
):  # fmt: skip
    """Store lag ``j`` from the real part at j, and lag ``j - M`` from the negated imaginary part."""
    keep = (cell < length) & (cell + middle < taps)
    tl.store(gradient + cell + middle, real.to(gradient.dtype.element_ty), mask=keep)
    if TWO_SIDED:
        lag = cell - size
        keep = (lag > -length) & (lag < 0) & (lag + middle >= 0)
        tl.store(gradient + (lag + middle), (-imaginary).to(gradient.dtype.element_ty), mask=keep)


@triton.jit(do_not_specialize=["first"])
def whole_filter(
    filter_, spectrum_re, spectrum_im, scale, outer_table, inner_table, twiddle, first, taps, middle, ahead, behind,
    A: tl.constexpr, B: tl.constexpr, TOP: tl.constexpr, TWO_SIDED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The spectrum of one channel's filter: lags -behind .. ahead - 1, lag 0 at ``middle``."""
    row = tl.program_id(0)
    cell = tl.arange(0, A)[:, None] * B + tl.arange(0, B)[None, :]
    re, im, power = _filter_transform(
        filter_ + tl.cast(first + row, tl.int64) * taps, cell, middle, ahead, behind, A * B, outer_table, A, B,
        TWO_SIDED, PRECISION,
    )  # fmt: skip
    t_re = tl.load(twiddle + cell)
    t_im = tl.load(twiddle + A * B + cell)
    c = load_matrix(inner_table, 2 * B, 2 * B)
    x = pack_columns((re * t_re - im * t_im).to(c.dtype), (re * t_im + im * t_re).to(c.dtype), A, B)
    h_re, h_im = unpack_columns(tl.dot(x, tl.trans(c), input_precision=PRECISION), A, B)
    at = tl.cast(row, tl.int64) * (A * B)
    _store_spectrum(h_re, h_im, power, cell, spectrum_re + at, spectrum_im + at, scale + row, TOP)


@triton.jit(do_not_specialize=["batch", "width"])
def whole_correlate(
    dy, gate_out, u, gate_in, gradient, products, outer_table, inner_table, twiddle, batch, width, length, taps,
    middle, gain,
    A: tl.constexpr, B: tl.constexpr, HAS_GATE_IN: tl.constexpr, HAS_GATE_OUT: tl.constexpr, TWO_SIDED: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """The filter's gradient of one channel; examples are summed in order, as transforms. ``products`` [channels]: sums
    of the two signals' products."""
    channel = tl.program_id(0)
    cell = tl.arange(0, A)[:, None] * B + tl.arange(0, B)[None, :]
    keep = cell < length
    f = load_matrix(outer_table, 2 * A, A)
    c = load_matrix(inner_table, 2 * B, 2 * B)
    t_re = tl.load(twiddle + cell)
    t_im = tl.load(twiddle + A * B + cell)
    s_re = tl.zeros((A, B), tl.float32)
    s_im = tl.zeros((A, B), tl.float32)
    product = tl.zeros((A, B), tl.float32)
    for example in range(0, batch):
        base = tl.cast(example * width + channel, tl.int64) * length
        p, p_re, p_im, p_power = _whole_transform(
            u, gate_in, base, cell, keep, f, c, t_re, t_im, A, B, HAS_GATE_IN, PRECISION
        )
        q, q_re, q_im, q_power = _whole_transform(
            dy, gate_out, base, cell, keep, f, c, t_re, t_im, A, B, HAS_GATE_OUT, PRECISION
        )
        product += p * q
        power = p_power * q_power
        s_re += (q_re * p_re + q_im * p_im) * power
        s_im += (q_im * p_re - q_re * p_im) * power
    tl.store(products + channel, tl.sum(tl.sum(product, 1), 0))
    power = power_above(tl.maximum(max_abs(s_re), max_abs(s_im)))
    x = pack_columns((s_re * reciprocal(power)).to(f.dtype), (s_im * reciprocal(power)).to(f.dtype), A, B)
    re, im = unpack_columns(tl.dot(x, c, input_precision=PRECISION), A, B)
    x = pack_rows((re * t_re + im * t_im).to(f.dtype), (im * t_re - re * t_im).to(f.dtype), A, B)
    real = tl.dot(tl.trans(f), x, input_precision=PRECISION) * (power * gain)
    imaginary = real
    if TWO_SIDED:
        imaginary = tl.dot(tl.trans(f), times_minus_i(x, A, B), input_precision=PRECISION) * (power * gain)
    to = gradient + tl.cast(channel, tl.int64) * taps
    _store_lags(real, imaginary, cell, to, length, taps, middle, A * B, TWO_SIDED)


@triton.jit(do_not_specialize=["channels", "first"])
def split_filter_in(
    filter_, z, scale, outer_table, outer_twiddle, channels, first, taps, middle, ahead, behind, inner, tiles,
    OUTER: tl.constexpr, BLOCK: tl.constexpr, TWO_SIDED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Transform a filter's lags -behind .. ahead - 1 over n1, twiddle. Grid: as ``split_in``."""
    tile = tl.program_id(0)
    k = tl.arange(0, OUTER)[:, None]
    column = (tile * BLOCK + tl.arange(0, BLOCK))[None, :]
    cell = k * inner + column
    t_re = tl.load(outer_twiddle + cell)
    t_im = tl.load(outer_twiddle + OUTER * inner + cell)
    for row in range(tl.program_id(1), channels, tl.num_programs(1)):
        re, im, power = _filter_transform(
            filter_ + tl.cast(first + row, tl.int64) * taps, cell, middle, ahead, behind, OUTER * inner, outer_table,
            OUTER, BLOCK, TWO_SIDED, PRECISION,
        )  # fmt: skip
        tl.store(scale + row * tiles + tile, power)
        to = z + tl.cast(row, tl.int64) * (2 * OUTER * inner) + 2 * k * inner + column
        tl.store(to, (re * t_re - im * t_im).to(z.dtype.element_ty))
        tl.store(to + inner, (re * t_im + im * t_re).to(z.dtype.element_ty))


@triton.jit(do_not_specialize=["channels"])
def split_filter(
    z, scale, spectrum_re, spectrum_im, spectrum_scale, inner_table, inner_twiddle, channels, tiles, outer,
    A: tl.constexpr, BLOCK: tl.constexpr, TOP: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The rest of a filter's transform, over n2, with a scale for each k1. Grid: k1 x programs that share channels."""
    k1 = tl.program_id(0)
    cell = tl.arange(0, A)[:, None] * A + tl.arange(0, A)[None, :]
    f = load_matrix(inner_table, 2 * A, 2 * A)
    t_re = tl.load(inner_twiddle + cell)
    t_im = tl.load(inner_twiddle + A * A + cell)
    for row in range(tl.program_id(1), channels, tl.num_programs(1)):
        at = tl.cast(row * outer + k1, tl.int64) * (A * A)
        h_re, h_im, power = inner_transform(
            z + 2 * at, scale + row * tiles, f, t_re, t_im, A, BLOCK, PRECISION
        )  # fmt: skip
        _store_spectrum(
            h_re, h_im, power, cell, spectrum_re + at, spectrum_im + at, spectrum_scale + row * outer + k1, TOP
        )


@triton.jit(do_not_specialize=["rows", "channels", "first"])
def split_backward(
    z, scale, q, q_scale, w, w_scale, spectrum_re, spectrum_im, spectrum_relative, spectrum_scale, skip, inner_table,
    inner_twiddle, outer_twiddle, rows, channels, first, tiles, outer, delta,
    A: tl.constexpr, BLOCK: tl.constexpr, HAS_SKIP: tl.constexpr, FORWARD: tl.constexpr, TOP: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Transforms over n2, products and inverse over k2 for all gradients. Grid: as ``split_middle``.

    z, the gated inputs, becomes with FORWARD the convolution's outputs; q, the gated gradients of the outputs, the
    inputs' gradients; w the filter's gradient of each row, ``Q conj(Z)``, with a scale for each k1.
    """
    k1 = tl.program_id(0)
    cell = tl.arange(0, A)[:, None] * A + tl.arange(0, A)[None, :]
    f = load_matrix(inner_table, 2 * A, 2 * A)
    t_re = tl.load(inner_twiddle + cell)
    t_im = tl.load(inner_twiddle + A * A + cell)
    for row in range(tl.program_id(1), rows, tl.num_programs(1)):
        at = tl.cast(row * outer + k1, tl.int64) * (2 * A * A)
        local = row % channels
        h = tl.cast(local * outer + k1, tl.int64) * (A * A)
        part, factor = skip_and_scale(
            skip, first + local, spectrum_scale, spectrum_relative, local, local * outer + k1, delta, HAS_SKIP, TOP
        )
        re, im, p_power = inner_transform(z + at, scale + row * tiles, f, t_re, t_im, A, BLOCK, PRECISION)
        p_re, p_im = re.to(f.dtype), im.to(f.dtype)
        if FORWARD:
            h_re = tl.load(spectrum_re + h + cell).to(tl.float32) * factor + part
            h_im = tl.load(spectrum_im + h + cell).to(tl.float32) * factor
            o_re = tl.load(outer_twiddle + k1 * (A * A) + cell)
            o_im = tl.load(outer_twiddle + (outer + k1) * (A * A) + cell)
            inner_inverse(re * h_re - im * h_im, re * h_im + im * h_re, z + at, f, t_re, t_im, o_re, o_im, A, PRECISION)
        re, im, q_power = inner_transform(q + at, q_scale + row * tiles, f, t_re, t_im, A, BLOCK, PRECISION)
        s_re = re * p_re + im * p_im
        s_im = im * p_re - re * p_im
        power = power_above(tl.maximum(max_abs(s_re), max_abs(s_im)))
        tl.store(w_scale + row * outer + k1, power * p_power * q_power)
        s_re = (s_re * reciprocal(power)).to(f.dtype)
        s_im = (s_im * reciprocal(power)).to(f.dtype)
        h_re = tl.load(spectrum_re + h + cell).to(tl.float32) * factor + part
        h_im = tl.load(spectrum_im + h + cell).to(tl.float32) * factor
        o_re = tl.load(outer_twiddle + k1 * (A * A) + cell)
        o_im = tl.load(outer_twiddle + (outer + k1) * (A * A) + cell)
        inner_inverse(re * h_re + im * h_im, im * h_re - re * h_im, q + at, f, t_re, t_im, o_re, o_im, A, PRECISION)
        o_re = tl.load(outer_twiddle + k1 * (A * A) + cell)
        o_im = tl.load(outer_twiddle + (outer + k1) * (A * A) + cell)
        inner_inverse(s_re, s_im, w + at, f, t_re, t_im, o_re, o_im, A, PRECISION)


@triton.jit(do_not_specialize=["channels", "first", "batch"])
def split_lags(
    w, w_scale, gradient, outer_table, batch, channels, first, length, inner, taps, middle, gain,
    OUTER: tl.constexpr, BLOCK: tl.constexpr, TWO_SIDED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The filter's gradient by lag: the inverse over k1, summed over examples in order. Grid: tiles x channels."""
    tile = tl.program_id(0)
    channel = tl.program_id(1)
    k = tl.arange(0, OUTER)
    column = (tile * BLOCK + tl.arange(0, BLOCK))[None, :]
    cell = k[:, None] * inner + column
    b = load_transposed(outer_table, 2 * OUTER, OUTER)
    part = tl.arange(0, 2 * OUTER)[:, None]
    place_of = (part % OUTER) * (2 * inner) + (part // OUTER) * inner + column
    real = tl.zeros((OUTER, BLOCK), tl.float32)
    imaginary = tl.zeros((OUTER, BLOCK), tl.float32)
    for example in range(0, batch):
        row = example * channels + channel
        powers = tl.load(w_scale + row * OUTER + tl.arange(0, 2 * OUTER) % OUTER)
        power = tl.max(powers, 0)
        x = tl.load(w + tl.cast(row, tl.int64) * (2 * OUTER * inner) + place_of).to(tl.float32)
        x = (x * (powers * reciprocal(power))[:, None]).to(b.dtype)
        real += tl.dot(b, x, input_precision=PRECISION) * (power * gain)
        if TWO_SIDED:
            imaginary += tl.dot(b, times_minus_i(x, OUTER, BLOCK), input_precision=PRECISION) * (power * gain)
    base = gradient + tl.cast(first + channel, tl.int64) * taps
    _store_lags(real, imaginary, cell, base, length, taps, middle, OUTER * inner, TWO_SIDED)
