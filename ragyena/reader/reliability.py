"""Truth of a confidence: bins of equal mass, the expected calibration error, and AUROC. Needs numpy alone.

Legend: N answers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["MOST_BINS", "auroc", "calibration_error", "equal_mass_bins"]

MOST_BINS = 10
_LEAST_IN_A_BIN = 20  # with fewer answers the error of a bin is chance more than anything else

Floats = npt.NDArray[np.float64]


def equal_mass_bins(confidence: Sequence[float] | Floats) -> npt.NDArray[np.int64]:
    """[N] the bin of each confidence: about equally many answers in each, at most ``MOST_BINS``, 20 or more in each
    where there are so many. Equal confidences stay together."""
    values = np.asarray(confidence, np.float64)
    bins = int(np.clip(len(values) // _LEAST_IN_A_BIN, 1, MOST_BINS))
    rank = np.searchsorted(np.sort(values), values, side="left")
    numbers = rank * bins // max(len(values), 1)
    return np.unique(numbers, return_inverse=True)[1].astype(np.int64)


def calibration_error(confidence: Sequence[float] | Floats, right: Sequence[float] | Floats) -> float:
    """The expected calibration error (Guo et al. 2017) over bins of equal mass: the gap between the mean confidence and
    the fraction that is right, averaged over the answers. 0 without answers."""
    gaps = np.asarray(confidence, np.float64) - np.asarray(right, np.float64)
    if not len(gaps):
        return 0.0
    return float(np.abs(np.bincount(equal_mass_bins(confidence), weights=gaps)).sum() / len(gaps))


def auroc(positive: Sequence[float] | Floats, negative: Sequence[float] | Floats) -> float | None:
    """The area under the ROC curve: the probability that a positive's number exceeds a negative's, ties counting half.
    None where either is empty."""
    if not len(positive) or not len(negative):
        return None
    ordered = np.sort(np.asarray(negative, np.float64))
    below, up_to = (np.searchsorted(ordered, np.asarray(positive, np.float64), side) for side in ("left", "right"))
    return float((below + up_to).sum() / 2 / (len(positive) * len(ordered)))
