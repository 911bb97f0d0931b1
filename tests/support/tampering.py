"""Damage done to the files of an index, one kind a seed, and everything that is then done with it.

python tests/support/tampering.py INDEX FIRST COUNT    sweeps COUNT seeds over copies of INDEX, in child processes
"""

from __future__ import annotations

import collections
import faulthandler
import functools
import json
import os
import random
import shutil
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from ragyena import recipes
from ragyena.config import PackerConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import ConfigError, RagyenaError
from ragyena.index.embedder import BUNDLED, Embedder
from ragyena.index.index import Index
from ragyena.index.inspection import verify
from ragyena.index.rebuild import held_sources
from ragyena.index.upgrade import upgrade
from ragyena.reader.packing import pack

TOKENIZER = Tokenizer.from_folder(recipes.asset("reader"))
SECONDS = 30.0
"""A mutation that takes longer counts as a hang."""
BATCH = 500

SEARCHES: list[tuple[str, str, dict[str, str] | None]] = [
    ("How much does a blue whale weigh?", "hybrid", None),
    ("How much does a blue whale weigh?", "dense", {"source": "*", "title": "*e*"}),
    ("図書館の開館時間は whale", "lexical", None),
    ("whale", "lexical", {"kind": "*"}),
]
DEEP = "[" * 200_000
VALUES: list[object] = [
    *(None, -1, 0, 1, 2, 3, 999, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 1.5, float("inf"), -0.0),
    *("", "x", "0", "null", "true", "[]", "{}", "[null]", "[-1]", "[1.5]", "[1e999]", "[[]]", "[[1,2]]", '["x"]'),
    *('[[0,1,"x"]]', '[[0,1,"x",["y"]]]', '[[0,1,"table","y"]]', '{"a":1}', '{"a":{"b":[]}}', '"\\ud800"', "NaN"),
    *("1" * 5000, f"[{'1' * 5000}]", DEEP, '{"a":' * 50_000, "prose", "table", "\0", "a\0b", "é" * 3000),
    *(b"", b"\xff\xfe", b"\0" * 768, b"\0" * 2, b"\x00\x7c" * 384, b"\x80" * 5, b"[]", b'"x"'),
]
JSON_VALUES: list[object] = [
    *(
        None,
        True,
        -1,
        0,
        1,
        7,
        383,
        385,
        10**6,
        2**31,
        2**53,
        2**63,
        10**30,
        1.5,
        "",
        "x",
        "0",
        "flat",
        "hnsw",
        "ivfpq",
    ),
    *(
        [],
        {},
        [1],
        {"a": 1},
        "a\0b",
        "../../etc/passwd",
        "vectors-1.faiss",
        "vectors-9.faiss",
        "vectors-1.faiss/..",
        "é",
    ),
    *("/etc", "~nosuch", "x" * 5000, 'a"b', 2, "all-MiniLM-L6-v2", "https://example.invalid/model"),
]
NUMBERS = [0, 1, 2, 255, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**64 - 1]
SCHEMA_CHANGES = [
    *(
        "DROP TABLE passages",
        "DROP TABLE packing",
        "DROP TABLE lexicon",
        "DROP TABLE characters",
        "DROP INDEX passages_by_document",
    ),
    "ALTER TABLE passages RENAME TO held; CREATE VIEW passages AS SELECT * FROM held",
    "DROP TABLE embeddings; CREATE VIEW embeddings AS WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c)"
    " SELECT n AS passage_id, zeroblob(768) AS vector FROM c",
    "CREATE TRIGGER t AFTER INSERT ON sources BEGIN DELETE FROM documents; END",
    *("CREATE TABLE further (a)", "CREATE INDEX further ON passages (page)", "CREATE VIEW further AS SELECT 1"),
    *("ALTER TABLE passages RENAME COLUMN page TO pages", "ALTER TABLE passages ADD COLUMN more DEFAULT 1"),
    "ALTER TABLE documents DROP COLUMN metadata",
    "DROP TABLE lexicon; CREATE TABLE lexicon (header, text, rank)",
    "DROP TABLE lexicon; CREATE VIRTUAL TABLE lexicon USING fts5 (header, text)",
    "CREATE TABLE sqlite_stat (a); ANALYZE",
    *(f"PRAGMA user_version = {n}" for n in (0, 1, 3, -1, 2**31 - 1)),
    *(
        "DELETE FROM origins",
        "DELETE FROM embeddings",
        "DELETE FROM documents",
        "DELETE FROM passages",
        "DELETE FROM sources",
    ),
    *(
        "DELETE FROM lexicon_data",
        "DELETE FROM lexicon_config",
        "DELETE FROM lexicon_idx",
        "DELETE FROM lexicon_docsize",
    ),
    *(
        "UPDATE lexicon_config SET v = 99",
        "INSERT INTO lexicon (lexicon) VALUES ('delete-all')",
        "DELETE FROM characters_data",
    ),
    *(
        "UPDATE passages SET passage_id = -passage_id",
        "UPDATE passages SET passage_id = passage_id + 4611686018427387904",
    ),
    *("UPDATE embeddings SET passage_id = -passage_id", "UPDATE documents SET document_id = document_id + 5000000000"),
    *("UPDATE sqlite_sequence SET seq = 9223372036854775807", "UPDATE sqlite_sequence SET seq = 'x'"),
    "PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = replace(sql, 'INTEGER NOT NULL', 'TEXT')",
    "PRAGMA writable_schema = ON; UPDATE sqlite_master SET rootpage = 2 WHERE name = 'passages'",
    "PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = 'CREATE TABLE x' WHERE name = 'documents'",
    "PRAGMA writable_schema = ON; UPDATE sqlite_master SET type = 'view' WHERE name = 'origins'",
    "PRAGMA writable_schema = ON; UPDATE sqlite_master SET name = x'ff' WHERE name = 'origins'",
    "PRAGMA writable_schema = ON; UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master WHERE name ="
    " 'embeddings') WHERE name = 'lexicon_data'",
]


