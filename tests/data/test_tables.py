"""The questions on tables and lists of data/tables: their places, their texts, and that none was asked before."""

from __future__ import annotations

import json
import lzma
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from ragyena.data.document_questions import read_documents

DATA = Path(__file__).parents[2] / "data"
FOLDERS = ("real", "wider", "reports", "tables")


def rows(path: Path) -> list[dict[str, Any]]:
    with lzma.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_questions_on_documents_of_the_repository_are_verbatim_and_of_the_training_split() -> None:
    files = [str(DATA / folder / "documents.jsonl.xz") for folder in FOLDERS]
    given = read_documents([str(DATA / "tables" / "questions.jsonl.xz")], files, split="train")
    documents = {row["id"]: row for file in files for row in rows(Path(file))}
    assert len(given.questions) > 3000
    for question in given.questions:
        document = documents[question.document_id]
        assert document["split"] == "train"
        quoted = [document["text"][start:end] for start, end in question.spans]
        assert quoted == list(question.answers if question.answer_type == "list" else question.answers[: len(quoted)])
        for start, end in (*question.near, *question.evidence):
            assert 0 <= start < end <= len(document["text"])
        assert bool(question.near) == (question.answer_type == "none")


def test_documents_are_of_no_other_folder_and_are_asked_about() -> None:
    own = {row["id"] for row in rows(DATA / "tables" / "documents.jsonl.xz")}
    assert own <= {row["document_id"] for row in rows(DATA / "tables" / "questions.jsonl.xz")}
    for folder in ("real", "wider", "reports"):
        assert not own & {row["id"] for row in rows(DATA / folder / "documents.jsonl.xz")}


def test_no_question_was_asked_before() -> None:
    asked = Counter(
        (row["document_id"], row["question"].casefold()) for row in rows(DATA / "tables" / "questions.jsonl.xz")
    )
    assert max(asked.values()) == 1
    for folder in ("real", "wider", "contrast", "reports"):
        before = rows(DATA / folder / "questions.jsonl.xz")
        assert not {(row["document_id"], row["question"].casefold()) for row in before} & set(asked)


def test_a_sixth_has_no_answer_beside_questions_on_the_same_document_that_have_one() -> None:
    types: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows(DATA / "tables" / "questions.jsonl.xz"):
        types[row["document_id"]][row["answer_type"]] += 1
    total = sum(types.values(), Counter())
    assert 0.13 < total["none"] / total.total() < 0.2
    assert 0.12 < total["list"] / total.total() < 0.2
    assert all(document.total() > document["none"] for document in types.values())


def test_comparisons_quote_two_places_and_lists_two_items() -> None:
    for row in rows(DATA / "tables" / "questions.jsonl.xz"):
        if row["answer_type"] == "compare":
            assert len(row["evidence"]) >= 2, row["id"]
        elif row["answer_type"] == "list":
            assert len({tuple(place) for place in row["spans"]}) >= 2, row["id"]
