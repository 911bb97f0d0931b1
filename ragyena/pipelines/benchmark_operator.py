"""The use case of ``ragyena bench operator``: the long convolution beside attention and beside the memory's own speed.

Shape suffixes: B batch, D channels, L positions, K filter taps, H heads.

Each size is checked before it is timed: a row of a convolution that is wrong against fp64, or that fails to compile or
to launch, says so instead of a time, and the rest goes on.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from ragyena.errors import MissingDependencyError
from ragyena.kernels.long_conv import Direction, long_conv
from ragyena.kernels.long_conv_triton import prepare_filter, prepared_conv
from ragyena.kernels.twisted_ring import MAX_RING
from ragyena.pipelines.figures import Benchmark, Figure, benchmark

__all__ = ["OperatorSize", "bench_operator", "operator_error"]

TOLERANCE = {torch.float16: 1e-3, torch.bfloat16: 6e-3, torch.float32: 1e-6}
_CHECKED_CHANNELS = 4
_HEAD = 128
_ATTENTION = {"cudnn": SDPBackend.CUDNN_ATTENTION, "flash": SDPBackend.FLASH_ATTENTION}
_RUN_MS = 30.0  # how long one timing goes on, at most
_QUADRATIC = 16_384  # from here on, attention is timed by few runs

# What is asked of the forward pass at width 768, batch 1: times the fastest SDPA backend for the same mask.
_ASKED = {("two_sided", 131_072): 60, ("two_sided", 65_536): 35,
          ("causal", 131_072): 30, ("causal", 65_536): 18, ("causal", 8_192): 1.5}  # fmt: skip
_ASKED_BOTH = {("causal", 131_072): 25}
_ASKED_FFT = 4  # forward, from 8,192 positions


@dataclass(frozen=True, slots=True)
class OperatorSize:
    """One row of the table."""

    length: int
    width: int = 768
    batch: int = 1
    direction: Direction = "causal"

    def __str__(self) -> str:
        return f"{self.direction.replace('_', '-')} {self.length:,} x {self.width}, batch {self.batch}"


def bench_operator(
    sizes: Sequence[OperatorSize], *, dtype: torch.dtype, attention: bool, workers: int, say: Callable[[str], None]
) -> Benchmark:
    """Milliseconds of forward and of forward and backward at each size, with ``say`` called as each finishes.

    ``workers`` processes compile the kernels beforehand, 0 for none. Raises MissingDependencyError without CUDA.
    """
    if not torch.cuda.is_available():
        raise MissingDependencyError(
            "the operator's benchmark needs a CUDA device", hint="run it on a machine with one"
        )
    began = time.perf_counter()
    if workers:
        _compile(sizes, dtype, workers, say)
    bandwidth = _bandwidth()
    say(f"copy bandwidth {bandwidth / 1e12:.2f} TB/s; {time.perf_counter() - began:.0f} s so far")
    figures = [Figure("copy bandwidth", bandwidth / 1e12, "TB/s")]
    failures: dict[str, str] = {}
    for size in sizes:
        try:
            rows, failed = _measure(size, dtype, bandwidth, attention)
        except Exception as error:  # one size that does not compile or fit must not cost the others
            rows, failed = [], {str(size): f"{type(error).__name__}: {error}"[:300]}
        for figure in rows:
            limit = "" if figure.met is None else " met" if figure.met else f" MISSED ({figure.limit:.3g})"
            say(f"{figure.name}: {figure.value:.4g} {figure.unit}{limit}")
        for name, reason in failed.items():
            say(f"{name}: FAILED, {reason}")
        figures += rows
        failures |= failed
        torch.cuda.empty_cache()
    return benchmark(
        "operator",
        figures,
        {
            "device": torch.cuda.get_device_name(),
            "dtype": str(dtype),
            "floor": "u, two gates and the output once each, over the measured copy bandwidth",
            "timing": "CUDA events around replays of a CUDA graph where one can be captured; medians",
            "forward": "with the filter's spectrum computed before; forward + backward computes it twice",
            "attention_head": _HEAD,
            "failures": failures,
        },
    )


def operator_error(size: OperatorSize, dtype: torch.dtype, device: str) -> dict[str, float]:
    """Relative L2 error of the output and of each gradient against an fp64 transform, of a few fresh channels.

    Inputs have a mean of 1; outputs are poisoned with NaN beforehand.
    """
    few = OperatorSize(size.length, min(size.width, _CHECKED_CHANNELS), min(size.batch, 2), size.direction)
    arguments = _arguments(few, dtype, device)
    doubles = [a.detach().double().requires_grad_() for a in arguments]
    poison = [torch.full_like(a, float("nan")) for a in arguments for _ in range(4)]
    del poison  # the caching allocator gives this memory to what comes next
    found = _call(arguments, size.direction, "triton")
    expected = _call(doubles, size.direction, "fft")
    cotangent = torch.randn_like(found)
    gradients = torch.autograd.grad(found, arguments, cotangent)
    wanted = torch.autograd.grad(expected, doubles, cotangent.double())
    names = ["output", "du", "dfilter", "dskip", "dgate_in", "dgate_out"]
    return {
        name: float((f.detach().double() - w.detach()).norm() / w.detach().norm())
        for name, f, w in zip(names, [found, *gradients], [expected, *wanted])
    }


def _measure(
    size: OperatorSize, dtype: torch.dtype, bandwidth: float, attention: bool
) -> tuple[list[Figure], dict[str, str]]:
    failed: dict[str, str] = {}
    errors = operator_error(size, dtype, "cuda")
    worst = max(errors.values())
    # Not ">": an error of NaN is one.
    if not all(value <= TOLERANCE[dtype] for value in errors.values()):
        return [], {str(size): "wrong, so not timed: " + ", ".join(f"{k} {v:.1e}" for k, v in errors.items())}
    arguments = _arguments(size, dtype, "cuda")
    u, filter_DK, skip, gate_in, gate_out = (a.detach() for a in arguments)
    prepared = prepare_filter(filter_DK, length=size.length, causal=size.direction == "causal", dtype=dtype)
    gates = {"skip_D": skip, "gate_in_BDL": gate_in, "gate_out_BDL": gate_out}
    cotangent = torch.randn_like(u)

    def both(backend: str) -> Callable[[], object]:
        return lambda: torch.autograd.grad(_call(arguments, size.direction, backend), arguments, cotangent)

    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    prepared_conv(u, prepared, **gates)
    peak = (torch.cuda.max_memory_allocated() - before) / (u.numel() * u.element_size())
    forward = _milliseconds(lambda: prepared_conv(u, prepared, **gates))
    whole = _milliseconds(both("triton"))
    with torch.no_grad():
        fft = _milliseconds(lambda: _call([u, filter_DK, skip, gate_in, gate_out], size.direction, "fft"))
    fft_both = _milliseconds(both("fft"))
    floor = 4 * u.numel() * u.element_size() / bandwidth * 1e3
    long = size.length >= 8192
    rows = [
        Figure(f"{size}: largest error against fp64", worst, "", TOLERANCE[dtype]),
        Figure(f"{size}: forward", forward, "ms"),
        Figure(f"{size}: forward over its floor of {floor:.3f} ms", forward / floor, "x"),
        Figure(f"{size}: forward against torch.fft ({fft:.3f} ms)", fft / forward, "x",
               _ASKED_FFT if long else None, "higher"),
        Figure(f"{size}: forward's extra memory over the input", peak, "x", 2.0 if long else None),
        Figure(f"{size}: forward + backward", whole, "ms"),
        Figure(f"{size}: forward + backward against torch.fft ({fft_both:.3f} ms)", fft_both / whole, "x",
               None, "higher"),
    ]  # fmt: skip
    if attention and size.width % _HEAD == 0 and dtype != torch.float32:
        for name, ours, backward, asked in (
            ("forward", forward, False, _ASKED),
            ("forward + backward", whole, True, _ASKED_BOTH),
        ):
            times, refused = _attention(size, dtype, backward)
            failed |= refused
            if times:
                fastest = min(times, key=lambda key: times[key])
                limit = asked.get((size.direction, size.length)) if (size.width, size.batch) == (768, 1) else None
                rows.append(
                    Figure(f"{size}: {name} against {fastest} attention ({times[fastest]:.3f} ms)",
                           times[fastest] / ours, "x", limit, "higher")
                )  # fmt: skip
    return rows, failed


def _attention(size: OperatorSize, dtype: torch.dtype, backward: bool) -> tuple[dict[str, float], dict[str, str]]:
    """Milliseconds of each SDPA backend for the same mask, and why one gives none."""
    times: dict[str, float] = {}
    failed: dict[str, str] = {}
    shape = (size.batch, size.width // _HEAD, size.length, _HEAD)
    query, key, value = (torch.randn(shape, dtype=dtype, device="cuda", requires_grad=backward) for _ in range(3))
    cotangent = torch.randn_like(query)

    def attend() -> Tensor:
        return scaled_dot_product_attention(query, key, value, is_causal=size.direction == "causal")

    def work() -> object:
        return torch.autograd.grad(attend(), (query, key, value), cotangent) if backward else attend()

    for name, backend in _ATTENTION.items():
        try:
            with sdpa_kernel([backend]):
                times[name] = _milliseconds(work, few=size.length >= _QUADRATIC)
        except RuntimeError as error:
            failed[f"{size}: {name} attention"] = str(error).splitlines()[0][:200]
    return times, failed


def _arguments(size: OperatorSize, dtype: torch.dtype, device: str) -> list[Tensor]:
    """u, filter, skip, gate_in, gate_out; the filter as long as the input and decaying, as a trained one is."""
    taps = size.length if size.direction == "causal" else 2 * size.length - 1
    full = (size.batch, size.width, size.length)
    lag_K = torch.arange(taps, device=device) - (0 if size.direction == "causal" else size.length - 1)
    filter_DK = torch.randn(size.width, taps, device=device) * torch.exp(-4 * lag_K.abs() / size.length)
    u, gate_in, gate_out = (torch.randn(full, device=device, dtype=dtype) + shift for shift in (1, 0, 0))
    return [t.requires_grad_() for t in (u, filter_DK, torch.randn(size.width, device=device), gate_in, gate_out)]


def _call(arguments: Sequence[Tensor], direction: Direction, backend: str) -> Tensor:
    u, filter_DK, skip, gate_in, gate_out = arguments
    return long_conv(
        u, filter_DK, direction=direction, skip_D=skip, gate_in_BDL=gate_in, gate_out_BDL=gate_out, backend=backend
    )


def _milliseconds(work: Callable[[], object], *, few: bool = False) -> float:
    """The median of several runs: of a captured graph, whose launches cost nothing, or plain where none can be made."""
    work()
    torch.cuda.synchronize()
    run = work if few else _captured(work) or work
    run()
    once = _events(run, 1)[0]
    return statistics.median(_events(run, max(3, min(30, int(_RUN_MS / max(once, 1e-3))))))


def _captured(work: Callable[[], object]) -> Callable[[], object] | None:
    graph = torch.cuda.CUDAGraph()
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    try:
        with torch.cuda.stream(stream):
            work()
        torch.cuda.current_stream().wait_stream(stream)
        with torch.cuda.graph(graph):
            work()
    except RuntimeError:
        torch.cuda.synchronize()
        return None
    return graph.replay


def _events(work: Callable[[], object], runs: int) -> list[float]:
    times = []
    for _ in range(runs):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record()
        work()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return times


def _bandwidth() -> float:
    """Bytes a second of a copy on the device, read and written, of far more than its caches hold."""
    source = torch.randint(0, 255, (1 << 31,), dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    target.copy_(source)
    return 2 * source.numel() / (statistics.median(_events(lambda: target.copy_(source), 10)) / 1e3)


def _compile(sizes: Sequence[OperatorSize], dtype: torch.dtype, workers: int, say: Callable[[str], None]) -> None:
    """Fill Triton's cache on disk, a process for each shape of kernel: compiling is most of a cold run's time."""
    shapes = {}
    for size in sizes:
        ring = min(MAX_RING, 1 << max(size.length - 1, 0).bit_length())
        shapes[ring, size.direction] = OperatorSize(size.length, 1, 1, size.direction)
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(min(workers, len(shapes)), mp_context=context) as pool:
        waiting = {pool.submit(_warm, size, dtype): size for size in shapes.values()}
        for done in concurrent.futures.as_completed(waiting):
            problem = done.exception()
            size = waiting[done]
            say(f"compiled {size.direction} {size.length:,}" + (f": {type(problem).__name__}" if problem else ""))


def _warm(size: OperatorSize, dtype: torch.dtype) -> None:
    operator_error(size, dtype, "cuda")
