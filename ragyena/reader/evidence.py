"""Evidence: the passages of contexts ranked by a reader, and sentences of them within a number of tokens.

A passage weighs as much as its tokens do, by the sum of their chances to start or end an answer, and as its rank in
retrieval says; a sentence by its own tokens. The chances are taken before the softmax over a context: they are
comparable between contexts of one question, so that more passages than one holds are read in several.

Legend: P passages, S slot tokens.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ragyena.config import EvidenceConfig
from ragyena.documents.sentences import borders
from ragyena.documents.tokenizer import Tokenizer
from ragyena.types import Context, EvidencePiece, Passage, ScoredPassage

__all__ = ["Read", "TokenScores", "choose", "ranked", "sentences"]

_RANK_OFFSET = 2  # added to ranks from 1: those far down differ little
_COMPARED = 16  # times the tokens wanted: the sentences of so many tokens of the best passages are compared

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class TokenScores:
    """The reader's unnormalised scores of one context, logarithms of the chance of each token."""

    start: FloatArray
    """[P, S] to start an answer; far below all others outside the passages' text."""
    end: FloatArray
    """[P, S] to end one."""

    @classmethod
    def of_nothing(cls) -> TokenScores:
        """The scores of a context without passages."""
        return cls(np.zeros((0, 0), np.float32), np.zeros((0, 0), np.float32))


Read = Sequence[tuple[Context, TokenScores]]
"""The contexts of one question, each with its scores."""


def ranked(read: Read, config: EvidenceConfig) -> list[ScoredPassage]:
    """All passages, best first. Scores strictly decrease; they are shares of the evidence, whose sum is 1."""
    result: list[ScoredPassage] = []
    for slot in _slots(read, config):
        score = slot.share if not result else min(slot.share, math.nextafter(result[-1].score, -math.inf))
        result.append(replace(slot.scored, score=score))
    return result


def choose(read: Read, config: EvidenceConfig, tokenizer: Tokenizer) -> list[EvidencePiece]:
    """The best ``config.passages`` passages, or sentences of ``config.tokens`` tokens at most, best first."""
    if config.tokens:
        return _sentences(_slots(read, config), config.tokens, tokenizer)
    best = ranked(read, config)[: config.passages]
    counts = tokenizer.count_batch([scored.passage.text for scored in best])
    return [EvidencePiece(scored.passage, scored.score, count) for scored, count in zip(best, counts)]


@dataclass(frozen=True, slots=True, eq=False)
class _Slot:
    """A passage that was read."""

    scored: ScoredPassage
    share: float
    """Share of the evidence of all passages."""
    shares: npt.NDArray[np.float64]
    """[n] those of the tokens of its text; their sum is ``share``."""
    offsets: npt.NDArray[np.int64]
    """[n] of these tokens in the passage's text."""


def _slots(read: Read, config: EvidenceConfig) -> list[_Slot]:
    """The passages of all contexts, best first."""
    scored = [passage for context, _ in read for passage in context.passages]
    if not scored:
        return []
    # Passages of one score are of one rank: the neighbours of a hit, the passages of one document.
    given = np.array([passage.score for passage in scored])
    ranks = 1 + np.searchsorted(np.unique(-given), -given)
    priors = -config.rank_weight * np.log(_RANK_OFFSET + ranks)
    weights = [np.logaddexp(scores.start, scores.end).astype(np.float64) for _, scores in read if scores.start.size]
    rows = [row for of_context in weights for row in of_context]
    total = np.logaddexp.reduce([np.logaddexp.reduce(row) + prior for row, prior in zip(rows, priors)])
    slots: list[_Slot] = []
    for context, _ in read:
        for place, passage in enumerate(context.passages):
            text = context.text_mask[place]
            shares = np.exp(rows[len(slots)][text] + priors[len(slots)] - total)
            offsets = context.char_starts[place][text].astype(np.int64) - passage.passage.start
            slots.append(_Slot(passage, float(shares.sum()), shares, offsets))
    return sorted(slots, key=lambda slot: -slot.share)


# --- sentences ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Sentence:
    slot: int
    """Place of its passage among those compared."""
    start: int
    """Offset in the passage's text."""
    end: int
    share: float
    """Share of the evidence of all passages."""
    tokens: int

    @property
    def worth(self) -> float:
        """Value by which it is chosen: of two with the same share the shorter one goes first."""
        return self.share / math.sqrt(self.tokens)


def _sentences(slots: Sequence[_Slot], budget: int, tokenizer: Tokenizer) -> list[EvidencePiece]:
    sizes = np.cumsum([len(slot.offsets) for slot in slots])
    compared = slots[: int(np.searchsorted(sizes, _COMPARED * budget)) + 1]
    candidates = [one for place, slot in enumerate(compared) for one in _sentences_of(place, slot, tokenizer)]
    chosen: list[int] = []
    for place in sorted(range(len(candidates)), key=lambda place: -candidates[place].worth):
        if candidates[place].tokens <= budget:
            chosen.append(place)
            budget -= candidates[place].tokens
    pieces = [_piece(run, compared[run[0].slot].scored.passage) for run in _runs(candidates, sorted(chosen))]
    return sorted(pieces, key=lambda piece: -piece.score)


def sentences(text: str) -> list[tuple[int, int]]:
    """The offsets of the sentences and lines of a text, without white space around them."""
    bounds = [0, *(offset for offset, _ in borders(text)), len(text)]
    ends = [start + len(text[start:following].rstrip()) for start, following in pairwise(bounds)]
    return [(start, end) for start, end in zip(bounds, ends) if start < end]


def _sentences_of(place: int, slot: _Slot, tokenizer: Tokenizer) -> list[_Sentence]:
    text = slot.scored.passage.text
    places = sentences(text)
    counts = tokenizer.count_batch([text[start:end] for start, end in places])
    edges = np.searchsorted(slot.offsets, [*(start for start, _ in places), len(text)]).tolist()
    shares = [float(slot.shares[first:last].sum()) for first, last in pairwise(edges)]
    return [_Sentence(place, *where, share, count) for where, share, count in zip(places, shares, counts)]


def _runs(candidates: Sequence[_Sentence], chosen: Iterable[int]) -> list[list[_Sentence]]:
    """Sentences that follow one another in a passage, together; ``chosen`` are places in order."""
    runs: list[list[_Sentence]] = []
    before = -2
    for place in chosen:
        if place == before + 1 and runs[-1][-1].slot == candidates[place].slot:
            runs[-1].append(candidates[place])
        else:
            runs.append([candidates[place]])
        before = place
    return runs


def _piece(run: Sequence[_Sentence], passage: Passage) -> EvidencePiece:
    """Sentences that follow one another, as a stretch of their passage."""
    start, end = run[0].start, run[-1].end
    text = passage.text[start:end]
    line = passage.line_start + passage.text.count("\n", 0, start)
    part = replace(
        passage,
        text=text,
        start=passage.start + start,
        end=passage.start + end,
        line_start=line,
        line_end=line + text.count("\n"),
    )
    return EvidencePiece(part, min(1.0, sum(one.share for one in run)), sum(one.tokens for one in run))
