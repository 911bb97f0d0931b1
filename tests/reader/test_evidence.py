"""Evidence: passages ranked by the reader's scores, sentences within a budget, and their places in the document."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ragyena import recipes
from ragyena.config import EvidenceConfig, PackerConfig
from ragyena.documents.tokenizer import Tokenizer
from ragyena.reader.evidence import Read, TokenScores, choose, ranked
from ragyena.reader.packing import pack
from ragyena.types import Context, EvidencePiece, Passage, ScoredPassage

TEXT = (
    "The old bridge fell in 1911. Nobody was hurt.\n\n"
    "The iron bridge was built in 1932. Ada Stone drew it. It has three arches.\n\n"
    "Tea is brewed at seventy degrees. It rests for a minute.\n\n"
    "The museum of clocks opens at nine. It closes at five.\n"
)
NEVER = -1e4


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_folder(recipes.asset("reader"))


def packed(tokenizer: Tokenizer, *, first: int = 0, last: int | None = None) -> Context:
    """The text in passages of a paragraph each."""
    candidates = []
    for place, text in enumerate(TEXT.strip().split("\n\n")):
        start = TEXT.index(text)
        line = TEXT.count("\n", 0, start) + 1
        passage = Passage(text, start, start + len(text), line, line, None, "Town", (), "town.txt", passage_id=place)
        candidates.append(ScoredPassage(passage, 1.0 / (place + 1)))
    return pack("When?", candidates[first:last], tokenizer, PackerConfig(), max_question_tokens=32)


def scored(context: Context, **words: float) -> TokenScores:
    """Scores of 0, and those of the tokens that stand for ``words``."""
    start = np.where(context.text_mask, 0.0, NEVER).astype(np.float32)
    end = start.copy()
    for word, score in words.items():
        where = (context.char_starts <= TEXT.index(word)) & (TEXT.index(word) < context.char_ends)
        assert where.any(), word
        start[where] += score
        end[where] += score
    return TokenScores(start, end)


def by_reader(**changes: int) -> EvidenceConfig:
    return EvidenceConfig(rank_weight=0.0, **changes)


def check_places(pieces: list[EvidencePiece], tokenizer: Tokenizer) -> None:
    for piece in pieces:
        part = piece.passage
        assert TEXT[part.start : part.end] == part.text == piece.text
        assert part.text.strip() == part.text != ""
        assert part.line_start == TEXT.count("\n", 0, part.start) + 1
        assert part.line_end == TEXT.count("\n", 0, part.end) + 1
        assert piece.tokens == len(tokenizer.encode(part.text))
        assert 0 <= piece.score <= 1


def test_the_reader_ranks_the_passages(tokenizer: Tokenizer) -> None:
    context = packed(tokenizer)
    found = ranked([(context, scored(context, museum=9, Tea=6))], by_reader())
    assert ["museum" in found[0].passage.text, "Tea" in found[1].passage.text] == [True, True]
    assert len(found) == len(context.passages)
    scores = [passage.score for passage in found]
    assert scores == sorted(scores, reverse=True) and len(set(scores)) == len(scores)
    assert sum(scores) == pytest.approx(1)


def test_the_rank_of_the_search_counts_by_its_weight(tokenizer: Tokenizer) -> None:
    context = packed(tokenizer)
    read = [(context, scored(context, museum=4))]
    assert "museum" in ranked(read, by_reader())[0].passage.text
    by_search = ranked(read, EvidenceConfig(rank_weight=100.0))
    assert [p.passage for p in by_search] == [p.passage for p in context.passages]


def test_passages_of_one_score_share_a_rank(tokenizer: Tokenizer) -> None:
    context = packed(tokenizer)
    alike = replace(context, passages=tuple(ScoredPassage(p.passage, 1.0) for p in context.passages))
    found = ranked([(alike, scored(alike, museum=4))], EvidenceConfig(rank_weight=100.0))
    assert "museum" in found[0].passage.text


def test_whole_passages_are_chosen_best_first(tokenizer: Tokenizer) -> None:
    context = packed(tokenizer)
    pieces = choose([(context, scored(context, museum=9, Tea=6))], by_reader(passages=2), tokenizer)
    assert [piece.text.split()[1] for piece in pieces] == ["museum", "is"]
    check_places(pieces, tokenizer)


def test_sentences_fill_the_tokens_and_neighbours_are_one_piece(tokenizer: Tokenizer) -> None:
    context = packed(tokenizer)
    read: Read = [(context, scored(context, **{"1932": 9, "Ada": 8, "nine": 5}))]
    pieces = choose(read, by_reader(tokens=24), tokenizer)
    assert [piece.text for piece in pieces] == [
        "The iron bridge was built in 1932. Ada Stone drew it.",
        "The museum of clocks opens at nine.",
    ]
    check_places(pieces, tokenizer)
    assert sum(piece.tokens for piece in pieces) <= 24
    everything = choose(read, by_reader(tokens=10_000), tokenizer)
    assert sorted(piece.text for piece in everything) == sorted(p.passage.text for p in context.passages)
    assert sum(piece.score for piece in everything) == pytest.approx(1)


def test_a_sentence_that_does_not_fit_is_passed_over(tokenizer: Tokenizer) -> None:
    context = packed(tokenizer)
    pieces = choose([(context, scored(context, **{"1932": 9, "Ada": 5}))], by_reader(tokens=6), tokenizer)
    assert [piece.text for piece in pieces] == ["Ada Stone drew it."]


def test_contexts_of_one_question_are_ranked_together(tokenizer: Tokenizer) -> None:
    parts = [packed(tokenizer, last=2), packed(tokenizer, first=2)]
    read = [(parts[0], scored(parts[0], **{"1932": 3})), (parts[1], scored(parts[1], museum=9, Tea=1))]
    texts = [found.passage.text for found in ranked(read, by_reader())]
    assert [text.split()[1] for text in texts] == ["museum", "iron", "is", "old"]


def test_nothing_read_is_nothing_chosen(tokenizer: Tokenizer) -> None:
    empty = packed(tokenizer, last=0)
    read = [(empty, TokenScores.of_nothing())]
    for config in (by_reader(), by_reader(tokens=100)):
        assert choose(read, config, tokenizer) == [] == choose([], config, tokenizer)
