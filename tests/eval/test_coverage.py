"""Risk and coverage, by hand."""

from __future__ import annotations

import random

import pytest

from ragyena.eval.metrics import CoveragePoint, risk_coverage


def test_a_curve_by_hand() -> None:
    found = risk_coverage([0.2, 0.9, 0.6, 0.4], [0.0, 1.0, 0.0, 1.0])
    assert found.n == 4
    assert found.points == (
        CoveragePoint(0.9, 0.25, 0.0),
        CoveragePoint(0.6, 0.5, 0.5),
        CoveragePoint(0.4, 0.75, pytest.approx(1 / 3)),
        CoveragePoint(0.2, 1.0, 0.5),
    )
    assert found.aurc == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)


def test_answers_of_one_confidence_enter_together_whatever_their_order() -> None:
    found = risk_coverage([0.5, 0.5, 0.5, 0.1], [1.0, 0.0, 1.0, 0.0])
    assert [(point.coverage, point.risk) for point in found.points] == [(0.75, pytest.approx(1 / 3)), (1.0, 0.5)]
    assert found.aurc == pytest.approx((1 / 3 + 1 / 3 + 1 / 3 + 1 / 2) / 4)
    assert risk_coverage([0.5, 0.5, 0.5, 0.1], [0.0, 1.0, 1.0, 0.0]) == found


def test_a_long_curve_is_thinned_and_keeps_its_ends() -> None:
    rng = random.Random(0)
    confidences = [rng.random() for _ in range(5000)]
    found = risk_coverage(confidences, [float(rng.random() < c) for c in confidences])
    assert len(found.points) == 101 and found.points[-1].coverage == 1.0
    assert found.points[0].threshold == max(confidences)
    coverages = [point.coverage for point in found.points]
    assert coverages == sorted(coverages)
    assert 0.1 < found.aurc < 0.25 < found.points[-1].risk  # of confidence that is the chance of being right: 1/4, 1/2


@pytest.mark.parametrize("sides", [([], []), ([0.5], [])])
def test_nothing_makes_no_curve(sides: tuple[list[float], list[float]]) -> None:
    with pytest.raises(ValueError):
        risk_coverage(*sides)
