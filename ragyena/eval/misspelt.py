"""Misspelt questions: each word of four Latin letters or more with one typing error, the same ones for the same seed.

An error is, with equal chance, two letters swapped, a letter left out, a key beside the right one, or such a key struck
as well; its place in the word is drawn.
"""

from __future__ import annotations

import random
import re

from ragyena.index.spelling import neighbours

__all__ = ["misspelt"]

_WORD = re.compile(r"[A-Za-z]{4,}")


def misspelt(question: str, seed: object, share: float = 1.0) -> str:
    """``question`` with an error in ``share`` of its words."""
    rng = random.Random(f"misspelt {seed} {question}")
    return _WORD.sub(lambda word: _wrong(word[0], rng) if rng.random() < share else word[0], question)


def _wrong(word: str, rng: random.Random) -> str:
    place = rng.randrange(len(word))
    key = rng.choice(neighbours()[word[place].lower()])
    match rng.choice(["swapped", "left out", "exchanged", "added"]):
        case "swapped":
            place = min(place, len(word) - 2)
            return word[:place] + word[place + 1] + word[place] + word[place + 2 :]
        case "left out":
            return word[:place] + word[place + 1 :]
        case "exchanged":
            return word[:place] + key + word[place + 1 :]
        case _:
            return word[:place] + key + word[place:]
