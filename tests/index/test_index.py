"""Adding, removing and verifying through real files and real processes: killed, locked out, out of space."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import Ragyena, Result

from ragyena.config import IndexConfig, PipelineConfig
from ragyena.errors import (
    EmptyQuestionError,
    IndexLockedError,
    IndexMismatchError,
    IndexNotFoundError,
    NothingToIndexError,
    PathNotFoundError,
    UsageError,
)
from ragyena.index.add import AddReport
from ragyena.index.index import Index
from ragyena.index.inspection import IndexStatus, verify
from ragyena.index.storage import locate
from ragyena.index.writer import Writer
from ragyena.types import Document, Progress, ScoredPassage

CONFIG = PipelineConfig(index=IndexConfig(passage_tokens=64))
CHILD = """
import sys
from pathlib import Path
from ragyena.config import IndexConfig, PipelineConfig
from ragyena.errors import RagyenaError
from ragyena.index.index import Index
from ragyena.index import ingest
ingest.COMMIT_PASSAGES = 8
print("ready", flush=True)
try:
    config = PipelineConfig(index=IndexConfig(passage_tokens=64))
    with Index.open(Path(sys.argv[1]), create=True, lazy=True, settings=config) as index:
        report = index.add([Path(p) for p in sys.argv[2:]])
    print(report.documents, report.total_documents)
except RagyenaError as error:
    print(type(error).__name__, error)
    sys.exit(error.exit_code)
