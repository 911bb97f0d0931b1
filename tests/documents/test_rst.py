"""reStructuredText: lines are the file's; tables and code are told apart."""

from __future__ import annotations

from pathlib import Path

from ragyena.config import IndexConfig
from ragyena.documents.loading import load
from ragyena.types import Document


def read(tmp_path: Path, text: str) -> Document:
    path = tmp_path / "a.rst"
    path.write_text(text, encoding="utf-8")
    (document,) = load(path, IndexConfig())
    assert isinstance(document, Document)
    assert document.text.count("\n") == text.count("\n")
    return document


def lines(document: Document) -> list[str]:
    return [line for line in document.text.split("\n") if line]


def test_a_drawn_grid(tmp_path: Path) -> None:
    document = read(
        tmp_path,
        "+-------+---------------+\n| Model | Weight        |\n|       +-------+-------+\n|       | dry   | wet   |\n"
        "+=======+=======+=======+\n| V-20  | 3.9   | 4.1   |\n+-------+-------+       |\n| V-30  | 5     |       |\n"
        "+-------+-------+-------+\n",
    )
    assert lines(document) == [
        "Model: V-20; Weight dry: 3.9; Weight wet: 4.1",
        "Model: V-30; Weight dry: 5; Weight wet: 4.1",
    ]
    assert document.blocks[0].header == ("Model", "Weight dry", "Weight wet")
    assert document.text.split("\n")[5].startswith("Model: V-20")


def test_a_simple_table_and_one_without_names(tmp_path: Path) -> None:
    document = read(
        tmp_path, "=====  ======\nA      A or B\n=====  ======\nFalse  False\nTrue   True\n=====  ======\n\nEnd.\n"
    )
    assert lines(document) == ["A: False; A or B: False", "A: True; A or B: True", "End."]


def test_tables_of_directives(tmp_path: Path) -> None:
    document = read(
        tmp_path,
        ".. list-table:: Prices\n   :header-rows: 1\n\n   * - Item\n     - Price\n   * - Fig\n     - 3 EUR,\n"
        "       each\n   * - Beet\n     -\n\n"
        '.. csv-table::\n   :header: Treat, Count\n\n   "Fish, big", 2.99\n   Bread, 1\n\nEnd.\n',
    )
    assert lines(document) == [
        "Prices", "Item: Fig; Price: 3 EUR, each", "Item: Beet",
        "Treat: Fish, big; Count: 2.99", "Treat: Bread; Count: 1", "End.",
    ]  # fmt: skip


def test_code_and_fields(tmp_path: Path) -> None:
    document = read(
        tmp_path,
        "Guide\n=====\n\n:Author: R. Vance\n:Version: 1.2\n\nRun::\n\n    make\n\nthen\n\n.. code-block:: python\n\n"
        "   def f():\n       pass\n",
    )
    assert document.metadata == {"author": "R. Vance", "version": "1.2"}
    code = [document.text[block.start : block.end] for block in document.blocks if block.kind == "code"]
    assert code == ["    make", "   def f():\n       pass"]


def test_a_broken_table_stays_as_it_is_drawn(tmp_path: Path) -> None:
    text = "+----+----+\n| a  | b |\n+--+---+\n\n=====  =====\nopen\n"
    assert read(tmp_path, text).text == text
