"""The questions of data/work: verbatim, on documents to train on, asked once, of every type."""

from __future__ import annotations

from question_rows import check_asked_once, check_verbatim, rows, shares


def test_questions_are_verbatim_on_documents_to_train_on() -> None:
    check_verbatim("work", ("work", "real", "wider"), least=10_500)
    own = {row["id"] for row in rows("work", "documents")}
    assert own <= {row["document_id"] for row in rows("work")}


def test_questions_are_short_of_every_type_and_asked_once() -> None:
    check_asked_once("work", ("real", "wider", "contrast", "reports", "tables", "twins", "papers"))
    questions = rows("work")
    assert sum(len(row["question"].split()) for row in questions) / len(questions) < 7.5
    types = shares(questions)
    assert set(types) == {"span", "list", "yes", "no", "compare", "none"}
    assert 0.45 < types["span"] < 0.6 and 0.1 < types["none"] < 0.15
