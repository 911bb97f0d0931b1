"""Indexes changed by something else: whatever is done with one ends in an error of ragyena's own, and ends."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import struct
from pathlib import Path

import faiss
import numpy as np
import pytest
from tampering import main, sweep

from ragyena.errors import IndexCorruptError, IndexProblem
from ragyena.index.embedder import Embedder
from ragyena.index.index import Index
from ragyena.index.inspection import verify
from ragyena.index.store import Store
from ragyena.index.vector_layout import check_layout
from ragyena.types import Block, Document

DOCUMENTS = [
    Document(
        "whale",
        "Whales are large.\n\nName: Blue whale; Weight: 190\nName: Orca; Weight: 6",
        title="Whales",
        page_starts=(0,),
        page_labels=("iv",),
        blocks=(Block(19, 71, "table", ("Name", "Weight")),),
        metadata={"kind": "animal"},
    ),
    Document("library", "図書館の開館時間は午前九時です。" + "これは長い文章です。" * 60),
    *(Document(f"row{n}", f"Item {n} weighs {n} grams, whale {n}.", metadata={"kind": f"k{n % 3}"}) for n in range(9)),
]


def built(folder: Path, kind: str) -> Path:
    with Index.create(folder, settings={"index.passage_tokens": 64, "index.vector_index": kind}) as index:
        index.add(DOCUMENTS)
    with sqlite3.connect(folder / "store.sqlite") as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return folder


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("flat") / "index", "flat")


@pytest.fixture
def copy(flat: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(flat, tmp_path / "copy"))


def change(index: Path, statements: str) -> None:
    db = sqlite3.connect(index / "store.sqlite", isolation_level=None)
    db.executescript(statements)
    db.close()


def test_structure_comes_back_as_it_was_added(flat: Path) -> None:
    with Index.open(flat) as index:
        (match,) = index.search("Orca weight", k=1, settings={"retriever.mode": "lexical"})
        document = index.document(match.passage.document_id)
    assert (match.passage.kind, match.passage.table_header) == ("table", ("Name", "Weight"))
    assert (match.passage.page, match.passage.page_label) == (1, "iv")
    assert (document.blocks, document.page_labels) == (DOCUMENTS[0].blocks, DOCUMENTS[0].page_labels)


def test_nothing_unexpected_in_a_small_sweep(flat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Embedder, "open", Embedder.open)  # which the sweep replaces
    total = sweep(flat, 0, 22)
    assert total["mutations"] == 22
    assert total["unexpected"] == 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_nothing_unexpected_in_a_large_sweep(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(built(tmp_path / "index", kind), 1_000_000, 150)
    printed = capsys.readouterr().out
    assert "UNEXPECTED" not in printed
    assert "DIED" not in printed
    assert "150 mutations" in printed


@pytest.mark.parametrize(
    ("statements", "complaint"),
    [
        ("ALTER TABLE passages RENAME TO held; CREATE VIEW passages AS SELECT * FROM held", "is not what it should be"),
        ("CREATE TRIGGER t AFTER INSERT ON sources BEGIN SELECT 1; END", "no part of an index"),
        ("DROP INDEX passages_by_document", "passages_by_document is missing"),
        ("ALTER TABLE passages RENAME COLUMN page TO pages", "passages is not what it should be"),
        ("DROP TABLE packing; CREATE VIEW packing AS SELECT 1", "packing is not what it should be"),
    ],
)
def test_other_tables_are_refused(copy: Path, statements: str, complaint: str) -> None:
    change(copy, statements)
    with pytest.raises(IndexCorruptError, match=complaint) as caught:
        Index.open(copy)
    assert "--rebuild" in caught.value.hint


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("UPDATE passages SET heading_path = x'00'", "type bytes where there should be str"),
        ("UPDATE passages SET page = 'three'", "type str where there should be int"),
        ("UPDATE passages SET start = 1.5", "type float where there should be int"),
        ("UPDATE passages SET end = 9223372036854775807", "not where they say"),
        ("UPDATE passages SET kind = 'poem'", "'poem' is no kind of block"),
        ("UPDATE passages SET table_header = replace(hex(zeroblob(50000)), '00', '[')", "nested too deeply"),
        ("UPDATE passages SET table_header = '{}'", "dict for a list"),
        ("UPDATE documents SET metadata = '{\"kind\": 3}'", "int for a string"),
        ("UPDATE documents SET text = 'text'", "type str where there should be bytes"),
    ],
)
def test_wrong_values_are_named(copy: Path, statement: str, complaint: str) -> None:
    change(copy, statement)
    with Index.open(copy) as index, pytest.raises(IndexCorruptError, match=complaint):
        index.search("whale", settings={"retriever.mode": "lexical"})
    assert complaint in " ".join(verify(copy).problems)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("headings", f"[[{'9' * 5000}, 1, 'x']]"),
        ("page_starts", "[-1]"),
        ("blocks", "[[0, 1]]"),
        ("page_labels", '["a", "b"]'),
    ],
)
def test_wrong_values_of_documents_are_named(copy: Path, column: str, value: str) -> None:
    db = sqlite3.connect(copy / "store.sqlite", isolation_level=None)
    db.execute(f"UPDATE documents SET {column} = ?", (value,))
    db.close()
    with Index.open(copy) as index, pytest.raises(IndexCorruptError):
        index.document(1)


def test_a_statement_that_does_not_end_is_ended(flat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ragyena.index.database.STEPS_LEAST", 2_000_000)
    store = Store(flat / "store.sqlite")
    endless = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT max(n) FROM c"
    with pytest.raises(IndexCorruptError, match="interrupted"):
        store.rows(endless, types=(int,))
    assert store.counts().documents == len(DOCUMENTS)
    store.close()


def test_pipes_in_the_place_of_files_are_not_waited_for(copy: Path) -> None:
    for name in ("store.sqlite-journal", "store.sqlite", next(copy.glob("*.faiss")).name, "manifest.json"):
        (copy / name).unlink(missing_ok=True)
        os.mkfifo(copy / name)
        with pytest.raises(IndexProblem):
            Index.open(copy)
        verify(copy) if name != "manifest.json" else None


# --- vector files ---


def header(index: Path, position: int, layout: str, value: int) -> None:
    (path,) = index.glob("vectors-*.faiss")
    data = bytearray(path.read_bytes())
    struct.pack_into(layout, data, position, value)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("position", "layout", "value"),
    [
        (4, "<i", 383),  # the dimension
        (8, "<q", 2**40),  # the count
        (74, "<i", 7),  # the kind of code
        (110, "<Q", 2**40),  # bytes of the codes
        (41, "<i", 768),  # the dimension within
    ],
)
def test_a_header_that_declares_something_else(copy: Path, position: int, layout: str, value: int) -> None:
    header(copy, position, layout, value)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(IndexCorruptError, match=r"faiss is damaged") as caught:
        Index.open(copy)
    assert "verify --repair" in caught.value.hint
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, "kilobytes"
    report = verify(copy, repair=True)
    assert report.sound
    assert len(report.repaired) == 1


def test_ids_that_are_missing_are_repaired(copy: Path) -> None:
    (path,) = copy.glob("vectors-*.faiss")
    index = faiss.read_index(str(path))
    faiss.write_index(index.index, str(path))  # the vectors without their ids
    assert not verify(copy).sound
    assert verify(copy, repair=True).sound


@pytest.mark.parametrize("table", ["lexicon", "characters"])
def test_a_full_text_index_without_its_words_is_named(copy: Path, table: str) -> None:
    assert verify(copy).sound
    change(copy, f"UPDATE {table}_data SET block = x'ff00'")
    assert any(f"full text index {table} is damaged" in problem for problem in verify(copy).problems)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE lexicon_data SET block = x'ff00'",
        "UPDATE characters_data SET block = x'ff00'",
        "DELETE FROM lexicon_docsize WHERE id = 3",
        "DELETE FROM characters_docsize",
        "UPDATE lexicon_docsize SET sz = x'7f'",
    ],
)
def test_full_text_indexes_are_built_again(copy: Path, damage: str) -> None:
    with Index.open(copy, settings={"retriever.mode": "lexical"}) as index:
        before = [[hit.passage.text for hit in index.search(words)] for words in ("whale", "図書館の開館時間")]
    change(copy, damage)
    assert not verify(copy).sound
    report = verify(copy, repair=True)
    assert report.sound, report.problems
    assert report.repaired
    with Index.open(copy, settings={"retriever.mode": "lexical"}) as index:
        assert [[hit.passage.text for hit in index.search(words)] for words in ("whale", "図書館の開館時間")] == before


def test_a_repair_does_not_trust_a_damaged_store(copy: Path) -> None:
    change(copy, "UPDATE embeddings SET vector = zeroblob(768) WHERE passage_id = 1")
    (path,) = copy.glob("vectors-*.faiss")
    path.write_bytes(b"")
    report = verify(copy, repair=True)
    assert not report.sound
    assert report.repaired == ()


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
@pytest.mark.parametrize("gone", ["passage_id = 1", "TRUE"])
def test_passages_without_vectors_are_named(kind: str, gone: str, tmp_path: Path) -> None:
    index = built(tmp_path / "index", kind)
    change(index, f"DELETE FROM embeddings WHERE {gone}")
    if kind == "flat":
        with pytest.raises(IndexCorruptError, match="passages have no vector"), Index.open(index) as opened:
            opened.remove("row1")
    (problem,) = [problem for problem in verify(index).problems if "have no vector" in problem]
    assert problem.endswith(": 1") == (gone == "passage_id = 1")


@pytest.mark.parametrize("kind", ["flat", "hnsw", pytest.param("ivfpq", marks=pytest.mark.slow)])
def test_the_layout_of_a_vector_file(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(400, 8)).astype(np.float32)
    half, product = faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    if kind == "flat":
        inner = faiss.IndexScalarQuantizer(8, half, product)
    elif kind == "hnsw":
        inner = faiss.IndexHNSWSQ(8, half, 32, product)
    else:
        inner = faiss.index_factory(8, "IVF5,PQ4x8", product)
        inner.cp.niter = inner.pq.cp.niter = 1
    inner.train(vectors)
    index = faiss.IndexIDMap(inner)
    index.add_with_ids(vectors, np.arange(1, 401))
    path = tmp_path / "vectors"
    faiss.write_index(index, str(path))
    check_layout(path, kind, 8, 400)
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole + b"\0", whole[: len(whole) // 2], whole[:4], b"\xff" * len(whole)):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="it "):
            check_layout(path, kind, 8, 400)
    other = {"flat": "hnsw", "hnsw": "ivfpq", "ivfpq": "flat"}[kind]
    path.write_bytes(whole)
    with pytest.raises(ValueError, match="of another kind"):
        check_layout(path, other, 8, 400)
