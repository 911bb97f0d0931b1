# mypy: ignore-errors
"""The Triton kernels of the convolution inside slots: products with a channel's Toeplitz matrix, gates fused.

Legend: a slot has ``size`` positions, at most SIZE, a power of two; row: one slot of one channel. Slot ``r`` stands at
``((r // per_example) * channels + channel) * length + (r % per_example) * size`` of the arguments; positions past
``size`` or ``length`` are zeros that are never read. A filter holds the lags -reach .. reach.

Slots of several lengths (HAS_STARTS) stand where the table ``starts`` says, which has ``per_example + 1`` places: the
last is the end. A row is a tile of SIZE positions all the same.

- ``toeplitz_taps``: a filter in COPIES, each begun one lag later, so that every row of its Toeplitz matrix is a row of
  some copy from an aligned place on, and is read in the widest accesses there are.
- ``toeplitz_conv``: ``Y [slots, t] = P [slots, s] @ T [s, t]``, ``T[s, t] = filter[t - s]``, for one channel.
- ``toeplitz_lags``: the filter's gradient, sums over the diagonals of ``P^T [s, slots] @ Q [slots, t]``.

fp16 operands are scaled by powers of two, by slot or by tile, so that no product of gates overflows. Nothing is summed
by atomics: the same inputs give the same bits.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ragyena.ops.triton_parts import above, gated, inverse, largest

__all__ = ["toeplitz_conv", "toeplitz_lags", "toeplitz_taps"]


@triton.jit
def _bounds(row, starts, per_example, size, HAS_STARTS: tl.constexpr):
    """Where in its example each row's slot begins, and ends if the next begins there."""
    index = row % per_example
    first = index * size
    end = first + size
    if HAS_STARTS:
        first = tl.load(starts + index)
        end = tl.load(starts + index + 1)
    return first, end


@triton.jit
def _inside(row, first, end, place, slots, length, size, HAS_STARTS: tl.constexpr):
    """[rows, places]. Equal slots are asked about ``size`` and ``length``, whose factors the compiler knows."""
    if HAS_STARTS:
        keep = (row < slots)[:, None] & (first[:, None] + place[None, :] < end[:, None])
    else:
        keep = (row < slots)[:, None] & (place < size)[None, :] & (first[:, None] + place[None, :] < length)
    return keep


@triton.jit(do_not_specialize=["reach"])
def toeplitz_taps(
    filter_, table, powers, reach, SIZE: tl.constexpr, COPIES: tl.constexpr, REVERSED: tl.constexpr,
    SCALED: tl.constexpr,
):  # fmt: skip
    """``table[channel, copy, i]`` is the tap at lag ``i + copy - (SIZE - 1)``, divided by ``powers[channel]``; at minus
    that lag for the adjoint. Grid: channels."""
    channel = tl.program_id(0)
    copy = tl.arange(0, COPIES)[:, None]
    place = tl.arange(0, 2 * SIZE)[None, :]
    lag = place + copy - (SIZE - 1)
    if REVERSED:
        lag = -lag
    taps = filter_ + tl.cast(channel, tl.int64) * (2 * reach + 1)
    h = tl.load(taps + lag + reach, mask=(lag <= reach) & (lag >= -reach), other=0.0).to(tl.float32)
    if SCALED:
        power = above(largest(h))
        h *= inverse(power)
        tl.store(powers + channel, power)
    cell = tl.cast(channel, tl.int64) * (COPIES * 2 * SIZE) + copy * (2 * SIZE) + place
    tl.store(table + cell, h.to(table.dtype.element_ty))


