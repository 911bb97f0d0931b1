"""Two readers compared on located questions, end to end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ragyena.config import PipelineConfig
from ragyena.eval.document_scores import DocumentAnswer
from ragyena.eval.documents import ask
from ragyena.eval.metrics import Estimate
from ragyena.eval.significance import paired
from ragyena.reader.packing import pack
from ragyena.reader.reader import Reader
from ragyena.tune.places import Located
from ragyena.types import Progress, Silent

__all__ = ["Compared", "Share", "answers_of", "compare"]

_RESAMPLES, _SEED = 2000, 0
_AT_ONCE = 4  # questions read between two signs of progress


def answers_of(
    reader: Reader, located: Sequence[Located], settings: PipelineConfig, what: str, progress: Progress
) -> list[DocumentAnswer]:
    """The answer to each question from its hits, packed and read as by ``ragyena ask`` under ``settings``.

    ``reader`` withholds nothing itself: what the threshold of ``settings``, else its own rule, withholds is marked.
    """
    progress.start(what, len(located), "questions")
    answers: list[DocumentAnswer] = []
    for begin in range(0, len(located), _AT_ONCE):
        some = located[begin : begin + _AT_ONCE]
        contexts = [
            pack(
                one.question.question,
                one.hits,
                reader.tokenizer,
                settings.packer,
                max_question_tokens=settings.reader.max_question_tokens,
            )
            for one in some
        ]
        rows = [one.row() for one in some]
        rule = reader.withholding(settings.reader)
        answers += ask(rows, contexts, reader.read_batch, Silent(), withholding=rule)
        progress.advance(len(some))
    return answers


class Share(NamedTuple):
    """A mean over questions, before and after, each between 0 and 1."""

    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Compared:
    """The answers of two readers to the same questions."""

    questions: int
    documents: int
    right: Share
    """Right answers; of a question without an answer, one that is withheld."""
    f1: Share
    withheld: Share
    """The questions that have an answer and were given none."""
    gain: Estimate
    """Right answers after less before, in percent points, with a 95% interval (paired bootstrap over documents)."""
    p: float
    """Two-sided p-value of the gain: paired permutation test over documents."""
    grouped: bool
    """Resampled were whole documents; False where these are too few, and questions were."""


def compare(located: Sequence[Located], before: Sequence[DocumentAnswer], after: Sequence[DocumentAnswer]) -> Compared:
    """Compares two lists of answers to ``located``, all in the same order."""
    groups = [one.document for one in located]
    documents = len(set(groups))
    grouped = documents >= 5
    if not grouped:
        groups = [f"line {one.question.line}" for one in located]
    sides = [[float(answer["right"]) for answer in side] for side in (after, before)]
    test = paired(sides[0], sides[1], groups, ("after", "before"), "all", "right", resamples=_RESAMPLES, seed=_SEED)
    answerable = [n for n, one in enumerate(located) if one.question.answer_type != "none"]

    def share(name: Literal["right", "f1", "withheld"], some: Sequence[int]) -> Share:
        return Share(*(sum(float(side[n][name]) for n in some) / max(len(some), 1) for side in (before, after)))

    every = range(len(located))
    return Compared(
        len(located),
        documents,
        share("right", every),
        share("f1", every),
        share("withheld", answerable),
        test.difference,
        test.p,
        grouped,
    )
