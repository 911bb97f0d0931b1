"""Questions on documents: read, checked against the text, and documents written as files and loaded again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ragyena.data.document_questions import (
    DocumentQuestion,
    DocumentQuestions,
    load_documents,
    read_documents,
    write_files,
)
from ragyena.data.qa_files import ContextRow
from ragyena.errors import DataError

TEXT = "# Opening hours\n\nThe pool opens at seven and closes at nine.\n\n## Prices\n\nA day ticket costs 4.50.\n"


def rows(path: Path, values: list[dict[str, object]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in values), encoding="utf-8")
    return str(path)


def question(number: int, **values: object) -> dict[str, object]:
    start = TEXT.index("seven")
    given: dict[str, object] = {
        "id": f"q{number}", "source": "everyday", "document_id": "pool", "question": "From when can I swim?",
        "answers": ["seven"], "answer_type": "span", "spans": [[start, start + 5]], "split": "train",
    }  # fmt: skip
    return given | values


def documents(tmp_path: Path) -> str:
    pool = {"id": "pool", "source": "everyday", "title": "Lido: hours/prices", "text": TEXT, "split": "train"}
    return rows(tmp_path / "documents.jsonl", [pool, pool | {"id": "other", "split": "dev"}])


def test_rows_of_a_split_are_kept_and_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    given = [
        question(0),
        question(1, document_id="other", split="dev"),
        question(2, spans=[[3, 10_000]]),
        question(3, answers=[], answer_type="span"),
        question(4, document_id="nowhere"),
        question(5, answers=[], spans=[], answer_type="none", near=[[0, 5]]),
    ]
    found = read_documents([rows(tmp_path / "q.jsonl", given)], [documents(tmp_path)], split="train")
    assert [row.id for row in found.questions] == ["q0", "q5"]
    assert list(found.documents) == ["pool"]
    said = " ".join(found.problems)
    assert len(found.problems) == 3 and "no stretch" in said and "nowhere" in said


def test_files_without_a_usable_question_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="can be used"):
        read_documents([rows(tmp_path / "q.jsonl", [{"id": "x"}])], [documents(tmp_path)], split="train")


def given(*rows: ContextRow, questions: tuple[DocumentQuestion, ...] = ()) -> DocumentQuestions:
    return DocumentQuestions(questions, {row.id: row for row in rows})


def test_documents_are_loaded_as_files_are() -> None:
    plain = ContextRow("plain", "Lido: hours/prices", "No headings here.\n", "everyday")
    loaded = load_documents(given(ContextRow("pool", "Lido: hours/prices", TEXT, "everyday"), plain))
    assert not loaded.problems and loaded.documents["pool"].text == TEXT
    assert [heading.text for heading in loaded.documents["pool"].headings] == ["Opening hours", "Prices"]
    assert loaded.documents["plain"].title == "Lido hours prices" and not loaded.documents["plain"].headings


def test_a_table_in_a_document_without_headings_names_its_columns_in_each_row() -> None:
    text = "Pumps\n\nModel | Weight\n--- | ---\nV-20 | 5 kg\n"
    spans = ((text.index("5 kg"), text.index("5 kg") + 4),)
    row = DocumentQuestion(
        id="q", source="s", document_id="pumps", question="how heavy", answers=("5 kg",), answer_type="span",
        spans=spans,
    )  # fmt: skip
    loaded = load_documents(given(ContextRow("pumps", "Pumps", text, "s"), questions=(row,)))
    document = loaded.documents["pumps"]
    assert document.text.endswith("Model: V-20; Weight: 5 kg\n")
    ((start, end),) = loaded.questions[0].spans
    assert document.text[start:end] == "5 kg"


def test_places_follow_what_a_loader_changes() -> None:
    text = "# Pumps\n\n| Model | Weight |\n|---|---|\n| V-20 | **3.9 kg** |\n| V-30 | 5 kg |\n"
    spans = tuple((text.index(word), text.index(word) + len(word)) for word in ("3.9 kg", "V-30", "**3.9 kg**"))
    row = DocumentQuestion(
        id="q", source="s", document_id="pumps", question="how heavy", answers=("3.9 kg",), answer_type="span",
        spans=spans[:1], evidence=spans,
    )  # fmt: skip
    loaded = load_documents(given(ContextRow("pumps", "Pumps", text, "s"), questions=(row,)))
    document = loaded.documents["pumps"]
    assert document.text != text and "Model: V-30; Weight: 5 kg" in document.text
    (moved,) = loaded.questions
    assert [document.text[start:end] for start, end in moved.spans] == ["3.9 kg"]
    assert [document.text[start:end].strip("*") for start, end in moved.evidence] == ["3.9 kg", "V-30", "3.9 kg"]


def test_documents_of_one_title_become_files_of_their_own(tmp_path: Path) -> None:
    some = [ContextRow(str(number), "Same", f"Text {number}", "s") for number in range(3)]
    written = write_files(some, tmp_path)
    assert sorted(written.values()) == ["0", "1", "2"]
    assert {path.read_text(encoding="utf-8") for path in written} == {row.text for row in some}