@triton.jit(do_not_specialize=["slots", "per_example", "channels"])
def toeplitz_conv(
    u, gate_in, gate_out, other, y, y_other, table, powers, starts, slots, per_example, channels, length, size,
    SIZE: tl.constexpr, OUT: tl.constexpr, ROWS: tl.constexpr, COPIES: tl.constexpr, OPERAND: tl.constexpr,
    SCALED: tl.constexpr, HAS_GATE_IN: tl.constexpr, HAS_GATE_OUT: tl.constexpr, HAS_OTHER: tl.constexpr,
    HAS_STARTS: tl.constexpr, PRECISION: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """``y = gate_out * s``, ``s`` the convolution of ``gate_in * u``; and ``y_other = s * other`` where it is asked
    for. Grid: blocks of OUT outputs x channels x programs that share the slots."""
    channel = tl.program_id(1)
    source = tl.arange(0, SIZE)
    target = tl.program_id(0) * OUT + tl.arange(0, OUT)
    begin = (SIZE - 1) - source  # a row of T in the whole filter
    begin = begin % COPIES * (2 * SIZE) + begin // COPIES * COPIES
    matrix = tl.load(table + tl.cast(channel, tl.int64) * (COPIES * 2 * SIZE) + begin[:, None] + target[None, :])
    if SCALED:
        matrix_power = tl.load(powers + channel)
    for block in tl.range(tl.program_id(2), tl.cdiv(slots, ROWS), tl.num_programs(2), num_stages=STAGES):
        row = block * ROWS + tl.arange(0, ROWS)
        first, end = _bounds(row, starts, per_example, size, HAS_STARTS)
        base = ((row // per_example) * channels + channel).to(tl.int64) * length + first
        p = gated(
            u, gate_in, 0, base[:, None] + source[None, :],
            _inside(row, first, end, source, slots, length, size, HAS_STARTS), HAS_GATE_IN,
        )  # fmt: skip
        if SCALED:
            power = above(tl.max(tl.abs(p), 1))
            s = tl.dot((p * inverse(power)[:, None]).to(OPERAND), matrix, input_precision=PRECISION)
            s *= (power * matrix_power)[:, None]
        else:
            s = tl.dot(p.to(OPERAND), matrix, input_precision=PRECISION)
        cell = base[:, None] + target[None, :]
        keep = _inside(row, first, end, target, slots, length, size, HAS_STARTS)
        if HAS_OTHER:
            beside = tl.load(other + cell, mask=keep, other=0.0).to(tl.float32)
            tl.store(y_other + cell, (s * beside).to(y_other.dtype.element_ty), mask=keep)
        if HAS_GATE_OUT:
            s *= tl.load(gate_out + cell, mask=keep, other=0.0).to(tl.float32)
        tl.store(y + cell, s.to(y.dtype.element_ty), mask=keep)


@triton.jit(do_not_specialize=["slots", "per_example", "channels"])
def toeplitz_lags(
    u, gate_in, dy, gate_out, scratch, lags, starts, slots, per_example, channels, length, size, sources, targets,
    SOURCE: tl.constexpr, TARGET: tl.constexpr, ROWS: tl.constexpr, CHUNK: tl.constexpr, OPERAND: tl.constexpr,
    SCALED: tl.constexpr, HAS_GATE_IN: tl.constexpr, HAS_GATE_OUT: tl.constexpr, HAS_STARTS: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """``lags[channel, i, j, k]``: the gradient's share, at the lag of ``k``, of sources of block i and targets of
    block j: the sum over the diagonal ``t - s = j TARGET - i SOURCE + k - (SOURCE - 1)``.

    ``scratch`` has SOURCE x TARGET places a program: a diagonal is read from memory, for registers have no diagonals.
    Grid: programs that share the tasks, ``channels x sources x targets``.
    """
    mine = scratch + tl.cast(tl.program_id(0), tl.int64) * (SOURCE * TARGET)
    s = tl.arange(0, SOURCE)
    t = tl.arange(0, TARGET)
    k = tl.arange(0, CHUNK)
    for task in range(tl.program_id(0), channels * sources * targets, tl.num_programs(0)):
        channel = task // (sources * targets)
        source = (task // targets) % sources * SOURCE + s
        target = task % targets * TARGET + t
        total = tl.zeros((SOURCE, TARGET), tl.float32)
        for block in range(0, tl.cdiv(slots, ROWS)):
            row = block * ROWS + tl.arange(0, ROWS)
            first, end = _bounds(row, starts, per_example, size, HAS_STARTS)
            base = ((row // per_example) * channels + channel).to(tl.int64) * length + first
            p = gated(
                u, gate_in, 0, base[:, None] + source[None, :],
                _inside(row, first, end, source, slots, length, size, HAS_STARTS), HAS_GATE_IN,
            )  # fmt: skip
            q = gated(
                dy, gate_out, 0, base[:, None] + target[None, :],
                _inside(row, first, end, target, slots, length, size, HAS_STARTS), HAS_GATE_OUT,
            )  # fmt: skip
            if SCALED:
                p_power = above(tl.max(tl.max(tl.abs(p), 1), 0))
                q_power = above(tl.max(tl.max(tl.abs(q), 1), 0))
                p = (p * inverse(p_power)).to(OPERAND)
                q = (q * inverse(q_power)).to(OPERAND)
                total += tl.dot(tl.trans(p), q, input_precision=PRECISION) * (p_power * q_power)
            else:
                total = tl.dot(tl.trans(p.to(OPERAND)), q.to(OPERAND), total, input_precision=PRECISION)
        tl.debug_barrier()
        tl.store(mine + s[:, None] * TARGET + t[None, :], total)
        tl.debug_barrier()
        for chunk in range(0, (SOURCE + TARGET) // CHUNK):
            column = chunk * CHUNK + k[None, :] + s[:, None] - (SOURCE - 1)
            diagonal = tl.load(mine + s[:, None] * TARGET + column, mask=(column >= 0) & (column < TARGET), other=0.0)
            place = tl.cast(task, tl.int64) * (SOURCE + TARGET) + chunk * CHUNK + k
            tl.store(lags + place, tl.sum(diagonal, 0))
