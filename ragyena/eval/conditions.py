"""Evaluation conditions: each is one way to build the contexts in which questions are read.

Contexts are built of frozen passages, so that two readers under the same condition read the same.
"""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

from ragyena.config import EvalConfig, PackerConfig, PipelineConfig
from ragyena.data import alias as aliases
from ragyena.documents.tokenizer import TokenCache, Tokenizer
from ragyena.errors import DataError, UsageError
from ragyena.eval.contexts import Frozen
from ragyena.eval.metrics import normalize
from ragyena.eval.questions import Question
from ragyena.reader.packing import capacity, pack
from ragyena.reader.reader import Reading
from ragyena.types import Context, Passage, ScoredPassage

__all__ = [
    "Among",
    "BuiltContext",
    "Condition",
    "ContextBuilder",
    "condition_names",
    "conditions",
    "contrasts",
    "sweeps",
]

_AS_GIVEN = {"near_duplicate": 2.0, "order": "score", "neighbours": 0}
"""Packer values under which passages are dropped only if there is no room."""
_NO_BUDGET = 1 << 24

Marked = tuple[Passage, bool]
"""A passage, and whether it is the question's own."""


@dataclass(frozen=True, slots=True, eq=False)
class BuiltContext:
    """A context and the slots that hold the question's own passages."""

    context: Context
    own_slots: frozenset[int]


@dataclass(frozen=True, slots=True, eq=False)
class ContextBuilder:
    """Builds contexts in which passages are neither dropped nor reordered; ``packer`` gives the ``header_tokens``."""

    tokenizer: Tokenizer
    packer: PackerConfig
    max_question_tokens: int
    seed: int

    @classmethod
    def of(cls, config: EvalConfig, settings: PipelineConfig, tokenizer: Tokenizer) -> ContextBuilder:
        """The builder of an evaluation, which encodes each text once."""
        return cls(TokenCache(tokenizer), settings.packer, settings.reader.max_question_tokens, config.seed)

    def shuffled(self, question: Question, own: Sequence[Passage], others: Sequence[Passage] = ()) -> list[Marked]:
        """``own`` and ``others`` in an order drawn with the seed and the question's id."""
        passages = [*((passage, True) for passage in own), *((passage, False) for passage in others)]
        random.Random(f"{self.seed} {question.id}").shuffle(passages)
        return passages

    def arrange(self, question: str, passages: Sequence[Marked]) -> BuiltContext:
        """All the passages in the order given. Raises QuestionTooLongError and EmptyQuestionError."""
        candidates = [ScoredPassage(passage, 1.0 - slot / len(passages)) for slot, (passage, _) in enumerate(passages)]
        context = self.fill(question, candidates, _NO_BUDGET)
        if len(context.passages) != len(passages):
            raise AssertionError("the packer dropped passages of an experiment")
        return BuiltContext(context, frozenset(slot for slot, (_, is_own) in enumerate(passages) if is_own))

    def fill(self, question: str, candidates: Sequence[ScoredPassage], context_tokens: int) -> Context:
        """The first of ``candidates`` that a budget holds, in their order.

        Raises QuestionTooLongError, EmptyQuestionError, and BudgetError where not even one fits.
        """
        return self.pack(question, candidates, {**_AS_GIVEN, "context_tokens": context_tokens})

    def pack(
        self, question: str, candidates: Sequence[ScoredPassage], changes: Mapping[str, Any], **further: Any
    ) -> Context:
        """Packs with ``changes`` of the packer's settings."""
        packer = self.packer.model_copy(update=dict(changes))
        return pack(
            question, candidates, self.tokenizer, packer, max_question_tokens=self.max_question_tokens, **further
        )

    def capacity(self, context_tokens: int) -> int:
        """The most passages that a context of so many tokens holds."""
        return capacity(self.packer.model_copy(update={"context_tokens": context_tokens}))


