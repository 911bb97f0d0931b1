"""Best spans against a search of every span."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from best_spans import best_spans_of_batch
from hypothesis import given, settings
from hypothesis import strategies as st

from ragyena import recipes
from ragyena.config import PackerConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.reader.decoding import WrittenAnswer
from ragyena.reader.extraction import ScoredSpan
from ragyena.reader.packing import pack
from ragyena.types import Context, Passage, ScoredPassage

WORDS = ["river", "bridge", "stone", "arch", "valley", "winter", "1889", "Zürich", "mill", "inn"]
MARKUP = [
    "**river**",
    "# Bridge",
    "| stone | arch |",
    "`mill`",
    "winter\n\nvalley",
    "inn\nmarket",
    "a_b",
    "~~x~~",
    "***",
]


@cache
def tokenizer() -> Tokenizer:
    return Tokenizer.from_folder(recipes.asset("reader"))


def context(texts: list[str]) -> Context:
    candidates = [
        ScoredPassage(
            Passage(
                text=text, start=1000 * i + 7, end=1000 * i + 7 + len(text), line_start=1, line_end=1, page=None,
                title="Bridges", heading_path=(), source=f"doc{i}.txt", passage_id=i, document_id=i,
            ),
            score=1 / (i + 1),
        )
        for i, text in enumerate(texts)
    ]  # fmt: skip
    config = PackerConfig(context_tokens=4096, near_duplicate=1.0)
    return pack("Which bridge?", candidates, tokenizer(), config, max_question_tokens=64)


def scores(shape: tuple[int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Log probabilities of starts and ends, each of one softmax."""
    rng = np.random.default_rng(seed)
    raw = rng.normal(scale=3, size=(2, *shape))
    normalised = raw - np.log(np.exp(raw).sum(axis=(1, 2), keepdims=True))
    return normalised[0].astype(np.float32), normalised[1].astype(np.float32)


def best_spans(
    start: np.ndarray, end: np.ndarray, packed: Context, *, max_tokens: int, count: int
) -> tuple[list[ScoredSpan], np.ndarray]:
    batch = torch.from_numpy(start)[None], torch.from_numpy(end)[None]
    return best_spans_of_batch(*batch, [packed], max_tokens=max_tokens, count=count)[0]


texts = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=14).map(" ".join), min_size=1, max_size=4)
marked = st.lists(
    st.lists(st.sampled_from(WORDS + MARKUP), min_size=1, max_size=14).map(" ".join), min_size=1, max_size=4
)


@settings(max_examples=60, deadline=None)
@given(texts, st.integers(1, 20), st.integers(0, 10_000))
def test_the_best_span_is_the_best_of_all_spans(passages: list[str], max_tokens: int, seed: int) -> None:
    packed = context(passages)
    start, end = scores(packed.token_ids.shape, seed)
    best, best_of_slot = None, np.full(len(packed.passages), -np.inf)
    for slot, mask in enumerate(packed.text_mask):
        places = np.flatnonzero(mask)
        for first in places:
            for last in places[(places >= first) & (places < first + max_tokens)]:
                value = float(start[slot, first] + end[slot, last])
                best_of_slot[slot] = max(best_of_slot[slot], value)
                if best is None or value > best[0]:
                    best = (value, slot, int(first), int(last))
    spans, slot_scores = best_spans(start, end, packed, max_tokens=max_tokens, count=5)
    assert best is not None
    first = spans[0].span
    assert (first.slot, first.token_start, first.token_end - 1) == best[1:]
    assert spans[0].log_probability == pytest.approx(best[0], abs=1e-4)
    assert first.score == pytest.approx(np.exp(best[0]), rel=1e-3)
    assert slot_scores == pytest.approx(best_of_slot, abs=1e-4)


@settings(max_examples=60, deadline=None)
@given(marked, st.integers(1, 20), st.integers(1, 8), st.integers(0, 10_000))
def test_spans_keep_their_promises(passages: list[str], max_tokens: int, count: int, seed: int) -> None:
    packed = context(passages)
    start, end = scores(packed.token_ids.shape, seed)
    spans, slot_scores = best_spans(start, end, packed, max_tokens=max_tokens, count=count)
    assert len(spans) <= count
    assert slot_scores.shape == (len(packed.passages),)
    taken: set[tuple[int, int]] = set()
    for scored in spans:
        span = scored.span
        passage = packed.passages[span.slot].passage
        tokens = range(span.token_start, span.token_end)
        assert 1 <= len(tokens) <= max_tokens + 4  # a_b at either end is completed
        assert packed.text_mask[span.slot, list(tokens)].all()
        assert passage.start <= span.start < span.end <= passage.end
        assert span.text == passage.text[span.start - passage.start : span.end - passage.start]
        assert span.start == packed.char_starts[span.slot, span.token_start]
        assert span.end == packed.char_ends[span.slot, span.token_end - 1]
        assert 0 <= span.score <= 1
        places = {(span.slot, token) for token in tokens}
        assert not places & taken
        taken |= places
    values = [scored.log_probability for scored in spans]
    assert values == sorted(values, reverse=True)


