"""Fits of a reader's two probabilities that hold for kinds of documents it has not seen.

Each source of questions is left out in turn: what is fitted on the others is judged on it. The features, the strength
of the regularisation and whether every source weighs the same are those that do best on the sources left out, averaged
over sources; so is what is withheld.

Legend: N questions, F features with the intercept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from ragyena.errors import TrainingError
from ragyena.model.confidence import FEATURES, FEATURES_OF_TEXT, INTERCEPT, Calibration, Withholding
from ragyena.reader.reliability import auroc, calibration_error

__all__ = ["LEAST_OF_A_SOURCE", "Examples", "Fit", "SourceScore", "fit_calibration", "score_sources"]

_SUBSETS: tuple[tuple[str, ...], ...] = (
    ("answer",),
    ("answer", "null"),
    ("answer", "null", "margin"),
    ("answer", "null", "margin", "list", "written"),
    ("answer", "null", "margin", "list", "written", "written_answer"),
    ("answer", "null", "margin", "length", "list", "written", "written_answer"),
    FEATURES,
    ("answer", "null", "margin", "list", "written", "written_answer", "score"),
    ("answer", "null", "margin", "list", "written", "written_answer", "written_null", "score", "covered", "asked"),
    (*FEATURES, "score", "covered", "asked"),
    ("answer", "null", "margin", "list", "written", "written_answer", "written_null", *FEATURES_OF_TEXT),
    (*FEATURES, *FEATURES_OF_TEXT),
)
"""Sets of features to choose from; one with a feature that not all examples have is left out."""
_PENALTIES = (0.3, 1.0, 3.0, 10.0)
"""Weight of the squared weights of the standardised features against the summed log loss of a hundred questions."""
_ODDS = np.arange(1, 101) / 20
_AS_GOOD = 0.01
"""Odds whose fraction of right decisions is less than the best by no more are as good as it: the highest of these is
taken that withholds few enough, since a wrong answer costs more than none."""
_MOST_WITHHELD = 0.15
"""Fraction of the answerable questions that odds may withhold, where others make more right decisions."""
LEAST_OF_A_SOURCE = 10
"""Questions that a source needs to be left out."""
_STEPS = 50
_LEAST_VARIANCE = 1e-3  # of a feature that hardly varies, so that it is penalised all the same

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Examples:
    """Readings of questions that the reader was not trained on."""

    features: Sequence[Mapping[str, float]]
    """As ``features_of`` gives them."""
    right: Sequence[bool]
    """The answer is right; never, where there is none."""
    missing: Sequence[bool]
    """True where what was read holds no answer."""
    source: Sequence[str]
    """The kind of documents that each is of: kinds are left out in turn."""
    missing_share: float | None = None
    """The fraction of questions without an answer to fit for: those that have one, and those that have none, weigh
    accordingly. None for the fraction that they are."""

    @property
    def weights(self) -> Floats:
        """[N] of the examples, one on average."""
        missing = np.asarray(self.missing, bool)
        if self.missing_share is None or missing.all() or not missing.any():
            return np.ones(len(missing))
        share = self.missing_share / missing.mean(), (1 - self.missing_share) / (~missing).mean()
        return np.asarray(np.where(missing, *share), np.float64)


@dataclass(frozen=True, slots=True)
class SourceScore:
    """Measures of the probabilities on one source."""

    source: str
    n: int
    right: float
    """Fraction of decisions that are right: an answer that is, or none where there is none."""
    calibration_error: float
    auroc: float | None
    no_answer_error: float
    no_answer_auroc: float | None
    withheld_answerable: float | None
    """Fraction of the answerable questions that are withheld."""
    withheld_missing: float | None
    """... of those without an answer."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A calibration with its scores on every source."""

    calibration: Calibration
    left_out: tuple[SourceScore, ...]
    """Each source by the fit on the others."""
    pooled: tuple[SourceScore, ...]
    """Each source by a fit of the same form on all questions, its own included."""

    def mean(self, measure: str, *, pooled: bool = False) -> float:
        """The mean of a measure over the sources that have it."""
        values = [getattr(one, measure) for one in (self.pooled if pooled else self.left_out)]
        known = [value for value in values if value is not None]
        return float(np.mean(known)) if known else float("nan")