"""


def add(
    paths: list[Path], folder: Path, config: PipelineConfig, *, prune: bool = False, progress: Progress | None = None
) -> AddReport:
    with Index.open(folder, create=True, lazy=True, settings=config) as index:
        return index.add(paths, prune=prune, progress=progress)


def status(folder: Path) -> IndexStatus:
    with Index.open(folder, lazy=True, settings=CONFIG) as index:
        return index.status()


def search(folder: Path, query: str, mode: str = "hybrid", *, k: int, **filters: str) -> list[ScoredPassage]:
    with Index.open(folder, settings=CONFIG) as index:
        return index.search(query, k=k, filters=filters or None, settings={"retriever.mode": mode})


def remove(folder: Path, document: str) -> int:
    with Index.open(folder, settings=CONFIG) as index:
        return index.remove(document)


def child(index: Path, *paths: Path, **options: object) -> subprocess.Popen[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", CHILD, str(index), *map(str, paths)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, **options)  # type: ignore[call-overload, no-any-return]


def adding(index: Path, *paths: Path) -> Result:
    """``child`` to its end, which imports nothing anew."""
    script = index.parent / "adds.py"
    script.write_text(CHILD)
    return Ragyena(index.parent).script(script, index, *paths)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    (folder / "sub").mkdir(parents=True)
    (folder / "bridge.txt").write_text("The old bridge was built in 1893 by Anna Lindqvist.")
    (folder / "sub" / "whale.md").write_text("# Whales\n\nThe blue whale can weigh 190 tonnes.\n")
    rows = [
        {"title": f"Town {n}", "text": f"Town number {n} was founded in {1000 + n}.", "n": str(n)} for n in range(12)
    ]
    (folder / "towns.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def top_source(index: Path, query: str, **filters: str) -> str:
    hits = search(index, query, k=1, **filters)
    return hits[0].passage.source.rpartition("/")[2] if hits else ""


def sound(index: Path) -> bool:
    report = verify(index)
    assert report.problems == ()
    return report.sound


def rows_file(path: Path, count: int) -> Path:
    rows = ({"title": f"Item {n}", "text": f"Item {n} weighs {n * 7} grams."} for n in range(count))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


# ---------------------------------------------------------------------------------------------------------------
# Adding
# ---------------------------------------------------------------------------------------------------------------


def test_add_is_incremental(corpus: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    report = add([corpus], index, CONFIG)
    assert (report.created, report.files, report.added, report.documents, report.failed) == (True, 3, 3, 14, ())
    assert top_source(index, "Who built the bridge?") == "bridge.txt"
    assert top_source(index, "When was town 7 founded?", n="7").startswith("towns.jsonl#")
    assert sound(index)

    report = add([corpus], index, CONFIG)
    assert (report.created, report.added, report.replaced, report.unchanged, report.documents) == (False, 0, 0, 3, 0)

    (corpus / "bridge.txt").write_text("The new tunnel was dug in 1950.")
    (corpus / "sub" / "fern.txt").write_text("Ferns grow in the shade.")
    (corpus / "sub" / "whale.md").unlink()
    report = add([corpus], index, CONFIG)
    assert (report.added, report.replaced, report.unchanged, report.removed) == (1, 1, 1, 0)
    assert top_source(index, "tunnel") == "bridge.txt"
    assert [h.passage.text for h in search(index, "Anna Lindqvist", "lexical", k=9)] == []
    assert top_source(index, "blue whale") == "whale.md"

    report = add([corpus], index, CONFIG, prune=True)
    assert (report.removed, report.unchanged) == (1, 3)
    assert top_source(index, "blue whale") != "whale.md"
    assert sound(index)


def test_rows_that_stay_are_not_embedded_again(corpus: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    add([corpus], index, CONFIG)
    lines = (corpus / "towns.jsonl").read_text().splitlines(keepends=True)
    new = json.dumps({"title": "Harbour", "text": "The harbour freezes in January.", "n": "99"}) + "\n"
    (corpus / "towns.jsonl").write_text("".join([new, *lines[1:]]))  # row 0 replaced
    report = add([corpus], index, CONFIG)
    assert (report.replaced, report.documents) == (1, 1)
    (corpus / "towns.jsonl").write_text("".join([lines[0], new, *lines[1:]]))  # every other row moves down
    report = add([corpus], index, CONFIG)
    assert (report.replaced, report.documents, report.total_documents) == (1, 1, 15)
    assert top_source(index, "founded", n="11") == "towns.jsonl#13"
    assert sound(index)


def test_equal_content_is_stored_once_and_outlives_one_of_its_files(corpus: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    shutil.copy(corpus / "bridge.txt", corpus / "sub" / "copy.txt")
    report = add([corpus], index, CONFIG)
    (duplicate,) = report.duplicates
    assert Path(duplicate.source).name == "copy.txt"
    assert Path(duplicate.same_as).name == "bridge.txt"
    assert report.documents == 14
    (corpus / "bridge.txt").unlink()
    add([corpus], index, CONFIG, prune=True)
    assert top_source(index, "Who built the bridge?") == "copy.txt"
    assert sound(index)
    assert add([corpus], index, CONFIG).unchanged == 3


def test_a_bad_file_stops_nothing(corpus: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    (corpus / "junk.txt").write_bytes(bytes(range(256)) * 40)
    (corpus / "broken.pdf").write_bytes(b"%PDF-1.7 but no more")
    report = add([corpus], index, CONFIG)
    assert {Path(f.path).name for f in report.failed} == {"junk.txt", "broken.pdf"}
    assert all(f.message and f.hint for f in report.failed)
    assert report.documents == 14
    assert sound(index)

    (corpus / "bridge.txt").write_bytes(bytes(range(256)) * 40)
    assert len(add([corpus], index, CONFIG).failed) == 3
    assert top_source(index, "Who built the bridge?") == "bridge.txt", "what it held stays until it can be read"


def test_a_bad_row_costs_no_other_row(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "The harbour froze."}\n{"text": cut\n{"text": "The tower fell."}\n')
    report = add([rows], tmp_path / "index", CONFIG)
    assert (report.documents, report.failed) == (2, ())
    (skipped,) = report.skipped
    assert skipped.source == f"{rows}#2"
    assert "line 2 is not JSON" in skipped.message and skipped.hint
    assert status(tmp_path / "index").counts.incomplete == 0
    assert top_source(tmp_path / "index", "tower") == "rows.jsonl#3"


def test_nothing_to_index_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NothingToIndexError):
        add([tmp_path / "empty"], tmp_path / "index", CONFIG)
    (tmp_path / "empty" / "junk.txt").write_bytes(bytes(range(256)) * 40)
    with pytest.raises(NothingToIndexError, match=r"junk\.txt"):
        add([tmp_path / "empty"], tmp_path / "index", CONFIG)
    with pytest.raises(PathNotFoundError):
        add([tmp_path / "nowhere"], tmp_path / "index", CONFIG)
    assert not (tmp_path / "index").exists()


def test_an_index_inside_what_it_indexes(corpus: Path) -> None:
    add([corpus], corpus / "index", CONFIG)
    assert add([corpus], corpus / "index", CONFIG).files == 3


def test_other_settings_are_refused_and_a_rebuild_takes_them(corpus: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    add([corpus], index, CONFIG)
    other = PipelineConfig(index=IndexConfig(passage_tokens=32))
    with pytest.raises(IndexMismatchError, match="passage_tokens = 64, the settings say 32") as caught:
        add([corpus], index, other)
    assert "--rebuild" in caught.value.hint
    report = Index.rebuild(index, [corpus / "bridge.txt"], settings=other)
    assert (report.index, report.total_documents) == (index, 14)
    assert status(index).manifest.config.passage_tokens == 32
    assert sorted(p.name for p in tmp_path.iterdir()) == ["corpus", "index"]
    assert sound(index)


def test_a_rebuild_mends_a_store_that_cannot_be_read(corpus: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    add([corpus], index, CONFIG)
    (index / "store.sqlite").write_bytes(b"no database at all" * 999)
    assert not verify(index).sound
    assert Index.rebuild(index, [corpus], settings=CONFIG).documents == 14
    assert sound(index)


# ---------------------------------------------------------------------------------------------------------------
# Looking, removing, naming
# ---------------------------------------------------------------------------------------------------------------


def test_status_and_search_of_nothing(corpus: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    with pytest.raises(IndexNotFoundError):
        status(index)
    add([corpus], index, CONFIG)
    report = status(index)
    assert (report.documents, report.pending, len(report.sources)) == (14, 0, 3)
    assert {Path(s.path).name: s.documents for s in report.sources} == {
        "bridge.txt": 1,
        "towns.jsonl": 12,
        "whale.md": 1,
    }
    assert report.size == sum(p.stat().st_size for p in index.iterdir())
    with pytest.raises(EmptyQuestionError):
        search(index, "  ", k=3)


def test_remove(corpus: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    add([corpus], index, CONFIG)
    (corpus / "other").mkdir()
    (corpus / "other" / "whale.md").write_text("# Other whales\n\nBelugas are white.\n")
    add([corpus], index, CONFIG)
    with pytest.raises(UsageError, match="2 paths"):
        remove(index, "whale.md")
    with pytest.raises(PathNotFoundError):
        remove(index, "unknown.txt")
    assert remove(index, "other/whale.md") == 1
    assert remove(index, "towns.jsonl#3") == 1
    assert remove(index, str(corpus / "sub")) == 1
    assert status(index).documents == 12
    assert remove(index, "*.jsonl") == 11
    assert [Path(s.path).name for s in status(index).sources] == ["bridge.txt"]
    assert sound(index)


@pytest.mark.parametrize("name", ["", " ", ".", "/", "..", "./", "corpus/..", "//", "/.", "~/.."])
def test_what_names_no_document_removes_none(corpus: Path, tmp_path: Path, name: str) -> None:
    with Index.create(tmp_path / "index", settings=CONFIG) as index, pytest.MonkeyPatch.context() as patch:
        index.add([Document(str(corpus / "bridge.txt"), "The old bridge.")])
        patch.chdir(tmp_path)
        with pytest.raises((UsageError, PathNotFoundError)):
            index.remove(name)
        assert index.status().documents == 1


def test_names_and_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = PipelineConfig(index_root=tmp_path / "root")
    assert locate(None, config) == tmp_path / "root" / "default"
    assert locate("my-index_2.0", config) == tmp_path / "root" / "my-index_2.0"
    assert locate("./here", config) == tmp_path / "here"
    (tmp_path / "folder").mkdir()
    assert locate("folder", config) == tmp_path / "folder"
    for bad in ("", "a b", "what?"):
        with pytest.raises(UsageError):
            locate(bad, config)


# ---------------------------------------------------------------------------------------------------------------
# Damage
# ---------------------------------------------------------------------------------------------------------------


def test_verify_repairs_vectors(corpus: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    add([corpus], index, CONFIG)
    (path,) = index.glob("vectors-*.faiss")
    path.write_bytes(path.read_bytes()[:100])
    (problem,) = verify(index).problems
    assert path.name in problem
    report = verify(index, repair=True)
    assert report.sound
    assert report.repaired == (problem,)
    assert top_source(index, "blue whale") == "whale.md"


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("UPDATE documents SET text = CAST(replace(CAST(text AS TEXT), '3', '4') AS BLOB)", "is not what was stored"),
        ("UPDATE passages SET start = start + 1", "not where they say"),
        ("UPDATE embeddings SET vector = zeroblob(768)", "not of unit length"),
        ("UPDATE embeddings SET vector = zeroblob(10)", "half floats"),
        ("DELETE FROM embeddings WHERE passage_id = 1", "have no vector"),
        ("INSERT INTO lexicon (lexicon) VALUES ('delete-all')", "full text index lacks"),
        ("DELETE FROM origins", "stand in no file"),
    ],
)
def test_verify_detects_tampering(corpus: Path, tmp_path: Path, statement: str, complaint: str) -> None:
    index = tmp_path / "index"
    add([corpus / "bridge.txt"], index, CONFIG)
    db = sqlite3.connect(index / "store.sqlite")
    db.execute(statement)
    db.commit()
    db.close()
    assert complaint in " ".join(verify(index).problems)


# ---------------------------------------------------------------------------------------------------------------
# Processes
# ---------------------------------------------------------------------------------------------------------------


def kill_until_done(index: Path, rows: Path, seconds: tuple[float, float], kills: int, seed: int) -> list[int]:
    """Kills the adding process at random moments, checks the index each time, lets the last one finish. Returns the
    documents there were after each kill."""
    rng = random.Random(seed)
    counts = []
    for _ in range(kills):
        process = child(index, rows)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(*seconds))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if (index / "manifest.json").exists():
            assert sound(index)
            counts.append(status(index).documents)
            if counts[-1]:
                assert top_source(index, "item 0").startswith(rows.name)
        else:
            counts.append(0)
    return counts


def finish(index: Path, rows: Path, documents: int) -> tuple[int, int]:
    added, total = map(int, adding(index, rows).succeeds().out.split()[1:])
    assert total == documents
    report = status(index)
    assert (report.documents, report.counts.incomplete, report.pending) == (documents, 0, 0)
    assert sound(index)
    return added, total


def test_killed_in_the_middle_nothing_is_lost(tmp_path: Path) -> None:
    rows = rows_file(tmp_path / "items.jsonl", 60)
    index = tmp_path / "index"
    process = child(index, rows)
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:  # until something has been committed, and more is to come
        if (index / "manifest.json").exists() and status(index).documents:
            break
        time.sleep(0.005)
    process.kill()
    process.communicate()
    before = status(index).documents
    assert 0 < before < 60
    assert before % 8 == 0, "whole commits"
    assert status(index).counts.incomplete == 1
    assert sound(index)
    assert top_source(index, "item 0").startswith("items.jsonl"), "searched without a vector file"
    added, total = finish(index, rows, 60)
    assert added == total - before


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_killed_at_random_moments(tmp_path: Path) -> None:
    rows = rows_file(tmp_path / "items.jsonl", 600)
    counts = kill_until_done(tmp_path / "index", rows, (0.0, 6.0), kills=25, seed=7)
    assert counts == sorted(counts), "never less than before"
    finish(tmp_path / "index", rows, 600)


def test_interrupted_in_the_middle(tmp_path: Path) -> None:
    rows = rows_file(tmp_path / "items.jsonl", 60)
    index = tmp_path / "index"

    class Interrupting:
        """Presses Ctrl-C when the 20th passage has been embedded."""

        done = 0
        stage = ""

        def start(self, description: str, total: int | None, unit: str) -> None:
            self.stage = description

        def advance(self, amount: int, status: str = "") -> None:
            self.done += amount * (self.stage == "embedding")
            if self.done >= 20 and self.stage == "embedding":
                raise KeyboardInterrupt

        def note(self, text: str) -> None:
            raise AssertionError(text)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("ragyena.index.ingest.COMMIT_PASSAGES", 8)
        add([rows], index, CONFIG, progress=Interrupting())
    assert status(index).documents == 16
    assert sound(index)
    report = add([rows], index, CONFIG)  # the lock is free
    assert (report.documents, report.total_documents) == (44, 60)


def test_two_writers(corpus: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    add([corpus], index, CONFIG)
    with Writer(index):
        done = adding(index, corpus)
        assert done.code == IndexLockedError.exit_code
        assert f"IndexLockedError {index} is being written by another process (pid {os.getpid()})" in done.out
        assert top_source(index, "blue whale") == "whale.md"
    assert add([corpus], index, CONFIG).unchanged == 3


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    """A quota of the process: the system refuses to let any file grow over 200 KB."""
    rows = rows_file(tmp_path / "items.jsonl", 20)
    more = rows_file(tmp_path / "more.jsonl", 200)
    index = tmp_path / "index"
    add([rows], index, CONFIG)
    limit = 200_000
    assert (index / "store.sqlite").stat().st_size < limit
    process = child(index, more, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    out, _ = process.communicate(timeout=200)
    assert process.returncode == 6, out
    assert "StorageError" in out
    before = status(index).documents
    assert before >= 20
    assert sound(index)
    finish(index, more, 200)


FULL_DISK = """
import subprocess, sys
from pathlib import Path
from ragyena.config import IndexConfig, PipelineConfig
from ragyena.errors import StorageError
from ragyena.index.index import Index
from ragyena.index.inspection import verify
from ragyena.index import ingest
ingest.COMMIT_PASSAGES = 8
rows, disk = Path(sys.argv[1]), Path(sys.argv[2])
config = PipelineConfig(index=IndexConfig(passage_tokens=64))
def add():
    with Index.open(disk / "index", create=True, lazy=True, settings=config) as index:
        return index.add([rows])
