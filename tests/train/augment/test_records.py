"""Synthetic records: answers stand at their offsets, under their labels."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragyena.data.qa_files import ContextRow
from ragyena.train.augment.records import KINDS, SOURCE, _fill, _Kind, definitions, synthetic_records

NAMES = ["Anna Weber", "Turin", "Lake Erie", "Krakow", "Otto"]


@settings(max_examples=20)
@given(count=st.integers(0, 30), names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=5))
def test_answers_stand_where_they_are_said_to(count: int, names: list[str]) -> None:
    contexts, questions = synthetic_records(count, names, ["A piece of prose."])
    texts = {row.id: row.text for row in contexts}
    assert len(contexts) == count == len(texts)
    for question in questions:
        (answer,) = question.answers
        assert texts[question.context_id or ""][question.answer_start :].startswith(answer)
        assert "<" not in question.question + answer and question.question.endswith("?")


def test_the_subject_of_every_question_is_named() -> None:
    """By the title of its record, or in its row of the table."""
    contexts, questions = synthetic_records(200, NAMES, [])
    rows = {row.id: row for row in contexts}
    for question in questions:
        row = rows[question.context_id or ""]
        line_start = row.text.rfind("\n", 0, question.answer_start) + 1
        line = row.text[line_start : question.answer_start]
        assert row.title in question.question or any(
            name.strip() in question.question for name in re.findall(r"(?:Name: |\| |^)([^|;\t]+)", line)
        )


def test_the_same_documents_every_time_and_a_file_of_them_is_no_copy() -> None:
    first, again = synthetic_records(40, NAMES, ["x"]), synthetic_records(40, NAMES, ["x"])
    assert first == again
    assert len({row.text for row in first[0]}) == 40 and {row.source for row in first[0]} == {SOURCE}


@pytest.mark.parametrize("kind", KINDS, ids=[kind.names[0] for kind in KINDS])
def test_every_field_has_questions_and_values(kind: _Kind) -> None:
    for field in kind.fields:
        assert field.labels and field.questions and all("{}" in question for question in field.questions)
        value = _fill(field.value, NAMES, random.Random(0))
        assert value and not set("<>") & set(value)


def test_definitions_are_quoted_from_their_text() -> None:
    texts = [
        "The femur is the single bone of the thigh, and it is long.",
        "Ada Oduya was a Norwegian speed skater who won twice.",
        "It is a long way from here to anywhere else at all.",
        "But what he saw is the end of a long and winding story.",
    ]
    rows = [ContextRow(str(i), "t", text, "s") for i, text in enumerate(texts)]
    result = definitions(rows, 10)
    assert [(q.question, q.answers[0]) for q in result] == [
        ("What is the femur?", "the single bone of the thigh"),
        ("What was Ada Oduya?", "a Norwegian speed skater who won twice"),
    ]
    for question, text in zip(result, texts):
        assert text[question.answer_start :].startswith(question.answers[0])
    assert len(definitions(rows, 1)) == 1
