"""Documents of a table and linked articles: rows read, rows left out and reported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ragyena.data.hybrid import HybridDocument, parts, read_hybrid
from ragyena.data.qa_files import ContextRow
from ragyena.errors import PathNotFoundError

ARTICLES = {
    "a": ContextRow("a", "Ada Quist", "Ada Quist was born in Riga.", "wiki"),
    "b": ContextRow("b", "Boris Marlow", "Boris Marlow was born in Turin.", "wiki"),
}
DOCUMENT = {
    "id": "d1", "title": "Rowers", "section": "Winners", "intro": "A list.", "split": "train",
    "rows": ["Year: 1901; Rower: Ada Quist", "Year: 1902; Rower: Boris Marlow"], "passages": ["a", "b"],
}  # fmt: skip


def write(path: Path, rows: list[object]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_every_row_is_read_or_named(tmp_path: Path) -> None:
    question = {"id": "q1", "doc_id": "d1", "question": "Where?", "answers": ["Riga"], "split": "train"}
    documents = write(
        tmp_path / "d.jsonl", [DOCUMENT, DOCUMENT | {"id": "d2", "passages": ["nowhere"]}, {"title": "x"}]
    )
    questions = write(
        tmp_path / "q.jsonl",
        [question, question | {"id": "q2", "split": "dev"}, question | {"id": "q3", "doc_id": "d2"},
         question | {"id": "q4", "answers": []}],
    )  # fmt: skip
    result = read_hybrid([questions], [documents], ARTICLES, split="train")
    assert [q.id for q in result.questions] == ["q1"] and list(result.documents) == ["d1"]
    assert len(result.problems) == 4
    assert "nowhere" in result.problems[0] and "'id'" in result.problems[1]
    assert "d2" in result.problems[2] and "'answers'" in result.problems[3]
    assert [q.id for q in read_hybrid([questions], [documents], ARTICLES, split="dev").questions] == ["q2"]


def test_a_document_is_its_introduction_its_table_and_its_articles() -> None:
    texts = parts(HybridDocument.model_validate(DOCUMENT), ARTICLES)
    assert [text.title for text in texts] == ["Rowers", "Rowers", "Ada Quist", "Boris Marlow"]
    assert texts[1].text.splitlines() == DOCUMENT["rows"] and texts[1].headings[0].text == "Winners"
    bare = HybridDocument.model_validate({"id": "d", "rows": ["A: b"]})
    assert [text.text for text in parts(bare, {})] == ["A: b"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PathNotFoundError, match="absent"):
        read_hybrid([], [str(tmp_path / "absent.jsonl")], ARTICLES, split="train")
