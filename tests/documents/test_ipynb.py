"""Notebooks: cells and their output in order, each with its kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ragyena.config import IndexConfig
from ragyena.documents.loading import load
from ragyena.errors import UnreadableDocumentError
from ragyena.types import Document


def read(tmp_path: Path, notebook: Any) -> Document:
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps(notebook), encoding="utf-8")
    (document,) = load(path, IndexConfig())
    assert isinstance(document, Document)
    return document


def code(source: str, *outputs: dict[str, Any]) -> dict[str, Any]:
    return {"cell_type": "code", "source": source, "outputs": list(outputs)}


def test_cells_and_outputs_keep_their_kinds(tmp_path: Path) -> None:
    frame = (
        "<div><style>x</style><table><thead><tr><th></th><th>a</th></tr></thead><tr><th>0</th><td>5</td></tr></table>"
    )
    cells = [
        {"cell_type": "markdown", "source": ["Intro\n", "\n", "# Heron *study*\n", "\n", "|x|y|\n|-|-|\n|1|2|"]},
        code("df", {"output_type": "execute_result", "data": {"text/html": [frame], "text/plain": "   a\n0  5"}}),
        code("fit()", {"output_type": "stream", "text": ["10%\r", "100%\n", "\x1b[31mloss 0.5\x1b[0m"]}),
        code("plot()", {"output_type": "display_data", "data": {"image/png": "aGk=", "text/plain": "<Figure>"}}),
        code("1/0", {"output_type": "error", "ename": "ZeroDivisionError", "evalue": "division by zero"}),
        {"cell_type": "raw", "source": "raw text"},
    ]
    document = read(tmp_path, {"cells": cells, "metadata": {"language_info": {"name": "python"}}})
    assert document.text == (
        "Intro\n\n# Heron *study*\n\n\n\nx: 1; y: 2\n\ndf\n\n0; a: 5\n\nfit()\n\n100%\nloss 0.5\n\nplot()\n\n"
        "1/0\n\nZeroDivisionError: division by zero\n\nraw text"
    )
    assert document.title == "Heron study"
    assert document.metadata == {"programming_language": "python"}
    assert [document.text[h.start :].split("\n")[0] for h in document.headings] == ["# Heron *study*"]
    blocks = [(block.kind, document.text[block.start : block.end]) for block in document.blocks]
    assert blocks[:3] == [("table", "x: 1; y: 2"), ("code", "df"), ("table", "0; a: 5")]


def test_the_format_before_4_and_broken_cells(tmp_path: Path) -> None:
    cells: list[Any] = [
        {"cell_type": "heading", "level": 2, "source": "Old"},
        {"cell_type": "code", "input": "x = 1", "outputs": [{"output_type": "pyout", "text": ["7"]}]},
        None,
        {"cell_type": "code", "source": 5, "outputs": {"a": 1}},
    ]
    document = read(tmp_path, {"worksheets": [{"cells": cells}], "metadata": 3})
    assert document.text == "Old\n\nx = 1\n\n7"
    assert document.title == "Old"


@pytest.mark.parametrize("content", ["[]", '{"a": 1}', "{", "[" * 100_000, '{"cells": ' + "9" * 5000 + "}"])
def test_a_file_that_is_no_notebook_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.ipynb"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UnreadableDocumentError, match="is damaged, or"):
        list(load(path, IndexConfig()))
