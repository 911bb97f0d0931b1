"""Ask an index a question: retrieve, pack, read, cite.

    with Pipeline.open(Path("my-index"), config) as pipeline:
        answer = pipeline.ask("When was the bridge built?")

A pipeline keeps the index and the reader open between questions; its four steps are methods of their own, so that
others (adapters, benchmarks) can take them one at a time.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import numpy as np

from ragyena.config import PackerConfig, PipelineConfig, parse
from ragyena.errors import EmptyQuestionError, IndexMismatchError
from ragyena.index.index import Index
from ragyena.reader import packing
from ragyena.reader.citing import DocumentStore, cite
from ragyena.reader.reader import Reader, Reading
from ragyena.types import Answer, Context, Document, ScoredPassage

__all__ = ["Pipeline", "checked_question", "make_answer"]


def checked_question(question: str) -> str:
    """The question without surrounding white space. Raises EmptyQuestionError where nothing is left."""
    question = " ".join(question.split())
    if not any(character.isalnum() for character in question):
        raise EmptyQuestionError("the question is empty", hint='ask something: ragyena ask "When was it built?"')
    return question


def make_answer(context: Context, reading: Reading, store: DocumentStore, *, limit: int) -> Answer:
    """What was read, with at most ``limit`` citations from ``store``; without timings."""
    order = np.argsort(-np.asarray(reading.slot_scores), kind="stable")
    return Answer(
        question=context.question,
        text=reading.text,
        kind=reading.kind,
        confidence=reading.confidence,
        no_answer_probability=reading.no_answer_probability,
        citations=cite(reading, context, store, limit=limit),
        passages=tuple(context.passages[slot] for slot in order),
        alternatives=tuple(reading.spans[1:] if reading.kind == "extracted" else reading.spans),
        log=context.log,
    )


class Pipeline:
    """An open index and a loaded reader. Make one with ``Pipeline.open``; it is a context manager."""

    def __init__(self, index: Index, reader: Reader, config: PipelineConfig) -> None:
        """Raises IndexMismatchError where the index was cut by another tokenizer than the reader's."""
        cut_by, read_by = index.manifest.tokenizer_fingerprint, reader.tokenizer.fingerprint
        if cut_by != read_by:
            raise IndexMismatchError(
                f"the passages of {index.folder} were cut by another tokenizer ({cut_by[:12]}) than that of the reader "
                f"'{reader.name}' ({read_by[:12]})",
                hint="build an index with this reader: ragyena index add PATH --index NEW",
            )
        self.index = index
        self.reader = reader
        self.config = config

    @classmethod
    def open(cls, index: Path, config: PipelineConfig) -> Pipeline:
        """Opens the index at ``index`` and loads the reader, side by side.

        Raises IndexProblem (not there, damaged, of another format, embedder or tokenizer), CheckpointError and
        MissingDependencyError.
        """
        opened = Index.open(index)
        try:
            with ThreadPoolExecutor(max_workers=1) as background:
                loading = background.submit(Reader.open, config.reader)
                if config.retriever.mode != "lexical":
                    opened.embedder()
                return cls(opened, loading.result(), config)
        except BaseException:
            opened.close()
            raise

    def ask(
        self,
        question: str,
        *,
        context_tokens: int | None = None,
        top_k: int | None = None,
        filters: Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer to ``question``, with citations and seconds by stage.

        ``context_tokens`` and ``top_k`` replace the configured values for this question; ``filters`` keeps to
        passages whose metadata has these values.

        Raises EmptyQuestionError, QuestionTooLongError, BudgetError, ConfigError (a value out of range) and
        IndexCorruptError.
        """
        question = checked_question(question)
        began = time.perf_counter()
        candidates = self.retrieve(question, context_tokens=context_tokens, top_k=top_k, filters=filters)
        retrieved = time.perf_counter()
        context = self.pack(question, candidates, context_tokens=context_tokens)
        packed = time.perf_counter()
        reading = self.reader.read(context)
        read = time.perf_counter()
        answer = self.answer(context, reading)
        timings = {"retrieve": retrieved - began, "pack": packed - retrieved, "read": read - packed}
        return replace(answer, timings={**timings, "total": time.perf_counter() - began})

    def retrieve(
        self,
        question: str,
        *,
        context_tokens: int | None = None,
        top_k: int | None = None,
        filters: Mapping[str, str] | None = None,
    ) -> list[ScoredPassage]:
        """The passages to pack, best first: ``top_k`` of them, or as many as the budget could ever hold."""
        top_k = self.config.retriever.top_k if top_k is None else top_k
        if top_k == 0:
            top_k = packing.capacity(self._packer(context_tokens))
        return self.index.search(question, self.config.retriever, top_k=top_k, filters=filters)

    def pack(self, question: str, candidates: list[ScoredPassage], *, context_tokens: int | None = None) -> Context:
        """The question and as many of ``candidates`` as the budget holds."""
        return packing.pack(
            question,
            candidates,
            self.reader.tokenizer,
            self._packer(context_tokens),
            max_question_tokens=self.config.reader.max_question_tokens,
            neighbours=self.index.neighbours,
        )

    def answer(self, context: Context, reading: Reading) -> Answer:
        """What was read, with citations from the store; without timings."""
        return make_answer(context, reading, _StoredDocuments(self.index), limit=self.config.reader.citations)

    def close(self) -> None:
        """Closes the index."""
        self.index.close()

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _packer(self, context_tokens: int | None) -> PackerConfig:
        if context_tokens is None:
            return self.config.packer
        values = {**self.config.packer.model_dump(), "context_tokens": context_tokens}
        return parse(PackerConfig, values, source="ask")


class _StoredDocuments:
    """A ``reader.citing.DocumentStore`` on an index; keeps what one answer cites, which is a few documents."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._documents: dict[int, Document] = {}

    def read(self, document_id: int, start: int, end: int) -> str:
        return self._document(document_id).text[start:end]

    def page_at(self, document_id: int, offset: int) -> int | None:
        # An offset before the first page's start stands on the first page.
        starts = self._document(document_id).page_starts
        return max(1, bisect_right(starts, offset)) if starts else None

    def _document(self, document_id: int) -> Document:
        if document_id not in self._documents:
            self._documents[document_id] = self._index.store.document(document_id)
        return self._documents[document_id]
