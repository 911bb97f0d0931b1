# mypy: ignore-errors
"""Parts of Triton kernels: scales, gates, complex numbers as real matrices, the transform over n2 and back.

A complex tile [A, B] is one real matrix, its imaginary part below its real part ([2 A, B]) or beside it ([A, 2 B]), so
that a complex product is one real product: fewer of them, each longer, keep the matrix units busy. Taking such a tile
apart and putting it together moves nothing: both parts of a number are in one thread's registers.
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = [
    "above",
    "below",
    "beside",
    "gated",
    "halves",
    "inner_back",
    "inner_transform",
    "inverse",
    "largest",
    "matrix",
    "stacked",
    "transposed",
    "turned",
]


@triton.jit
def above(magnitude):
    """The power of two above a magnitude, within what ``inverse`` can invert."""
    exponent = magnitude.to(tl.int32, bitcast=True) & 0x7F800000
    exponent = tl.minimum(tl.maximum(exponent, 0x01000000), 0x7D000000)
    return (exponent + 0x00800000).to(tl.float32, bitcast=True)


@triton.jit
def inverse(power):
    """1 / a power of two, exactly."""
    return (0x7F000000 - power.to(tl.int32, bitcast=True)).to(tl.float32, bitcast=True)


@triton.jit
def largest(x):
    return tl.max(tl.max(tl.abs(x), 1), 0)


@triton.jit
def matrix(table, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """A [ROWS, COLUMNS] table."""
    return tl.load(table + tl.arange(0, ROWS)[:, None] * COLUMNS + tl.arange(0, COLUMNS)[None, :])


@triton.jit
def transposed(table, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """A [ROWS, COLUMNS] table as [COLUMNS, ROWS]."""
    return tl.load(table + tl.arange(0, COLUMNS)[:, None] + tl.arange(0, ROWS)[None, :] * COLUMNS)


@triton.jit
def stacked(x, A: tl.constexpr, B: tl.constexpr):
    """Real and imaginary part of a tile that has them one above the other."""
    return tl.split(tl.permute(tl.reshape(x, (2, A, B)), (1, 2, 0)))


@triton.jit
def halves(x, A: tl.constexpr, B: tl.constexpr):
    """Real and imaginary part of a tile that has them side by side."""
    return tl.split(tl.permute(tl.reshape(x, (A, 2, B)), (0, 2, 1)))


@triton.jit
def below(re, im, A: tl.constexpr, B: tl.constexpr):
    """[2 A, B]: the imaginary part below the real one."""
    return tl.reshape(tl.permute(tl.join(re, im), (2, 0, 1)), (2 * A, B))


@triton.jit
def beside(re, im, A: tl.constexpr, B: tl.constexpr):
    """[A, 2 B]: the imaginary part beside the real one."""
    return tl.reshape(tl.permute(tl.join(re, im), (0, 2, 1)), (A, 2 * B))


@triton.jit
def turned(x, A: tl.constexpr, B: tl.constexpr):
    """-i times a tile that has real above imaginary parts: the real part of what it leads to is the imaginary one."""
    re, im = stacked(x, A, B)
    return below(im, -re, A, B)


@triton.jit
def gated(u, gate, base, cell, keep, HAS_GATE: tl.constexpr):
    p = tl.load(u + base + cell, mask=keep, other=0.0).to(tl.float32)
    if HAS_GATE:
        p *= tl.load(gate + base + cell, mask=keep, other=0.0).to(tl.float32)
    return p


@triton.jit
def inner_transform(z, scale, f, t_re, t_im, A: tl.constexpr, BLOCK: tl.constexpr, PRECISION: tl.constexpr):
    """The transform over n2 of the A x A numbers at ``z``, whose rows are brought to one scale, which is returned."""
    powers = tl.load(scale + tl.arange(0, A * A // BLOCK))
    power = tl.max(powers, 0)
    even = (powers * inverse(power))[None, :, None]
    x = tl.load(z + tl.arange(0, 2 * A)[:, None] * A + tl.arange(0, A)[None, :])
    x = tl.reshape(tl.reshape(x, (2, A * A // BLOCK, BLOCK)).to(tl.float32) * even, (2 * A, A)).to(f.dtype)
    re, im = stacked(tl.dot(f, x, input_precision=PRECISION), A, A)
    x = beside((re * t_re - im * t_im).to(f.dtype), (re * t_im + im * t_re).to(f.dtype), A, A)
    re, im = halves(tl.dot(x, tl.trans(f), input_precision=PRECISION), A, A)
    return re, im, power


@triton.jit
def inner_back(re, im, z, f, t_re, t_im, o_re, o_im, A: tl.constexpr, PRECISION: tl.constexpr):
    """The inverse over k2, and the outer twiddle of the way back, which spares ``split_out`` a rounding, into ``z``."""
    x = beside(re.to(f.dtype), im.to(f.dtype), A, A)
    re, im = halves(tl.dot(x, f, input_precision=PRECISION), A, A)
    x = below((re * t_re + im * t_im).to(f.dtype), (im * t_re - re * t_im).to(f.dtype), A, A)
    re, im = stacked(tl.dot(tl.trans(f), x, input_precision=PRECISION), A, A)
    cell = tl.arange(0, A)[:, None] * A + tl.arange(0, A)[None, :]
    tl.store(z + cell, (re * o_re + im * o_im).to(f.dtype))
    tl.store(z + A * A + cell, (im * o_re - re * o_im).to(f.dtype))
