"""A roofline of small matrices: the large ones take minutes where a CPU lacks their type."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def small_roofline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ragyena.bench.roofline._SIZE", 512)
    monkeypatch.setattr("ragyena.bench.roofline._COPIED", 1 << 24)
