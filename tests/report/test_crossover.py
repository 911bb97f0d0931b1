"""Crossings of curves, by hand."""

from __future__ import annotations

import pytest

from ragyena.report.cost import crossovers

LINEAR = [(2.0**n, 2.0**n) for n in range(4, 15)]
QUADRATIC = [(2.0**n, 4.0**n / 1000) for n in range(4, 15)]


def test_a_linear_and_a_quadratic_reader_cross_where_their_times_are_equal() -> None:
    (crossing,) = crossovers(LINEAR, QUADRATIC)
    assert (
        crossing.x == pytest.approx(1000)
        and (crossing.after, crossing.before) == (512, 1024)
        and crossing.lower_after == 0
    )
    (turned,) = crossovers(QUADRATIC, LINEAR)
    assert turned.x == pytest.approx(1000) and turned.lower_after == 1


def test_curves_need_not_be_measured_at_the_same_places() -> None:
    (crossing,) = crossovers(LINEAR[::3], QUADRATIC[1::2])
    assert crossing.x == pytest.approx(1000)


def test_what_was_not_measured_does_not_cross() -> None:
    assert crossovers(LINEAR[:6], QUADRATIC[:6]) == []  # up to 512
    assert crossovers(LINEAR[:6], QUADRATIC[7:]) == []  # no length in common
    assert crossovers([], LINEAR) == []
    assert crossovers([(8.0, 1.0)], [(8.0, 2.0)]) == []


def test_curves_that_touch_do_not_cross_and_two_crossings_are_two() -> None:
    flat = [(x, 1.0) for x in (1.0, 2.0, 4.0, 8.0)]
    assert crossovers(flat, [(1.0, 2.0), (2.0, 1.0), (4.0, 2.0), (8.0, 2.0)]) == []
    first, second = crossovers(flat, [(1.0, 2.0), (2.0, 0.5), (4.0, 2.0), (8.0, 2.0)])
    assert (first.lower_after, second.lower_after) == (1, 0) and first.x < second.x