def test_a_span_of_stops_alone_is_none() -> None:
    packed = context(["The mill stands. The inn"])
    start, end = (np.full(packed.token_ids.shape, -20.0, np.float32) for _ in range(2))
    stop = np.flatnonzero(packed.char_ends[0] - packed.passages[0].passage.start == len("The mill stands."))[0]
    start[0, stop] = end[0, stop] = -0.1
    spans, _ = best_spans(start, end, packed, max_tokens=1, count=3)
    assert spans and "." not in [scored.span.text for scored in spans]


def test_scores_outside_the_text_and_beyond_the_context_are_not_looked_at() -> None:
    packed = context(["The bridge was built of stone.", "A mill stood in the valley."])
    slots, length = packed.token_ids.shape
    start, end = (np.full((slots + 2, length + 9), 5.0, np.float32) for _ in range(2))  # tempting everywhere ...
    for array in (start, end):
        array[:slots, :length][packed.text_mask] = -9.0  # ... but in the text
    slot = 1
    place = int(np.flatnonzero(packed.text_mask[slot])[1])
    start[slot, place] = end[slot, place] = -1.0
    spans, slot_scores = best_spans(start, end, packed, max_tokens=6, count=1)
    assert [s.span.text for s in spans] == ["mill"]
    assert slot_scores.tolist() == [-18.0, -2.0]


def test_a_context_without_text_tokens_has_no_span() -> None:
    packed = context(["The bridge was built of stone."])
    packed.text_mask[:] = False
    start, end = scores(packed.token_ids.shape, 0)
    spans, slot_scores = best_spans(start, end, packed, max_tokens=6, count=4)
    assert spans == []
    assert np.isneginf(slot_scores).all()


@pytest.mark.parametrize(
    ("copied_from", "expected"),
    [
        ((6 + 20 + 2, 6 + 20 + 3), "bridge was"),  # slot 1, its third and fourth token
        ((6 + 20 + 2, 6 + 20 + 4), None),  # a token left out
        ((6 + 20 + 2, None), None),  # a token of the vocabulary
        ((2, 3), None),  # copied from the question
        ((), None),
    ],
)
def test_a_copied_answer_has_its_place(copied_from: tuple[int | None, ...], expected: str | None) -> None:
    tokenizer = Tokenizer.from_folder(recipes.asset("reader"))
    texts = ["Nothing of the kind.", "The old bridge was built here."]
    candidates = [
        ScoredPassage(Passage(text, 100, 100 + len(text), 1, 1, None, "", (), f"{i}.txt", passage_id=i), 1.0 - i / 10)
        for i, text in enumerate(texts)
    ]
    context = pack("Where is it?", candidates, tokenizer, PackerConfig(), max_question_tokens=16)
    span = WrittenAnswer("", 0.5, copied_from).span(context, question_tokens=6, slot_tokens=20)
    if expected is None:
        assert span is None
    else:
        assert span is not None and span.text == expected
        assert texts[1][span.start - 100 : span.end - 100] == expected and span.slot == 1


@settings(max_examples=20, deadline=None)
@given(st.lists(marked, min_size=2, max_size=4), st.integers(0, 10_000))
def test_a_batch_of_contexts_gives_what_each_alone_gives(batch: list[list[str]], seed: int) -> None:
    packed = [context(passages) for passages in batch]
    shape = (len(packed), max(c.token_ids.shape[0] for c in packed), max(c.token_ids.shape[1] for c in packed))
    start, end = (torch.from_numpy(s).view(shape) for s in scores((shape[0] * shape[1], shape[2]), seed))
    together = best_spans_of_batch(start, end, packed, max_tokens=5, count=3)
    for row, (spans, slot_scores) in enumerate(together):
        alone, alone_scores = best_spans(start[row].numpy(), end[row].numpy(), packed[row], max_tokens=5, count=3)
        assert spans == alone and slot_scores.tolist() == alone_scores.tolist()
        assert len(slot_scores) == len(packed[row].passages)


def test_the_mark_of_a_footnote_is_no_part_of_an_answer() -> None:
    packed = context(["the bridge of 1889 ³ and 4 km² of river"])
    words = [packed.passages[0].passage.text[a - 7 : b - 7] for a, b in zip(packed.char_starts[0], packed.char_ends[0])]
    for first, last, answer in [("1889", "³", "1889"), ("4", "km²", "4 km²")]:
        start, end = (np.full(packed.token_ids.shape, -20.0, np.float32) for _ in range(2))
        start[0, words.index(first)] = end[0, words.index(last)] = 0.0
        spans, _ = best_spans(start, end, packed, max_tokens=10, count=1)
        assert spans[0].span.text == answer
