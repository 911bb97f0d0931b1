"""The questions of data/search, as people type them into a search engine: verbatim, to train on, and asked once."""

from __future__ import annotations

from question_rows import check_asked_once, check_verbatim, rows, shares


def test_questions_are_verbatim_and_of_the_training_split() -> None:
    check_verbatim("search", ("search",), least=6000)


def test_each_document_is_asked_about_and_is_of_no_other_folder() -> None:
    own = {row["id"] for row in rows("search", "documents")}
    assert own == {row["document_id"] for row in rows("search")}
    for folder in ("real", "wider", "reports", "tables"):
        assert not own & {row["id"] for row in rows(folder, "documents")}


def test_no_question_is_asked_twice() -> None:
    check_asked_once("search", ())


def test_they_are_short_and_a_ninth_has_no_answer() -> None:
    questions = rows("search")
    words = [len(row["question"].split()) for row in questions]
    assert sum(words) / len(words) < 8
    assert 0.1 < shares(questions)["none"] < 0.14
    assert shares(questions)["span"] > 0.75
