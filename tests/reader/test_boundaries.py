"""Answers grown to whole words."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from text_strategies import wild_text

from ragyena.reader.boundaries import whole_words


@pytest.mark.parametrize(
    ("text", "marked", "whole"),
    [
        ("It is best to set Connection.row_factory, so that it holds.", "Connection", "Connection.row_factory"),
        ("- mod_unique_id: gives each request an id", "unique_id", "mod_unique_id"),
        ("Call CGIXMLRPCRequestHandler.handle_request() then.", "ler", "CGIXMLRPCRequestHandler.handle_request"),
        ("Use --keep-empty here.", "keep", "--keep-empty"),
        ("Write to swifts@hollin-birds.example by May.", "swifts@hollin", "swifts@hollin-birds.example"),
        ("The mail host is smtp-2.museum.example.", "example", "smtp-2.museum.example"),
        ("They paid £1,234.50 in all.", "234", "£1,234.50"),
        ("They paid £500 in all.", "500", "£500"),
        ("It fell by 3.5% then.", "5", "3.5%"),
        ("Open from 10:30 to 12.", "30", "10:30"),
        ("The battery P500 (504 Wh) is under the box.", "P500 (504 Wh", "P500 (504 Wh)"),
        ("Bin: M-6; Price: 59.90 EUR", "EUR", "59.90 EUR"),
        ("It costs CHF 1,250.00 a year.", "CHF", "CHF 1,250.00"),
        ("The term is 18 months.", "months", "18 months"),
        ("Life (2200 K: 110 lm/W). More.", "110 lm/W)", "110 lm/W"),
    ],
)
def test_a_word_that_is_cut_is_completed(text: str, marked: str, whole: str) -> None:
    start = text.index(marked)
    first, last = whole_words(text, start, start + len(marked))
    assert text[first:last] == whole


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("It goes to Henk's phone.", "Henk"),
        ("for _up to two years_ if", "up to two years"),
        ("MX-15,115,190,420,500", "115"),
        ("from DMZ:10.1.6.140 to", "10.1.6.140"),
        ("open Mon–Fri only", "Mon"),
        ("red/green lamps", "green"),
        ("It fell. Then it rose.", "fell"),
        ("Net loss (364) thousand", "(364)"),
        ("a (b) c) d", "(b) c"),
        ("as in section 12 C of it", "C"),
        ("Price in EUR: 12", "EUR"),
        ("It opened in 2019 (Leeds).", "(Leeds)"),
    ],
)
def test_what_is_whole_stays(text: str, marked: str) -> None:
    start = text.index(marked)
    assert whole_words(text, start, start + len(marked)) == (start, start + len(marked))


@given(wild_text, st.integers(0, 200), st.integers(0, 60))
@example("see [3])", 5, 3)
@example("ab])", 0, 4)
def test_an_answer_never_loses_more_than_a_bracket_of_each_kind(text: str, start: int, length: int) -> None:
    start = min(start, len(text))
    end = min(start + length, len(text))
    first, last = whole_words(text, start, end)
    assert 0 <= first <= start and last <= len(text)
    assert last >= end or text[last:end] in {")", "]", "])"}
