"""The questions of data/twins: verbatim, on documents to train on, of every answer type, and asked once."""

from __future__ import annotations

import json
import lzma
from collections import Counter
from pathlib import Path
from typing import Any

from ragyena.data.document_questions import read_documents

DATA = Path(__file__).parents[2] / "data"
FOLDERS = ("wider", "real")
"""The documents that are in the repository; the others are in the user's ``DATA``."""


def rows(path: Path) -> list[dict[str, Any]]:
    with lzma.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_questions_are_verbatim_on_documents_to_train_on() -> None:
    paths = [str(DATA / folder / "documents.jsonl.xz") for folder in FOLDERS]
    given = read_documents([str(DATA / "twins" / "questions.jsonl.xz")], paths, split="train")
    documents = {row["id"]: row for folder in FOLDERS for row in rows(DATA / folder / "documents.jsonl.xz")}
    assert len(given.questions) > 600
    for question in given.questions:
        document = documents[question.document_id]
        assert document["split"] == "train"
        quoted = [document["text"][start:end] for start, end in question.spans]
        if question.answer_type == "list":
            assert quoted == list(question.answers)
        elif question.spans:
            assert quoted[0] == question.answers[0]
        for start, end in (*question.near, *question.evidence):
            assert 0 <= start < end <= len(document["text"])
        assert bool(question.near) == (question.answer_type == "none")


def test_questions_are_of_every_type_and_asked_once() -> None:
    questions = rows(DATA / "twins" / "questions.jsonl.xz")
    assert len({row["id"] for row in questions}) == len(questions)
    others = ("real", "wider", "contrast", "reports", "tables")
    before = [row for name in others for row in rows(DATA / name / "questions.jsonl.xz")]
    asked = Counter((row["document_id"], row["question"].casefold()) for row in (*before, *questions))
    assert all(asked[row["document_id"], row["question"].casefold()] == 1 for row in questions)
    shares = {name: count / len(questions) for name, count in Counter(row["answer_type"] for row in questions).items()}
    assert set(shares) == {"span", "list", "yes", "no", "compare", "none"}
    assert 0.55 < shares["span"] < 0.7 and 0.14 < shares["none"] < 0.22
    answerable = {row["document_id"] for row in questions if row["answer_type"] != "none"}
    assert {row["document_id"] for row in questions} == answerable, "an unanswerable question stands beside others"
