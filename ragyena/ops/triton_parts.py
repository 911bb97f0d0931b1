# mypy: ignore-errors
"""Parts shared by Triton kernels: scales, gates, complex numbers as real matrices, the inner transform and its inverse.

A complex tile [A, B] is one real matrix, with its imaginary part as further rows ([2 A, B]) or further columns
([A, 2 B]), so that a complex product is one real product: fewer and longer ones keep the matrix units busy. Packing and
unpacking move nothing: both parts of a number are in one thread's registers.
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = [
    "inner_inverse",
    "inner_transform",
    "load_gated",
    "load_matrix",
    "load_transposed",
    "max_abs",
    "pack_columns",
    "pack_rows",
    "power_above",
    "reciprocal",
    "times_minus_i",
    "unpack_columns",
    "unpack_rows",
]


@triton.jit
def power_above(magnitude):
    """The power of two above a magnitude, within the range of ``reciprocal``."""
    exponent = magnitude.to(tl.int32, bitcast=True) & 0x7F800000
    exponent = tl.minimum(tl.maximum(exponent, 0x01000000), 0x7D000000)
    return (exponent + 0x00800000).to(tl.float32, bitcast=True)


@triton.jit
def reciprocal(power):
    """1 / a power of two, exactly."""
    return (0x7F000000 - power.to(tl.int32, bitcast=True)).to(tl.float32, bitcast=True)


@triton.jit
def max_abs(x):
    return tl.max(tl.max(tl.abs(x), 1), 0)


@triton.jit
def load_matrix(table, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """A [ROWS, COLUMNS] table."""
    return tl.load(table + tl.arange(0, ROWS)[:, None] * COLUMNS + tl.arange(0, COLUMNS)[None, :])


@triton.jit
def load_transposed(table, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """A [ROWS, COLUMNS] table as [COLUMNS, ROWS]."""
    return tl.load(table + tl.arange(0, COLUMNS)[:, None] + tl.arange(0, ROWS)[None, :] * COLUMNS)


@triton.jit
def unpack_rows(x, A: tl.constexpr, B: tl.constexpr):
    """Real and imaginary part of a [2 A, B] tile."""
    return tl.split(tl.permute(tl.reshape(x, (2, A, B)), (1, 2, 0)))


@triton.jit
def unpack_columns(x, A: tl.constexpr, B: tl.constexpr):
    """Real and imaginary part of an [A, 2 B] tile."""
    return tl.split(tl.permute(tl.reshape(x, (A, 2, B)), (0, 2, 1)))


@triton.jit
def pack_rows(re, im, A: tl.constexpr, B: tl.constexpr):
    """[2 A, B], the imaginary part as the last rows."""
    return tl.reshape(tl.permute(tl.join(re, im), (2, 0, 1)), (2 * A, B))


@triton.jit
def pack_columns(re, im, A: tl.constexpr, B: tl.constexpr):
    """[A, 2 B], the imaginary part as the last columns."""
    return tl.reshape(tl.permute(tl.join(re, im), (0, 2, 1)), (A, 2 * B))


@triton.jit
def times_minus_i(x, A: tl.constexpr, B: tl.constexpr):
    """A [2 A, B] tile times -i: the real part of its transform is the imaginary one of the tile's."""
    re, im = unpack_rows(x, A, B)
    return pack_rows(im, -re, A, B)


@triton.jit
def load_gated(u, gate, base, cell, keep, HAS_GATE: tl.constexpr):
    p = tl.load(u + base + cell, mask=keep, other=0.0).to(tl.float32)
    if HAS_GATE:
        p *= tl.load(gate + base + cell, mask=keep, other=0.0).to(tl.float32)
    return p


@triton.jit
def inner_transform(z, scale, f, t_re, t_im, A: tl.constexpr, BLOCK: tl.constexpr, PRECISION: tl.constexpr):
    """The transform over n2 of the A x A numbers at ``z``, and their common scale."""
    powers = tl.load(scale + tl.arange(0, A * A // BLOCK))
    power = tl.max(powers, 0)
    common = (powers * reciprocal(power))[None, :, None]
    x = tl.load(z + tl.arange(0, 2 * A)[:, None] * A + tl.arange(0, A)[None, :])
    x = tl.reshape(tl.reshape(x, (2, A * A // BLOCK, BLOCK)).to(tl.float32) * common, (2 * A, A)).to(f.dtype)
    re, im = unpack_rows(tl.dot(f, x, input_precision=PRECISION), A, A)
    x = pack_columns((re * t_re - im * t_im).to(f.dtype), (re * t_im + im * t_re).to(f.dtype), A, A)
    re, im = unpack_columns(tl.dot(x, tl.trans(f), input_precision=PRECISION), A, A)
    return re, im, power


@triton.jit
def inner_inverse(re, im, z, f, t_re, t_im, o_re, o_im, A: tl.constexpr, PRECISION: tl.constexpr):
    """The inverse over k2 and the outer twiddle, stored to ``z``; here the twiddle spares ``split_out`` a rounding."""
    x = pack_columns(re.to(f.dtype), im.to(f.dtype), A, A)
    re, im = unpack_columns(tl.dot(x, f, input_precision=PRECISION), A, A)
    x = pack_rows((re * t_re + im * t_im).to(f.dtype), (im * t_re - re * t_im).to(f.dtype), A, A)
    re, im = unpack_rows(tl.dot(tl.trans(f), x, input_precision=PRECISION), A, A)
    cell = tl.arange(0, A)[:, None] * A + tl.arange(0, A)[None, :]
    tl.store(z + cell, (re * o_re + im * o_im).to(f.dtype))
    tl.store(z + A * A + cell, (im * o_re - re * o_im).to(f.dtype))
