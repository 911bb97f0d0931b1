"""Pack passages and a question into one context of slots, within a token budget, with a log of every choice.

A slot is a padded passage. Slots are of equal length, so that a convolution inside a passage is a reshape and a
boundary is arithmetic. The slot length is the longest packed passage's, rounded up: padding counts against the budget,
since the reader computes it.

Candidates of an index come with their tokens: packing them is a gather. Others are tokenized here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from ragyena.config import PackerConfig
from ragyena.documents.candidates import StoredCandidates
from ragyena.documents.near_duplicates import Duplicates, find_duplicates, find_duplicates_by_bitmap
from ragyena.documents.packing_rows import (
    PackingColumns,
    PackingRow,
    TokenTable,
    id_bytes,
    packing_rows,
    read_signatures,
    without_markup,
)
from ragyena.documents.tokenizer import Tokenizer
from ragyena.errors import BudgetError, EmptyQuestionError, QuestionTooLongError
from ragyena.types import Context, PackingLog, PackingLogEntry, PackingOutcome, Passage, ScoredPassage, in_bulk

__all__ = ["capacity", "pack"]

_SLOT_MULTIPLE = 16  # few slot lengths, so that filters and their spectra are computed for few lengths
_SMALLEST_SLOT = 64

IntArray = npt.NDArray[np.int32]
Positions = npt.NDArray[np.int64]
"""Places in the list of entrants."""


def capacity(config: PackerConfig) -> int:
    """The most passages the budget could hold: the number to retrieve by default."""
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
    """Fill a context with the best candidates that the budget holds.

    ``candidates`` come best first. ``neighbours(passage_id, distance)`` gives the passages around one, nearest first;
    needed where ``config.neighbours`` is not 0.

    Raises EmptyQuestionError, QuestionTooLongError, or BudgetError where the budget does not hold the question and one
    passage; IndexCorruptError where tokens of an index are damaged.
    """
    question_ids = _question_ids(question, tokenizer, max_question_tokens)
    entrants: _Entrants
    if isinstance(candidates, StoredCandidates) and not (config.neighbours and neighbours):
        entrants = _Stored(candidates, tokenizer)
    else:
        entrants = _Given(candidates, tokenizer, config.neighbours if neighbours else 0, neighbours)
    duplicates = entrants.duplicates(config.near_duplicate)
    entering = np.setdiff1d(np.arange(len(entrants.outcomes)), [*duplicates], assume_unique=True)
    # Texts are encoded only as far as they can enter: no slot is shorter than the smallest.
    room = config.context_tokens - len(question_ids)
    reachable = entering[: max(1, room // _SMALLEST_SLOT)]
    tokens = entrants.tokens(reachable, config.header_tokens)
    packed = reachable[: _fitting(tokens, room)]
    if len(reachable) and not len(packed):
        slot = int(_slot_lengths(tokens)[0])
        raise BudgetError(
            f"a context of {config.context_tokens} tokens cannot hold the question ({len(question_ids)} tokens) "
            f"and one passage ({slot} tokens)",
            hint=f"give --context-tokens {len(question_ids) + slot} or more",
        )
    if config.order == "document":
        packed = packed[np.array(entrants.document_order(packed), np.int64)] if len(packed) else packed
    table = entrants.table(packed)
    arrays = _slots(table, entrants.starts(packed), config.header_tokens, int(question_ids[-1]))
    token_ids, token_mask, text_mask, char_starts, char_ends = arrays
    log = PackingLog(
        entries=_entries(entrants, duplicates, entering[len(packed) :], reachable, tokens, packed),
        context_tokens=config.context_tokens,
        question_tokens=len(question_ids),
        slot_tokens=token_ids.shape[1],
        used_tokens=len(question_ids) + token_ids.size,
        filled_tokens=len(question_ids) + int(np.count_nonzero(token_mask)),
    )
    passages = tuple(entrants.scored(packed))
    return Context(question, question_ids, passages, token_ids, token_mask, text_mask, char_starts, char_ends, log)


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


# --- entrants ------------------------------------------------------------------------------------------------------


class _Entrants(ABC):
    """The candidates, and the passages around them where these are wanted."""

    outcomes: list[PackingOutcome]
    """The outcome of each, should it enter."""
    details: list[str]

    @abstractmethod
    def duplicates(self, threshold: float) -> Duplicates:
        """The entrants that nearly repeat a better one."""

    @abstractmethod
    def tokens(self, positions: Positions, header_tokens: int) -> npt.NDArray[np.int64]:
        """Slot tokens that entrants need: header and its separator, text, separator."""

    @abstractmethod
    def table(self, positions: Positions) -> TokenTable:
        """The tokens of entrants for which ``tokens`` was asked."""

    @abstractmethod
    def scored(self, positions: Positions) -> list[ScoredPassage]: ...

    @abstractmethod
    def starts(self, positions: Positions) -> npt.NDArray[np.int64]:
        """Char offsets at which they start in their documents."""

    @abstractmethod
    def document_order(self, positions: Positions) -> list[int]:
        """Places of ``positions``, ordered as they stand in their documents."""

    @abstractmethod
    def logged(self) -> dict[str, Sequence[object]]:
        """Columns of the packing log: who they are, and where."""


class _Stored(_Entrants):
    """Candidates with the tokens that their index keeps; of those for which it keeps none, they are made here."""

    def __init__(self, candidates: StoredCandidates, tokenizer: Tokenizer) -> None:
        self._candidates = candidates
        self._tokenizer = tokenizer
        self.outcomes = ["packed"] * len(candidates)
        self.details = [""] * len(candidates)
        missing = candidates.without_tokens
        self._made: dict[int, PackingRow] = {}
        self._text_bytes, self._header_bytes = candidates.text_bytes, candidates.header_bytes
        self._shingles, self._bitmaps = candidates.shingles, candidates.bitmaps
        if missing:
            passages = [scored.passage for scored in candidates.scored(missing)]
            encodings = tokenizer.encode_batch([passage.text for passage in passages])
            self._made = dict(zip(missing, packing_rows(passages, encodings, tokenizer), strict=True))
            self._fill_in(missing, [*self._made.values()])

    def _fill_in(self, places: Sequence[int], rows: Sequence[PackingRow]) -> None:
        """Put what was made here in the place of what the index lacks."""
        self._text_bytes, self._header_bytes = self._text_bytes.copy(), self._header_bytes.copy()
        self._shingles, self._bitmaps = self._shingles.copy(), self._bitmaps.copy()
        self._text_bytes[places] = [len(row.token_ids) for row in rows]
        self._header_bytes[places] = [len(row.header_ids) for row in rows]
        self._shingles[places], self._bitmaps[places] = read_signatures([row.signature for row in rows])

    def duplicates(self, threshold: float) -> Duplicates:
        return find_duplicates_by_bitmap(self._shingles, self._bitmaps, self._candidates.text, threshold)

    def tokens(self, positions: Positions, header_tokens: int) -> npt.NDArray[np.int64]:
        width = id_bytes(self._tokenizer.vocab_size)
        return _needed(self._text_bytes[positions] // width, self._header_bytes[positions] // width, header_tokens)

    def table(self, positions: Positions) -> TokenTable:
        places = positions.tolist()
        columns = self._candidates.tokens([i for i in places if i not in self._made])
        if self._made:
            stored = zip(*columns, strict=True)
            made = {i: row[:3] for i, row in self._made.items()}
            columns = PackingColumns(*zip(*(made[i] if i in made else next(stored) for i in places)))
        try:
            return TokenTable.stored(columns, self._candidates.chars(positions), self._tokenizer.vocab_size)
        except ValueError as error:
            raise self._candidates.damage(str(error)) from error

    def scored(self, positions: Positions) -> list[ScoredPassage]:
        return self._candidates.scored(positions.tolist())

    def starts(self, positions: Positions) -> npt.NDArray[np.int64]:
        return self._candidates.starts[positions]

    def document_order(self, positions: Positions) -> list[int]:
        places, starts = positions.tolist(), self.starts(positions).tolist()
        return sorted(range(len(places)), key=lambda i: (self._candidates.sources[places[i]], starts[i]))

    def logged(self) -> dict[str, Sequence[object]]:
        held = self._candidates
        return {
            "passage_id": held.passage_ids.tolist(),
            "source": held.sources,
            "score": held.scores.tolist(),
            "document_id": held.document_ids.tolist(),
            "start": held.starts.tolist(),
            "end": held.ends.tolist(),
        }


class _Given(_Entrants):
    """Passages from anywhere, tokenized here, as far as they can enter."""

    def __init__(
        self,
        candidates: Sequence[ScoredPassage],
        tokenizer: Tokenizer,
        distance: int,
        neighbours: Callable[[int, int], Sequence[Passage]] | None,
    ) -> None:
        """With the passages up to ``distance`` around each candidate that are not candidates themselves after it."""
        self._tokenizer = tokenizer
        self._scored: list[ScoredPassage] = []
        self.outcomes, self.details = [], []
        seen = {candidate.passage.passage_id for candidate in candidates}
        for candidate in candidates:
            self._enter(candidate, "packed", "")
            hit = candidate.passage.passage_id
            for passage in neighbours(hit, distance) if distance and neighbours is not None else ():
                if passage.passage_id not in seen:
                    seen.add(passage.passage_id)
                    scored = ScoredPassage(passage, score=candidate.score)
                    self._enter(scored, "neighbour", f"next to passage {hit}")

    def _enter(self, scored: ScoredPassage, outcome: PackingOutcome, detail: str) -> None:
        self._scored.append(scored)
        self.outcomes.append(outcome)
        self.details.append(detail)

    def duplicates(self, threshold: float) -> Duplicates:
        return find_duplicates([scored.passage.text for scored in self._scored], threshold)

    def tokens(self, positions: Positions, header_tokens: int) -> npt.NDArray[np.int64]:
        passages = [scored.passage for scored in self.scored(positions)]
        texts = self._tokenizer.encode_batch([passage.text for passage in passages])
        kept = [without_markup(text, passage.text) for text, passage in zip(texts, passages, strict=True)]
        headers = self._tokenizer.encode_batch([passage.header for passage in passages])
        self._encoded = dict(zip(positions.tolist(), zip(kept, headers)))
        return _needed(
            np.array([len(text) for text in kept], np.int64),
            np.array([len(header) for header in headers], np.int64),
            header_tokens,
        )

    def table(self, positions: Positions) -> TokenTable:
        encoded = [self._encoded[i] for i in positions.tolist()]
        return TokenTable.of([text for text, _ in encoded], [header.ids for _, header in encoded])

    def scored(self, positions: Positions) -> list[ScoredPassage]:
        return [self._scored[i] for i in positions.tolist()]

    def starts(self, positions: Positions) -> npt.NDArray[np.int64]:
        return np.array([scored.passage.start for scored in self.scored(positions)], np.int64)

    def document_order(self, positions: Positions) -> list[int]:
        passages = [scored.passage for scored in self.scored(positions)]
        return sorted(range(len(passages)), key=lambda i: (passages[i].source, passages[i].start))

    def logged(self) -> dict[str, Sequence[object]]:
        passages = [scored.passage for scored in self._scored]
        return {
            "passage_id": [passage.passage_id for passage in passages],
            "source": [passage.source for passage in passages],
            "score": [scored.score for scored in self._scored],
            "document_id": [passage.document_id for passage in passages],
            "start": [passage.start for passage in passages],
            "end": [passage.end for passage in passages],
        }


# --- slots -------------------------------------------------------------------------------------------------------


def _needed(texts: npt.NDArray[np.int64], headers: npt.NDArray[np.int64], header_tokens: int) -> npt.NDArray[np.int64]:
    headers = np.minimum(headers, header_tokens)
    return headers + (headers > 0) + texts + 1


def _slot_lengths(tokens: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.maximum(_SMALLEST_SLOT, -(-tokens // _SLOT_MULTIPLE) * _SLOT_MULTIPLE)


def _fitting(tokens: npt.NDArray[np.int64], room: int) -> int:
    """The longest run of best entrants whose slots, all as long as the longest, fit into ``room`` tokens."""
    used = np.maximum.accumulate(_slot_lengths(tokens)) * np.arange(1, len(tokens) + 1)
    return int(np.count_nonzero(used <= room))  # `used` never falls


def _slots(
    table: TokenTable, passage_starts: npt.NDArray[np.int64], header_tokens: int, separator: int
) -> tuple[IntArray, npt.NDArray[np.bool_], npt.NDArray[np.bool_], IntArray, IntArray]:
    """Token ids, the masks of tokens and of text tokens, and char offsets in documents: each [P, S]."""
    headers = np.minimum(table.header_lengths, header_tokens)
    begins = headers + (headers > 0)
    ends = begins + table.lengths
    rows = np.arange(len(begins))
    slot = int(_slot_lengths((ends + 1).max(keepdims=True))[0]) if len(rows) else 0
    shape = (len(rows), slot)
    token_ids = np.zeros(shape, np.int32)
    char_starts, char_ends = np.full(shape, -1, np.int32), np.full(shape, -1, np.int32)
    column = np.arange(slot)
    text_mask = (column >= begins[:, None]) & (column < ends[:, None])
    token_ids[text_mask] = table.ids
    token_ids[column < headers[:, None]] = _beginnings(table, headers)
    token_ids[rows[headers > 0], headers[headers > 0]] = separator
    token_ids[rows, ends] = separator
    first = np.repeat(passage_starts, table.lengths)
    char_starts[text_mask] = table.starts + first
    char_ends[text_mask] = table.ends + first
    return token_ids, column <= ends[:, None], text_mask, char_starts, char_ends


def _beginnings(table: TokenTable, headers: npt.NDArray[np.int64]) -> IntArray:
    """The first tokens of each header, as many as ``headers`` says."""
    if np.array_equal(headers, table.header_lengths):
        return table.header_ids
    place = np.arange(len(table.header_ids))
    place -= np.repeat(np.cumsum(table.header_lengths) - table.header_lengths, table.header_lengths)
    return table.header_ids[place < np.repeat(headers, table.header_lengths)]


# --- the log -----------------------------------------------------------------------------------------------------


def _entries(
    entrants: _Entrants,
    duplicates: Duplicates,
    over_budget: Positions,
    reachable: Positions,
    tokens: npt.NDArray[np.int64],
    packed: Positions,
) -> tuple[PackingLogEntry, ...]:
    columns = entrants.logged()
    count, ids = len(entrants.outcomes), columns["passage_id"]
    outcomes, details = entrants.outcomes, entrants.details
    for position in over_budget.tolist():
        outcomes[position] = "over budget"
    for position, other in duplicates.items():
        outcomes[position], details[position] = "duplicate", f"nearly the text of passage {ids[other]}"
    slots: list[int | None] = [None] * count
    for slot, position in enumerate(packed.tolist()):
        slots[position] = slot
    needed = np.zeros(count, np.int64)
    needed[reachable] = tokens
    columns |= {"outcome": outcomes, "slot": slots, "tokens": needed.tolist(), "detail": details}
    return tuple(in_bulk(PackingLogEntry, count, columns | {"share": [None] * count}))
