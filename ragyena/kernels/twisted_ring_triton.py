# mypy: ignore-errors
"""The Triton kernels of the long convolution over a twisted ring; ``ragyena.kernels.twisted_ring`` has the mathematics.

Legend: a ring of M = OUTER A B positions, position ``n1 A B + a B + b``; row: one channel of one example. Rows stand at
``(row // channels) * width + first + row % channels`` of the arguments, which have ``width`` channels of ``length``
positions; those at and past ``length`` are zeros that are never read. ``zr, zi``: [rows, OUTER, A B], a transform on
its way, in the type of the operands (fp16 or fp32); every sum is fp32.

- ``whole_conv``: a ring that one program holds, from inputs to outputs.
- ``split_in``, ``split_middle``, ``split_out``: a longer one in three, over n1, over n2 and back, over k1 back.
- ``split_correlate`` and ``split_lags`` (and ``whole_correlate``): the filter's gradient, between and after the same
  stages.

fp16 operands are block floating point: each tile of inputs is divided by the power of two above its largest magnitude,
and no further stage enlarges the L2 norm. Nothing is summed by atomics: the same inputs give the same bits.
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = [
    "split_correlate",
    "split_in",
    "split_lags",
    "split_middle",
    "split_out",
    "whole_conv",
    "whole_correlate",
]


# ---------------------------------------------------------------------------------------------------------------
# parts
# ---------------------------------------------------------------------------------------------------------------


@triton.jit
def _above(magnitude):
    """The power of two above a magnitude, within what ``_inverse`` can invert."""
    exponent = magnitude.to(tl.int32, bitcast=True) & 0x7F800000
    exponent = tl.minimum(tl.maximum(exponent, 0x01000000), 0x7D000000)
    return (exponent + 0x00800000).to(tl.float32, bitcast=True)


@triton.jit
def _inverse(power):
    """1 / a power of two, exactly."""
    return (0x7F000000 - power.to(tl.int32, bitcast=True)).to(tl.float32, bitcast=True)


@triton.jit
def _largest(x):
    return tl.max(tl.max(tl.abs(x), 1), 0)


@triton.jit
def _square(planes, plane, SIZE: tl.constexpr):
    """One [SIZE, SIZE] plane of a table."""
    i = tl.arange(0, SIZE)
    return tl.load(planes + plane * SIZE * SIZE + i[:, None] * SIZE + i[None, :])


@triton.jit
def _left(f_re, f_im, f_mi, x_re, x_im, PRECISION: tl.constexpr):
    """``F @ x``, complex; ``f_mi`` is ``-f_im``, and the two exchanged conjugate F."""
    y_re = tl.dot(f_re, x_re, input_precision=PRECISION)
    y_re = tl.dot(f_mi, x_im, y_re, input_precision=PRECISION)
    y_im = tl.dot(f_im, x_re, input_precision=PRECISION)
    y_im = tl.dot(f_re, x_im, y_im, input_precision=PRECISION)
    return y_re, y_im


@triton.jit
def _right(x_re, x_im, f_re, f_im, f_mi, PRECISION: tl.constexpr):
    """``x @ F``, complex."""
    y_re = tl.dot(x_re, f_re, input_precision=PRECISION)
    y_re = tl.dot(x_im, f_mi, y_re, input_precision=PRECISION)
    y_im = tl.dot(x_re, f_im, input_precision=PRECISION)
    y_im = tl.dot(x_im, f_re, y_im, input_precision=PRECISION)
    return y_re, y_im


@triton.jit
def _gated(u, gate, base, cell, keep, HAS_GATE: tl.constexpr):
    p = tl.load(u + base + cell, mask=keep, other=0.0).to(tl.float32)
    if HAS_GATE:
        p *= tl.load(gate + base + cell, mask=keep, other=0.0).to(tl.float32)
    return p


@triton.jit
def _finish(
    c, base, cell, keep, channel, u, gate_in, gate_out, skip, other, y, y_other, partial,
    HAS_SKIP: tl.constexpr, HAS_GATE_IN: tl.constexpr, HAS_GATE_OUT: tl.constexpr, HAS_OTHER: tl.constexpr,
    HAS_PARTIAL: tl.constexpr,
):  # fmt: skip
    """Write ``y = gate_out * s``, ``s = c + skip * p``, ``p = gate_in * u``; and, for a backward pass in which u is the
    output's gradient and gate_out the inner gate, ``y_other = s * other`` and the skip's share of this tile,
    the sum of ``p * other * gate_out``."""
    if HAS_SKIP:
        p = _gated(u, gate_in, base, cell, keep, HAS_GATE_IN)
        c += tl.load(skip + channel).to(tl.float32) * p
    if HAS_GATE_OUT:
        outer = tl.load(gate_out + base + cell, mask=keep, other=0.0).to(tl.float32)
        tl.store(y + base + cell, (c * outer).to(y.dtype.element_ty), mask=keep)
    else:
        tl.store(y + base + cell, c.to(y.dtype.element_ty), mask=keep)
    if HAS_OTHER:
        beside = tl.load(other + base + cell, mask=keep, other=0.0).to(tl.float32)
        tl.store(y_other + base + cell, (c * beside).to(y_other.dtype.element_ty), mask=keep)
    if HAS_PARTIAL:
        q = p * tl.load(other + base + cell, mask=keep, other=0.0).to(tl.float32)
        if HAS_GATE_OUT:
            q *= outer
        tl.store(partial, tl.sum(tl.sum(q, 1), 0))


@triton.jit
def _keep_tail(real, imaginary, cell, tail, length, history, ring):
    """Outputs at ``length .. length + history - 1``: those on the ring, then those one ring further."""
    here = cell - length
    tl.store(tail + here, real, mask=(here >= 0) & (here < history))
    there = cell + ring - length
    tl.store(tail + there, imaginary, mask=(there >= 0) & (there < history))


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


# ---------------------------------------------------------------------------------------------------------------
# a ring in one program
# ---------------------------------------------------------------------------------------------------------------


@triton.jit
def whole_conv(
    u, gate_in, gate_out, skip, other, y, y_other, partial, tail, spectrum_re, spectrum_im, spectrum_scale,
    outer_table, column_table, twiddle, rows, channels, first, width, length, history,
    A: tl.constexpr, B: tl.constexpr, CONJUGATE: tl.constexpr, HAS_SKIP: tl.constexpr, HAS_GATE_IN: tl.constexpr,
    HAS_GATE_OUT: tl.constexpr, HAS_OTHER: tl.constexpr, HAS_PARTIAL: tl.constexpr, HAS_TAIL: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """The convolution of rows whose ring is A B; a program takes every ``num_programs``-th row."""
    cell = tl.arange(0, A)[:, None] * B + tl.arange(0, B)[None, :]
    keep = cell < length
    for row in range(tl.program_id(0), rows, tl.num_programs(0)):
        local = row % channels
        place = (row // channels) * width + first + local
        base = tl.cast(place, tl.int64) * length
        p = _gated(u, gate_in, base, cell, keep, HAS_GATE_IN)
        power = _above(_largest(p))
        o_re = _square(outer_table, 0, A)
        o_im = _square(outer_table, 1, A)
        x = (p * _inverse(power)).to(o_re.dtype)
        x_re = tl.dot(o_re, x, input_precision=PRECISION)
        x_im = tl.dot(o_im, x, input_precision=PRECISION)
        t_re = tl.load(twiddle + cell)
        t_im = tl.load(twiddle + A * B + cell)
        c_re = _square(column_table, 0, B)
        c_im = _square(column_table, 1, B)
        y_re, y_im = _right(
            (x_re * t_re - x_im * t_im).to(o_re.dtype), (x_re * t_im + x_im * t_re).to(o_re.dtype),
            c_re, c_im, -c_im, PRECISION,
        )  # fmt: skip
        h = tl.cast(local, tl.int64) * (A * B)
        h_re = tl.load(spectrum_re + h + cell).to(tl.float32)
        h_im = tl.load(spectrum_im + h + cell).to(tl.float32)
        if CONJUGATE:
            h_im = -h_im
        x_re, x_im = _right(
            (y_re * h_re - y_im * h_im).to(o_re.dtype), (y_re * h_im + y_im * h_re).to(o_re.dtype),
            c_re, -c_im, c_im, PRECISION,
        )  # fmt: skip
        z_re = (x_re * t_re + x_im * t_im).to(o_re.dtype)
        z_im = (x_im * t_re - x_re * t_im).to(o_re.dtype)
        b_re = _square(outer_table, 2, A)
        b_im = _square(outer_table, 3, A)
        gain = power * tl.load(spectrum_scale + local)
        c = tl.dot(b_re, z_re, input_precision=PRECISION)
        c = tl.dot(b_im, z_im, c, input_precision=PRECISION) * gain
        if HAS_TAIL:
            d = tl.dot(b_re, z_im, input_precision=PRECISION)
            d = (d - tl.dot(b_im, z_re, input_precision=PRECISION)) * gain
            _keep_tail(c, d, cell, tail + tl.cast(place, tl.int64) * history, length, history, A * B)
        _finish(
            c, base, cell, keep, first + local, u, gate_in, gate_out, skip, other, y, y_other, partial + place,
            HAS_SKIP, HAS_GATE_IN, HAS_GATE_OUT, HAS_OTHER, HAS_PARTIAL,
        )  # fmt: skip


@triton.jit
def _whole_transform(
    u, gate, base, cell, keep, outer_table, c_re, c_im, t_re, t_im,
    A: tl.constexpr, HAS_GATE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    p = _gated(u, gate, base, cell, keep, HAS_GATE)
    power = _above(_largest(p))
    x = (p * _inverse(power)).to(c_re.dtype)
    x_re = tl.dot(_square(outer_table, 0, A), x, input_precision=PRECISION)
    x_im = tl.dot(_square(outer_table, 1, A), x, input_precision=PRECISION)
    y_re, y_im = _right(
        (x_re * t_re - x_im * t_im).to(c_re.dtype), (x_re * t_im + x_im * t_re).to(c_re.dtype),
        c_re, c_im, -c_im, PRECISION,
    )  # fmt: skip
    return y_re, y_im, power


@triton.jit
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
    c_re = _square(column_table, 0, B)
    c_im = _square(column_table, 1, B)
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
    power = _above(tl.maximum(_largest(s_re), _largest(s_im)))
    x_re, x_im = _right(
        (s_re * _inverse(power)).to(c_re.dtype), (s_im * _inverse(power)).to(c_re.dtype), c_re, -c_im, c_im, PRECISION
    )
    z_re = (x_re * t_re + x_im * t_im).to(c_re.dtype)
    z_im = (x_im * t_re - x_re * t_im).to(c_re.dtype)
    b_re = _square(outer_table, 2, A)
    b_im = _square(outer_table, 3, A)
    c = tl.dot(b_re, z_re, input_precision=PRECISION)
    c = tl.dot(b_im, z_im, c, input_precision=PRECISION) * (power * gain)
    d = tl.dot(b_re, z_im, input_precision=PRECISION)
    d = (d - tl.dot(b_im, z_re, input_precision=PRECISION)) * (power * gain)
    _keep_lags(c, d, cell, gradient + tl.cast(channel, tl.int64) * taps, length, taps, middle, A * B, TWO_SIDED)


# ---------------------------------------------------------------------------------------------------------------
# a ring in three kernels
# ---------------------------------------------------------------------------------------------------------------


@triton.jit
def split_in(
    u, gate, zr, zi, scale, outer_table, outer_twiddle, rows, channels, first, width, length, inner, tiles,
    OUTER: tl.constexpr, BLOCK: tl.constexpr, HAS_GATE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Gate, transform over n1, twiddle. Grid: tiles of n2 x programs that share the rows."""
    tile = tl.program_id(0)
    k = tl.arange(0, OUTER)
    cell = k[:, None] * inner + (tile * BLOCK + tl.arange(0, BLOCK))[None, :]
    keep = cell < length
    f_re = _square(outer_table, 0, OUTER)
    f_im = _square(outer_table, 1, OUTER)
    for row in range(tl.program_id(1), rows, tl.num_programs(1)):
        place = (row // channels) * width + first + row % channels
        p = _gated(u, gate, tl.cast(place, tl.int64) * length, cell, keep, HAS_GATE)
        power = _above(_largest(p))
        tl.store(scale + row * tiles + tile, power)
        x = (p * _inverse(power)).to(f_re.dtype)
        x_re = tl.dot(f_re, x, input_precision=PRECISION)
        x_im = tl.dot(f_im, x, input_precision=PRECISION)
        t_re = tl.load(outer_twiddle + cell)
        t_im = tl.load(outer_twiddle + OUTER * inner + cell)
        z = tl.cast(row, tl.int64) * (OUTER * inner)
        tl.store(zr + z + cell, (x_re * t_re - x_im * t_im).to(f_re.dtype))
        tl.store(zi + z + cell, (x_re * t_im + x_im * t_re).to(f_re.dtype))


@triton.jit
def _inner_transform(
    zr, zi, at, cell, scale, f_re, f_im, c_re, c_im, t_re, t_im,
    A: tl.constexpr, B: tl.constexpr, BLOCK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """A row's tiles brought to one scale, then the transform over n2; the scale is returned too."""
    powers = tl.load(scale + (tl.arange(0, A) * B) // BLOCK)
    power = tl.max(powers, 0)
    even = (powers * _inverse(power))[:, None]
    x_re = (tl.load(zr + at + cell).to(tl.float32) * even).to(f_re.dtype)
    x_im = (tl.load(zi + at + cell).to(tl.float32) * even).to(f_re.dtype)
    y_re, y_im = _left(f_re, f_im, -f_im, x_re, x_im, PRECISION)
    y_re, y_im = _right(
        (y_re * t_re - y_im * t_im).to(f_re.dtype), (y_re * t_im + y_im * t_re).to(f_re.dtype),
        c_re, c_im, -c_im, PRECISION,
    )  # fmt: skip
    return y_re, y_im, power


@triton.jit
def _inner_back(
    x_re, x_im, zr, zi, at, cell, outer_twiddle, ring, f_re, f_im, c_re, c_im, t_re, t_im, PRECISION: tl.constexpr
):  # fmt: skip
    """The inverse over k2 and the outer twiddle of the way back, which spares ``split_out`` a rounding."""
    y_re, y_im = _right(x_re, x_im, c_re, -c_im, c_im, PRECISION)
    y_re, y_im = _left(
        f_re, -f_im, f_im, (y_re * t_re + y_im * t_im).to(f_re.dtype), (y_im * t_re - y_re * t_im).to(f_re.dtype),
        PRECISION,
    )  # fmt: skip
    o_re = tl.load(outer_twiddle + cell)
    o_im = tl.load(outer_twiddle + ring + cell)
    tl.store(zr + at + cell, (y_re * o_re + y_im * o_im).to(f_re.dtype))
    tl.store(zi + at + cell, (y_im * o_re - y_re * o_im).to(f_re.dtype))


@triton.jit
def split_middle(
    zr, zi, scale, spectrum_re, spectrum_im, row_table, column_table, inner_twiddle, outer_twiddle,
    rows, channels, tiles, outer, A: tl.constexpr, B: tl.constexpr, BLOCK: tl.constexpr, CONJUGATE: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Transform over n2, times the spectrum, and back, in place. Grid: k1 x programs that share the rows."""
    k1 = tl.program_id(0)
    cell = tl.arange(0, A)[:, None] * B + tl.arange(0, B)[None, :]
    f_re = _square(row_table, 0, A)
    f_im = _square(row_table, 1, A)
    c_re = _square(column_table, 0, B)
    c_im = _square(column_table, 1, B)
    for row in range(tl.program_id(1), rows, tl.num_programs(1)):
        at = tl.cast(row * outer + k1, tl.int64) * (A * B)
        t_re = tl.load(inner_twiddle + cell)
        t_im = tl.load(inner_twiddle + A * B + cell)
        y_re, y_im, _ = _inner_transform(
            zr, zi, at, cell, scale + row * tiles, f_re, f_im, c_re, c_im, t_re, t_im, A, B, BLOCK, PRECISION
        )
        h = tl.cast((row % channels) * outer + k1, tl.int64) * (A * B)
        h_re = tl.load(spectrum_re + h + cell).to(tl.float32)
        h_im = tl.load(spectrum_im + h + cell).to(tl.float32)
        if CONJUGATE:
            h_im = -h_im
        _inner_back(
            (y_re * h_re - y_im * h_im).to(f_re.dtype), (y_re * h_im + y_im * h_re).to(f_re.dtype),
            zr, zi, at, cell, outer_twiddle + k1 * (A * B), outer * (A * B), f_re, f_im, c_re, c_im, t_re, t_im,
            PRECISION,
        )  # fmt: skip


@triton.jit
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
    f_re = _square(row_table, 0, A)
    f_im = _square(row_table, 1, A)
    c_re = _square(column_table, 0, B)
    c_im = _square(column_table, 1, B)
    s_re = tl.zeros((A, B), tl.float32)
    s_im = tl.zeros((A, B), tl.float32)
    for example in range(0, batch):
        row = example * channels + channel
        at = tl.cast(row * outer + k1, tl.int64) * (A * B)
        t_re = tl.load(inner_twiddle + cell)
        t_im = tl.load(inner_twiddle + A * B + cell)
        p_re, p_im, p_power = _inner_transform(
            zr, zi, at, cell, scale + row * tiles, f_re, f_im, c_re, c_im, t_re, t_im, A, B, BLOCK, PRECISION
        )
        q_re, q_im, q_power = _inner_transform(
            qr, qi, at, cell, q_scale + row * tiles, f_re, f_im, c_re, c_im, t_re, t_im, A, B, BLOCK, PRECISION
        )
        power = p_power * q_power
        s_re += (q_re * p_re + q_im * p_im) * power
        s_im += (q_im * p_re - q_re * p_im) * power
    power = _above(tl.maximum(_largest(s_re), _largest(s_im)))
    tl.store(w_scale + channel * outer + k1, power)
    t_re = tl.load(inner_twiddle + cell)
    t_im = tl.load(inner_twiddle + A * B + cell)
    _inner_back(
        (s_re * _inverse(power)).to(f_re.dtype), (s_im * _inverse(power)).to(f_re.dtype),
        wr, wi, tl.cast(channel * outer + k1, tl.int64) * (A * B), cell, outer_twiddle + k1 * (A * B),
        outer * (A * B), f_re, f_im, c_re, c_im, t_re, t_im, PRECISION,
    )  # fmt: skip


@triton.jit
def split_out(
    zr, zi, scale, spectrum_scale, u, gate_in, gate_out, skip, other, y, y_other, partial, tail, outer_table,
    rows, channels, first, width, length, inner, tiles, history,
    OUTER: tl.constexpr, BLOCK: tl.constexpr, TILES: tl.constexpr, HAS_SKIP: tl.constexpr, HAS_GATE_IN: tl.constexpr,
    HAS_GATE_OUT: tl.constexpr, HAS_OTHER: tl.constexpr, HAS_PARTIAL: tl.constexpr, HAS_TAIL: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """The inverse over k1, real part, skip and gate. TILES: a power of two, at least ``tiles``."""
    tile = tl.program_id(0)
    k = tl.arange(0, OUTER)
    cell = k[:, None] * inner + (tile * BLOCK + tl.arange(0, BLOCK))[None, :]
    keep = cell < length
    b_re = _square(outer_table, 2, OUTER)
    b_im = _square(outer_table, 3, OUTER)
    each = tl.arange(0, TILES)
    for row in range(tl.program_id(1), rows, tl.num_programs(1)):
        local = row % channels
        place = (row // channels) * width + first + local
        base = tl.cast(place, tl.int64) * length
        z = tl.cast(row, tl.int64) * (OUTER * inner)
        z_re = tl.load(zr + z + cell)
        z_im = tl.load(zi + z + cell)
        power = tl.max(tl.load(scale + row * tiles + each, mask=each < tiles, other=0.0), 0)
        gain = power * tl.load(spectrum_scale + local)
        c = tl.dot(b_re, z_re, input_precision=PRECISION)
        c = tl.dot(b_im, z_im, c, input_precision=PRECISION) * gain
        if HAS_TAIL:
            d = tl.dot(b_re, z_im, input_precision=PRECISION)
            d = (d - tl.dot(b_im, z_re, input_precision=PRECISION)) * gain
            _keep_tail(c, d, cell, tail + tl.cast(place, tl.int64) * history, length, history, OUTER * inner)
        _finish(
            c, base, cell, keep, first + local, u, gate_in, gate_out, skip, other, y, y_other,
            partial + place * tiles + tile, HAS_SKIP, HAS_GATE_IN, HAS_GATE_OUT, HAS_OTHER, HAS_PARTIAL,
        )  # fmt: skip


@triton.jit
def split_lags(
    wr, wi, w_scale, gradient, outer_table, channels, first, length, inner, taps, middle, gain,
    OUTER: tl.constexpr, BLOCK: tl.constexpr, TWO_SIDED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The inverse over k1 of ``split_correlate``, as gradients by lag."""
    tile = tl.program_id(0)
    k = tl.arange(0, OUTER)
    cell = k[:, None] * inner + (tile * BLOCK + tl.arange(0, BLOCK))[None, :]
    b_re = _square(outer_table, 2, OUTER)
    b_im = _square(outer_table, 3, OUTER)
    for row in range(tl.program_id(1), channels, tl.num_programs(1)):
        powers = tl.load(w_scale + row * OUTER + k)
        power = tl.max(powers, 0)
        even = (powers * _inverse(power))[:, None]
        z = tl.cast(row, tl.int64) * (OUTER * inner)
        z_re = (tl.load(wr + z + cell).to(tl.float32) * even).to(b_re.dtype)
        z_im = (tl.load(wi + z + cell).to(tl.float32) * even).to(b_re.dtype)
        c = tl.dot(b_re, z_re, input_precision=PRECISION)
        c = tl.dot(b_im, z_im, c, input_precision=PRECISION) * (power * gain)
        d = tl.dot(b_re, z_im, input_precision=PRECISION)
        d = (d - tl.dot(b_im, z_re, input_precision=PRECISION)) * (power * gain)
        base = gradient + tl.cast(first + row, tl.int64) * taps
        _keep_lags(c, d, cell, base, length, taps, middle, OUTER * inner, TWO_SIDED)
