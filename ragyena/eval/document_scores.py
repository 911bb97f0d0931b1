"""Scores of answers to questions on whole documents, and the figures of all of them by kind of document and answer."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypedDict

import numpy as np

from ragyena.data.document_questions import AnswerType, DocumentQuestion
from ragyena.eval.metrics import SPAN_RIGHT, Estimate, estimate, normalize, risk_coverage
from ragyena.eval.reliability import Reliability, reliability

__all__ = ["LIST_RIGHT", "DocumentAnswer", "list_items", "score", "summarize"]

LIST_RIGHT = 0.7
"""The mean best F1 over its items from which a list counts as right."""
_ITEM_BORDER = re.compile(r"\n+|;|,(?!\d)|\|| and | or ")
_BULLET = re.compile(r"^(?:[-*•]|and |or )\s*")


class DocumentAnswer(TypedDict):
    """The answer to one question, and how it scored."""

    id: str
    source: str
    document_id: str
    answer_type: AnswerType
    question: str
    answers: list[str]
    kind: str
    """As in ``ragyena.types.AnswerKind``."""
    text: str
    """The answer, also where it is withheld."""
    confidence: float
    no_answer_probability: float
    withheld: bool
    spans: list[tuple[str, float, str, int, int]]
    """Candidates, best first: text, score, document, first char and the one after the last."""
    evidence_packed: bool | None
    """True if all evidence was in the context; None for questions without an answer."""
    cited: bool | None
    """True if the best candidate lies in the evidence."""
    passages: int
    right: bool
    right_unwithheld: bool
    """The answer is right where it is not withheld; never, where the question has none."""
    f1: float
    """F1; 0 for a withheld answer, unless the question has none."""


def score(row: DocumentQuestion, text: str) -> tuple[bool, float]:
    """Correctness and F1 of an answer; the empty text stands for a withheld one.

    A span or comparison is right from an F1 of 0.6 against one of the answers, a list from a mean best F1 of 0.7 over
    its items, yes and no where the word is; nothing is right where there is no answer.
    """
    if row.answer_type == "none":
        return not text, float(not text)
    if not text:
        return False, 0.0
    if row.answer_type in ("yes", "no"):
        same = normalize(text) == row.answers[0].lower()
        return same, float(same)
    if row.answer_type == "list":
        pieces = list_items(text)
        f1 = float(np.mean([max(_f1(piece, item) for piece in pieces) for item in row.answers]))
        return f1 >= LIST_RIGHT, f1
    f1 = max(_f1(text, answer) for answer in row.answers)
    return f1 >= SPAN_RIGHT, f1


def list_items(text: str) -> list[str]:
    """A text and its parts between commas, semicolons, bars, line breaks, "and" and "or"."""
    parts = (_BULLET.sub("", part.strip()).strip() for part in _ITEM_BORDER.split(text))
    return [text, *(part for part in parts if part and part != text)]


def _f1(text: str, answer: str) -> float:
    mine, gold = normalize(text).split(), normalize(answer).split()
    if not mine or not gold:
        return float(" ".join(text.split()) == " ".join(answer.split()))
    common = sum((Counter(mine) & Counter(gold)).values())
    return 2 * common / (len(mine) + len(gold))


def summarize(answers: Sequence[DocumentAnswer], *, resamples: int = 2000) -> dict[str, Any]:
    """The figures of all answers, by answer type and by source, with 95% bootstrap intervals over documents; the
    reliability of both probabilities; risk against coverage.

    Confidence is judged by the answer as it would be without a threshold: withheld answers count as well.
    """
    groups: dict[str, list[DocumentAnswer]] = {"all": list(answers)}
    for answer in answers:
        kind = "yes/no" if answer["answer_type"] in ("yes", "no") else answer["answer_type"]
        groups.setdefault(f"type {kind}", []).append(answer)
    for answer in sorted(answers, key=lambda one: one["source"]):
        groups.setdefault(f"source {answer['source']}", []).append(answer)
    confidence, no_answer = (of(answers, resamples) for of in (_of_confidence, _of_no_answer))
    curve = risk_coverage([a["confidence"] for a in answers], [float(a["right_unwithheld"]) for a in answers])
    return {
        "questions": len(answers),
        "documents": len({answer["document_id"] for answer in answers}),
        "groups": {name: _figures(some, resamples) for name, some in groups.items()},
        "confidence": asdict(confidence) if confidence else None,
        "no_answer": asdict(no_answer) if no_answer else None,
        "risk_coverage": asdict(curve),
    }


def _figures(answers: Sequence[DocumentAnswer], resamples: int) -> dict[str, Any]:
    answerable = [answer for answer in answers if answer["answer_type"] != "none"]
    figures: dict[str, Any] = {"n": len(answers), "answerable": len(answerable)}
    of: Mapping[str, list[tuple[float, str]]] = {
        "right": [(float(a["right"]), a["document_id"]) for a in answers],
        "f1": [(a["f1"], a["document_id"]) for a in answers],
        "withheld": [(float(a["withheld"]), a["document_id"]) for a in answers],
        "evidence_packed": [(float(bool(a["evidence_packed"])), a["document_id"]) for a in answerable],
        "cited": [(float(bool(a["cited"])), a["document_id"]) for a in answerable],
    }
    for name, values in of.items():
        if values:
            interval = estimate(*zip(*values), bounds=(0.0, 1.0), resamples=resamples)
            figures[name] = _percent(interval)
    found = _of_confidence(answers, resamples)
    if found is not None:
        figures["calibration_error"] = [*_percent(found.calibration_error), round(100 * found.by_chance, 1)]
        if found.auroc is not None:
            figures["auroc"] = _percent(found.auroc)
    return figures


def _percent(interval: Estimate) -> list[float]:
    return [round(100 * value, 1) for value in (interval.mean, interval.low, interval.high)]


def _of_confidence(answers: Sequence[DocumentAnswer], resamples: int) -> Reliability | None:
    """Confidence against the answer being right, withheld or not."""
    return reliability(
        [answer["confidence"] for answer in answers],
        [answer["right_unwithheld"] for answer in answers],
        [answer["document_id"] for answer in answers],
        resamples=resamples,
    )


def _of_no_answer(answers: Sequence[DocumentAnswer], resamples: int) -> Reliability | None:
    """The no-answer probability against there being no answer in what was read."""
    return reliability(
        [answer["no_answer_probability"] for answer in answers],
        [not answer["evidence_packed"] for answer in answers],
        [answer["document_id"] for answer in answers],
        resamples=resamples,
    )
