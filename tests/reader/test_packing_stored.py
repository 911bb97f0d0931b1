"""Packing what an index keeps: the same contexts and logs as by tokenizing and comparing every text anew."""

from __future__ import annotations

import dataclasses
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import packing_reference
import pytest
from hashed_embeddings import hashed_embeddings
from hypothesis import given, settings
from hypothesis import strategies as st

from ragyena import recipes
from ragyena.config import PackerConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import BudgetError, IndexCorruptError
from ragyena.index import kept_passages, packing_columns
from ragyena.index.index import Index
from ragyena.index.inspection import verify
from ragyena.index.upgrade import upgrade
from ragyena.reader.packing import pack
from ragyena.types import Context, Document, Heading, ScoredPassage

TOKENIZER = Tokenizer.from_folder(recipes.asset("reader"))
SENTENCES = [
    "The iron bridge over the river was built by a mason from the valley.",
    "Its arches are of stone, and the roadway is of timber from the old mill.",
    "In the winter of 1932 the market moved to the other side of the water.",
    "Café Zoë opened at the east end; its naïve façade is protected.",
    "# Heading\n\n| Span | Year |\n|---|---|\n| 40 m | 1932 |\n* *first* item\n* **second** item",
    "日本の橋は一九三二年に建てられた。",
    "A word of many letters: " + "x" * 150 + " and \u0301 combining, ½ of it, ﬁne ligatures.",
]


def documents(rng: np.random.Generator) -> Iterator[Document]:
    """Short ones and long ones, many that nearly repeat another."""
    words = " ".join(SENTENCES[:3]).split()
    for number in range(70):
        parts = [str(rng.choice(SENTENCES)) for _ in range(int(rng.integers(1, 4)))]
        parts += [" ".join(rng.choice(words, int(rng.integers(1, 90))))]
        yield Document(f"text {number}", " ".join(parts) + f" {number}", title="Bridges" if number % 2 else "")
        if number % 3 == 0:  # once more, with words changed or added
            changed = parts[-1].split()
            for place in rng.choice(len(changed), min(len(changed), int(rng.integers(0, 4))), replace=False):
                changed[place] = str(rng.choice(words)).upper()
            yield Document(f"again {number}", " ".join([*parts[:-1], *changed]) + f" {number}", title="Copies")
    text = "\n\n".join(f"Section {n}\n\n{' '.join(rng.choice(words, 70))}" for n in range(30))
    starts = [text.index(f"Section {n}\n") for n in range(30)]
    headings = [
        Heading(start, 1 + n % 3, f"Section {n} of the long history of bridges") for n, start in enumerate(starts)
    ]
    yield Document(
        "long", text, title="A long title of a long document on the bridges of the valley", headings=tuple(headings)
    )
    yield Document("one word", "bridge")


@pytest.fixture(scope="module", autouse=True)
def quick_embedder() -> Iterator[None]:
    """Vectors by hash: nearness to a question does not matter here, and 200 texts take seconds to embed."""
    with hashed_embeddings():
        yield


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored") / "index"
    with Index.create(folder, settings={"index.passage_tokens": 100}) as index:
        index.add(list(documents(np.random.default_rng(5))))
    return folder


@pytest.fixture(scope="module", params=["rows read", "rows kept"])
def index(built: Path, request: pytest.FixtureRequest) -> Iterator[Index]:
    with Index.open(built) as opened, pytest.MonkeyPatch.context() as patch:
        if request.param == "rows kept":
            patch.setattr(packing_columns, "MANY", 0)
            patch.setattr(packing_columns, "KEPT_AFTER", 0)
            patch.setattr(kept_passages, "SHARED_BYTES", 10_000)
        yield opened


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "copy"))


def assert_same(ours: Context, reference: Context) -> None:
    assert ours.log == reference.log
    assert ours.passages == reference.passages
    for name in ("question_ids", "token_ids", "token_mask", "text_mask", "char_starts", "char_ends"):
        mine, theirs = getattr(ours, name), getattr(reference, name)
        assert mine.dtype == theirs.dtype and np.array_equal(mine, theirs), name


def by_reference(question: str, given: Sequence[ScoredPassage], config: PackerConfig, index: Index) -> Context:
    return packing_reference.pack(
        question, given, TOKENIZER, config, max_question_tokens=64, neighbours=index.neighbours
    )


