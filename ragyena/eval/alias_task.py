"""Two hops: a question names something by an invented alias, and only another passage says what it stands for.

The same questions, passages and order of slots are read twice: as they are (one hop), and with the alias in the
question, its definition in a passage that is not the question's own, and the definition of another alias, of a name
that stands in the context, in a third passage. What the second costs a reader is what it does not join.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ragyena.data import alias as aliases
from ragyena.errors import DataError
from ragyena.eval.conditions import Condition
from ragyena.eval.contexts import BuiltContext, Making, arrange, shuffled
from ragyena.eval.datasets import Question
from ragyena.eval.frozen import Frozen
from ragyena.types import Passage

__all__ = ["Alias", "Puzzle", "Puzzles", "make_puzzle"]


@dataclass(frozen=True, slots=True)
class Puzzle:
    """A question whose second hop is in its passages."""

    question: str
    """With the alias."""
    passages: tuple[tuple[Passage, bool], ...]
    """In slot order, with the two definitions; each with whether it is the question's own."""
    name: str
    alias: str
    defined_in: int
    """The slot that says what the alias stands for."""
    decoy_in: int
    """The slot that defines another alias."""


def make_puzzle(
    question: Question, passages: Sequence[tuple[Passage, bool]], name: str, rng: random.Random
) -> Puzzle | None:
    """``passages`` come in slot order. None where fewer than two are not the question's own, or they hold no other name
    for the decoy."""
    others = [slot for slot, (_, is_own) in enumerate(passages) if not is_own]
    if len(others) < 2:
        return None
    texts = [passage.text for passage, _ in passages]
    defined_in, decoy_in = rng.sample(others, 2)
    candidates = sorted({other for slot in others for other in aliases.names(texts[slot]) if other != name})
    candidates = [other for other in candidates if other not in question.question]
    if not candidates:
        return None
    alias = aliases.invent(rng, [question.question, *texts])
    decoy = aliases.invent(rng, [question.question, alias, *texts])
    changed = list(passages)
    for slot, sentence in (
        (defined_in, aliases.definition(alias, name)),
        (decoy_in, aliases.definition(decoy, rng.choice(candidates))),
    ):
        passage = passages[slot][0]
        text = aliases.put_into(passage.text, sentence, rng)
        changed[slot] = replace(passage, text=text, end=passage.start + len(text), passage_id=-1), False
    asked = aliases.renamed(question.question, name, alias)
    return Puzzle(asked, tuple(changed), name, alias, defined_in, decoy_in)


class Puzzles:
    """The questions of frozen contexts that have a name to hide, and the puzzles made of them. The same seed gives the
    same puzzles."""

    def __init__(self, frozen: Frozen, making: Making, least_among: int) -> None:
        """A question is left out where a context of ``least_among`` passages makes no puzzle. Raises DataError where
        none is left."""
        self.frozen, self.making = frozen, making
        self._names: dict[str, str] = {}
        kept = []
        for question in frozen.answerable:
            own = [passage.text for passage in frozen.own_passages(question)]
            name = aliases.question_name(question.question, own, question.answers)
            if name is not None:
                self._names[question.id] = name
                if self.of(question, least_among) is not None:
                    kept.append(question)
        if not kept:
            raise DataError(
                f"none of {len(frozen.answerable)} questions has a name that an alias could hide",
                hint="ask more questions (--limit), or questions on passages with names",
            )
        self.questions = tuple(kept)

    def passages(self, question: Question, among: int) -> list[tuple[Passage, bool]]:
        """Of one hop, in slot order."""
        own = self.frozen.own_passages(question)
        others = [hit.passage for hit in self.frozen.found(question, max(among - len(own), 0))]
        return shuffled(question, own, others, self.making.seed)

    def of(self, question: Question, among: int) -> Puzzle | None:
        rng = random.Random(f"alias {self.making.seed} {among} {question.id}")
        return make_puzzle(question, self.passages(question, among), self._names[question.id], rng)


class Alias(Condition):
    """One hop or two, among as many passages."""

    def __init__(self, puzzles: Puzzles, among: int, hops: int) -> None:
        title = f"{'one hop' if hops == 1 else 'two hops'} among {among} passages"
        super().__init__(puzzles.frozen, puzzles.making, self.named(among, hops), title, among=among, hops=hops)
        self._puzzles, self._among, self._hops = puzzles, among, hops

    @staticmethod
    def named(among: int, hops: int) -> str:
        return f"{'one' if hops == 1 else 'two'}-hop-{among}"

    @property
    def questions(self) -> Sequence[Question]:
        return self._puzzles.questions

    def contexts(self, question: Question) -> list[BuiltContext]:
        if self._hops == 1:
            return [arrange(question.question, self._puzzles.passages(question, self._among), self.making)]
        puzzle = self._puzzles.of(question, self._among)
        assert puzzle is not None  # a larger context holds the smallest one's passages, from which there was one
        return [arrange(puzzle.question, puzzle.passages, self.making)]
