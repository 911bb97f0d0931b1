# mypy: ignore-errors
"""Triton kernels of short convolution and gates, from a position's channels contiguous to a channel's positions.

Legend: a slot has ``size`` positions; T of them and C channels make a tile. The projection holds three thirds of
``width`` channels a position, gate_in, gate_out and value, in an order the caller gives. Tap j of three multiplies the
input ``FIRST - j`` positions back: FIRST is 1 for centred and 2 for causal taps. Slot ``n`` of channel ``c`` is written
to ``((n // per_example) * width + c) * per_example * size + (n % per_example) * size``.

- ``gates_forward``: ``gate_out`` and ``gate_in * value`` of the convolved thirds.
- ``by_position``: the outputs' gradients transposed to what ``gates_backward`` reads.
- ``gates_backward``: gradients of the projection, and sums for those of taps and bias, one row a program.

Sums are fp32, in a fixed order. Positions masked or outside their slot are never read.
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["by_position", "gates_backward", "gates_forward"]


@triton.jit
def _inside_slot(mask, first, place, size, HAS_MASK: tl.constexpr):
    """Mask of the positions that are inside the slot and not masked."""
    keep = (place >= 0) & (place < size)
    if HAS_MASK:
        keep = keep & (tl.load(mask + first + place, mask=keep, other=0) != 0)
    return keep


@triton.jit
def _inputs(projected, first, place, keep, column, inside, width):
    """[T, C] inputs, zeros where they are not kept."""
    row = projected + (first + place) * (3 * width)
    return tl.load(row[:, None] + column[None, :], mask=keep[:, None] & inside[None, :], other=0.0).to(tl.float32)


@triton.jit
def _taps(taps, column, inside, width):
    """The three taps of a third's channels, [1, C] each."""
    row = taps + column
    w_0 = tl.load(row, mask=inside, other=0.0).to(tl.float32)
    w_1 = tl.load(row + 3 * width, mask=inside, other=0.0).to(tl.float32)
    w_2 = tl.load(row + 6 * width, mask=inside, other=0.0).to(tl.float32)
    return w_0[None, :], w_1[None, :], w_2[None, :]


@triton.jit
def _bias(bias, column, inside, HAS_BIAS: tl.constexpr):
    value = 0.0
    if HAS_BIAS:
        value = tl.load(bias + column, mask=inside, other=0.0).to(tl.float32)[None, :]
    return value


@triton.jit
def _convolved(
    projected, taps, bias, first, place, keep_0, keep_1, keep_2, column, inside, width,
    FIRST: tl.constexpr, HAS_BIAS: tl.constexpr,
):  # fmt: skip
    """A third of the projection after its short convolution."""
    w_0, w_1, w_2 = _taps(taps, column, inside, width)
    z = _inputs(projected, first, place - FIRST, keep_0, column, inside, width) * w_0
    z += _inputs(projected, first, place - FIRST + 1, keep_1, column, inside, width) * w_1
    z += _inputs(projected, first, place - FIRST + 2, keep_2, column, inside, width) * w_2
    return z + _bias(bias, column, inside, HAS_BIAS)