def packed(question: str, given: Sequence[ScoredPassage], config: PackerConfig, index: Index) -> Context:
    return pack(question, given, TOKENIZER, config, max_question_tokens=64, neighbours=index.neighbours)


QUESTIONS = ["Who built the iron bridge?", "the market of 1932", "日本の橋", "Section 4", "café façade"]


@settings(max_examples=60, deadline=None)
@given(
    question=st.sampled_from(QUESTIONS),
    mode=st.sampled_from(["hybrid", "dense", "lexical"]),
    k=st.integers(1, 200),
    tokens=st.integers(256, 20_000),
    order=st.sampled_from(["score", "document"]),
    header_tokens=st.integers(0, 64),
    near=st.sampled_from([0.05, 0.3, 0.5, 0.6, 0.75, 0.8, 0.9, 0.95, 1.0, 1.5]),
    neighbours=st.sampled_from([0, 0, 0, 1, 2]),
)
def test_contexts_and_logs_are_those_of_the_reference(
    index: Index, question: str, mode: str, k: int, tokens: int, order: str, header_tokens: int, near: float,
    neighbours: int,
) -> None:  # fmt: skip
    config = PackerConfig().model_copy(
        update={
            "context_tokens": tokens, "order": order, "header_tokens": header_tokens, "near_duplicate": near,
            "neighbours": neighbours,
        }
    )  # fmt: skip
    mode_setting = {"retriever.mode": mode}
    given_now = index.search(question, k=k, settings=mode_setting)
    stored = index.candidates(question, k=k, settings=mode_setting)
    assert [*stored] == given_now and stored[:3] == given_now[:3]
    try:
        reference = by_reference(question, given_now, config, index)
    except BudgetError as error:
        for candidates in (stored, given_now):
            with pytest.raises(BudgetError) as caught:
                packed(question, candidates, config, index)
            assert (caught.value.message, caught.value.hint) == (error.message, error.hint)
        return
    assert_same(packed(question, stored, config, index), reference)
    assert_same(packed(question, given_now, config, index), reference)


def test_there_are_duplicates_to_find(index: Index) -> None:
    """Else the test above would compare nothing."""
    found = {}
    for near in (0.6, 0.9):
        config = PackerConfig(context_tokens=20_000, near_duplicate=near)
        log = packed(QUESTIONS[0], index.candidates(QUESTIONS[0], k=200), config, index).log
        found[near] = sum(entry.outcome == "duplicate" for entry in log.entries)
    assert 5 < found[0.9] < found[0.6] < len(log.entries) // 2


def test_passages_without_rows_are_packed_all_the_same(index: Index, copy: Path) -> None:
    config = PackerConfig(context_tokens=8192)
    whole = packed(QUESTIONS[0], index.candidates(QUESTIONS[0], k=150), config, index)
    for damage in ("passage_id % 3 = 0", "TRUE"):
        change(copy, f"DELETE FROM packing WHERE {damage}")
        with Index.open(copy) as opened:
            assert_same(packed(QUESTIONS[0], opened.candidates(QUESTIONS[0], k=150), config, opened), whole)
        assert verify(copy).sound, "an index written before has no rows"


def change(folder: Path, statements: str) -> None:
    db = sqlite3.connect(folder / "store.sqlite", isolation_level=None)
    db.executescript(statements)
    db.close()


def rows(folder: Path) -> list[tuple[object, ...]]:
    db = sqlite3.connect(folder / "store.sqlite")
    held = db.execute("SELECT * FROM packing ORDER BY passage_id").fetchall()
    db.close()
    return held


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        ("token_ids = x'00'", "not of 2 bytes each"),
        ("token_ids = x'ffff'", "beyond a vocabulary"),
        ("token_ids = 'text'", "type str"),
        ("offsets = x''", "fewer offsets than tokens"),
        ("offsets = CAST(offsets || x'0101' AS BLOB)", "more or fewer offsets"),
        (
            "offsets = CAST(zeroblob(length(token_ids) / 2 - 1) || x'ffffffff7fffffff7f' AS BLOB)",
            "outside their passage",
        ),
        (
            "offsets = CAST(zeroblob(length(token_ids) / 2 - 1) || x'ff000000ff01000000' AS BLOB)",
            "outside their passage",
        ),
        ("header_ids = zeroblob(200)", "headers of more than 64 tokens"),
        ("signature = x'00'", "signatures are not all"),
    ],
)
def test_damaged_rows_are_named_and_made_again(built: Path, copy: Path, damage: str, complaint: str) -> None:
    change(copy, f"UPDATE packing SET {damage}")
    config = PackerConfig(context_tokens=8192)
    with Index.open(copy) as index, pytest.raises(IndexCorruptError, match=complaint) as caught:
        packed(QUESTIONS[0], index.candidates(QUESTIONS[0], k=50), config, index)
    assert "verify --repair" in caught.value.hint
    assert not verify(copy).sound, "without the tokenizer too"
    report = verify(copy, repair=True, tokenizer=TOKENIZER)
    assert report.sound and report.repaired
    assert rows(copy) == rows(built)


