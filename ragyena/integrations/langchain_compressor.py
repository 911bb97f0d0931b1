"""LangChain: any retriever's documents in, the best evidence out.

    compressor = RagyenaCompressor(passages=10)
    evidence = compressor.compress_documents(retriever.invoke(question), question)

``ContextualCompressionRetriever(base_compressor=compressor, base_retriever=retriever)`` of LangChain does both.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from langchain_core.callbacks import Callbacks
from langchain_core.documents import Document as LangChainDocument
from langchain_core.documents.compressor import BaseDocumentCompressor
from pydantic import ConfigDict, PrivateAttr, SkipValidation

from ragyena.config import LONGEST_CONTEXT, PipelineConfig
from ragyena.documents.given_text import GivenText
from ragyena.documents.passages import split
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import UsageError
from ragyena.pipeline import checked_question
from ragyena.reader.evidence import TokenScores, choose
from ragyena.reader.packing import pack
from ragyena.reader.reader import Reader
from ragyena.settings import Overrides, resolve
from ragyena.types import Context, EvidencePiece, ScoredPassage

__all__ = ["RagyenaCompressor"]


class RagyenaCompressor(BaseDocumentCompressor):
    """Reads all documents and returns the passages or sentences that matter to the query, best first.

    Documents come best first, from any retriever. They are cut into passages as an index would cut them and read
    together, in as many contexts as they need. Each document of the result has ``score`` (its share of the evidence),
    ``start`` and ``end`` in its metadata: ``page_content`` is ``input.page_content[start:end]``. Where the metadata of
    an input has the ``start`` and ``end`` of its whole text, as ``RagyenaRetriever`` gives them, the places are counted
    in what that was taken from, ``line_start`` and ``line_end`` too. All other metadata are the input's.

    The reader is loaded at the first call; calls from several threads take turns.
    """

    model_config = ConfigDict(extra="forbid")

    passages: int | None = None
    """Passages to return, at most; by default the setting ``evidence.passages``."""
    tokens: int | None = None
    """Sentences instead of passages, of at most so many tokens together (setting ``evidence.tokens``)."""
    context_tokens: int = LONGEST_CONTEXT
    """The most tokens read at a time."""
    settings: SkipValidation[Overrides] = None  # a mapping must not turn into a whole configuration
    """Overrides of settings by dotted name, or a whole configuration."""

    _reader: Reader | None = PrivateAttr(default=None)
    _turn: Any = PrivateAttr(default_factory=threading.Lock)

    def compress_documents(
        self, documents: Sequence[LangChainDocument], query: str, callbacks: Callbacks | None = None
    ) -> list[LangChainDocument]:
        """The evidence in ``documents`` for ``query``, best first.

        Raises EmptyQuestionError, QuestionTooLongError and BudgetError for a query that cannot be asked, UsageError
        where passages and tokens are both set, ConfigError and CheckpointError for wrong settings.
        """
        config = self._config()
        query = checked_question(query)
        with self._turn:
            if self._reader is None:
                self._reader = Reader.open(config.reader)
            texts = [GivenText(each.page_content, each.metadata, n) for n, each in enumerate(documents, 1)]
            read = _read(query, _passages(documents, texts, self._reader.tokenizer, config), self._reader, config)
            pieces = choose(read, config.evidence, self._reader.tokenizer)
        numbers = [piece.passage.document_id for piece in pieces]
        return [_placed(piece, documents[number], texts[number]) for number, piece in zip(numbers, pieces, strict=True)]

    def _config(self) -> PipelineConfig:
        if self.passages is not None and self.tokens is not None:
            raise UsageError("passages and tokens were both given", hint="give the one or the other")
        tokens = 0 if self.passages is not None else self.tokens
        given = {"evidence.passages": self.passages, "evidence.tokens": tokens}
        overrides = {name: value for name, value in given.items() if value is not None}
        return resolve({"packer.context_tokens": self.context_tokens, **overrides}, resolve(self.settings))


def _passages(
    documents: Sequence[LangChainDocument], texts: Sequence[GivenText], tokenizer: Tokenizer, config: PipelineConfig
) -> list[ScoredPassage]:
    """The passages of all documents, whose ``document_id`` is the place of their document; those of one document rank
    alike."""
    result: list[ScoredPassage] = []
    for number, (given, text) in enumerate(zip(documents, texts, strict=True)):
        headings = tuple(map(str, given.metadata.get("headings") or ()))
        for passage in split(text.document, tokenizer, config.index.passage_tokens):
            numbered = replace(passage, heading_path=headings, document_id=number, passage_id=len(result))
            result.append(ScoredPassage(numbered, -float(number)))
    return result


def _read(
    query: str, candidates: list[ScoredPassage], reader: Reader, config: PipelineConfig
) -> list[tuple[Context, TokenScores]]:
    """As many contexts as hold all candidates, read one after the other."""
    packer = config.packer.model_copy(update={"neighbours": 0})  # there is no index to take neighbours from
    read: list[tuple[Context, TokenScores]] = []
    while candidates:
        context = pack(
            query, candidates, reader.tokenizer, packer, max_question_tokens=config.reader.max_question_tokens
        )
        read += zip([context], reader.token_scores([context]))
        left = {entry.passage_id for entry in context.log.entries if entry.outcome == "over budget"}
        candidates = [scored for scored in candidates if scored.passage.passage_id in left]
    return read


def _placed(piece: EvidencePiece, given: LangChainDocument, text: GivenText) -> LangChainDocument:
    """The piece as a document, with its place in ``given`` or in what that was taken from."""
    passage, metadata = text.as_given(piece.passage), dict(given.metadata)
    start, end, line = (metadata.get(name) for name in ("start", "end", "line_start"))
    offset = 0
    if isinstance(start, int) and isinstance(end, int) and end - start == len(given.page_content):
        offset = start
        if isinstance(line, int):
            metadata |= {"line_start": line + passage.line_start - 1, "line_end": line + passage.line_end - 1}
    metadata |= {"score": piece.score, "start": passage.start + offset, "end": passage.end + offset}
    return LangChainDocument(page_content=passage.text, metadata=metadata)
