"""Training contexts of located questions, packed as an answer's context is, and batches of them with their targets.

Legend: B contexts, P passages, S slot tokens, K further items of a list, T answer tokens.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ragyena.config import PackerConfig, TuneConfig
from ragyena.config.training import Sampling
from ragyena.documents.tokenizer import Tokenizer
from ragyena.model.inputs import collate
from ragyena.reader.packing import pack
from ragyena.train.packed import Batch
from ragyena.train.places import MORE_SPANS
from ragyena.tune.places import Located, pattern_of
from ragyena.types import Context, Passage, ScoredPassage

__all__ = ["Example", "batch_of", "make_examples"]

_LOOKED_AT = 4  # hits looked at for each negative


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A context and what the reader should make of it."""

    context: Context
    spans: tuple[tuple[int, int, int], ...]
    """Slot, first and last token of the answer, or of each item; empty where there is no span."""
    missing: bool
    """The context holds no answer."""
    polar: bool
    """It is a yes/no question."""
    listed: bool
    """It asks for a list."""
    written: tuple[int, ...]
    """Token ids of the answer to a yes/no question, with the end token; empty for others."""

    @property
    def tokens(self) -> int:
        """Tokens of question and passages, padding included."""
        return len(self.context.question_ids) + self.context.token_ids.size


def make_examples(
    located: Sequence[Located],
    tokenizer: Tokenizer,
    config: TuneConfig,
    *,
    header_tokens: int,
    max_question_tokens: int,
    unanswerable: bool,
) -> tuple[list[Example], list[str]]:
    """A context for each question, and where ``unanswerable`` some more without the answer's passage; and ``line N:
    reason`` of those whose answer the tokens do not hold.

    Negatives are what retrieval ranks highest and does not read as the answer; they are fewer where all contexts
    would exceed ``config.context_tokens``.
    """
    chooser = random.Random(config.seed)
    packer = PackerConfig(context_tokens=131_072, near_duplicate=1.0, header_tokens=header_tokens)
    each = config.context_tokens / max(1, len(located))
    examples: list[Example] = []
    problems: list[str] = []
    for one in located:
        negatives = _negatives(one, config.negatives)
        longest = max((len(p.passage.text) for p in one.hits), default=1) / 3  # tokens, about
        kept = negatives[: max(1, min(config.negatives, int(each / longest) - 1))]
        gold = [ScoredPassage(one.gold, 1.0)] if one.gold else []
        contexts = [gold + kept]
        if unanswerable and one.gold and kept and chooser.random() < config.unanswerable:
            contexts.append(kept)
        for number, passages in enumerate(contexts):
            chooser.shuffle(passages)
            if not passages:
                continue
            context = pack(one.question.question, passages, tokenizer, packer, max_question_tokens=max_question_tokens)
            example = _example(one, context, tokenizer, missing=one.gold is None or number > 0)
            if example is None:
                problems.append(f"line {one.question.line}: the reader's tokens do not hold its answer")
            else:
                examples.append(example)
    return examples, problems


def _negatives(one: Located, count: int) -> list[ScoredPassage]:
    """The best hits that are not the answer's passage and do not hold the answer's text."""
    own = one.question
    patterns = [pattern_of(answer) for answer in own.answers] if own.answer_type in ("span", "list", "compare") else []
    return [
        hit
        for hit in one.hits[: _LOOKED_AT * count]
        if not (one.gold and _overlaps(hit.passage, one.gold)) and not any(p.search(hit.passage.text) for p in patterns)
    ]


def _overlaps(one: Passage, other: Passage) -> bool:
    return one.document_id == other.document_id and one.start < other.end and other.start < one.end


def _example(one: Located, context: Context, tokenizer: Tokenizer, *, missing: bool) -> Example | None:
    own = one.question
    polar = own.answer_type in ("yes", "no")
    spans: list[tuple[int, int, int]] = []
    if not missing and one.gold is not None:
        places = (_tokens(context, one.gold, place) for place in one.spans)
        spans = [place for place in places if place is not None]
        if not spans and not polar:
            return None
    written = (*tokenizer.encode(own.answers[0]).ids.tolist(), tokenizer.sep_id) if polar and not missing else ()
    return Example(context, tuple(spans), missing, polar, own.answer_type == "list", written)


def _tokens(context: Context, gold: Passage, place: tuple[int, int]) -> tuple[int, int, int] | None:
    """The slot of a passage, and its first and last token that overlap chars of its document."""
    slot = next((n for n, scored in enumerate(context.passages) if scored.passage is gold), None)
    if slot is None:
        return None
    inside = context.text_mask[slot] & (context.char_starts[slot] < place[1]) & (context.char_ends[slot] > place[0])
    tokens = np.flatnonzero(inside)
    return (slot, int(tokens[0]), int(tokens[-1])) if len(tokens) else None


def batch_of(examples: Sequence[Example]) -> Batch:
    """The contexts padded to one shape, with their targets, as the losses of training take them."""
    inputs = collate([example.context for example in examples], "cpu")
    count, _, slot = inputs.token_ids.shape
    start, end = torch.zeros(2, count, dtype=torch.long)
    more = torch.full((count, MORE_SPANS, 2), -1)
    evidence = torch.zeros_like(inputs.token_mask)
    longest = max(1, *(len(example.written) for example in examples)) if examples else 1
    answer_ids = torch.zeros(count, longest, dtype=torch.long)
    answer_mask = torch.zeros(count, longest, dtype=torch.bool)
    reach = Sampling.EVIDENCE_REACH
    for row, example in enumerate(examples):
        for number, (at, first, last) in enumerate(example.spans[: MORE_SPANS + 1]):
            place = torch.tensor([1 + at * slot + first, 1 + at * slot + last])
            if number == 0:
                start[row], end[row] = place
            else:
                more[row, number - 1] = place
            evidence[row, at, max(0, first - reach) : last + reach + 1] = True
        answer_ids[row, : len(example.written)] = torch.tensor(example.written, dtype=torch.long)
        answer_mask[row, : len(example.written)] = True
    flag = torch.tensor([[e.polar, e.listed, bool(e.spans) or e.missing] for e in examples])
    return Batch(
        inputs=inputs,
        start=start,
        end=end,
        has_span=flag[:, 2],
        more=more,
        evidence=evidence & inputs.text_mask,
        answer_ids=answer_ids,
        answer_mask=answer_mask,
        polar=flag[:, 0].float(),
        listed=flag[:, 1].float(),
        plain_ids=inputs.question_ids,
        plain_mask=inputs.question_mask,
    )
