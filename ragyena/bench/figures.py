"""The result of a benchmark: figures with their targets, and the dated JSON that keeps them with their machine."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from ragyena.errors import StorageError
from ragyena.eval import machine

__all__ = ["Benchmark", "Figure", "benchmark", "seconds", "spread", "write"]


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
    p95 = float(np.percentile(values, 95)) if len(values) >= 20 else None
    return Figure(name, statistics.median(values), unit, limit=limit, p95=p95, samples=len(values))


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
