"""Reliability of probabilities, with intervals over documents: what the reliability diagram is drawn from.

Legend: N answers, D documents, K bins, R resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ragyena.eval.metrics import NUMBERS_AT_ONCE, Estimate
from ragyena.reader.reliability import auroc, calibration_error, equal_mass_bins

__all__ = ["Gaps", "Reliability", "ReliabilityBin", "gaps", "reliability", "weighted_areas"]

_DRAWS = 200  # of answers that are right exactly as often as their confidence says

Floats = npt.NDArray[np.float64]
Stated = tuple[Sequence[float], Sequence[bool]]
"""Confidences, and whether they were right."""


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The answers of about the same confidence."""

    n: int
    confidence: float
    """Their mean confidence."""
    right: Estimate
    """The fraction of them that is right, with its 95% interval."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """Agreement of probabilities with what was true."""

    n: int
    confidence: float
    """The mean probability that was stated."""
    right: float
    """The fraction that was true."""
    calibration_error: Estimate
    """The expected calibration error: over bins of equal mass, the mean gap between confidence and truth."""
    by_chance: float
    """The calibration error that so many answers show, on average, of a confidence that is exactly true."""
    auroc: Estimate | None
    """Separation of the true from the others; None where all are the one or the other."""
    bins: tuple[ReliabilityBin, ...]
    """From the least confidence to the greatest."""


def reliability(
    confidences: Sequence[float], right: Sequence[bool], documents: Sequence[str], *, resamples: int, seed: int = 0
) -> Reliability | None:
    """Compare each confidence with whether it was ``right``. Whole ``documents`` are resampled: questions on one
    document are not independent of each other. Bins are those of all answers in every resample. The error of a
    resample is greater than that of the sample, since chance adds to it: of the interval of the calibration error this
    mean excess is taken.

    None without answers; with answers on a single document intervals are the least and the greatest value there is.
    """
    if not len(confidences):
        return None
    sample = _Sample(confidences, right, documents, resamples, seed)
    confidence, truth, bins = sample.confidence, sample.truth, sample.bins
    counts, shares_RK = np.bincount(bins), sample.shares()
    means, shares = (np.bincount(bins, weights=values) / counts for values in (confidence, truth))
    drawn = np.random.default_rng(seed).random((_DRAWS, len(truth))) < confidence
    return Reliability(
        n=len(truth),
        confidence=float(confidence.mean()),
        right=float(truth.mean()),
        calibration_error=_centred(sample.error, sample.errors()),
        by_chance=float(np.mean([calibration_error(confidence, one) for one in drawn])),
        auroc=None if sample.area is None else _percentile(sample.area, sample.areas()),
        bins=tuple(
            ReliabilityBin(int(n), float(mean), _percentile(float(share), of))
            for n, mean, share, of in zip(counts, means, shares, shares_RK.T)
        ),
    )


class Gaps(NamedTuple):
    """Differences between two fits on the same questions, with 95% intervals."""

    calibration_error: Estimate
    auroc: Estimate | None


def gaps(first: Stated, second: Stated, documents: Sequence[str], *, resamples: int, seed: int = 0) -> Gaps:
    """The first less the second, each given as confidences and whether they were right; documents are resampled in
    pairs. Raises ValueError without answers."""
    if not documents:
        raise ValueError("there are no answers to compare")
    one, other = (_Sample(*side, documents, resamples, seed) for side in (first, second))
    errors = one.errors() - other.errors()
    error = _centred(one.error - other.error, errors, (-1.0, 1.0))
    if one.area is None or other.area is None:
        return Gaps(error, None)
    return Gaps(error, _percentile(one.area - other.area, one.areas() - other.areas(), (-1.0, 1.0)))


class _Sample:
    """Answers, with what resamples of their documents give."""

    def __init__(
        self,
        confidences: Sequence[float],
        right: Sequence[bool],
        documents: Sequence[str],
        resamples: int,
        seed: int,
    ) -> None:
        self.confidence, self.truth = np.asarray(confidences, np.float64), np.asarray(right, np.float64)
        self.bins = equal_mass_bins(self.confidence)
        _, self.document = np.unique(np.asarray(documents), return_inverse=True)
        self.weights_RD = _weights(int(self.document.max()) + 1, resamples, seed)
        self.error = calibration_error(self.confidence, self.truth)
        self.area = auroc(self.confidence[self.truth > 0], self.confidence[self.truth == 0])

    def errors(self) -> Floats:
        """[R] calibration errors."""
        gaps_DK = self._table(self.confidence - self.truth)
        sizes_D = self._table().sum(1)
        return self._over(lambda w: np.abs(w @ gaps_DK).sum(1) / (w @ sizes_D))

    def shares(self) -> Floats:
        """[R, K] fractions that are right, NaN where a resample has nothing in a bin."""
        right_DK, counts_DK = self._table(self.truth), self._table()
        return self._over(lambda w: (w @ right_DK) / np.where(w @ counts_DK > 0, w @ counts_DK, np.nan))

    def areas(self) -> Floats:
        """[R] AUROC, NaN where a resample has none."""
        return self._over(lambda w: weighted_areas(w[:, self.document], self.confidence, self.truth))

    def _table(self, values: Floats | None = None) -> Floats:
        """[D, K] sums of ``values``, or counts."""
        shape = int(self.document.max()) + 1, int(self.bins.max()) + 1
        flat = np.bincount(self.document * shape[1] + self.bins, weights=values, minlength=shape[0] * shape[1])
        return flat.reshape(shape).astype(np.float64)

    def _over(self, statistic: Callable[[Floats], Floats]) -> Floats:
        """A statistic of every resample, in parts that memory holds."""
        at_once = max(1, NUMBERS_AT_ONCE // len(self.truth))
        parts = range(0, max(len(self.weights_RD), 1), at_once)
        return np.concatenate([statistic(self.weights_RD[begin : begin + at_once]) for begin in parts])


def _weights(documents: int, resamples: int, seed: int) -> Floats:
    """[R, D] how often each document is drawn; no rows for a single one, of whose spread nothing is known."""
    if documents < 2:
        return np.empty((0, documents))
    generator = np.random.default_rng(seed)
    return generator.multinomial(documents, np.full(documents, 1 / documents), size=resamples).astype(np.float64)


def weighted_areas(weights_RN: Floats, confidence: Floats, truth: Floats) -> Floats:
    """[R] AUROC with every answer weighted."""
    _, place = np.unique(confidence, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(place[order]) > 0))
    positive, negative = (
        np.add.reduceat((weights_RN * is_one)[:, order], starts, axis=1) for is_one in (truth, 1 - truth)
    )
    below = np.cumsum(negative, 1) - negative / 2
    pairs = positive.sum(1) * negative.sum(1)
    areas: Floats = (positive * below).sum(1) / np.where(pairs > 0, pairs, np.nan)
    return areas


def _percentile(value: float, resampled: Floats, bounds: tuple[float, float] = (0.0, 1.0)) -> Estimate:
    known = resampled[~np.isnan(resampled)]
    if not len(known):
        return Estimate(value, *bounds)
    low, high = np.quantile(known, (0.025, 0.975))
    return Estimate(value, float(low), float(high))


def _centred(value: float, resampled: Floats, bounds: tuple[float, float] = (0.0, 1.0)) -> Estimate:
    """The percentiles less what resamples have more than the sample on average, within ``bounds``."""
    if not len(resampled):
        return Estimate(value, *bounds)
    low, high = np.clip(np.quantile(resampled, (0.025, 0.975)) - resampled.mean() + value, *bounds)
    return Estimate(value, float(low), float(high))
