"""Does it matter where in a long context the answer stands? The same passages, the question's own at several depths."""

from __future__ import annotations

import math

from ragyena.eval.conditions import Condition
from ragyena.eval.contexts import BuiltContext, Making, arrange, fill, shuffled
from ragyena.eval.datasets import Question
from ragyena.eval.frozen import Frozen
from ragyena.types import ScoredPassage

__all__ = ["AtPosition"]


class AtPosition(Condition):
    """The question's own passages, together, at a depth of a context that the retriever's hits fill. The others are the
    same, in the same drawn order, at every depth."""

    def __init__(self, frozen: Frozen, making: Making, context_tokens: int, position: float, first: float) -> None:
        """``first`` is the position whose contexts are timed, for all of a length."""
        title = f"own context at {position:.3g} of {context_tokens:,} tokens"
        name = self.named(context_tokens, position)
        super().__init__(frozen, making, name, title, context_tokens=context_tokens, position=position)
        self.worth_timing = position == first
        self._context_tokens, self._position = context_tokens, position

    @staticmethod
    def named(context_tokens: int, position: float) -> str:
        return f"position-{position:g}-of-{context_tokens}"

    def contexts(self, question: Question) -> list[BuiltContext]:
        own = self.frozen.own_passages(question)
        before = [ScoredPassage(passage, math.inf) for passage in own]
        filled = fill(question.question, [*before, *self.frozen.found(question)], self._context_tokens, self.making)
        others = [scored.passage for scored in filled.passages[len(own) :]]
        order = shuffled(question, [], others, self.making.seed)
        place = round(self._position * len(order))
        passages = [*order[:place], *((passage, True) for passage in own), *order[place:]]
        return [arrange(question.question, passages, self.making)]
