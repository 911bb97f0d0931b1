"""Long documents in pieces: nothing is lost, lines are the file's, and each piece knows the headings above it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragyena.config import IndexConfig
from ragyena.documents import pieces as module
from ragyena.documents.passages import split
from ragyena.documents.pieces import pieces
from ragyena.documents.reading import read
from ragyena.documents.tokenizer import Tokenizer
from ragyena.readers import reader_folder
from ragyena.types import Block, Document, Heading


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE_CHARS", 2000)


def test_a_document_of_usual_length_stays_whole() -> None:
    document = Document("a.txt", "word " * 480)
    assert list(pieces(document)) == [document]


def test_pages_are_not_parted() -> None:
    document = Document("a.pdf", "word " * 4000, page_starts=(0, 10_000))
    assert list(pieces(document)) == [document]


@pytest.mark.parametrize("unit", ["A sentence of seven words stands here.\n\n", "one line\n", "word ", "x"])
def test_nothing_is_lost_and_no_piece_is_tiny(unit: str) -> None:
    document = Document("a.txt", unit * (17_123 // len(unit)))
    parts = list(pieces(document))
    assert "".join(part.text for part in parts) == document.text
    assert all(1500 <= len(part.text) <= 3000 for part in parts)
    assert all(part.text.endswith(unit) for part in parts)
    lines = [document.text.count("\n", 0, sum(len(p.text) for p in parts[:i])) + 1 for i in range(len(parts))]
    assert [part.first_line for part in parts] == lines
    if "\n" in unit:
        assert [part.source for part in parts] == [f"a.txt#{line}" for line in lines]


def test_pieces_of_one_line_have_names_of_their_own() -> None:
    parts = list(pieces(Document("a.txt", "word " * 4000)))
    assert len({part.source for part in parts}) == len(parts)


def test_headings_and_blocks_go_on_in_the_next_piece() -> None:
    text, headings = "", []
    for chapter in range(3):
        headings.append(Heading(len(text), 1, f"Chapter {chapter}"))
        text += f"# Chapter {chapter}\n\n"
        for section in range(4):
            headings.append(Heading(len(text), 2, f"Section {chapter}.{section}"))
            text += f"## Section {chapter}.{section}\n\n" + f"Text of {chapter}.{section}. " * 100 + "\n\n"
    table = Block(100, 6000, "table", ("Name", "City"))
    parts = list(pieces(Document("a.md", text, headings=tuple(headings), blocks=(table,))))
    assert len(parts) > 3
    tokenizer = Tokenizer.from_folder(reader_folder("small"))
    for part in parts:
        for passage in split(part, tokenizer, 60):
            if passage.text.startswith("Text of"):
                number = passage.text.split()[2].rstrip(".")
                assert passage.heading_path == (f"Chapter {number[0]}", f"Section {number}")
    covered = [(part, block) for part in parts for block in part.blocks]
    assert sum(block.end - block.start for _, block in covered) == table.end - table.start
    assert {block.header for _, block in covered} == {table.header}
    assert all(block.end <= len(part.text) for part, block in covered)


def test_a_long_file_is_read_in_pieces_whose_passages_have_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_text("".join(f"The bridge of town {i} was built in {i}.\n\n" for i in range(500)), encoding="utf-8")
    documents = [part for part in read(path, IndexConfig(max_document_chars=3000)) if isinstance(part, Document)]
    assert len(documents) > 5, "the limit is of a document, and each piece is one"
    assert {document.title for document in documents} == {"long"}
    lines = path.read_text(encoding="utf-8").split("\n")
    tokenizer = Tokenizer.from_folder(reader_folder("small"))
    for document in documents:
        for passage in split(document, tokenizer, 40):
            assert passage.text == "\n".join(lines[passage.line_start - 1 : passage.line_end])
