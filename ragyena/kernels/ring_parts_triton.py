# mypy: ignore-errors
"""Parts of Triton kernels: scales, gates, complex products, and the transform over n2 of ``twisted_ring_triton``."""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["above", "gated", "inner_back", "inner_transform", "inverse", "largest", "left", "right", "square"]


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
def square(planes, plane, SIZE: tl.constexpr):
    """One [SIZE, SIZE] plane of a table."""
    i = tl.arange(0, SIZE)
    return tl.load(planes + plane * SIZE * SIZE + i[:, None] * SIZE + i[None, :])


@triton.jit
def left(f_re, f_im, f_mi, x_re, x_im, PRECISION: tl.constexpr):
    """``F @ x``, complex; ``f_mi`` is ``-f_im``, and the two exchanged conjugate F."""
    y_re = tl.dot(f_re, x_re, input_precision=PRECISION)
    y_re = tl.dot(f_mi, x_im, y_re, input_precision=PRECISION)
    y_im = tl.dot(f_im, x_re, input_precision=PRECISION)
    y_im = tl.dot(f_re, x_im, y_im, input_precision=PRECISION)
    return y_re, y_im


@triton.jit
def right(x_re, x_im, f_re, f_im, f_mi, PRECISION: tl.constexpr):
    """``x @ F``, complex."""
    y_re = tl.dot(x_re, f_re, input_precision=PRECISION)
    y_re = tl.dot(x_im, f_mi, y_re, input_precision=PRECISION)
    y_im = tl.dot(x_re, f_im, input_precision=PRECISION)
    y_im = tl.dot(x_im, f_re, y_im, input_precision=PRECISION)
    return y_re, y_im


@triton.jit
def gated(u, gate, base, cell, keep, HAS_GATE: tl.constexpr):
    p = tl.load(u + base + cell, mask=keep, other=0.0).to(tl.float32)
    if HAS_GATE:
        p *= tl.load(gate + base + cell, mask=keep, other=0.0).to(tl.float32)
    return p


@triton.jit
def inner_transform(
    zr, zi, at, cell, scale, f_re, f_im, c_re, c_im, t_re, t_im,
    A: tl.constexpr, B: tl.constexpr, BLOCK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """A row's tiles brought to one scale, then the transform over n2; the scale is returned too."""
    powers = tl.load(scale + (tl.arange(0, A) * B) // BLOCK)
    power = tl.max(powers, 0)
    even = (powers * inverse(power))[:, None]
    x_re = (tl.load(zr + at + cell).to(tl.float32) * even).to(f_re.dtype)
    x_im = (tl.load(zi + at + cell).to(tl.float32) * even).to(f_re.dtype)
    y_re, y_im = left(f_re, f_im, -f_im, x_re, x_im, PRECISION)
    y_re, y_im = right(
        (y_re * t_re - y_im * t_im).to(f_re.dtype), (y_re * t_im + y_im * t_re).to(f_re.dtype),
        c_re, c_im, -c_im, PRECISION,
    )  # fmt: skip
    return y_re, y_im, power


@triton.jit
def inner_back(
    x_re, x_im, zr, zi, at, cell, outer_twiddle, ring, f_re, f_im, c_re, c_im, t_re, t_im, PRECISION: tl.constexpr
):  # fmt: skip
    """The inverse over k2 and the outer twiddle of the way back, which spares ``split_out`` a rounding."""
    y_re, y_im = right(x_re, x_im, c_re, -c_im, c_im, PRECISION)
    y_re, y_im = left(
        f_re, -f_im, f_im, (y_re * t_re + y_im * t_im).to(f_re.dtype), (y_im * t_re - y_re * t_im).to(f_re.dtype),
        PRECISION,
    )  # fmt: skip
    o_re = tl.load(outer_twiddle + cell)
    o_im = tl.load(outer_twiddle + ring + cell)
    tl.store(zr + at + cell, (y_re * o_re + y_im * o_im).to(f_re.dtype))
    tl.store(zi + at + cell, (y_im * o_re - y_re * o_im).to(f_re.dtype))
