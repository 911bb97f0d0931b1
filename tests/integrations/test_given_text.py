"""Tables of texts that are given in memory: read as those of files, cited as they were given."""

from __future__ import annotations

from pathlib import Path

import pytest
from langchain_core.documents import Document as LangChainDocument

from ragyena.config import PipelineConfig
from ragyena.documents.passages import split
from ragyena.documents.tokenizer import Tokenizer
from ragyena.index.index import Index
from ragyena.integrations.given_text import GivenText
from ragyena.integrations.langchain import RagyenaReader, to_langchain
from ragyena.integrations.langchain_compressor import RagyenaCompressor
from ragyena.integrations.langchain_store import RagyenaVectorStore
from ragyena.readers import reader_folder
from ragyena.types import Citation, Document

TABLE = """Prices of the shop.

| Item | Price | Note |
| --- | --- | --- |
| Bolt M8 | 12 EUR | **zinc** |
| Nut M8 | 8 EUR | 12 EUR a pack |

Closed on Sundays.
"""
READ = """Prices of the shop.



Item: Bolt M8; Price: 12 EUR; Note: zinc
Item: Nut M8; Price: 8 EUR; Note: 12 EUR a pack

Closed on Sundays.
"""


def cited(text: GivenText, line: str, answer: str) -> tuple[str, str | None]:
    """The quote and the answer, as given, of an answer in a line of the text read."""
    start = text.document.text.index(line)
    begin = line.index(answer)
    citation = Citation(
        0, 0, "a", "", None, 1, 1, start, start + len(line), line, begin, begin + len(answer), 0.5, kind="table"
    )
    moved = text.as_given(citation)
    assert text.given[moved.start : moved.end] == moved.quote
    return moved.quote, None if moved.answer_start is None else moved.quote[moved.answer_start : moved.answer_end]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_row_is_read_with_its_names_and_quoted_as_it_was_given(newline: str) -> None:
    text = GivenText(TABLE.replace("\n", newline), {}, 1)
    assert text.document.text == READ and text.document.source == "document 1"
    assert [block.header for block in text.document.blocks] == [("Item", "Price", "Note")]
    nut = "Item: Nut M8; Price: 8 EUR; Note: 12 EUR a pack"
    assert cited(text, nut, "8 EUR") == ("| Nut M8 | 8 EUR | 12 EUR a pack |", "8 EUR")
    assert cited(text, nut, "12 EUR")[1] == "12 EUR"
    assert cited(text, "Item: Bolt M8; Price: 12 EUR; Note: zinc", "zinc")[1] == "zinc"
    assert cited(text, nut, "Price: 8")[1] is None, "a name is not in the row that was given"
    assert cited(text, "Closed on Sundays.", "Sundays") == ("Closed on Sundays.", "Sundays")


def test_passages_cover_the_text_given() -> None:
    text = GivenText(TABLE, {"source": "shop"}, 1)
    tokenizer = Tokenizer.from_folder(reader_folder("small"))
    passages = [text.as_given(passage) for passage in split(text.document, tokenizer, 16)]
    assert len(passages) > 2
    assert all(TABLE[passage.start : passage.end] == passage.text for passage in passages)
    assert {line for passage in passages for line in passage.text.split("\n") if line} == {
        line for line in TABLE.split("\n") if line and "Item" not in line and "---" not in line
    }


@pytest.mark.parametrize("metadata", [{"block_kind": "code"}, {"block_kind": "table"}])
def test_a_text_of_a_known_kind_is_left_as_it_is(metadata: dict[str, str]) -> None:
    text = GivenText(TABLE, metadata, 1)
    assert text.document.text == TABLE and text.place(3, 9) == (3, 9)


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
