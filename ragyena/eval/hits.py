"""The retriever's hits for the questions of an evaluation, found once and kept in a file beside the index."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ragyena.config import PackerConfig, PipelineConfig, RetrieverConfig
from ragyena.errors import UsageError
from ragyena.eval.contexts import Making, fill
from ragyena.eval.datasets import Question
from ragyena.eval.frozen import Kind
from ragyena.eval.journal import Journal
from ragyena.reader.packing import capacity, pack
from ragyena.types import Passage, Progress, ScoredPassage

if TYPE_CHECKING:  # an index needs FAISS, which a machine that only reads frozen contexts may lack
    from ragyena.index.index import Index

__all__ = ["HitFinder"]

_SPARE = 8  # hits asked for beyond the number of distractors, since some are of the question's own context
_TYPICAL_SLOT = 128  # a first guess of how many hits a context holds; where it is too low, all are looked at


class HitFinder:
    """Finds for each question the hits that its contexts can hold, and no more.

    ``distractors``: hits that are not of the question's own context, ``among`` of them, and as many as fill
    ``context_tokens`` together with the own passages. ``search``: the hits that the pipeline packs into
    ``context_tokens``, in the order of their scores; a shorter context holds the first of them.
    """

    def __init__(
        self,
        index: Index,
        retriever: RetrieverConfig,
        making: Making,
        folder: Path,
        *,
        kind: Kind,
        among: int,
        context_tokens: int,
        hidden: Callable[[Question, Passage], bool] = lambda question, passage: False,
    ) -> None:
        """``making.packer`` says how ``search`` packs. ``folder`` holds the files, one for each setting and state of
        the index. A passage that is ``hidden`` from a question is no hit."""
        self._index, self._retriever, self._making = index, retriever, making
        self._hidden = hidden
        self._kind, self._among, self._context_tokens = kind, among, context_tokens
        self._packer: PackerConfig = making.packer.model_copy(update={"context_tokens": context_tokens})
        manifest = index.manifest
        packing = making.packer.model_dump() if kind == "search" else making.packer.header_tokens
        shaped_by: list[object] = [kind, among, context_tokens, retriever.model_dump(), packing, manifest.generation]
        shaped_by += [manifest.passages, manifest.created, making.max_question_tokens]
        digest = hashlib.sha256(json.dumps(shaped_by, sort_keys=True).encode()).hexdigest()[:12]
        self._journal = Journal(folder / f"hits-{digest}.jsonl")
        self._found: dict[tuple[str, str], tuple[list[int], list[float]]] = {
            (row["question"], row["context"]): (row["passage_ids"], row["scores"]) for row in self._journal.rows
        }

    def find(
        self, questions: Sequence[Question], own: dict[str, list[Passage]], progress: Progress | None
    ) -> dict[str, tuple[list[int], list[float]]]:
        """Passage ids and scores, best first, by question id. ``own`` are passages by context id.

        A question that is empty or too long has no hits. Raises IndexProblem.
        """
        missing = [q for q in questions if _key(q) not in self._found]
        if progress and missing:
            progress.start("retrieving", len(missing), "questions")
        for question in missing:
            try:
                hits = self._hits(question, own.get(question.context_id or "", []))
            except UsageError:  # empty, or longer than the reader takes
                hits = []
            ids, scores = [hit.passage.passage_id for hit in hits], [hit.score for hit in hits]
            self._found[_key(question)] = ids, scores
            name, context = _key(question)
            self._journal.append([{"question": name, "context": context, "passage_ids": ids, "scores": scores}])
            if progress:
                progress.advance(1)
        return {question.id: self._found[_key(question)] for question in questions}

    def close(self) -> None:
        self._journal.close()

    def _hits(self, question: Question, own: Sequence[Passage]) -> list[ScoredPassage]:
        if self._kind == "search":
            return self._packed(question)
        room = self._context_tokens and capacity(self._packer)
        found = self._search(question.question, max(self._among, room) + _SPARE)
        texts = {passage.text for passage in own}
        others = [
            hit
            for hit in found
            if hit.passage.metadata.get("id") != question.context_id
            and hit.passage.text not in texts
            and not self._hidden(question, hit.passage)
        ]
        kept = self._among
        if self._context_tokens:
            before = [ScoredPassage(passage, math.inf) for passage in own]
            filled = fill(question.question, [*before, *others], self._context_tokens, self._making)
            kept = max(kept, len(filled.passages) - len(own))
        return others[:kept]

    def _search(self, question: str, k: int) -> list[ScoredPassage]:
        return self._index.search(question, k=k, settings=PipelineConfig(retriever=self._retriever))

    def _packed(self, question: Question) -> list[ScoredPassage]:
        """The hits that ``ask`` packs for the question."""
        top_k = self._retriever.top_k or capacity(self._packer)
        hits = self._search(question.question, top_k)
        found = [hit for hit in hits if not self._hidden(question, hit.passage)]
        likely = max(1, self._context_tokens // _TYPICAL_SLOT)
        for candidates in (found[:likely], found):
            context = pack(
                question.question,
                candidates,
                self._making.tokenizer,
                self._packer,
                max_question_tokens=self._making.max_question_tokens,
                neighbours=self._index.neighbours,
            )
            if len(candidates) == len(found) or any(e.outcome == "over budget" for e in context.log.entries):
                break
        # the log is in the order of the scores, whatever the order of the slots
        packed = {p.passage.passage_id: p for p in context.passages}
        return [packed[e.passage_id] for e in context.log.entries if e.slot is not None]


def _key(question: Question) -> tuple[str, str]:
    return question.question, question.context_id or ""
