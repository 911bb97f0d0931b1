"""ragyena inside LangChain: the retriever, the reader and the whole pipeline as its standard parts.

    retriever = RagyenaRetriever(index="my-index", k=8)
    reader = RagyenaReader()
    chain = {"question": RunnablePassthrough(), "documents": retriever} | reader

``RagyenaReader`` reads documents of any LangChain retriever. ``RagyenaPipeline`` is ``ragyena ask`` as one Runnable.
All answer ``invoke``, ``batch``, ``stream`` and their async forms; an answer is one chunk of a stream, since its place
and confidence are only known once the whole context was read.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document as LangChainDocument
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import run_in_executor
from pydantic import PrivateAttr
from typing_extensions import TypedDict  # pydantic takes that of typing from Python 3.12 on alone

from ragyena.config import PipelineConfig
from ragyena.documents.passages import split
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import RagyenaError
from ragyena.index.index import Index
from ragyena.index.use_cases import resolve_index
from ragyena.pipeline import Pipeline, checked_question, make_answer
from ragyena.reader.packing import capacity, pack
from ragyena.reader.reader import Reader
from ragyena.types import Answer, Citation, Context, Document, Passage, ScoredPassage, Span

__all__ = ["RagyenaPipeline", "RagyenaReader", "RagyenaRetriever", "ReaderInput", "to_langchain"]


def to_langchain(scored: ScoredPassage) -> LangChainDocument:
    """A found passage as a LangChain document; its metadata says where it stands and how it scored."""
    passage = scored.passage
    return LangChainDocument(
        page_content=passage.text,
        id=str(passage.passage_id),
        metadata={
            **passage.metadata,
            "source": passage.source,
            "title": passage.title,
            "headings": list(passage.heading_path),
            "page": passage.page,
            "line_start": passage.line_start,
            "line_end": passage.line_end,
            "start": passage.start,
            "end": passage.end,
            "passage_id": passage.passage_id,
            "document_id": passage.document_id,
            "score": scored.score,
            "dense_score": scored.dense_score,
            "lexical_score": scored.lexical_score,
        },
    )


class RagyenaRetriever(BaseRetriever):
    """Passages of a ragyena index, best first. The index is opened at the first search and stays open."""

    index: str | Path
    """The index: a name, or the path of its folder."""
    k: int = 0
    """Passages to return; 0 for as many as ``ragyena ask`` would retrieve."""
    filters: dict[str, str] | None = None
    """Only passages whose metadata has these values."""
    config: PipelineConfig = PipelineConfig()
    """How to search, and where indexes named without a path live."""

    _opened: Index | None = PrivateAttr(default=None)
    # one search at a time: an index's connection serves one thread at once
    _lock: Any = PrivateAttr(default_factory=threading.Lock)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, k: int | None = None
    ) -> list[LangChainDocument]:
        wanted = (self.k if k is None else k) or self.config.retriever.top_k or capacity(self.config.packer)
        with self._lock:
            if self._opened is None:
                self._opened = Index.open(resolve_index(str(self.index), self.config))
            found = self._opened.search(
                checked_question(query), self.config.retriever, top_k=wanted, filters=self.filters
            )
        return [to_langchain(scored) for scored in found]

    def close(self) -> None:
        """Closes the index; the next search opens it anew."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None


class ReaderInput(TypedDict):
    """What a reader reads."""

    question: str
    documents: Sequence[LangChainDocument]
    """Best first. Those of ``RagyenaRetriever`` and of any other retriever will do."""


Input = TypeVar("Input")


