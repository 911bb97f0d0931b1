# mypy: ignore-errors
"""Triton kernels of the convolution inside slots: products with a channel's Toeplitz matrix, gates fused.

Legend: a slot has ``size`` positions, at most SIZE, a power of two; row: one slot of one channel. Slot ``r`` begins at
``((r // per_example) * channels + channel) * length + (r % per_example) * size`` of the arguments; positions past
``size`` or ``length`` count as zeros and are never read. A filter holds the lags -reach .. reach.

- ``toeplitz_taps``: a filter in COPIES, each starting one lag later, so that every row of its Toeplitz matrix is an
  aligned part of some copy, read in the widest accesses there are.
- ``toeplitz_conv``: ``Y [slots, t] = P [slots, s] @ T [s, t]``, ``T[s, t] = filter[t - s]``, for one channel.
- ``toeplitz_lags``: the filter's gradient, sums over the diagonals of ``P^T [s, slots] @ Q [slots, t]``.

fp16 operands are scaled by powers of two, by slot or by tile, so that no product of gates overflows. Nothing is summed
by atomics: the same inputs give the same bits.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ragyena.ops.triton_parts import load_gated, max_abs, power_above, reciprocal

__all__ = ["toeplitz_conv", "toeplitz_lags", "toeplitz_taps"]


@triton.jit
def _inside(row, first, place, slots, length, size):
    """[rows, places]: mask of the positions inside their slot and their example."""
    return (row < slots)[:, None] & (place < size)[None, :] & (first[:, None] + place[None, :] < length)


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
        power = power_above(max_abs(h))
        h *= reciprocal(power)
        tl.store(powers + channel, power)
    cell = tl.cast(channel, tl.int64) * (COPIES * 2 * SIZE) + copy * (2 * SIZE) + place
    tl.store(table + cell, h.to(table.dtype.element_ty))


@triton.jit(do_not_specialize=["slots", "per_example", "channels"])
def toeplitz_conv(
    u, gate_in, gate_out, other, y, y_other, table, powers, slots, per_example, channels, length, size,
    SIZE: tl.constexpr, OUT: tl.constexpr, ROWS: tl.constexpr, COPIES: tl.constexpr, OPERAND: tl.constexpr,
    SCALED: tl.constexpr, HAS_GATE_IN: tl.constexpr, HAS_GATE_OUT: tl.constexpr, HAS_OTHER: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """``y = gate_out * s``, ``s`` the convolution of ``gate_in * u``; with HAS_OTHER also ``y_other = s * other``.
    Grid: blocks of OUT outputs x channels x programs that share the slots."""
    channel = tl.program_id(1)
    source = tl.arange(0, SIZE)
    target = tl.program_id(0) * OUT + tl.arange(0, OUT)
    begin = (SIZE - 1) - source  # a row of T in the whole filter
    begin = begin % COPIES * (2 * SIZE) + begin // COPIES * COPIES
    matrix = tl.load(table + tl.cast(channel, tl.int64) * (COPIES * 2 * SIZE) + begin[:, None] + target[None, :])
    if SCALED:
        matrix_power = tl.load(powers + channel)
    for block in tl.range(tl.program_id(2), tl.cdiv(slots, ROWS), tl.num_programs(2), num_stages=1):
        row = block * ROWS + tl.arange(0, ROWS)
        first = row % per_example * size
        base = ((row // per_example) * channels + channel).to(tl.int64) * length + first
        p = load_gated(
            u, gate_in, 0, base[:, None] + source[None, :],
            _inside(row, first, source, slots, length, size), HAS_GATE_IN,
        )  # fmt: skip
        if SCALED:
            power = power_above(tl.max(tl.abs(p), 1))
            s = tl.dot((p * reciprocal(power)[:, None]).to(OPERAND), matrix, input_precision=PRECISION)
            s *= (power * matrix_power)[:, None]
        else:
            s = tl.dot(p.to(OPERAND), matrix, input_precision=PRECISION)
        cell = base[:, None] + target[None, :]
        keep = _inside(row, first, target, slots, length, size)
        if HAS_OTHER:
            factor = tl.load(other + cell, mask=keep, other=0.0).to(tl.float32)
            tl.store(y_other + cell, (s * factor).to(y_other.dtype.element_ty), mask=keep)
        if HAS_GATE_OUT:
            s *= tl.load(gate_out + cell, mask=keep, other=0.0).to(tl.float32)
        tl.store(y + cell, s.to(y.dtype.element_ty), mask=keep)


@triton.jit(do_not_specialize=["slots", "per_example", "channels"])
def toeplitz_lags(
    u, gate_in, dy, gate_out, scratch, lags, slots, per_example, channels, length, size, sources, targets,
    SOURCE: tl.constexpr, TARGET: tl.constexpr, ROWS: tl.constexpr, CHUNK: tl.constexpr, OPERAND: tl.constexpr,
    SCALED: tl.constexpr, HAS_GATE_IN: tl.constexpr, HAS_GATE_OUT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """``lags[channel, i, j, k]``: part of the gradient from sources of block i and targets of block j, the sum over
    the diagonal ``t - s = j TARGET - i SOURCE + k - (SOURCE - 1)``.

    Diagonals are read back from memory: ``scratch`` has SOURCE x TARGET elements a program.
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
            first = row % per_example * size
            base = ((row // per_example) * channels + channel).to(tl.int64) * length + first
            p = load_gated(
                u, gate_in, 0, base[:, None] + source[None, :],
                _inside(row, first, source, slots, length, size), HAS_GATE_IN,
            )  # fmt: skip
            q = load_gated(
                dy, gate_out, 0, base[:, None] + target[None, :],
                _inside(row, first, target, slots, length, size), HAS_GATE_OUT,
            )  # fmt: skip
            if SCALED:
                p_power = power_above(tl.max(tl.max(tl.abs(p), 1), 0))
                q_power = power_above(tl.max(tl.max(tl.abs(q), 1), 0))
                p = (p * reciprocal(p_power)).to(OPERAND)
                q = (q * reciprocal(q_power)).to(OPERAND)
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
