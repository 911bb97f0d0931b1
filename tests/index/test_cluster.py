"""Shards on a real Ray cluster of three nodes, of which some are killed: what one process gives, or an error."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ragyena.config import PipelineConfig
from ragyena.errors import ClusterError, IndexCorruptError, IndexNotFoundError, MissingDependencyError
from ragyena.index.cluster import build as building
from ragyena.index.cluster.build import BuildReport, build
from ragyena.index.cluster.catalog import Catalog
from ragyena.index.cluster.serving import ShardedIndex
from ragyena.index.cluster.session import connect
from ragyena.index.index import Index
from ragyena.index.inspection import verify
from ragyena.index.merge import merge
from ragyena.types import ScoredPassage

QUERIES = ["When was the iron bridge of Ashby built?", "ferry", "the keeper of the light house", "开放时间", "xyzzy"]
MODES = ["hybrid", "dense", "lexical"]
TOWNS = [
    "Oldtown",
    "Seaford",
    "Milbrook",
    "Ashby",
    "Dunmore",
    "Kelso",
    "Wick",
    "Tain",
    "Alloa",
    "Perth",
    "Nairn",
    "Ayr",
]
NODE = {"num_cpus": 1, "object_store_memory": 100_000_000, "include_dashboard": False}


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documents")
    for number, town in enumerate(TOWNS):
        text = f"# {town}\n\nThe iron bridge of {town} was built in {1900 + number}. It has {number + 2} arches."
        text += "\n\nA ferry crosses the river.\n" if number % 3 else "\n\nThe light house has a keeper.\n"
        (folder / f"{town}.md").write_text(text, encoding="utf-8")
    (folder / "copy.md").write_text((folder / "Ashby.md").read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "hours.txt").write_text("博物馆的开放时间是九点到五点。", encoding="utf-8")
    rows = "".join(f'{{"title": "Row {i}", "text": "Ferry {i} leaves at {i + 5} o\'clock."}}\n' for i in range(6))
    (folder / "rows.jsonl").write_text(rows, encoding="utf-8")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    return folder


@pytest.fixture(scope="module")
def config(small_config: PipelineConfig) -> PipelineConfig:
    return small_config.model_copy(
        update={"retriever": small_config.retriever.model_copy(update={"mode": "hybrid", "candidates": 12})}
    )


@pytest.fixture(scope="module")
def expected(documents: Path, config: PipelineConfig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """The index of one process."""
    with Index.create(tmp_path_factory.mktemp("one") / "index", settings=config) as index:
        index.add(documents)
        yield index


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'ragyena[cluster]'")
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args=dict(NODE))
    for _ in range(2):
        made.add_node(**NODE)
    yield made
    made.shutdown()


@pytest.fixture(scope="module")
def shards(documents: Path, config: PipelineConfig, cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built while one of the nodes is killed, after the first part is done."""
    folder = tmp_path_factory.mktemp("shards") / "index"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "PART_BYTES_LEAST", 150)  # a part of one or two files
        lost = next(node for node in cluster.worker_nodes)
        report = _built(documents, folder, cluster, config, _Then(lambda: cluster.remove_node(lost, False)))
    assert lost not in cluster.worker_nodes
    assert report.parts > 8
    assert (report.added.total_documents, len(report.added.duplicates)) == (19, 0)
    assert [Path(failure.path).name for failure in report.added.failed] == ["broken.pdf"]
    cluster.add_node(**NODE)
    return folder


class _Then:
    """A progress that does something once, after the first unit."""

    def __init__(self, action: Any) -> None:
        self._action = action

    def start(self, description: str, total: int | None, unit: str) -> None: ...

    def note(self, text: str) -> None: ...

    def advance(self, amount: int, status: str = "") -> None:
        action, self._action = self._action, None
        if action is not None:
            action()


def _built(documents: Path, folder: Path, cluster: Any, config: PipelineConfig, progress: Any = None) -> BuildReport:
    return build([documents], folder, cluster.address, config, shards=3, progress=progress)


def _keys(matches: list[ScoredPassage]) -> list[tuple[int, str, str]]:
    return [(match.passage.passage_id, match.passage.source, match.passage.text) for match in matches]


def _scores(matches: list[ScoredPassage]) -> list[tuple[float, float | None, float | None, float | None]]:
    return [(match.score, match.dense_score, match.lexical_score, match.similarity) for match in matches]


@pytest.mark.slow
def test_a_build_that_lost_a_node_holds_what_one_process_indexes(
    shards: Path, expected: Index, config: PipelineConfig, tmp_path: Path
) -> None:
    folders = Catalog.read(shards).folders(shards)
    assert len(folders) == 3
    assert all(verify(folder).sound for folder in folders)
    report = merge(folders, tmp_path / "whole")
    assert report.ids_kept
    assert verify(tmp_path / "whole").sound
    with Index.open(tmp_path / "whole", settings=config) as whole:
        ids = whole.store.passage_ids().tolist()
        assert ids == expected.store.passage_ids().tolist()
        assert [p.text for p in whole.passages(ids)] == [p.text for p in expected.passages(ids)]
        assert [s.path for s in whole.status().sources if s.complete] == [
            s.path for s in expected.status().sources if s.complete
        ]


