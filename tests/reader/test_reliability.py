"""Reliability of a confidence: hand-computed errors, and the area under the ROC curve of another library."""

from __future__ import annotations

import numpy as np
import pytest

from ragyena.reader.reliability import auroc, calibration_error, equal_mass_bins


def test_auroc() -> None:
    assert auroc([0.9, 0.8], [0.1, 0.2]) == 1.0
    assert auroc([0.1], [0.9]) == 0.0
    assert auroc([0.5, 0.5], [0.5]) == 0.5
    assert auroc([0.9, 0.8, 0.3], [0.3]) == pytest.approx(2.5 / 3)
    assert auroc([], [0.3]) is None


def test_auroc_agrees_with_torchmetrics() -> None:
    torch = pytest.importorskip("torch")
    from torchmetrics.functional.classification import binary_auroc

    chooser = np.random.default_rng(1)
    numbers, labels = chooser.random(300).round(2), chooser.random(300) < 0.4
    expected = float(binary_auroc(torch.tensor(numbers), torch.tensor(labels).int()))
    assert auroc(numbers[labels].tolist(), numbers[~labels].tolist()) == pytest.approx(expected, abs=1e-6)


def test_bins_have_equal_mass_and_keep_equal_confidences_together() -> None:
    values = np.random.default_rng(0).permutation(200) / 200
    assert np.bincount(equal_mass_bins(values)).tolist() == [20] * 10
    order = np.argsort(values)
    assert np.all(np.diff(equal_mass_bins(values)[order]) >= 0)
    tied = equal_mass_bins([0.5] * 150 + [0.9] * 50)
    assert len(set(tied[:150])) == len(set(tied[150:])) == 1
    assert np.bincount(equal_mass_bins(np.arange(50.0))).tolist() == [25, 25]  # 20 or more in each
    assert equal_mass_bins([]).tolist() == []


def test_the_error_is_the_mean_gap_over_bins() -> None:
    # two bins of 20: 0.2 is said where 0.4 is true, 0.9 where 0.8 is
    confidence = [0.2] * 20 + [0.9] * 20
    right = [1.0] * 8 + [0.0] * 12 + [1.0] * 16 + [0.0] * 4
    assert calibration_error(confidence, right) == pytest.approx((0.2 + 0.1) / 2)
    # within a bin gaps cancel: it is the mean that counts
    assert calibration_error([0.0, 1.0], [1.0, 0.0]) == pytest.approx(0.0)
    assert calibration_error([], []) == 0.0
