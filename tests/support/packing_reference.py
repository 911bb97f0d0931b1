"""Packing as it was before an index kept tokens: the reference that tests compare ``ragyena.reader.packing`` with.

Everything is tokenized and compared passage by passage. One thing is settled that was left to the order of a set: of
several passages that a duplicate repeats, the first is named.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ragyena.config import PackerConfig
from ragyena.documents.tokenizer import Encoding, Tokenizer
from ragyena.errors import BudgetError, EmptyQuestionError, QuestionTooLongError
from ragyena.types import Context, PackingLog, PackingLogEntry, PackingOutcome, Passage, ScoredPassage

__all__ = ["pack"]

_SLOT_MULTIPLE = 16  # few slot lengths, so that filters and their spectra are computed for few lengths
_SMALLEST_SLOT = 64
_SHINGLE = 3  # words; near-duplicates are judged by their shingles
_MARKUP = frozenset("*_#|")  # of Markdown and its like: emphasis, headings, tables
_WORDS = re.compile(r"\w+")

IntArray = npt.NDArray[np.int32]


def pack(
    question: str,
    candidates: Sequence[ScoredPassage],
    tokenizer: Tokenizer,
    config: PackerConfig,
    *,
    max_question_tokens: int,
    neighbours: Callable[[int, int], Sequence[Passage]] | None = None,
) -> Context:
    """Fill a context with the best candidates that the budget holds.

    ``candidates`` come best first. ``neighbours(passage_id, distance)`` gives the passages around one, nearest first;
    needed where ``config.neighbours`` is not 0.

    Raises EmptyQuestionError, QuestionTooLongError, or BudgetError where the budget does not hold the question and one
    passage.
    """
    question_ids = _question_ids(question, tokenizer, max_question_tokens)
    entrants = [_Entrant(candidate, "packed") for candidate in candidates]
    if config.neighbours and neighbours is not None:
        entrants = _with_neighbours(entrants, config.neighbours, neighbours)
    _drop_duplicates(entrants, config.near_duplicate)
    # Texts are encoded only as far as they can enter: no slot is shorter than the smallest.
    room = config.context_tokens - len(question_ids)
    entering = [e for e in entrants if e.outcome in ("packed", "neighbour")]
    reachable = entering[: max(1, room // _SMALLEST_SLOT)]
    _encode(reachable, tokenizer, config.header_tokens)
    packed = _fill(reachable, room)
    for entrant in entering[len(packed) :]:
        entrant.outcome = "over budget"
    if reachable and not packed:
        slot = _slot_length(reachable[0].tokens)
        raise BudgetError(
            f"a context of {config.context_tokens} tokens cannot hold the question ({len(question_ids)} tokens) "
            f"and one passage ({slot} tokens)",
            hint=f"give --context-tokens {len(question_ids) + slot} or more",
        )
    if config.order == "document":
        packed.sort(key=lambda e: (e.scored.passage.source, e.scored.passage.start))
    return _build(question, question_ids, entrants, packed, config)


def _question_ids(question: str, tokenizer: Tokenizer, limit: int) -> IntArray:
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
    """A candidate, and what becomes of it."""

    scored: ScoredPassage
    outcome: PackingOutcome
    detail: str = ""
    header_ids: IntArray | None = None
    text: Encoding | None = None
    """The passage's tokens; None where it was dropped before they were needed."""
    slot: int | None = None

    @property
    def header_length(self) -> int:
        """Slot tokens of the header and the separator after it; 0 where the passage has none."""
        return len(self.header_ids) + 1 if self.header_ids is not None and len(self.header_ids) else 0

    @property
    def tokens(self) -> int:
        """Slot tokens that it needs: header, text, separator."""
        return 0 if self.text is None else self.header_length + len(self.text) + 1

    def log_entry(self) -> PackingLogEntry:
        passage, score = self.scored.passage, self.scored.score
        return PackingLogEntry(
            *(passage.passage_id, passage.source, score, self.outcome, self.slot, self.tokens, self.detail),
            *(passage.document_id, passage.start, passage.end),
        )


def _with_neighbours(
    entrants: list[_Entrant], distance: int, neighbours: Callable[[int, int], Sequence[Passage]]
) -> list[_Entrant]:
    """Each hit followed by the passages around it that are not hits themselves."""
    seen = {e.scored.passage.passage_id for e in entrants}
    result = []
    for entrant in entrants:
        result.append(entrant)
        hit = entrant.scored.passage.passage_id
        for passage in neighbours(hit, distance):
            if passage.passage_id not in seen:
                seen.add(passage.passage_id)
                scored = ScoredPassage(passage, score=entrant.scored.score)
                result.append(_Entrant(scored, "neighbour", f"next to passage {hit}"))
    return result


def _drop_duplicates(entrants: Sequence[_Entrant], threshold: float) -> None:
    """Mark passages whose word shingles nearly equal those of a better one. Over 1, no two are alike enough."""
    if threshold > 1:
        return
    kept: list[tuple[int, frozenset[tuple[str, ...]]]] = []
    holders: dict[tuple[str, ...], list[int]] = {}  # shingle -> positions in `kept`: only these pairs are compared
    for entrant in entrants:
        words = _WORDS.findall(entrant.scored.passage.text.lower())
        shingles = frozenset(zip(*(words[i:] for i in range(_SHINGLE)))) or frozenset([tuple(words)])
        overlap = Counter(position for shingle in shingles for position in holders.get(shingle, ()))
        for position, shared in sorted(overlap.items()):
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
        entrant.text = _without_markup(text, entrant.scored.passage.text)
        entrant.header_ids = header.ids[:header_tokens]


def _without_markup(encoding: Encoding, text: str) -> Encoding:
    """The tokens without those that are markup alone: readers are trained on prose, and each token has its offsets."""
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
    slot = 0
    for position, entrant in enumerate(entrants):
        slot = max(slot, _slot_length(entrant.tokens))
        if (position + 1) * slot > room:
            return list(entrants[:position])
    return list(entrants)


def _build(
    question: str,
    question_ids: IntArray,
    entrants: Sequence[_Entrant],
    packed: Sequence[_Entrant],
    config: PackerConfig,
) -> Context:
    slot = _slot_length(max(e.tokens for e in packed)) if packed else 0
    shape = (len(packed), slot)
    token_ids, starts, ends = np.zeros(shape, np.int32), np.full(shape, -1, np.int32), np.full(shape, -1, np.int32)
    token_mask, text_mask = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    separator = int(question_ids[-1])
    for row, entrant in enumerate(packed):
        assert entrant.text is not None and entrant.header_ids is not None
        entrant.slot = row
        begin, end = entrant.header_length, entrant.tokens - 1
        if begin:
            token_ids[row, :begin] = [*entrant.header_ids, separator]
        token_ids[row, begin:end] = entrant.text.ids
        token_ids[row, end] = separator
        token_mask[row, : end + 1] = True
        text_mask[row, begin:end] = True
        starts[row, begin:end] = entrant.text.starts + entrant.scored.passage.start
        ends[row, begin:end] = entrant.text.ends + entrant.scored.passage.start
    log = PackingLog(
        entries=tuple(e.log_entry() for e in entrants),
        context_tokens=config.context_tokens,
        question_tokens=len(question_ids),
        slot_tokens=slot,
        used_tokens=len(question_ids) + token_ids.size,
        filled_tokens=len(question_ids) + int(token_mask.sum()),
    )
    passages = tuple(e.scored for e in packed)
    return Context(question, question_ids, passages, token_ids, token_mask, text_mask, starts, ends, log)