class Condition(ABC):
    """One way to build contexts of frozen passages."""

    competes: bool = True
    """Passages of other contexts compete with the question's own: the best slot is worth reporting."""
    searches: bool = False
    """The question's own context may be missing from the contexts."""
    recalls: bool = False
    """The answer may be missing from the contexts: its recall is worth reporting."""
    worth_timing: bool = True
    """Reading its contexts may take another time than those of the conditions before."""
    asks_unanswerable: bool = False
    """Questions without an answer are asked, too."""

    def __init__(self, frozen: Frozen, builder: ContextBuilder, name: str, title: str, **parameters: Any) -> None:
        self.frozen, self.builder = frozen, builder
        self.name, self.title = name, title
        self.parameters: Mapping[str, Any] = parameters
        self._normalized: dict[int, str] = {}

    @property
    def questions(self) -> Sequence[Question]:
        """The answerable questions that are asked."""
        return self.frozen.answerable

    @abstractmethod
    def contexts(self, question: Question) -> list[BuiltContext]:
        """The contexts of a question; several are read each for itself. Raises UsageError."""

    def choose(self, readings: Sequence[Reading]) -> int:
        """The place of the reading, among those of ``contexts``, that gives the answer."""
        return 0

    def size(self, question: Question) -> tuple[int, int]:
        """Passages and chars of the longest, about: contexts of like size are read together."""
        return 0, 0

    def holds_answer(self, context: Context, question: Question) -> bool:
        """True where an answer stands in a passage, both normalised as for exact match, at word borders."""
        answers = [f" {normalized} " for answer in question.answers if (normalized := normalize(answer))]
        return any(answer in self._words(p.passage) for p in context.passages for answer in answers)

    def _words(self, passage: Passage) -> str:
        if passage.passage_id < 0:
            return f" {normalize(passage.text)} "
        if passage.passage_id not in self._normalized:
            self._normalized[passage.passage_id] = f" {normalize(passage.text)} "
        return self._normalized[passage.passage_id]


def own_among(frozen: Frozen, builder: ContextBuilder, question: Question, among: int) -> list[Marked]:
    """The question's own passages and the best hits of other contexts, ``among`` in all, shuffled."""
    own = frozen.own_passages(question)
    others = [hit.passage for hit in frozen.hits_of(question, max(among - len(own), 0))]
    return builder.shuffled(question, own, others)


class Among(Condition):
    """The question's own passages among ``among`` in all, the others the retriever's best hits, shuffled."""

    def __init__(self, frozen: Frozen, builder: ContextBuilder, among: int) -> None:
        title = "own context alone" if among == 1 else f"own context among {among} passages"
        super().__init__(frozen, builder, self.named(among), title, among=among)
        self.among = among
        # among others an unanswerable question may find its answer after all
        self.competes, self.asks_unanswerable = among > 1, among == 1

    @staticmethod
    def named(among: int) -> str:
        return f"among-{among}"

    def contexts(self, question: Question) -> list[BuiltContext]:
        passages = own_among(self.frozen, self.builder, question, self.among)
        return [self.builder.arrange(question.question, passages)]

    def size(self, question: Question) -> tuple[int, int]:
        own = self.frozen.own_passages(question)
        return len(own), max((len(passage.text) for passage in own), default=0)


class Open(Condition):
    """End to end: the passages that the pipeline retrieves and packs into ``context_tokens`` for the question alone."""

    searches = recalls = True

    def __init__(self, frozen: Frozen, builder: ContextBuilder, context_tokens: int) -> None:
        title = f"end to end, {context_tokens:,} tokens"
        super().__init__(frozen, builder, self.named(context_tokens), title, context_tokens=context_tokens)
        self._context_tokens = context_tokens

    @staticmethod
    def named(context_tokens: int) -> str:
        return f"open-{context_tokens}"

    def contexts(self, question: Question) -> list[BuiltContext]:
        hits = self.frozen.hits_of(question, self.builder.capacity(self._context_tokens))
        # duplicates were dropped and neighbours pulled in when the contexts were frozen
        as_frozen = {"context_tokens": self._context_tokens, "near_duplicate": 2.0, "neighbours": 0}
        context = self.builder.pack(question.question, hits, as_frozen)
        own = set(self.frozen.own.get(question.context_id or "", ()))
        slots = (slot for slot, p in enumerate(context.passages) if p.passage.passage_id in own)
        return [BuiltContext(context, frozenset(slots))]


