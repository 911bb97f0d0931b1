"""A reader and an index that are small and real: the reader is untrained, its answers are what they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_world import FACTS, save_small_reader

from ragyena.config import PipelineConfig, ReaderConfig, RetrieverConfig
from ragyena.pipelines.index import add


@pytest.fixture(scope="session")
def small_reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder."""
    return save_small_reader(tmp_path_factory.mktemp("reader"))


@pytest.fixture(scope="session")
def small_config(small_reader: Path) -> PipelineConfig:
    """Keyword search and the small reader, which withholds nothing."""
    return PipelineConfig(
        reader=ReaderConfig(checkpoint=str(small_reader), threshold=0.0, dtype="float32"),
        retriever=RetrieverConfig(mode="lexical"),
    )


@pytest.fixture(scope="session")
def small_index(small_config: PipelineConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of ``FACTS``, with embeddings."""
    folder = tmp_path_factory.mktemp("facts")
    for name, text in FACTS.items():
        (folder / name).write_text(text, encoding="utf-8")
    index = tmp_path_factory.mktemp("indexes") / "facts"
    add([folder], index, small_config)
    return index
