"""Shards without a cluster: the tasks of a build, and the shards as one index, all in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from rich.console import Console

from ragyena.bench.large_index import SeededVectors
from ragyena.cli.chat import _Conversation
from ragyena.cli.cluster import opened_pipeline
from ragyena.config import PipelineConfig
from ragyena.index import vectors
from ragyena.index.cluster.catalog import Catalog
from ragyena.index.cluster.serving import ShardedIndex
from ragyena.index.cluster.session import Session
from ragyena.index.cluster.work import KEPT, ShardTask, learn_clusters, write_shard
from ragyena.index.index import Index
from ragyena.types import Document

DOCUMENTS = 600
CONFIG = PipelineConfig()


class _Here:
    """Takes the place of a session and of what it keeps: everything is done in this process, at once."""

    def __init__(self, held: Any = None) -> None:
        self._held = held

    def keep(self, kind: type, *arguments: Any, name: str) -> _Here:
        return _Here(kind(*arguments))

    def begin(self, method: str, *arguments: Any) -> Callable[[], Any]:
        result = getattr(self._held, method)(*arguments)
        return lambda: result

    def end(self) -> None:
        self._held._index.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    folder = tmp_path_factory.mktemp("whole") / "index"
    towns = [
        Document(f"towns/{number:03}.txt", f"The bridge of town {number} was built in {1300 + number}.")
        for number in range(DOCUMENTS)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectors, "IVFPQ_LEAST", DOCUMENTS // 4)
        with Index.create(folder, settings={"index.vector_index": "ivfpq"}) as index:
            index.use_embedder(SeededVectors(index.embedder(), 1))
            index.add(towns)
            yield index


@pytest.fixture(scope="module")
def shards(whole: Index, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards with the documents of the whole, written with clusters that were learned once."""
    folder = tmp_path_factory.mktemp("shards")
    with pytest.MonkeyPatch.context() as patch:
        trained = folder / "trained.faiss"
        inputs = (str(whole.folder),)
        learn_clusters(str(trained), inputs, DOCUMENTS // 2)
        patch.setattr(vectors, "_learned", lambda *_: pytest.fail("clusters were learned again"))
        learn_clusters(str(trained), inputs, DOCUMENTS // 2)
        written = []
        for number in range(2):
            ids = np.arange(1 + number, DOCUMENTS + 1, 2)
            rows = np.stack([ids, ids, np.full(len(ids), KEPT)], axis=1)
            place = str(folder / f"shard-1-{number:05}")
            task = ShardTask(place, number, 2, inputs, (rows,), (frozenset(),), str(trained))
            written.append(write_shard(task))
        trained.unlink()
    Catalog(generation=1, shards=written, last_document_id=DOCUMENTS, last_passage_id=DOCUMENTS).write(folder)
    return folder


def test_shards_share_the_clusters_that_were_learned_once(whole: Index, shards: Path) -> None:
    for shard in Catalog.read(shards).folders(shards):
        with Index.open(shard) as index:
            held = index.manifest.vectors
            assert held is not None and (held.kind, held.count) == ("ivfpq", DOCUMENTS // 2)
            ids, stored = next(index.store.vectors(index.manifest.dimension))
            for place in range(0, len(ids), 30):
                best = index.nearest(stored[place].astype(np.float32), k=1)[0]
                assert best.passage.passage_id == ids[place]


def test_shards_list_the_files_of_all(whole: Index, shards: Path) -> None:
    with ShardedIndex(cast(Session, _Here()), shards, CONFIG) as index:
        assert (index.manifest.documents, index.manifest.passages) == (DOCUMENTS, DOCUMENTS)
        for containing, offset, limit in [("", 0, 100), ("TOWNS/1", 90, 20), ("nowhere", 0, 5)]:
            ours = index.files(containing=containing, offset=offset, limit=limit)
            theirs = whole.files(containing=containing, offset=offset, limit=limit)
            assert ours.total == theirs.total
            assert [(f.path, f.documents, f.document_id) for f in ours.files] == [
                (f.path, f.documents, f.document_id) for f in theirs.files
            ]


def test_a_conversation_and_a_selection_are_held_on_shards(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def here(address: str) -> Iterator[_Here]:
        assert address == "here"
        yield _Here()

    monkeypatch.setattr("ragyena.index.cluster.session.connect", here)
    shown = Console(file=StringIO(), width=100)
    config = CONFIG.model_copy(update={"retriever": CONFIG.retriever.model_copy(update={"mode": "lexical"})})
    with opened_pipeline("here", str(shards), config) as pipeline:
        evidence = pipeline.select("When was the bridge of town 77 built?", passages=1)
        assert "town 77 was built in 1377" in evidence.pieces[0].passage.text
        conversation = _Conversation(pipeline, shown, {}, lambda question, filters: pipeline.ask(question))
        conversation.run(iter(["When was the bridge of town 41 built?", "/show", "/sources 04"]))
    said = cast(StringIO, shown.file).getvalue()
    assert "1341" in said and "towns/041.txt" in said and "files" in said
