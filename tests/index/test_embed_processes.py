"""Passages embedded by several processes: the same index as by one, whatever becomes of the processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
import pytest

from ragyena import Index
from ragyena.errors import EmbeddingError
from ragyena.index import embed_processes
from ragyena.index.embed_processes import Embedding, _visible_gpu, process_count
from ragyena.index.embedder import BUNDLED, Embedder
from ragyena.types import Silent

TWO = {"index.embed_processes": 2}
ROWS = 600
"""Documents of one passage: more than the number from which processes are started, and three commits."""


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Short texts of different lengths, a pair of which is the same in two places."""
    return write_rows(tmp_path / "rows.jsonl", ROWS)


def write_rows(file: Path, count: int) -> Path:
    texts = [f"Bridge {n} was built in {1000 + n}" + ", and its arches are of stone" * (n % 4) for n in range(count)]
    texts[count - 2] = texts[1]
    file.write_text("".join(f'{{"text": "{text}."}}\n' for text in texts), encoding="utf-8")
    return file


def stored(index: Index) -> tuple[list[tuple[int, str]], npt.NDArray[np.float32]]:
    """Ids and texts of all passages, and their vectors, in the order of the ids."""
    batches = list(index.store.vectors(index.manifest.dimension))
    ids = np.concatenate([ids for ids, _ in batches])
    texts = [(passage.passage_id, passage.text) for passage in index.passages(ids.tolist())]
    return texts, np.concatenate([vectors for _, vectors in batches]).astype(np.float32)


@pytest.mark.slow
def test_two_processes_make_the_index_that_one_makes(rows: Path, tmp_path: Path) -> None:
    with Index.create(tmp_path / "one") as one:
        one.add(rows)
        ours, our_vectors = stored(one)
    with Index.create(tmp_path / "two", settings=TWO) as two:
        report = two.add(rows)
        theirs, their_vectors = stored(two)
        assert two.verify().sound
    assert report.passages == ROWS - 1 and len(report.duplicates) == 1
    assert report.embedding_seconds > 0
    assert theirs == ours
    np.testing.assert_allclose(their_vectors, our_vectors, atol=5e-3)
    assert float((their_vectors * our_vectors).sum(axis=1).min()) > 0.999
    assert not _children()


@pytest.mark.slow
def test_a_process_that_dies_is_named_and_leaves_whole_batches(
    rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[int] = []

    class KillAtSecondBatch(Silent):
        def advance(self, amount: int, status: str = "") -> None:
            if amount > 1 and self.embedding and not killed:
                worker = _children()[0]
                killed.append(worker.pid)
                worker.kill()

        def start(self, description: str, total: int | None, unit: str) -> None:
            self.embedding = description == "embedding"

    monkeypatch.setattr(embed_processes, "PIECE", 64)
    with Index.create(tmp_path / "index", settings=TWO) as index:
        with pytest.raises(EmbeddingError, match=r"embedding process \d of 2 ended with code -9.*memory") as failed:
            index.add(rows, progress=KillAtSecondBatch())
        assert "index.embed_processes=1" in failed.value.hint
        assert killed and not _children()
        assert index.verify().sound
        held = index.status().counts.passages
        assert held in (0, 256, 512)
        report = index.add(rows, progress=Silent())
        assert report.passages == ROWS - 1 - held
        assert index.verify().sound


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs signals to a group of processes")
def test_an_interrupt_ends_all_processes(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", 30 * ROWS)  # more than are embedded before the interrupt comes
    command = [*(sys.executable, "-m", "ragyena", "index", "add", str(rows)), "--processes", "2"]
    process = subprocess.Popen(
        [*command, "--index", str(tmp_path / "index")],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that the interrupt reaches the whole group, as Ctrl-C does
    )
    try:
        workers: list[psutil.Process] = []
        until = time.monotonic() + 120
        while len(workers) < 2 and time.monotonic() < until:
            assert process.poll() is None, process.stderr and process.stderr.read()
            children = psutil.Process(process.pid).children()
            workers = [child for child in children if "embed_worker" in " ".join(child.cmdline())]
            time.sleep(0.05)
        time.sleep(1.0)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
    assert process.returncode == 130
    assert "Traceback" not in errors and "run the same command again" in errors
    psutil.wait_procs(workers, timeout=10)
    assert not any(worker.is_running() for worker in workers)


def test_few_texts_start_no_process() -> None:
    with Embedding(Embedder.open(BUNDLED), 2) as embedding:
        embedding.expect(embed_processes.LEAST - 1)
        assert embedding.ahead == 0
        counts: list[int] = []
        vectors = embedding.submit(["A bridge.", "A lamp."]).result(counts.append)
        assert vectors.shape == (2, 384) and sum(counts) == 2
        assert not _children()


def test_processes_take_the_gpus_that_are_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embed_processes, "_gpus", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5, 7")
    assert process_count(0) == 2 and process_count(3) == 3
    assert [_visible_gpu(number) for number in range(3)] == ["5", "7", "5"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert [_visible_gpu(number) for number in range(3)] == ["0", "1", "0"]
    monkeypatch.setattr(embed_processes, "_gpus", lambda: 0)
    assert process_count(0) == 1 and _visible_gpu(0) is None


@pytest.fixture(autouse=True)
def _no_process_is_left() -> Iterator[None]:
    yield
    assert not _children()


def _children() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children()
        if child.status() != psutil.STATUS_ZOMBIE and "embed_worker" in " ".join(child.cmdline())
    ]
