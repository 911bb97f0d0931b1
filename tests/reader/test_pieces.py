"""Pieces of a text, and answers that stay within one."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from best_spans import best_spans_of_batch

from ragyena import recipes
from ragyena.config import PackerConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.reader.packing import pack
from ragyena.reader.pieces import past_name, piece_starts
from ragyena.types import Context, Passage, ScoredPassage


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Class: A; Mended in: 4 h; Note: at night", ["Class: A; ", "Mended in: 4 h; ", "Note: at night"]),
        ("Dr. M. Quist came. He left.", ["Dr. M. Quist came. ", "He left."]),
        ("- boots\n- a lamp", ["- boots\n", "- a lamp"]),
        ("the engine is implemented using finite\nstate machines in order to finish", None),
        ("It is bought treated; no abstraction is recorded", None),
        ("| A | 3 m | 4 |\n| B | 9 m |", ["| A | ", "3 m | ", "4 |\n", "| B | ", "9 m |"]),
        ("run ls | grep one | wc to count them", None),
        ("", None),
    ],
)  # fmt: skip
def test_pieces_begin_where_no_answer_goes_on(text: str, pieces: list[str] | None) -> None:
    cuts = [0, *piece_starts(text).tolist(), len(text)]
    assert [text[a:b] for a, b in pairwise(cuts)] == (pieces or [text])


def test_a_row_without_names_has_a_piece_a_cell_where_it_is_of_a_table() -> None:
    row = "Aldwick | 9 m | deep"
    assert piece_starts(row).tolist() == []
    assert [row[start:] for start in piece_starts(row, "table").tolist()] == ["9 m | deep", "deep"]


def packed(*texts: str) -> Context:
    candidates = [
        ScoredPassage(Passage(text, 0, len(text), 1, 1, None, "", (), f"{i}.txt", passage_id=i), 1.0 - i / 1000)
        for i, text in enumerate(texts)
    ]
    tokenizer = Tokenizer.from_folder(recipes.asset("reader"))
    config = PackerConfig(context_tokens=16384, near_duplicate=1.0)
    return pack("When?", candidates, tokenizer, config, max_question_tokens=16)


def best(context: Context, row: int, first: str, last: str) -> str:
    """The text of the best span where ``first`` is the likeliest start, ``last`` the likeliest end, of a passage."""
    text = context.passages[row].passage.text
    start, end = (np.full(context.token_ids.shape, -9.0, np.float32) for _ in range(2))
    start[row, context.char_starts[row].tolist().index(text.index(first))] = -0.1
    end[row, context.char_ends[row].tolist().index(text.index(last) + len(last))] = -0.1
    end[row, context.char_ends[row].tolist().index(text.index(first) + len(first))] = -2.0
    batch = torch.from_numpy(start)[None], torch.from_numpy(end)[None]
    ((spans, _),) = best_spans_of_batch(*batch, [context], max_tokens=32, count=4)
    return spans[0].span.text


def test_an_answer_ends_with_its_cell_line_and_sentence() -> None:
    row = "Class: A; Mended in: hours; Open: always"
    lines = "- boots\n- lamps\n- ropes"
    sentences = "It was built in 1932. The bridge fell later."
    context = packed(row, lines, sentences)
    assert best(context, 0, "hours", "always") == "hours"
    assert best(context, 1, "boots", "lamps") == "boots"
    assert best(context, 2, "1932", "later") == "1932"
    assert best(context, 2, "built", "1932") == "built in 1932"


def test_the_likeliest_passages_of_a_long_context_are_cut_into_pieces() -> None:
    texts = [f"{number} inns were built by 1932. The bridge fell later." for number in range(60)]
    assert best(packed(*texts), 57, "1932", "later") == "1932"


def test_a_long_row_of_a_table_ends_with_its_line() -> None:
    row = "Dealer: Radhuis Utrecht; Payment terms (days): 30; Credit limit EUR: 150000"
    assert len(row) + 1 in piece_starts(f"{row}\n{row}", "table").tolist()


def test_a_full_stop_in_the_name_of_a_cell_ends_no_piece() -> None:
    row = "Model: Pony; Price excl. VAT: 559; Remark: Sold out. Ask again."
    starts = piece_starts(row, "table").tolist()
    assert [row[a:b] for a, b in pairwise([0, *starts, len(row)])] == [
        "Model: Pony; ", "Price excl. VAT: 559; ", "Remark: Sold out. ", "Ask again."
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("marked", "answer"),
    [
        ("EUR excl. VAT: 559", "559"),
        ("excl. VAT: 559", "559"),
        ("Model: Pony", "Pony"),
        ("2024", "2024"),  # a name may be the answer: the year of a column
        ("559", "559"),
        ("Sold out: Ask", "Sold out: Ask"),
    ],
)
def test_an_answer_is_the_value_of_a_cell_without_its_name(marked: str, answer: str) -> None:
    text = "Model: Mule\nModel: Pony; Price EUR excl. VAT: 559; 2024: 7; Remark: Sold out: Ask again."
    start = text.index(marked)
    end = start + len(marked)
    assert text[past_name(text, start, end) : end] == answer