@dataclass(frozen=True, slots=True)
class _Form:
    """The choices of a fit."""

    features: tuple[str, ...]
    penalty: float
    by_source: bool
    """Every source weighs the same."""

    def columns(self, examples: Examples) -> Floats:
        """[N, F]."""
        rows = [[*(one[name] for name in self.features), 1.0] for one in examples.features]
        return np.asarray(rows, np.float64)

    def weights(self, w: Floats) -> dict[str, float]:
        return {name: round(float(value), 6) for name, value in zip((*self.features, INTERCEPT), w)}

    @property
    def described(self) -> dict[str, Any]:
        return {"features": self.features, "penalty": self.penalty, "every source weighs the same": self.by_source}


def fit_calibration(examples: Examples, about: Mapping[str, Any] | None = None) -> Fit:
    """The fit of both probabilities and of what is withheld by them; ``about`` goes into ``Calibration.fitted``.

    Raises TrainingError where the questions are of one source.
    """
    source = np.asarray(examples.source)
    right, missing = np.asarray(examples.right, bool), np.asarray(examples.missing, bool)
    if len(np.unique(source)) < 2:
        raise TrainingError(
            f"a confidence cannot be fitted to {len(source)} questions of one source: none can be left out",
            hint="give questions of two sources or more",
        )
    forms = {"right": _best(examples, right, source), "no_answer": _best(examples, missing, source)}
    left_out = {name: _left_out(examples, form, truth, source) for name, form, truth in _pairs(forms, right, missing)}
    weights = {name: _fitted(examples, form, truth, source) for name, form, truth in _pairs(forms, right, missing)}
    withholding = Withholding(0.0, _odds(left_out, right, missing, source, examples.weights))
    pooled = {name: _sigmoid(forms[name].columns(examples) @ w) for name, w in weights.items()}
    scores = [_scores(p["right"], p["no_answer"], right, missing, source, withholding) for p in (left_out, pooled)]
    fitted = {
        **(about or {}),
        "questions": len(source),
        "method": "logistic regression, chosen by the log loss on each source by a fit on the others",
        "right": forms["right"].described,
        "no_answer": forms["no_answer"].described,
        "left_out": [_rounded(one) for one in scores[0]],
        "pooled": [_rounded(one) for one in scores[1]],
    }
    calibration = Calibration(
        right=forms["right"].weights(weights["right"]),
        no_answer=forms["no_answer"].weights(weights["no_answer"]),
        threshold=withholding.threshold,
        odds=withholding.odds,
        fitted=fitted,
    )
    return Fit(calibration, tuple(scores[0]), tuple(scores[1]))


def score_sources(calibration: Calibration, examples: Examples) -> tuple[SourceScore, ...]:
    """Measures of a calibration on each source."""
    confidence = np.array([calibration.confidence(one) for one in examples.features])
    no_answer = np.array([calibration.no_answer_probability(one) for one in examples.features])
    right, missing = np.asarray(examples.right, bool), np.asarray(examples.missing, bool)
    source = np.asarray(examples.source)
    rule = Withholding(calibration.threshold, calibration.odds)
    return tuple(_scores(confidence, no_answer, right, missing, source, rule))


def _pairs(forms: Mapping[str, _Form], right: Any, missing: Any) -> Iterator[tuple[str, _Form, Any]]:
    yield "right", forms["right"], right
    yield "no_answer", forms["no_answer"], missing


def _best(examples: Examples, truth: npt.NDArray[np.bool_], source: npt.NDArray[Any]) -> _Form:
    """The form of the least log loss on sources left out, averaged over them; the simpler of equals."""
    known = set.intersection(*(set(one) for one in examples.features))
    subsets = [subset for subset in _SUBSETS if known.issuperset(subset)]
    forms = [_Form(*form) for form in product(subsets, sorted(_PENALTIES, reverse=True), (False, True))]
    losses = []
    for form in forms:
        p = np.clip(_left_out(examples, form, truth, source), 1e-6, 1 - 1e-6)
        loss = -np.where(truth, np.log(p), np.log(1 - p))
        of_sources = [source == name for name in np.unique(source)]
        losses.append(np.mean([np.average(loss[own], weights=examples.weights[own]) for own in of_sources]))
    return forms[int(np.argmin(np.round(losses, 4)))]


def _left_out(examples: Examples, form: _Form, truth: npt.NDArray[np.bool_], source: npt.NDArray[Any]) -> Floats:
    """[N] the probability of each question by the fit on the other sources."""
    columns, result = form.columns(examples), np.zeros(len(source))
    for name in np.unique(source):
        others = source != name
        weight = _weighted(source[others], form, examples.weights[others])
        w = _logistic_regression(columns[others], truth[others], weight, form.penalty)
        result[~others] = _sigmoid(columns[~others] @ w)
    return result


