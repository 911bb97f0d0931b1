"""A tuned reader's confidence is moved to what came true, the less the fewer questions tell."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from ragyena.eval.document_scores import DocumentAnswer
from ragyena.model.confidence import INTERCEPT, Calibration
from ragyena.tune.confidence import shifted

SURE = Calibration(right={"answer": 1.0}, no_answer={"null": 1.0, INTERCEPT: -1.0})


def answers(confidence: float, right: float, none: float, count: int) -> list[DocumentAnswer]:
    """``count`` answers of one confidence, of which these fractions are right and have no answer."""
    rows: list[dict[str, Any]] = []
    for number in range(count):
        kind = "none" if number < none * count else "span"
        is_right = kind == "span" and number >= (1 - right) * count
        rows.append(
            {
                "text": "x",
                "confidence": confidence,
                "no_answer_probability": 0.1,
                "right": is_right,
                "answer_type": kind,
            }
        )
    return cast(list[DocumentAnswer], rows)


def probability(logit: float) -> float:
    return float(1 / (1 + np.exp(-logit)))


def test_a_reader_that_is_too_sure_becomes_less_sure() -> None:
    moved = shifted(SURE, answers(0.9, right=0.5, none=0.3, count=1000))
    assert abs(probability(np.log(9) + moved.right[INTERCEPT]) - 0.5) < 0.02
    assert abs(probability(np.log(1 / 9) + moved.no_answer[INTERCEPT] + 1.0) - 0.3) < 0.02
    assert moved.right["answer"] == 1.0
    assert moved.threshold == SURE.threshold


def test_few_questions_move_it_little() -> None:
    few = shifted(SURE, answers(0.9, right=0.5, none=0.3, count=4)).right[INTERCEPT]
    many = shifted(SURE, answers(0.9, right=0.5, none=0.3, count=400)).right[INTERCEPT]
    assert many < few < 0


def test_what_is_true_already_stays() -> None:
    moved = shifted(SURE, answers(0.5, right=0.5, none=0.1, count=100))
    assert abs(moved.right[INTERCEPT]) < 0.01
    assert shifted(SURE, []) == SURE
