"""Timing, and the result of a benchmark: figures with their targets, kept with their machine as dated JSON."""

from __future__ import annotations

import json
import re
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from ragyena import machine
from ragyena.errors import StorageError

__all__ = [
    "Benchmark",
    "Figure",
    "benchmark",
    "captured",
    "copy_bandwidth",
    "device_suffix",
    "event_times",
    "milliseconds",
    "seconds",
    "spread",
    "write",
]

_RUN_MS = 30.0  # a timing lasts at most so long
_SLOW_MS = 50.0  # a call of this length is repeated once
_GRAPH_MS = 0.5  # a graph lasts at least so long, so that its own launch, some microseconds, does not count
_MOST_CALLS = 64


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity and its target."""

    name: str
    value: float
    """The median over ``samples``; in ``unit``."""
    unit: str
    limit: float | None = None
    """The target; None without one."""
    better: Literal["lower", "higher"] = "lower"
    p95: float | None = None
    """The 95th percentile of at least 20 samples."""
    samples: int = 1

    @property
    def met(self) -> bool | None:
        """True where the value meets its target; None without one."""
        if self.limit is None:
            return None
        return self.value <= self.limit if self.better == "lower" else self.value >= self.limit

    def __str__(self) -> str:
        verdict = {None: "", True: " met", False: f" MISSED ({self.limit:.3g})" if self.limit else ""}[self.met]
        return f"{self.name} {self.value:.4g} {self.unit}{verdict}"


@dataclass(frozen=True, slots=True)
class Benchmark:
    """The figures of one benchmark, its settings, and the machine it ran on."""

    name: str
    date: str
    figures: tuple[Figure, ...]
    setting: dict[str, Any]
    machine: dict[str, Any]


def benchmark(name: str, figures: Sequence[Figure], setting: dict[str, Any]) -> Benchmark:
    """A benchmark of today, on this machine."""
    return Benchmark(name, time.strftime("%Y-%m-%d"), tuple(figures), setting, machine.describe())


def spread(name: str, values: Sequence[float], unit: str, limit: float | None = None) -> Figure:
    """The median of several samples, and their 95th percentile where there are enough."""
    # Of torch, not of numpy: the operators' benchmark needs nothing else.
    p95 = float(torch.tensor(values, dtype=torch.float64).quantile(0.95)) if len(values) >= 20 else None
    return Figure(name, statistics.median(values), unit, limit=limit, p95=p95, samples=len(values))


def write(benchmark: Benchmark, folder: Path) -> Path:
    """Writes the benchmark as dated JSON in ``folder``; the file. Raises StorageError."""
    path = folder / f"{benchmark.date}-{benchmark.name}.json"
    values = asdict(benchmark)
    for figure, written in zip(benchmark.figures, values["figures"]):
        written["met"] = figure.met
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}", hint="choose another --out") from error
    return path


def seconds(work: Callable[[], object], device: str = "cpu") -> float:
    """Seconds of one call, until the device is done with it."""
    cuda = device.startswith("cuda")
    if cuda:
        torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - began


def milliseconds(work: Callable[[], object], *, graph: bool = True) -> float:
    """Median time of a call, replayed as a CUDA graph where one can be captured; a graph holds several short calls."""
    work()
    torch.cuda.synchronize()
    once = event_times(work, 1)[0]
    if once > _SLOW_MS:  # launches do not count
        return statistics.median([once, *event_times(work, 2)])
    calls = min(_MOST_CALLS, max(1, round(_GRAPH_MS / max(once, 1e-3)))) if graph else 1
    recorded = captured(work, calls) if graph else None
    run, calls = (work, 1) if recorded is None else (recorded, calls)
    run()
    once = event_times(run, 1)[0]
    times = event_times(run, max(5, min(30, int(_RUN_MS / max(once, 1e-3)))))
    return statistics.median(times) / calls


def captured(work: Callable[[], object], calls: int = 1) -> Callable[[], object] | None:
    """The replay of a CUDA graph of consecutive calls; None if it cannot be captured."""
    graph = torch.cuda.CUDAGraph()
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    try:
        with torch.cuda.stream(stream):
            work()
        torch.cuda.current_stream().wait_stream(stream)
        with torch.cuda.graph(graph):
            for _ in range(calls):
                work()
    except torch.OutOfMemoryError:
        raise
    except RuntimeError:
        torch.cuda.synchronize()
        return None
    return graph.replay


def event_times(work: Callable[[], object], runs: int) -> list[float]:
    """Milliseconds of each run, between CUDA events."""
    times = []
    for _ in range(runs):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record()
        work()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return times


def copy_bandwidth() -> float:
    """Bytes a second, read and written, of a copy on the device that is far larger than its caches."""
    source = torch.randint(0, 255, (1 << 30,), dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    target.copy_(source)
    return 2 * source.numel() / (statistics.median(event_times(lambda: target.copy_(source), 15)) / 1e3)


def device_suffix(device: str) -> str:
    """The device's name in a result's file: ``h100`` of "NVIDIA H100 80GB HBM3", ``cpu``."""
    if not device.startswith("cuda"):
        return device
    match = re.search(r"\b([A-Z]+\d+[A-Z]*)\b", torch.cuda.get_device_name(device))
    return match.group(1).lower() if match else "cuda"
