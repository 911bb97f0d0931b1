"""The machine and versions behind a measurement, and its peak memory."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import torch

__all__ = ["describe", "forget_peak_memory", "peak_memory_gib", "peak_resident_gib"]

_PACKAGES = (
    "ragyena",
    "torch",
    "triton",
    "faiss-cpu",
    "numpy",
    "sentence-transformers",
    "tokenizers",
    "langchain-core",
)
_CLEAR_REFS, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
_resident_counts = False


def describe() -> dict[str, Any]:
    """Processor, cores, threads, memory, GPUs, operating system, Python and package versions; no host name."""
    return {
        "processor": _processor(),
        "cores": _cores(),
        "torch_threads": torch.get_num_threads(),
        "memory_gib": _memory_gib(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version for name in _PACKAGES if (version := _version(name))},
    }


def forget_peak_memory(device: str) -> None:
    """Has ``peak_memory_gib`` and ``peak_resident_gib`` count from now on."""
    global _resident_counts
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
    try:
        _CLEAR_REFS.write_text("5", encoding="ascii")  # Linux: VmHWM becomes what is resident now
        _resident_counts = True
    except OSError:
        _resident_counts = False


def peak_memory_gib(device: str) -> float | None:
    """The most memory that was allocated on a GPU, in GiB, since it was last forgotten; None for a CPU."""
    return round(torch.cuda.max_memory_allocated(device) / 2**30, 3) if device.startswith("cuda") else None


def peak_resident_gib() -> float | None:
    """The most memory of this process, in GiB, that was resident since it was last forgotten; None where the system
    does not count it anew (it does on Linux)."""
    if not _resident_counts:
        return None
    try:
        status = _STATUS.read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    kib = next((line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")), None)
    return None if kib is None else round(int(kib) / 2**20, 3)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _cores() -> int:
    """Cores this process may use, where the system says so."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
