"""Benchmark of the convolutions on CUDA: ``ragyena bench operator``, and with nothing but torch and Triton, on a CPU
too, ``benchmarks/ops_standalone.py``.

Shape suffixes: B batch, D channels, L positions, K filter taps, H heads.

Each size is checked against its fp64 reference before it is timed. A size that is wrong, or that fails to compile or to
launch, reports the failure instead of times, and the others go on.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from ragyena.bench.figures import Benchmark, Figure, benchmark, copy_bandwidth, device_suffix, milliseconds, seconds
from ragyena.errors import MissingDependencyError
from ragyena.ops.long_conv import Direction, long_conv
from ragyena.ops.long_conv.plan import MAX_FFT_SIZE
from ragyena.ops.long_conv.triton_op import prepare_filter, prepared_conv
from ragyena.ops.passage_conv import passage_conv
from ragyena.ops.reference import long_conv_reference, passage_conv_reference

__all__ = ["OperatorSize", "Scope", "bench_operator", "bench_operator_on_cpu", "operator_error"]

Scope = Direction | Literal["passage"]

TOLERANCE = {torch.float16: 1e-3, torch.bfloat16: 6e-3, torch.float32: 1e-6}
_LIBRARY_TOLERANCE = {torch.float16: 3e-3, torch.bfloat16: 2e-2, torch.float32: 4e-6}  # gates round in the input's type
_CPU_RUNS = 3
_CHECKED_CHANNELS = 4
_HEADS = (64, 128)  # channels of a head; the faster counts
_ATTENTION = {"cudnn": SDPBackend.CUDNN_ATTENTION, "flash": SDPBackend.FLASH_ATTENTION}
_TREND_WIDTH = 768

# Targets of the forward pass at width 768, batch 1: times the fastest SDPA backend for the same mask.
_TARGETS = {("two_sided", 131_072): 60, ("two_sided", 65_536): 35,
            ("causal", 131_072): 30, ("causal", 65_536): 18, ("causal", 8_192): 1.5}  # fmt: skip
_TARGETS_BOTH = {("causal", 131_072): 25}
_TARGET_FFT = 4  # forward, from 8,192 positions
_TARGET_FLOOR = 2  # forward in passage scope, over the floor
_TARGET_TREND = 1.5  # time a position and channel, over that at width 768 and batch 1


@dataclass(frozen=True, slots=True)
class OperatorSize:
    """One row of the table."""

    length: int
    width: int = 768
    batch: int = 1
    direction: Scope = "causal"
    slot_tokens: int = 256
    """Positions of a slot in passage scope."""
    attention: bool = True
    """Time attention with the same mask too."""

    def __str__(self) -> str:
        scope = f"slots of {self.slot_tokens}" if self.direction == "passage" else self.direction.replace("_", "-")
        return f"{scope}, {self.length:,} x {self.width}, batch {self.batch}"


@dataclass(slots=True)
class _Row:
    """Results of one size."""

    figures: list[Figure] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    def add(self, size: OperatorSize, row: _Row, say: Callable[[str], None]) -> None:
        say(f"{size}: " + "; ".join(str(figure).removeprefix(f"{size}: ") for figure in row.figures))
        for name, reason in row.failures.items():
            say(f"  {name}: FAILED, {reason}")
        self.figures += row.figures
        self.failures |= row.failures


def bench_operator(
    sizes: Sequence[OperatorSize], *, dtype: torch.dtype, workers: int, budget: float, say: Callable[[str], None]
) -> Benchmark:
    """Milliseconds of forward and of forward and backward at each size; ``say`` prints a line as each finishes.

    ``workers`` processes compile the kernels beforehand, 0 for none. After ``budget`` seconds no further size is begun;
    those left out are named. Raises MissingDependencyError without CUDA.
    """
    if not torch.cuda.is_available():
        raise MissingDependencyError(
            "the operator's benchmark needs a CUDA device", hint="run it on a machine with one"
        )
    began = time.perf_counter()
    if workers:
        _compile(sizes, dtype, workers, say)
    bandwidth = copy_bandwidth()
    say(f"copy bandwidth {bandwidth / 1e12:.2f} TB/s; {time.perf_counter() - began:.0f} s so far")
    total = _Row([Figure("copy bandwidth", bandwidth / 1e12, "TB/s")])
    pace: dict[tuple[Scope, int], float] = {}
    for size in sizes:
        if time.perf_counter() - began > budget:
            row = _Row(failures={str(size): f"not begun within {budget:.0f} s"})
        else:
            try:
                row = _measure(size, dtype, bandwidth, pace)
            except Exception as error:  # one size that does not compile or fit must not cost the others
                row = _Row(failures={str(size): f"{type(error).__name__}: {error}"[:300]})
        total.add(size, row, say)
        torch.cuda.empty_cache()
    say(f"{time.perf_counter() - began:.0f} s in all")
    return benchmark(
        f"operator-{device_suffix('cuda')}",
        total.figures,
        {
            "device": torch.cuda.get_device_name(),
            "dtype": str(dtype),
            "floor": "u, two gates and the output once each, over the measured copy bandwidth",
            "timing": "CUDA events around replays of a CUDA graph, of several calls where they are short; medians",
            "forward": "with the filter's spectrum computed before; forward + backward computes it twice",
            "attention_heads": _HEADS,
            "failures": total.failures,
        },
    )


def bench_operator_on_cpu(
    sizes: Sequence[OperatorSize], *, dtype: torch.dtype, budget: float, say: Callable[[str], None]
) -> Benchmark:
    """``bench_operator`` of the library's transforms on a CPU: the best of a few calls, beside torch's attention."""
    began = time.perf_counter()
    total = _Row()
    for size in sizes:
        if time.perf_counter() - began > budget:
            row = _Row(failures={str(size): f"not begun within {budget:.0f} s"})
        else:
            row = _measure_on_cpu(size, dtype)
        total.add(size, row, say)
    return benchmark(
        "operator-cpu",
        total.figures,
        {
            "device": "cpu",
            "dtype": str(dtype),
            "timing": f"wall clock, the best of {_CPU_RUNS} calls after one that does not count",
            "attention_heads": _HEADS,
            "failures": total.failures,
        },
    )


def operator_error(size: OperatorSize, dtype: torch.dtype, device: str, *, backend: str = "triton") -> dict[str, float]:
    """Relative L2 error of the output and of each gradient against the fp64 reference, of a few random channels.

    ``backend`` is ``triton`` or ``library``. Inputs have a mean of 1; memory for the outputs holds NaN beforehand.
    """
    few = replace(size, width=min(size.width, _CHECKED_CHANNELS), batch=min(size.batch, 2))
    arguments = _arguments(few, dtype, device)
    doubles = [a.detach().double().requires_grad_() for a in arguments]
    poison = [torch.full_like(a, float("nan")) for a in arguments for _ in range(4)]
    del poison  # the caching allocator hands this memory to the outputs
    actual, expected = _call(few, arguments, backend), _reference(few, doubles)
    cotangent = torch.randn_like(actual)
    gradients = torch.autograd.grad(actual, arguments, cotangent)
    expected_gradients = torch.autograd.grad(expected, doubles, cotangent.double())
    names = ["output", "du", "dfilter", "dgate_in", "dgate_out"]
    if few.direction != "passage":
        names.insert(3, "dskip")
    return {
        name: float((a.detach().double() - e.detach()).norm() / e.detach().norm())
        for name, a, e in zip(names, [actual, *gradients], [expected, *expected_gradients])
    }


def _arguments(size: OperatorSize, dtype: torch.dtype, device: str) -> list[Tensor]:
    """u, filter, skip (not in passage scope), gate_in, gate_out; a decaying filter as long as the input or slot."""
    reach = size.slot_tokens if size.direction == "passage" else size.length
    taps = reach if size.direction == "causal" else 2 * reach - 1
    full = (size.batch, size.width, size.length)
    lag_K = torch.arange(taps, device=device) - (0 if size.direction == "causal" else reach - 1)
    filter_DK = torch.randn(size.width, taps, device=device) * torch.exp(-4 * lag_K.abs() / reach)
    u, gate_in, gate_out = (torch.randn(full, device=device, dtype=dtype) + shift for shift in (1, 0, 0))
    skip = [] if size.direction == "passage" else [torch.randn(size.width, device=device)]
    return [t.requires_grad_() for t in (u, filter_DK, *skip, gate_in, gate_out)]


def _call(size: OperatorSize, arguments: Sequence[Tensor], backend: str) -> Tensor:
    """The operator on ``triton``, or on ``library``: ``torch.fft``, in passage scope the Toeplitz product."""
    u, filter_DK, *skip, gate_in, gate_out = arguments
    if size.direction == "passage":
        return passage_conv(
            u, filter_DK, slot_tokens=size.slot_tokens, gate_in_BDL=gate_in, gate_out_BDL=gate_out,
            backend="triton" if backend == "triton" else "toeplitz",
        )  # fmt: skip
    return long_conv(
        u, filter_DK, direction=size.direction, skip_D=skip[0], gate_in_BDL=gate_in, gate_out_BDL=gate_out,
        backend="triton" if backend == "triton" else "fft",
    )  # fmt: skip


def _reference(size: OperatorSize, doubles: Sequence[Tensor]) -> Tensor:
    u, filter_DK, *skip, gate_in, gate_out = doubles
    gates = {"gate_in_BDL": gate_in, "gate_out_BDL": gate_out}
    if size.direction == "passage":
        return passage_conv_reference(u, filter_DK, slot_tokens=size.slot_tokens, **gates)
    return long_conv_reference(u, filter_DK, direction=size.direction, skip_D=skip[0], **gates)


def _measure(size: OperatorSize, dtype: torch.dtype, bandwidth: float, pace: dict[tuple[Scope, int], float]) -> _Row:
    """``pace``: forward nanoseconds a position and channel by scope and length, at the trend's width; added to."""
    errors = operator_error(size, dtype, "cuda")
    if wrong := _wrong(errors, TOLERANCE[dtype]):
        return _Row(failures={str(size): wrong})
    arguments = _arguments(size, dtype, "cuda")
    detached = [a.detach() for a in arguments]
    u = detached[0]
    forward_work = _prepared(size, detached, dtype)
    cotangent = torch.randn_like(u)

    def both(backend: str) -> Callable[[], object]:
        return lambda: torch.autograd.grad(_call(size, arguments, backend), arguments, cotangent)

    forward_work()  # compiles, and allocates the libraries' workspaces
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    forward_work()
    peak = (torch.cuda.max_memory_allocated() - before) / (u.numel() * u.element_size())
    forward, whole = milliseconds(forward_work), milliseconds(both("triton"))
    with torch.no_grad():
        library_forward = milliseconds(lambda: _call(size, detached, "library"))
    library_whole = milliseconds(both("library"))
    floor = 4 * u.numel() * u.element_size() / bandwidth * 1e3
    passage, long = size.direction == "passage", size.length >= 8192
    library = "toeplitz" if passage else "torch.fft"
    fft_target = _TARGET_FFT if long and not passage else None
    row = _Row([
        Figure(f"{size}: forward", forward, "ms"),
        Figure(f"{size}: floor", floor, "ms"),
        Figure(f"{size}: forward over floor", forward / floor, "x", _TARGET_FLOOR if passage and long else None),
        Figure(f"{size}: {library} forward", library_forward, "ms"),
        Figure(f"{size}: {library} over ours, forward", library_forward / forward, "x", fft_target, "higher"),
        Figure(f"{size}: extra memory over input", peak, "x", 2.0 if long else None),
        Figure(f"{size}: forward + backward", whole, "ms"),
        Figure(f"{size}: {library} forward + backward", library_whole, "ms"),
        Figure(f"{size}: {library} over ours, forward + backward", library_whole / whole, "x", None, "higher"),
        Figure(f"{size}: largest error", max(errors.values()), "", TOLERANCE[dtype]),
    ])  # fmt: skip
    each = forward * 1e6 / u.numel()
    if (size.width, size.batch) == (_TREND_WIDTH, 1):
        pace[size.direction, size.length] = each
    elif (size.direction, size.length) in pace:
        trend = each / pace[size.direction, size.length]
        row.figures.append(Figure(f"{size}: a position over that at width 768", trend, "x", _TARGET_TREND))
    if size.attention and not passage and size.width % _HEADS[-1] == 0 and dtype != torch.float32:
        del cotangent
        _compare_attention(row, size, dtype, forward, whole)
    return row


