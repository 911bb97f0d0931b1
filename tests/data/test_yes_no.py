"""The questions of data/yes-no: verbatim, on documents to train on, half of them yes, and asked once."""

from __future__ import annotations

from collections import defaultdict

from question_rows import check_asked_once, check_verbatim, rows, shares


def test_questions_are_verbatim_on_documents_to_train_on() -> None:
    check_verbatim("yes-no", ("wider", "real", "work", "search", "papers", "reports"), least=3000)


def test_questions_are_half_yes_and_asked_once() -> None:
    check_asked_once("yes-no", ("real", "wider", "contrast", "work", "papers", "search"))
    questions = rows("yes-no")
    types = shares(questions)
    assert set(types) == {"yes", "no"} and 0.47 < types["yes"] < 0.53
    answers = defaultdict(set)
    for row in questions:
        answers[row["document_id"], *row["evidence"][0]].add(row["answer_type"])
    assert all(row["evidence"] and row["answers"] == [row["answer_type"]] for row in questions)
    both = sum(len(answers[row["document_id"], *row["evidence"][0]]) == 2 for row in questions)
    assert both > 0.6 * len(questions), "most share their evidence with one of the other answer"
