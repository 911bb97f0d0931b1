"""A text that is given in memory: its tables are read as those of files, its places are those of what was given."""

from __future__ import annotations

import pytest
from given_table import READ, TABLE

from ragyena.documents.given_text import GivenText
from ragyena.documents.passages import split
from ragyena.documents.tokenizer import Tokenizer
from ragyena.readers import reader_folder
from ragyena.types import Citation


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
