"""The questions of data/work: verbatim, on documents of their own, asked once, of every type."""

from __future__ import annotations

from question_rows import check_asked_once, check_verbatim, rows, shares


def test_questions_are_verbatim_on_documents_of_their_own() -> None:
    check_verbatim("work", ("work",), least=7000)
    own = {row["id"] for row in rows("work", "documents")}
    assert own == {row["document_id"] for row in rows("work")}


def test_questions_are_short_of_every_type_and_asked_once() -> None:
    check_asked_once("work", ())
    questions = rows("work")
    assert sum(len(row["question"].split()) for row in questions) / len(questions) < 7
    types = shares(questions)
    assert set(types) == {"span", "list", "yes", "no", "compare", "none"}
    assert 0.55 < types["span"] < 0.65 and 0.08 < types["none"] < 0.15
