"""The other side of a comparison: where the thing stands that the answer was compared with.

"Which is cheaper, the V-10 or the V-20?" names two things. The answer's place shows one of them; a reader who checks it
needs the row or sentence of the other, too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from ragyena.documents.sentences import borders
from ragyena.types import Context, Span

__all__ = ["compared_place"]

_WORD = re.compile(r"\w+")
_OR = re.compile(r"\b(?:or|vs|versus)\b", re.IGNORECASE)
_LINE = re.compile(r"\n\s*")
_PAUSE = re.compile(r"[,:;?!()]")
_NEAR = 5
"""Words on each side of the "or" that may name what is compared."""
_NAMED, _HELD = 0.5, 0.9
"""Share of a side's words, the rare counting more, from which the answer's quote names that side; and from which it
names the other side as well, so that no second place is needed."""


def compared_place(context: Context, answer: Span, quote: str) -> Span | None:
    """The line or sentence, of the packed passages, that holds what the answer is compared with.

    ``quote`` is what is cited for the answer. None where the question names no two things around an "or", where neither
    is in the answer or its quote, where the quote holds both, and where the other is not found.
    """
    sides = _sides(context.question)
    if sides is None:
        return None
    places = [(place, _words(place.text)) for place in _places(context)]
    counts = Counter(word for _, words in places for word in words & (sides[0] | sides[1]))

    def weight(words: frozenset[str]) -> float:
        """Rare words tell places apart."""
        return sum(1 / counts[word] for word in words if word in counts)

    totals = [weight(side) for side in sides]
    if not all(totals):
        return None
    said, around = _words(answer.text), _words(quote)
    shares = [(weight(side & said), weight(side & around) / total) for side, total in zip(sides, totals)]
    if shares[0] == shares[1]:
        return None
    chosen = int(shares[1] > shares[0])
    other = sides[1 - chosen]
    if shares[chosen][1] < _NAMED or shares[1 - chosen][1] >= _HELD:
        return None
    source = context.passages[answer.slot].passage.source
    best: tuple[tuple[float, bool, float, bool], Span] | None = None
    for place, words in places:
        shared = weight(words & other)
        if not shared or (place.slot == answer.slot and place.start < answer.end and answer.start < place.end):
            continue
        # of those that name it the likest: rows of one table are alike
        alike = len(words & around) / (len(words) + _NEAR)
        rank = (shared, context.passages[place.slot].passage.source == source, alike, place.slot == answer.slot)
        if best is None or rank > best[0]:
            best = rank, place
    return best[1] if best else None


def _sides(question: str) -> tuple[frozenset[str], frozenset[str]] | None:
    """The words that name each of two things, those in common left out; None where either has none."""
    found = list(_OR.finditer(question))
    if not found:
        return None
    before, after = question[: found[-1].start()], question[found[-1].end() :]
    left = frozenset(_WORD.findall(_PAUSE.split(before)[-1].casefold())[-_NEAR:])
    right = frozenset(_WORD.findall(_PAUSE.split(after)[0].casefold())[:_NEAR])
    one, other = left - right, right - left
    return (one, other) if one and other else None


def _places(context: Context) -> Iterator[Span]:
    """The sentences, lines and rows of all packed passages."""
    for slot, scored in enumerate(context.passages):
        text, origin = scored.passage.text, scored.passage.start
        # Every line is one, too: rows of a table that are long are no lines of their own to ``borders``.
        starts = {0, *(offset for offset, _ in borders(text)), *(match.end() for match in _LINE.finditer(text))}
        for start, end in pairwise([*sorted(starts), len(text)]):
            piece = text[start:end].rstrip()
            if piece:
                yield Span(slot, 0, 0, origin + start, origin + start + len(piece), piece, 0.0)


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.casefold()))
