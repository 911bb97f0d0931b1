"""Two calibrated probabilities of a reading: that its answer is right, and that what was read holds no answer.

Both are logistic regressions (Platt 1999) on the scores of one reading, fitted on questions that the reader was not
trained on. They stand beside the weights in ``calibration.json``, which a new fit replaces.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, FiniteFloat, field_validator

from ragyena.config import parse
from ragyena.config.strict import Fraction, Strict
from ragyena.errors import CheckpointError, ConfigError
from ragyena.model.beside_weights import write_beside_weights
from ragyena.model.checkpoint import weights_digest
from ragyena.parsing import MalformedError, read_json

__all__ = ["CALIBRATION_FILE", "FEATURES", "FEATURES_OF_TEXT", "INTERCEPT", "Calibration", "Form", "Withholding"]
__all__ += ["calibration_file", "features_of", "load_calibration", "save_calibration"]

CALIBRATION_FILE = "calibration.json"
Form = Literal["span", "list", "written"]
"""The way an answer was found: one span, several of one passage, or written token by token."""

INTERCEPT = "intercept"
FEATURES = ("answer", "null", "margin", "length", "list", "written", "written_answer", "written_null")
"""Features of every reading.

``answer``: the logit of the answer's probability. ``null``: that of there being no answer. ``margin``: by how much
the best span's log probability exceeds that of the next, and that of the best item of a list that of the best span
apart from all of them. ``length``: the logarithm of the best span's tokens. ``list``,
``written``: 1 for such an answer. ``written_answer``, ``written_null``: the first two for a written answer, 0 for
others; ``margin`` and ``length`` are 0 for it."""
FEATURES_OF_TEXT = ("score", "covered", "asked", "similarity")
"""Further features of a reading whose text is at hand: ``score``, the mean of the start and end score of the best span,
before the softmax and without the retriever's weight, and for a list the logarithm of the number of its items more;
``covered``, ``asked``: ``ragyena.reader.wording``; ``similarity``: by how much even the passage nearest to the question
falls short of being near it (``ragyena.reader.features``), 0 where no dense search found any."""
_RAREST = 1e-5  # beyond it probabilities say no more about an answer being right
_WIDEST = 12.0  # of a margin
_LARGEST_FILE = 1_000_000


def features_of(form: Form, *, answer: float, null: float, margin: float, tokens: int) -> dict[str, float]:
    """The ``FEATURES`` of a reading, from the log probabilities of its answer and of there being no answer, the margin
    of its best span (infinite without another) and the tokens of that."""
    answer_logit, null_logit, written = _logit(answer), _logit(null), float(form == "written")
    return {
        "answer": answer_logit,
        "null": null_logit,
        "margin": (1 - written) * min(margin, _WIDEST),
        "length": (1 - written) * math.log(max(tokens, 1)),
        "list": float(form == "list"),
        "written": written,
        "written_answer": written * answer_logit,
        "written_null": written * null_logit,
    }


def _logit(log_probability: float) -> float:
    probability = min(max(math.exp(log_probability), _RAREST), 1 - _RAREST)
    return math.log(probability / (1 - probability))


class Withholding(NamedTuple):
    """The rule of withholding: answers less probable than a threshold, and those less probable than ``odds`` times
    there being no answer. Of two equally doubtful answers the one is worth giving whose question has an answer in what
    was read: nothing is gained by withholding it."""

    threshold: float
    odds: float = 0.0

    def withholds(self, confidence: float, no_answer: float) -> bool:
        """True for an answer of this probability of being right, beside that of there being none."""
        return confidence < max(self.threshold, self.odds * no_answer)


class Calibration(Strict):
    """The weights of both probabilities, and what is withheld by them, fitted together. The defaults are those of a
    reader that was never calibrated: the probabilities that its scores give."""

    format: Literal[1, 2, 3] = 3
    """Version of the file: 2 may have the features of the text, too, and 3 ``odds``. Files of format 1 do not name
    theirs."""
    right: Mapping[str, FiniteFloat] = {"answer": 1.0}
    """By feature; of the logit of the answer being right."""
    no_answer: Mapping[str, FiniteFloat] = {"null": 1.0}
    """By feature; of the logit of there being no answer in what was read."""
    threshold: Fraction = 0.15
    """Answers less probable than this are withheld, unless the settings name a threshold, which then counts alone."""
    odds: Annotated[FiniteFloat, Field(ge=0.0)] = 0.0
    """So are answers less probable than this many times there being no answer."""
    fitted: Mapping[str, Any] = {}
    """The questions of the fit, and how it did on sources that it left out."""

    @field_validator("right", "no_answer")
    @classmethod
    def _known(cls, weights: Mapping[str, float]) -> Mapping[str, float]:
        if unknown := sorted(weights.keys() - {INTERCEPT, *FEATURES, *FEATURES_OF_TEXT}):
            known = ", ".join((INTERCEPT, *FEATURES, *FEATURES_OF_TEXT))
            raise ValueError(f"unknown features: {', '.join(unknown)}; known: {known}")
        return weights

    def confidence(self, features: Mapping[str, float]) -> float:
        """The probability of the answer being right."""
        return _probability(self.right, features)

    def no_answer_probability(self, features: Mapping[str, float]) -> float:
        """The probability of there being no answer in what was read."""
        return _probability(self.no_answer, features)


def _probability(weights: Mapping[str, float], features: Mapping[str, float]) -> float:
    logit = sum(weight * features.get(name, 1.0) for name, weight in weights.items())  # the intercept's feature is 1
    return 1 / (1 + math.exp(-logit)) if logit > 0 else 1 - 1 / (1 + math.exp(logit))


def calibration_file(folder: Path, beside: Sequence[Path] = ()) -> Path:
    """The file of the calibration of a checkpoint's folder; of the reader in it that reads together with those of the
    folders ``beside``, one that is named by their weights. Raises CheckpointError."""
    if not beside:
        return folder / CALIBRATION_FILE
    digest = hashlib.sha256(json.dumps([weights_digest(other) for other in beside]).encode()).hexdigest()
    return folder / f"calibration-{digest[:8]}.json"


def load_calibration(folder: Path, beside: Sequence[Path] = ()) -> Calibration:
    """The calibration in a checkpoint's folder, ``beside`` as in ``calibration_file``; the defaults where it has none.

    Raises CheckpointError where the file is damaged, or was fitted to other weights than those beside it.
    """
    path = calibration_file(folder, beside)
    hint = "fit it again: ragyena train calibrate; or delete the file for the reader's own probabilities"
    try:
        values = read_json(path, _LARGEST_FILE)
    except FileNotFoundError:
        return Calibration()
    except (OSError, MalformedError) as error:
        raise CheckpointError(
            f"{path} cannot be read: {getattr(error, 'strerror', None) or error}", hint=hint
        ) from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path} is not a JSON object", hint=hint)
    if values.pop("weights_sha256", None) != weights_digest(folder):
        raise CheckpointError(f"{path} was fitted to other weights than those beside it", hint=hint)
    try:
        return parse(Calibration, {"format": 1, **values}, source=str(path))
    except ConfigError as error:
        raise CheckpointError(error.message, hint=hint) from error


def save_calibration(folder: Path, calibration: Calibration, beside: Sequence[Path] = ()) -> Path:
    """Write the calibration of a checkpoint into its folder, ``beside`` as in ``calibration_file``; it is whole or not
    there. Raises CheckpointError for a folder that holds no checkpoint, StorageError."""
    return write_beside_weights(calibration_file(folder, beside), calibration.model_dump(mode="json"))
