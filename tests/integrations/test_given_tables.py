"""Tables of texts that are given in memory: read as those of files, cited as they were given."""

from __future__ import annotations

from pathlib import Path

from given_table import READ, TABLE
from langchain_core.documents import Document as LangChainDocument

from ragyena.config import PipelineConfig
from ragyena.index.index import Index
from ragyena.integrations.langchain import RagyenaReader, to_langchain
from ragyena.integrations.langchain_compressor import RagyenaCompressor
from ragyena.integrations.langchain_store import RagyenaVectorStore
from ragyena.types import Document


def test_the_reader_quotes_rows_of_page_content(small_config: PipelineConfig) -> None:
    documents = [LangChainDocument(TABLE, metadata={"source": "shop"}), LangChainDocument("Nothing else.")]
    settings = small_config.model_copy(update={"reader": small_config.reader.model_copy(update={"threshold": 0.0})})
    answer = RagyenaReader(settings).invoke({"question": "How much is a nut?", "documents": documents})
    texts = {"shop": TABLE, "document 2": "Nothing else."}
    assert answer.citations
    for citation in answer.citations:
        assert texts[citation.source][citation.start : citation.end] == citation.quote
    for scored in answer.passages:
        passage = scored.passage
        assert texts[passage.source][passage.start : passage.end] == passage.text


def test_the_shipped_reader_answers_from_a_row() -> None:
    reader = RagyenaReader()
    documents = [LangChainDocument(TABLE, metadata={"source": "shop"})]
    answer = reader.invoke({"question": "What is the price of a Nut M8?", "documents": documents})
    (citation,) = answer.citations
    assert (answer.text, citation.quote) == ("8 EUR", "| Nut M8 | 8 EUR | 12 EUR a pack |")
    assert citation.quote[citation.answer_start : citation.answer_end] == "8 EUR"
    assert (citation.line_start, citation.row, citation.column) == (6, "Item: Nut M8", "Price")


def test_evidence_is_a_part_of_the_document_given(small_config: PipelineConfig) -> None:
    compressor = RagyenaCompressor(passages=3, settings=small_config)
    pieces = compressor.compress_documents([LangChainDocument(TABLE, metadata={"source": "shop"})], "a nut?")
    assert pieces
    assert all(TABLE[piece.metadata["start"] : piece.metadata["end"]] == piece.page_content for piece in pieces)


def test_an_index_reads_tables_of_texts_as_those_of_files(tmp_path: Path) -> None:
    (tmp_path / "shop.txt").write_text(TABLE, encoding="utf-8")
    with Index.create(tmp_path / "index") as index:
        index.add(tmp_path / "shop.txt")
        assert index.add({"given": TABLE}).duplicates, "the same text as that of the file"
        index.add([Document("titled", TABLE, title="Shop")])
        (held, file) = (index.held("titled"), index.held(str(tmp_path / "shop.txt")))
        assert held is not None and file is not None
        assert (held.text, held.blocks) == (file.text, file.blocks) == (READ, held.blocks)
        assert index.add([Document("titled", TABLE, title="Shop")]).unchanged == 1


def test_a_document_comes_back_from_the_store_as_it_was_given(tmp_path: Path) -> None:
    document = LangChainDocument(TABLE.replace("\n", "\r\n"), id="shop", metadata={"town": "Oldtown"})
    with RagyenaVectorStore(tmp_path / "index") as store:
        store.add_documents([document])
        assert store.get_by_ids(["shop"]) == [document]
        assert store.similarity_search("price of a nut", k=1) == [document]
        (match,) = store.index.search("price of a nut", k=1)
        passage = to_langchain(match)
        assert "Item: Nut M8; Price: 8 EUR" in passage.page_content
        assert passage.metadata["town"] == "Oldtown" and passage.metadata["table_header"] == ["Item", "Price", "Note"]