def test_rows_of_something_else_are_found_by_verify(built: Path, copy: Path) -> None:
    """They are of the right length, so that packing cannot know."""
    change(copy, "UPDATE packing SET token_ids = zeroblob(length(token_ids)) WHERE passage_id = 7")
    change(copy, "UPDATE packing SET signature = zeroblob(length(signature)) WHERE passage_id = 9")
    (problem,) = verify(copy, tokenizer=TOKENIZER).problems
    assert "[7, 9]" in problem
    assert verify(copy, repair=True, tokenizer=TOKENIZER).sound
    assert rows(copy) == rows(built)


def test_rows_without_their_passage_or_tokenizer_are_removed(copy: Path) -> None:
    change(copy, "PRAGMA foreign_keys = OFF; UPDATE packing SET passage_id = 100000 WHERE passage_id = 7")
    assert not verify(copy).sound
    assert verify(copy, repair=True, tokenizer=TOKENIZER).sound
    change(copy, "PRAGMA foreign_keys = OFF; UPDATE packing SET tokenizer_id = 9")
    assert not verify(copy).sound
    assert verify(copy, repair=True, tokenizer=TOKENIZER).sound


def test_an_upgrade_makes_the_rows_that_are_missing(built: Path, copy: Path) -> None:
    change(copy, "DELETE FROM packing WHERE passage_id > 20; UPDATE packing SET signature = NULL WHERE passage_id = 3")
    missing = len(rows(built)) - 19
    report = upgrade(copy, tokenizer=TOKENIZER)
    assert (report.from_version, report.packing) == (2, missing)
    assert rows(copy) == rows(built)
    assert upgrade(copy, tokenizer=TOKENIZER).packing == 0


def test_a_removed_document_takes_its_rows_along(copy: Path) -> None:
    before = len(rows(copy))
    with Index.open(copy) as index:
        index.remove("long")
    assert len(rows(copy)) < before - 20 and verify(copy, tokenizer=TOKENIZER).sound


def test_a_renamed_file_has_the_header_of_its_new_title(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "old name.txt").write_text("The iron bridge was built in 1932.")
    with Index.create(tmp_path / "index") as index:
        index.add(files)
        (files / "old name.txt").rename(files / "new title.txt")
        assert index.add(files).renamed == 1
        config = PackerConfig()
        question = "When was the bridge built?"
        stored = index.candidates(question, k=5)
        assert not stored.without_tokens
        context = packed(question, stored, config, index)
        assert_same(context, by_reference(question, index.search(question, k=5), config, index))
        assert "new title" in TOKENIZER.decode(context.token_ids[0])


def test_passages_that_were_removed_since_are_named(copy: Path) -> None:
    with Index.open(copy) as index, Index.open(copy) as other:
        stored = index.candidates(QUESTIONS[0], k=300)
        with index.reading():
            assert index.passages([1])
            other.remove("text 1")
            kept = index.candidates(QUESTIONS[0], k=300)
            assert len(packed(QUESTIONS[0], kept, PackerConfig(), index).log.entries) == len(stored)
        with pytest.raises(IndexCorruptError, match="no longer holds"):
            packed(QUESTIONS[0], stored, PackerConfig(context_tokens=60_000), index)


def test_in_bulk_is_one_by_one(index: Index) -> None:
    one = index.candidates(QUESTIONS[0], k=1)[0]
    again = ScoredPassage(one.passage, one.score, one.dense_score, one.lexical_score, one.similarity)
    assert one == again and hash(dataclasses.astuple(one)[1:]) == hash(dataclasses.astuple(again)[1:])
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.score = 1.0  # type: ignore[misc]


