"""Time the split long convolution as one persistent kernel (``fused_kernel.py``) beside the three launches that ship.

    python benchmarks/fused_conv.py --check                      # in Triton's interpreter too: TRITON_INTERPRET=1
    python benchmarks/fused_conv.py --lengths 131072 65536       # a CUDA device

An experiment, not part of ``ragyena.ops``: what it is worth is not measured yet. Prediction for 131,072 positions of
768 channels, two-sided, forward, spectrum prepared: the three launches move 28 bytes a position and channel through the
memory, this one 12 (the spectrum is 4 of them), 0.29 ms at 4.1 TB/s; the products are 232 GFLOP, 0.23 ms at the peak
of the matrix units. Every configuration is checked against fp64 before it is timed.

Shape suffixes: B batch, D channels, L positions.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from ragyena.bench.figures import copy_bandwidth, milliseconds  # noqa: E402 - from the checkout around this file
from ragyena.ops.custom_op import operand_type, pointer  # noqa: E402
from ragyena.ops.long_conv.plan import SPECTRUM_TOP, Spectrum, fft_plan, fft_tables, filter_spectrum  # noqa: E402
from ragyena.ops.long_conv.triton_op import PreparedFilter, prepared_conv  # noqa: E402
from ragyena.ops.reference import long_conv_reference  # noqa: E402

RING = 4
FLAGS = 96
CHECKED_CHANNELS = 6
TOLERANCE = {torch.float16: 1e-3, torch.bfloat16: 6e-3}


@dataclass(frozen=True, slots=True)
class Launch:
    """Launch parameters of the kernel."""

    warps: int = 4
    rows: int = 2
    """R: rows that a team takes through a stage at a time."""
    first_stages: int = 2
    middle_stages: int = 2
    last_stages: int = 2


def fused(
    u_BDL: Tensor,
    spectrum: Spectrum,
    launch: Launch,
    *,
    skip_D: Tensor | None = None,
    gate_in_BDL: Tensor | None = None,
    gate_out_BDL: Tensor | None = None,
    teams: int | None = None,
) -> tuple[Tensor, int]:
    """The convolution, and the number of teams: by default as many as fit on the device at once. Without a GPU the
    stages are launched one after the other."""
    from fused_kernel import FIRST, LAST, MIDDLE, fused_conv

    batch, channels, length = u_BDL.shape
    plan, rows = spectrum.plan, batch * channels
    tables = fft_tables(plan, operand_type(u_BDL.dtype), u_BDL.device)
    y_BDL, together = torch.empty_like(u_BDL), u_BDL.is_cuda
    if teams is None:
        teams = _resident(u_BDL, spectrum, launch, skip_D, gate_in_BDL, gate_out_BDL) if together else 2
    teams = max(1, min(teams, -(-rows // launch.rows)))
    steps = -(-rows // (teams * launch.rows))
    ring = RING if together else steps
    z = torch.empty(teams * ring * launch.rows, 2 * plan.size, dtype=tables.outer.dtype, device=u_BDL.device)
    scale = torch.empty(teams * ring * launch.rows, plan.outer, dtype=torch.float32, device=u_BDL.device)
    flags = torch.zeros(teams, FLAGS, dtype=torch.int32, device=u_BDL.device)
    for phases in [FIRST | MIDDLE | LAST] if together else [FIRST, MIDDLE, LAST]:
        fused_conv[plan.outer, teams](
            u_BDL, pointer(gate_in_BDL, u_BDL), pointer(gate_out_BDL, u_BDL), pointer(skip_D, u_BDL), y_BDL, z, scale,
            flags, spectrum.real, spectrum.imaginary, spectrum.relative, spectrum.scale, tables.outer, tables.inner,
            tables.inner_twiddle, tables.outer_twiddle, rows, channels, channels, length, steps,
            1 / (plan.size * plan.shrink**2), RING=ring, PHASES=phases, WAIT=together,
            **_constants(spectrum, launch, skip_D, gate_in_BDL, gate_out_BDL),
            **({"launch_cooperative_grid": True} if together else {}),
        )  # fmt: skip
    return y_BDL, teams


def _constants(spectrum: Spectrum, launch: Launch, skip: Any, gate_in: Any, gate_out: Any) -> dict[str, Any]:
    plan = spectrum.plan
    return {
        "OUTER": plan.outer, "A": plan.rows, "BLOCK": plan.inner // plan.outer, "R": launch.rows,
        "HAS_SKIP": skip is not None, "HAS_GATE_IN": gate_in is not None, "HAS_GATE_OUT": gate_out is not None,
        "TOP": SPECTRUM_TOP, "FIRST_STAGES": launch.first_stages, "MIDDLE_STAGES": launch.middle_stages,
        "LAST_STAGES": launch.last_stages, "PRECISION": "ieee", "num_warps": launch.warps,
    }  # fmt: skip


_RESIDENT: dict[Any, int] = {}


def _resident(u: Tensor, spectrum: Spectrum, launch: Launch, skip: Any, gate_in: Any, gate_out: Any) -> int:
    """Teams that fit on the device at once, by the registers and shared memory of the compiled kernel."""
    from fused_kernel import FIRST, LAST, MIDDLE, fused_conv

    key = (launch, spectrum.plan, u.dtype, u.shape[2] % 16 == 0, skip is None, gate_in is None, gate_out is None)
    if key not in _RESIDENT:
        half, single, whole = (
            torch.empty(16, dtype=t, device=u.device) for t in (torch.float16, torch.float32, torch.int32)
        )
        kernel = fused_conv.warmup(
            u, pointer(gate_in, u), pointer(gate_out, u), pointer(skip, u), u, half, single, whole, half, half, single,
            single, half, half, half, half, 2, 2, 2, u.shape[2], 2, 1.0, RING=RING, PHASES=FIRST | MIDDLE | LAST,
            WAIT=True, launch_cooperative_grid=True, grid=(1, 1),
            **_constants(spectrum, launch, skip, gate_in, gate_out),
        )  # fmt: skip
        kernel._init_handles()
        device = torch.cuda.get_device_properties(u.device)
        shared = kernel.metadata.shared + 1024
        each = min(
            65_536 // (32 * launch.warps * -(-kernel.n_regs // 8) * 8),
            device.shared_memory_per_multiprocessor // shared,
            64 // launch.warps,
        )
        _RESIDENT[key] = each * device.multi_processor_count // spectrum.plan.outer
        print(f"{launch}: {kernel.n_regs} registers, {kernel.n_spills} spilled, {shared >> 10} KiB, {each} a processor")
    if not _RESIDENT[key]:
        raise ValueError("no team fits on the device")
    return _RESIDENT[key]


def arguments(length: int, width: int, dtype: torch.dtype, device: str, *, causal: bool) -> dict[str, Tensor]:
    """u, filter, skip and gates as ``ragyena bench operator`` draws them."""
    torch.manual_seed(0)
    taps = length if causal else 2 * length - 1
    lag_K = torch.arange(taps, device=device) - (0 if causal else length - 1)
    given = {"filter": torch.randn(width, taps, device=device) * torch.exp(-4 * lag_K.abs() / length)}
    given |= {
        n: torch.randn(1, width, length, device=device, dtype=dtype) + (n == "u") for n in ("u", "gate_in", "gate_out")
    }
    return given | {"skip": torch.randn(width, device=device)}


def error(length: int, dtype: torch.dtype, device: str, launch: Launch, *, causal: bool) -> float:
    """Relative L2 error of the output against fp64, over a few channels in several steps of two teams."""
    a = arguments(length, CHECKED_CHANNELS, dtype, device, causal=causal)
    spectrum = filter_spectrum(
        a["filter"], fft_plan(length, operand_type(dtype)), operand_type(dtype), causal=causal, reach=length
    )
    gates = {"skip_D": a["skip"], "gate_in_BDL": a["gate_in"], "gate_out_BDL": a["gate_out"]}
    actual, _ = fused(a["u"], spectrum, launch, **gates, teams=2)
    expected = long_conv_reference(
        a["u"].double(), a["filter"].double(), direction="causal" if causal else "two_sided",
        **{name: x.double() for name, x in gates.items()},
    )  # fmt: skip
    return float((actual.double() - expected).norm() / expected.norm())


def _compiled(launch: Launch, length: int, dtype: torch.dtype) -> str:
    try:
        return f"{error(length, dtype, 'cuda', launch, causal=False):.1e}"
    except Exception as failure:  # one that does not compile or fit must not cost the others
        return f"{type(failure).__name__}: {failure}"[:200]


def timed(length: int, width: int, dtype: torch.dtype, launches: list[Launch], workers: int) -> list[dict[str, Any]]:
    """A row for each launch, and for the three launches that ship, on the same tensors."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        checked = list(pool.map(_compiled, launches, itertools.repeat(length), itertools.repeat(dtype)))
    a = arguments(length, width, dtype, "cuda", causal=False)
    operand = operand_type(dtype)
    spectrum = filter_spectrum(a["filter"], fft_plan(length, operand), operand, causal=False, reach=length)
    gates = {"skip_D": a["skip"], "gate_in_BDL": a["gate_in"], "gate_out_BDL": a["gate_out"]}
    prepared = PreparedFilter(spectrum, length, operand)
    floor = 4 * a["u"].numel() * a["u"].element_size() / copy_bandwidth() * 1e3
    rows: list[dict[str, Any]] = []

    def add(name: str, work: Any, **more: Any) -> None:
        ms = milliseconds(work)
        rows.append({"length": length, "name": name, "ms": ms, "floors": ms / floor, **more})
        print(f"{length:,} {name}: {ms:.3f} ms, {ms / floor:.2f} floors {more}", flush=True)

    add("three launches", lambda: prepared_conv(a["u"], prepared, **gates))
    for launch, outcome in zip(launches, checked):
        if ":" in outcome or float(outcome) > TOLERANCE[dtype]:
            print(f"{length:,} {launch}: {outcome}", flush=True)
            continue
        try:
            add(
                "fused",
                lambda launch=launch: fused(a["u"], spectrum, launch, **gates)[0],
                error=outcome,
                **asdict(launch),
            )
        except Exception as failure:
            print(f"{length:,} {launch}: {type(failure).__name__}: {failure}"[:300], flush=True)
    add("three launches", lambda: prepared_conv(a["u"], prepared, **gates))
    return rows


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with fp64 only")
    parser.add_argument("--lengths", type=int, nargs="+", default=[131072])
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--warps", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--stages", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--workers", type=int, default=12, help="processes that compile in advance")
    parser.add_argument("--out", type=Path, help="JSON file of the rows")
    given = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() and "TRITON_INTERPRET" not in os.environ else "cpu"
    if given.check:
        for length, causal in itertools.product(given.lengths, (False, True)):
            print(
                length,
                "causal" if causal else "two-sided",
                error(length, torch.bfloat16, device, Launch(), causal=causal),
            )
        return 0
    launches = [
        Launch(w, r, s, m, s) for w, r, s, m in itertools.product(given.warps, given.rows, given.stages, given.stages)
    ]
    began, rows = time.perf_counter(), []
    for length in given.lengths:
        rows += timed(length, given.width, torch.bfloat16, launches, given.workers)
    if given.out:
        given.out.write_text(json.dumps({"device": torch.cuda.get_device_name(), "rows": rows}, indent=1))
    print(f"{time.perf_counter() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
