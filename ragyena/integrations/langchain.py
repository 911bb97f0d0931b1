"""LangChain components: the retriever, the reader, a chain of both, and the whole pipeline.

    chain = answer_chain(RagyenaRetriever(index="my-index", k=200), RagyenaReader())
    chain.invoke("When was the bridge built?")["answer"].text

``RagyenaReader`` reads documents of any LangChain retriever. ``RagyenaPipeline`` is ``ragyena ask`` as one Runnable.
All answer ``invoke``, ``batch``, ``stream`` and their async forms; an answer is one chunk of a stream, since its place
and confidence are only known once the whole context was read. ``langchain_store.py`` has the vector store,
``langchain_compressor.py`` the compressor of documents.
"""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar, cast

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document as LangChainDocument
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableConfig, RunnablePassthrough
from langchain_core.runnables.config import run_in_executor
from pydantic import PrivateAttr, SkipValidation
from typing_extensions import TypedDict  # pydantic takes that of typing from Python 3.12 on alone

from ragyena.config import PipelineConfig
from ragyena.documents.given_text import GivenText
from ragyena.documents.passages import split
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import RagyenaError
from ragyena.index.index import Index
from ragyena.pipeline import Pipeline, checked_question
from ragyena.reader.answering import make_answer
from ragyena.reader.packing import capacity, pack
from ragyena.reader.reader import Reader
from ragyena.settings import Overrides, resolve
from ragyena.types import Answer, Block, BlockKind, Citation, Context, Passage, ScoredPassage, Span

__all__ = [
    "GIVEN",
    "ChainOutput",
    "RagyenaPipeline",
    "RagyenaReader",
    "RagyenaRetriever",
    "ReaderInput",
    "answer_chain",
    "as_given",
    "to_langchain",
]


GIVEN = "langchain"
"""Name under which an index keeps the id and the metadata of a document that came from LangChain."""


def as_given(metadata: Mapping[str, str], text: str) -> LangChainDocument | None:
    """A document that came from LangChain, as it came; None for one that did not. ``text`` is that of the index."""
    if GIVEN not in metadata:
        return None
    given = json.loads(metadata[GIVEN])
    rewritten = given.get("lines", {})  # the lines of tables as they came, by number
    lines = [rewritten.get(str(number), line) for number, line in enumerate(text.split("\n"))] if rewritten else []
    return LangChainDocument(
        page_content="\n".join(lines) if lines else text, id=given["id"], metadata=given["metadata"]
    )


