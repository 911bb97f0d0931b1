"""The questions of data/twins: verbatim, on documents to train on, of every answer type, and asked once."""

from __future__ import annotations

from question_rows import check_asked_once, check_verbatim, rows, shares


def test_questions_are_verbatim_on_documents_to_train_on() -> None:
    check_verbatim("twins", ("wider", "real"), least=600)


def test_questions_are_of_every_type_and_asked_once() -> None:
    check_asked_once("twins", ("real", "wider", "contrast", "reports", "tables"))
    questions = rows("twins")
    types = shares(questions)
    assert set(types) == {"span", "list", "yes", "no", "compare", "none"}
    assert 0.55 < types["span"] < 0.7 and 0.14 < types["none"] < 0.22
    answerable = {row["document_id"] for row in questions if row["answer_type"] != "none"}
    assert {row["document_id"] for row in questions} == answerable, "an unanswerable question stands beside others"
