"""Cloze questions: blanks that recur."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from ragyena.data.clozes import KINDS, clozes, mentions

TEXT = (
    "Anna Weber founded the Salzburg Observatory in 1872 with her own money. The observatory was led by Weber until "
    "her death on 3 May 1901, when it held 412 instruments. In 1902 the city of Salzburg took it over."
)


def mentioned(text: str) -> list[tuple[str, str]]:
    return [(text[start:end], kind) for start, end, kind in mentions(text)]


def test_names_dates_and_numbers_are_distinguished() -> None:
    assert mentioned("In 1872 the Duke of York met 412 men in Bergen on 3 May 1901.") == [
        ("1872", "date"),
        ("Duke of York", "name"),
        ("412", "number"),
        ("Bergen", "name"),
        ("3 May 1901", "date"),
    ]
    assert mentioned("The When It") == []


def test_a_cloze_question_blanks_a_span_of_one_of_its_sentences() -> None:
    questions = clozes(TEXT, random.Random(0), 3)
    assert len(questions) == 3 and len({cloze.sentence for cloze in questions}) == 3
    for cloze in questions:
        assert cloze.kind in KINDS
        assert cloze.sentence[0] <= cloze.answer[0] < cloze.answer[1] <= cloze.sentence[1]
    recurring = [cloze for cloze in questions if cloze.elsewhere]
    assert questions[: len(recurring)] == recurring  # those first
    for cloze in recurring:
        assert cloze.elsewhere is not None
        start, end = cloze.elsewhere
        assert TEXT[start:end] == TEXT[slice(*cloze.answer)]
        assert end <= cloze.sentence[0] or start >= cloze.sentence[1]
    assert {TEXT[slice(*cloze.answer)] for cloze in recurring} <= {"Salzburg", "Weber"}


@given(text=st.text(max_size=300), most=st.integers(0, 4), seed=st.integers(0, 9))
def test_any_text_gives_valid_clozes_or_none(text: str, most: int, seed: int) -> None:
    questions = clozes(text, random.Random(seed), most)
    assert len(questions) <= most
    for cloze in questions:
        assert 0 <= cloze.sentence[0] <= cloze.answer[0] < cloze.answer[1] <= cloze.sentence[1] <= len(text)
