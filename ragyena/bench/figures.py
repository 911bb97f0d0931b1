"""What a benchmark yields: figures beside their limits, and the dated JSON they are written to with their machine."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ragyena.errors import StorageError
from ragyena.eval import machine

__all__ = ["Benchmark", "Figure", "benchmark", "spread", "write"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity beside its limit."""

    name: str
    value: float
    """The median over ``samples``; in ``unit``."""
    unit: str
    limit: float | None = None
    """What is asked for; None where nothing is."""
    better: Literal["lower", "higher"] = "lower"
    p95: float | None = None
    """The 95th percentile, where there are enough samples to speak of one."""
    samples: int = 1

    @property
    def met(self) -> bool | None:
        """Whether the value keeps the limit; None without one."""
        if self.limit is None:
            return None
        return self.value <= self.limit if self.better == "lower" else self.value >= self.limit


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One benchmark's figures, and what they were measured on."""

    name: str
    date: str
    figures: tuple[Figure, ...]
    setting: dict[str, Any]
    machine: dict[str, Any]


def write(benchmark: Benchmark, folder: Path) -> Path:
    """The benchmark as dated JSON in ``folder``. Raises StorageError."""
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


def spread(name: str, values: Sequence[float], unit: str, limit: float | None = None) -> Figure:
    p95 = float(np.percentile(values, 95)) if len(values) >= 20 else None
    return Figure(name, statistics.median(values), unit, limit=limit, p95=p95, samples=len(values))


def benchmark(name: str, figures: Sequence[Figure], setting: dict[str, Any]) -> Benchmark:
    return Benchmark(name, time.strftime("%Y-%m-%d"), tuple(figures), setting, machine.describe())