class AtPosition(Condition):
    """The question's own passages, together, at a depth of a context that the retriever's hits fill. The others are the
    same, in the same drawn order, at every depth."""

    def __init__(
        self, frozen: Frozen, builder: ContextBuilder, context_tokens: int, position: float, timed: bool
    ) -> None:
        title = f"own context at {position:.3g} of {context_tokens:,} tokens"
        name = self.named(context_tokens, position)
        super().__init__(frozen, builder, name, title, context_tokens=context_tokens, position=position)
        self.worth_timing = timed
        self._context_tokens, self._position = context_tokens, position

    @staticmethod
    def named(context_tokens: int, position: float) -> str:
        return f"position-{position:g}-of-{context_tokens}"

    def contexts(self, question: Question) -> list[BuiltContext]:
        own = self.frozen.own_passages(question)
        first = [ScoredPassage(passage, math.inf) for passage in own]
        hits = self.frozen.hits_of(question)
        filled = self.builder.fill(question.question, [*first, *hits], self._context_tokens)
        others = self.builder.shuffled(question, [], [scored.passage for scored in filled.passages[len(own) :]])
        place = round(self._position * len(others))
        passages = [*others[:place], *((passage, True) for passage in own), *others[place:]]
        return [self.builder.arrange(question.question, passages)]


# ---------------------------------------------------------------------------------------------------------------
# Two hops: the question names something by an invented alias, and only another passage says what it stands for
# ---------------------------------------------------------------------------------------------------------------


Puzzle = tuple[str, Sequence[Marked]]
"""A two-hop question, with the alias, and its passages in slot order with two definitions: of the alias, and of a decoy
for another name that stands in the context."""


def make_puzzle(question: Question, passages: Sequence[Marked], name: str, rng: random.Random) -> Puzzle | None:
    """The same question, passages and order with a second hop. None where fewer than two passages are not the
    question's own, or they hold no other name for the decoy."""
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
    return aliases.renamed(question.question, name, alias), changed


class Puzzles:
    """The questions of frozen contexts that have a name to hide, and their puzzles. The same seed gives the same."""

    def __init__(self, frozen: Frozen, builder: ContextBuilder, least_among: int) -> None:
        """A question is left out where a context of ``least_among`` passages makes no puzzle. Raises DataError where
        none is left."""
        self.frozen, self.builder = frozen, builder
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
                f"none of {len(frozen.answerable)} questions has a name that an alias could replace",
                hint="ask more questions (--limit), or questions on passages with names",
            )
        self.questions = tuple(kept)

    def of(self, question: Question, among: int) -> Puzzle | None:
        rng = random.Random(f"alias {self.builder.seed} {among} {question.id}")
        return make_puzzle(
            question, own_among(self.frozen, self.builder, question, among), self._names[question.id], rng
        )


class Alias(Condition):
    """One hop or two, among as many passages: the difference is what a reader fails to join."""

    def __init__(self, puzzles: Puzzles, among: int, hops: int) -> None:
        title = f"{'one hop' if hops == 1 else 'two hops'} among {among} passages"
        super().__init__(puzzles.frozen, puzzles.builder, self.named(among, hops), title, among=among, hops=hops)
        self._puzzles, self._among, self._hops = puzzles, among, hops

    @staticmethod
    def named(among: int, hops: int) -> str:
        return f"{'one' if hops == 1 else 'two'}-hop-{among}"

    @property
    def questions(self) -> Sequence[Question]:
        return self._puzzles.questions

    def contexts(self, question: Question) -> list[BuiltContext]:
        if self._hops == 1:
            passages = own_among(self.frozen, self.builder, question, self._among)
            return [self.builder.arrange(question.question, passages)]
        puzzle = self._puzzles.of(question, self._among)
        assert puzzle is not None  # a larger context holds the smallest one's passages, from which there was one
        return [self.builder.arrange(*puzzle)]


# ---------------------------------------------------------------------------------------------------------------
# Hybrid documents (HybridQA; Chen et al. 2020): a table and the articles it links to
# ---------------------------------------------------------------------------------------------------------------


