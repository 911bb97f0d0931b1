"""The benchmark of retrieval and packing: a large index that can be built in parts, and what is measured on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ragyena.bench import ask_device
from ragyena.bench.ask_device import bench_ask_device
from ragyena.bench.ask_parts import percentile
from ragyena.bench.gather import bench_gather
from ragyena.bench.large_index import build_large
from ragyena.config import PipelineConfig, ReaderConfig
from ragyena.index.index import Index
from ragyena.index.inspection import verify


def test_an_index_is_built_once_goes_on_and_is_measured(
    tmp_path: Path, small_reader: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ask_device, "TOGETHER", 2048)
    folder = tmp_path / "index"
    first = build_large(folder, 500, seed=1)
    assert first >= 500
    with Index.open(folder) as index:
        kept = next(iter(index.store.vectors(384)))[1]
    held = build_large(folder, first + 100, seed=1)
    assert held >= first + 100
    assert build_large(folder, 1000, seed=1) == held
    with Index.open(folder) as index:
        assert np.array_equal(next(iter(index.store.vectors(384)))[1][:first], kept)
        counts = index.store.row(
            "SELECT (SELECT count(*) FROM packing), (SELECT count(*) FROM passages)", types=(int,) * 2
        )
        assert counts == (held, held)
        texts = [match.passage.text for match in index.candidates("How long is the coastline of Honduras?", k=400)]
        assert len(set(texts)) == len(texts)
    assert verify(folder).sound
    config = PipelineConfig(reader=ReaderConfig(checkpoint=str(small_reader)))
    result = bench_gather(config, folder, passages=1000, contexts=[1024, 8192], rounds=3, read=True)
    figures = {figure.name: figure for figure in result.figures if "tokens:" in figure.name}
    assert [figure.limit for figure in figures.values()] == [None, 12.0]
    assert all(figure.samples == 27 and figure.p95 and figure.p95 >= figure.value > 0 for figure in figures.values())
    sizes = {figure.name.strip(): figure.value for figure in result.figures}
    assert 100 < sizes["kept for packing beside it"] < sizes["a passage: text"]
    assert result.setting["passages"] == held and "random" in result.setting["corpus"]
    result = bench_ask_device(config, folder, passages=1000, contexts=[1024, 8192], rounds=3)
    figures = {figure.name: figure for figure in result.figures}
    whole = figures["8,192 tokens: a whole question"]
    assert whole.limit == 30.0 and whole.samples == 27 and whole.p95 and "1,024 tokens: a whole question" in figures
    for part in ("retrieve", "pack", "to the device", "read", "decode", "cite"):
        assert 0 < figures[f"  {part}"].value < 10 * whole.value
    rates = [figure for figure in result.figures if figure.unit in ("questions/s", "contexts/s")]
    assert len(rates) == 4 and all(rate.value > 0 for rate in rates)
    assert percentile(whole, 40.0).value == whole.p95 and percentile(whole, 40.0).limit == 40.0
