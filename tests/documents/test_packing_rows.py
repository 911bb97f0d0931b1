"""Rows of tokens as an index keeps them: what comes back is what the tokenizer says, markup left out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragyena import recipes
from ragyena.documents.packing_rows import (
    MOST_HEADER,
    PackingColumns,
    TokenTable,
    is_plausible,
    packing_rows,
    read_signatures,
    without_markup,
)
from ragyena.documents.passages import split, split_encoded
from ragyena.documents.tokenizer import Encoding, Tokenizer
from ragyena.types import Document, Heading, Passage

TOKENIZER = Tokenizer.from_folder(recipes.asset("reader"))
TEXTS = st.text(st.sampled_from([*"abcXYZ 12.,-*_#|\n\t", "é", "日", "本", "½", "ﬁ", "\u0301", "😀", "\ud800", "\0"]))


def passage(text: str, title: str = "") -> Passage:
    return Passage(text, 5, 5 + len(text), 1, 1, None, title, (), "source")


def columns(rows: list) -> PackingColumns:
    return PackingColumns(*zip(*(row[:3] for row in rows))) if rows else PackingColumns([], [], [])


def assert_comes_back(passages: list[Passage], encodings: list[Encoding]) -> None:
    chars = np.array([len(p.text) for p in passages], np.int64)
    rows = packing_rows(passages, encodings, TOKENIZER)
    table = TokenTable.stored(columns(rows), chars, TOKENIZER.vocab_size)
    kept = [without_markup(encoding, p.text) for encoding, p in zip(encodings, passages)]
    expected = TokenTable.of(kept, [TOKENIZER.encode(p.header).ids[:MOST_HEADER] for p in passages])
    for name in ("ids", "starts", "ends", "lengths", "header_ids", "header_lengths"):
        ours, theirs = getattr(table, name), getattr(expected, name)
        assert ours.dtype == theirs.dtype and np.array_equal(ours, theirs), name
    assert all(is_plausible(row, p) for row, p in zip(rows, passages))


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXTS, max_size=6), TEXTS)
def test_what_comes_back_is_what_the_tokenizer_says(texts: list[str], title: str) -> None:
    assert_comes_back([passage(text, title) for text in texts], TOKENIZER.encode_batch(texts))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(-50, 9000), st.integers(0, 5000)), max_size=40))
def test_offsets_of_any_tokenizer_come_back(places: list[tuple[int, int]]) -> None:
    """Far apart, long, overlapping: what no byte holds is written out."""
    starts = np.maximum.accumulate(np.array([0, *(max(start, 0) for start, _ in places)], np.int32))[1:]
    ends = starts + np.array([length for _, length in places], np.int32).reshape(starts.shape)
    text = "x" * 20_000
    encoding = Encoding(np.arange(len(starts), dtype=np.int32), starts, ends.astype(np.int32))
    assert_comes_back([passage(text), passage("")], [encoding, TOKENIZER.encode("")])


def test_a_byte_an_offset_and_two_an_id_in_prose() -> None:
    text = "The iron bridge over the river was built in 1932 by a mason from the valley."
    (row,) = packing_rows([passage(text)], [TOKENIZER.encode(text)], TOKENIZER)
    count = len(TOKENIZER.encode(text))
    assert (len(row.token_ids), len(row.offsets), len(row.header_ids)) == (2 * count, count, 0)


def test_a_large_vocabulary_takes_four_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TOKENIZER, "vocab_size", 2**16 + 1)
    assert_comes_back([passage("a bridge", "The title")], [TOKENIZER.encode("a bridge")])


def test_signatures_hold_the_number_of_shingles() -> None:
    rows = packing_rows(
        [passage(text) for text in ("", "one two three four", "one")], [TOKENIZER.encode("")] * 3, TOKENIZER
    )
    counts, bitmaps = read_signatures([row.signature for row in rows])
    assert counts.tolist() == [1, 2, 1]
    assert np.unpackbits(bitmaps, axis=1).sum(1).tolist() == [1, 2, 1]


def test_the_tokens_of_cutting_are_those_of_each_passage_alone() -> None:
    rng = np.random.default_rng(1)
    words = ["bridge", "café", "日本の橋", "naïve", "x" * 300, "re-built,", "(1932)", "\u0301mark", "*bold*", "ﬁne"]
    parts = [" ".join(rng.choice(words, int(rng.integers(1, 60)))) for _ in range(60)]
    text = "\n\n".join(f"Part {n}\n\n{part}." for n, part in enumerate(parts)) + "y" * 5000
    headings = tuple(Heading(text.index(f"Part {n}\n"), 1 + n % 2, f"Part {n}") for n in range(60))
    document = Document("source", text, "Title", headings=headings)
    for limit in (16, 100, 200):
        passages, encodings = split_encoded(document, TOKENIZER, limit)
        assert passages == split(document, TOKENIZER, limit) and len(passages) > 20
        for each, encoding in zip(passages, encodings, strict=True):
            alone = TOKENIZER.encode(each.text)
            for name in ("ids", "starts", "ends"):
                assert np.array_equal(getattr(encoding, name), getattr(alone, name))
