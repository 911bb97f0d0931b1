"""Ends a process at a chosen write to an index, and checks what the next one finds. Run with kill_points.c preloaded:

    LD_PRELOAD=kill_points.so python index_crashes.py kill|power SCENARIO,... FOLDER [POINTS]

``kill`` ends the process at each point (a write, flush, rename or removal; both before it and after half of its bytes);
``power`` runs once and rebuilds, for each point, the disk that a loss of power then would leave. After each, the index
must open, hold each document as it was before or as it becomes, lose none, and be finished by the same command again.
POINTS is how many to try, spread evenly; all without it. Prints a line of JSON a failure, and one with the counts of
each scenario.

Embeddings are random numbers by the hash of the text, and files are read in the process itself; everything else is the
product.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import json
import os
import random
import select
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hashed_embeddings import hashed_embeddings

from ragyena.config import IndexConfig, PipelineConfig
from ragyena.documents import reading
from ragyena.errors import IndexFormatError, IndexNotFoundError, NothingToIndexError, RagyenaError
from ragyena.index import add, ingest
from ragyena.index.encoding import storable
from ragyena.index.index import Index
from ragyena.index.inspection import verify
from ragyena.index.manifest import is_index
from ragyena.index.store import STORE_NAME, Store
from ragyena.index.upgrade import SCHEMA_1, upgrade

CONFIG = PipelineConfig(index=IndexConfig(passage_tokens=64))
SECONDS = 60
"""After which a process counts as hanging."""


@dataclass
class Scenario:
    """A command, the documents before it, and those after it."""

    folder: Path
    name: str
    old: dict[str, str] = field(default_factory=dict)
    new: dict[str, str] = field(default_factory=dict)

    @property
    def documents(self) -> Path:
        return self.folder / "documents"

    @property
    def disk(self) -> Path:
        """Everything that is written lies below this folder."""
        return self.folder / "disk"

    @property
    def index(self) -> Path:
        return self.disk / "index"

    @property
    def template(self) -> Path:
        return self.folder / "template"

    def prepare(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self._write_documents()
        if self.name not in FROM_NOTHING:
            _add(self.documents, self.template)
            self.old = contents(self.template)
        getattr(self, f"_change_{self.name}", lambda: None)()
        _add(self.documents, self.folder / "expected")
        self.new = contents(self.folder / "expected")
        if self.name == "upgrade":
            to_format_1(self.template)
        if self.name == "rm":
            self.new = {origin: text for origin, text in self.new.items() if "rows.jsonl" not in origin}
        self.reset()

    def reset(self) -> None:
        """Back to the state before the command."""
        shutil.rmtree(self.disk, ignore_errors=True)
        self.disk.mkdir()
        if self.name not in FROM_NOTHING:
            shutil.copytree(self.template, self.index)

    def command(self) -> None:
        if self.name == "rm":
            with Index.open(self.index, lazy=True, settings=CONFIG) as index:
                index.remove("rows.jsonl")
        elif self.name == "upgrade":
            upgrade(self.index)
        elif self.name == "sync":
            with Index.open(self.index, lazy=True, settings=CONFIG) as index:
                index.sync(self.documents)
        elif self.name == "rebuild":
            Index.rebuild(self.index, [self.documents], settings=CONFIG)
        else:
            _add(self.documents, self.index, prune=self.name == "prune")

    def _write_documents(self) -> None:
        for number in range(3):
            self._write(f"bridge{number}.md", f"# Bridge {number}\n\nBridge {number} was built in {1900 + number}.\n")
        rows = ({"title": f"Item {n}", "text": f"Item {n} weighs {n * 7} grams."} for n in range(14))
        self._write("rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        self._write("sub/copy1.txt", "The same content in two files.")
        self._write("sub/copy2.txt", "The same content in two files.")

    def _write(self, name: str, text: str) -> None:
        path = self.documents / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def _change_nothing(self) -> None:
        shutil.rmtree(self.documents)
        self._write("broken.pdf", "%PDF-1.7 but no more")

    def _change_update(self) -> None:
        self._write("bridge1.md", "# Bridge 1\n\nBridge 1 burned down in 1950.\n")
        rows = ({"title": f"Item {n}", "text": f"Item {n} weighs {n * (7 + n % 2)} grams."} for n in range(14))
        self._write("rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows))

    def _change_prune(self) -> None:
        for name in ("bridge1.md", "rows.jsonl", "sub/copy1.txt"):
            (self.documents / name).unlink()

    def _change_sync(self) -> None:
        self._change_update()
        (self.documents / "bridge0.md").rename(self.documents / "sub" / "old bridge.md")
        (self.documents / "sub" / "copy1.txt").unlink()
        self._write("new.md", "# New\n\nA new bridge.\n")

    def _change_rebuild(self) -> None:
        self._write("bridge1.md", "# Bridge 1\n\nBridge 1 was built anew.\n")
        self._write("new.md", "# New\n\nA new bridge.\n")


FROM_NOTHING = ("new", "nothing")


def _add(documents: Path, folder: Path, *, prune: bool = False) -> None:
    with suppress(NothingToIndexError), Index.open(folder, create=True, lazy=True, settings=CONFIG) as index:
        index.add([documents], prune=prune)


def to_format_1(folder: Path) -> None:
    """Make an index one of format 1."""
    new, old = folder / "store.1", folder / STORE_NAME
    with closing(Store(old)) as store:
        words = [
            (passage.passage_id, storable(passage.header), storable(passage.text))
            for (document_id,) in store.rows("SELECT document_id FROM documents", types=(int,))
            for passage in store.passages_of(document_id)
        ]
    with closing(sqlite3.connect(new)) as db:
        db.executescript(f"PRAGMA journal_mode = WAL; {SCHEMA_1.sql} PRAGMA user_version = 1")
        db.execute("ATTACH ? AS held", (str(old),))
        for table in ("sources", "documents", "origins", "passages", "embeddings"):
            columns = ", ".join(name for _, name, *_ in db.execute(f"PRAGMA main.table_info({table})"))
            db.execute(f"INSERT INTO main.{table} SELECT {columns} FROM held.{table}")
        db.executemany("INSERT INTO lexicon (rowid, header, text) VALUES (?, ?, ?)", words)
        db.commit()
    new.replace(old)
    manifest = folder / "manifest.json"
    values = json.loads(manifest.read_text()) | {"format_version": 1}
    values.pop("folder")
    manifest.write_text(json.dumps(values))


def contents(folder: Path) -> dict[str, str]:
    """Origin -> text of every document, none where there is no index."""
    if not is_index(folder):
        return {}
    with closing(Store(folder / STORE_NAME)) as store, store.snapshot():
        rows = store.execute("SELECT origin, text FROM origins JOIN documents USING (document_id)").fetchall()
    assert len(rows) == len({origin for origin, _ in rows}), "an origin twice"
    return {origin: bytes(text).decode() for origin, text in rows}


def complaints(scenario: Scenario, files: Sequence[str]) -> list[str]:
    """Faults of the index that an ended process left, and of the same after the same command again."""
    said = []
    try:
        with Index.open(scenario.index, settings=CONFIG) as index:
            index.search("bridge built", settings={"retriever.mode": "lexical"})
            index.search("bridge built", settings={"retriever.mode": "dense"})
        found = contents(scenario.index)
        said += [
            f"half done: {origin}"
            for origin, text in found.items()
            if text not in (scenario.old.get(origin), scenario.new.get(origin))
        ]
        kept = scenario.old if scenario.name == "rebuild" else scenario.old.keys() & scenario.new.keys()
        said += [f"lost: {origin}" for origin in kept if origin not in found]
        said += [f"unsound: {problem}" for problem in verify(scenario.index).problems]
    except IndexNotFoundError:
        if scenario.name not in FROM_NOTHING:
            said.append("no index")
    except IndexFormatError as error:
        if scenario.name != "upgrade":
            said.append(f"cannot be opened: {error}")
    except RagyenaError as error:
        said.append(f"cannot be opened: {error}")
    try:
        scenario.command()
    except RagyenaError as error:
        if scenario.name != "rm" or "no document" not in error.message:
            said.append(f"the same again: {error}")
    try:
        if contents(scenario.index) != scenario.new:
            said.append("the same again: other documents")
        if scenario.name == "nothing":
            whole = ["index/manifest.json", "index/store.sqlite", "index/writer.lock"]  # of an empty index
            return said if (left := listing(scenario.disk)) in ([], whole) else [*said, f"left: {left}"]
        said += [f"the same again: unsound: {problem}" for problem in verify(scenario.index).problems]
        with Index.open(scenario.index, settings=CONFIG) as index:
            best = index.search("bridge 2 built 1902", settings={"retriever.mode": "lexical"})[0].passage.source
            if not best.endswith("bridge2.md"):
                said.append(f"the same again: finds {best}")
    except RagyenaError as error:
        said.append(f"after the same again: {error}")
    if (left := listing(scenario.disk)) != list(files):
        said.append(f"files left: {left}, not {list(files)}")
    return said


def listing(folder: Path) -> list[str]:
    """Files below a folder but for SQLite's log, which a reader may leave; the number of a vector file left out."""
    paths = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm")))
    names = (str(path.relative_to(folder)) for path in paths)
    return sorted("index/vectors.faiss" if "/vectors-" in n and n.endswith(".faiss") else n for n in names)