def to_langchain(scored: ScoredPassage) -> LangChainDocument:
    """Convert a passage to a LangChain document, with its place and scores as metadata."""
    passage = scored.passage
    given = as_given(passage.metadata, passage.text)
    fields = passage.metadata if given is None else given.metadata
    return LangChainDocument(
        page_content=passage.text,
        id=str(passage.passage_id),
        metadata={
            "source": passage.source,
            **fields,
            "title": passage.title,
            "headings": list(passage.heading_path),
            "page": passage.page,
            "line_start": passage.line_start,
            "line_end": passage.line_end,
            "block_kind": passage.kind,
            "table_header": list(passage.table_header),
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
    """Passages of a ragyena index, best first. The index is opened at the first search and stays open; what other
    processes write to it is found."""

    index: str | Path | Index
    """The index: a name, the path of its folder, or an open one, which stays the caller's to refresh and close."""
    k: int = 0
    """Passages to return; 0 for as many as ``ragyena ask`` would retrieve."""
    filters: dict[str, str] | None = None
    """Keep to documents whose source, title or metadata field matches a value."""
    settings: SkipValidation[Overrides] = None  # a mapping must not turn into a whole configuration
    """Overrides of settings by dotted name, or a whole configuration."""

    _opened: Index | None = PrivateAttr(default=None)
    _opening: Any = PrivateAttr(default_factory=threading.Lock)

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        k: int | None = None,
        filters: Mapping[str, str] | None = None,
    ) -> list[LangChainDocument]:
        index, settings = self._current()
        k = (self.k if k is None else k) or settings.retriever.top_k or capacity(settings.packer)
        kept = self.filters if filters is None else filters
        return [to_langchain(match) for match in index.search(checked_question(query), k=k, filters=kept)]

    def _current(self) -> tuple[Index, PipelineConfig]:
        if isinstance(self.index, Index):
            return self.index, self.index.settings
        with self._opening:
            if self._opened is None:
                self._opened = Index.open(self.index, settings=self.settings)
            self._opened.refresh()
            return self._opened, self._opened.settings

    def close(self) -> None:
        """Close the index; the next search opens it again."""
        with self._opening:
            if self._opened is not None:
                self._opened.close()
                self._opened = None


class ReaderInput(TypedDict):
    """A question and the documents to read."""

    question: str
    documents: Sequence[LangChainDocument]
    """Best first. Those of ``RagyenaRetriever`` and of any other retriever will do."""


Input = TypeVar("Input")
Placed = TypeVar("Placed", Citation, Passage)


class _Batched(Runnable[Input, Answer], ABC):
    """A Runnable that answers many inputs at once, for one thread at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @abstractmethod
    def _answers(self, inputs: list[Input], **options: Any) -> Sequence[Answer | Exception]:
        """The answer to each input, or the reason why there is none; a class names the options that it has."""

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

    def _many(self, inputs: list[Input], **options: Any) -> list[Answer | Exception]:
        with self._lock:
            return list(self._answers(inputs, **options))

    def _one(self, value: Input, **options: Any) -> Answer:
        answer = self._many([value], **options)[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class RagyenaReader(_Batched[ReaderInput]):
    """Packs documents into a context and reads it: ``{"question": ..., "documents": [...]}`` to ``Answer``.

    Documents are cut into passages as an index would cut them, and Markdown tables in them are read as those of files
    are, row for row with the names of their columns. Citations quote a document's own ``page_content``,
    with line and char offsets counted in it; those of a document with ``start``, ``line_start`` and ``page`` in its
    metadata (one of ``RagyenaRetriever``) are counted in what it was taken from.
    """

    def __init__(self, settings: Overrides = None, *, reader: Reader | None = None) -> None:
        """Load the reader that ``settings`` name, unless an open one is given. Raises CheckpointError, ConfigError."""
        super().__init__()
        self.config = resolve(settings)
        self.reader = reader or Reader.open(self.config.reader)

    @property
    def InputType(self) -> type[ReaderInput]:  # noqa: N802 - the name is LangChain's
        return ReaderInput

    def _answers(self, inputs: list[ReaderInput]) -> Sequence[Answer | Exception]:  # type: ignore[override]
        results: dict[int, Answer | Exception] = {}
        ready: dict[int, tuple[Context, _DocumentTexts]] = {}
        for position, value in enumerate(inputs):
            try:
                texts = _DocumentTexts(value["documents"])
                ready[position] = self._pack(value["question"], texts), texts
            except RagyenaError as error:
                results[position] = error
        readings = self.reader.read_batch([context for context, _ in ready.values()])
        for (position, (context, texts)), reading in zip(ready.items(), readings, strict=True):
            answer = make_answer(context, reading, texts, limit=self.config.reader.citations)
            results[position] = texts.placed(answer, context)
        return [results[position] for position in range(len(inputs))]

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
    """``ragyena ask`` as a Runnable: a question to an ``Answer``. ``batch`` reads its contexts together.

    ``filters`` and ``settings`` are those of ``Pipeline.ask``: ``invoke(question, filters={"title": "Bridges*"})``, or
    ``bind(filters=...)`` for a part of a chain.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        """``pipeline`` stays the caller's to close."""
        super().__init__()
        self.pipeline = pipeline

    @property
    def InputType(self) -> type[str]:  # noqa: N802 - the name is LangChain's
        return str

    def _answers(  # type: ignore[override]
        self, inputs: list[str], *, filters: Mapping[str, str] | None = None, settings: Overrides = None
    ) -> Sequence[Answer | Exception]:
        return self.pipeline.answers(inputs, filters=filters, settings=settings)


class ChainOutput(TypedDict):
    """The question, the documents found for it, and the answer read from them."""

    question: str
    documents: Sequence[LangChainDocument]
    answer: Answer


def answer_chain(
    retriever: Runnable[str, list[LangChainDocument]], reader: RagyenaReader
) -> Runnable[str, ChainOutput]:
    """A chain of LangChain's own parts: a question to a ``ChainOutput``.

    A stream of it gives the question, the documents and the answer, each as soon as it is there; callbacks hear of the
    retriever and the reader as runs of their own.
    """
    chain: Runnable[str, Any] = (
        {"question": RunnablePassthrough()}
        | RunnablePassthrough.assign(documents=itemgetter("question") | retriever)
        | RunnablePassthrough.assign(answer=cast("Runnable[Any, Answer]", reader))
    )
    return chain.with_types(input_type=str, output_type=ChainOutput).with_config(run_name="ragyena")


class _DocumentTexts:
    """LangChain documents as the ``DocumentStore`` that citations are read from.

    While a context is packed and read, a document's id is its place in the list and offsets count in its own text;
    ``placed`` turns both into what its metadata says.
    """

    def __init__(self, documents: Sequence[LangChainDocument]) -> None:
        self.documents = documents
        self._texts = [GivenText(each.page_content, each.metadata, n) for n, each in enumerate(documents, 1)]

    def passages(self, number: int, tokenizer: Tokenizer, passage_tokens: int) -> list[Passage]:
        """The passages of a document."""
        document, metadata = self._texts[number].document, self.documents[number].metadata
        headings = tuple(map(str, metadata.get("headings") or ()))
        page = self.page_at(number, 0)
        return [
            replace(passage, page=page, heading_path=headings, document_id=number, passage_id=number)
            for passage in split(document, tokenizer, passage_tokens)
        ]

    def read(self, document_id: int, start: int, end: int) -> str:
        return self._texts[document_id].document.text[start:end]

    def page_at(self, document_id: int, offset: int) -> int | None:
        page = self.documents[document_id].metadata.get("page")
        return page if isinstance(page, int) else None

    def block_at(self, document_id: int, offset: int) -> Block | None:
        metadata = self.documents[document_id].metadata
        blocks = self._texts[document_id].document.blocks
        if blocks:
            return next((block for block in blocks if block.start <= offset < block.end), None)
        header = tuple(map(str, metadata.get("table_header") or ()))
        kinds: tuple[BlockKind, ...] = ("table", "code")
        length = len(self.documents[document_id].page_content)
        return next((Block(0, length, kind, header) for kind in kinds if kind == metadata.get("block_kind")), None)

    def placed(self, answer: Answer, context: Context) -> Answer:
        """The answer with places and ids in the original documents; ids are -1 where they have none."""
        passages = [replace(scored, passage=self._moved(scored.passage)) for scored in answer.passages]
        found = answer.closest
        document_of = [scored.passage.document_id for scored in context.passages]
        return replace(
            answer,
            citations=tuple(self._moved(citation) for citation in answer.citations),
            closest=found and replace(found, citation=self._moved(found.citation)),
            passages=tuple(passages),
            alternatives=tuple(self._moved_span(span, document_of[span.slot]) for span in answer.alternatives),
        )

    def _moved_span(self, span: Span, number: int) -> Span:
        offset = _whole(self.documents[number].metadata.get("start"), 0)
        start, end = self._texts[number].place(span.start, span.end)
        return replace(span, start=start + offset, end=end + offset)

    def _moved(self, placed: Placed) -> Placed:
        metadata = self.documents[placed.document_id].metadata
        placed = self._texts[placed.document_id].as_given(placed)
        offset, lines = _whole(metadata.get("start"), 0), _whole(metadata.get("line_start"), 1) - 1
        return replace(
            placed,
            start=placed.start + offset,
            end=placed.end + offset,
            line_start=placed.line_start + lines,
            line_end=placed.line_end + lines,
            document_id=_whole(metadata.get("document_id"), -1),
            passage_id=_whole(metadata.get("passage_id"), -1),
        )


def _whole(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) else otherwise
