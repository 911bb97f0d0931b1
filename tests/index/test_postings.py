"""Lists of words kept in memory: they follow what is written, stay within their limits, and refuse a damaged store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ragyena.errors import IndexCorruptError
from ragyena.index import postings, search
from ragyena.index.search import lexical_search
from ragyena.index.store import Store
from ragyena.types import Passage


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(tmp_path / "store.sqlite", create=True)) as store:
        yield store


def _write(store: Store, texts: dict[int, str], *, delete: bool = False) -> None:
    with store.transaction():
        for number, text in texts.items():
            passage = Passage(text, 0, len(text), 1, 1, None, title="", heading_path=(), source="s")
            store.write_words(passage, number, delete=delete)


def _scores(store: Store, query: str) -> dict[int, float]:
    """By SQLite."""
    statement = "SELECT rowid, -bm25(lexicon, 2.5, 1.0) FROM lexicon WHERE lexicon MATCH ?"
    return dict(store.rows(statement, (query,), types=(int, float)))


def test_lists_follow_what_others_and_this_connection_write(writer: Store) -> None:
    _write(writer, {number: "an iron bridge" + " of stone" * (number % 3) for number in range(1, 30)})
    with closing(Store(writer.path)) as reader:
        for store in (reader, writer):
            assert dict(lexical_search(store, "bridges", 50)) == _scores(store, "bridge")
        _write(writer, {40: "bridge bridge " + "word " * 200, 35: "tea"})
        _write(writer, {4: "an iron bridge of stone"}, delete=True)
        for store in (reader, writer):
            found = dict(lexical_search(store, "bridges", 50))
            assert found == _scores(store, "bridge")
            assert 40 in found and 4 not in found and len(found) == 29


def test_a_snapshot_keeps_its_lists(writer: Store) -> None:
    _write(writer, {1: "bridge", 2: "tea"})
    with closing(Store(writer.path)) as reader:
        with reader.snapshot():
            before = lexical_search(reader, "bridge", 5)
            _write(writer, {3: "bridge"})
            assert lexical_search(reader, "bridge", 5) == before
        assert {i for i, _ in lexical_search(reader, "bridge", 5)} == {1, 3}


def test_lists_that_were_not_used_for_longest_make_room(writer: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(writer, {number: f"w{number % 4}x" for number in range(1, 101)})
    monkeypatch.setattr(postings, "KEPT_BYTES", 1100)  # of two lists of 25 rows
    expected = [lexical_search(writer, f"w{i}x", 100) for i in range(4)]
    assert [lexical_search(writer, f"w{i % 4}x", 100) for i in range(8)] == expected * 2
    assert len(writer.postings._lists) == 2


def test_equal_scores_at_the_end_are_taken_by_id(writer: Store) -> None:
    _write(writer, {number: "tea" if number % 2 else "tea tea" for number in range(1, 41)})
    found = lexical_search(writer, "tea", 30)
    assert [i for i, _ in found] == [*range(2, 41, 2), *range(1, 21, 2)]


def test_a_large_index_leaves_out_the_commonest_words(writer: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(writer, {n: f"all {'wood' if n % 2 else 'iron' if n % 8 == 0 else 'none'}" for n in range(1, 81)})
    every = {i for i, _ in lexical_search(writer, "iron wood", 100)}
    assert len(every) == 50
    monkeypatch.setattr(search, "LARGE", 10)
    monkeypatch.setattr(search, "ROWS_MOST", 20)
    assert {i for i, _ in lexical_search(writer, "iron wood", 100)} == {*range(8, 81, 8)}
    assert len(lexical_search(writer, "wood", 100)) == 40  # one word is always looked for
    assert not lexical_search(writer, "nothing", 100)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE lexicon_docsize SET sz = x'0102' || sz WHERE id = 2",
        "UPDATE lexicon_docsize SET sz = x'81818181818181818101' WHERE id = 2",
        "UPDATE lexicon_docsize SET sz = 7 WHERE id = 2",
        "DELETE FROM lexicon_docsize WHERE id = 2",
    ],
)
def test_numbers_of_words_that_are_none_are_named(writer: Store, damage: str) -> None:
    _write(writer, {1: "bridge", 2: "bridge", 3: "tea"})
    writer.execute(damage)
    with pytest.raises(IndexCorruptError, match="lexicon"):
        lexical_search(writer, "bridge", 5)


def test_long_passages_have_numbers_of_words_of_several_bytes(writer: Store) -> None:
    _write(writer, {1: "bridge " * 20_000, 2: "bridge tea " * 100, 3: "tea", 300: "bridge"})
    assert dict(lexical_search(writer, "bridge", 5)) == _scores(writer, "bridge")
