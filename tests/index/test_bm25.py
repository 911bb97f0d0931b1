"""BM25 over several stores gives the scores of one store that holds all."""

from __future__ import annotations

from contextlib import ExitStack, closing
from functools import reduce
from operator import add
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragyena.index.postings import HEADER_WEIGHT, inverse_frequency
from ragyena.index.search import query_phrases
from ragyena.index.store import Store
from ragyena.types import Passage

WORDS = ["iron", "bridge", "bridges", "built", "river", "tea", "the", "Zürich", "x_y", "1932", "开放", "时间"]
TEXTS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=300).map(" ".join)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(TEXTS, st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join)), min_size=1, max_size=25),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join),
    st.integers(1, 4),
    st.data(),
)
def test_scores_are_those_of_one_store_to_the_last_bit(
    tmp_path_factory, passages: list[tuple[str, str]], query: str, shards: int, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("stores")
    placed = [data.draw(st.integers(0, shards - 1)) for _ in passages]
    with ExitStack() as opened:
        whole = opened.enter_context(closing(_store(folder / "whole.sqlite", enumerate(passages, 1))))
        parts = [
            opened.enter_context(
                closing(
                    _store(
                        folder / f"{shard}.sqlite",
                        [(i, p) for i, p in enumerate(passages, 1) if placed[i - 1] == shard],
                    )
                )
            )
            for shard in range(shards)
        ]
        for table, phrases in query_phrases(query).items():
            if not phrases:
                continue
            of = reduce(add, (part.postings.totals(table) for part in parts))
            assert of == whole.postings.totals(table)
            counts = [part.postings.count(table, phrases) for part in parts]
            weights = [inverse_frequency(sum(rows), of.rows) for rows in zip(*counts)]
            scored = [part.postings.score(table, phrases, weights, of.mean_words) for part in parts]
            got = {i: s for ids, scores in scored for i, s in zip(ids.tolist(), scores.tolist())}
            statement = f"SELECT rowid, -bm25({table}, {HEADER_WEIGHT}, 1.0) FROM {table} WHERE {table} MATCH ?"
            wanted = dict(whole.rows(statement, (" OR ".join(phrases),), types=(int, float)))
            assert got == wanted
            ids, scores = whole.postings.score(table, phrases)
            assert dict(zip(ids.tolist(), scores.tolist())) == wanted


def _store(path: Path, rows) -> Store:
    store = Store(path, create=True)
    with store.transaction():
        for number, (text, title) in rows:
            passage = Passage(text, 0, len(text), 1, 1, None, title=title, heading_path=(), source="s")
            store.write_words(passage, number)
    return store
