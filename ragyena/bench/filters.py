"""Initial implicit filters by length: their gain, its spread over channels, and the error of fp32, all on a CPU.

A filter that multiplies its input by much more or less than 1, or by more with every doubling of the length, drowns the
other paths of a layer or is drowned by them. Shape suffixes: D channels, K lags.
"""

from __future__ import annotations

import copy
import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ragyena.bench.figures import Benchmark, Figure, benchmark
from ragyena.config.models import HyenaConfig
from ragyena.ops import TwoSidedHyena, long_conv
from ragyena.ops.hyena.implicit_filter import ImplicitFilter
from ragyena.types import Progress

__all__ = ["VARIANTS", "bench_filters"]

Initialisation = Literal["torch", "language model"]

VARIANTS: dict[str, tuple[dict[str, Any], Initialisation]] = {
    "published, torch's initialisation": ({}, "torch"),
    "published, the language model's initialisation": ({}, "language model"),
    "sine frequency 10": ({"sine_frequency": 10.0}, "language model"),
    "sine frequency 1": ({"sine_frequency": 1.0}, "language model"),
    "no window": ({"modulate": False}, "language model"),
    "window of a tenth": ({"fast_decay": 0.03, "slow_decay": 0.15}, "language model"),
    "window with a shift of 0.05": ({"decay_shift": 0.05}, "language model"),
}
"""Causal filters: settings that differ from the published ones, and the initialisation of the network."""
_TWO_SIDED = {"two-sided, new": False, "two-sided, network drawn at random": True}
"""The reader's filters, whose decay times are tokens; a new one has a network whose output is zero."""
_STD = 0.02  # of the language model's linear maps (``ragyena.model.language_model``)


def bench_filters(lengths: Sequence[int], *, width: int, seeds: int, progress: Progress) -> Benchmark:
    """Medians over the ``seeds``, of filters of ``width`` channels that cover each of ``lengths`` lags."""
    makers = {name: _causal(*values) for name, values in VARIANTS.items()}
    makers |= {name: _two_sided(drawn) for name, drawn in _TWO_SIDED.items()}
    progress.start("measuring filters", len(makers) * len(lengths) * seeds, "filters")
    figures: list[Figure] = []
    for name, make in makers.items():
        for length in lengths:
            samples: dict[tuple[str, str], list[float]] = {}
            for seed in range(seeds):
                torch.manual_seed(seed)
                for key, value in _measured(make(width, length), length, causal=name in VARIANTS):
                    samples.setdefault(key, []).append(value)
                progress.advance(1)
            figures += [
                Figure(f"{name}, {length:,} lags: {quantity}", statistics.median(values), unit, samples=seeds)
                for (quantity, unit), values in samples.items()
            ]
    setting = {
        "device": "cpu",
        "width": width,
        "gain": "2-norm of a channel's filter: what it makes of white noise; median over channels",
        "largest gain": "over frequencies and channels",
        "spread": "largest over least gain of the channels",
        "error": "2-norm of the difference of fp32 to fp64, over that of fp64",
        "variants": {name: {**values, "initialisation": start} for name, (values, start) in VARIANTS.items()},
    }
    return benchmark("filters-cpu", figures, setting)


_Make = Callable[[int, int], nn.Module]


def _causal(changed: dict[str, Any], initialisation: Initialisation) -> _Make:
    def make(width: int, length: int) -> nn.Module:
        values = HyenaConfig().model_copy(update=changed).model_dump(exclude={"order", "short_filter"})
        made = ImplicitFilter(width, convolutions=1, max_length=length, **values)
        if initialisation == "language model":
            for part in made.modules():
                if isinstance(part, nn.Linear):
                    nn.init.normal_(part.weight, std=_STD)
                    if part.bias is not None:
                        nn.init.zeros_(part.bias)
        return made

    return make


def _two_sided(drawn: bool) -> _Make:
    def make(width: int, length: int) -> nn.Module:
        made = TwoSidedHyena(width).filter
        if drawn:
            made.output.reset_parameters()
        return made

    return make


@torch.no_grad()
def _measured(module: nn.Module, length: int, *, causal: bool) -> Iterator[tuple[tuple[str, str], float]]:
    """Name, unit and value of each quantity."""

    def filters(of: nn.Module) -> Tensor:
        made: Tensor = of(length)
        return made[0] if causal else made

    single_DK, exact_DK = filters(module), filters(copy.deepcopy(module).double())
    gain_D = exact_DK.norm(dim=1)
    yield ("gain", ""), float(gain_D.median())
    yield ("spread of the gain", "x"), float(gain_D.max() / gain_D.min())
    yield ("largest gain", ""), max(float(torch.fft.rfft(row, n=2 * len(row)).abs().max()) for row in exact_DK)
    yield ("error of the filter", ""), _error(single_DK, exact_DK)
    u_1DK = torch.randn(1, len(exact_DK), length, dtype=torch.float64)
    direction: Literal["causal", "two_sided"] = "causal" if causal else "two_sided"
    exact = long_conv(u_1DK, exact_DK, direction=direction, backend="fft")
    yield (
        ("error of the convolution", ""),
        _error(long_conv(u_1DK.float(), exact_DK.float(), direction=direction, backend="fft"), exact),
    )


def _error(single: Tensor, exact: Tensor) -> float:
    return float((single.double() - exact).norm() / exact.norm())
