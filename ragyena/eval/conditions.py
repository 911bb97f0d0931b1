"""Evaluation conditions: each is one way to build the contexts in which questions are read.

Contexts are built of frozen passages, so that two readers under the same condition read the same.
"""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
    """One way to build contexts of frozen passages; ``parameters`` tell it from others of its class."""

    name_form: str
    title_form: str
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

    def __init__(self, frozen: Frozen, builder: ContextBuilder, **parameters: Any) -> None:
        self.frozen, self.builder = frozen, builder
        self.parameters: Mapping[str, Any] = parameters
        self.name, self.title = self.named(**parameters), self.title_form.format(**parameters)
        self._normalized: dict[int, str] = {}

    @classmethod
    def named(cls, **parameters: Any) -> str:
        """The name of the condition with these parameters."""
        return cls.name_form.format(**parameters)

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

    name_form, title_form = "among-{among}", "own context among {among} passages"

    def __init__(self, frozen: Frozen, builder: ContextBuilder, among: int) -> None:
        super().__init__(frozen, builder, among=among)
        # among others an unanswerable question may find its answer after all
        self.competes, self.asks_unanswerable = among > 1, among == 1
        if among == 1:
            self.title = "own context alone"

    def contexts(self, question: Question) -> list[BuiltContext]:
        passages = own_among(self.frozen, self.builder, question, self.parameters["among"])
        return [self.builder.arrange(question.question, passages)]

    def size(self, question: Question) -> tuple[int, int]:
        own = self.frozen.own_passages(question)
        return len(own), max((len(passage.text) for passage in own), default=0)


class Open(Condition):
    """End to end: the passages that the pipeline retrieves and packs into ``context_tokens`` for the question alone."""

    name_form, title_form = "open-{context_tokens}", "end to end, {context_tokens:,} tokens"
    searches = recalls = True

    def contexts(self, question: Question) -> list[BuiltContext]:
        context_tokens = self.parameters["context_tokens"]
        hits = self.frozen.hits_of(question, self.builder.capacity(context_tokens))
        # duplicates were dropped and neighbours pulled in when the contexts were frozen
        as_frozen = {"context_tokens": context_tokens, "near_duplicate": 2.0, "neighbours": 0}
        context = self.builder.pack(question.question, hits, as_frozen)
        own = set(self.frozen.own.get(question.context_id or "", ()))
        slots = (slot for slot, p in enumerate(context.passages) if p.passage.passage_id in own)
        return [BuiltContext(context, frozenset(slots))]


class AtPosition(Condition):
    """The question's own passages, together, at a depth of a context that the retriever's hits fill. The others are the
    same, in the same drawn order, at every depth."""

    name_form = "position-{position:g}-of-{context_tokens}"
    title_form = "own context at {position:.3g} of {context_tokens:,} tokens"

    def contexts(self, question: Question) -> list[BuiltContext]:
        own = self.frozen.own_passages(question)
        first = [ScoredPassage(passage, math.inf) for passage in own]
        hits = self.frozen.hits_of(question)
        filled = self.builder.fill(question.question, [*first, *hits], self.parameters["context_tokens"])
        others = self.builder.shuffled(question, [], [scored.passage for scored in filled.passages[len(own) :]])
        place = round(self.parameters["position"] * len(others))
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


def puzzle_of(frozen: Frozen, builder: ContextBuilder, question: Question, among: int) -> Puzzle | None:
    """The puzzle of a question; the same for the same seed. None where there is no name to replace."""
    own = [passage.text for passage in frozen.own_passages(question)]
    name = aliases.question_name(question.question, own, question.answers)
    if name is None:
        return None
    rng = random.Random(f"alias {builder.seed} {among} {question.id}")
    return make_puzzle(question, own_among(frozen, builder, question, among), name, rng)


