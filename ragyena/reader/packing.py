"""Passages and a question into one context of slots, within a token budget, with an account of every choice.

Legend: P passages, S slot tokens, Q question tokens.

Slots are of equal length, so that a convolution inside a passage is a reshape and a boundary is arithmetic. The slot
length is the longest packed passage's, rounded up: padding counts against the budget, since the reader computes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ragyena.config import PackerConfig
from ragyena.documents.tokenizer import Encoding, Tokenizer
from ragyena.errors import BudgetError, EmptyQuestionError, QuestionTooLongError
from ragyena.types import Context, PackingLog, PackingLogEntry, PackingOutcome, Passage, ScoredPassage

__all__ = ["capacity", "pack"]

_SLOT_MULTIPLE = 16  # slots have few lengths, so that filters and their spectra are made for few lengths
_SMALLEST_SLOT = 64
_SHINGLE = 3  # words; near-duplicates are judged by their shingles
_MARKUP = frozenset("*_#|")  # of Markdown and its like: emphasis, headings, tables
_WORDS = re.compile(r"\w+")


def capacity(config: PackerConfig) -> int:
    """The most passages the budget could hold: how many to retrieve where no number is asked for."""
    return max(1, config.context_tokens // _SMALLEST_SLOT)


def pack(
    question: str,
    candidates: Sequence[ScoredPassage],
    tokenizer: Tokenizer,
    config: PackerConfig,
    *,
    max_question_tokens: int,
    neighbours: Callable[[int, int], Sequence[Passage]] | None = None,
) -> Context:
    """Fills a context with the best candidates that the budget holds.

    ``candidates`` come best first. ``neighbours(passage_id, distance)`` gives the passages around one, nearest first;
    needed where ``config.neighbours`` is not 0. Raises EmptyQuestionError, QuestionTooLongError, or BudgetError where
    the budget does not hold the question and one passage.
    """
    question_ids = _question_ids(question, tokenizer, max_question_tokens)
    entrants = [_Entrant(candidate, "packed") for candidate in candidates]
    if config.neighbours and neighbours is not None:
        entrants = _with_neighbours(entrants, config.neighbours, neighbours)
    _drop_duplicates(entrants, config.near_duplicate)
    # Texts are encoded only as far as they can enter: no slot is shorter than the smallest.
    room = config.context_tokens - len(question_ids)
    live = [e for e in entrants if e.enters]
    reachable = live[: max(1, room // _SMALLEST_SLOT)]
    for entrant in live[len(reachable) :]:
        entrant.outcome = "over budget"
    _encode(reachable, tokenizer, config.header_tokens)
    packed = _fill(reachable, room)
    if reachable and not packed:
        longest = max(e.tokens for e in reachable[:1])
        raise BudgetError(
            f"a context of {config.context_tokens} tokens cannot hold the question ({len(question_ids)} tokens) "
            f"and one passage ({_slot_length(longest)} tokens)",
            hint=f"give --context-tokens {len(question_ids) + _slot_length(longest)} or more",
        )
    if config.order == "document":
        packed.sort(key=lambda e: (e.scored.passage.source, e.scored.passage.start))
    return _build(question, question_ids, entrants, packed, config)


def _question_ids(question: str, tokenizer: Tokenizer, limit: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    if not question.strip():
        raise EmptyQuestionError(
            "the question is empty", hint="ask something, as in: ragyena ask 'Who built the bridge?'"
        )
    ids = tokenizer.encode(question).ids
    if len(ids) + 2 > limit:
        raise QuestionTooLongError(
            f"the question has {len(ids)} tokens; the reader takes at most {limit - 2}",
            hint="ask in a sentence or two; text to be searched belongs in the index (`ragyena index add`)",
        )
    if not len(ids):
        raise EmptyQuestionError(f"the question {question!r:.40} has no words", hint="ask in words")
    return np.concatenate([[tokenizer.cls_id], ids, [tokenizer.sep_id]]).astype(np.int32)


@dataclass(slots=True, eq=False)
class _Entrant:
    """A candidate on its way into the context."""

    scored: ScoredPassage
    outcome: PackingOutcome
    detail: str = ""
    header: Encoding | None = None
    text: Encoding | None = None
    header_length: int = 0
    slot: int | None = None

    @property
    def enters(self) -> bool:
        return self.outcome in ("packed", "neighbour")

    @property
    def tokens(self) -> int:
        """Slot tokens it needs: header and separator (where it has a header), text, separator."""
        if self.text is None:
            return 0
        return (self.header_length + 1 if self.header_length else 0) + len(self.text.ids) + 1


def _with_neighbours(
    entrants: list[_Entrant], distance: int, neighbours: Callable[[int, int], Sequence[Passage]]
) -> list[_Entrant]:
    """Each hit followed by the passages around it that are no hits themselves."""
    seen = {e.scored.passage.passage_id for e in entrants}
    result = []
    for entrant in entrants:
        result.append(entrant)
        for passage in neighbours(entrant.scored.passage.passage_id, distance):
            if passage.passage_id not in seen:
                seen.add(passage.passage_id)
                beside = ScoredPassage(passage, score=entrant.scored.score)
                result.append(_Entrant(beside, "neighbour", f"beside passage {entrant.scored.passage.passage_id}"))
    return result


def _drop_duplicates(entrants: Sequence[_Entrant], threshold: float) -> None:
    """Marks passages whose word shingles nearly equal those of a better one. Over 1 no two are alike enough."""
    if threshold > 1:
        return
    kept: list[tuple[int, frozenset[tuple[str, ...]]]] = []
    holders: dict[
        tuple[str, ...], list[int]
    ] = {}  # shingle -> positions in `kept`: only overlapping pairs are compared
    for entrant in entrants:
        words = _WORDS.findall(entrant.scored.passage.text.lower())
        shingles = frozenset(zip(*(words[i:] for i in range(_SHINGLE)))) or frozenset([tuple(words)])
        overlap: dict[int, int] = {}
        for shingle in shingles:
            for position in holders.get(shingle, ()):
                overlap[position] = overlap.get(position, 0) + 1
        for position, shared in overlap.items():
            other_id, other = kept[position]
            if shared / (len(shingles) + len(other) - shared) >= threshold:
                entrant.outcome, entrant.detail = "duplicate", f"nearly the text of passage {other_id}"
                break
        else:
            for shingle in shingles:
                holders.setdefault(shingle, []).append(len(kept))
            kept.append((entrant.scored.passage.passage_id, shingles))


def _encode(entrants: Sequence[_Entrant], tokenizer: Tokenizer, header_tokens: int) -> None:
    texts = tokenizer.encode_batch([e.scored.passage.text for e in entrants])
    headers = tokenizer.encode_batch([e.scored.passage.header for e in entrants])
    for entrant, text, header in zip(entrants, texts, headers):
        entrant.text, entrant.header = _without_markup(text, entrant.scored.passage.text), header
        entrant.header_length = min(len(header.ids), header_tokens)


def _without_markup(encoding: Encoding, text: str) -> Encoding:
    """The tokens but those of nothing but markup: readers are trained on prose, and offsets are kept by each token."""
    if not _MARKUP & set(text):
        return encoding
    words = zip(encoding.starts.tolist(), encoding.ends.tolist())
    kept = np.array([not _MARKUP.issuperset(text[start:end]) for start, end in words], np.bool_)
    if not kept.any():
        return encoding
    return Encoding(encoding.ids[kept], encoding.starts[kept], encoding.ends[kept])


def _slot_length(tokens: int) -> int:
    return max(_SMALLEST_SLOT, -(-tokens // _SLOT_MULTIPLE) * _SLOT_MULTIPLE)


def _fill(entrants: Sequence[_Entrant], room: int) -> list[_Entrant]:
    """The longest run of best entrants whose slots, all as long as the longest, fit into ``room`` tokens."""
    packed: list[_Entrant] = []
    slot = 0
    for position, entrant in enumerate(entrants):
        slot = max(slot, _slot_length(entrant.tokens))
        if (len(packed) + 1) * slot > room:
            for late in entrants[position:]:
                late.outcome = "over budget"
            break
        packed.append(entrant)
    return packed


def _build(
    question: str,
    question_ids: np.ndarray[tuple[int], np.dtype[np.int32]],
    entrants: Sequence[_Entrant],
    packed: Sequence[_Entrant],
    config: PackerConfig,
) -> Context:
    slot = _slot_length(max((e.tokens for e in packed), default=0)) if packed else 0
    shape = (len(packed), slot)
    token_ids, starts, ends = np.zeros(shape, np.int32), np.full(shape, -1, np.int32), np.full(shape, -1, np.int32)
    token_mask, text_mask = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    separator = int(question_ids[-1])
    for row, entrant in enumerate(packed):
        assert entrant.text is not None and entrant.header is not None
        entrant.slot = row
        position = 0
        if entrant.header_length:
            token_ids[row, : entrant.header_length] = entrant.header.ids[: entrant.header_length]
            token_ids[row, entrant.header_length] = separator
            position = entrant.header_length + 1
        end = position + len(entrant.text.ids)
        token_ids[row, position:end] = entrant.text.ids
        token_ids[row, end] = separator
        token_mask[row, : end + 1] = True
        text_mask[row, position:end] = True
        starts[row, position:end] = entrant.text.starts + entrant.scored.passage.start
        ends[row, position:end] = entrant.text.ends + entrant.scored.passage.start
    log = PackingLog(
        entries=tuple(
            PackingLogEntry(
                passage_id=e.scored.passage.passage_id,
                source=e.scored.passage.source,
                score=e.scored.score,
                outcome=e.outcome,
                slot=e.slot,
                tokens=e.tokens,
                detail=e.detail,
            )
            for e in entrants
        ),
        context_tokens=config.context_tokens,
        question_tokens=len(question_ids),
        slot_tokens=slot,
        used_tokens=len(question_ids) + token_ids.size,
        filled_tokens=len(question_ids) + int(token_mask.sum()),
    )
    return Context(
        question=question,
        question_ids=question_ids,
        passages=tuple(e.scored for e in packed),
        token_ids=token_ids,
        token_mask=token_mask,
        text_mask=text_mask,
        char_starts=starts,
        char_ends=ends,
        log=log,
    )
