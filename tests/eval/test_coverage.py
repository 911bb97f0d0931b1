"""Risk and coverage, by hand."""

from __future__ import annotations

import random

import pytest

from ragyena.eval.metrics import CoveragePoint, risk_coverage


def test_a_curve_by_hand() -> None:
    result = risk_coverage([0.2, 0.9, 0.6, 0.4], [0.0, 1.0, 0.0, 1.0])
    assert result.n == 4
    assert result.points == (
        CoveragePoint(0.9, 0.25, 0.0),
        CoveragePoint(0.6, 0.5, 0.5),
        CoveragePoint(0.4, 0.75, pytest.approx(1 / 3)),
        CoveragePoint(0.2, 1.0, 0.5),
    )
    assert result.aurc == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)


def test_answers_of_one_confidence_enter_together_whatever_their_order() -> None:
    result = risk_coverage([0.5, 0.5, 0.5, 0.1], [1.0, 0.0, 1.0, 0.0])
    assert [(point.coverage, point.risk) for point in result.points] == [(0.75, pytest.approx(1 / 3)), (1.0, 0.5)]
    assert result.aurc == pytest.approx((1 / 3 + 1 / 3 + 1 / 3 + 1 / 2) / 4)
    assert risk_coverage([0.5, 0.5, 0.5, 0.1], [0.0, 1.0, 1.0, 0.0]) == result


def test_a_long_curve_is_thinned_and_keeps_its_ends() -> None:
    rng = random.Random(0)
    confidences = [rng.random() for _ in range(5000)]
    result = risk_coverage(confidences, [float(rng.random() < c) for c in confidences])
    assert len(result.points) == 101 and result.points[-1].coverage == 1.0
    assert result.points[0].threshold == max(confidences)
    coverages = [point.coverage for point in result.points]
    assert coverages == sorted(coverages)
    assert 0.1 < result.aurc < 0.25 < result.points[-1].risk  # expected for calibrated confidence: 1/4, 1/2


@pytest.mark.parametrize("sides", [([], []), ([0.5], [])])
def test_no_answers_give_no_curve(sides: tuple[list[float], list[float]]) -> None:
    with pytest.raises(ValueError):
        risk_coverage(*sides)
