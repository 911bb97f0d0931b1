"""Questions with answers as people write them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ragyena.errors import DataError, PathNotFoundError
from ragyena.tune.questions import read_own_questions


def written(tmp_path: Path, *rows: object) -> Path:
    path = tmp_path / "my.jsonl"
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_every_form_of_an_answer(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {"question": "When?", "answer": " in  1932 ", "document": "bridge.md", "quote": "built in 1932"},
        {"question": "Which tools?", "answer": ["saw", "file"]},
        {"question": "May I?", "answer": "No."},
        {"question": "Must I?", "answer": True},
        {"question": "How many?", "answer": 3},
        {"question": "Who pays?", "answer": None},
        {"question": "How long?", "answers": ["ten minutes", "10 min"]},
        {"question": "Which towns?", "answers": ["Riga", "Tallinn"], "answer_type": "list", "id": "x1"},
        {"question": "Which dog?", "answer": ["a poodle"]},
    )
    questions, problems = read_own_questions(path)
    assert not problems
    assert [(one.answer_type, one.answers) for one in questions] == [
        ("span", ("in 1932",)),
        ("list", ("saw", "file")),
        ("no", ("no",)),
        ("yes", ("yes",)),
        ("span", ("3",)),
        ("none", ()),
        ("span", ("ten minutes", "10 min")),
        ("list", ("Riga", "Tallinn")),
        ("span", ("a poodle",)),
    ]
    assert (questions[0].line, questions[0].document, questions[0].quote) == (1, "bridge.md", "built in 1932")


def test_rows_that_are_no_questions_are_named_by_line_and_the_rest_goes_on(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {"question": "When was it built?", "answer": "1932"},
        "{not json",
        {"question": "Who?"},
        {"question": " ?", "answer": "x"},
        {"question": "Who?", "answer": {"text": "x"}},
        {"question": "Who?", "answer": ["", "x"]},
        {"question": "when was  it built?", "answer": "1933"},
        {"question": "Who?", "answer": "x", "document": 3},
        {"question": "Who?", "answers": ["x"], "answer_type": "none"},
    )
    questions, problems = read_own_questions(path)
    assert [one.question for one in questions] == ["When was it built?"]
    assert [problem.split(":")[0] for problem in problems] == [f"line {n}" for n in range(2, 10)]
    assert "no 'answer'" in problems[1] and "no 'question'" in problems[2] and "asks what line 1 asks" in problems[5]


def test_a_file_without_a_usable_row_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no question with an answer; line 1: no 'answer'"):
        read_own_questions(written(tmp_path, {"question": "When?", "id": 1}))
    with pytest.raises(PathNotFoundError):
        read_own_questions(tmp_path / "absent.jsonl")
