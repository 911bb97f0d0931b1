"""Without a GPU the Triton kernels run in Triton's interpreter, which must be chosen before Triton is imported.

The shared fixtures are a reader and an index that are small and real: the reader is untrained, its answers are what
they are.
"""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ragyena.config import PipelineConfig

if shutil.which("nvidia-smi") is None:
    os.environ.setdefault("TRITON_INTERPRET", "1")


SLOW_TIMEOUT = 1200
"""Seconds that a test marked slow may take on a slow machine, where it has no timeout mark of its own."""


SHARED_BY_FOLDER = {"world"}
"""Fixtures of a session that take seconds: one worker makes them and runs the tests that use them."""


@pytest.hookimpl(tryfirst=True)  # before the plugin of the workers reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_TIMEOUT))
        if (group := _group(item)) and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(group))


def _group(item: pytest.Item) -> str | None:
    """Tests that share the fixtures of a module or class run in one worker: two would make them twice."""
    if not isinstance(item, pytest.Function):
        return None
    definitions = item._fixtureinfo.name2fixturedefs
    if shared := SHARED_BY_FOLDER & definitions.keys():
        return min(shared)
    of_module = any(each[-1].scope in ("module", "class") for each in definitions.values())
    return str(item.path.relative_to(Path(__file__).parent)) if of_module else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Modules and tests are no garbage, and stay: to walk through them takes half a second each time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_sessionfinish() -> None:
    gc.unfreeze()  # Triton complains at the end of what was not collected


@pytest.fixture(scope="session", autouse=True)
def weights_are_hashed_once() -> None:
    from warm import hash_weights_once

    hash_weights_once()


@pytest.fixture
def hashed_embeddings() -> Iterator[None]:
    """Embeddings by the hash of a text, for tests of many texts in which it does not matter which are near."""
    from hashed_embeddings import hashed_embeddings

    with hashed_embeddings():
        yield


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
