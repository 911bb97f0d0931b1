"""Scores of the official SQuAD scripts, and their statistics."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragyena.errors import MissingDependencyError
from ragyena.eval.metrics import estimate, exact_match, normalize, score

# What the official evaluation script of SQuAD 2.0 gives for these.
OFFICIAL = [
    ("Denver Broncos", ["Denver Broncos"], 1.0, 1.0),
    ("the Denver Broncos!", ["Denver Broncos"], 1.0, 1.0),
    ("Broncos", ["Denver Broncos", "The Denver Broncos", "Broncos"], 1.0, 1.0),
    ("Denver", ["Denver Broncos"], 0.0, 2 / 3),
    ("Denver Denver", ["Denver"], 0.0, 2 / 3),  # a word counts as often as it stands in both
    ("a cat sat", ["cat sat on"], 0.0, 0.8),
    ("U.S.", ["us"], 1.0, 1.0),
    ("state-of-the-art", ["stateoftheart"], 1.0, 1.0),  # punctuation goes before articles are looked for
    ("25–30", ["2530"], 0.0, 0.0),  # the en dash is not among ASCII punctuation
    ("the theater", ["theater"], 1.0, 1.0),
    ("  two\nwords ", ["two words"], 1.0, 1.0),
    ("", ["Denver"], 0.0, 0.0),
    ("Denver", [], 0.0, 0.0),
    ("", [], 1.0, 1.0),
    ("the", [], 1.0, 1.0),  # nothing is left of it
    ("", ["the"], 1.0, 1.0),  # no gold answer has words: as if there were none
    ("cat", ["the", "cat"], 1.0, 1.0),
    ("", ["the", "cat"], 0.0, 0.0),  # golds without words do not count beside others
]


@pytest.mark.parametrize(("prediction", "answers", "em", "f1"), OFFICIAL)
def test_official_edge_cases(prediction: str, answers: list[str], em: float, f1: float) -> None:
    result = score(prediction, answers)
    assert result.em == em
    assert result.f1 == pytest.approx(f1, abs=1e-6)


@given(st.text(max_size=30), st.lists(st.text(max_size=30), min_size=1, max_size=3))
def test_exact_match_agrees_with_the_score(prediction: str, answers: list[str]) -> None:
    answers = [answer for answer in answers if normalize(answer)] or ["x"]
    assert exact_match(prediction, answers) == bool(score(prediction, answers).em)


def test_an_interval_holds_the_mean_and_shrinks_with_more_questions() -> None:
    chooser = np.random.default_rng(0)
    values = (chooser.random(4000) < 0.7).astype(float).tolist()
    groups = [str(i) for i in range(4000)]
    few = estimate(values[:100], groups[:100], bounds=(0, 1), resamples=1000)
    many = estimate(values, groups, bounds=(0, 1), resamples=1000)
    assert few.low < few.mean < few.high and many.low < many.mean < many.high
    assert many.high - many.low < (few.high - few.low) / 4
    # the normal approximation of the same interval
    assert many.high - many.low == pytest.approx(2 * 1.96 * np.sqrt(0.7 * 0.3 / 4000), rel=0.15)


def test_questions_on_one_context_are_resampled_together() -> None:
    """Ten copies of one outcome say no more than one."""
    chooser = np.random.default_rng(0)
    outcomes = (chooser.random(200) < 0.5).astype(float)
    values, groups = np.repeat(outcomes, 10).tolist(), [str(i // 10) for i in range(2000)]
    together = estimate(values, groups, bounds=(0, 1), resamples=1000)
    alone = estimate(values, [str(i) for i in range(2000)], bounds=(0, 1), resamples=1000)
    assert together.mean == alone.mean
    assert together.high - together.low > 2.5 * (alone.high - alone.low)


def test_intervals_at_the_edges() -> None:
    assert estimate([3.0, 5.0], ["a", "a"], bounds=(0, 100), resamples=100).high == 100
    sure = estimate([1.0] * 50, [str(i) for i in range(50)], bounds=(0, 1), resamples=100)
    assert (sure.low, sure.mean, sure.high) == (1, 1, 1)
    with pytest.raises(ValueError, match="no scores"):
        estimate([], [], bounds=(0, 1), resamples=100)


def test_a_missing_extra_names_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.text", None)
    with pytest.raises(MissingDependencyError, match="torchmetrics") as caught:
        score("a", ["a"])
    assert "ragyena[train]" in caught.value.hint
