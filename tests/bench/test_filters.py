"""The benchmark of new filters measures what their windows and initialisations say."""

from __future__ import annotations

import math

import pytest
import torch

from ragyena.bench.filters import VARIANTS, bench_filters
from ragyena.ops.hyena.implicit_filter import ImplicitFilter
from ragyena.types import Silent


def test_gains_and_errors() -> None:
    result = bench_filters([64, 256], width=8, seeds=2, progress=Silent())
    values = {figure.name: figure.value for figure in result.figures}
    assert len(values) == (len(VARIANTS) + 2) * 2 * 5

    def of(name: str, quantity: str, lags: int = 64) -> float:
        return values[f"{name}, {lags} lags: {quantity}"]

    assert of("two-sided, new", "gain") == pytest.approx(of("two-sided, new", "largest gain")) == 1.0
    assert of("two-sided, new", "spread of the gain") == 1.0
    published = "published, torch's initialisation"
    assert of("window of a tenth", "gain") < of("published, the language model's initialisation", "gain")
    # a filter that is as long as the sequence gains with the root of it
    assert of("no window", "gain", 256) / of("no window", "gain") == pytest.approx(2, rel=0.2)
    assert all(0 <= value < 1e-4 for name, value in values.items() if "error" in name)
    assert all(math.isfinite(value) for value in values.values())
    torch.manual_seed(0)
    settings = {"filter_width": 64, "filter_depth": 2, "filter_embedding": 33, "sine_frequency": 14.0, "modulate": True}
    windows = {"fast_decay": 0.3, "slow_decay": 1.5, "decay_target": 0.01, "decay_shift": 0.0}
    filters = ImplicitFilter(8, convolutions=1, max_length=64, **settings, **windows)(64)[0]
    once = bench_filters([64], width=8, seeds=1, progress=Silent())
    measured = next(f.value for f in once.figures if f.name == f"{published}, 64 lags: gain")
    assert measured == pytest.approx(float(filters.detach().norm(dim=1).median()), rel=1e-4)