try:
    add()
    sys.exit("it fitted")
except StorageError as error:
    print(error)
with Index.open(disk / "index", lazy=True) as index:
    before = index.status().documents
assert 0 < before < 200, before
assert verify(disk / "index").sound
subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
report = add()
assert (report.documents, report.total_documents) == (200 - before, 200), report
assert verify(disk / "index").sound
print("went on with", before)
"""

READ_ONLY = """
import sys
from pathlib import Path
from ragyena.config import IndexConfig, PipelineConfig
from ragyena.errors import StorageError
from ragyena.index.index import Index
from ragyena.index.inspection import verify
rows, disk = Path(sys.argv[1]), Path(sys.argv[2])
index = Index.open(disk / "index", settings=PipelineConfig(index=IndexConfig(passage_tokens=64)))
assert index.search("item 3", k=3)
assert verify(disk / "index").sound
try:
    index.add([rows])
    sys.exit("it was written")
except StorageError as error:
    print(error)
"""


def in_own_mounts(setup: str, script: str, *arguments: Path) -> str:
    """Runs ``script`` where the mounts of ``setup`` are seen by it alone; skips where the system allows none."""
    probe = subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, text=True)
    if probe.returncode:
        pytest.skip(f"no private mounts here: {probe.stderr.strip()}")
    command = ["unshare", "-rm", "sh", "-c", f'{setup} && exec "$@"', "sh", sys.executable, "-c", script]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    run = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare(1) for a small disk of its own")
def test_a_full_disk(tmp_path: Path) -> None:
    rows = rows_file(tmp_path / "items.jsonl", 200)
    disk = tmp_path / "disk"
    disk.mkdir()
    out = in_own_mounts(f"mount -t tmpfs -o size=300k none '{disk}'", FULL_DISK, rows, disk)
    assert "make room and run the command again" in out
    assert "went on with" in out


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare(1) for a read-only disk of its own")
def test_a_read_only_disk(tmp_path: Path) -> None:
    rows = rows_file(tmp_path / "items.jsonl", 20)
    disk = tmp_path / "disk"
    add([rows], disk / "index", CONFIG)
    rows_file(rows, 25)
    setup = f"mount --bind '{disk}' '{disk}' && mount -o remount,ro,bind '{disk}'"
    assert "index" in in_own_mounts(setup, READ_ONLY, rows, disk)