class Joint(Condition):
    """All passages of a document in one context, shuffled."""

    competes = False
    recalls = True
    name_of_all = "joint"
    title_of_all = "documents whole"

    def __init__(self, frozen: Frozen, builder: ContextBuilder) -> None:
        super().__init__(frozen, builder, self.name_of_all, self.title_of_all)

    def contexts(self, question: Question) -> list[BuiltContext]:
        passages = self.builder.shuffled(question, self.frozen.own_passages(question))
        return [self.builder.arrange(question.question, passages)]

    def size(self, question: Question) -> tuple[int, int]:
        return len(self.frozen.own[question.context_id or ""]), 0


class Independent(Joint):
    """Each passage of a document in a context of its own. The answer is that of the passage in which the best span is
    most probable against there being no answer.

    Both probabilities are of one softmax, so that their ratio does not depend on what else a passage holds: a reader
    whose layers see each passage alone makes this choice in the whole document.
    """

    name_of_all = "independent"
    title_of_all = "documents passage by passage"

    def contexts(self, question: Question) -> list[BuiltContext]:
        order = self.builder.shuffled(question, self.frozen.own_passages(question))
        return [self.builder.arrange(question.question, [entry]) for entry in order]

    def choose(self, readings: Sequence[Reading]) -> int:
        return max(range(len(readings)), key=lambda place: _margin(readings[place]))


def _margin(reading: Reading) -> float:
    """Log probability of the best span less that of no answer. The latter is start's plus end's; of the reading it is
    the geometric mean of both."""
    if not reading.spans or not reading.spans[0].score or not reading.no_answer_probability:
        return -math.inf
    return math.log(reading.spans[0].score) - 2 * math.log(reading.no_answer_probability)


# ---------------------------------------------------------------------------------------------------------------
# The conditions of a recipe
# ---------------------------------------------------------------------------------------------------------------


def conditions(config: EvalConfig, frozen: Frozen, builder: ContextBuilder) -> list[Condition]:
    """The conditions of a recipe, in its order. Raises DataError where no question suits the task."""
    return [make(frozen, builder) for make in _planned(config).values()]


def condition_names(config: EvalConfig) -> list[str]:
    """Their names; of the task ``retrieval``, its ways of searching."""
    if config.task == "retrieval":
        return [*config.modes, *(["reranked"] if config.reranker else [])]
    return [*_planned(config)]


def _planned(config: EvalConfig) -> dict[str, Callable[[Frozen, ContextBuilder], Condition]]:
    """By name, what makes each condition."""
    lengths = config.context_tokens
    match config.task:
        case "among":
            return {Among.named(among): partial(Among, among=among) for among in config.among}
        case "open":
            return {Open.named(length): partial(Open, context_tokens=length) for length in lengths}
        case "positions":
            first = config.positions[0]  # only its contexts are timed, for all of a length
            return {
                AtPosition.named(length, at): partial(AtPosition, context_tokens=length, position=at, timed=at == first)
                for length in lengths
                for at in config.positions
            }
        case "alias":
            puzzles = cache(partial(Puzzles, least_among=min(config.among)))

            def make(frozen: Frozen, builder: ContextBuilder, among: int, hops: int) -> Condition:
                return Alias(puzzles(frozen, builder), among, hops)

            return {
                Alias.named(among, hops): partial(make, among=among, hops=hops)
                for among in config.among
                for hops in (1, 2)
            }
        case "hybrid":
            return {kind.name_of_all: kind for kind in (Joint, Independent)}
        case "documents":
            raise UsageError("questions on documents are asked by themselves", hint="ragyena eval real, not in a suite")
        case "retrieval":
            raise ValueError("the task 'retrieval' reads nothing")


def contrasts(config: EvalConfig) -> list[tuple[str, str]]:
    """Pairs of conditions on the same questions whose difference the task is about."""
    match config.task:
        case "open":
            least, most = min(config.context_tokens), max(config.context_tokens)
            return [(Open.named(most), Open.named(least))] if most > least else []
        case "alias":
            return [(Alias.named(among, 2), Alias.named(among, 1)) for among in config.among]
        case "hybrid":
            return [(Joint.name_of_all, Independent.name_of_all)]
        case _:
            return []


def sweeps(config: EvalConfig) -> list[list[str]]:
    """Sets of conditions on the same questions over which the task asks for the spread."""
    if config.task != "positions" or len(config.positions) < 2:
        return []
    return [[AtPosition.named(length, position) for position in config.positions] for length in config.context_tokens]
