"""Fusion of a dense and a lexical ranking: by a weighted sum of scores, and by reciprocal rank."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragyena.config import RetrieverConfig
from ragyena.index.fusion import UNSEEN, Matches, convex, fuse, fused, strictly_decreasing

ranking = st.lists(st.integers(1, 60), unique=True, max_size=40)
rankings = st.lists(ranking, max_size=4)
constant = st.integers(1, 1000)


def matches(scores: st.SearchStrategy[float]) -> st.SearchStrategy[Matches]:
    scored = st.dictionaries(st.integers(1, 60), scores, max_size=40)
    return scored.map(lambda scores: Matches.of(sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))))


cosines, bm25 = matches(st.floats(-1, 1, width=32)), matches(st.floats(0.001, 50))
weight = st.floats(0, 1)


# --- matches


def test_matches_are_a_sequence_of_pairs() -> None:
    pairs = [(7, 0.75), (9, 0.5), (2, 0.25)]
    held = Matches.of(pairs)
    assert [*held] == pairs and held[1] == pairs[1] and held[-1] == pairs[-1] and [*held[:2]] == pairs[:2]
    assert {type(value) for pair in [*held, held[0]] for value in pair} == {int, float}
    assert held == Matches.of(pairs) != Matches.of(pairs[:2]) and held != pairs
    assert not Matches.of() and len(held) == 3 and (9, 0.5) in held


# --- weighted sum


def test_the_weighted_sum() -> None:
    result = dict(convex(Matches.of([(7, 0.8), (8, 0.5)]), Matches.of([(8, 12.0), (9, 3.0)]), 0.6))
    assert result == pytest.approx({7: 0.6 * 0.8, 8: 0.6 * 0.5 + 0.4, 9: 0.6 * 0.5 * UNSEEN + 0.4 * 3 / 12})


@given(cosines, bm25, weight, st.integers(0, 80))
def test_the_sum_is_that_of_its_definition_to_the_last_bit(
    by_vector: Matches, by_words: Matches, dense_weight: float, most: int
) -> None:
    dense, lexical = dict(by_vector), dict(by_words)
    lowest, best = min(dense.values(), default=0.0), max(lexical.values(), default=1.0)
    unseen = lowest * UNSEEN if lowest > 0 else lowest
    sums = {
        i: dense_weight * dense.get(i, unseen) + (1 - dense_weight) * (lexical.get(i, 0.0) / best)
        for i in dense.keys() | lexical.keys()
    }
    ranked = sorted(sums.items(), key=lambda pair: (-pair[1], pair[0]))[:most]
    assert convex(by_vector, by_words, dense_weight, most=most) == strictly_decreasing(Matches.of(ranked))


@given(cosines, bm25, weight)
def test_every_match_once_with_strictly_decreasing_sums(
    by_vector: Matches, by_words: Matches, dense_weight: float
) -> None:
    result = convex(by_vector, by_words, dense_weight)
    assert sorted(i for i, _ in result) == sorted({i for i, _ in by_vector} | {i for i, _ in by_words})
    assert all(a > b for (_, a), (_, b) in pairwise(result))


@given(cosines, bm25, st.floats(0.1, 0.9))
def test_a_match_of_no_lower_scores_never_comes_behind(
    by_vector: Matches, by_words: Matches, dense_weight: float
) -> None:
    position = {i: at for at, (i, _) in enumerate(convex(by_vector, by_words, dense_weight))}
    dense, lexical = dict(by_vector), dict(by_words)
    for a in position:
        for b in position:
            # a small margin: sums of floats are rounded
            if dense.get(a, -9.0) > dense.get(b, -9.0) + 1e-6 and lexical.get(a, 0.0) >= lexical.get(b, 0.0):
                assert position[a] < position[b] or a not in dense or b not in dense


@given(cosines, bm25, st.floats(0.1, 100))
def test_the_unit_of_bm25_does_not_matter(by_vector: Matches, by_words: Matches, unit: float) -> None:
    scaled = Matches(by_words.ids, by_words.scores * unit)
    assert dict(convex(by_vector, scaled, 0.5)) == pytest.approx(dict(convex(by_vector, by_words, 0.5)), abs=1e-9)


@given(cosines, bm25)
def test_one_ranking_alone_keeps_its_order(by_vector: Matches, by_words: Matches) -> None:
    assert [i for i, _ in convex(by_vector, Matches.of(), 0.5)] == [i for i, _ in by_vector]
    order = [i for i, _ in convex(Matches.of(), by_words, 0.5)]
    scores = dict(by_words)
    assert all(scores[a] >= scores[b] or scores[b] - scores[a] < 1e-9 for a, b in pairwise(order))


def test_the_setting_chooses() -> None:
    by_vector, by_words = Matches.of([(1, 0.9), (2, 0.2)]), Matches.of([(2, 9.0), (3, 8.9)])
    assert fused(by_vector, by_words, RetrieverConfig(fusion="rrf")) == fuse([[1, 2], [2, 3]], 60)
    weighted = RetrieverConfig(dense_weight=1.0)
    assert [i for i, _ in fused(by_vector, by_words, weighted)] == [1, 2, 3]
    assert fused(by_vector, Matches.of(), RetrieverConfig(mode="dense")) == by_vector
    assert fused(Matches.of(), by_words, RetrieverConfig(mode="lexical")) == by_words


# --- reciprocal rank


def test_the_formula() -> None:
    result = dict(fuse([[7, 8], [8, 9]], 60))
    assert result == {8: 1 / 61 + 1 / 62, 7: 1 / 61, 9: 1 / 62}


@given(rankings, constant)
def test_every_id_once_with_strictly_decreasing_scores(given_rankings: list[list[int]], k: int) -> None:
    result = fuse(given_rankings, k)
    assert sorted(i for i, _ in result) == sorted({i for r in given_rankings for i in r})
    assert all(a > b for (_, a), (_, b) in pairwise(result))


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
    parted = strictly_decreasing(Matches.of(ranked))
    assert [i for i, _ in parted] == [i for i, _ in ranked]
    assert all(a > b for (_, a), (_, b) in pairwise(parted))
    assert all(abs(a - b) < 1e-12 for (_, a), (_, b) in zip(ranked, parted, strict=True))


@given(
    st.lists(
        st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 0.5, math.nextafter(0.5, 0), math.nextafter(0.5, 1), -1.0, 3.0])
    )
)
def test_scores_are_lowered_by_one_float_each(scores: list[float]) -> None:
    ranked = [*enumerate(sorted(scores, reverse=True))]
    wanted: list[tuple[int, float]] = []
    for item, score in ranked:
        if wanted and score >= wanted[-1][1]:
            score = math.nextafter(wanted[-1][1], -math.inf)
        wanted.append((item, score))
    assert [*strictly_decreasing(Matches.of(ranked))] == wanted