def in_process(work: Callable[[], Any]) -> tuple[Any, int]:
    """The result of ``work`` in a process of its own, None where that was killed, and the signal that killed it."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        try:
            result = work()
        except BaseException as error:
            result = [f"{type(error).__name__}: {error}"]
        os.write(writing, json.dumps(result).encode()[:60_000])
        os._exit(0)
    os.close(writing)
    data = b""
    while select.select([reading], [], [], SECONDS)[0]:
        if not (part := os.read(reading, 65_536)):
            break
        data += part
    else:
        os.kill(process, signal.SIGKILL)
        data = b'["hangs"]'
    os.close(reading)
    _, status = os.waitpid(process, 0)
    return (json.loads(data) if data else None), os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def armed(scenario: Scenario, at: int, mode: int, log: str = "") -> Callable[[], int]:
    shim = ctypes.CDLL(os.environ["LD_PRELOAD"])
    shim.kp_count.restype = ctypes.c_long

    def run() -> int:
        shim.kp_arm(ctypes.c_long(at), mode, str(scenario.disk).encode(), log.encode())
        scenario.command()
        return int(shim.kp_count())

    return run


def spread(total: int, wanted: int | None) -> list[int]:
    """Points 1 to ``total``, or ``wanted`` of them from the first to the last."""
    if wanted is None or wanted >= total:
        return list(range(1, total + 1))
    return sorted({1 + round(i * (total - 1) / (wanted - 1)) for i in range(wanted)})


def kill(scenario: Scenario, wanted: int | None) -> Iterator[dict[str, Any]]:
    total, _ = in_process(armed(scenario, 0, 0))
    if not isinstance(total, int):
        yield {"failure": total}
        return
    files = listing(scenario.disk)
    kills = failures = 0
    for at in spread(total, wanted):
        for mode in (0, 1) if wanted is None else (at % 2,):
            scenario.reset()
            _, ended_by = in_process(armed(scenario, at, mode))
            kills += ended_by == signal.SIGKILL
            said, _ = in_process(lambda: complaints(scenario, files))
            if said or said is None:
                failures += 1
                yield {"failure": said, "point": at, "mode": mode}
    yield {"points": total, "kills": kills, "failures": failures}


# --- loss of power


class Node:
    """A file or folder: as programs see it, and as it has reached the disk."""

    def __init__(self, *, folder: bool) -> None:
        self.entries: dict[str, Node] | None = {} if folder else None
        self.flushed_entries: dict[str, Node] = {}
        self.flushed: Path | None = None
        """The copy of a file's content when it was last flushed; None where it never was: it is empty then."""

    @classmethod
    def read(cls, path: Path) -> Node:
        """The file or folder at a path, all of it on the disk."""
        node = cls(folder=path.is_dir())
        if node.entries is None:
            node.flushed = path
        else:
            node.entries = {child.name: cls.read(child) for child in path.iterdir()}
            node.flushed_entries = dict(node.entries)
        return node

    def write(self, path: Path, choose: Callable[[], bool]) -> None:
        """Write what a loss of power leaves; ``choose`` says whether the changes to a folder had reached the disk."""
        if self.entries is None:
            path.write_bytes(self.flushed.read_bytes() if self.flushed else b"")
            return
        path.mkdir()
        for name, child in (self.entries if choose() else self.flushed_entries).items():
            if not name.endswith("-shm"):  # memory shared by processes, which SQLite makes anew
                child.write(path / name, choose)