class Alias(Condition):
    """One hop or two, among as many passages: the difference is what a reader fails to join."""

    title_form = "{hops} among {among} passages"

    def __init__(self, frozen: Frozen, builder: ContextBuilder, among: int, hops: int) -> None:
        super().__init__(frozen, builder, among=among, hops=hops)
        self.title = f"{'one hop' if hops == 1 else 'two hops'} among {among} passages"

    @classmethod
    def named(cls, **parameters: Any) -> str:
        return f"{'one' if parameters['hops'] == 1 else 'two'}-hop-{parameters['among']}"

    def contexts(self, question: Question) -> list[BuiltContext]:
        among = self.parameters["among"]
        if self.parameters["hops"] == 1:
            passages = own_among(self.frozen, self.builder, question, among)
            return [self.builder.arrange(question.question, passages)]
        puzzle = puzzle_of(self.frozen, self.builder, question, among)
        assert puzzle is not None  # a larger context holds the smallest one's passages, from which there was one
        return [self.builder.arrange(*puzzle)]


# ---------------------------------------------------------------------------------------------------------------
# Hybrid documents (HybridQA; Chen et al. 2020): a table and the articles it links to
# ---------------------------------------------------------------------------------------------------------------


class Joint(Condition):
    """All passages of a document in one context, shuffled."""

    name_form, title_form = "joint", "documents whole"
    competes = False
    recalls = True

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

    name_form, title_form = "independent", "documents passage by passage"

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
    if config.task == "alias":  # the same questions under each condition: those with a puzzle of the fewest passages
        kept = tuple(q for q in frozen.answerable if puzzle_of(frozen, builder, q, min(config.among)))
        if not kept:
            raise DataError(
                f"none of {len(frozen.answerable)} questions has a name that an alias could replace",
                hint="ask more questions (--limit), or questions on passages with names",
            )
        frozen = replace(frozen, answerable=kept)
    planned = [kind(frozen, builder, **parameters) for kind, parameters in _planned(config)]
    for condition in planned:  # of the positions in a length, the first is timed for all
        condition.worth_timing = condition.parameters.get("position") in (None, config.positions[0])
    return planned


def condition_names(config: EvalConfig) -> list[str]:
    """Their names; of the task ``retrieval``, its ways of searching."""
    if config.task == "retrieval":
        return [*config.modes, *(["reranked"] if config.reranker else [])]
    return [kind.named(**parameters) for kind, parameters in _planned(config)]


def _planned(config: EvalConfig) -> list[tuple[type[Condition], dict[str, Any]]]:
    """The class and the parameters of each condition."""
    lengths = config.context_tokens
    match config.task:
        case "among":
            return [(Among, {"among": among}) for among in config.among]
        case "open":
            return [(Open, {"context_tokens": length}) for length in lengths]
        case "positions":
            return [(AtPosition, {"context_tokens": n, "position": at}) for n in lengths for at in config.positions]
        case "alias":
            return [(Alias, {"among": among, "hops": hops}) for among in config.among for hops in (1, 2)]
        case "hybrid":
            return [(Joint, {}), (Independent, {})]
        case "documents" | "evidence":
            raise UsageError(f"the task '{config.task}' is run by itself", hint="name its recipe, not a suite with it")
        case "retrieval":
            raise ValueError("the task 'retrieval' reads nothing")


def contrasts(config: EvalConfig) -> list[tuple[str, str]]:
    """Pairs of conditions on the same questions whose difference the task is about."""
    match config.task:
        case "open":
            most, least = (Open.named(context_tokens=limit(config.context_tokens)) for limit in (max, min))
            return [(most, least)] if most != least else []
        case "alias":
            return [(Alias.named(among=among, hops=2), Alias.named(among=among, hops=1)) for among in config.among]
        case "hybrid":
            return [(Joint.named(), Independent.named())]
        case _:
            return []


def sweeps(config: EvalConfig) -> list[list[str]]:
    """Sets of conditions on the same questions over which the task asks for the spread."""
    if config.task != "positions" or len(config.positions) < 2:
        return []
    return [
        [AtPosition.named(context_tokens=length, position=position) for position in config.positions]
        for length in config.context_tokens
    ]
