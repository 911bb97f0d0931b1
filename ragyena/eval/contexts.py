"""Passages into the context of an experiment, which fixes what is read: nothing is dropped, nothing reordered."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from ragyena.config import PackerConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.eval.datasets import Question
from ragyena.reader.packing import pack
from ragyena.types import Context, Passage, ScoredPassage

__all__ = ["BuiltContext", "Making", "arrange", "fill", "shuffled"]

_AS_GIVEN = {"near_duplicate": 2.0, "order": "score", "neighbours": 0}
"""Packer values under which nothing is dropped but for want of room."""
_NO_BUDGET = 1 << 24


@dataclass(frozen=True, slots=True, eq=False)
class BuiltContext:
    """A context and which of its slots hold the question's own passages."""

    context: Context
    own_slots: frozenset[int]


@dataclass(frozen=True, slots=True, eq=False)
class Making:
    """What every context of an evaluation is made with. Of ``packer`` only ``header_tokens`` matters."""

    tokenizer: Tokenizer
    packer: PackerConfig
    max_question_tokens: int
    seed: int


def arrange(question: str, passages: Sequence[tuple[Passage, bool]], making: Making) -> BuiltContext:
    """All the passages in the order given; each comes with whether it is the question's own.

    Raises QuestionTooLongError and EmptyQuestionError.
    """
    candidates = [ScoredPassage(passage, 1.0 - slot / len(passages)) for slot, (passage, _) in enumerate(passages)]
    context = fill(question, candidates, _NO_BUDGET, making)
    if len(context.passages) != len(passages):
        raise AssertionError("the packer dropped passages of an experiment")
    return BuiltContext(context, frozenset(slot for slot, (_, is_own) in enumerate(passages) if is_own))


def fill(question: str, candidates: Sequence[ScoredPassage], context_tokens: int, making: Making) -> Context:
    """The first of ``candidates`` that a budget holds, in their order.

    Raises QuestionTooLongError, EmptyQuestionError, and BudgetError where not even one fits.
    """
    config = making.packer.model_copy(update={**_AS_GIVEN, "context_tokens": context_tokens})
    return pack(question, candidates, making.tokenizer, config, max_question_tokens=making.max_question_tokens)


def shuffled(
    question: Question, own: Sequence[Passage], others: Sequence[Passage], seed: int
) -> list[tuple[Passage, bool]]:
    """``own`` (marked) and ``others`` in an order drawn with ``seed`` and the question's id: a place is no clue."""
    passages = [(passage, True) for passage in own] + [(passage, False) for passage in others]
    random.Random(f"{seed} {question.id}").shuffle(passages)
    return passages