def tamper(folder: Path, seed: int) -> str:
    """Damage the index in ``folder`` in the way that ``seed`` stands for; returns which."""
    rng = random.Random(seed)
    ways = [_value, _value, _schema, _store_bytes, _store_bytes, _log, _vectors, _vectors, _manifest, _manifest, _kinds]
    return ways[seed % len(ways)](folder, rng)


def _store(folder: Path) -> sqlite3.Connection:
    db = sqlite3.connect(folder / "store.sqlite", isolation_level=None)
    db.execute("PRAGMA journal_mode = DELETE")
    return db


def _value(folder: Path, rng: random.Random) -> str:
    """A value of any type in any column of one row or all."""
    with closing(_store(folder)) as db:
        tables = [
            name
            for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if name not in ("lexicon", "characters")
        ]
        often = ("documents", "passages", "documents", "passages", "sources", "embeddings", "packing", "packing")
        table = rng.choice([*tables, *often])
        column = rng.choice([row[1] for row in db.execute(f"PRAGMA table_info({table})")])
        value = rng.choice(VALUES)
        some = f" WHERE rowid = {rng.randint(1, 5)}" if rng.random() < 0.6 and not table.endswith("_idx") else ""
        with suppress(sqlite3.Error, UnicodeError):
            db.execute(f"UPDATE {table} SET {column} = ?{some}", (value,))
            if rng.random() < 0.8:
                db.execute("PRAGMA journal_mode = WAL")
        return f"{table}.{column} = {value!r:.40}{some}"


def _schema(folder: Path, rng: random.Random) -> str:
    change = rng.choice(SCHEMA_CHANGES)
    with closing(_store(folder)) as db, suppress(sqlite3.Error):
        db.executescript(change)
    return change


def _store_bytes(folder: Path, rng: random.Random) -> str:
    return "store: " + _damage(folder / "store.sqlite", rng, page=4096)


