"""Timing on a CUDA device: events, captured graphs, the copy bandwidth, and the device's name."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable

import torch

__all__ = ["captured", "copy_bandwidth", "device_suffix", "event_times", "milliseconds"]

_RUN_MS = 30.0  # a timing lasts at most so long
_SLOW_MS = 50.0  # a call of this length is repeated once
_GRAPH_MS = 0.5  # a graph lasts at least so long, so that its own launch, some microseconds, does not count
_MOST_CALLS = 64


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
