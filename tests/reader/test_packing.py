"""Packing: the passages of a context, their slots, and the packing log."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragyena import recipes
from ragyena.config import PackerConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import BudgetError, EmptyQuestionError, QuestionTooLongError
from ragyena.reader.packing import capacity, pack
from ragyena.types import Passage, ScoredPassage

WORDS = ["river", "bridge", "engineer", "stone", "arch", "builder", "valley", "winter", "market", "timber", "mill"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_folder(recipes.asset("reader"))


def passage(number: int, text: str, start: int = 0, title: str = "Bridges") -> Passage:
    return Passage(
        text=text, start=start, end=start + len(text), line_start=1, line_end=1, page=None, title=title,
        heading_path=("History",), source=f"doc{number}.txt", passage_id=number, document_id=number,
    )  # fmt: skip


def candidates(count: int, words: int = 60) -> list[ScoredPassage]:
    rng = np.random.default_rng(count)
    texts = [" ".join(rng.choice(WORDS, words)) + f" number {i}." for i in range(count)]
    return [ScoredPassage(passage(i, text, start=1000 * i), score=1 / (i + 1)) for i, text in enumerate(texts)]


def packed(question: str, passages: list[ScoredPassage], tokenizer: Tokenizer, **settings: object):
    config = PackerConfig.model_validate(settings)
    return pack(question, passages, tokenizer, config, max_question_tokens=64)


@settings(max_examples=40, deadline=None)
@given(
    budget=st.integers(256, 4096),
    lengths=st.lists(st.integers(1, 120), max_size=30),
    header_tokens=st.integers(0, 12),
    order=st.sampled_from(["score", "document"]),
)
def test_a_context_keeps_its_promises(budget: int, lengths: list[int], header_tokens: int, order: str) -> None:
    tokenizer = Tokenizer.from_folder(recipes.asset("reader"))
    rng = np.random.default_rng(len(lengths))
    hits = [
        ScoredPassage(passage(i, " ".join(rng.choice(WORDS, n)), start=37 * i), score=1 / (i + 1))
        for i, n in enumerate(lengths)
    ]
    context = packed(
        "Who built the bridge?", hits, tokenizer, context_tokens=budget, header_tokens=header_tokens, order=order
    )
    log = context.log
    assert context.length == log.used_tokens <= budget
    assert log.filled_tokens <= log.used_tokens
    assert [e.passage_id for e in log.entries] == [c.passage.passage_id for c in hits]
    for slot, scored in enumerate(context.passages):
        text, mask = scored.passage, context.text_mask[slot]
        starts, ends = context.char_starts[slot][mask], context.char_ends[slot][mask]
        words = tokenizer.encode(text.text)
        assert (context.token_ids[slot][mask] == words.ids).all()
        assert (starts == words.starts + text.start).all() and (ends == words.ends + text.start).all()
        assert (context.char_starts[slot][~mask] == -1).all()
        assert not context.token_ids[slot][~context.token_mask[slot]].any()
        entry = next(e for e in log.entries if e.passage_id == text.passage_id)
        assert entry.outcome == "packed" and entry.slot == slot
        assert entry.tokens == context.token_mask[slot].sum()
    assert sum(e.slot is not None for e in log.entries) == len(context.passages)


def test_the_best_candidates_enter_and_the_rest_are_accounted_for(tokenizer: Tokenizer) -> None:
    scored = candidates(50)
    context = packed("Who built the bridge?", scored, tokenizer, context_tokens=1024)
    assert [p.passage.passage_id for p in context.passages] == list(range(len(context.passages)))
    assert 5 <= len(context.passages) < 50
    late = [e for e in context.log.entries if e.outcome == "over budget"]
    assert len(late) == 50 - len(context.passages) and all(e.slot is None for e in late)


def test_near_duplicates_are_dropped_and_named(tokenizer: Tokenizer) -> None:
    scored = candidates(3)
    again = dataclasses.replace(scored[0].passage, passage_id=99, text=scored[0].passage.text.upper())
    context = packed("Who?", [*scored, ScoredPassage(again, 0.01)], tokenizer, context_tokens=4096)
    assert len(context.passages) == 3
    assert context.log.entries[3].outcome == "duplicate"
    assert "passage 0" in context.log.entries[3].detail


def test_neighbours_follow_their_hit(tokenizer: Tokenizer) -> None:
    scored = candidates(2)
    neighbour = passage(7, "The mason came from the next valley in spring.", start=5000)
    config = PackerConfig(context_tokens=2048, neighbours=1)
    context = pack(
        "Who?", scored, tokenizer, config, max_question_tokens=64,
        neighbours=lambda passage_id, distance: [neighbour] if passage_id == 0 else [],
    )  # fmt: skip
    assert [p.passage.passage_id for p in context.passages] == [0, 7, 1]
    assert context.log.entries[1].outcome == "neighbour"


def test_document_order_sorts_slots_by_place(tokenizer: Tokenizer) -> None:
    scored = [dataclasses.replace(c, score=1 / (i + 1)) for i, c in enumerate(reversed(candidates(4)))]
    context = packed("Who?", scored, tokenizer, context_tokens=4096, order="document")
    assert [p.passage.source for p in context.passages] == sorted(p.passage.source for p in context.passages)


@pytest.mark.parametrize("question", ["", "   ", "\n\t"])
def test_an_empty_question_is_refused(tokenizer: Tokenizer, question: str) -> None:
    with pytest.raises(EmptyQuestionError):
        packed(question, candidates(1), tokenizer)


def test_a_question_of_ten_thousand_words_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(QuestionTooLongError, match="10000 tokens"):
        packed("bridge " * 10_000, candidates(1), tokenizer)


def test_a_budget_that_holds_no_passage_is_refused_with_one_that_does(tokenizer: Tokenizer) -> None:
    scored = candidates(1, words=300)
    with pytest.raises(BudgetError) as caught:
        packed("Who built the bridge?", scored, tokenizer, context_tokens=256)
    enough = int(caught.value.hint.split("--context-tokens ")[1].split()[0])
    assert len(packed("Who built the bridge?", scored, tokenizer, context_tokens=enough).passages) == 1


def test_no_candidates_give_an_empty_context(tokenizer: Tokenizer) -> None:
    context = packed("Who built the bridge?", [], tokenizer)
    assert context.token_ids.shape == (0, 0) and context.log.used_tokens == len(context.question_ids)


def test_capacity_covers_what_is_ever_packed(tokenizer: Tokenizer) -> None:
    config = PackerConfig(context_tokens=2048)
    tiny = [ScoredPassage(passage(i, f"{WORDS[i % 11]} {i}."), 1 / (i + 1)) for i in range(200)]
    assert len(packed("Who?", tiny, tokenizer, context_tokens=2048).passages) <= capacity(config)
