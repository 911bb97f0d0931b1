"""The context a question is read in: its own passages alone, or among the retriever's top hits.

The other passages of a context of K are the best hits for the question in an index of all passages, those of its own
context left out. Slots are shuffled, so that a position is never a clue.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ragyena.config import PackerConfig, RetrieverConfig
from ragyena.evaluation.datasets import Question
from ragyena.evaluation.journal import Journal
from ragyena.reader.packing import pack
from ragyena.retrieval.index import Index
from ragyena.text.tokenizer import Tokenizer
from ragyena.types import Context, Passage, Progress, ScoredPassage

__all__ = ["BuiltContext", "Distractors", "build"]

_SPARE_HITS = 8  # hits asked for beyond the number of distractors, since some are of the question's own context
_KEEP_ALL = {"context_tokens": 1 << 24, "near_duplicate": 2.0, "order": "score", "neighbours": 0}
"""Packer values under which nothing is dropped or reordered: an experiment fixes its contexts."""


@dataclass(frozen=True, slots=True, eq=False)
class BuiltContext:
    """A context and which of its slots hold the question's own passages."""

    context: Context
    own_slots: frozenset[int]


def build(
    question: Question,
    own: Sequence[Passage],
    others: Sequence[Passage],
    tokenizer: Tokenizer,
    config: PackerConfig,
    *,
    max_question_tokens: int,
    seed: int,
) -> BuiltContext:
    """All of ``own`` and ``others``, in an order drawn with ``seed`` and the question's id.

    Of ``config`` only ``header_tokens`` matters. Raises QuestionTooLongError and EmptyQuestionError.
    """
    passages = [(passage, True) for passage in own] + [(passage, False) for passage in others]
    random.Random(f"{seed} {question.id}").shuffle(passages)
    candidates = [ScoredPassage(passage, 1.0 - slot / len(passages)) for slot, (passage, _) in enumerate(passages)]
    context = pack(
        question.question,
        candidates,
        tokenizer,
        config.model_copy(update=_KEEP_ALL),
        max_question_tokens=max_question_tokens,
    )
    if len(context.passages) != len(passages):
        raise AssertionError("the packer dropped passages of an experiment")
    return BuiltContext(context, frozenset(slot for slot, (_, is_own) in enumerate(passages) if is_own))


class Distractors:
    """The retriever's hits for questions, found once and kept in a file beside the index, so that every reader is
    shown the same contexts."""

    def __init__(self, index: Index, config: RetrieverConfig, folder: Path) -> None:
        """``folder`` holds the files, one for each retriever setting and state of the index."""
        self._index, self._config = index, config
        digest = hashlib.sha256(f"{config.model_dump_json()} {index.manifest.generation}".encode()).hexdigest()[:12]
        self._journal = Journal(folder / f"hits-{digest}.jsonl")
        self._hits: dict[str, tuple[int, list[int]]] = {}
        for row in self._journal.rows:
            self._hits[row["question"]] = (row["top_k"], row["passage_ids"])

    def prepare(self, questions: Sequence[Question], count: int, progress: Progress | None) -> None:
        """Searches for every question of which ``count`` distractors are not known yet."""
        top_k = count + _SPARE_HITS
        missing = {q.question: None for q in questions if self._hits.get(q.question, (0, []))[0] < top_k}
        if progress and missing:
            progress.start("retrieving distractors", len(missing), "questions")
        for question in missing:
            found = self._index.search(question, self._config, top_k=top_k)
            passage_ids = [hit.passage.passage_id for hit in found]
            self._hits[question] = (top_k, passage_ids)
            self._journal.append([{"question": question, "top_k": top_k, "passage_ids": passage_ids}])
            if progress:
                progress.advance(1)

    def of(self, question: Question, own: Sequence[Passage], count: int) -> list[Passage]:
        """At most ``count`` hits, best first, none of the question's own context nor with the text of one of its
        passages. ``prepare`` has been told of the question."""
        texts = {passage.text for passage in own}
        _, passage_ids = self._hits[question.question]
        found = self._index.passages(passage_ids)
        others = [p for p in found if p.metadata.get("id") != question.context_id and p.text not in texts]
        return others[: max(count, 0)]

    def close(self) -> None:
        self._journal.close()
