"""What the benchmarks of a CUDA device share: times by events, graphs, the copy bandwidth, and the device's name."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable

import torch

__all__ = ["captured", "copy_bandwidth", "device_suffix", "event_times", "milliseconds"]

_RUN_MS = 30.0  # how long one timing goes on, at most
_SLOW_MS = 50.0  # a call of this length is repeated once
_GRAPH_MS = 0.5  # how long a graph's work must last for its own launch, some microseconds, to be nothing beside it
_MOST_CALLS = 64


def milliseconds(work: Callable[[], object], *, graph: bool = True) -> float:
    """The median of several runs: of a captured graph, whose launches cost nothing, or plain where none can be made.

    A graph holds as many calls, one after another, as last half a millisecond.
    """
    work()
    torch.cuda.synchronize()
    once = event_times(work, 1)[0]
    if once > _SLOW_MS:  # launches are nothing beside it
        return statistics.median([once, *event_times(work, 2)])
    calls = min(_MOST_CALLS, max(1, round(_GRAPH_MS / max(once, 1e-3)))) if graph else 1
    recorded = captured(work, calls) if graph else None
    run, calls = (work, 1) if recorded is None else (recorded, calls)
    run()
    once = event_times(run, 1)[0]
    times = event_times(run, max(5, min(30, int(_RUN_MS / max(once, 1e-3)))))
    return statistics.median(times) / calls


def captured(work: Callable[[], object], calls: int = 1) -> Callable[[], object] | None:
    """A replay of calls, one after another, as a CUDA graph; None where it cannot be captured."""
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
    """Milliseconds of each of several runs, between CUDA events."""
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
    """Bytes a second of a copy on the device, read and written, of far more than its caches hold."""
    source = torch.randint(0, 255, (1 << 30,), dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    target.copy_(source)
    return 2 * source.numel() / (statistics.median(event_times(lambda: target.copy_(source), 15)) / 1e3)


def device_suffix(device: str) -> str:
    """What names a device in a result's file: ``h100`` of "NVIDIA H100 80GB HBM3", ``cpu``."""
    if not device.startswith("cuda"):
        return device
    found = re.search(r"\b([A-Z]+\d+[A-Z]*)\b", torch.cuda.get_device_name(device))
    return found.group(1).lower() if found else "cuda"
