"""Measures of retrieval against another library and by hand."""

from __future__ import annotations

import random

import pytest
import torch
from torchmetrics.functional.retrieval import (
    retrieval_normalized_dcg,
    retrieval_recall,
    retrieval_reciprocal_rank,
)

from ragyena.eval.retrieval import Ranking, answer_ranks, rank_measures, token_text


def test_by_hand() -> None:
    result = rank_measures([Ranking("q", ("7", "3", "9", "4"), {"3": 1, "4": 1})], (1, 2, 4))["q"]
    assert result["rr"] == pytest.approx(1 / 2)
    assert (result["recall@1"], result["recall@2"], result["recall@4"]) == (0.0, 0.5, 1.0)
    # gains at ranks 2 and 4 over gains at ranks 1 and 2
    assert result["ndcg_10"] == pytest.approx((0.63093 + 0.43068) / (1 + 0.63093), abs=1e-4)


def test_grades_count_by_hand() -> None:
    result = rank_measures([Ranking("q", ("a", "b", "c"), {"b": 2, "c": 1})], (2,))["q"]
    # gains 2 and 1, at ranks 2 and 3 over at ranks 1 and 2
    assert result["ndcg_10"] == pytest.approx((2 * 0.63093 + 0.5) / (2 + 0.63093), abs=1e-4)
    assert (result["recall@2"], result["rr"]) == (0.5, 0.5)


def test_every_measure_is_that_of_torchmetrics() -> None:
    rng = random.Random(0)
    rankings = []
    for number in range(60):
        passages = [str(passage) for passage in rng.sample(range(300), 40)]
        relevant = dict.fromkeys(rng.sample(passages, rng.randint(1, 5)), 1)
        rankings.append(Ranking(f"q{number}", tuple(passages), relevant))
    ours = rank_measures(rankings, (1, 5, 20))
    for ranking in rankings:
        scores = torch.linspace(1, 0.1, len(ranking.ranked))
        target = torch.tensor([passage in ranking.relevant for passage in ranking.ranked])
        result = ours[ranking.question_id]
        assert result["rr"] == pytest.approx(float(retrieval_reciprocal_rank(scores, target)), abs=1e-5)
        assert result["ndcg_10"] == pytest.approx(float(retrieval_normalized_dcg(scores, target, top_k=10)), abs=1e-5)
        for k in (1, 5, 20):
            assert result[f"recall@{k}"] == pytest.approx(float(retrieval_recall(scores, target, top_k=k)), abs=1e-5)


def test_hits_are_judged_in_their_order_whatever_their_ids() -> None:
    """trec_eval ranks equal scores by id; ours are never equal."""
    for passages in (("1", "2", "10"), ("10", "2", "1"), ("2", "10", "1")):
        result = rank_measures([Ranking("q", passages, {passages[1]: 1})], (1,))["q"]
        assert result["rr"] == pytest.approx(1 / 2) and result["recall@1"] == 0.0


def test_missed_passages_score_zero_and_unjudged_queries_are_left_out() -> None:
    rankings = [
        Ranking("none", (), {"1": 1}),
        Ranking("missed", ("2", "3"), {"1": 1}),
        Ranking("unknown", ("1", "2"), {}),
    ]
    result = rank_measures(rankings, (5,))
    assert result.keys() == {"none", "missed"}
    assert all(value == 0.0 for values in result.values() for value in values.values())
    assert rank_measures([], (5,)) == {}


@pytest.mark.parametrize(
    ("answer", "text", "holds"),
    [
        ("Hagåtña", "The capital is HAGÅTÑA.", True),
        ("Hagatna", "The capital is Hagåtña.", False),  # marks are kept
        ("4", "It has 4 bytes", True),
        ("4", "It has 42 bytes", False),  # whole tokens
        ("U.S. Army", "the u.s. army's", True),
        ("3.5", "3 . 5", True),  # a full stop is a token for itself
        ("the bridge", "the old bridge", False),  # in a row
        ("e\u0301t\u00e9", "\u00e9te\u0301", True),  # composed or not
        ("a b", "a\nb", True),
        ("東京", "東京", True),
    ],
)
def test_answer_matching_is_that_of_dpr(answer: str, text: str, holds: bool) -> None:
    assert answer_ranks([token_text("nothing"), token_text(text)], [token_text(answer)]) == ([2] if holds else [])


def test_an_answer_without_tokens_matches_nothing() -> None:
    assert answer_ranks([token_text("a b")], [token_text(" \u200b"), token_text("")]) == []
