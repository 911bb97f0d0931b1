"""JSON lines: the text field of each row, nested fields, and bad rows that cost nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ragyena.config import IndexConfig
from ragyena.documents.loading import load
from ragyena.types import Document, Skipped


def loaded(tmp_path: Path, *lines: object) -> list[Document | Skipped]:
    path = tmp_path / "a.jsonl"
    written = [line.encode() if isinstance(line, str) else line for line in lines]
    path.write_bytes(b"\n".join(w if isinstance(w, bytes) else json.dumps(w).encode() for w in written) + b"\n")
    return list(load(path, IndexConfig()))


def document(tmp_path: Path, row: object) -> Document:
    (only,) = loaded(tmp_path, row)
    assert isinstance(only, Document)
    return only


def test_null_and_empty_fields_fall_through(tmp_path: Path) -> None:
    row = {"title": None, "name": "A", "text": None, "context": " ", "content": "", "body": "Gate 12"}
    only = document(tmp_path, row)
    assert (only.text, only.title) == ("Gate 12", "A")
    assert document(tmp_path, {"text": [], "body": ["Gate 14", "is open"]}).text == "Gate 14, is open"


def test_a_table_in_a_text_names_its_columns_in_each_row(tmp_path: Path) -> None:
    row = {"title": "Lamps", "text": "Prices\n\n| Lamp | Price |\n| --- | --- |\n| Alba | 5 |\n", "shop": "east"}
    only = document(tmp_path, row)
    assert only.text == "Prices\n\n\n\nLamp: Alba; Price: 5\n"
    assert (only.title, only.metadata, only.source[-2:]) == ("Lamps", {"shop": "east"}, "#1")
    assert [(block.kind, block.header) for block in only.blocks] == [("table", ("Lamp", "Price"))]


@pytest.mark.parametrize(
    "row", [{"text": None}, {"text": "", "id": 7}, {"title": "B", "text": ""}, {}, {"a": [{}]}, ""]
)
def test_a_row_without_text_is_named(tmp_path: Path, row: object) -> None:
    good, skipped = loaded(tmp_path, {"text": "good"}, json.dumps(row))
    assert isinstance(good, Document) and isinstance(skipped, Skipped)
    assert skipped.source.endswith("a.jsonl#2")
    assert "line 2 has no text" in skipped.message and "text, context" in skipped.hint


def test_nested_fields_have_their_path_as_name(tmp_path: Path) -> None:
    row = {"text": "Row two", "tags": ["x", "y"], "meta": {"lang": "en", "by": {"name": "Ann"}}, "price": 19.90}
    assert document(tmp_path, json.dumps(row)).metadata == {
        "tags": "x, y",
        "meta.lang": "en",
        "meta.by.name": "Ann",
        "price": "19.9",
    }
    assert document(tmp_path, '{"text": "a", "price": 19.90, "n": 1e999, "x": NaN}').metadata == {
        "price": "19.90",
        "n": "1e999",
        "x": "NaN",
    }


def test_a_text_field_inside_another(tmp_path: Path) -> None:
    only = document(tmp_path, {"user": {"name": "Ann"}, "post": {"body": "The gate is open."}})
    assert (only.text, dict(only.metadata)) == ("The gate is open.", {"user.name": "Ann"})
    chat = document(tmp_path, {"messages": [{"role": "user", "content": "hi"}, {"role": "bot", "content": "hello"}]})
    assert chat.text.split("\n")[1] == "messages.1.content: hi"
    assert chat.text.split("\n")[3] == "messages.2.content: hello"


def test_a_second_long_field_is_read_too(tmp_path: Path) -> None:
    only = document(tmp_path, {"text": "Short.", "summary": "word " * 200, "vector": [0.5] * 300})
    assert only.text.startswith("Short.\n\nsummary: word word")
    assert "0.5" not in only.text and not only.metadata


def test_a_bad_row_costs_itself_alone(tmp_path: Path) -> None:
    rows = loaded(
        tmp_path,
        '{"text": "' + "ü" * 40 + '"}',
        '{"text": broken}',
        "[" * 5000 + "]" * 5000,
        b'{"text": "caf\xe9"}',
        '{"text": "a", "n": ' + "9" * 5000 + "}",
        '{"text": "null \\u0000 inside"}',
        "[1, 2]",
        '{"text": "a", "text": "b"}',
        {"text": "good row nine"},
    )
    bad = [row.message.partition(", ")[2] for row in rows if isinstance(row, Skipped)]
    good = [row.text for row in rows if isinstance(row, Document)]
    assert good == ["ü" * 40, "a", "good row nine"]
    for message, words in zip(
        bad,
        ["line 2 is not JSON", "line 3", "line 4 is not valid UTF-8", "line 6 holds binary data", "line 7", "line 8"],
        strict=True,
    ):
        assert message.startswith(words)
    assert all(row.hint for row in rows if isinstance(row, Skipped))


def test_names_of_nested_fields_stay_bounded(tmp_path: Path) -> None:
    row: object = {"x": "leaf"}
    for _ in range(90):
        row = {"k" * 1000: row}
    assert len(document(tmp_path, row).text) < 300
