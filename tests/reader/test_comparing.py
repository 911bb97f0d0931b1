"""A comparison shows both of the things compared."""

from __future__ import annotations

import numpy as np
import pytest

from ragyena.reader.comparing import compared_place
from ragyena.types import Context, PackingLog, Passage, ScoredPassage, Span

ROWS = (
    "Model: EPT 15; Load: 1500; Price: 2190\n"
    "Model: TX-16; Load: 1600; Price: 2450\n"
    "Model: Rambler; Load: 2000; Price: 1990\n\n"
    "The TX-16 was lent to us for two weeks. The yard is small."
)


def context(question: str) -> Context:
    passage = Passage(ROWS, 40, 40 + len(ROWS), 1, 5, None, "", (), "trucks.md")
    empty, mask = np.zeros((1, 1), np.int32), np.ones((1, 1), np.bool_)
    log, ids = PackingLog((), 8192, 1, 1, 1, 1), np.zeros(1, np.int32)
    return Context(question, ids, (ScoredPassage(passage, 1.0),), empty, mask, mask, empty, empty, log)


def span(text: str) -> Span:
    start = 40 + ROWS.index(text)
    return Span(0, 0, 1, start, start + len(text), text, 0.9)


@pytest.mark.parametrize(
    ("question", "answer", "quote", "expected"),
    [
        ("Which is lighter, the EPT 15 or the TX-16?", "EPT 15", 0, ROWS.splitlines()[1]),
        ("tx-16 or rambler: which carries more", "Rambler", 2, ROWS.splitlines()[1]),
        ("Does the TX-16 or the Rambler cost less?", "1990", 2, ROWS.splitlines()[1]),
        ("Which model is the lightest?", "EPT 15", 0, None),
        ("Which is lighter, the EPT 15 or the VX-1000?", "EPT 15", 0, None),
        ("How small or large is the yard?", "small", 4, None),
    ],
)
def test_the_other_side_is_the_row_likest_to_that_of_the_answer(
    question: str, answer: str, quote: int, expected: str | None
) -> None:
    place = compared_place(context(question), span(answer), ROWS.splitlines()[quote])
    assert (place and place.text) == expected
    if place:
        assert ROWS[place.start - 40 : place.end - 40] == place.text


def test_no_second_place_where_the_quote_holds_both() -> None:
    quote = "The EPT 15 costs 2190, the TX-16 2450."
    assert compared_place(context("Which is cheaper, EPT 15 or TX-16?"), span("EPT 15"), quote) is None
