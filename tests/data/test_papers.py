"""The questions of data/papers: verbatim, on documents to train on, asked once, and often on two places."""

from __future__ import annotations

from question_rows import check_asked_once, check_verbatim, rows, shares


def test_questions_are_verbatim_on_documents_to_train_on() -> None:
    check_verbatim("papers", ("papers", "real", "wider", "tables"), least=2900)


def test_documents_are_of_no_other_folder_and_are_asked_about() -> None:
    own = {row["id"] for row in rows("papers", "documents")}
    assert own <= {row["document_id"] for row in rows("papers")}
    for folder in ("real", "wider", "reports", "tables", "search"):
        assert not own & {row["id"] for row in rows(folder, "documents")}


def test_questions_are_short_of_every_type_and_asked_once() -> None:
    check_asked_once("papers", ("real", "wider", "contrast", "reports", "tables", "twins"))
    questions = rows("papers")
    assert sum(len(row["question"].split()) for row in questions) / len(questions) < 8.5
    types = shares(questions)
    assert set(types) == {"span", "list", "yes", "no", "compare", "none"}
    assert 0.5 < types["span"] < 0.6 and 0.1 < types["none"] < 0.15


def test_a_fifth_of_the_spans_and_all_comparisons_have_evidence_in_two_places() -> None:
    questions = rows("papers")
    assert all(len(row["evidence"]) >= 2 for row in questions if row["answer_type"] == "compare")
    spans = [row for row in questions if row["answer_type"] == "span"]
    assert sum(len(row["evidence"]) >= 2 for row in spans) > 0.2 * len(spans)
