"""The words of a question that the text around an answer has, and those that any of the text has, by their rarity.

An answer whose own sentence lacks what the question asks about, while the rest of the text has it, is likely wrong.
"""

from __future__ import annotations

from typing import TypedDict

import numpy as np
import numpy.typing as npt

from ragyena.documents.sentences import sentence_span
from ragyena.types import Context, Span

__all__ = ["Wording", "wording"]


class Wording(TypedDict):
    """Shares of a question's word pieces, each weighing as much as it is rare; from 0 to 1."""

    covered: float
    """In the sentence or line of the answer, or in the header of its passage."""
    asked: float
    """In any of the passages."""


def wording(context: Context, answer: Span | None, idf: npt.NDArray[np.float32]) -> Wording:
    """The shares for ``answer``, one of the passages' spans; both 0 where there is none. ``idf`` is the weight of each
    word piece of the vocabulary."""
    if answer is None:
        return {"covered": 0.0, "asked": 0.0}
    question = np.unique(context.question_ids[1:-1])  # without its begin and end tokens
    weight = idf[question]
    row, passage = answer.slot, context.passages[answer.slot].passage
    start, end = sentence_span(passage.text, answer.start - passage.start, answer.end - passage.start)
    text, starts, ends = context.text_mask[row], context.char_starts[row], context.char_ends[row]
    around = text & (starts >= passage.start + start) & (ends <= passage.start + end)
    near = context.token_ids[row][around | (context.token_mask[row] & ~text)]

    def share(ids: npt.NDArray[np.int32]) -> float:
        return float(weight[np.isin(question, ids)].sum() / max(float(weight.sum()), 1e-9))

    return {"covered": share(near), "asked": share(context.token_ids[context.token_mask])}
