"""Vector files: the kind by the number of vectors, recall as brute force finds it, and extension."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from ragyena.errors import IndexCorruptError
from ragyena.index import vectors as module
from ragyena.index.vectors import (
    FLAT_MOST,
    RECALL_ENOUGH,
    VectorFile,
    VectorIndex,
    choose_kind,
    write_trained,
    write_vectors,
)

pytestmark = pytest.mark.xdist_group("vectors")  # one worker trains the codes
DIMENSION = 32
COUNT = 10_000
HEADER_BYTES = 4 + 8 + 8 + 8 + 1 + 4
"""Header of a FAISS file: dimension, count, two unused numbers, whether it is trained, the metric."""
Batch = tuple[npt.NDArray[np.int64], npt.NDArray[np.float16]]


def clustered(count: int, seed: int) -> npt.NDArray[np.float16]:
    """Unit vectors around 200 centres, with neighbours as texts of some subjects have them."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((200, DIMENSION))
    vectors = centres[rng.integers(0, 200, count)] + 0.7 * rng.standard_normal((count, DIMENSION))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def batches(ids: npt.NDArray[np.int64], vectors: npt.NDArray[np.float16]) -> Callable[[int], Iterator[Batch]]:
    def after(last: int) -> Iterator[Batch]:
        for first in range(0, len(ids), 3000):
            some = slice(first, first + 3000)
            kept = ids[some] > last
            yield ids[some][kept], vectors[some][kept]

    return after


@pytest.fixture(scope="module")
def stored() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float16]]:
    return np.arange(1, COUNT + 1, dtype=np.int64) * 3, clustered(COUNT, 1)


