"""Items of a list, from the scores of a passage's tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from best_spans import best_spans_of_batch

from ragyena import recipes
from ragyena.config import PackerConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.reader.features import reading_features
from ragyena.reader.lists import asked_count, items_of, likeliest_apart
from ragyena.reader.packing import pack
from ragyena.types import Context, Passage, ScoredPassage

TOKENIZER = Tokenizer.from_folder(recipes.asset("reader"))
Marks = Mapping[str, float]


def packed(text: str, question: str = "What?") -> Context:
    passage = Passage(text, 0, len(text), 1, 1, None, "", (), "a.txt", passage_id=0)
    return pack(question, [ScoredPassage(passage, 1.0)], TOKENIZER, PackerConfig(), max_question_tokens=16)


def scores(context: Context, starts: Marks, ends: Marks) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Log probabilities [S] of the tokens that begin with the first word of each text, and end with its last."""
    text = context.passages[0].passage.text
    start, end = np.full((2, context.token_ids.shape[1]), -30.0)
    for word, probability in starts.items():
        start[np.flatnonzero(context.char_starts[0] == text.index(word))] = math.log(probability)
    for word, probability in ends.items():
        end[np.flatnonzero(context.char_ends[0] == text.index(word) + len(word))] = math.log(probability)
    return start, end


def items(text: str, starts: Marks, ends: Marks, *, least: float = 1e-6, count: int | None = None) -> list[str]:
    context = packed(text)
    start, end = scores(context, starts, ends)
    found = likeliest_apart(start, end, context, 0, max_tokens=48, least=math.log(least), count=count)
    return [one.span.text for one in found]


BRING = "Bring a lamp, a long rope and a map of the valley."
STARTS = {"lamp": 0.3, "long rope": 0.4, "map": 0.3}
ENDS = {"lamp": 0.3, "rope": 0.3, "valley": 0.4}


def test_items_are_told_apart_where_the_best_span_crosses_them() -> None:
    context = packed(BRING)
    start, end = scores(context, STARTS, ENDS)
    as_batch = (torch.from_numpy(one).view(1, 1, -1) for one in (start, end))
    ((best, *_), _), = best_spans_of_batch(*as_batch, [context], max_tokens=48, count=8)  # fmt: skip
    assert best.span.text == "long rope and a map of the valley"
    assert items(BRING, STARTS, ENDS) == ["lamp", "long rope", "map of the valley"]


def test_a_phrase_with_a_comma_or_an_and_in_it_is_one_item() -> None:
    text = "Loans came from Rolf and Petra Sandkamp, the bakers, and from Mathilde Korn."
    starts = {"Rolf": 0.5, "Mathilde": 0.5, "Petra": 1e-5}
    assert items(text, starts, {"Sandkamp": 0.5, "Korn": 0.5, "Rolf": 1e-5}) == [
        "Rolf and Petra Sandkamp",
        "Mathilde Korn",
    ]


def test_a_list_has_the_items_that_its_question_asks_for() -> None:
    context = packed("Tents: a lamp, a rope, a lamp and a map.", "Which two things?")
    start, end = np.full((2, 1, context.token_ids.shape[1]), -30.0)
    start[0], end[0] = scores(context, {"lamp": 0.5, "rope": 0.3, "map": 0.2}, {"lamp": 0.5, "rope": 0.3, "map": 0.2})
    as_batch = (torch.from_numpy(one).view(1, 1, -1) for one in (start, end))
    ((spans, _),) = best_spans_of_batch(*as_batch, [context], max_tokens=48, count=8)

    def texts(question: str) -> list[str]:
        asked = replace(context, question=question)
        found = items_of(start[0], end[0], asked, spans, max_tokens=48)
        return [one.span.text for one in found]

    assert texts("Which things?") == ["lamp", "rope", "map"]
    assert texts("Which two things?") == ["lamp", "rope"]
    assert items_of(start[0], end[0], context, [], max_tokens=48) == []


def test_each_cell_and_each_line_has_its_own_item() -> None:
    text = "Member: Sprenger; Seat: north\nMember: Abbing; Seat: south\nMember: Wulf; Seat: west"
    names = {"Sprenger": 0.5, "Wulf": 0.5}
    assert items(text, names, names) == ["Sprenger", "Wulf"]


def test_the_unlikely_is_left_out() -> None:
    starts, ends = {**STARTS, "Bring": 1e-4}, {**ENDS, "Bring": 1e-4}
    assert items(BRING, starts, ends, least=1e-3) == ["lamp", "long rope", "map of the valley"]
    assert items(BRING, {}, {}) == []


def test_so_many_items_as_are_asked_for() -> None:
    assert items(BRING, STARTS, ENDS, count=2) == ["long rope", "map of the valley"]
    assert len(items(BRING, STARTS, ENDS, count=5)) == 3  # no more are there


def test_a_part_has_one_item() -> None:
    assert items("The long red rope", {"long": 0.6, "red": 0.4}, {"long": 0.4, "rope": 0.6}) == ["long red rope"]


@pytest.mark.parametrize(
    ("question", "count"),
    [
        ("Which three wires go to the port?", 3),
        ("two cheapest sizes' prices", 2),
        ("Dates of both extra repayments", 2),
        ("What are the 5 retail areas?", 5),
        ("Which wires go to the port?", None),
        ("Which parts have a two year guarantee?", None),
    ],
)
def test_the_number_of_items_that_a_question_names(question: str, count: int | None) -> None:
    assert asked_count(question) == count


def test_items_of_a_list_are_no_rivals_of_each_other() -> None:
    context = packed("Member: Sprenger; Seat: north\nMember: Abbing; Seat: south\nMember: Wulf; Seat: west")
    names = {"Sprenger": 0.5, "Wulf": 0.5, "south": 1e-3}
    start, end = scores(context, names, names)
    as_batch = (torch.from_numpy(one).view(1, 1, -1) for one in (start, end))
    ((spans, _),) = best_spans_of_batch(*as_batch, [context], max_tokens=48, count=8)
    some = likeliest_apart(start, end, context, 0, max_tokens=48, least=math.log(1e-3))
    idf = np.ones(30522, np.float32)
    given = {"answer": -0.1, "null": -9.0, "score": 2.0, "idf": idf}
    alone = reading_features("span", context, spans, **given)  # type: ignore[arg-type]
    together = reading_features("list", context, spans, **given, items=some)  # type: ignore[arg-type]
    assert [one.span.text for one in some] == ["Sprenger", "Wulf"]
    assert alone["margin"] == pytest.approx(0) and alone["score"] == 2.0
    assert together["margin"] == pytest.approx(min(12.0, math.log(0.25 / 1e-6)))
    assert together["score"] == pytest.approx(2.0 + math.log(2))
