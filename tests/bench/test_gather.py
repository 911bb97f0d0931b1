"""The benchmark of retrieval and packing: a large index that can be built in parts, and what is measured on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ragyena.bench.gather import bench_gather
from ragyena.bench.large_index import build_large
from ragyena.config import PipelineConfig, ReaderConfig
from ragyena.index.index import Index
from ragyena.index.inspection import verify


def test_an_index_is_built_once_goes_on_and_is_measured(tmp_path: Path, small_reader: Path) -> None:
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
