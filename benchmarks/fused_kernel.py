# mypy: ignore-errors
"""A split long convolution in one persistent kernel: the three stages of ``ragyena.ops.long_conv`` in the L2 cache.

The legend and the mathematics are those of ``ragyena/ops/long_conv/triton_conv.py`` and ``plan.py``. What differs is
where a transform waits between its stages. There each stage is a launch over a group of channels, and their transforms
cross the memory four times; here ``TEAMS`` teams of OUTER programs, all resident at once, take R rows at a time through
all three stages. A team waits only for itself: program t gates and transforms tile t of n2, then transforms frequency t
of the rows before, then inverts tile t of those before these, so that what it waits for is a stage old. Transforms live
in a ring of RING places a team, a few MiB in all, which the L2 cache holds.

Every program of a team must run, so the grid must fit on the device at once: launch it cooperatively, which fails
where it does not fit. ``PHASES`` and ``WAIT`` take the stages apart, one a launch without waiting, for an interpreter
that runs one program after the other; the ring then holds all rows.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ragyena.ops.long_conv.triton_conv import skip_and_scale
from ragyena.ops.triton_parts import (
    inner_inverse,
    inner_transform,
    load_matrix,
    load_transposed,
    max_abs,
    power_above,
    reciprocal,
    unpack_rows,
)

__all__ = ["FIRST", "LAST", "MIDDLE", "fused_conv"]

FIRST, MIDDLE, LAST = 1, 2, 4


@triton.jit
def _await(flag, target):
    """Until ``flag`` has reached ``target``: what the team wrote before it did can be read."""
    seen = tl.atomic_add(flag, 0, sem="acquire", scope="gpu")
    while seen < target:
        seen = tl.atomic_add(flag, 0, sem="acquire", scope="gpu")
    tl.debug_barrier()


@triton.jit
def _arrive(flag):
    tl.debug_barrier()
    tl.atomic_add(flag, 1, sem="release", scope="gpu")


@triton.jit
def _streamed(u, gate, base, cell, keep, HAS_GATE: tl.constexpr):
    """``load_gated`` of what is read once, so that it leaves the cache first."""
    p = tl.load(u + base + cell, mask=keep, other=0.0, eviction_policy="evict_first").to(tl.float32)
    if HAS_GATE:
        p *= tl.load(gate + base + cell, mask=keep, other=0.0, eviction_policy="evict_first").to(tl.float32)
    return p


@triton.jit
def _first(
    u, gate_in, z, scale, outer_table, outer_twiddle, place, row, end, channels, width, length, tile,
    OUTER: tl.constexpr, INNER: tl.constexpr, BLOCK: tl.constexpr, HAS_GATE_IN: tl.constexpr, STAGES: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Gate, transform over n1 and twiddle rows ``row`` to ``end`` into the ring from ``place`` on."""
    k = tl.arange(0, OUTER)[:, None]
    column = (tile * BLOCK + tl.arange(0, BLOCK))[None, :]
    cell = k * INNER + column
    keep = cell < length
    f = load_matrix(outer_table, 2 * OUTER, OUTER)
    t_re = tl.load(outer_twiddle + cell)
    t_im = tl.load(outer_twiddle + OUTER * INNER + cell)
    for one in tl.range(row, end, num_stages=STAGES):
        base = tl.cast((one // channels) * width + one % channels, tl.int64) * length
        p = _streamed(u, gate_in, base, cell, keep, HAS_GATE_IN)
        power = power_above(max_abs(p))
        there = place + one - row
        tl.store(scale + there * OUTER + tile, power)
        x = (p * reciprocal(power)).to(f.dtype)
        re, im = unpack_rows(tl.dot(f, x, input_precision=PRECISION), OUTER, BLOCK)
        to = z + tl.cast(there, tl.int64) * (2 * OUTER * INNER) + 2 * k * INNER + column
        tl.store(to, (re * t_re - im * t_im).to(f.dtype))
        tl.store(to + INNER, (re * t_im + im * t_re).to(f.dtype))


@triton.jit
def _middle(
    z, scale, skip, spectrum_re, spectrum_im, spectrum_relative, spectrum_scale, inner_table, inner_twiddle,
    outer_twiddle, place, row, end, channels, delta, k1,
    OUTER: tl.constexpr, A: tl.constexpr, BLOCK: tl.constexpr, HAS_SKIP: tl.constexpr, TOP: tl.constexpr,
    STAGES: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Transform over n2, times spectrum and skip, and back, in place."""
    cell = tl.arange(0, A)[:, None] * A + tl.arange(0, A)[None, :]
    f = load_matrix(inner_table, 2 * A, 2 * A)
    t_re = tl.load(inner_twiddle + cell)
    t_im = tl.load(inner_twiddle + A * A + cell)
    o_re = tl.load(outer_twiddle + k1 * (A * A) + cell)
    o_im = tl.load(outer_twiddle + (OUTER + k1) * (A * A) + cell)
    for one in tl.range(row, end, num_stages=STAGES):
        there = place + one - row
        to = z + tl.cast(there * OUTER + k1, tl.int64) * (2 * A * A)
        channel = one % channels
        at = channel * OUTER + k1
        h = tl.cast(at, tl.int64) * (A * A)
        h_re = tl.load(spectrum_re + h + cell, eviction_policy="evict_first").to(tl.float32)
        h_im = tl.load(spectrum_im + h + cell, eviction_policy="evict_first").to(tl.float32)
        re, im, _ = inner_transform(to, scale + there * OUTER, f, t_re, t_im, A, BLOCK, PRECISION)
        part, factor = skip_and_scale(
            skip, channel, spectrum_scale, spectrum_relative, channel, at, delta, HAS_SKIP, TOP
        )
        h_re = h_re * factor + part
        h_im = h_im * factor
        inner_inverse(re * h_re - im * h_im, re * h_im + im * h_re, to, f, t_re, t_im, o_re, o_im, A, PRECISION)


@triton.jit
def _last(
    z, scale, skip, spectrum_scale, gate_out, y, outer_table, place, row, end, channels, width, length, delta, tile,
    OUTER: tl.constexpr, INNER: tl.constexpr, BLOCK: tl.constexpr, HAS_SKIP: tl.constexpr,
    HAS_GATE_OUT: tl.constexpr, TOP: tl.constexpr, STAGES: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The inverse over k1, real part and gate, from the ring to the output."""
    column = (tile * BLOCK + tl.arange(0, BLOCK))[None, :]
    cell = tl.arange(0, OUTER)[:, None] * INNER + column
    keep = cell < length
    b = load_transposed(outer_table, 2 * OUTER, OUTER)
    part = tl.arange(0, 2 * OUTER)[:, None]
    place_of = (part % OUTER) * (2 * INNER) + (part // OUTER) * INNER + column
    each = tl.arange(0, OUTER)
    for one in tl.range(row, end, num_stages=STAGES):
        there = place + one - row
        channel = one % channels
        base = tl.cast((one // channels) * width + channel, tl.int64) * length
        x = tl.load(z + tl.cast(there, tl.int64) * (2 * OUTER * INNER) + place_of)
        gain = tl.max(tl.load(scale + there * OUTER + each), 0) * tl.load(spectrum_scale + channel)
        if HAS_SKIP:
            skipped = tl.load(skip + channel).to(tl.float32) * (delta / tl.load(spectrum_scale + channel))
            gain *= power_above(tl.maximum(tl.abs(skipped) / TOP, 0.5))
        s = tl.dot(b, x, input_precision=PRECISION) * gain
        if HAS_GATE_OUT:
            s *= tl.load(gate_out + base + cell, mask=keep, other=0.0, eviction_policy="evict_first").to(tl.float32)
        tl.store(y + base + cell, s.to(y.dtype.element_ty), mask=keep, eviction_policy="evict_first")


@triton.jit(do_not_specialize=["rows", "channels", "width", "steps"])
def fused_conv(
    u, gate_in, gate_out, skip, y, z, scale, flags, spectrum_re, spectrum_im, spectrum_relative, spectrum_scale,
    outer_table, inner_table, inner_twiddle, outer_twiddle, rows, channels, width, length, steps, delta,
    OUTER: tl.constexpr, A: tl.constexpr, BLOCK: tl.constexpr, R: tl.constexpr, RING: tl.constexpr,
    PHASES: tl.constexpr, WAIT: tl.constexpr, HAS_SKIP: tl.constexpr, HAS_GATE_IN: tl.constexpr,
    HAS_GATE_OUT: tl.constexpr, TOP: tl.constexpr, FIRST_STAGES: tl.constexpr, MIDDLE_STAGES: tl.constexpr,
    LAST_STAGES: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """``y = gate_out * (h * p + skip * p)``, ``p = gate_in * u``, for all rows. Grid: OUTER programs x teams.

    z: [teams, RING, R, OUTER, 2, A A]; scale: [teams, RING, R, OUTER]; flags: [teams, 3, 32] of int32, zero at launch.
    A step is R rows of every team, ``steps`` of them; BLOCK is A A / OUTER, so that there are as many tiles as k1.
    """
    t, team, teams = tl.program_id(0), tl.program_id(1), tl.num_programs(1)
    INNER: tl.constexpr = A * A
    begun, turned, ended = flags + team * 96, flags + team * 96 + 32, flags + team * 96 + 64
    for step in range(0, steps + 2):
        if PHASES & 1:  # noqa: SIM102 - decided at compile time, unlike the next
            if step < steps:
                if WAIT:
                    # The place was last read RING steps ago, by programs that may be a step behind.
                    _await(ended, OUTER * (step - RING + 1))
                row = tl.minimum((step * teams + team) * R, rows)
                place = (team * RING + step % RING) * R
                _first(
                    u, gate_in, z, scale, outer_table, outer_twiddle, place, row, tl.minimum(row + R, rows), channels,
                    width, length, t, OUTER, INNER, BLOCK, HAS_GATE_IN, FIRST_STAGES, PRECISION,
                )  # fmt: skip
                _arrive(begun)
        if PHASES & 2:  # noqa: SIM102 - decided at compile time, unlike the next
            if (step >= 1) & (step - 1 < steps):
                if WAIT:
                    _await(begun, OUTER * step)
                row = tl.minimum(((step - 1) * teams + team) * R, rows)
                place = (team * RING + (step - 1) % RING) * R
                _middle(
                    z, scale, skip, spectrum_re, spectrum_im, spectrum_relative, spectrum_scale, inner_table,
                    inner_twiddle, outer_twiddle, place, row, tl.minimum(row + R, rows), channels, delta, t,
                    OUTER, A, BLOCK, HAS_SKIP, TOP, MIDDLE_STAGES, PRECISION,
                )  # fmt: skip
                _arrive(turned)
        if PHASES & 4:  # noqa: SIM102 - decided at compile time, unlike the next
            if step >= 2:
                if WAIT:
                    _await(turned, OUTER * (step - 1))
                row = tl.minimum(((step - 2) * teams + team) * R, rows)
                place = (team * RING + (step - 2) % RING) * R
                _last(
                    z, scale, skip, spectrum_scale, gate_out, y, outer_table, place, row, tl.minimum(row + R, rows),
                    channels, width, length, delta, t, OUTER, INNER, BLOCK, HAS_SKIP, HAS_GATE_OUT, TOP, LAST_STAGES,
                    PRECISION,
                )  # fmt: skip
                _arrive(ended)
