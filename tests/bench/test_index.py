"""Varied text is the same in every run and spans rare and common words; the benchmark of a small index is whole."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ragyena.bench import index as bench
from ragyena.bench.index import bench_index
from ragyena.bench.varied import PAGES, VariedCorpus, read_sentences
from ragyena.config import PipelineConfig
from ragyena.errors import UsageError
from ragyena.index.index import Index
from ragyena.report.index_growth import draw_growth
from ragyena.types import Silent


@pytest.fixture(scope="module")
def sentences() -> list[str]:
    return read_sentences()


def test_varied_text_is_the_same_from_any_start(sentences: list[str]) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((len(sentences), 16), dtype=np.float32)
    corpus = VariedCorpus(sentences, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    made = list(corpus.documents(0, 300))
    later = list(corpus.documents(250, 50))
    assert [document for document, _ in made[250:]] == [document for document, _ in later]
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(made[250:], later))
    texts = [page for document, _ in made for page in document.text.split("\n")]
    assert len(texts) == 300 * PAGES and len(set(texts)) > 0.99 * len(texts)
    held = Counter(word for text in texts for word in set(text.lower().split()))
    shares = np.array(sorted(held.values())) / len(texts)
    assert shares[-1] > 0.5 and np.median(shares) < 0.001, "a few words in most pages, most words in one"
    assert all(abs(float(np.linalg.norm(row)) - 1) < 1e-4 for _, rows in made[:5] for row in rows)


@pytest.mark.slow
def test_a_small_index_is_measured_whole(sentences: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "read_sentences", lambda: sentences[::8])
    monkeypatch.setattr(bench, "OPENINGS", 1)
    result, rows = bench_index(PipelineConfig(), tmp_path / "index", [2000, 4000], questions=20, progress=Silent())
    assert [row.passages for row in rows] == pytest.approx([2000, 4000], rel=0.02)
    assert all(row.recall == 1.0 and row.kind.startswith("flat") for row in rows)
    assert rows[1].build_seconds > rows[0].build_seconds > 0
    assert rows[0].hybrid_p99 >= rows[0].hybrid_p50 >= 0
    assert {figure.name.partition(":")[0] for figure in result.figures} == {f"{row.passages:,}" for row in rows}
    assert "<svg" in draw_growth(result.setting["sizes"])
    with Index.open(tmp_path / "index") as index:
        assert index.verify().sound
        assert index.status().passages == rows[1].passages


def test_sizes_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--passages"):
        bench_index(PipelineConfig(), tmp_path / "index", [5], questions=20, progress=Silent())
