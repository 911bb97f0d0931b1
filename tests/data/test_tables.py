"""The questions on tables and lists of data/tables: their places, their texts, and that none was asked before."""

from __future__ import annotations

from collections import Counter, defaultdict

from question_rows import check_asked_once, check_verbatim, rows


def test_questions_on_documents_of_the_repository_are_verbatim_and_of_the_training_split() -> None:
    check_verbatim("tables", ("real", "wider", "reports", "tables"), least=3000)


def test_documents_are_of_no_other_folder_and_are_asked_about() -> None:
    own = {row["id"] for row in rows("tables", "documents")}
    assert own <= {row["document_id"] for row in rows("tables")}
    for folder in ("real", "wider", "reports"):
        assert not own & {row["id"] for row in rows(folder, "documents")}


def test_no_question_was_asked_before() -> None:
    check_asked_once("tables", ("real", "wider", "contrast", "reports"))


def test_a_sixth_has_no_answer_beside_questions_on_the_same_document_that_have_one() -> None:
    types: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows("tables"):
        types[row["document_id"]][row["answer_type"]] += 1
    total = sum(types.values(), Counter())
    assert 0.13 < total["none"] / total.total() < 0.2
    assert 0.12 < total["list"] / total.total() < 0.2
    assert all(document.total() > document["none"] for document in types.values())


def test_comparisons_quote_two_places_and_lists_two_items() -> None:
    for row in rows("tables"):
        if row["answer_type"] == "compare":
            assert len(row["evidence"]) >= 2, row["id"]
        elif row["answer_type"] == "list":
            assert len({tuple(place) for place in row["spans"]}) >= 2, row["id"]