def test_kept_rows_follow_what_is_written(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing_columns, "MANY", 0)
    monkeypatch.setattr(packing_columns, "KEPT_AFTER", 0)
    with Index.open(copy) as index, Index.open(copy) as writer:
        with index.reading():
            before = index.candidates("the iron bridge", k=400)
            kept = index.store.packing_columns._kept
            assert kept is not None and set(before.passage_ids) <= set(kept.columns.passage_ids)
            writer.remove("long")
            assert index.candidates("the iron bridge", k=400).passage_ids.tolist() == before.passage_ids.tolist()
        index.refresh()
        with index.reading():
            after = index.candidates("the iron bridge", k=400)
        assert "long" in before.sources and "long" not in after.sources
        with pytest.raises(IndexCorruptError, match="no longer holds"):
            before[:]
        assert len(after) < len(before)


def test_passages_that_share_too_little_are_read_by_row(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory would grow with the headings of the store."""
    monkeypatch.setattr(packing_columns, "MANY", 0)
    monkeypatch.setattr(packing_columns, "KEPT_AFTER", 0)
    kept, passages = [], []
    for limit in (1, 10_000):
        monkeypatch.setattr(kept_passages, "SHARED_BYTES", limit)
        with Index.open(built) as index:
            passages.append([*index.candidates("the iron bridge", k=400)])
            rows_kept = index.store.packing_columns._kept
            assert rows_kept is not None
            kept.append(rows_kept.passages is not None)
    assert kept == [False, True] and passages[0] == passages[1]


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("UPDATE passages SET end = end + 1", "not where they say"),
        ("UPDATE passages SET line_start = 0", "on lines 0"),
        ("UPDATE passages SET page = 0", "page 0"),
        ("UPDATE passages SET kind = 'poem'", "'poem' is no kind of block"),
        ("UPDATE passages SET byte_end = 10000000", "which has"),
        ("UPDATE passages SET document_id = -5 WHERE passage_id < 40", "no longer holds"),
        ("UPDATE documents SET metadata = '3'", "int for metadata"),
        ("UPDATE documents SET text = 'text'", "type str where there should be bytes"),
        ("UPDATE documents SET title = '3'", "int for a string"),
        ("UPDATE documents SET text = CAST(x'ff' || substr(text, 2) AS BLOB)", "can't decode"),
        ("UPDATE packing SET signature = x'00' WHERE passage_id = 3", "signatures are not all"),
    ],
)
def test_damage_is_named_with_kept_rows_too(
    copy: Path, monkeypatch: pytest.MonkeyPatch, statement: str, complaint: str
) -> None:
    change(copy, f"PRAGMA foreign_keys = OFF; {statement}")
    monkeypatch.setattr(packing_columns, "MANY", 0)
    monkeypatch.setattr(packing_columns, "KEPT_AFTER", 0)
    monkeypatch.setattr(kept_passages, "SHARED_BYTES", 10_000)
    with Index.open(copy) as index, pytest.raises(IndexCorruptError, match=complaint):
        index.candidates("the iron bridge", k=400)[:]


@pytest.mark.parametrize("column", ["heading_path", "line_start"])
def test_damage_elsewhere_keeps_no_question_from_its_passages(
    copy: Path, monkeypatch: pytest.MonkeyPatch, column: str
) -> None:
    with Index.open(copy) as index:
        expected = [*index.candidates("the iron bridge", k=5)]
    last = max(row[0] for row in rows(copy) if row[0] not in {scored.passage.passage_id for scored in expected})
    change(copy, f"UPDATE passages SET {column} = x'00' WHERE passage_id = {last}")
    monkeypatch.setattr(packing_columns, "MANY", 0)
    monkeypatch.setattr(packing_columns, "KEPT_AFTER", 0)
    with Index.open(copy) as index:
        assert [*index.candidates("the iron bridge", k=5)] == expected


def test_a_store_too_large_to_keep_is_counted_once(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("MANY", "KEPT_AFTER", "KEPT_MOST"):
        monkeypatch.setattr(packing_columns, limit, 0)
    statements: list[str] = []
    with Index.open(built) as index:
        index.store._db.set_trace_callback(statements.append)
        for _ in range(3):
            assert len(index.candidates("the iron bridge", k=40, settings={"retriever.mode": "lexical"})) > 0
        assert index.store.packing_columns._kept is None
    assert sum("count(*) FROM passages" in statement for statement in statements) == 1