def _fitted(examples: Examples, form: _Form, truth: npt.NDArray[np.bool_], source: npt.NDArray[Any]) -> Floats:
    weight = _weighted(source, form, examples.weights)
    return _logistic_regression(form.columns(examples), truth, weight, form.penalty)


def _weighted(source: npt.NDArray[Any], form: _Form, weights: Floats) -> Floats:
    """[N] the weight of each question; a hundred in all."""
    if not form.by_source:
        return np.asarray(weights * (100 / weights.sum()), np.float64)
    _, place = np.unique(source, return_inverse=True)
    totals = np.bincount(place, weights=weights)
    return np.asarray(100 / len(totals) * weights / totals[place], np.float64)


def _logistic_regression(x: Floats, truth: npt.NDArray[np.bool_], weight: Floats, penalty: float) -> Floats:
    """[F] weights by Newton's method, with the squares of all but the last, the intercept, penalised, as if every
    feature had a variance of 1."""
    y, w = truth.astype(np.float64), np.zeros(x.shape[1])
    ridge = np.append(penalty * np.maximum(x[:, :-1].var(0), _LEAST_VARIANCE), 1e-6)

    def loss(at: Floats) -> float:
        logits = x @ at
        return float((weight * (np.logaddexp(0, logits) - y * logits)).sum() + (ridge * at * at).sum() / 2)

    value = loss(w)
    for _ in range(_STEPS):
        p = _sigmoid(x @ w)
        slope = x.T @ (weight * (p - y)) + ridge * w
        step = np.linalg.solve((x.T * (weight * p * (1 - p))) @ x + np.diag(ridge), slope)
        size = 1.0
        while loss(w - size * step) > value and size > 1e-6:
            size /= 2
        w = w - size * step
        before, value = value, loss(w)
        if before - value < 1e-10:
            break
    return w


def _sigmoid(logits: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(logits, -60, 60)))


def _odds(
    probabilities: Mapping[str, Floats],
    right: npt.NDArray[np.bool_],
    missing: npt.NDArray[np.bool_],
    source: npt.NDArray[Any],
    weights: Floats,
) -> float:
    """The odds of the most right decisions on sources left out, averaged over them: an answer is given that is that
    many times as probable as there being none. Of odds that are as good, the highest that withhold no more than
    ``_MOST_WITHHELD``."""
    places = [np.flatnonzero(source == name) for name in np.unique(source)]

    def mean(values: npt.NDArray[np.bool_]) -> float:
        return float(np.mean([np.average(values[place], weights=weights[place]) for place in places]))

    withheld = [_withheld(Withholding(0.0, odds), probabilities["right"], probabilities["no_answer"]) for odds in _ODDS]
    share = np.array([mean(np.where(some, missing, right)) for some in withheld])
    few = np.array([some[~missing].mean() <= _MOST_WITHHELD for some in withheld])
    best = int(np.argmax(share))
    others = np.flatnonzero((share >= share[best] - _AS_GOOD) & few)
    return float(_ODDS[max(best, *others) if len(others) else best])


def _withheld(withholding: Withholding, confidence: Floats, no_answer: Floats) -> npt.NDArray[np.bool_]:
    return np.array([withholding.withholds(*one) for one in zip(confidence.tolist(), no_answer.tolist())], bool)


def _scores(
    confidence: Floats,
    no_answer: Floats,
    right: npt.NDArray[np.bool_],
    missing: npt.NDArray[np.bool_],
    source: npt.NDArray[Any],
    withholding: Withholding,
) -> list[SourceScore]:
    scores = []
    for name in np.unique(source):
        own = source == name
        c, n, r, m = confidence[own], no_answer[own], right[own], missing[own]
        withheld = _withheld(withholding, c, n)
        scores.append(
            SourceScore(
                source=str(name),
                n=int(own.sum()),
                right=float(np.where(withheld, m, r).mean()),
                calibration_error=calibration_error(c, r),
                auroc=auroc(c[r], c[~r]),
                no_answer_error=calibration_error(n, m),
                no_answer_auroc=auroc(n[m], n[~m]),
                withheld_answerable=float(withheld[~m].mean()) if (~m).any() else None,
                withheld_missing=float(withheld[m].mean()) if m.any() else None,
            )
        )
    return scores


def _rounded(score: SourceScore) -> dict[str, Any]:
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(score).items()}