@triton.jit(do_not_specialize=["per_example"])
def gates_forward(
    projected, taps, bias, mask, gate_out, gated, per_example, size, width,
    FIRST: tl.constexpr, GATE_IN: tl.constexpr, GATE_OUT: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_MASK: tl.constexpr,
    BLOCK_T: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """Grid, flattened: tiles of channels (fastest) x tiles of a slot's positions x slots."""
    blocks, tiles = tl.cdiv(width, BLOCK_C), tl.cdiv(size, BLOCK_T)
    channel = tl.program_id(0) % blocks * BLOCK_C + tl.arange(0, BLOCK_C)
    task = tl.program_id(0) // blocks
    slot = (task // tiles).to(tl.int64)
    place = task % tiles * BLOCK_T + tl.arange(0, BLOCK_T)
    first, inside = slot * size, channel < width
    keep_0 = _inside_slot(mask, first, place - FIRST, size, HAS_MASK)
    keep_1 = _inside_slot(mask, first, place - FIRST + 1, size, HAS_MASK)
    keep_2 = _inside_slot(mask, first, place - FIRST + 2, size, HAS_MASK)
    to = (slot // per_example) * width * per_example * size + (slot % per_example) * size
    cell = to + channel.to(tl.int64)[None, :] * (per_example * size) + place[:, None]
    kept = (place < size)[:, None] & inside[None, :]
    z_out = _convolved(
        projected, taps, bias, first, place, keep_0, keep_1, keep_2, GATE_OUT * width + channel, inside, width, FIRST,
        HAS_BIAS,
    )  # fmt: skip
    tl.store(gate_out + cell, z_out.to(gate_out.dtype.element_ty), mask=kept)
    p = _convolved(
        projected, taps, bias, first, place, keep_0, keep_1, keep_2, GATE_IN * width + channel, inside, width, FIRST,
        HAS_BIAS,
    )  # fmt: skip
    p *= _convolved(
        projected, taps, bias, first, place, keep_0, keep_1, keep_2, 2 * width + channel, inside, width, FIRST,
        HAS_BIAS,
    )  # fmt: skip
    if HAS_MASK:
        p = tl.where(_inside_slot(mask, first, place, size, HAS_MASK)[:, None], p, 0.0)
    tl.store(gated + cell, p.to(gated.dtype.element_ty), mask=kept)


@triton.jit
def _input_gradient(d_0, d_1, d_2, w_0, w_1, w_2):
    """Gradient of a third's input, from those of its convolution at ``place + FIRST - j``."""
    return d_0 * w_0 + d_1 * w_1 + d_2 * w_2


@triton.jit
def by_position(
    one, other, to_one, to_other, positions, width, BLOCK_T: tl.constexpr, BLOCK_C: tl.constexpr
):  # fmt: skip
    """[R, width, positions] -> [R, positions, width] of two arrays. Grid, flattened: tiles of channels (fastest) x
    tiles of positions x R."""
    blocks, tiles = tl.cdiv(width, BLOCK_C), tl.cdiv(positions, BLOCK_T)
    channel = tl.program_id(0) % blocks * BLOCK_C + tl.arange(0, BLOCK_C)
    task = tl.program_id(0) // blocks
    place = task % tiles * BLOCK_T + tl.arange(0, BLOCK_T)
    first = (task // tiles).to(tl.int64) * width * positions
    keep = (place < positions)[:, None] & (channel < width)[None, :]
    source = first + channel.to(tl.int64)[None, :] * positions + place[:, None]
    target = first + place.to(tl.int64)[:, None] * width + channel[None, :]
    tl.store(to_one + target, tl.load(one + source, mask=keep), mask=keep)
    tl.store(to_other + target, tl.load(other + source, mask=keep), mask=keep)


@triton.jit
def _gradients(gradient, first, place, keep, channel, inside, width):
    row = gradient + (first + place) * width
    return tl.load(row[:, None] + channel[None, :], mask=keep[:, None] & inside[None, :], other=0.0).to(tl.float32)


@triton.jit
def _store_sums(sums, column, inside, width, s_0, s_1, s_2, s_bias):
    tl.store(sums + column, tl.sum(s_0, 0), mask=inside)
    tl.store(sums + 3 * width + column, tl.sum(s_1, 0), mask=inside)
    tl.store(sums + 6 * width + column, tl.sum(s_2, 0), mask=inside)
    tl.store(sums + 9 * width + column, tl.sum(s_bias, 0), mask=inside)


@triton.jit(do_not_specialize=["slots"])
def gates_backward(
    dgate_out, dgated, projected, taps, bias, mask, dprojected, sums, slots, size, width,
    FIRST: tl.constexpr, GATE_IN: tl.constexpr, GATE_OUT: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_MASK: tl.constexpr,
    BLOCK_T: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """``sums`` [programs, 4, 3 width]: of the three taps and the bias. The outputs' gradients are [slots size, width].

    Grid: tiles of channels x programs that share the tiles of positions. An input reaches outputs at three positions,
    whose gates need five inputs of the other third.
    """
    channel = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    inside = channel < width
    column_in, column_out, column_v = GATE_IN * width + channel, GATE_OUT * width + channel, 2 * width + channel
    a_0, a_1, a_2 = _taps(taps, column_in, inside, width)
    v_0, v_1, v_2 = _taps(taps, column_v, inside, width)
    o_0, o_1, o_2 = _taps(taps, column_out, inside, width)
    bias_in = _bias(bias, column_in, inside, HAS_BIAS)
    bias_v = _bias(bias, column_v, inside, HAS_BIAS)
    # Summed over positions only after the last tile: twelve sums over each tile, with their shuffles and barriers, take
    # more time than all the rest.
    none = tl.zeros((BLOCK_T, BLOCK_C), tl.float32)
    in_0, in_1, in_2, in_b = none, none, none, none
    out_0, out_1, out_2, out_b = none, none, none, none
    value_0, value_1, value_2, value_b = none, none, none, none
    tiles = tl.cdiv(size, BLOCK_T)
    for task in range(tl.program_id(1), slots * tiles, tl.num_programs(1)):
        slot = (task // tiles).to(tl.int64)
        place = task % tiles * BLOCK_T + tl.arange(0, BLOCK_T)
        first = slot * size
        keep = _inside_slot(mask, first, place, size, HAS_MASK)
        back_1 = _inside_slot(mask, first, place - 1, size, HAS_MASK)
        back_2 = _inside_slot(mask, first, place - 2, size, HAS_MASK)
        next_1 = _inside_slot(mask, first, place + 1, size, HAS_MASK)
        next_2 = _inside_slot(mask, first, place + 2, size, HAS_MASK)

        x_0 = _inputs(projected, first, place, keep, column_in, inside, width)
        x_b1 = _inputs(projected, first, place - 1, back_1, column_in, inside, width)
        x_b2 = _inputs(projected, first, place - 2, back_2, column_in, inside, width)
        x_n1 = _inputs(projected, first, place + 1, next_1, column_in, inside, width)
        x_n2 = _inputs(projected, first, place + 2, next_2, column_in, inside, width)
        y_0 = _inputs(projected, first, place, keep, column_v, inside, width)
        y_b1 = _inputs(projected, first, place - 1, back_1, column_v, inside, width)
        y_b2 = _inputs(projected, first, place - 2, back_2, column_v, inside, width)
        y_n1 = _inputs(projected, first, place + 1, next_1, column_v, inside, width)
        y_n2 = _inputs(projected, first, place + 2, next_2, column_v, inside, width)
        if FIRST == 1:
            keep_0, keep_1, keep_2 = next_1, keep, back_1
        else:
            keep_0, keep_1, keep_2 = next_2, next_1, keep
        g_0 = _gradients(dgated, first, place + FIRST, keep_0, channel, inside, width)
        g_1 = _gradients(dgated, first, place + FIRST - 1, keep_1, channel, inside, width)
        g_2 = _gradients(dgated, first, place + FIRST - 2, keep_2, channel, inside, width)

        d_0 = g_0 * (y_0 * v_0 + y_n1 * v_1 + y_n2 * v_2 + bias_v)
        d_1 = g_1 * (y_b1 * v_0 + y_0 * v_1 + y_n1 * v_2 + bias_v)
        d_2 = g_2 * (y_b2 * v_0 + y_b1 * v_1 + y_0 * v_2 + bias_v)
        dx = _input_gradient(d_0, d_1, d_2, a_0, a_1, a_2)
        in_0, in_1, in_2 = in_0 + d_0 * x_0, in_1 + d_1 * x_0, in_2 + d_2 * x_0
        if HAS_BIAS:
            in_b += d_1 if FIRST == 1 else d_2
        d_0 = g_0 * (x_0 * a_0 + x_n1 * a_1 + x_n2 * a_2 + bias_in)
        d_1 = g_1 * (x_b1 * a_0 + x_0 * a_1 + x_n1 * a_2 + bias_in)
        d_2 = g_2 * (x_b2 * a_0 + x_b1 * a_1 + x_0 * a_2 + bias_in)
        dy = _input_gradient(d_0, d_1, d_2, v_0, v_1, v_2)
        value_0, value_1, value_2 = value_0 + d_0 * y_0, value_1 + d_1 * y_0, value_2 + d_2 * y_0
        if HAS_BIAS:
            value_b += d_1 if FIRST == 1 else d_2
        # The outer gate is not masked: it has a gradient at every position of its slot.
        around_0 = (place + FIRST >= 0) & (place + FIRST < size)
        around_1 = (place + FIRST - 1 >= 0) & (place + FIRST - 1 < size)
        around_2 = (place + FIRST - 2 >= 0) & (place + FIRST - 2 < size)
        d_0 = _gradients(dgate_out, first, place + FIRST, around_0, channel, inside, width)
        d_1 = _gradients(dgate_out, first, place + FIRST - 1, around_1, channel, inside, width)
        d_2 = _gradients(dgate_out, first, place + FIRST - 2, around_2, channel, inside, width)
        here = _inputs(projected, first, place, keep, column_out, inside, width)
        dz = _input_gradient(d_0, d_1, d_2, o_0, o_1, o_2)
        out_0, out_1, out_2 = out_0 + d_0 * here, out_1 + d_1 * here, out_2 + d_2 * here
        if HAS_BIAS:
            out_b += d_1 if FIRST == 1 else d_2

        row = dprojected + (first + place)[:, None] * (3 * width)
        kept = (place < size)[:, None] & inside[None, :]
        kind = dprojected.dtype.element_ty
        tl.store(row + column_in[None, :], tl.where(keep[:, None], dx, 0.0).to(kind), mask=kept)
        tl.store(row + column_v[None, :], tl.where(keep[:, None], dy, 0.0).to(kind), mask=kept)
        tl.store(row + column_out[None, :], tl.where(keep[:, None], dz, 0.0).to(kind), mask=kept)
    mine = sums + tl.cast(tl.program_id(1), tl.int64) * (12 * width)
    _store_sums(mine, column_in, inside, width, in_0, in_1, in_2, in_b)
    _store_sums(mine, column_out, inside, width, out_0, out_1, out_2, out_b)
    _store_sums(mine, column_v, inside, width, value_0, value_1, value_2, value_b)
