"""The pipeline: retrieve, pack, read, cite.

A pipeline keeps an index and a reader open between questions. Its four steps are methods of their own, for adapters and
benchmarks that take them one at a time.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from itertools import pairwise
from operator import attrgetter
from typing import TYPE_CHECKING, cast

from ragyena.config import PipelineConfig
from ragyena.config.pipeline import SEARCH_RESULTS
from ragyena.errors import ConfigError, EmptyQuestionError, IndexMismatchError, RagyenaError, UsageError
from ragyena.index.embedder import Reranker
from ragyena.index.external import ExternalStore
from ragyena.index.index import Index
from ragyena.index.stored_documents import StoredDocuments
from ragyena.parsing import replace_surrogates
from ragyena.reader import packing
from ragyena.reader.answering import make_answer
from ragyena.reader.citing import DocumentStore, check_text
from ragyena.reader.evidence import choose, ranked
from ragyena.reader.reader import Reader, Reading
from ragyena.reader.tables.answering import with_row_answer
from ragyena.settings import Overrides, resolve
from ragyena.types import Answer, Citation, Context, Evidence, EvidencePiece, FileState, ScoredPassage

if TYPE_CHECKING:
    from ragyena.index.cluster.serving import ShardedIndex

__all__ = ["Pipeline", "checked_question"]

_FIXED = ("index", "retriever.langchain", "reader.checkpoint", "reader.device", "reader.dtype")
_STAGES = ("retrieve", "pack", "read")


def checked_question(question: str) -> str:
    """The question in valid Unicode, white space normalised. Raises EmptyQuestionError where no word is left."""
    question = " ".join(replace_surrogates(question).split())
    if not any(character.isalnum() for character in question):
        raise EmptyQuestionError("the question is empty", hint='ask something: ragyena ask "When was it built?"')
    return question


class Pipeline:
    """An open index, or the store that a recipe names, and a loaded reader that answer questions. Make one with
    ``Pipeline.open``; a context manager.

    Example:
        >>> from ragyena import Pipeline
        >>> with Pipeline.open("./bridges") as pipeline:
        ...     answer = pipeline.ask("When was the iron bridge built?")
        >>> answer.text, answer.citations[0].source
        ('1932', 'iron')
    """

    def __init__(self, index: Index | ExternalStore, reader: Reader, config: PipelineConfig) -> None:
        """Use ``Pipeline.open``. Raises IndexMismatchError where index and reader have different tokenizers."""
        self._source = index
        self.reader = reader
        self.config = config
        self._check_tokenizer()
        self._owns_index = True
        self._turn = threading.Lock()
        self._reranker: Reranker | None = None

    @classmethod
    def open(
        cls, index: str | os.PathLike[str] | Index | ShardedIndex | None = None, *, settings: Overrides = None
    ) -> Pipeline:
        """Open an index and load the reader, side by side.

        Args:
            index: An index by name or path, None for the default index, or for the store that the recipe names; or an
                open one, which stays the caller's to close and whose settings are the base of ``settings``; or open
                shards (``ragyena.index.cluster``), likewise.
            settings: Overrides by dotted name, such as ``{"pipeline": "quick", "reader.threshold": 0}``, or a
                ``PipelineConfig``.

        Raises:
            IndexProblem: The index is not there, damaged, or of another format, embedder or tokenizer.
            ConfigError, CheckpointError, MissingDependencyError: A setting is wrong, the reader or a device not there.
            StoreError: The store that the recipe names cannot be opened.

        Example:
            >>> with Pipeline.open("./bridges", settings={"packer.context_tokens": 2048}) as pipeline:
            ...     pipeline.config.packer.context_tokens
            2048
        """
        given = None if index is None or isinstance(index, str | os.PathLike) else index
        config = resolve(settings, given.settings if given is not None else None)
        opened = _opened(index, config)
        try:
            with ThreadPoolExecutor(max_workers=1) as background:
                loading = background.submit(Reader.open, config.reader)
                if isinstance(opened, Index) and config.retriever.mode != "lexical":
                    opened.embedder()
                pipeline = cls(opened, loading.result(), config)
        except BaseException:
            if given is None:
                opened.close()
            raise
        pipeline._owns_index = given is None
        return pipeline

    @property
    def index(self) -> Index:
        """The index. Raises ConfigError where the pipeline retrieves from a store in its place."""
        if isinstance(self._source, ExternalStore):
            raise ConfigError(
                f"this pipeline retrieves from {self._source.name}: there is no index to look into",
                hint="name a recipe without retriever.langchain for this",
            )
        return self._source

    def ask(self, question: str, *, filters: Mapping[str, str] | None = None, settings: Overrides = None) -> Answer:
        """Answer a question. Questions from several threads take turns.

        Args:
            question: A question in words.
            filters: Keep to documents whose ``source``, ``title`` or metadata field matches a value.
            settings: Overrides for this question, such as ``{"packer.context_tokens": 4096}``. Settings of the index
                and the reader's checkpoint, device and dtype cannot change once a pipeline is open.

        Returns:
            The answer with citations and seconds by stage; ``kind`` is ``withheld`` where none was likely enough.

        Raises:
            EmptyQuestionError, QuestionTooLongError, BudgetError: The question cannot be asked.
            ConfigError: A setting is wrong.
            IndexCorruptError: The index is damaged.

        Example:
            >>> pipeline.ask("When was the bridge built?", settings={"reader.threshold": 1.0}).kind
            'withheld'
        """
        (result,) = self.answers([question], filters=filters, settings=settings)
        return _raised(result)

    def ask_batch(
        self, questions: Sequence[str], *, filters: Mapping[str, str] | None = None, settings: Overrides = None
    ) -> list[Answer]:
        """Answer several questions, whose contexts are read together; ``read`` in a timing is its share of all.

        Arguments and errors are those of ``ask``, for the first question that cannot be asked.

        Example:
            >>> [answer.text for answer in pipeline.ask_batch(["When was the iron bridge built?"])]
            ['1932']
        """
        return [_raised(result) for result in self.answers(questions, filters=filters, settings=settings)]

    async def aask(
        self, question: str, *, filters: Mapping[str, str] | None = None, settings: Overrides = None
    ) -> Answer:
        """Answer a question in a thread, so that the event loop keeps running.

        Arguments, result and errors are those of ``ask``.

        Example:
            >>> import asyncio
            >>> asyncio.run(pipeline.aask("When was the iron bridge built?")).text
            '1932'
        """
        return await asyncio.to_thread(self.ask, question, filters=filters, settings=settings)

    def select(
        self,
        question: str,
        *,
        passages: int | None = None,
        tokens: int | None = None,
        filters: Mapping[str, str] | None = None,
        settings: Overrides = None,
    ) -> Evidence:
        """Choose the evidence for a question, for a person or another model to read, after reading the whole context.

        Args:
            question: A question in words.
            passages: How many whole passages, at most; by default the setting ``evidence.passages``.
            tokens: Sentences instead of passages, of at most so many tokens together (setting ``evidence.tokens``).
            filters: Keep to documents whose ``source``, ``title`` or metadata field matches a value.
            settings: Overrides for this question, such as ``{"packer.context_tokens": 32768}``, the length of the
                context that is read.

        Returns:
            Pieces with their places, best first; each is byte for byte the text of its document.

        Raises:
            EmptyQuestionError, QuestionTooLongError, BudgetError: The question cannot be asked.
            UsageError: Passages and tokens were both given.
            ConfigError: A setting is wrong.
            IndexCorruptError: The index is damaged.

        Example:
            >>> evidence = pipeline.select("When was the iron bridge built?", tokens=64)
            >>> evidence.pieces[0].text
            'The iron bridge was built in 1932.'
        """
        if passages is not None and tokens is not None:
            raise UsageError("passages and tokens were both given", hint="give the one or the other")
        given = {"evidence.passages": passages, "evidence.tokens": 0 if passages is not None else tokens}
        overrides = {name: value for name, value in given.items() if value is not None}
        config = resolve(overrides, self._at_call(settings))
        reader = self.reader if config.reader == self.config.reader else self.reader.configured(config.reader)
        with self._turn:
            times = [time.perf_counter()]
            question = checked_question(question)
            with self._reading():
                candidates = self.retrieve(question, filters=filters, settings=config)
                times.append(time.perf_counter())
                context = self.pack(question, candidates, settings=config)
            times.append(time.perf_counter())
            (scores,) = reader.token_scores([context])
            pieces = choose([(context, scores)], config.evidence, reader.tokenizer)
            documents = self._documents()
            checked = tuple(self._checked(piece, documents) for piece in pieces)
            times.append(time.perf_counter())
        timings = {stage: after - before for stage, (before, after) in zip(_STAGES, pairwise(times))}
        return Evidence(question, checked, {**timings, "total": times[-1] - times[0]}, context.log)

    def search(
        self,
        query: str,
        *,
        k: int | None = None,
        filters: Mapping[str, str] | None = None,
        settings: Overrides = None,
    ) -> list[ScoredPassage]:
        """Find passages as ``Index.search`` does, or ranked by the reader or a cross-encoder (``retriever.rerank``).

        The reader ranks the passages that ``packer.context_tokens`` hold; there are no more than these, without those
        that nearly repeat another. A cross-encoder ranks the first ``retriever.rerank_passages``.

        Args:
            query: A question or words.
            k: How many passages; by default the setting ``retriever.top_k``, or 10 where that is 0.
            filters: Keep to documents whose ``source``, ``title`` or metadata field matches a value.
            settings: Overrides for this call, such as ``{"retriever.rerank": "reader"}``.

        Raises:
            EmptyQuestionError, QuestionTooLongError, BudgetError: The query cannot be asked.
            ConfigError: A setting is wrong, or there is no cross-encoder of this name.
            IndexCorruptError: The index is damaged.

        Example:
            >>> found = pipeline.search("When was the iron bridge built?", settings={"retriever.rerank": "reader"})
            >>> found[0].passage.source
            'iron'
        """
        config = self._at_call(settings)
        k = (config.retriever.top_k or SEARCH_RESULTS) if k is None else k
        if config.retriever.rerank == "none":
            return self._as_given(self._search(query, k, filters, config))
        if config.retriever.rerank != "reader":
            return self._as_given(self._ranked_by_cross_encoder(query, k, filters, config))
        reader = self.reader if config.reader == self.config.reader else self.reader.configured(config.reader)
        with self._turn:
            query = checked_question(query)
            most = packing.capacity(config.packer)
            with self._reading():
                candidates = self._candidates(query, max(k, most), filters, config)
                context = self.pack(query, candidates, settings=config)
            (scores,) = reader.token_scores([context])
        return self._as_given(ranked([(context, scores)], config.evidence)[: max(k, 0)])

    def spelt(self, query: str, *, settings: Overrides = None) -> str:
        """The query that ``search`` looks for, as ``Index.spelt`` gives it; unchanged where another store is searched.

        Example:
            >>> pipeline.spelt("When was the irno brigde built?")
            'When was the iron bridge built?'
        """
        if isinstance(self._source, ExternalStore):
            return query
        return self._source.spelt(query, settings=self._at_call(settings))

    def answers(
        self,
        questions: Sequence[str],
        *,
        filters: Mapping[str, str] | None = None,
        settings: Overrides = None,
        on_stage: Callable[[int, str, float], None] | None = None,
    ) -> list[Answer | RagyenaError]:
        """As ``ask_batch``, with the error in the place of the answer to a question that cannot be asked.

        ``on_stage`` receives the position of a question, the stage that is done for it and its seconds.
        """
        config = self._at_call(settings)
        reader = self.reader if config.reader == self.config.reader else self.reader.configured(config.reader)
        results: dict[int, Answer | RagyenaError] = {}
        ready: dict[int, tuple[Context, dict[str, float]]] = {}
        with self._turn:
            for position, question in enumerate(questions):
                try:
                    began = time.perf_counter()
                    question = checked_question(question)
                    with self._reading():
                        candidates = self.retrieve(question, filters=filters, settings=config)
                        retrieved = time.perf_counter()
                        context = self.pack(question, candidates, settings=config)
                    timings = {"retrieve": retrieved - began, "pack": time.perf_counter() - retrieved}
                    if on_stage is not None:
                        for stage, seconds in timings.items():
                            on_stage(position, stage, seconds)
                    ready[position] = context, timings
                except RagyenaError as error:
                    results[position] = error
            began = time.perf_counter()
            readings = reader.read_batch([context for context, _ in ready.values()])
            share = (time.perf_counter() - began) / max(len(ready), 1)
            for (position, (context, timings)), reading in zip(ready.items(), readings, strict=True):
                began = time.perf_counter()
                if on_stage is not None:
                    on_stage(position, "read", share)
                try:
                    answer = self.answer(context, reading, settings=config)
                except RagyenaError as error:  # a citation that cannot be read again
                    results[position] = error
                    continue
                timings["read"] = share
                timings["total"] = sum(timings.values()) + time.perf_counter() - began
                results[position] = replace(answer, timings=timings)
        return [results[position] for position in range(len(questions))]

    def retrieve(
        self, question: str, *, filters: Mapping[str, str] | None = None, settings: Overrides = None
    ) -> Sequence[ScoredPassage]:
        """The passages to pack, best first: ``retriever.top_k``, or as many as the budget could ever hold.

        Each is read when it is looked at: call this and ``pack`` inside of ``with index.reading():`` where others may
        remove documents meanwhile.
        """
        config = self._at_call(settings)
        k = config.retriever.top_k or packing.capacity(config.packer)
        return self._candidates(question, k, filters, config)

    def _candidates(
        self, query: str, k: int, filters: Mapping[str, str] | None, config: PipelineConfig
    ) -> Sequence[ScoredPassage]:
        """The passages of ``_search``, with the tokens that an index keeps of them."""
        if isinstance(self._source, ExternalStore):
            return self._search(query, k, filters, config)
        return self._source.candidates(query, k=k, filters=filters, settings=config)

    def _reading(self) -> AbstractContextManager[None]:
        """One state of the index for what is read inside; a store of another kind gives whole passages."""
        return nullcontext() if isinstance(self._source, ExternalStore) else self._source.reading()

    def _search(
        self, query: str, k: int, filters: Mapping[str, str] | None, config: PipelineConfig
    ) -> list[ScoredPassage]:
        if isinstance(self._source, ExternalStore):
            found = self._source.search(query, k=k, filters=filters, tokenizer=self.reader.tokenizer) if k > 0 else []
            return found[:k]
        return self._source.search(query, k=k, filters=filters, settings=config)

    def _as_given(self, found: list[ScoredPassage]) -> list[ScoredPassage]:
        """Passages with the texts that a store returned; those of an index as they are."""
        if not isinstance(self._source, ExternalStore):
            return found
        return [replace(one, passage=self._source.as_given(one.passage)) for one in found]

    def pack(self, question: str, candidates: Sequence[ScoredPassage], *, settings: Overrides = None) -> Context:
        """Pack the question and as many of ``candidates`` as the budget holds."""
        config = self._at_call(settings)
        return packing.pack(
            question,
            candidates,
            self.reader.tokenizer,
            config.packer,
            max_question_tokens=config.reader.max_question_tokens,
            neighbours=self._source.neighbours,
        )

    def answer(self, context: Context, reading: Reading, *, settings: Overrides = None) -> Answer:
        """An answer from what was read, with citations from the index; without timings."""
        config = self._at_call(settings).reader
        documents = self._documents()
        if isinstance(documents, StoredDocuments):
            rule = self.reader.withholding(config)
            reading = with_row_answer(reading, context, documents, most_chars=config.table_chars, withholding=rule)
        answer = make_answer(context, reading, documents, limit=config.citations)
        if isinstance(self._source, ExternalStore):
            answer = self._source.answer_as_given(answer, context)
        found = answer.closest
        return replace(
            answer,
            citations=tuple(map(self._looked_up, answer.citations)),
            closest=found and replace(found, citation=self._looked_up(found.citation)),
        )

    def _ranked_by_cross_encoder(
        self, query: str, k: int, filters: Mapping[str, str] | None, config: PipelineConfig
    ) -> list[ScoredPassage]:
        name, most = config.retriever.rerank, config.retriever.rerank_passages
        with self._turn:
            query = checked_question(query)
            if self._reranker is None or self._reranker.name != name:
                self._reranker = Reranker.open(name)
            unranked = config.retriever.model_copy(update={"rerank": "none"})
            searching = config.model_copy(update={"retriever": unranked})
            matches = self._search(query, max(k, most), filters, searching)
            return self._reranker.ranked(self.spelt(query, settings=config), matches, most)[: max(k, 0)]

    def _documents(self) -> DocumentStore:
        return self._source if isinstance(self._source, ExternalStore) else StoredDocuments(self._source)

    def _checked(self, piece: EvidencePiece, documents: DocumentStore) -> EvidencePiece:
        """The piece by the path that exists, with the state of the file there. Raises IndexCorruptError where the store
        no longer holds its text."""
        passage = piece.passage
        stored = documents.read(passage.document_id, passage.start, passage.end)
        check_text(passage.source, passage.start, passage.text, stored)
        if isinstance(self._source, ExternalStore):
            passage = self._source.as_given(passage)
        source, state = self._source.file_state(passage.document_id, passage.source)
        return replace(piece, passage=replace(passage, source=source), file_state=state)

    def _looked_up(self, citation: Citation) -> Citation:
        """The citation by the path that exists, with the state of the file there."""
        source, state = self._source.file_state(citation.document_id, citation.source)
        return replace(citation, source=source, file_state=state)

    def file_state(self, document_id: int, source: str) -> tuple[str, FileState | None]:
        """As ``Index.file_state``; of a store the source as it has it, and None."""
        return self._source.file_state(document_id, source)

    def refresh(self) -> bool:
        """Take notice of what other processes have written to the index, an index built again included.

        Waits for questions that are being answered. True where there was something.

        Raises:
            IndexProblem, StorageError: As ``Index.refresh``; or the new index was made with another tokenizer.

        Example:
            >>> pipeline.refresh()
            False
        """
        with self._turn:
            changed = self._source.refresh()
            self._check_tokenizer()
            return changed

    def close(self) -> None:
        """Close the index, unless it was open when the pipeline was made."""
        if self._owns_index:
            self._source.close()

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _check_tokenizer(self) -> None:
        if isinstance(self._source, ExternalStore):
            return  # its texts are cut when they are there
        cut_by, read_by = self._source.manifest.tokenizer_fingerprint, self.reader.tokenizer.fingerprint
        if cut_by != read_by:
            raise IndexMismatchError(
                f"the passages of {self._source.folder} were cut by another tokenizer ({cut_by[:12]}) than that of the "
                f"reader '{self.reader.name}' ({read_by[:12]})",
                hint="build an index with this reader: ragyena index add PATH --index NEW",
            )

    def _at_call(self, settings: Overrides) -> PipelineConfig:
        """The configuration of one call. Raises ConfigError for a setting that is fixed once a pipeline is open."""
        config = resolve(settings, self.config)
        for name in _FIXED:
            if attrgetter(name)(config) != attrgetter(name)(self.config):
                raise ConfigError(
                    f"settings: '{name}' cannot change in an open pipeline", hint="give it to Pipeline.open"
                )
        return config


def _opened(
    index: str | os.PathLike[str] | Index | ShardedIndex | None, config: PipelineConfig
) -> Index | ExternalStore:
    """The index, or the store of the recipe. Raises UsageError where both are named."""
    store = config.retriever.langchain
    if store is None:
        if index is None or isinstance(index, str | os.PathLike):
            return Index.open(index, settings=config)
        return cast(Index, index)  # shards have all of an index that a pipeline uses
    if index is not None:
        raise UsageError(
            f"the recipe retrieves from {store.class_}, and an index was named as well", hint="give one of them"
        )
    if config.packer.neighbours:
        raise ConfigError(
            "packer.neighbours: a store has no passages beside a passage", hint="set packer.neighbours to 0"
        )
    return ExternalStore(store, passage_tokens=config.index.passage_tokens, rrf_k=config.retriever.rrf_k)


def _raised(result: Answer | RagyenaError) -> Answer:
    if isinstance(result, RagyenaError):
        raise result
    return result
