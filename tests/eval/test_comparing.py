"""Differences and spreads: worked examples, and error rates under the null hypothesis."""

from __future__ import annotations

import random

import numpy as np
import pytest

from ragyena.eval.metrics import Estimate
from ragyena.eval.significance import Difference, Scored, corrected, difference, differences, holm, spread

DRAWN = {"resamples": 300, "seed": 0}


def scored(ems: list[float], *, source: str = "a", per_context: int = 2) -> dict[str, Scored]:
    return {f"q{i}": Scored(f"c{i // per_context}", source, em, em) for i, em in enumerate(ems)}


def test_a_clear_difference_is_significant_and_has_the_right_sign() -> None:
    rng = random.Random(0)
    worse = [float(rng.random() < 0.4) for _ in range(300)]
    better = [max(value, float(rng.random() < 0.3)) for value in worse]
    for first, second, verdict in ((better, worse, "first"), (worse, better, "second")):
        em, f1 = differences(scored(first), scored(second), ("A", "B"), **DRAWN)
        assert (em.first, em.second, em.source, em.measure, em.n, f1.measure) == ("A", "B", "all", "em", 300, "f1")
        assert em.difference.mean == pytest.approx((sum(first) - sum(second)) / 3)
        assert em.difference.low < em.difference.mean < em.difference.high
        assert em.difference.low * em.difference.high > 0
        assert em.p < 0.01 and em.verdict == verdict
        assert (em.first_mean, em.second_mean) == (pytest.approx(sum(first) / 3), pytest.approx(sum(second) / 3))


def test_equal_readers_differ_at_the_level_of_the_test() -> None:
    """About one in twenty pairs of equal readers is called different."""
    called = 0
    for seed in range(40):
        rng = random.Random(seed)
        first, second = ([float(rng.random() < 0.5) for _ in range(60)] for _ in range(2))
        a, b = scored(first), scored(second)
        result = difference([*a.values()], [*b.values()], ("A", "B"), "all", "em", resamples=100, seed=seed)
        assert 0 <= result.p <= 1
        called += result.verdict != "neither"
    assert called <= 7


def test_contexts_change_places_as_a_whole() -> None:
    """Forty questions on two contexts are two observations, and show nothing."""
    result = differences(scored([1.0] * 40, per_context=20), scored([0.0] * 40, per_context=20), ("A", "B"), **DRAWN)
    assert result[0].difference.mean == 100.0 and result[0].p > 0.05 and result[0].verdict == "neither"
    alike = differences(scored([1.0, 0.0, 1.0]), scored([1.0, 0.0, 1.0]), ("A", "B"), **DRAWN)
    assert (alike[0].p, alike[0].difference.mean, alike[0].verdict) == (1.0, 0.0, "neither")


def test_sources_are_compared_separately_on_common_questions() -> None:
    first = {**scored([1.0, 0.0]), "x": Scored("c9", "b", 1.0, 1.0), "only": Scored("c8", "a", 1.0, 1.0)}
    second = {**scored([0.0, 0.0]), "x": Scored("c9", "b", 1.0, 0.5)}
    result = {(d.source, d.measure): d for d in differences(first, second, ("A", "B"), **DRAWN)}
    assert {key: d.n for key, d in result.items() if key[1] == "em"} == {
        ("all", "em"): 3,
        ("a", "em"): 2,
        ("b", "em"): 1,
    }
    assert result["b", "f1"].difference.mean == 50.0 and result["a", "em"].difference.mean == 50.0
    with pytest.raises(ValueError, match="common"):
        differences(first, {"other": Scored("c", "a", 1.0, 1.0)}, ("A", "B"), **DRAWN)


def test_a_spread_by_hand() -> None:
    conditions = {
        "start": scored([1, 1, 1, 0] * 20),
        "middle": scored([1, 0, 1, 0] * 20),
        "end": scored([1, 1, 0, 0] * 20),
    }
    result = spread(conditions, **DRAWN)
    assert result.conditions == ("start", "middle", "end")
    assert result.em.mean == pytest.approx(25.0) and result.em.low <= 25.0 <= result.em.high
    assert 0 <= result.em.low < result.em.high <= 100
    same = spread({"a": scored([1, 0] * 4), "b": scored([1, 0] * 4)}, **DRAWN)
    assert (same.em.mean, same.em.low, same.em.high) == (0.0, 0.0, 0.0)


def test_holm_by_hand_and_in_order() -> None:
    """Holm's own procedure: the least p times their number, the next times one less, never falling, at most 1."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0] and holm([0.02]) == [0.02] and holm([]) == []


@pytest.mark.parametrize("seed", range(5))
def test_holm_rejects_what_the_step_down_procedure_rejects(seed: int) -> None:
    p_values = np.random.default_rng(seed).random(12) ** 4
    rejected = set()
    for rank, place in enumerate(np.argsort(p_values)):
        if p_values[place] >= 0.05 / (12 - rank):
            break
        rejected.add(int(place))
    assert {place for place, p in enumerate(holm(p_values.tolist())) if p < 0.05} == rejected


def test_tests_shown_together_are_corrected_and_their_verdicts_follow() -> None:
    def test(p: float, source: str = "all") -> Difference:
        return Difference("a", "b", source, "em", 10, 60, 50, Estimate(10, 1, 19), p, "first", p)

    result = corrected([test(0.04), test(0.01), test(0.04, "squad"), test(0.3)])
    assert [one.p_holm for one in result] == pytest.approx([0.08, 0.03, 0.04, 0.3])
    assert [one.verdict for one in result] == ["neither", "first", "first", "neither"]
    assert [one.p for one in result] == [0.04, 0.01, 0.04, 0.3]
