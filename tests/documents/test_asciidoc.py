"""AsciiDoc: lines are the file's; headings, attributes, tables and code are told apart."""

from __future__ import annotations

import time
from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.loading import load
from ragyena.types import Document


def read(tmp_path: Path, text: str) -> Document:
    path = tmp_path / "a.adoc"
    path.write_text(text, encoding="utf-8")
    (document,) = load(path, IndexConfig())
    assert isinstance(document, Document)
    assert document.text.count("\n") == text.count("\n")
    return document


def lines(document: Document) -> list[str]:
    return [line for line in document.text.split("\n") if line]


def test_header_attributes_and_headings(tmp_path: Path) -> None:
    document = read(
        tmp_path,
        "// secret\n= Server Guide\nAna Roe <ana@example.org>\nv1.2, 2024-03-01\n:port: 9000\n:keywords: a, b\n\n"
        "The port is {port}, not {other}.\n\n== Install ==\n\n////\nsecret\n////\ninclude::other.adoc[]\n"
        "image::x.png[A view,300]\n",
    )
    assert document.title == "Server Guide"
    assert document.metadata == {
        "author": "Ana Roe <ana@example.org>",
        "created": "2024-03-01",
        "keywords": "a, b",
    }
    assert [(h.level, h.text) for h in document.headings] == [(1, "Server Guide"), (2, "Install")]
    assert "The port is 9000, not {other}." in document.text
    assert "A view" in document.text
    assert "secret" not in document.text and "include" not in document.text


def test_tables(tmp_path: Path) -> None:
    document = read(
        tmp_path,
        '[%header,cols="1,2"]\n|===\n|Item |Price\n\n|Fig\n|3 EUR\n\n.2+|Beet |2 EUR\n|4 EUR\n|===\n\n'
        "|===\n|A |B\n\n|1 |2\n|===\n\n,===\nx,y\n\n1,2\n,===\n",
    )
    assert lines(document) == [
        "Item: Fig; Price: 3 EUR",
        "Item: Beet; Price: 2 EUR",
        "Item: Beet; Price: 4 EUR",
        "A: 1; B: 2",
        "x: 1; y: 2",
    ]
    assert [block.header for block in document.blocks] == [("Item", "Price"), ("A", "B"), ("x", "y")]


def test_more_rows_than_lines_never_write_over_the_text_below(tmp_path: Path) -> None:
    document = read(tmp_path, '[cols="1"]\n|===\n|a |b |c |d |e |f\n|===\n\nText below.\n')
    assert lines(document)[-1] == "Text below."
    assert all(letter in document.text for letter in "abcdef")


def test_code_and_lists(tmp_path: Path) -> None:
    document = read(tmp_path, "[source,sh]\n----\n== no heading\n----\n\n* one\n** two\nCPU:: The brain.\n")
    assert document.headings == ()
    assert [(block.kind, document.text[block.start : block.end]) for block in document.blocks] == [
        ("code", "== no heading"),
        ("list", "* one\n** two\nCPU:: The brain."),
    ]


def test_blocks_that_never_end_take_linear_time(tmp_path: Path) -> None:
    started = time.monotonic()
    read(tmp_path, "".join("-" * (4 + i % 900) + "\ntext\n" for i in range(900)) + "|===\ntext\n" * 10_001)
    assert time.monotonic() - started < 5
