"""What a question is read in: one condition is one way to make its contexts. Two readers under the same condition read
the same.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from ragyena.eval.contexts import BuiltContext, Making, arrange, shuffled
from ragyena.eval.datasets import Question
from ragyena.eval.frozen import Frozen
from ragyena.eval.metrics import normalize
from ragyena.reader.packing import capacity, pack
from ragyena.reader.reader import Reading
from ragyena.types import Context, Passage

__all__ = ["Among", "Condition", "Open"]


class Condition(ABC):
    """One way to make contexts of frozen passages."""

    competes: bool = True
    """Whether passages of other contexts stand beside the question's own, so that it means something which is best."""
    searches: bool = False
    """Whether it is uncertain that the question's own context is among what is read."""
    recalls: bool = False
    """Whether it is uncertain that the answer is in the context at all, so that it is worth counting."""
    worth_timing: bool = True
    """Whether reading its contexts may take another time than those of the conditions before."""
    asks_unanswerable: bool = False
    """Whether questions without an answer are asked, too."""

    def __init__(self, frozen: Frozen, making: Making, name: str, title: str, **parameters: Any) -> None:
        self.frozen, self.making = frozen, making
        self.name, self.title = name, title
        self.parameters: Mapping[str, Any] = parameters
        self._normalized: dict[int, str] = {}

    @property
    def questions(self) -> Sequence[Question]:
        """The answerable questions that are asked."""
        return self.frozen.answerable

    @abstractmethod
    def contexts(self, question: Question) -> list[BuiltContext]:
        """The contexts that a question is read in; several are read each for itself. Raises UsageError."""

    def choose(self, readings: Sequence[Reading]) -> int:
        """Which of the readings of ``contexts`` gives the answer."""
        return 0

    def size(self, question: Question) -> tuple[int, int]:
        """Passages and chars of the longest, about: contexts of like size are read together."""
        return 0, 0

    def holds_answer(self, context: Context, question: Question) -> bool:
        """Whether an answer stands in a passage, both normalised as for exact match, at word borders."""
        answers = [f" {found} " for answer in question.answers if (found := normalize(answer))]
        return any(answer in self._words(p.passage) for p in context.passages for answer in answers)

    def _words(self, passage: Passage) -> str:
        if passage.passage_id < 0:
            return f" {normalize(passage.text)} "
        if passage.passage_id not in self._normalized:
            self._normalized[passage.passage_id] = f" {normalize(passage.text)} "
        return self._normalized[passage.passage_id]

    def others(self, question: Question, count: int) -> list[Passage]:
        """At most ``count`` hits of other contexts, best first."""
        return [hit.passage for hit in self.frozen.found(question, max(count, 0))]


class Among(Condition):
    """The question's own passages among ``among`` in all, the others the retriever's best hits, shuffled."""

    def __init__(self, frozen: Frozen, making: Making, among: int) -> None:
        title = "own context alone" if among == 1 else f"own context among {among} passages"
        super().__init__(frozen, making, self.named(among), title, among=among)
        self.among = among
        # among others an unanswerable question may find its answer after all
        self.competes, self.asks_unanswerable = among > 1, among == 1

    @staticmethod
    def named(among: int) -> str:
        return f"among-{among}"

    def contexts(self, question: Question) -> list[BuiltContext]:
        own = self.frozen.own_passages(question)
        others = self.others(question, self.among - len(own))
        return [arrange(question.question, shuffled(question, own, others, self.making.seed), self.making)]

    def size(self, question: Question) -> tuple[int, int]:
        own = self.frozen.own_passages(question)
        return len(own), max((len(passage.text) for passage in own), default=0)


class Open(Condition):
    """What the pipeline finds for the question alone, as much of it as ``context_tokens`` hold."""

    searches = recalls = True

    def __init__(self, frozen: Frozen, making: Making, context_tokens: int) -> None:
        title = f"end to end, {context_tokens:,} tokens"
        super().__init__(frozen, making, self.named(context_tokens), title, context_tokens=context_tokens)
        # duplicates were dropped and neighbours pulled in when the contexts were frozen
        self.packer = making.packer.model_copy(
            update={"context_tokens": context_tokens, "near_duplicate": 2.0, "neighbours": 0}
        )

    @staticmethod
    def named(context_tokens: int) -> str:
        return f"open-{context_tokens}"

    def contexts(self, question: Question) -> list[BuiltContext]:
        context = pack(
            question.question,
            self.frozen.found(question, capacity(self.packer)),
            self.making.tokenizer,
            self.packer,
            max_question_tokens=self.making.max_question_tokens,
        )
        own = set(self.frozen.own.get(question.context_id or "", ()))
        slots = (slot for slot, p in enumerate(context.passages) if p.passage.passage_id in own)
        return [BuiltContext(context, frozenset(slots))]
