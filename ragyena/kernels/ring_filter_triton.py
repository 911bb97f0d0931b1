# mypy: ignore-errors
"""The Triton kernels of the long convolution's filter over a twisted ring: its spectrum and its gradient.

Names and layouts are those of ``twisted_ring_triton``.

- ``split_filter_in`` and ``split_filter`` (and ``whole_filter``): a filter's spectrum, by the same first stages.
- ``split_correlate`` and ``split_lags`` (and ``whole_correlate``): the filter's gradient, between and after the same
  stages.
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

__all__ = ["split_correlate", "split_filter", "split_filter_in", "split_lags", "whole_correlate", "whole_filter"]


@triton.jit
def _filter_transform(
    taps, cell, middle, ahead, behind, ring, f_re, f_im, TWO_SIDED: tl.constexpr, PRECISION: tl.constexpr
):  # fmt: skip
    """A filter's lags over n1, and the power of two above them. Lag -k stands at M - k times -i, for ``x^M = i``."""
    p = tl.load(taps + middle + cell, mask=cell < ahead, other=0.0).to(tl.float32)
    top = largest(p)
    if TWO_SIDED:
        lag = cell - ring
        q = tl.load(taps + middle + lag, mask=lag >= -behind, other=0.0).to(tl.float32)
        top = tl.maximum(top, largest(q))
    power = above(tl.maximum(top, 1e-18))  # with the spectrum's own, a normal number: zeros are filters too
    x = (p * inverse(power)).to(f_re.dtype)
    x_re = tl.dot(f_re, x, input_precision=PRECISION)
    x_im = tl.dot(f_im, x, input_precision=PRECISION)
    if TWO_SIDED:
        z = (q * inverse(power)).to(f_re.dtype)
        x_re = tl.dot(f_im, z, x_re, input_precision=PRECISION)
        x_im -= tl.dot(f_re, z, input_precision=PRECISION)
    return x_re, x_im, power


@triton.jit
def _keep_spectrum(h_re, h_im, power, cell, spectrum_re, spectrum_im, scale, TOP: tl.constexpr):
    """A tile of a spectrum, scaled by a power of two to parts of at most TOP."""
    top = above(tl.maximum(tl.maximum(largest(h_re), largest(h_im)), 6e-8))
    up = inverse(top) * TOP
    tl.store(spectrum_re + cell, (h_re * up).to(spectrum_re.dtype.element_ty))
    tl.store(spectrum_im + cell, (h_im * up).to(spectrum_im.dtype.element_ty))
    tl.store(scale, power * top / TOP)


