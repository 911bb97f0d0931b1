"""Misspelt questions: one error in each long word, always the same ones."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from ragyena.eval.misspelt import misspelt

QUESTION = "When did Anna's bridge over the Göta river, built in 1893, collapse?"


def one_error(right: str, wrong: str) -> bool:
    if len(right) == len(wrong):
        differing = [place for place in range(len(right)) if right[place] != wrong[place]]
        return len(differing) <= 1 or (
            len(differing) == 2 and sorted(right[p] for p in differing) == sorted(wrong[p] for p in differing)
        )
    short, long = sorted((right, wrong), key=len)
    return any(long[:place] + long[place + 1 :] == short for place in range(len(long)))


def test_by_hand() -> None:
    wrong = misspelt(QUESTION, 0)
    assert wrong == misspelt(QUESTION, 0) != misspelt(QUESTION, 1)
    assert misspelt(QUESTION, 0, share=0.0) == QUESTION
    right_words, wrong_words = (re.findall(r"\S+", text) for text in (QUESTION, wrong))
    assert len(right_words) == len(wrong_words)
    for right, other in zip(right_words, wrong_words):
        if not re.search("[A-Za-z]{4}", right):
            assert other == right
        else:
            assert one_error(right, other)
    assert sum(a != b for a, b in zip(right_words, wrong_words)) >= 5


@given(st.text(max_size=80), st.integers())
def test_any_question(question: str, seed: int) -> None:
    wrong = misspelt(question, seed)
    kept = re.sub("[A-Za-z]", "", question)
    assert re.sub("[A-Za-z]", "", wrong) == kept