def _log(folder: Path, rng: random.Random) -> str:
    name = rng.choice(["store.sqlite-wal", "store.sqlite-shm", "store.sqlite-journal"])
    path = folder / name
    what = rng.randrange(4)
    if what == 0:
        path.write_bytes(rng.randbytes(rng.randrange(1, 40_000)))
    elif what == 1:
        os.mkfifo(path)
    elif what == 2:
        path.mkdir()
    else:  # frames with sound sums, then damaged
        with closing(sqlite3.connect(folder / "store.sqlite", isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("UPDATE sources SET size = size + 1")
            held = {p.name: p.read_bytes() for p in folder.glob("store.sqlite-*")}
        for held_name, content in held.items():
            (folder / held_name).write_bytes(content)
        return f"{name}: " + (_damage(path, rng, page=4096) if path.is_file() and path.stat().st_size else "nothing")
    return f"{name}: {('junk', 'fifo', 'folder')[what]}"


def _vectors(folder: Path, rng: random.Random) -> str:
    (path,) = folder.glob("vectors-*.faiss")
    what = _damage(path, rng, page=64)
    if rng.random() < 0.9:  # so that the size is not what gives it away
        _set_manifest(folder, ["vectors", "size"], path.stat().st_size)
    return f"vectors: {what}"


def _kinds(folder: Path, rng: random.Random) -> str:
    """A file that is of another kind, or of none."""
    (vectors,) = folder.glob("vectors-*.faiss")
    path = rng.choice([vectors, folder / "store.sqlite", folder / "manifest.json"])
    what = rng.choice(["missing", "folder", "fifo", "empty", "link to itself", "sparse", "another index's"])
    content = path.read_bytes()
    path.unlink()
    if what == "folder":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "empty":
        path.touch()
    elif what == "link to itself":
        path.symlink_to(path.name)
    elif what == "sparse":
        path.write_bytes(content)
        os.truncate(path, 1 << 40)
        if path == vectors:
            _set_manifest(folder, ["vectors", "size"], 1 << 40)
    elif what == "another index's":
        path.write_bytes(content[: len(content) // 2] * 2)
    return f"{path.name}: {what}"


def _manifest(folder: Path, rng: random.Random) -> str:
    path = folder / "manifest.json"
    if rng.random() < 0.3:
        if rng.random() < 0.2:
            path.write_text(DEEP if rng.random() < 0.5 else '{"format_version":' * 50_000)
            return "manifest: nested"
        if rng.random() < 0.2:
            path.write_text(path.read_text().replace(": 1", ": " + "1" * rng.choice([18, 300, 5000]), 1))
            return "manifest: a long integer"
        return "manifest: " + _damage(path, rng, page=16)
    values = json.loads(path.read_text())
    keys: list[list[str]] = [[key] for key in values]
    keys += [["vectors", key] for key in values["vectors"] or ()] * 3 + [["config", key] for key in values["config"]]
    key = rng.choice(keys)
    value = rng.choice(JSON_VALUES)
    _set_manifest(folder, key, value, delete=rng.random() < 0.1)
    return f"manifest: {'.'.join(key)} = {value!r:.40}"


def _set_manifest(folder: Path, key: list[str], value: object, *, delete: bool = False) -> None:
    path = folder / "manifest.json"
    values = json.loads(path.read_text())
    inner = values if len(key) == 1 else values[key[0]]
    if delete:
        del inner[key[-1]]
    else:
        inner[key[-1]] = value
    path.write_text(json.dumps(values))


def _damage(path: Path, rng: random.Random, *, page: int) -> str:
    data = bytearray(path.read_bytes())
    near = rng.choice([200, 2000, len(data)])  # headers are where most is decided

    def place(width: int) -> int:
        pages = len(data) // page
        start = rng.randrange(pages) * page if pages and rng.random() < 0.5 else 0
        return min(start + rng.randrange(min(near, len(data))), len(data) - width) if len(data) > width else 0

    what = rng.choice(["flips", "flips", "number", "number", "truncated", "extended", "zeros", "copied", "ones"])
    if what == "flips":
        for _ in range(rng.choice([1, 1, 2, 8, 64])):
            data[place(1)] ^= 1 << rng.randrange(8)
    elif what == "number":
        width = rng.choice(["<I", ">I", "<Q", ">H", "B"])
        size = struct.calcsize(width)
        at = place(size)
        data[at : at + size] = struct.pack(width, rng.choice(NUMBERS) % (1 << (8 * size)))
    elif what == "truncated":
        del data[rng.randrange(len(data)) :]
    elif what == "extended":
        data += rng.randbytes(rng.randrange(1, 3 * page))
    else:
        at = place(1)
        size = min(rng.choice([8, page, 3 * page]), len(data) - at)
        source = place(1)
        filling = {"zeros": b"\0" * size, "ones": b"\xff" * size}.get(what) or bytes(data[source : source + size])
        data[at : at + len(filling)] = filling
    path.write_bytes(data)
    return what


# --- use -------------------------------------------------------------------------------------------------------


def use(folder: Path) -> collections.Counter[str]:
    """Do everything with an index; counts how each step ended. Raises what is no error of ragyena's own."""
    ended: collections.Counter[str] = collections.Counter()

    def step(name: str, action: Callable[[], object]) -> None:
        try:
            action()
            ended[f"{name}: done"] += 1
        except RagyenaError as error:
            assert error.message and error.hint
            ended[f"{name}: {type(error).__name__}"] += 1

    step("status", lambda: _opened(folder, lambda index: index.status(), lazy=True))
    step("search", lambda: _opened(folder, _search))
    step("verify", lambda: verify(folder))
    step("repair", lambda: _repair(folder))
    step("held", lambda: held_sources(folder))
    step("upgrade", lambda: upgrade(folder))
    step("remove", lambda: _opened(folder, lambda index: index.remove("*1*"), lazy=True))
    step("search", lambda: _opened(folder, _search))
    return ended


def _opened(folder: Path, action: Callable[[Index], object], *, lazy: bool = False) -> None:
    with Index.open(folder, lazy=lazy) as index:
        action(index)


def _search(index: Index) -> None:
    for query, mode, filters in SEARCHES:
        matches = index.search(query, k=4, filters=filters, settings={"retriever.mode": mode})
        for match in matches:
            index.document(match.passage.document_id)
        for match in matches[:1]:
            index.neighbours(match.passage.passage_id, 2)
        with index.reading():
            candidates = index.candidates(query, k=20, filters=filters, settings={"retriever.mode": mode})
            pack(query, candidates, TOKENIZER, PackerConfig(), max_question_tokens=64)


def _repair(folder: Path) -> None:
    report = verify(folder, repair=True, tokenizer=TOKENIZER)
    if report.repaired:
        assert report.sound, report
        _opened(folder, _search)


def _no_embedder(name: str) -> Embedder:
    """In the place of a search of the machine for a model, which takes seconds."""
    raise ConfigError(f"there is no embedder '{name}'", hint="see tests of the embedder")


def sweep(index: Path, first: int, count: int) -> collections.Counter[str]:
    """Use a damaged copy of ``index`` for each seed; prints what went wrong that should not have."""
    bundled = Embedder.open(BUNDLED)
    bundled.embed_question = functools.cache(bundled.embed_question)  # type: ignore[method-assign]
    Embedder.open = lambda name, **_: bundled if name == BUNDLED else _no_embedder(name)  # type: ignore[method-assign]
    total: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as place:
        for seed in range(first, first + count):
            folder = Path(place) / "index"
            shutil.copytree(index, folder)
            what = tamper(folder, seed)
            print(f"seed {seed}: {what}", flush=True)
            faulthandler.dump_traceback_later(SECONDS, exit=True)
            began = time.perf_counter()
            try:
                total += use(folder)
            except BaseException as error:
                total["unexpected"] += 1
                import traceback

                traceback.print_exc()
                print(f"UNEXPECTED at seed {seed}: {what}: {type(error).__name__}: {error!s:.200}", flush=True)
                if isinstance(error, KeyboardInterrupt):
                    raise
            faulthandler.cancel_dump_traceback_later()
            total["mutations"] += 1
            if time.perf_counter() - began > 5:
                print(f"SLOW at seed {seed}: {what}: {time.perf_counter() - began:.1f} s", flush=True)
            shutil.rmtree(folder)
    return total


def main(index: Path, first: int, count: int) -> None:
    """Sweep in child processes, one a batch of seeds, so that a crash costs a batch alone."""
    total: collections.Counter[str] = collections.Counter()
    while count > 0:
        some = min(BATCH, count)
        code = f"import pathlib, tampering as t; print(dict(t.sweep(pathlib.Path({str(index)!r}), {first}, {some})))"
        child = subprocess.run(
            [sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
        )
        lines = child.stdout.splitlines()
        for line in lines:
            if line.startswith(("UNEXPECTED", "SLOW")):
                print(line, flush=True)
        if child.returncode == 0:
            total += collections.Counter(eval(lines[-1]))
        else:
            total["died"] += 1
            print(f"DIED ({child.returncode}) after {lines[-1:]}: {child.stderr[-1500:]}", flush=True)
        if child.stderr and "UNEXPECTED" in child.stdout:
            print(child.stderr[-3000:])
        first, count = first + some, count - some
    for name, number in sorted(total.items()):
        print(f"{number:8} {name}")


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), int(sys.argv[2]), int(sys.argv[3]))
