"""Indexes of format 1, made here by its own tables: refused with what to do, upgraded in place, killed on the way."""

from __future__ import annotations

import json
import signal
import sqlite3
from pathlib import Path

import pytest
from command_line import Ragyena

from ragyena.config import IndexConfig, PipelineConfig
from ragyena.errors import IndexCorruptError, IndexFormatError
from ragyena.index.index import Index
from ragyena.index.inspection import verify
from ragyena.index.schema import SCHEMA, schema_problem
from ragyena.index.upgrade import SCHEMA_1, upgrade
from ragyena.types import Document

CONFIG = PipelineConfig(index=IndexConfig(passage_tokens=64))
DOCUMENTS = [
    Document("whale", "The blue whale can weigh 190 tonnes.", title="Whales", metadata={"kind": "animal"}),
    Document("library", "图书馆的开放时间是上午九点。" + "这是一段没有空格的文字。" * 30),
    Document("phone", "The iPhone手机 costs 900."),
]
KILLED = """
import os, signal, sys
from pathlib import Path
from ragyena.index import upgrade as upgrading
from ragyena.index.manifest import Manifest
from ragyena.index.store import Store

def die(*_): os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[2] == "store":
    Store.write_words = die
else:
    Manifest.write = die
upgrading.upgrade(Path(sys.argv[1]))
"""


def as_format_1(index: Path) -> None:
    """Write an index of this format again as format 1 would have: its tables, and one lexicon of everything."""
    new = sqlite3.connect(index / "store.sqlite")
    old = sqlite3.connect(index / "old.sqlite", isolation_level=None)
    old.executescript(f"{SCHEMA_1.sql} PRAGMA user_version = 1")
    for table in ("sources", "documents", "origins", "passages", "embeddings"):
        names = ", ".join(row[1] for row in old.execute(f"PRAGMA table_info({table})"))
        for row in new.execute(f"SELECT {names} FROM {table}"):
            old.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", row)
    rows = old.execute(
        "SELECT passage_id, title, heading_path, CAST(substr(text, byte_start + 1, byte_end - byte_start) AS TEXT)"
        " FROM passages JOIN documents USING (document_id)"
    ).fetchall()
    for passage_id, title, path, text in rows:
        header = " > ".join(filter(None, [json.loads(title), *json.loads(path)]))
        old.execute("INSERT INTO lexicon (rowid, header, text) VALUES (?, ?, ?)", (passage_id, header, text))
    new.close()
    old.close()
    for end in ("", "-wal", "-shm"):
        (index / f"store.sqlite{end}").unlink(missing_ok=True)
    (index / "old.sqlite").rename(index / "store.sqlite")
    manifest = json.loads((index / "manifest.json").read_text())
    (index / "manifest.json").write_text(json.dumps(manifest | {"format_version": 1}))


@pytest.fixture
def old(tmp_path: Path) -> Path:
    with Index.create(tmp_path / "index", settings=CONFIG) as index:
        index.add(DOCUMENTS)
    as_format_1(tmp_path / "index")
    return tmp_path / "index"


def best(index: Index, query: str, mode: str = "lexical") -> str:
    matches = index.search(query, k=1, settings={"retriever.mode": mode})
    return matches[0].passage.source if matches else ""


def test_an_older_index_is_refused_with_what_to_do(old: Path) -> None:
    for action in (lambda: Index.open(old), lambda: verify(old), lambda: Index.rebuild(old, [DOCUMENTS[0]])):
        with pytest.raises(IndexFormatError, match="format 1, this ragyena reads format 2") as caught:
            action()
        assert "ragyena index upgrade" in caught.value.hint


def test_an_upgraded_index_is_that_of_this_format(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ragyena.index.embedder.Embedder.open", lambda *_, **__: pytest.fail("nothing is embedded"))
    vectors = next(old.glob("*.faiss")).read_bytes()
    report = upgrade(old)
    monkeypatch.undo()
    assert (report.from_version, report.to_version, report.counts.documents) == (1, 2, 3)
    assert report.unspaced > 2, "of library, and phone"
    assert next(old.glob("*.faiss")).read_bytes() == vectors
    assert verify(old).problems == ()
    with sqlite3.connect(old / "store.sqlite") as db:
        assert schema_problem(db, SCHEMA) is None
    with Index.open(old, settings=CONFIG) as index:
        assert best(index, "How heavy is a blue whale?", "hybrid") == "whale"
        assert best(index, "图书馆几点开放") == "library"
        assert best(index, "iPhone") == best(index, "手机") == "phone"
        (match,) = index.search("whale", k=1, filters={"kind": "animal"})
        assert (match.passage.kind, match.passage.table_header, match.passage.page_label) == ("prose", (), None)
        assert index.add(DOCUMENTS).unchanged == 3, "documents without structure have the hash they had"
        assert index.remove("library") == 1
    assert verify(old).problems == ()
    assert upgrade(old).from_version == 2


@pytest.mark.parametrize("moment", ["store", "manifest"])
def test_a_killed_upgrade_goes_on(old: Path, tmp_path: Path, moment: str) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    assert Ragyena(tmp_path).script(script, old, moment).code == -signal.SIGKILL
    with pytest.raises(IndexFormatError, match="format 1"):
        Index.open(old)
    upgrade(old)
    assert verify(old).problems == ()
    with Index.open(old, settings=CONFIG) as index:
        assert best(index, "图书馆几点开放") == "library"


def test_what_is_no_index_of_format_1_is_not_upgraded(old: Path) -> None:
    with sqlite3.connect(old / "store.sqlite") as db:
        db.execute("CREATE VIEW further AS SELECT 1")
    db.close()
    with pytest.raises(IndexCorruptError, match="no part of an index"):
        upgrade(old)
    with sqlite3.connect(old / "store.sqlite") as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'characters'").fetchall()