def _wrong(errors: dict[str, float], tolerance: float) -> str | None:
    """The reason why a size is not timed; None where all errors keep the tolerance."""
    if all(value <= tolerance for value in errors.values()):  # not ">": an error of NaN is one
        return None
    return "wrong, so not timed: " + ", ".join(f"{name} {value:.1e}" for name, value in errors.items())


def _measure_on_cpu(size: OperatorSize, dtype: torch.dtype) -> _Row:
    errors = operator_error(size, dtype, "cpu", backend="library")
    if wrong := _wrong(errors, _LIBRARY_TOLERANCE[dtype]):
        return _Row(failures={str(size): wrong})
    arguments = _arguments(size, dtype, "cpu")
    detached = [a.detach() for a in arguments]
    cotangent = torch.randn_like(detached[0])

    def both() -> object:
        return torch.autograd.grad(_call(size, arguments, "library"), arguments, cotangent)

    ours = {"forward": _best(lambda: _call(size, detached, "library")), "forward + backward": _best(both)}
    row = _Row([Figure(f"{size}: {name}", value, "ms", samples=_CPU_RUNS) for name, value in ours.items()])
    row.figures.append(Figure(f"{size}: largest error", max(errors.values()), "", _LIBRARY_TOLERANCE[dtype]))
    if not size.attention or size.direction == "passage" or size.width % _HEADS[-1]:
        return row
    causal = size.direction == "causal"
    for name, value in ours.items():
        times = {}
        for head in _HEADS:
            shape = (size.batch, size.width // head, size.length, head)
            inputs = [torch.randn(shape, dtype=dtype, requires_grad=name != "forward") for _ in range(3)]

            def attend(inputs: list[Tensor] = inputs) -> Tensor:
                return scaled_dot_product_attention(inputs[0], inputs[1], inputs[2], is_causal=causal)

            def attend_both(inputs: list[Tensor] = inputs, attend: Callable[[], Tensor] = attend) -> object:
                return torch.autograd.grad(attend().sum(), inputs)

            times[f"torch-{head}"] = _best(attend if name == "forward" else attend_both)
        row.figures += [Figure(f"{size}: {key} {name}", t, "ms", samples=_CPU_RUNS) for key, t in times.items()]
        best = min(times.values())
        row.figures.append(Figure(f"{size}: fastest attention over ours, {name}", best / value, "x", None, "higher"))
    return row


def _best(work: Callable[[], object]) -> float:
    """Milliseconds."""
    work()
    return min(seconds(work) for _ in range(_CPU_RUNS)) * 1e3


def _prepared(size: OperatorSize, arguments: Sequence[Tensor], dtype: torch.dtype) -> Callable[[], Tensor]:
    """The forward pass of inference, with the filter's spectrum computed before; a slot's filter has none."""
    if size.direction == "passage":
        return lambda: _call(size, arguments, "triton")
    u, filter_DK, skip, gate_in, gate_out = arguments
    filter_ = prepare_filter(filter_DK, length=size.length, causal=size.direction == "causal", dtype=dtype)
    return lambda: prepared_conv(u, filter_, skip_D=skip, gate_in_BDL=gate_in, gate_out_BDL=gate_out)


def _compare_attention(row: _Row, size: OperatorSize, dtype: torch.dtype, forward: float, whole: float) -> None:
    """Add the times of attention with the same mask, and the fastest one over ours."""
    for name, ours, targets in (("forward", forward, _TARGETS), ("forward + backward", whole, _TARGETS_BOTH)):
        times = _attention(size, dtype, ours is whole, row.failures)
        if not times:
            continue
        target = targets.get((size.direction, size.length)) if (size.width, size.batch) == (768, 1) else None
        row.figures += [Figure(f"{size}: {key} {name}", value, "ms") for key, value in times.items()]
        row.figures.append(
            Figure(f"{size}: fastest attention over ours, {name}", min(times.values()) / ours, "x", target, "higher")
        )


def _attention(size: OperatorSize, dtype: torch.dtype, backward: bool, failures: dict[str, str]) -> dict[str, float]:
    """Milliseconds of each SDPA backend and head width; the reason why one cannot run goes to ``failures``."""
    times: dict[str, float] = {}
    for head in _HEADS:
        shape = (size.batch, size.width // head, size.length, head)
        query, key, value = (torch.randn(shape, dtype=dtype, device="cuda", requires_grad=backward) for _ in range(3))
        cotangent = torch.randn_like(query)

        def attend(query: Tensor = query, key: Tensor = key, value: Tensor = value) -> Tensor:
            return scaled_dot_product_attention(query, key, value, is_causal=size.direction == "causal")

        def both(inputs: tuple[Tensor, ...] = (query, key, value), cotangent: Tensor = cotangent) -> object:
            return torch.autograd.grad(attend(*inputs), inputs, cotangent)

        for name, backend in _ATTENTION.items():
            try:
                with sdpa_kernel([backend]):
                    times[f"{name}-{head}"] = milliseconds(both if backward else attend)
            except RuntimeError as error:
                failures[f"{size}: {name}-{head} attention"] = str(error).splitlines()[0][:200]
    return times


def _compile(sizes: Sequence[OperatorSize], dtype: torch.dtype, workers: int, say: Callable[[str], None]) -> None:
    """Fill Triton's cache on disk, a process for each shape of kernel: compiling is most of a cold run's time."""
    shapes = {}
    for size in sizes:
        kernel = min(MAX_FFT_SIZE, 1 << max(size.length - 1, 0).bit_length())
        kernel = size.slot_tokens if size.direction == "passage" else kernel
        shapes[kernel, size.direction] = replace(size, width=1, batch=1)
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(min(workers, len(shapes)), mp_context=context) as pool:
        waiting = {pool.submit(operator_error, size, dtype, "cuda"): size for size in shapes.values()}
        for done in concurrent.futures.as_completed(waiting):
            problem = done.exception()
            if problem:
                say(f"compiling for {waiting[done]}: {type(problem).__name__}: {str(problem)[:200]}")
