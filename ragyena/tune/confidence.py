"""The confidence of a tuned reader, fitted anew: tuning on questions that have answers makes a reader too sure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ragyena.config import PipelineConfig
from ragyena.eval.document_scores import DocumentAnswer
from ragyena.model.confidence import INTERCEPT, Calibration
from ragyena.reader.reader import Reader
from ragyena.tune.measure import answers_of
from ragyena.tune.places import Located
from ragyena.types import Progress

__all__ = ["refit", "shifted"]

_WIDEST = 6.0
"""The largest shift of a logit."""
_PRIOR = 10.0
"""Questions that speak for the confidence as it was."""
_STEPS = 40


def refit(reader: Reader, located: Sequence[Located], settings: PipelineConfig, progress: Progress) -> Calibration:
    """The calibration of ``reader`` with the intercepts that fit its answers to ``located``, which it was not trained
    on; the other weights and the rule of withholding stay."""
    everything = settings.model_copy(update={"reader": settings.reader.model_copy(update={"threshold": 0.0})})
    return shifted(reader.calibration, answers_of(reader, located, everything, "fitting the confidence", progress))


def shifted(calibration: Calibration, answers: Sequence[DocumentAnswer]) -> Calibration:
    """``calibration``, under which ``answers`` were given and none withheld, with both intercepts moved so that its
    mean probabilities are the fractions that came true; the fewer the answers, the less they move."""
    given = [answer for answer in answers if answer["text"]]
    if not given:
        return calibration
    right = _shift([answer["confidence"] for answer in given], [answer["right"] for answer in given])
    missing = [answer["answer_type"] == "none" for answer in given]
    none = _shift([answer["no_answer_probability"] for answer in given], missing)
    return calibration.model_copy(
        update={
            "right": _moved(calibration.right, right),
            "no_answer": _moved(calibration.no_answer, none),
            "fitted": {
                **calibration.fitted,
                "intercepts moved": {"questions": len(given), "right": right, "none": none},
            },
        }
    )


def _moved(weights: Mapping[str, float], shift: float) -> dict[str, float]:
    return {**weights, INTERCEPT: weights.get(INTERCEPT, 0.0) + shift}


def _shift(probabilities: Sequence[float], true: Sequence[bool]) -> float:
    """The shift of the logits by which the mean probability is the fraction that is true, by bisection: it rises with
    the shift. ``_PRIOR`` further questions are as likely as the mean says now."""
    p = np.clip(np.asarray(probabilities, np.float64), 1e-6, 1 - 1e-6)
    logits = np.log(p / (1 - p))
    wanted = (sum(true) + _PRIOR * float(p.mean())) / (len(true) + _PRIOR)
    low, high = -_WIDEST, _WIDEST
    for _ in range(_STEPS):
        middle = (low + high) / 2
        mean = float(np.mean(1 / (1 + np.exp(-(logits + middle)))))
        low, high = (middle, high) if mean < wanted else (low, middle)
    return round((low + high) / 2, 4)