class Disk:
    """The files below ``root`` as the recorded points change them."""

    def __init__(self, root: Path, before: Path, log: Path) -> None:
        self._root, self._log, self.top = root, log, Node.read(before)

    def _find(self, path: str) -> tuple[dict[str, Node], str]:
        *folders, name = Path(path).relative_to(self._root).parts
        entries = self.top.entries
        for folder in folders:
            assert entries is not None
            entries = entries[folder].entries
        assert entries is not None
        return entries, name

    def apply(self, what: str, path: str, to: str) -> None:
        if Path(path) == self._root:
            node = self.top
        else:
            entries, name = self._find(path)
            if what in ("file", "folder"):
                entries[name] = Node(folder=what == "folder")
            elif what == "remove":
                entries.pop(name, None)
            elif what == "rename":
                moved = entries.pop(name)
                entries, name = self._find(to)
                entries[name] = moved
            if what != "flush":
                return
            node = entries[name] if name in entries else Node(folder=False)  # a file removed while it is open
        if what == "flush" and node.entries is not None:
            node.flushed_entries = dict(node.entries)
        elif what == "flush":
            node.flushed = self._log / to


def power(scenario: Scenario, wanted: int | None) -> Iterator[dict[str, Any]]:
    log, before = scenario.folder / "log", scenario.folder / "before"
    log.mkdir()
    shutil.copytree(scenario.disk, before)
    total, _ = in_process(armed(scenario, 0, 0, str(log)))
    if not isinstance(total, int):
        yield {"failure": total}
        return
    files = listing(scenario.disk)
    events = [line.split("\t") for line in (log / "events").read_text().splitlines()]
    disk = Disk(scenario.disk, before, log)
    chosen = set(spread(total, wanted))
    losses = failures = 0
    seen: set[str] = set()
    for number, (what, path, to) in enumerate(events, 1):
        disk.apply(what, path, to)
        if number not in chosen:
            continue
        dice = random.Random(number)
        for kind, choose in (
            ("nothing unflushed", lambda: False),
            ("names ahead of contents", lambda: True),
            ("some folders flushed", functools.partial(toss, dice)),
        ):
            shutil.rmtree(scenario.disk)
            disk.top.write(scenario.disk, choose)
            losses += 1
            if (state := fingerprint(scenario.disk)) in seen:
                continue
            seen.add(state)
            said, _ = in_process(lambda: complaints(scenario, files))
            if said or said is None:
                failures += 1
                yield {"failure": said, "point": number, "after": [what, path, to], "kind": kind}
    yield {"points": total, "losses": losses, "different": len(seen), "failures": failures}


def toss(dice: random.Random) -> bool:
    return dice.random() < 0.5


def fingerprint(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        digest.update(f"{path}\0".encode() + (path.read_bytes() if path.is_file() else b""))
    return digest.hexdigest()


def main() -> None:
    model, names, folder, *points = sys.argv[1:]
    wanted = int(points[0]) if points else None
    ingest.COMMIT_PASSAGES = 6
    # In this process, which is forked again and again.
    ingest.load = lambda path, config, *, on_place: reading.read(path, config)
    add.prepare = lambda: None
    with hashed_embeddings():
        for name in names.split(","):
            scenario = Scenario(Path(folder).resolve() / f"{model}-{name}", name)
            scenario.prepare()
            for line in (kill if model == "kill" else power)(scenario, wanted):
                print(json.dumps({"scenario": name, **line}), flush=True)


if __name__ == "__main__":
    main()
