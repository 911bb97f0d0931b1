"""Shares of a question's words around an answer."""

from __future__ import annotations

import numpy as np
import pytest

from ragyena import recipes
from ragyena.config import PackerConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.reader.packing import pack
from ragyena.reader.wording import wording
from ragyena.types import Context, Passage, ScoredPassage, Span

TOKENIZER = Tokenizer.from_folder(recipes.asset("reader"))
EVEN = np.ones(30522, np.float32)


def asked(question: str, *texts: str, title: str = "") -> Context:
    candidates = [
        ScoredPassage(Passage(text, 50, 50 + len(text), 1, 1, None, title, (), f"{i}.txt", passage_id=i), 1.0 - i / 10)
        for i, text in enumerate(texts)
    ]
    return pack(question, candidates, TOKENIZER, PackerConfig(near_duplicate=1.0), max_question_tokens=32)


def span(context: Context, slot: int, text: str) -> Span:
    passage = context.passages[slot].passage
    start = passage.start + passage.text.index(text)
    return Span(slot, 0, 1, start, start + len(text), text, 0.5)


def test_words_count_in_the_answers_own_sentence_and_in_any_passage() -> None:
    context = asked("bridge built stone castle", "The bridge was built in 1932. The inn is of stone.", "A mill.")
    near = wording(context, span(context, 0, "1932"), EVEN)
    assert near == {"covered": 0.5, "asked": 0.75}
    assert wording(context, span(context, 0, "inn"), EVEN)["covered"] == 0.25
    assert wording(context, span(context, 1, "mill"), EVEN) == {"covered": 0.0, "asked": 0.75}


def test_the_header_of_the_passage_counts_as_said() -> None:
    context = asked("bridge built castle", "It was built in 1932.", title="Castle")
    assert wording(context, span(context, 0, "1932"), EVEN)["covered"] == pytest.approx(2 / 3)


def test_rare_words_weigh_more() -> None:
    context = asked("bridge built", "It was built in 1932. A bridge fell.")
    weights = EVEN.copy()
    weights[TOKENIZER.vocabulary()["bridge"]] = 3.0
    assert wording(context, span(context, 0, "1932"), weights)["covered"] == pytest.approx(0.25)


def test_no_answer_covers_nothing() -> None:
    assert wording(asked("bridge", "A mill."), None, EVEN) == {"covered": 0.0, "asked": 0.0}
