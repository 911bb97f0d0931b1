"""Without a GPU the Triton kernels run in Triton's interpreter, which must be chosen before Triton is imported.

The shared fixtures are a reader and an index that are small and real: the reader is untrained, its answers are what
they are.
"""

from __future__ import annotations

import gc
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ragyena.config import PipelineConfig

if shutil.which("nvidia-smi") is None:
    os.environ.setdefault("TRITON_INTERPRET", "1")


SLOW_TIMEOUT = 1200
"""Seconds that a test marked slow may take on a slow machine, where it has no timeout mark of its own."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_TIMEOUT))


def pytest_collection_finish() -> None:
    """The modules and tests stay: to walk through them takes half a second in every full collection of garbage."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    gc.unfreeze()  # Triton complains at the end of what was not collected


@pytest.fixture(scope="session")
def small_reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder."""
    from small_world import save_small_reader

    return save_small_reader(tmp_path_factory.mktemp("reader"))


@pytest.fixture(scope="session")
def small_config(small_reader: Path) -> PipelineConfig:
    """Keyword search and the small reader, which withholds nothing."""
    from ragyena.config import PipelineConfig, ReaderConfig, RetrieverConfig

    return PipelineConfig(
        reader=ReaderConfig(checkpoint=str(small_reader), threshold=0.0, dtype="float32"),
        retriever=RetrieverConfig(mode="lexical"),
    )


@pytest.fixture(scope="session")
def small_index(small_config: PipelineConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of ``FACTS``, with embeddings."""
    from small_world import FACTS

    from ragyena.index.index import Index

    folder = tmp_path_factory.mktemp("facts")
    for name, text in FACTS.items():
        (folder / name).write_text(text, encoding="utf-8")
    index = tmp_path_factory.mktemp("indexes") / "facts"
    with Index.create(index, settings=small_config) as made:
        made.add([folder])
    return index
