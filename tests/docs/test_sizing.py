"""The page of sizes multiplies measured figures, takes the latest, and says which it assumes."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
if not (DOCS / "sizing.yaml").is_file():
    pytest.skip("runs in a checkout", allow_module_level=True)

SIZING = {
    "passages cut and stored, embedding left out": 1000.0,
    "bytes of text a passage": 900.0,
    "bytes of the store a passage, its text and vectors included": 3000.0,
    "bytes of the ivfpq vector file a passage": 64.0,
    "hybrid search of the 20 best": 2.0,
}


INDEX = {
    "10,023: hybrid search, p50": 3.0,
    "10,023: disk a passage": 4000.0,
    "10,023: vector file a passage": 776.0,
    "1,000,007: hybrid search, p50": 9.0,
    "1,000,007: disk a passage": 3100.0,
    "1,000,007: vector file a passage": 70.0,
}


@pytest.fixture(scope="module")
def sizing() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sizing_page", DOCS / "sizing_page.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules["sizing_page"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def results(tmp_path: Path) -> Path:
    save(tmp_path / "2026-01-01-embed.json", {"passages of 200 tokens embedded": 50.0}, cores=2)
    save(tmp_path / "2026-01-01-sizing.json", SIZING, passages=500_000)
    return tmp_path


def save(path: Path, figures: dict[str, float], *, cores: int = 2, passages: int = 0) -> None:
    values: dict[str, Any] = {"figures": [{"name": name, "value": value} for name, value in figures.items()]}
    values |= {"setting": {"passages": passages}, "machine": {"cores": cores}}
    path.write_text(json.dumps(values), encoding="utf-8")


def test_the_sizes_are_products_of_the_figures(sizing: ModuleType, results: Path) -> None:
    of = sizing.inputs(results, {"passages_per_shard": 5e6, "cores_per_machine": 32, "memory_gb_per_machine": 128})
    size = sizing.size(10_000_000, of)
    assert size.embed_core_hours == pytest.approx(10_000_000 / 25 / 3600)
    assert size.store_core_hours == pytest.approx(10_000_000 / 1000 / 3600)
    assert size.disk_gb == pytest.approx(10_000_000 * 3064 / 1e9)
    assert size.shards == 2
    assert size.search_ms == pytest.approx(2.0 * 5_000_000 / 500_000)
    assert size.machines == 1
    assert sizing.size(1_000_000_000, of).machines == max(-(-(64 + 200 * 1.5) // 128), -(-200 // 32))


def test_the_latest_result_counts_and_what_is_assumed_is_said(sizing: ModuleType, results: Path) -> None:
    assert sizing.inputs(results)["store_bytes"].origin == "2026-01-01-sizing.json"
    assert sizing.inputs(results)["gpu_passages_per_second"].origin == "assumed"
    save(results / "2026-02-01-sizing.json", SIZING | {"bytes of text a passage": 800.0}, passages=1)
    save(results / "2026-01-15-index.json", INDEX)
    save(results / "2026-02-01-embed-h200.json", {"passages of 200 tokens embedded": 8000.0})
    of = sizing.inputs(results)
    assert (of["store_text_bytes"].value, of["search_ms"].value, of["search_ms"].at) == (800.0, 9.0, 1_000_007)
    assert (of["store_bytes"].value, of["vector_file_bytes"].value) == (3000.0, 70.0)
    assert of["gpu_passages_per_second"].value == 8000.0
    assert of["stored_per_core_second"].origin == "2026-02-01-sizing.json"
    page = sizing.page(results)
    assert "`2026-02-01-embed-h200.json`" in page and "**assumed**" in page
    assert not [brace for brace in "{}" if brace in page]


def test_a_search_among_few_passages_says_nothing_of_millions(sizing: ModuleType, results: Path) -> None:
    save(results / "2026-02-01-sizing.json", SIZING, passages=9_000)
    assert sizing.size(10_000_000, sizing.inputs(results)).search_ms is None
    assert "not measured" in sizing.page(results)


def test_assumptions_can_be_given_and_measured_figures_cannot(sizing: ModuleType, results: Path) -> None:
    assert sizing.inputs(results, {"core_hour": 1.0})["core_hour"].value == 1.0
    with pytest.raises(KeyError, match="store_bytes"):
        sizing.inputs(results, {"store_bytes": 1.0})
    (results / "2026-01-01-sizing.json").unlink()
    with pytest.raises(ValueError, match="no result holds"):
        sizing.inputs(results)
