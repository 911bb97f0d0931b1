"""Lexical search within a budget: what is scored, and that the best passages are those of a search without one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from ragyena.index import budget, search
from ragyena.index.budget import estimate_rows, parts
from ragyena.index.search import lexical_search
from ragyena.index.store import Store

ROWS = 4000


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Passages of twelve words by Zipf's law, without their documents: the full text index is what is searched."""
    rng = np.random.default_rng(0)
    ranks = np.minimum(np.exp(rng.random((ROWS, 12)) * np.log(3000)).astype(int), 2999)
    store = Store(tmp_path_factory.mktemp("store") / "store.sqlite", create=True)
    store.execute("PRAGMA foreign_keys = OFF")
    with store.transaction():
        for row in range(ROWS):
            store.execute(
                "INSERT INTO passages (document_id, start, end, byte_start, byte_end, line_start, line_end,"
                " heading_path) VALUES (1, 0, 1, 0, 1, 1, 1, '[]')"
            )
            words = " ".join(f"w{rank}x" for rank in ranks[row])
            store.execute("INSERT INTO lexicon (rowid, header, text) VALUES (?, '', ?)", (row + 1, words))
    yield store
    store.close()


def test_within_a_budget_the_best_stay_the_best(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = []
    for rare in range(40, 240, 10):
        query = f"w5x w9x w{rare}x w{rare + 7}x"
        with monkeypatch.context() as patch:
            every = lexical_search(store, query, 10)
            patch.setattr(search, "LARGE", 100)
            patch.setattr(budget, "ROWS_MOST", 150)
            patch.setattr(budget, "PASSED_MOST", 1500)
            some = lexical_search(store, query, 10)
        assert some == sorted(some, key=lambda match: (-match[1], match[0]))
        assert len({i for i, _ in some}) == len(some) == 10
        shared.append(len({i for i, _ in every} & {i for i, _ in some}) / 10)
    assert np.mean(shared) > 0.7


def test_a_query_of_common_words_alone_finds_as_many_as_are_wanted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "LARGE", 100)
    monkeypatch.setattr(budget, "ROWS_MOST", 5)
    monkeypatch.setattr(budget, "PASSED_MOST", 2000)
    assert len(lexical_search(store, "w1x", 20)) == 20
    assert len(lexical_search(store, "w1x w2x w3x", 20)) == 20
    assert lexical_search(store, "nothing of this", 20) == []


def test_rows_are_estimated_from_a_part_of_them(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "SLICE_SHARE", 1 / 16)
    for word in ("w1x", "w3x", "w100x", "w2500x", "absent"):
        (true,) = store.row("SELECT count(*) FROM lexicon WHERE lexicon MATCH ?", (word,), types=(int,))
        assert estimate_rows(store, "lexicon", f'"{word}"', 1, ROWS) == pytest.approx(true, rel=0.5)


def test_rare_words_come_first_and_common_ones_together() -> None:
    counts = {"rare": 100, "some": 20_000, "many": 25_000, "more": 30_000, "most": 90_000}

    def count(expression: str) -> int:
        return 50_000 if " OR " in expression else 900  # of either group there are too many together

    chosen = parts(list(counts), list(counts.values()), count, 200)
    assert [part.expression for part in chosen] == [
        "(rare) AND (rare OR some OR many OR more OR some OR many OR more)",
        "some AND many",
    ]
    assert [part.factor for part in chosen] == [0.5, 1.0]
    assert parts(["rare"], [100], count, 200) == [("rare", 1.0)]
    assert parts(["some"], [30_000], count, 200) == [("some", 1.0)]
