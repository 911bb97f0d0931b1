"""Borders of sentences, lines and paragraphs."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from text_strategies import wild_text

from ragyena.documents.sentences import REACH, Border, borders, sentence_span


def parts(text: str) -> list[str]:
    offsets = [0, *(offset for offset, _ in borders(text)), len(text)]
    return [text[start:end].strip() for start, end in pairwise(offsets)]


@pytest.mark.parametrize(
    "sentences",
    [
        ["Dr. Smith met Mr. J. Jones at 5 p.m. on Jan. 5.", "He left the U.S. in 1990.", "See Fig. 3 for more."],
        ["The U.S. Army bought it from Stone & Co. Ltd. in May.", "They paid $3.50, i.e. little.", "Yes!", "Really?"],
        ['"It is lit," she said.', '"No."', "He left (at 3.15 a.m. sharp).", "It was 9 p.m.", "The lamp went out."],
        ["The tower is 49 m tall.[1]", "It was built in 1882.[2][3]", "Version 2.0 of node.js is out."],
        ["Wait... what?", "I don't know…", "Maybe."],
        ["She lived at 5 St. James St. near No. 10 for years, cf. p. 12.", "Then she left."],
        ["Das kostet z.B. 3 Mark.", "Er kam an."],
        ["Meant by 5 U.S.C. 552 and Pub. L. 97-258, 96 Stat. 877.", "See 17 C.F.R. 240 too."],
        ["Call Rosalind (ext. 23), opp. 51.", "We met at the pub.", "She left the app.", "It is 4 m from the Sun."],
        ["The mast is 6.4 m.", "Folding takes 5 min.", "Wait 12 h.", "J. 5 m.", "T. Hill came."],
        ["The square root of X.", "The root is real.", "A note by K. Younger."],
        ["Bring tools, nails, etc.", "Regrind goes to the lid, wood etc. to the stove."],
        ["Is it sold?", "No.", "Regrind goes only to the pot lid.", "See part no. VT-20118."],
        ["It left on 04.02. 21:37.", "It came on 05.02.", "All were well."],
        ["ALTER TABLE ... SET STORAGE and [, ...] ] do it.", "Then ...", "The end."],
    ],
)
def test_abbreviations_numbers_and_quotes(sentences: list[str]) -> None:
    assert parts(" ".join(sentences)) == sentences


def test_cjk_needs_no_space() -> None:
    assert parts("灯台は高い。石でできている！「本当？」と聞いた。") == [
        "灯台は高い。",
        "石でできている！",
        "「本当？」",
        "と聞いた。",
    ]


def test_wrapped_lines_are_one_sentence_and_items_are_not() -> None:
    text = (
        "# Head\n"
        "The first line of a paragraph that was wrapped at a column and\n"
        "Goes on here in the next line.\n"
        "- one item\n- an item that\n  goes on\n1. first\n2. second\n\n"
        "| a | b |\n|---|---|\n| 1 | 2 |\nAfter it."
    )
    assert parts(text) == [
        "# Head",
        "The first line of a paragraph that was wrapped at a column and\nGoes on here in the next line.",
        "- one item",
        "- an item that\n  goes on",
        "1. first",
        "2. second",
        "| a | b |",
        "|---|---|",
        "| 1 | 2 |",
        "After it.",
    ]


@pytest.mark.parametrize(
    "line", ["## 1. Purpose", "**2. Holidays**", "> 3. Quoted", "2.10.4. Error Handling", "3. ____"]
)
def test_the_number_of_a_heading_or_item_ends_no_sentence(line: str) -> None:
    assert parts(f"Before it.\n\n{line}\n\nAfter it.") == ["Before it.", line, "After it."]


def test_kinds_of_borders() -> None:
    text = "One here. Two here\n- item\n\n\n  Three."
    assert [(text[offset:][:3], kind) for offset, kind in borders(text)] == [
        ("Two", Border.SENTENCE),
        ("- i", Border.LINE),
        ("Thr", Border.PARAGRAPH),
    ]


@pytest.mark.parametrize(
    ("text", "answer", "quote"),
    [
        ("It is old. The lamp of Mr. Winstanley was lit in 1698. It fell.", "1698", None),
        ("- oak\n- granite from Cornwall\n- iron", "granite", "- granite from Cornwall"),
        ("Year | Event\n1698 | first light\n1703 | storm", "first", "1698 | first light"),
        ("Name: Eddystone\nHeight: 49 m\nPlace: Plymouth", "49 m", "Height: 49 m"),
        ("It stands. Built in 1882. It shines.", "1882. It", "Built in 1882. It shines."),
    ],
)
def test_the_quoted_sentence(text: str, answer: str, quote: str | None) -> None:
    start = text.index(answer)
    first, last = sentence_span(text, start, start + len(answer))
    assert text[first:last] == (quote or "The lamp of Mr. Winstanley was lit in 1698.")


def test_a_sentence_far_from_the_start_is_returned_whole() -> None:
    text = "An old lamp. " * 1000 + "The keeper rowed to Plymouth. " + "A new lamp. " * 1000
    start = text.index("Plymouth")
    first, last = sentence_span(text, start, start + 8)
    assert text[first:last] == "The keeper rowed to Plymouth."


def test_a_sentence_without_end_is_cut_at_words() -> None:
    text = "word " * 1000 + "needle " + "word " * 1000
    start = text.index("needle")
    first, last = sentence_span(text, start, start + 6)
    assert set(text[first:last].split()) == {"word", "needle"}
    assert start - first <= REACH and last - start - 6 <= REACH


def test_a_span_outside_the_text_is_refused() -> None:
    with pytest.raises(ValueError, match="not inside"):
        sentence_span("abc", 2, 9)


@given(wild_text, st.data())
def test_a_quote_holds_its_span_and_is_bounded(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    first, last = sentence_span(text, start, end)
    assert max(0, start - REACH) <= first <= start <= end <= last <= min(len(text), end + REACH)


@given(wild_text)
@example("。\n")
@example("好。 \n\n 好。\n好")
def test_borders_rise_and_point_at_text(text: str) -> None:
    offsets = [offset for offset, _ in borders(text)]
    assert offsets == sorted(set(offsets))
    assert all(0 < offset < len(text) and not text[offset].isspace() for offset in offsets)


@pytest.mark.parametrize("unit", ["A. ", " ", "\n ", "!)", "ab\n", ". \n", "y\t", "“", "a!  \n"])
def test_time_is_linear(unit: str) -> None:
    text = unit * (400_000 // len(unit))
    begin = time.process_time()
    assert sum(1 for _ in borders(text)) <= len(text)
    assert time.process_time() - begin < 4
