"""Following files: new, changed, renamed and vanished ones, once and while they change."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest
from command_line import Ragyena

from ragyena.config import IndexConfig, PipelineConfig
from ragyena.errors import PathNotFoundError
from ragyena.index.add import AddReport
from ragyena.index.index import Index
from ragyena.index.store import Store
from ragyena.types import Document

CONFIG = PipelineConfig(index=IndexConfig(passage_tokens=64))
FOLLOWS = 2.0
"""Seconds after which a change has been followed, embedding apart."""
PATIENCE = 60.0
"""Seconds waited for an event on a machine that is busy with other things."""


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    (folder / "sub").mkdir(parents=True)
    (folder / "bridge.txt").write_text("The old bridge was built in 1893 by Anna Lindqvist.")
    (folder / "sub" / "whale.md").write_text("# Whales\n\nThe blue whale can weigh 190 tonnes.\n")
    (folder / "rows.csv").write_text("title,text\nTea,Green tea is brewed at 70 degrees.\nRice,Rice boils long.\n")
    return folder


def sync(folder: Path, *paths: Path) -> AddReport:
    with Index.open(folder, create=True, lazy=True, settings=CONFIG) as index:
        return index.sync(paths)


def cited(folder: Path, query: str) -> tuple[str, str | None]:
    """The place and file state of the best passage."""
    with Index.open(folder, settings=CONFIG) as index:
        passage = index.search(query, k=1, settings={"retriever.mode": "lexical"})[0].passage
        return index.file_state(passage.document_id, passage.source)


def changes(report: AddReport) -> set[tuple[str, str, str]]:
    return {(change.kind, Path(change.path).name, Path(change.was).name) for change in report.changes}


def age(*paths: Path) -> None:
    """Make files look as if they had not been touched for a while."""
    for path in paths:
        os.utime(path, ns=(time.time_ns(), time.time_ns() - 60 * 10**9))


def test_one_pass_follows_everything(notes: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    assert sync(index, notes).added == 3
    assert changes(sync(index, notes)) == set()

    (notes / "bridge.txt").write_text("The new bridge was built in 2001 by Karl Berg.")
    (notes / "lamp.txt").write_text("The lamp flashes every ten seconds.")
    (notes / "sub" / "whale.md").rename(notes / "orca.md")
    (notes / "rows.csv").unlink()
    report = sync(index, notes)
    assert changes(report) == {
        ("replaced", "bridge.txt", ""),
        ("added", "lamp.txt", ""),
        ("renamed", "orca.md", "whale.md"),
        ("removed", "rows.csv", ""),
    }
    assert report.total_documents == 3
    assert cited(index, "blue whale") == (str(notes / "orca.md"), "unchanged")
    with Index.open(index, settings=CONFIG) as opened:
        assert opened.verify().sound


def test_a_renamed_file_is_not_embedded_again(notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = tmp_path / "index"
    sync(index, notes)
    (notes / "rows.csv").rename(notes / "table.csv")
    (notes / "bridge.txt").rename(notes / "sub" / "iron_bridge.txt")
    monkeypatch.setattr("ragyena.index.ingest.load", lambda *_: pytest.fail("it was read"))
    report = sync(index, notes)
    assert (report.renamed, report.added, report.documents) == (2, 0, 0)
    assert cited(index, "green tea") == (f"{notes / 'table.csv'}#1", "unchanged")
    with Index.open(index, settings=CONFIG) as opened:
        best = opened.search("iron", k=1, settings={"retriever.mode": "lexical"})[0].passage
        assert (best.title, best.source) == ("iron bridge", str(notes / "sub" / "iron_bridge.txt"))
        assert opened.search("Karl", settings={"retriever.mode": "lexical"}) == []
        assert opened.verify().sound


def test_a_renamed_file_is_told_by_its_new_name(notes: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    lease = notes / "harbour-street-lease.md"
    lease.write_text("# Tenancy agreement\n\nThe rent is 1,140 pounds a month, due on the first day.\n")
    titles = []
    for name in ("harbour-street-lease.md", "mill-lane-lease.md", "rent-agreement.md"):
        lease = lease.rename(notes / name)
        sync(index, notes)
        with Index.open(index, settings=CONFIG) as opened:
            titles.append(opened.search("rent", k=1, settings={"retriever.mode": "lexical"})[0].passage.title)
            assert opened.verify().sound
    own = "Tenancy agreement"
    assert titles == [f"{own} (harbour street lease)", f"{own} (mill lane lease)", own]


def test_a_file_that_moves_keeps_its_title(notes: Path, tmp_path: Path) -> None:
    """One of an index from before titles had names of files, too: only what is read again is told by its name."""
    index = tmp_path / "index"
    lease = notes / "harbour-street-lease.md"
    lease.write_text("# Tenancy agreement\n\nThe rent is 1,140 pounds a month, due on the first day.\n")
    sync(index, notes)
    with closing(Store(index / "store.sqlite", writable=True)) as store, store.transaction():
        ((document_id,),) = store.rows("SELECT document_id FROM documents WHERE title LIKE '%lease%'", types=(int,))
        store.set_title(document_id, "Tenancy agreement")
    lease.rename(notes / "sub" / lease.name)
    assert [change.kind for change in sync(index, notes).changes] == ["renamed"]
    with Index.open(index, settings=CONFIG) as opened:
        best = opened.search("rent", k=1, settings={"retriever.mode": "lexical"})[0].passage
        assert best.title == "Tenancy agreement"


def test_unchanged_files_are_not_read(notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = tmp_path / "index"
    age(*notes.rglob("*.*"))
    sync(index, notes)
    with monkeypatch.context() as patch:
        patch.setattr("ragyena.index.ingest.content_hash", lambda *_: pytest.fail("it was hashed"))
        assert sync(index, notes).unchanged == 3
    age(notes / "bridge.txt")  # another time, the same content
    assert sync(index, notes).unchanged == 3
    # The same size, written at once after it was read: the time alone would not tell.
    lamp = notes / "lamp.txt"
    lamp.write_text("The lamp is red.")
    stamp = lamp.stat().st_mtime_ns
    sync(index, notes)
    lamp.write_text("The lamp is off.")
    os.utime(lamp, ns=(stamp, stamp))
    assert sync(index, notes).replaced == 1


def test_a_root_that_is_not_there_erases_nothing(notes: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    for number in range(12):
        (notes / f"note{number}.txt").write_text(f"Note {number} says {number * 7}.")
    assert sync(index, notes).total_documents == 16
    away = notes.rename(tmp_path / "away")
    with pytest.raises(PathNotFoundError, match="does not exist"):
        sync(index, notes)
    notes.mkdir()  # where a disk would be mounted
    with pytest.raises(PathNotFoundError, match="not mounted"):
        sync(index, notes)
    notes.rmdir()
    away.rename(notes)
    assert sync(index, notes).unchanged == 15

    for path in notes.glob("*.*"):
        path.unlink()
    assert sync(index, notes).removed == 14, "a folder that still holds something was not taken away"


def test_add_names_what_is_gone(notes: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    with Index.create(index, settings=CONFIG) as opened:
        opened.add([notes, Document("given", "A text given in Python.")])
        (notes / "bridge.txt").unlink()
        (notes / "rows.csv").rename(notes / "table.csv")
        report = opened.add([notes])
        assert (report.missing, report.renamed, report.removed) == ((str(notes / "bridge.txt"),), 1, 0)
        assert opened.add([notes]).missing == report.missing
        assert opened.add([notes], prune=True).removed == 1
        assert opened.add([notes]).missing == ()


def test_state_of_a_cited_file(notes: Path, tmp_path: Path) -> None:
    index, bridge = tmp_path / "index", notes / "bridge.txt"
    shutil.copy(bridge, notes / "copy.txt")
    sync(index, notes)
    assert cited(index, "Lindqvist") == (str(bridge), "unchanged")
    bridge.unlink()
    assert cited(index, "Lindqvist") == (str(notes / "copy.txt"), "unchanged"), "by the path that exists"
    (notes / "copy.txt").write_text("Something else.")
    assert cited(index, "Lindqvist") == (str(notes / "copy.txt"), "changed")
    (notes / "copy.txt").unlink()
    assert cited(index, "Lindqvist")[1] == "missing"
    with Index.open(index, settings=CONFIG) as opened:
        opened.add([Document("given", "The porcelain cup is blue.")])
    assert cited(index, "porcelain") == ("given", None)


def test_an_index_moved_with_its_documents(notes: Path, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    notes.rename(tmp_path / "old" / "notes")
    sync(tmp_path / "old" / "index", tmp_path / "old" / "notes")
    (tmp_path / "old").rename(tmp_path / "new")
    place = tmp_path / "new" / "notes" / "rows.csv"
    assert cited(tmp_path / "new" / "index", "green tea") == (f"{place}#1", "unchanged")
    report = sync(tmp_path / "new" / "index", tmp_path / "new" / "notes")
    assert (report.unchanged, report.changes) == (3, ())


def test_a_copied_index_keeps_its_paths(notes: Path, tmp_path: Path) -> None:
    sync(tmp_path / "index", notes)
    (tmp_path / "copy").mkdir()
    shutil.copytree(tmp_path / "index", tmp_path / "copy" / "index")
    shutil.copytree(notes, tmp_path / "copy" / "notes")
    assert cited(tmp_path / "copy" / "index", "green tea") == (f"{notes / 'rows.csv'}#1", "unchanged")


# --- while files change ----------------------------------------------------------------------------------------


class Follower:
    """``ragyena index sync --watch --json`` in a process of its own."""

    def __init__(self, ragyena: Ragyena, index: Path, folder: Path) -> None:
        self._process = subprocess.Popen(
            ragyena.command("index", "sync", folder, "--watch", "--json", "--index", index),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ragyena.environment(),
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job ignores it
        )
        self._lines: Queue[str] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)

    def until(self, event: str) -> list[dict[str, Any]]:
        """The events up to the next of a kind."""
        seen: list[dict[str, Any]] = []
        while not seen or seen[-1]["event"] != event:
            try:
                seen.append(json.loads(self._lines.get(timeout=PATIENCE)))
            except Empty:
                raise AssertionError(f"no '{event}' after {seen}") from None
        return seen

    def is_silent(self, seconds: float) -> bool:
        time.sleep(seconds)
        return self._lines.empty()

    def end(self, number: signal.Signals) -> tuple[int, str]:
        if self._process.poll() is None:
            self._process.send_signal(number)
        _, err = self._process.communicate(timeout=PATIENCE)
        return self._process.returncode, err


@pytest.fixture
def follower(notes: Path, tmp_path: Path) -> Iterator[Follower]:
    following = Follower(Ragyena(tmp_path), tmp_path / "index", notes)
    yield following
    following.end(signal.SIGKILL)


def test_watching(follower: Follower, notes: Path, tmp_path: Path) -> None:
    first = follower.until("watching")
    assert sum(event["event"] == "added" for event in first) == 3

    (notes / "lamp.txt").write_text("The lamp flashes every ten seconds.")
    *events, synced = follower.until("synced")
    assert [(event["event"], Path(event["path"]).name) for event in events] == [("added", "lamp.txt")]
    assert synced["documents"] == 5

    (notes / "lamp.txt").rename(notes / "light.txt")
    (notes / "bridge.txt").write_text("The new bridge was built in 2001 by Karl Berg.")
    (notes / "sub" / "whale.md").unlink()
    events = follower.until("synced")[:-1]
    assert {(event["event"], Path(event["path"]).name) for event in events} == {
        ("renamed", "light.txt"),
        ("replaced", "bridge.txt"),
        ("removed", "whale.md"),
    }
    assert cited(tmp_path / "index", "lamp") == (str(notes / "light.txt"), "unchanged")

    # A program that writes, rests longer than the quiet time, and writes again: it is read when it is closed.
    with (notes / "long.txt").open("w") as file:
        file.write("The first half. ")
        file.flush()
        assert follower.is_silent(2.5)
        file.write("The pelican is the second half.")
    (event, _) = follower.until("synced")
    assert (event["event"], Path(event["path"]).name) == ("added", "long.txt")
    assert cited(tmp_path / "index", "pelican")[1] == "unchanged"

    # The folder goes and comes back, as a disk that is unmounted does.
    notes.rename(tmp_path / "away")
    (problem,) = follower.until("problem")
    assert "does not exist" in problem["message"]
    (tmp_path / "away" / "back.txt").write_text("Back again.")
    (tmp_path / "away").rename(notes)
    events = follower.until("synced")
    assert [Path(event["path"]).name for event in events[:-1]] == ["back.txt"]

    code, err = follower.end(signal.SIGINT)
    assert code == 130
    assert "interrupted: the index is whole" in err and "Traceback" not in err


def test_a_file_that_cannot_be_read_is_named_once(follower: Follower, notes: Path) -> None:
    follower.until("watching")
    (notes / "broken.pdf").write_bytes(b"%PDF-1.7 but no more")
    (failed,) = follower.until("failed")
    assert failed["path"].endswith("broken.pdf") and failed["hint"]
    (notes / "lamp.txt").write_text("The lamp flashes every ten seconds.")
    assert [event["event"] for event in follower.until("synced")] == ["added", "synced"]
    code, _ = follower.end(signal.SIGTERM)
    assert code == 130
