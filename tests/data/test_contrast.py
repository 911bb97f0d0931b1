"""The questions in pairs of data/contrast: their places, their texts, and that none is asked twice."""

from __future__ import annotations

import json
import lzma
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ragyena.data.document_questions import read_documents

DATA = Path(__file__).parents[2] / "data"
SHARED = Path(__file__).parents[3] / "shared" / "data"


def rows(path: Path) -> list[dict[str, Any]]:
    with lzma.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_questions_on_documents_of_the_repository_are_verbatim_and_of_the_training_split() -> None:
    given = read_documents(
        [str(DATA / "contrast" / "questions.jsonl.xz")], [str(DATA / "real" / "documents.jsonl.xz")], split="train"
    )
    documents = {row["id"]: row for row in rows(DATA / "real" / "documents.jsonl.xz")}
    assert len(given.questions) > 1000
    for question in given.questions:
        document = documents[question.document_id]
        assert document["split"] == "train"
        quoted = [document["text"][start:end] for start, end in question.spans]
        assert quoted == (list(question.answers) if question.spans else [])
        for start, end in (*question.near, *question.evidence):
            assert 0 <= start < end <= len(document["text"])
        assert bool(question.near) == (question.answer_type == "none")


def test_questions_are_unlike_each_other_and_half_have_no_answer() -> None:
    all_rows = [
        row
        for name in ("questions", "answerable", "unanswerable")
        for row in rows(DATA / "contrast" / f"{name}.jsonl.xz")
    ]
    assert len({row["id"] for row in all_rows}) == len(all_rows)
    asked = Counter((row.get("document_id") or row["passage_id"], row["question"].casefold()) for row in all_rows)
    assert max(asked.values()) == 1
    assert 0.35 < sum(not row["answers"] for row in all_rows) / len(all_rows) < 0.55


def test_answers_on_passages_stand_where_they_say() -> None:
    if not SHARED.is_dir():
        pytest.skip("the passages are not here: ../shared/data/qa")
    passages = {row["id"]: row for row in rows(SHARED / "qa" / "passages.jsonl.xz")}
    for row in rows(DATA / "contrast" / "answerable.jsonl.xz"):
        passage, start = passages[row["passage_id"]], row["answer_start"]
        assert passage["split"] == "train" and passage["context"][start:].startswith(row["answers"][0])
    for row in rows(DATA / "contrast" / "unanswerable.jsonl.xz"):
        assert passages[row["passage_id"]]["split"] == "train" and not row["answers"]