@pytest.mark.slow
def test_a_search_that_loses_a_node_finds_what_one_process_finds(
    shards: Path, expected: Index, config: PipelineConfig, cluster: Any, tmp_path: Path
) -> None:
    merge(Catalog.read(shards).folders(shards), tmp_path / "whole")
    with (
        Index.open(tmp_path / "whole", settings=config) as whole,
        connect(cluster.address) as session,
        ShardedIndex(session, shards, config) as index,
    ):
        for mode in MODES:
            for query in QUERIES:
                settings = {"retriever.mode": mode}
                found = index.search(query, k=10, settings=settings)
                assert _keys(found) == _keys(expected.search(query, k=10, settings=settings))
                assert _scores(found) == _scores(whole.search(query, k=10, settings=settings))
        filtered = index.search("ferry", filters={"source": "rows.jsonl"})
        assert _keys(filtered) == _keys(whole.search("ferry", filters={"source": "rows.jsonl"}))
        some = found[0].passage if found else index.search("ferry", k=1)[0].passage
        assert index.document(some.document_id) == whole.document(some.document_id)
        assert index.neighbours(some.passage_id, 2) == whole.neighbours(some.passage_id, 2)

        lost = _node_of_a_shard(index, cluster)
        killer = threading.Thread(target=cluster.remove_node, args=(lost, False))
        killer.start()
        until = time.monotonic() + 8
        while time.monotonic() < until:
            assert _keys(index.search(QUERIES[0], k=10)) == _keys(whole.search(QUERIES[0], k=10))
        killer.join()
        assert _keys(index.search("ferry", k=10)) == _keys(whole.search("ferry", k=10))
    cluster.add_node(**NODE)


def _node_of_a_shard(index: ShardedIndex, cluster: Any) -> Any:
    """A node, not the head, in which a shard is open."""
    import ray

    def here(self: Any) -> str:
        return str(ray.get_runtime_context().get_node_id())

    nodes = {ray.get(shard._actor.__ray_call__.remote(here)) for shard in index._shards}
    return next(node for node in cluster.worker_nodes if node.node_id in nodes)


@pytest.mark.slow
def test_a_build_again_reads_what_is_new_alone(
    shards: Path, documents: Path, config: PipelineConfig, cluster: Any
) -> None:
    before = Catalog.read(shards)
    report = _built(documents, shards, cluster, config)
    assert (report.added.added, report.added.passages, report.added.embedding_seconds) == (0, 0, 0.0)
    assert Catalog.read(shards) == before
    (documents / "new.md").write_text("The stone bridge of Leith was built in 1777.", encoding="utf-8")
    (documents / "hours.txt").write_text("博物馆的开放时间是十点到六点。", encoding="utf-8")
    report = _built(documents, shards, cluster, config)
    assert (report.added.added, report.added.replaced, report.parts) == (1, 1, 1)
    after = Catalog.read(shards)
    assert after.generation == before.generation + 1
    assert all(verify(folder).sound for folder in after.folders(shards))
    assert sorted(folder.name for folder in shards.glob("shard-*")) == [shard.name for shard in after.shards]
    with connect(cluster.address) as session, ShardedIndex(session, shards, config) as index:
        best = index.search("stone bridge of Leith", k=1)[0].passage
        assert best.passage_id > before.last_passage_id
        assert [match.passage.text for match in index.search("十点", k=1)] == ["博物馆的开放时间是十点到六点。"]
        assert not index.search("九点到五点", k=1, filters={"source": "hours.txt"})[0].passage.text.count("九")


@pytest.mark.slow
def test_a_shard_that_is_not_there_is_named(shards: Path, config: PipelineConfig, cluster: Any) -> None:
    folder = Catalog.read(shards).folders(shards)[1]
    store = folder / "store.sqlite"
    store.rename(folder / "away")
    try:
        with (
            connect(cluster.address) as session,
            pytest.raises(IndexCorruptError, match=folder.name),
            ShardedIndex(session, shards, config),
        ):
            pass
    finally:
        (folder / "away").rename(store)
    folder.rename(shards / "elsewhere")
    try:
        with pytest.raises(IndexNotFoundError, match=folder.name):
            ShardedIndex.check(shards)
    finally:
        (shards / "elsewhere").rename(folder)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "nowhere"])
def test_where_there_is_no_cluster_is_said(
    documents: Path, config: PipelineConfig, tmp_path: Path, address: str
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'ragyena[cluster]'")
    with pytest.raises(ClusterError, match="no Ray cluster"):
        build([documents], tmp_path / "index", address, config)
    assert not (tmp_path / "index" / "shards.json").exists()


def test_without_ray_the_extra_is_named(documents: Path, config: PipelineConfig, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['ray'] = None\n"
        "from ragyena.index.cluster.session import connect\n"
        "from ragyena.errors import MissingDependencyError\n"
        "try:\n    connect('local').__enter__()\n"
        "except MissingDependencyError as error:\n    print(error.hint)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == 'pip install "ragyena[cluster]"'
    assert MissingDependencyError.exit_code == 8


@pytest.mark.slow
def test_a_cluster_of_this_machine_listens_on_loopback_alone() -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'ragyena[cluster]'")
    code = (
        "import psutil\n"
        "from ragyena.index.cluster.session import connect\n"
        "with connect('local', workers=1) as session:\n"
        "    assert list(session.each(len, [('abc',)])) == [(0, 3)]\n"
        "    me = psutil.Process()\n"
        "    for process in [me, *me.children(recursive=True)]:\n"
        "        for place in process.net_connections('tcp'):\n"
        "            if place.status == psutil.CONN_LISTEN:\n"
        "                print(place.laddr.ip)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    listening = set(done.stdout.split())
    assert listening
    assert listening <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
