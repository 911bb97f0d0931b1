"""Reciprocal rank fusion."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ragyena.index.search import fuse, strictly_decreasing

ranking = st.lists(st.integers(1, 60), unique=True, max_size=40)
rankings = st.lists(ranking, max_size=4)
constant = st.integers(1, 1000)


def test_the_formula() -> None:
    fused = dict(fuse([[7, 8], [8, 9]], 60))
    assert fused == {8: 1 / 61 + 1 / 62, 7: 1 / 61, 9: 1 / 62}


@given(rankings, constant)
def test_every_id_once_with_strictly_decreasing_scores(given_rankings: list[list[int]], k: int) -> None:
    fused = fuse(given_rankings, k)
    assert sorted(i for i, _ in fused) == sorted({i for r in given_rankings for i in r})
    assert all(a > b for (_, a), (_, b) in pairwise(fused))


@given(rankings, constant)
def test_the_order_of_the_rankings_does_not_matter(given_rankings: list[list[int]], k: int) -> None:
    assert fuse(given_rankings, k) == fuse(given_rankings[::-1], k)


@given(ranking, constant)
def test_one_ranking_keeps_its_order(one: list[int], k: int) -> None:
    assert [i for i, _ in fuse([one], k)] == one
    assert [i for i, _ in fuse([one, one], k)] == one


@given(rankings, constant)
def test_an_id_never_ranked_behind_another_comes_before_it(given_rankings: list[list[int]], k: int) -> None:
    position = {i: at for at, (i, _) in enumerate(fuse(given_rankings, k))}
    for a in position:
        for b in position:
            never_behind = all(b not in r or (a in r and r.index(a) < r.index(b)) for r in given_rankings)
            if a != b and never_behind:
                assert position[a] < position[b]


@given(st.lists(st.floats(-1, 1), max_size=30))
def test_ties_are_broken_by_almost_nothing(scores: list[float]) -> None:
    ranked = list(enumerate(sorted(scores, reverse=True)))
    parted = strictly_decreasing(ranked)
    assert [i for i, _ in parted] == [i for i, _ in ranked]
    assert all(a > b for (_, a), (_, b) in pairwise(parted))
    assert all(abs(a - b) < 1e-12 for (_, a), (_, b) in zip(ranked, parted, strict=True))
