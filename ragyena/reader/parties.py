"""Terms of the two parties of a contract, where they stand side by side: ``the Tenant may end it by two months' notice,
the Landlord by four``.

A small reader asked for the landlord's finds the place and takes the first figure. Where the question names one party
and not the other, spans in what is said of the other weigh less, and those in what is said of the one more, but only
where both have a figure in one sentence or line, or in neighbouring ones.

Legend: B contexts, P passages, S slot tokens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch

from ragyena.documents.sentences import borders
from ragyena.documents.words import read_words
from ragyena.model.reader_model import SpanScores
from ragyena.types import Context

__all__ = ["of_the_party_asked", "party_prior"]

_OTHER, _ASKED = -2.5, 1.5
"""Log priors of spans in what is said of the other party, and of the one that the question asks about."""
_FIGURE = re.compile(
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fourteen|fifteen|twenty|thirty|forty"
    r"|forty-five|fifty|sixty|ninety|hundred|half|no|all|none)\b",
    re.IGNORECASE,
)
_LINE = re.compile(r"\n\s*")
_WHO = re.compile(r"\bwho(?:se|m)?\b|\bwhich party\b|\bor\b", re.IGNORECASE)
"""In a question whose answer may be a party itself."""


@dataclass(frozen=True, slots=True)
class _Term:
    """A stretch of text about one party, with a figure in it."""

    piece: int
    start: int
    end: int
    asked: bool


def of_the_party_asked(scores: SpanScores, contexts: Sequence[Context]) -> SpanScores:
    """The scores [B, P, S] with each context's ``party_prior``, half at the start and half at the end of a span."""
    priors = [party_prior(context) for context in contexts]
    if all(prior is None for prior in priors):
        return scores
    half_BPS = torch.zeros_like(scores.start)
    for row, prior in enumerate(priors):
        if prior is not None:  # shorter slots are padded in the batch
            half_BPS[row, :, : prior.shape[1]] = torch.from_numpy(prior / 2).to(half_BPS)
    return SpanScores(scores.start + half_BPS, scores.end + half_BPS, scores.null)


def party_prior(context: Context) -> npt.NDArray[np.float32] | None:
    """[P, S] the log prior of a span's tokens; None where the question names no party, or the parties of both sides."""
    sides = _sides(context.question)
    if sides is None:
        return None
    prior = np.zeros(context.token_ids.shape, np.float32)
    for slot, scored in enumerate(context.passages):
        passage = scored.passage
        for term in _contrasted(_terms(passage.text, *sides)):
            starts = context.char_starts[slot] - passage.start
            inside = context.text_mask[slot] & (starts >= term.start) & (starts < term.end)
            prior[slot, inside] = _ASKED if term.asked else _OTHER
    return prior if prior.any() else None


def _pattern(names: Sequence[str]) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(names)})s?\b", re.IGNORECASE)


_PAIRS = [tuple(_pattern(side.split()) for side in line.split(" / ")) for line in read_words(__file__, "parties")]


def _sides(question: str) -> tuple[re.Pattern[str], re.Pattern[str]] | None:
    """The names of the party asked about, and of the other."""
    if _WHO.search(question):
        return None
    for one, other in _PAIRS:
        named = bool(one.search(question)), bool(other.search(question))
        if named[0] != named[1]:
            return (one, other) if named[0] else (other, one)
    return None


def _terms(text: str, asked: re.Pattern[str], other: re.Pattern[str]) -> list[_Term]:
    """The parts of sentences and lines about one party alone, with a figure. Such a part begins where the party is
    named after a figure, or first; a sentence that begins with a figure is left out: there the party follows it."""
    if not asked.search(text) or not other.search(text):
        return []
    cuts = sorted({0, *(offset for offset, _ in borders(text)), *(match.end() for match in _LINE.finditer(text))})
    terms: list[_Term] = []
    for number, (start, end) in enumerate(pairwise([*cuts, len(text)])):
        marks = sorted(
            (match.start(), name)
            for name, pattern in (("asked", asked), ("other", other), ("figure", _FIGURE))
            for match in pattern.finditer(text, start, end)
        )
        if not marks or marks[0][1] == "figure":
            continue
        begin, parties, figures = start, set[str](), False
        for place, name in [*marks, (end, "")]:
            if name == "figure":
                figures = True
                continue
            if figures:
                if len(parties) == 1:
                    terms.append(_Term(number, begin, place, "asked" in parties))
                begin, parties, figures = place, set(), False
            parties.add(name)
    return terms


def _contrasted(terms: Sequence[_Term]) -> list[_Term]:
    """The terms beside which the other party has one, too: in the same piece of text or the next."""
    return [
        term
        for term in terms
        if any(other.asked != term.asked and abs(other.piece - term.piece) <= 1 for other in terms)
    ]
