"""The short questions of data/reports: verbatim, on documents to train on, of every answer type, and asked once."""

from __future__ import annotations

from question_rows import check_asked_once, check_verbatim, rows, shares


def test_questions_are_verbatim_on_documents_to_train_on() -> None:
    check_verbatim("reports", ("reports", "wider", "real"), least=1300)


def test_questions_are_short_of_every_type_and_asked_once() -> None:
    check_asked_once("reports", ("real", "wider", "contrast"))
    questions = rows("reports")
    assert sum(len(row["question"].split()) for row in questions) / len(questions) < 8
    types = shares(questions)
    assert set(types) == {"span", "list", "yes", "no", "compare", "none"}
    assert 0.55 < types["span"] < 0.7 and 0.12 < types["none"] < 0.2