class _Batched(Runnable[Input, Answer], ABC):
    """A Runnable that answers many inputs at once, for one thread at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @abstractmethod
    def _answers(self, inputs: list[Input]) -> list[Answer | Exception]:
        """The answer to each input, or why there is none."""

    @property
    def OutputType(self) -> type[Answer]:  # noqa: N802 - the name is LangChain's
        return Answer

    def invoke(self, input: Input, config: RunnableConfig | None = None, **kwargs: Any) -> Answer:
        return self._call_with_config(self._one, input, config, **kwargs)

    def batch(
        self,
        inputs: list[Input],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any | None,
    ) -> list[Answer]:
        return self._batch_with_config(self._many, inputs, config, return_exceptions=return_exceptions, **kwargs)

    async def abatch(
        self,
        inputs: list[Input],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any | None,
    ) -> list[Answer]:
        def whole() -> list[Answer]:
            return self.batch(inputs, config, return_exceptions=return_exceptions, **kwargs)

        return await run_in_executor(None, whole)

    def _many(self, inputs: list[Input]) -> list[Answer | Exception]:
        with self._lock:
            return self._answers(inputs)

    def _one(self, value: Input) -> Answer:
        answer = self._many([value])[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class RagyenaReader(_Batched[ReaderInput]):
    """Packs documents into a context and reads it: ``{"question": ..., "documents": [...]}`` to ``Answer``.

    Documents are cut into passages as an index would cut them. Citations quote a document's own ``page_content``,
    with line and char offsets counted in it; those of a document with ``start``, ``line_start`` and ``page`` in its
    metadata (one of ``RagyenaRetriever``) are counted in what it was taken from.
    """

    def __init__(self, config: PipelineConfig | None = None, *, reader: Reader | None = None) -> None:
        """Loads the reader of ``config``, unless an open one is given. Raises CheckpointError."""
        super().__init__()
        self.config = config or PipelineConfig()
        self.reader = reader or Reader.open(self.config.reader)

    @property
    def InputType(self) -> type[ReaderInput]:  # noqa: N802 - the name is LangChain's
        return ReaderInput

    def _answers(self, inputs: list[ReaderInput]) -> list[Answer | Exception]:
        results: list[Answer | Exception] = []
        ready: list[tuple[int, Context, _DocumentTexts]] = []
        for position, value in enumerate(inputs):
            try:
                texts = _DocumentTexts(value["documents"])
                ready.append((position, self._pack(value["question"], texts), texts))
                results.append(_PENDING)
            except RagyenaError as error:
                results.append(error)
        readings = self.reader.read_batch([context for _, context, _ in ready])
        for (position, context, texts), reading in zip(ready, readings, strict=True):
            answer = make_answer(context, reading, texts, limit=self.config.reader.citations)
            results[position] = texts.placed(answer, context)
        return results

    def _pack(self, question: str, texts: _DocumentTexts) -> Context:
        candidates = []
        for number, document in enumerate(texts.documents):
            given = document.metadata.get("score")
            score = float(given) if isinstance(given, int | float) else -float(number)
            passages = texts.passages(number, self.reader.tokenizer, self.config.index.passage_tokens)
            candidates += [ScoredPassage(passage, score) for passage in passages]
        return pack(
            checked_question(question),
            candidates,
            self.reader.tokenizer,
            self.config.packer.model_copy(update={"neighbours": 0}),  # there is no index to take neighbours from
            max_question_tokens=self.config.reader.max_question_tokens,
        )


class RagyenaPipeline(_Batched[str]):
    """A question to an ``Answer``: retrieve from an index, pack, read, cite.

    ``batch`` reads its contexts together; ``read`` in the timings is then a question's share of that time.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        """``pipeline`` stays the caller's to close."""
        super().__init__()
        self.pipeline = pipeline

    @property
    def InputType(self) -> type[str]:  # noqa: N802 - the name is LangChain's
        return str

    def _answers(self, inputs: list[str]) -> list[Answer | Exception]:
        results: list[Answer | Exception] = []
        ready: list[tuple[int, Context, dict[str, float]]] = []
        for position, text in enumerate(inputs):
            try:
                question = checked_question(text)
                began = time.perf_counter()
                candidates = self.pipeline.retrieve(question)
                retrieved = time.perf_counter()
                context = self.pipeline.pack(question, candidates)
                timings = {"retrieve": retrieved - began, "pack": time.perf_counter() - retrieved}
                ready.append((position, context, timings))
                results.append(_PENDING)
            except RagyenaError as error:
                results.append(error)
        began = time.perf_counter()
        readings = self.pipeline.reader.read_batch([context for _, context, _ in ready])
        share = (time.perf_counter() - began) / max(len(ready), 1)
        for (position, context, timings), reading in zip(ready, readings, strict=True):
            timings |= {"read": share, "total": sum(timings.values()) + share}
            results[position] = replace(self.pipeline.answer(context, reading), timings=timings)
        return results


_PENDING = RuntimeError("not read")
"""Holds the place of an answer until its batch is read."""


class _DocumentTexts:
    """LangChain documents as the store that citations are read from.

    While a context is packed and read, a document's id is its place in the list and offsets count in its own text;
    ``placed`` turns both into what its metadata says.
    """

    def __init__(self, documents: Sequence[LangChainDocument]) -> None:
        self.documents = documents

    def passages(self, number: int, tokenizer: Tokenizer, passage_tokens: int) -> list[Passage]:
        """The passages of a document."""
        metadata = self.documents[number].metadata
        source = str(metadata.get("source") or f"document {number + 1}")
        document = Document(source, self.documents[number].page_content, str(metadata.get("title") or ""))
        headings = tuple(map(str, metadata.get("headings") or ()))
        page = self.page_at(number, 0)
        return [
            replace(passage, page=page, heading_path=headings, document_id=number, passage_id=number)
            for passage in split(document, tokenizer, passage_tokens)
        ]

    def read(self, document_id: int, start: int, end: int) -> str:
        return self.documents[document_id].page_content[start:end]

    def page_at(self, document_id: int, offset: int) -> int | None:
        page = self.documents[document_id].metadata.get("page")
        return page if isinstance(page, int) else None

    def placed(self, answer: Answer, context: Context) -> Answer:
        """``answer`` with places and ids in what the documents were taken from; ids are -1 where they have none."""
        document_of = [scored.passage.document_id for scored in context.passages]
        return replace(
            answer,
            citations=tuple(self._citation(citation) for citation in answer.citations),
            passages=tuple(replace(scored, passage=self._passage(scored.passage)) for scored in answer.passages),
            alternatives=tuple(self._span(span, document_of[span.slot]) for span in answer.alternatives),
        )

    def _citation(self, citation: Citation) -> Citation:
        return replace(citation, **self._moved(citation))

    def _passage(self, passage: Passage) -> Passage:
        return replace(passage, **self._moved(passage))

    def _span(self, span: Span, number: int) -> Span:
        offset = _whole(self.documents[number].metadata.get("start"), 0)
        return replace(span, start=span.start + offset, end=span.end + offset)

    def _moved(self, placed: Citation | Passage) -> dict[str, Any]:
        metadata = self.documents[placed.document_id].metadata
        offset, lines = _whole(metadata.get("start"), 0), _whole(metadata.get("line_start"), 1) - 1
        return {
            "start": placed.start + offset,
            "end": placed.end + offset,
            "line_start": placed.line_start + lines,
            "line_end": placed.line_end + lines,
            "document_id": _whole(metadata.get("document_id"), -1),
            "passage_id": _whole(metadata.get("passage_id"), -1),
        }


def _whole(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) else otherwise
