"""The retriever's hits for the questions of an evaluation: searched once, and kept in a file beside the index."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from ragyena.config import PipelineConfig
from ragyena.errors import UsageError
from ragyena.eval.conditions import ContextBuilder
from ragyena.eval.contexts import Hits, Needs
from ragyena.eval.journal import Journal, digest_of
from ragyena.eval.questions import Question
from ragyena.eval.recipe import Setup
from ragyena.types import Passage, ScoredPassage

if TYPE_CHECKING:
    from ragyena.index.index import Index

__all__ = ["KEPT_OF_HITS", "HitLists", "find_hits"]

KEPT_OF_HITS = [field.name for field in fields(Hits)]
_SPARE = 8  # hits requested beyond the number of distractors, since some are of the question's own context
_TYPICAL_SLOT = 128  # tokens: a first guess of how many hits a context holds; where it is too low, all are packed

HitLists = Mapping[str, Hits]
"""Hits by question id, numbered by the ids of their passages."""


def find_hits(
    index: Index,
    folder: Path,
    questions: Sequence[Question],
    setup: Setup,
    builder: ContextBuilder,
    needed: Needs,
    own: Mapping[str, Sequence[Passage]],
    hidden: Callable[[Question, Passage], bool],
) -> HitLists:
    """For each question the hits that its contexts can hold, and no more; none for one that is empty or too long. They
    are kept in a file in ``folder``.

    Of kind ``distractors``: hits of other contexts than the question's own, ``among`` of them, and as many as fill
    ``context_tokens`` together with the own passages. Of kind ``search``: the hits that the pipeline packs into
    ``context_tokens``, in the order of their scores; a shorter context holds the first of them.
    """
    manifest, settings, progress = index.manifest, setup.settings, setup.progress
    packing = builder.packer.model_dump() if needed.kind == "search" else builder.packer.header_tokens
    shaped_by: list[object] = [needed.kind, needed.among, needed.context_tokens, settings.retriever.model_dump()]
    shaped_by += [packing, manifest.generation, manifest.passages, manifest.created, builder.max_question_tokens]
    shaped_by.append(KEPT_OF_HITS)
    with Journal(folder / f"hits-{digest_of(shaped_by)}.jsonl") as journal:
        known = {
            (row["question"], row["context"]): Hits.of(row["passage_ids"], row["scores"], row["similarities"])
            for row in journal.rows
        }
        keys = {q.id: (q.question, q.context_id or "") for q in questions}
        missing = [q for q in questions if keys[q.id] not in known]
        if progress and missing:
            progress.start("retrieving", len(missing), "questions")
        for question in missing:
            text, context = key = keys[question.id]
            try:
                hits = _hits_of(question, index, settings, builder, needed, own.get(context, ()), hidden)
            except UsageError:  # empty, or longer than the reader takes
                hits = []
            # own passages among distractors come from no search: the largest similarity would not be that of all
            similarities = [hit.similarity if needed.kind == "search" else None for hit in hits]
            ids, scores = [hit.passage.passage_id for hit in hits], [hit.score for hit in hits]
            known[key] = Hits.of(ids, scores, similarities)
            row = {"question": text, "context": context, "passage_ids": ids, "scores": scores}
            journal.append([{**row, "similarities": similarities}])
            if progress:
                progress.advance(1)
    return {question_id: known[key] for question_id, key in keys.items()}


def _hits_of(
    question: Question,
    index: Index,
    settings: PipelineConfig,
    builder: ContextBuilder,
    needed: Needs,
    own: Sequence[Passage],
    hidden: Callable[[Question, Passage], bool],
) -> list[ScoredPassage]:
    room = builder.capacity(needed.context_tokens) if needed.context_tokens else 0
    searches = needed.kind == "search"
    top_k = (settings.retriever.top_k or room) if searches else max(needed.among, room) + _SPARE
    hits = index.search(question.question, k=top_k, settings=settings)
    hits = [hit for hit in hits if not hidden(question, hit.passage)]
    if searches:
        return _packed(question, hits, index, builder, needed.context_tokens)
    texts = {passage.text for passage in own}
    others = [
        hit for hit in hits if hit.passage.metadata.get("id") != question.context_id and hit.passage.text not in texts
    ]
    kept = needed.among
    if needed.context_tokens:
        first = [ScoredPassage(passage, math.inf) for passage in own]
        filled = builder.fill(question.question, [*first, *others], needed.context_tokens)
        kept = max(kept, len(filled.passages) - len(own))
    return others[:kept]


def _packed(
    question: Question, hits: Sequence[ScoredPassage], index: Index, builder: ContextBuilder, context_tokens: int
) -> list[ScoredPassage]:
    """The hits that ``ask`` packs for the question."""
    likely = max(1, context_tokens // _TYPICAL_SLOT)
    for candidates in (hits[:likely], hits):
        budget = {"context_tokens": context_tokens}
        context = builder.pack(question.question, candidates, budget, neighbours=index.neighbours)
        if len(candidates) == len(hits) or any(e.outcome == "over budget" for e in context.log.entries):
            break
    # the log is in the order of the scores, whatever the order of the slots
    packed = {p.passage.passage_id: p for p in context.passages}
    return [packed[e.passage_id] for e in context.log.entries if e.slot is not None]
