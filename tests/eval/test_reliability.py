"""Reliability with intervals over documents."""

from __future__ import annotations

import numpy as np
import pytest

from ragyena.eval.reliability import gaps, reliability, weighted_areas
from ragyena.reader.reliability import auroc


def drawn(count: int, seed: int, *, shift: float = 0.0) -> tuple[list[float], list[bool], list[str]]:
    """Confidences, truths that occur ``shift`` more often than they say, and documents of ten questions."""
    generator = np.random.default_rng(seed)
    confidence = generator.uniform(0.1, 0.7, count)
    right = generator.random(count) < confidence + shift
    return confidence.tolist(), right.tolist(), [str(i // 10) for i in range(count)]


def test_a_true_confidence_has_the_error_of_chance() -> None:
    found = reliability(*drawn(2000, 0), resamples=500)
    assert found is not None
    assert found.calibration_error.mean < 2 * found.by_chance < 0.06
    assert found.calibration_error.low < found.by_chance
    assert found.confidence == pytest.approx(found.right, abs=0.03)
    assert sum(one.n for one in found.bins) == 2000 and len(found.bins) == 10
    inside = [one.right.low <= one.confidence <= one.right.high for one in found.bins]
    assert sum(inside) >= 8


def test_a_confidence_that_is_too_low_shows_by_how_much() -> None:
    found = reliability(*drawn(2000, 1, shift=0.25), resamples=500)
    assert found is not None
    error = found.calibration_error
    assert error.mean == pytest.approx(0.25, abs=0.03)
    assert 0.15 < error.low < error.mean < error.high < 0.35
    assert all(one.right.mean > one.confidence for one in found.bins)


def test_the_interval_is_wider_where_documents_are_right_or_wrong_as_a_whole() -> None:
    confidence = [0.5] * 400
    alone = [bool(i % 2) for i in range(400)]
    together = [bool(i // 20 % 2) for i in range(400)]
    documents = [str(i // 20) for i in range(400)]
    ends = []
    for right in (alone, together):
        found = reliability(confidence, right, documents, resamples=500)
        assert found is not None
        ends.append(found.bins[0].right)
    assert ends[0].high - ends[0].low < 0.01 < 0.3 < ends[1].high - ends[1].low


def test_the_area_of_weighted_answers_is_that_of_copies() -> None:
    generator = np.random.default_rng(2)
    confidence, truth = generator.random(60).round(1), generator.random(60) < 0.4
    weights = generator.integers(0, 3, 60)
    copies, true = np.repeat(confidence, weights), np.repeat(truth, weights)
    (area,) = weighted_areas(weights[None].astype(float), confidence, truth.astype(float))
    assert area == pytest.approx(auroc(copies[true], copies[~true]))


def test_of_one_document_nothing_is_known_and_of_no_answers_there_is_nothing() -> None:
    found = reliability([0.2, 0.7, 0.9], [False, True, True], ["a", "a", "a"], resamples=100)
    assert found is not None and found.auroc is not None
    assert (found.auroc.mean, found.auroc.low, found.auroc.high) == (1.0, 0.0, 1.0)
    assert (found.bins[0].right.low, found.bins[0].right.high) == (0.0, 1.0)
    assert reliability([], [], [], resamples=100) is None
    sure = reliability([0.9, 0.8], [True, True], ["a", "b"], resamples=100)
    assert sure is not None and sure.auroc is None


def test_two_fits_are_compared_in_pairs() -> None:
    confidence, right, documents = drawn(1000, 3)
    low = [max(0.0, one - 0.2) for one in confidence]
    error, area = gaps((low, right), (confidence, right), documents, resamples=500)
    assert 0.1 < error.low < error.mean < error.high < 0.25
    same = gaps((confidence, right), (confidence, right), documents, resamples=200)
    assert same.calibration_error.low == same.calibration_error.high == 0.0
    assert area is not None and abs(area.mean) < 0.05
    with pytest.raises(ValueError, match="no answers"):
        gaps(([], []), ([], []), [], resamples=100)