@triton.jit
def _whole_transform(
    u, gate, base, cell, keep, outer_table, c_re, c_im, t_re, t_im,
    A: tl.constexpr, HAS_GATE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    p = gated(u, gate, base, cell, keep, HAS_GATE)
    power = above(largest(p))
    x = (p * inverse(power)).to(c_re.dtype)
    x_re = tl.dot(square(outer_table, 0, A), x, input_precision=PRECISION)
    x_im = tl.dot(square(outer_table, 1, A), x, input_precision=PRECISION)
    y_re, y_im = right(
        (x_re * t_re - x_im * t_im).to(c_re.dtype), (x_re * t_im + x_im * t_re).to(c_re.dtype),
        c_re, c_im, -c_im, PRECISION,
    )  # fmt: skip
    return y_re, y_im, power


@triton.jit
def _keep_lags(
    real, imaginary, cell, gradient, length, taps, middle, ring, TWO_SIDED: tl.constexpr
):  # fmt: skip
    """Lag ``j`` stands in the real part at j, lag ``j - M`` with the other sign in the imaginary part."""
    keep = (cell < length) & (cell + middle < taps)
    tl.store(gradient + cell + middle, real.to(gradient.dtype.element_ty), mask=keep)
    if TWO_SIDED:
        lag = cell - ring
        keep = (lag > -length) & (lag < 0) & (lag + middle >= 0)
        tl.store(gradient + (lag + middle), (-imaginary).to(gradient.dtype.element_ty), mask=keep)


@triton.jit(do_not_specialize=["first"])
def whole_filter(
    filter_, spectrum_re, spectrum_im, scale, outer_table, column_table, twiddle, first, taps, middle, ahead, behind,
    A: tl.constexpr, B: tl.constexpr, TOP: tl.constexpr, TWO_SIDED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The spectrum of one channel's filter: lags -behind .. ahead - 1, lag 0 at ``middle``."""
    row = tl.program_id(0)
    cell = tl.arange(0, A)[:, None] * B + tl.arange(0, B)[None, :]
    x_re, x_im, power = _filter_transform(
        filter_ + tl.cast(first + row, tl.int64) * taps, cell, middle, ahead, behind, A * B,
        square(outer_table, 0, A), square(outer_table, 1, A), TWO_SIDED, PRECISION,
    )  # fmt: skip
    t_re = tl.load(twiddle + cell)
    t_im = tl.load(twiddle + A * B + cell)
    c_re = square(column_table, 0, B)
    c_im = square(column_table, 1, B)
    h_re, h_im = right(
        (x_re * t_re - x_im * t_im).to(c_re.dtype), (x_re * t_im + x_im * t_re).to(c_re.dtype),
        c_re, c_im, -c_im, PRECISION,
    )  # fmt: skip
    at = tl.cast(row, tl.int64) * (A * B)
    _keep_spectrum(h_re, h_im, power, cell, spectrum_re + at, spectrum_im + at, scale + row, TOP)


@triton.jit(do_not_specialize=["batch", "width"])
def whole_correlate(
    dy, gate_out, u, gate_in, gradient, outer_table, column_table, twiddle, batch, width, length, taps, middle, gain,
    A: tl.constexpr, B: tl.constexpr, HAS_GATE_IN: tl.constexpr, HAS_GATE_OUT: tl.constexpr, TWO_SIDED: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """The filter's gradient of one channel: examples are summed in order, as transforms."""
    channel = tl.program_id(0)
    cell = tl.arange(0, A)[:, None] * B + tl.arange(0, B)[None, :]
    keep = cell < length
    t_re = tl.load(twiddle + cell)
    t_im = tl.load(twiddle + A * B + cell)
    c_re = square(column_table, 0, B)
    c_im = square(column_table, 1, B)
    s_re = tl.zeros((A, B), tl.float32)
    s_im = tl.zeros((A, B), tl.float32)
    for example in range(0, batch):
        base = tl.cast(example * width + channel, tl.int64) * length
        p_re, p_im, p_power = _whole_transform(
            u, gate_in, base, cell, keep, outer_table, c_re, c_im, t_re, t_im, A, HAS_GATE_IN, PRECISION
        )
        q_re, q_im, q_power = _whole_transform(
            dy, gate_out, base, cell, keep, outer_table, c_re, c_im, t_re, t_im, A, HAS_GATE_OUT, PRECISION
        )
        power = p_power * q_power
        s_re += (q_re * p_re + q_im * p_im) * power
        s_im += (q_im * p_re - q_re * p_im) * power
    power = above(tl.maximum(largest(s_re), largest(s_im)))
    x_re, x_im = right(
        (s_re * inverse(power)).to(c_re.dtype), (s_im * inverse(power)).to(c_re.dtype), c_re, -c_im, c_im, PRECISION
    )
    z_re = (x_re * t_re + x_im * t_im).to(c_re.dtype)
    z_im = (x_im * t_re - x_re * t_im).to(c_re.dtype)
    b_re = square(outer_table, 2, A)
    b_im = square(outer_table, 3, A)
    c = tl.dot(b_re, z_re, input_precision=PRECISION)
    c = tl.dot(b_im, z_im, c, input_precision=PRECISION) * (power * gain)
    d = tl.dot(b_re, z_im, input_precision=PRECISION)
    d = (d - tl.dot(b_im, z_re, input_precision=PRECISION)) * (power * gain)
    _keep_lags(c, d, cell, gradient + tl.cast(channel, tl.int64) * taps, length, taps, middle, A * B, TWO_SIDED)


@triton.jit(do_not_specialize=["channels", "first"])
def split_filter_in(
    filter_, zr, zi, scale, outer_table, outer_twiddle, channels, first, taps, middle, ahead, behind, inner, tiles,
    OUTER: tl.constexpr, BLOCK: tl.constexpr, TWO_SIDED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """A filter's lags -behind .. ahead - 1 over n1, and twiddle. Grid: as ``split_in``."""
    tile = tl.program_id(0)
    k = tl.arange(0, OUTER)
    cell = k[:, None] * inner + (tile * BLOCK + tl.arange(0, BLOCK))[None, :]
    f_re = square(outer_table, 0, OUTER)
    f_im = square(outer_table, 1, OUTER)
    for row in range(tl.program_id(1), channels, tl.num_programs(1)):
        x_re, x_im, power = _filter_transform(
            filter_ + tl.cast(first + row, tl.int64) * taps, cell, middle, ahead, behind, OUTER * inner, f_re, f_im,
            TWO_SIDED, PRECISION,
        )  # fmt: skip
        tl.store(scale + row * tiles + tile, power)
        t_re = tl.load(outer_twiddle + cell)
        t_im = tl.load(outer_twiddle + OUTER * inner + cell)
        z = tl.cast(row, tl.int64) * (OUTER * inner)
        tl.store(zr + z + cell, (x_re * t_re - x_im * t_im).to(f_re.dtype))
        tl.store(zi + z + cell, (x_re * t_im + x_im * t_re).to(f_re.dtype))


@triton.jit(do_not_specialize=["channels"])
def split_filter(
    zr, zi, scale, spectrum_re, spectrum_im, spectrum_scale, row_table, column_table, inner_twiddle,
    channels, tiles, outer, A: tl.constexpr, B: tl.constexpr, BLOCK: tl.constexpr, TOP: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """The rest of a filter's transform, over n2, with a scale for each k1. Grid: k1 x programs that share channels."""
    k1 = tl.program_id(0)
    cell = tl.arange(0, A)[:, None] * B + tl.arange(0, B)[None, :]
    f_re = square(row_table, 0, A)
    f_im = square(row_table, 1, A)
    c_re = square(column_table, 0, B)
    c_im = square(column_table, 1, B)
    for row in range(tl.program_id(1), channels, tl.num_programs(1)):
        at = tl.cast(row * outer + k1, tl.int64) * (A * B)
        t_re = tl.load(inner_twiddle + cell)
        t_im = tl.load(inner_twiddle + A * B + cell)
        h_re, h_im, power = inner_transform(
            zr, zi, at, cell, scale + row * tiles, f_re, f_im, c_re, c_im, t_re, t_im, A, B, BLOCK, PRECISION
        )
        _keep_spectrum(
            h_re, h_im, power, cell, spectrum_re + at, spectrum_im + at, spectrum_scale + row * outer + k1, TOP
        )


@triton.jit(do_not_specialize=["batch", "channels"])
def split_correlate(
    zr, zi, scale, qr, qi, q_scale, wr, wi, w_scale, row_table, column_table, inner_twiddle, outer_twiddle,
    batch, channels, tiles, outer, A: tl.constexpr, B: tl.constexpr, BLOCK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Sum over examples of ``Q conj(Z)``, after their transforms over n2, and back over k2. Grid: k1 x channels.

    z: the gated inputs, q: the gated gradients of the outputs; w: [channels, OUTER, A B], a scale for each k1.
    """
    k1 = tl.program_id(0)
    channel = tl.program_id(1)
    cell = tl.arange(0, A)[:, None] * B + tl.arange(0, B)[None, :]
    f_re = square(row_table, 0, A)
    f_im = square(row_table, 1, A)
    c_re = square(column_table, 0, B)
    c_im = square(column_table, 1, B)
    s_re = tl.zeros((A, B), tl.float32)
    s_im = tl.zeros((A, B), tl.float32)
    for example in range(0, batch):
        row = example * channels + channel
        at = tl.cast(row * outer + k1, tl.int64) * (A * B)
        t_re = tl.load(inner_twiddle + cell)
        t_im = tl.load(inner_twiddle + A * B + cell)
        p_re, p_im, p_power = inner_transform(
            zr, zi, at, cell, scale + row * tiles, f_re, f_im, c_re, c_im, t_re, t_im, A, B, BLOCK, PRECISION
        )
        q_re, q_im, q_power = inner_transform(
            qr, qi, at, cell, q_scale + row * tiles, f_re, f_im, c_re, c_im, t_re, t_im, A, B, BLOCK, PRECISION
        )
        power = p_power * q_power
        s_re += (q_re * p_re + q_im * p_im) * power
        s_im += (q_im * p_re - q_re * p_im) * power
    power = above(tl.maximum(largest(s_re), largest(s_im)))
    tl.store(w_scale + channel * outer + k1, power)
    t_re = tl.load(inner_twiddle + cell)
    t_im = tl.load(inner_twiddle + A * B + cell)
    inner_back(
        (s_re * inverse(power)).to(f_re.dtype), (s_im * inverse(power)).to(f_re.dtype),
        wr, wi, tl.cast(channel * outer + k1, tl.int64) * (A * B), cell, outer_twiddle + k1 * (A * B),
        outer * (A * B), f_re, f_im, c_re, c_im, t_re, t_im, PRECISION,
    )  # fmt: skip


@triton.jit(do_not_specialize=["channels", "first"])
def split_lags(
    wr, wi, w_scale, gradient, outer_table, channels, first, length, inner, taps, middle, gain,
    OUTER: tl.constexpr, BLOCK: tl.constexpr, TWO_SIDED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The inverse over k1 of ``split_correlate``, as gradients by lag."""
    tile = tl.program_id(0)
    k = tl.arange(0, OUTER)
    cell = k[:, None] * inner + (tile * BLOCK + tl.arange(0, BLOCK))[None, :]
    b_re = square(outer_table, 2, OUTER)
    b_im = square(outer_table, 3, OUTER)
    for row in range(tl.program_id(1), channels, tl.num_programs(1)):
        powers = tl.load(w_scale + row * OUTER + k)
        power = tl.max(powers, 0)
        even = (powers * inverse(power))[:, None]
        z = tl.cast(row, tl.int64) * (OUTER * inner)
        z_re = (tl.load(wr + z + cell).to(tl.float32) * even).to(b_re.dtype)
        z_im = (tl.load(wi + z + cell).to(tl.float32) * even).to(b_re.dtype)
        c = tl.dot(b_re, z_re, input_precision=PRECISION)
        c = tl.dot(b_im, z_im, c, input_precision=PRECISION) * (power * gain)
        d = tl.dot(b_re, z_im, input_precision=PRECISION)
        d = (d - tl.dot(b_im, z_re, input_precision=PRECISION)) * (power * gain)
        base = gradient + tl.cast(first + row, tl.int64) * taps
        _keep_lags(c, d, cell, base, length, taps, middle, OUTER * inner, TWO_SIDED)