@pytest.fixture(scope="module")
def written(
    stored: tuple[npt.NDArray[np.int64], npt.NDArray[np.float16]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, VectorFile]:
    path = tmp_path_factory.mktemp("vectors") / "vectors-1.faiss"
    ids, vectors = stored
    file = write_vectors(
        path, batches(ids, vectors), dimension=DIMENSION, count=COUNT, last_id=int(ids[-1]), setting="ivfpq"
    )
    return path, file


def test_auto_is_exact_up_to_a_hundred_thousand() -> None:
    assert choose_kind("auto", FLAT_MOST)[0] == "flat"
    kind, reason = choose_kind("auto", 1_000_000)
    assert (kind, reason) == ("ivfpq", "1,000,000 passages are more than 100,000")
    assert choose_kind("hnsw", 5)[0] == "hnsw"
    assert choose_kind("ivfpq", 5)[0] == "flat"


def test_recall_is_what_brute_force_says(
    stored: tuple[npt.NDArray[np.int64], npt.NDArray[np.float16]], written: tuple[Path, VectorFile]
) -> None:
    path, file = written
    ids, vectors = stored
    assert file.kind == "ivfpq" and file.count == COUNT
    assert file.recall >= RECALL_ENOUGH
    assert file.size < COUNT * (DIMENSION + 40), "codes, not vectors"
    opened = VectorIndex.open(path.parent, file, DIMENSION)
    queries = clustered(50, 2).astype(np.float32)
    scores = queries @ vectors.astype(np.float32).T
    true = ids[np.argsort(-scores, axis=1)[:, :20]]
    shared = [len(np.intersect1d(opened.search(query, 20)[0], best)) for query, best in zip(queries, true)]
    assert sum(shared) / true.size >= 0.95


def test_questions_between_passages_find_their_nearest(
    stored: tuple[npt.NDArray[np.int64], npt.NDArray[np.float16]], written: tuple[Path, VectorFile]
) -> None:
    path, file = written
    ids, vectors = stored
    rng = np.random.default_rng(6)
    queries = vectors[rng.integers(0, COUNT, (60, 2))].astype(np.float32).sum(1)
    queries += 0.5 * rng.standard_normal(queries.shape, np.float32) / np.sqrt(DIMENSION)
    true = ids[np.argsort(-(queries @ vectors.astype(np.float32).T), axis=1)[:, :20]]
    opened = VectorIndex.open(path.parent, file, DIMENSION)
    assert opened.recall(queries, list(true)) >= 0.95


def test_a_search_within_few_looks_at_all_of_them(
    stored: tuple[npt.NDArray[np.int64], npt.NDArray[np.float16]], written: tuple[Path, VectorFile]
) -> None:
    path, file = written
    ids, vectors = stored
    opened = VectorIndex.open(path.parent, file, DIMENSION)
    allowed = np.sort(np.random.default_rng(3).choice(ids, 40, replace=False))
    found, _ = opened.search(vectors[7].astype(np.float32), 40, allowed)
    assert sorted(found.tolist()) == allowed.tolist()


def test_extension_adds_what_is_new_and_keeps_the_rest(
    stored: tuple[npt.NDArray[np.int64], npt.NDArray[np.float16]], written: tuple[Path, VectorFile], tmp_path: Path
) -> None:
    path, file = written
    ids, vectors = stored
    more_ids = np.arange(ids[-1] + 1, ids[-1] + 501, dtype=np.int64)
    more = clustered(500, 4)
    read: list[int] = []

    def after(last: int) -> Iterator[Batch]:
        read.append(last)
        yield from batches(np.concatenate([ids, more_ids]), np.concatenate([vectors, more]))(last)

    longer = write_vectors(
        tmp_path / "vectors-2.faiss",
        after,
        dimension=DIMENSION,
        count=COUNT + 500,
        last_id=int(more_ids[-1]),
        setting="ivfpq",
        extend=(path, file),
    )
    assert read == [file.last_id], "what the file holds is not read again"
    assert (longer.count, longer.recall) == (COUNT + 500, file.recall)
    opened = VectorIndex.open(tmp_path, longer, DIMENSION)
    assert more_ids[9] in opened.search(more[9].astype(np.float32), 5)[0]
    assert ids[9] in opened.search(vectors[9].astype(np.float32), 5)[0]


def test_files_with_clusters_learned_once_find_what_brute_force_does(
    stored: tuple[npt.NDArray[np.int64], npt.NDArray[np.float16]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two files, as of two shards, with the clusters and codes that were learned from a sample of both."""
    ids, vectors = stored
    monkeypatch.setattr(module, "IVFPQ_LEAST", COUNT // 2)
    trained = tmp_path / "trained.faiss"
    write_trained(trained, vectors.astype(np.float32), count=COUNT // 2)
    monkeypatch.setattr(module, "_learned", lambda *_: pytest.fail("it learned clusters of its own"))
    queries = clustered(50, 2).astype(np.float32)
    for half in (slice(0, COUNT, 2), slice(1, COUNT, 2)):
        held, codes = ids[half], vectors[half]
        path = tmp_path / f"vectors-{half.start}.faiss"
        file = write_vectors(
            path,
            batches(held, codes),
            dimension=DIMENSION,
            count=len(held),
            last_id=int(held[-1]),
            setting="ivfpq",
            trained=trained,
        )
        assert file.kind == "ivfpq" and file.count == len(held) and file.recall >= RECALL_ENOUGH
        opened = VectorIndex.open(tmp_path, file, DIMENSION)
        true = held[np.argsort(-(queries @ codes.astype(np.float32).T), axis=1)[:, :20]]
        shared = [len(np.intersect1d(opened.search(query, 20)[0], best)) for query, best in zip(queries, true)]
        assert sum(shared) / true.size >= 0.95


def test_clusters_of_other_vectors_are_refused(
    stored: tuple[npt.NDArray[np.int64], npt.NDArray[np.float16]], tmp_path: Path
) -> None:
    ids, vectors = stored
    write_trained(tmp_path / "trained.faiss", vectors[:, : DIMENSION // 2].astype(np.float32), count=COUNT)
    with pytest.raises(IndexCorruptError, match=f"dimension {DIMENSION // 2}, not {DIMENSION}"):
        write_vectors(
            tmp_path / "vectors-1.faiss",
            batches(ids, vectors),
            dimension=DIMENSION,
            count=COUNT,
            last_id=int(ids[-1]),
            setting="ivfpq",
            trained=tmp_path / "trained.faiss",
        )
    assert not (tmp_path / "vectors-1.faiss").exists()


def test_a_file_of_too_many_clusters_to_look_into_is_damaged(written: tuple[Path, VectorFile], tmp_path: Path) -> None:
    path, file = written
    data = bytearray(path.read_bytes())
    header = data.index(b"IwPQ") + 4 + HEADER_BYTES
    data[header + 8 : header + 16] = (2**40).to_bytes(8, "little")
    (tmp_path / file.name).write_bytes(data)
    with pytest.raises(IndexCorruptError, match="clusters to look into"):
        VectorIndex.open(tmp_path, file, DIMENSION)


@pytest.mark.parametrize("kind_of_vectors", ["clustered", "random", "few values", "far out"])
def test_a_sieve_changes_no_match(kind_of_vectors: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    vectors = clustered(COUNT, 4).astype(np.float32)
    if kind_of_vectors == "random":
        vectors = rng.standard_normal(vectors.shape, np.float32)
    elif kind_of_vectors == "few values":
        vectors = np.sign(vectors)
    elif kind_of_vectors == "far out":  # codes of some vectors are wrong by far
        vectors[::100, 3] *= 8
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    ids = np.arange(1, COUNT + 1, dtype=np.int64) * 3
    file = write_vectors(
        tmp_path / "vectors-1.faiss",
        batches(ids, vectors),
        dimension=DIMENSION,
        count=COUNT,
        last_id=int(ids[-1]),
        setting="flat",
    )
    queries = [vectors[17].astype(np.float32), *clustered(6, 9).astype(np.float32)]
    plain, sieved = (VectorIndex.open(tmp_path, file, DIMENSION) for _ in range(2))
    expected = [plain.search(query, count) for query in queries for count in (1, 20, 200)]
    monkeypatch.setattr(module, "SIEVED_LEAST", 1000)
    monkeypatch.setattr(module, "SIEVED_AFTER", 2)
    for (wanted_ids, wanted_scores), (query, count) in zip(
        expected, [(query, count) for query in queries for count in (1, 20, 200)], strict=True
    ):
        found, scores = sieved.search(query, count)
        assert np.array_equal(scores, wanted_scores)
        assert (
            np.array_equal(found, wanted_ids) or sorted(found) == sorted(wanted_ids) or kind_of_vectors == "few values"
        )
    assert sieved._sieve is not None
    allowed = ids[::50]
    assert set(sieved.search(queries[0], 30, allowed)[0].tolist()) <= set(allowed.tolist())
