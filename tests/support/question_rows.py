"""The questions of the folders under ``data/``, and what must hold of each: verbatim, to train on, and asked once."""

from __future__ import annotations

import json
import lzma
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ragyena.data.document_questions import read_documents

DATA = Path(__file__).parents[2] / "data"


def rows(folder: str, name: str = "questions") -> list[dict[str, Any]]:
    """The rows of a folder's ``questions.jsonl.xz`` or ``documents.jsonl.xz``."""
    with lzma.open(DATA / folder / f"{name}.jsonl.xz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def check_verbatim(folder: str, documents_of: Sequence[str], *, least: int) -> None:
    """Assert that at least so many questions of a folder are on documents of the split ``train`` of ``documents_of``,
    and that these stand where they say. Those on documents that are not in the repository are left out."""
    files = [str(DATA / each / "documents.jsonl.xz") for each in documents_of]
    given = read_documents([str(DATA / folder / "questions.jsonl.xz")], files, split="train")
    documents = {row["id"]: row for each in documents_of for row in rows(each, "documents")}
    assert len(given.questions) > least
    for question in given.questions:
        document = documents[question.document_id]
        assert document["split"] == "train"
        quoted = [document["text"][start:end] for start, end in question.spans]
        assert quoted == list(question.answers if question.answer_type == "list" else question.answers[: len(quoted)])
        for start, end in (*question.near, *question.evidence):
            assert 0 <= start < end <= len(document["text"])
        assert bool(question.near) == (question.answer_type == "none")


def check_asked_once(folder: str, others: Sequence[str]) -> None:
    """Assert that ids are unique, and that no question is asked twice of a document, in ``others`` neither."""
    questions = rows(folder)
    assert len({row["id"] for row in questions}) == len(questions)
    asked = Counter(
        (row["document_id"], row["question"].casefold()) for each in (folder, *others) for row in rows(each)
    )
    assert all(asked[row["document_id"], row["question"].casefold()] == 1 for row in questions)


def shares(questions: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The fraction of each answer type."""
    return {name: n / len(questions) for name, n in Counter(row["answer_type"] for row in questions).items()}
