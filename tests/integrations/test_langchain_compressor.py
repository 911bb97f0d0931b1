"""The compressor: documents of any LangChain retriever in, evidence with its place in them out."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from langchain_core.documents import Document
from langchain_core.documents.compressor import BaseDocumentCompressor
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from pydantic import ValidationError
from small_world import FACTS

from ragyena.config import PipelineConfig
from ragyena.errors import ConfigError, EmptyQuestionError, UsageError
from ragyena.integrations.langchain import RagyenaRetriever
from ragyena.integrations.langchain_compressor import RagyenaCompressor

QUESTION = "When was the iron bridge built?"
DOCUMENTS = [Document(page_content=text, metadata={"source": name, "lang": "en"}) for name, text in FACTS.items()]


class GivenDocuments(BaseRetriever):
    """A retriever that is not ragyena's."""

    documents: list[Document]

    def _get_relevant_documents(self, query: str, *, run_manager: object) -> list[Document]:
        return self.documents


@pytest.fixture(scope="module")
def compressor(small_config: PipelineConfig) -> RagyenaCompressor:
    return RagyenaCompressor(passages=3, settings=small_config)


def check_places(evidence: list[Document], documents: list[Document]) -> None:
    by_source = {document.metadata["source"]: document for document in documents}
    assert evidence
    for piece in evidence:
        given = by_source[piece.metadata["source"]]
        assert given.page_content[piece.metadata["start"] : piece.metadata["end"]] == piece.page_content
        assert piece.metadata["lang"] == "en" and 0 <= piece.metadata["score"] <= 1
    scores = [piece.metadata["score"] for piece in evidence]
    assert scores == sorted(scores, reverse=True)


def test_evidence_has_its_place_in_the_documents_given(compressor: RagyenaCompressor) -> None:
    assert isinstance(compressor, BaseDocumentCompressor)
    evidence = compressor.compress_documents(DOCUMENTS, QUESTION)
    assert len(evidence) == 3
    check_places(evidence, DOCUMENTS)
    assert DOCUMENTS[0].metadata == {"source": "bridge.md", "lang": "en"}, "the input is left as it was"


def test_async_and_in_a_chain(compressor: RagyenaCompressor) -> None:
    direct = compressor.compress_documents(DOCUMENTS, QUESTION)
    assert asyncio.run(compressor.acompress_documents(DOCUMENTS, QUESTION)) == direct

    async def together() -> list[object]:
        return [*await asyncio.gather(*(compressor.acompress_documents(DOCUMENTS, QUESTION) for _ in range(3)))]

    assert asyncio.run(together()) == [direct] * 3
    chain = {"documents": GivenDocuments(documents=DOCUMENTS), "query": RunnablePassthrough()} | RunnableLambda(
        lambda given: compressor.compress_documents(given["documents"], given["query"])
    )
    assert chain.invoke(QUESTION) == direct


def test_the_shipped_reader_finds_the_sentence_among_many_documents() -> None:
    notes = [
        Document(page_content=f"Note {n}. The town of Number {n} has a market on day {n}.", metadata={"lang": "en"})
        for n in range(120)
    ]
    documents = [*notes, DOCUMENTS[0], *notes[:20]]
    evidence = RagyenaCompressor(tokens=40, context_tokens=8192).compress_documents(documents, QUESTION)
    assert "1932" in evidence[0].page_content and evidence[0].metadata["source"] == "bridge.md"
    check_places(evidence[:1], DOCUMENTS)


def test_documents_that_one_context_does_not_hold_are_read_in_several(small_config: PipelineConfig) -> None:
    texts = [f"{name} lives at {n} Mill Street. " * 6 for n, name in enumerate(["Ada", "Tom", "Eva", "Max", "Ida"])]
    documents = [Document(page_content=t, metadata={"source": str(n), "lang": "en"}) for n, t in enumerate(texts)]
    several = RagyenaCompressor(passages=100, context_tokens=256, settings=small_config)
    evidence = several.compress_documents(documents, "Where does Ida live?")
    assert {piece.metadata["source"] for piece in evidence} == set("01234")
    check_places(evidence, documents)
    assert sum(piece.metadata["score"] for piece in evidence) == pytest.approx(1)


def test_places_of_retrieved_passages_are_those_in_the_file(small_index: Path, small_config: PipelineConfig) -> None:
    retriever = RagyenaRetriever(index=str(small_index), settings=small_config)
    found = retriever.invoke("the wooden bridge and its lamp")
    retriever.close()
    for piece in RagyenaCompressor(tokens=60, settings=small_config).compress_documents(found, QUESTION):
        text = Path(piece.metadata["source"]).read_text(encoding="utf-8")
        assert text[piece.metadata["start"] : piece.metadata["end"]] == piece.page_content
        assert text.count("\n", 0, piece.metadata["start"]) + 1 == piece.metadata["line_start"]


def test_nothing_in_nothing_out_and_clear_errors(small_config: PipelineConfig, compressor: RagyenaCompressor) -> None:
    assert compressor.compress_documents([], QUESTION) == []
    assert compressor.compress_documents([Document(page_content=" \n")], QUESTION) == []
    with pytest.raises(EmptyQuestionError):
        compressor.compress_documents(DOCUMENTS, " ")
    with pytest.raises(UsageError, match="both"):
        RagyenaCompressor(passages=1, tokens=9, settings=small_config).compress_documents(DOCUMENTS, QUESTION)
    with pytest.raises(ConfigError, match="context_tokens"):
        RagyenaCompressor(context_tokens=9, settings=small_config).compress_documents(DOCUMENTS, QUESTION)
    with pytest.raises(ValidationError, match="passage"):
        RagyenaCompressor(passage=3)  # type: ignore[call-arg]
