"""How long it takes to find and pack the passages of a question, as ``ragyena ask`` does it.

Each question is prepared twice and the second time counts, so that the embedder, the vectors and the pages of the store
that it touches are in memory. Nothing of a tokenisation is remembered between the two.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ragyena.config import PackerConfig, PipelineConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import UsageError
from ragyena.eval.datasets import Question, sample
from ragyena.eval.journal import Journal
from ragyena.reader.packing import capacity, pack
from ragyena.types import Progress

if TYPE_CHECKING:  # frozen contexts are read where no index can be opened
    from ragyena.index.index import Index

__all__ = ["Preparation", "time_preparing"]


@dataclass(frozen=True, slots=True)
class Preparation:
    """One question made into a context, as the journal keeps it."""

    context_tokens: int
    """The budget."""
    question_id: str
    retrieve: float
    """Seconds of embedding the question and searching."""
    pack: float
    """Seconds of packing what was found."""


def time_preparing(
    index: Index,
    questions: Sequence[Question],
    settings: PipelineConfig,
    tokenizer: Tokenizer,
    lengths: Sequence[int],
    count: int,
    journal: Journal,
    progress: Progress | None,
    *,
    seed: int,
) -> list[Preparation]:
    """Of ``count`` questions, drawn with ``seed`` as those that a reader is timed on, at each of ``lengths`` budgets;
    what the journal holds is taken from it. Questions that cannot be asked are passed over. Raises IndexProblem."""
    known = {(row["context_tokens"], row["question_id"]): Preparation(**row) for row in journal.rows}
    chosen = sample(list(questions), count, seed)
    if progress:
        progress.start("timing retrieval and packing", len(chosen) * len(lengths), "questions")
    prepared = []
    for context_tokens in lengths:
        packer = settings.packer.model_copy(update={"context_tokens": context_tokens})
        for question in chosen:
            if (context_tokens, question.id) not in known:
                try:
                    _prepare(index, question, settings, packer, tokenizer)
                    found = _prepare(index, question, settings, packer, tokenizer)
                except UsageError:  # empty, or longer than the reader takes
                    continue
                known[context_tokens, question.id] = found
                journal.append([asdict(found)])
            prepared.append(known[context_tokens, question.id])
            if progress:
                progress.advance(1)
    return prepared


def _prepare(
    index: Index, question: Question, settings: PipelineConfig, packer: PackerConfig, tokenizer: Tokenizer
) -> Preparation:
    began = time.perf_counter()
    top_k = settings.retriever.top_k or capacity(packer)
    hits = index.search(question.question, k=top_k, settings=settings)
    retrieved = time.perf_counter()
    pack(
        question.question,
        hits,
        tokenizer,
        packer,
        max_question_tokens=settings.reader.max_question_tokens,
        neighbours=index.neighbours,
    )
    packed = time.perf_counter()
    return Preparation(packer.context_tokens, question.id, retrieved - began, packed - retrieved)
