"""Phrases of questions by their function words."""

from __future__ import annotations

import pytest

from ragyena.reader.question_phrases import name_phrases, noun_phrases


def texts(question: str, places: list[tuple[int, int]]) -> list[str]:
    words = question.split()
    return [" ".join(words[start:end]) for start, end in places]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How much does the small pump weigh", ["the small pump"]),
        ("What is the deposit for the flat in Lissing", ["the deposit", "the flat", "Lissing"]),
        ("How many days of leave do contractors get", ["days", "leave", "contractors"]),
        ("why", []),
    ],
)
def test_noun_phrases(question: str, expected: list[str]) -> None:
    assert texts(question, noun_phrases(question.split())) == expected


def test_names_are_runs_of_capitals_after_the_first_word() -> None:
    question = "Which Acme pumps does Ada Stone sell in New York"
    assert texts(question, name_phrases(question.split())) == ["Acme", "Ada Stone", "New York"]
