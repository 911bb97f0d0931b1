"""Questions that need no labels: sentences of indexed documents with a span masked, answered by another passage that
holds the span (recurring spans: Ram et al. 2021, Splinter).

The passage that the sentence was taken from is never shown. The one that answers stands near it in the same document
and shares further words with the sentence. Nobody has checked that it really answers: such questions compare readers
and conditions with each other, they are no measure of a reader's accuracy.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragyena.data.clozes import Cloze, clozes
from ragyena.errors import DataError
from ragyena.eval.metrics import normalize
from ragyena.eval.questions import Question
from ragyena.types import Passage, Progress

if TYPE_CHECKING:  # an index needs FAISS
    from ragyena.index.index import Index

__all__ = ["Masked", "hides", "make_masked"]

_NEAR = 8  # passages on each side in which a span is looked for
_SHARED_WORDS = 3  # that sentence and answering passage have in common at least, the answer not counted
_BLANKS = {"name": "what", "date": "when", "number": "how many"}


@dataclass(frozen=True, slots=True)
class Masked:
    """One question made from an index."""

    question: Question
    """Its ``context_id`` names the passage that answers."""
    own: Passage
    """The passage that answers."""
    taken_from: int
    """The id of the passage that the sentence was taken from."""


def make_masked(index: Index, count: int, seed: int, progress: Progress | None) -> list[Masked]:
    """At most ``count`` questions, of passages drawn with ``seed``, one a passage, each answered by another one.

    Raises DataError where no span recurs.
    """
    ids = [int(passage_id) for passage_id in index.store.passage_ids()]
    rng = random.Random(seed)
    rng.shuffle(ids)
    if progress:
        progress.start("masking recurring spans", count, "questions")
    made: list[Masked] = []
    answering: set[int] = set()
    for passage_id in ids:
        if len(made) == count:
            break
        masked = _masked(index, passage_id, rng)
        if masked is not None and masked.own.passage_id not in answering:
            answering.add(masked.own.passage_id)
            made.append(masked)
            if progress:
                progress.advance(1)
    if not made:
        raise DataError(
            f"no name, date or number of {index.folder} recurs near the sentence it stands in",
            hint="give an index of running text, or questions of your own: --data FILE",
        )
    return made


def hides(masked: Mapping[str, Masked], question: Question, passage: Passage, *, answers: bool) -> bool:
    """True where a passage must not be shown to a question: the sentence was taken from it, or, with ``answers``, it is
    another one that holds the answer."""
    one = masked.get(question.id)
    if one is None:
        return False
    if passage.passage_id == one.taken_from:
        return True
    if not answers or passage.passage_id == one.own.passage_id:
        return False
    return f" {normalize(question.answers[0])} " in f" {normalize(passage.text)} "


def _masked(index: Index, passage_id: int, rng: random.Random) -> Masked | None:
    (passage,) = index.passages([passage_id])
    near = [*index.neighbours(passage_id, _NEAR), passage]
    begin, end = min(p.start for p in near), max(p.end for p in near)
    text = index.document(passage.document_id).text[begin:end]
    for cloze in clozes(text, rng, len(text)):
        if cloze.elsewhere is None:
            break  # those that recur come first
        sentence = begin + cloze.sentence[0], begin + cloze.sentence[1]
        if not (passage.start <= sentence[0] and sentence[1] <= passage.end):
            continue
        elsewhere = begin + cloze.elsewhere[0], begin + cloze.elsewhere[1]
        own = next((p for p in near if p.start <= elsewhere[0] and elsewhere[1] <= p.end), None)
        answer = text[slice(*cloze.answer)]
        if own is None or own.passage_id == passage_id or not normalize(answer) or _is_common_word(text, cloze):
            continue
        blanked = _blanked(text, cloze)
        if answer not in blanked and len(_words(blanked) & _words(own.text)) >= _SHARED_WORDS:
            question = Question(
                id=f"masked-{passage_id}-{sentence[0]}",
                source="masked spans",
                question=blanked,
                answers=(answer,),
                context_id=f"passage-{own.passage_id}",
                answer_start=-1,
            )
            return Masked(question, own, passage_id)
    return None


def _is_common_word(text: str, cloze: Cloze) -> bool:
    """True where a seeming name is a common word: one that begins the sentence, or is written small elsewhere."""
    answer = text[slice(*cloze.answer)]
    if cloze.kind != "name" or " " in answer:
        return False
    begins = not re.search(r"\w", text[cloze.sentence[0] : cloze.answer[0]])
    return begins or bool(re.search(rf"(?<!\w){re.escape(answer.lower())}(?!\w)", text))


def _blanked(text: str, cloze: Cloze) -> str:
    """The sentence on one line, a word in the place of the span."""
    before, after = text[cloze.sentence[0] : cloze.answer[0]], text[cloze.answer[1] : cloze.sentence[1]]
    return " ".join(f"{before}{_BLANKS[cloze.kind]}{after}".split())


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w{4,}", text.lower()))
