"""Document -> passages that fit a reader's slots, cut at the borders of the text.

A document is divided into *units* (sentences, lines, headings; pieces of a sentence too long for a passage). Passages
are runs of units, chosen together by dynamic programming: as few as possible, cut at strong borders rather than weak
ones, no heading parted from its section, none much emptier than its neighbours. A page border is always cut. A heading
border is, too, unless the sections at it are short enough to share a passage.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ragyena.documents.line_cuts import with_line_cuts
from ragyena.documents.sentences import Border, borders
from ragyena.documents.tokenizer import Encoding, Tokenizer
from ragyena.types import Block, Document, Heading, Passage

__all__ = ["split", "split_encoded"]

CHARS_PER_TOKEN = 24
"""The most chars a passage holds a token: bounds runs that the tokenizer takes for one unknown word."""
ENCODE_CHARS = 8192
"""Texts are encoded in parts of about this many chars, and never of more than twice as many."""
ENCODE_PARTS = 64
"""Parts, or passages, encoded at once: a tokenizer takes about 600 bytes a token while it works."""
MANY_UNITS = 20_000
"""A document of more units has those joined that are less than a ``JOINED``th of a passage: all ways to group very many
lines of a word or two would take minutes to weigh."""
JOINED = 25
LONGEST_PATH = 12
"""The most headings that a passage stands under; of more, the innermost."""

# Costs of cuts, in passages: one passage more is worth it where that saves cuts of this sum.
CUT = {Border.PARAGRAPH: 0.05, Border.SENTENCE: 0.15, Border.LINE: 0.12}
CUT_INSIDE = 0.5
"""Inside a sentence."""
CUT_HEADING_OFF = 0.8
"""Between a heading and its section."""
CROSS_HEADING = 0.25
"""Cost of a passage that continues over a heading."""
EMPTINESS = 0.3
"""Cost of a passage, times the square of the share of it that stays empty."""
SHORT = 0.4
"""Share of a passage up to which a section is short enough to share one."""

_SPACE, _TEXT = re.compile(r"\s"), re.compile(r"\S")
_PLAIN_SPACE = " \t\n\r"
_JOINING = re.compile(r"[\x0b\x0c\x1c-\x1f\x85]")
"""White space that some tokenizers take out, so that it joins what stands around it."""
_INNER_BORDERS = (re.compile(r"[,;:，、；：)\]}»”—–][\"'”’]?\s+"), re.compile(r"\s+"), re.compile(r"[^\w\s]"))
"""Clause, word and punctuation borders inside a sentence."""


@dataclass(slots=True)
class _Unit:
    start: int
    tokens: int
    cut: float
    """Cost of a passage beginning here."""
    cross: float = 0.0
    """Cost of a passage that runs over this unit's start; infinite where none may."""


def split(document: Document, tokenizer: Tokenizer, passage_tokens: int) -> list[Passage]:
    """Cut a document into passages, in order, each of at most ``passage_tokens`` tokens when encoded alone.

    Passages do not overlap, have no white space at either end and are never empty; every char of the document that
    is not white space is in exactly one. Takes time linear in the length of the document.
    """
    return split_encoded(document, tokenizer, passage_tokens)[0]


def split_encoded(
    document: Document, tokenizer: Tokenizer, passage_tokens: int
) -> tuple[list[Passage], list[Encoding]]:
    """The passages as ``split`` cuts them, and the tokens of each, encoded alone."""
    text = document.text
    tokens = _tokens(text, tokenizer)
    units = _units(document, tokens.starts.astype(np.int64), passage_tokens)
    ends = [*_choose(units, len(text), passage_tokens), len(text)]
    spans = [_trim(text, start, end) for start, end in pairwise(ends)]
    spans = [(start, end) for start, end in spans if start < end]
    fitted = _cut_out(spans, text, tokens, passage_tokens) if tokenizer.cuts_at_words else None
    if fitted is None:
        fitted = _fit(spans, text, tokenizer, passage_tokens)
    return _passages(document, [(start, end) for start, end, _ in fitted]), [encoding for *_, encoding in fitted]


def _tokens(text: str, tokenizer: Tokenizer) -> Encoding:
    """The tokens of a text. It is encoded in parts cut at white space, where no tokenizer joins words, or anywhere in a
    text that has none."""
    bounds = [0]
    while bounds[-1] < len(text):
        most = min(bounds[-1] + 2 * ENCODE_CHARS, len(text))
        space = _SPACE.search(text, bounds[-1] + ENCODE_CHARS, most)
        bounds.append(space.start() if space else most)
    none = np.empty(0, dtype=np.int32)
    ids, starts, ends = [none], [none], [none]
    for first in range(0, len(bounds) - 1, ENCODE_PARTS):
        part = bounds[first : first + ENCODE_PARTS + 1]
        for encoding, bound in zip(tokenizer.encode_batch([text[start:end] for start, end in pairwise(part)]), part):
            ids.append(encoding.ids)
            starts.append(encoding.starts + np.int32(bound))
            ends.append(encoding.ends + np.int32(bound))
    return Encoding(np.concatenate(ids), np.concatenate(starts), np.concatenate(ends))


def _units(document: Document, token_starts: npt.NDArray[np.int64], limit: int) -> list[_Unit]:
    """Units in order; the first starts at 0 and each ends where the next starts."""
    text = document.text
    cuts = with_line_cuts(document, [(offset, CUT[kind]) for offset, kind in borders(text)], token_starts, limit)
    cut_at: dict[int, tuple[float, float]] = {offset: (cost, 0.0) for offset, cost in cuts.items()}
    for heading in document.headings:
        below = text.find("\n", heading.start)
        if below >= 0:
            cut_at[_skip_space(text, below)] = (CUT_HEADING_OFF, 0.0)
    cut_at.update(_heading_costs(document, token_starts, limit))
    for page_start in document.page_starts:
        cut_at[_skip_space(text, page_start)] = (0.0, float("inf"))
    cut_at.pop(len(text), None)
    cut_at[0] = (0.0, 0.0)

    offsets = np.array(sorted(cut_at), dtype=np.int64)
    first_tokens = np.append(np.searchsorted(token_starts, offsets), len(token_starts)).tolist()
    starts = [*offsets.tolist(), len(text)]
    most_chars = limit * CHARS_PER_TOKEN
    units: list[_Unit] = []
    for i, start in enumerate(starts[:-1]):
        end, first, last = starts[i + 1], first_tokens[i], first_tokens[i + 1]
        cut, cross = cut_at[start]
        if last - first > limit or end - start > most_chars:
            units.extend(_pieces(text, start, end, token_starts[first:last], limit, cut, cross))
        elif units and cross == 0.0 and units[-1].tokens + last - first <= limit and not _has_word(text, start, end):
            units[-1].tokens += last - first  # a rule, an underline, a fence: goes with what stands before it
        else:
            units.append(_Unit(start, last - first, cut, cross))
    return _joined(units, limit, most_chars) if len(units) > MANY_UNITS else units


def _joined(units: Sequence[_Unit], limit: int, most_chars: int) -> list[_Unit]:
    """Neighbouring units joined up to a ``JOINED``th of a passage, where one passage may hold them."""
    joined: list[_Unit] = []
    for unit in units:
        last = joined[-1] if joined else None
        if (
            last is not None
            and unit.cross != float("inf")
            and last.tokens + unit.tokens <= limit // JOINED
            and unit.start - last.start <= most_chars // JOINED
        ):
            last.tokens += unit.tokens
        else:
            joined.append(unit)
    return joined


def _heading_costs(
    document: Document, token_starts: npt.NDArray[np.int64], limit: int
) -> dict[int, tuple[float, float]]:
    """(cut, cross) at each heading: sections may share a passage where they are short and stand under one parent."""
    headings = document.headings
    if not headings:
        return {}
    bounds = np.array([0, *(h.start for h in headings), len(document.text)], dtype=np.int64)
    sizes = np.diff(np.searchsorted(token_starts, bounds))  # sizes[i] is what stands before heading i
    levels = [h.level for h in headings]
    top = min(levels)
    if levels.count(top) == 1:
        top -= 1  # one heading above all others is the document's title: no border between parts of it
    costs: dict[int, tuple[float, float]] = {}
    level_before = 0
    for i, heading in enumerate(headings):
        if i and heading.level > level_before and not _has_text_of_its_own(document, i - 1):
            costs[heading.start] = (CUT_HEADING_OFF, 0.0)  # it is all that the heading above begins with
            level_before = heading.level
            continue
        short_before, short_after = bool(sizes[i] <= SHORT * limit), bool(sizes[i + 1] <= SHORT * limit)
        inside = heading.level >= max(level_before, top + 1)  # under the same parent, or under the section before
        shared = (short_before or short_after) if inside else (short_before and short_after)
        costs[heading.start] = (0.0, CROSS_HEADING if shared else float("inf"))
        level_before = heading.level
    return costs


def _has_text_of_its_own(document: Document, index: int) -> bool:
    """True where something stands between a heading and the one after it."""
    heading, following = document.headings[index : index + 2]
    line_end = document.text.find("\n", heading.start, following.start)
    return line_end >= 0 and _has_word(document.text, line_end, following.start)


def _pieces(
    text: str, start: int, end: int, token_starts: npt.NDArray[np.int64], limit: int, cut: float, cross: float
) -> list[_Unit]:
    """The lines of a unit too long for a passage; of lines longer than an eighth of a passage, pieces of about that
    size, cut at clauses, else words, else anywhere."""
    step = max(1, limit // 8)
    most_chars = step * CHARS_PER_TOKEN
    lines = [match.end() for match in re.finditer(r"\n\s*", text[start:end])]
    line_ends = [start + offset for offset in lines if start + offset < end] + [end]
    units: list[_Unit] = []
    token, position = 0, start
    for line_end in line_ends:
        token_end = int(np.searchsorted(token_starts, line_end)) if line_end < end else len(token_starts)
        while position < line_end:
            bound = line_end
            if token + step < token_end or line_end - position > most_chars:
                bound = int(token_starts[token + step]) if token + step < token_end else line_end
                bound = _best_cut(text, position, min(max(bound, position + 1), position + most_chars, line_end))
            following = int(np.searchsorted(token_starts, bound)) if bound < line_end else token_end
            units.append(_Unit(position, max(following - token, 1), cut, cross))
            token, position, cut, cross = following, bound, CUT_INSIDE, 0.0
        cut = CUT[Border.LINE]
    return units


def _best_cut(text: str, start: int, bound: int) -> int:
    """The last clause, word or punctuation border in the second half of [start, bound), else ``bound``."""
    if bound >= len(text):
        return bound
    middle = (start + bound) // 2
    for pattern in _INNER_BORDERS:
        last = None
        for last in pattern.finditer(text, middle, bound):  # noqa: B007
            pass
        if last is not None and start < last.end() < bound:
            return last.end()
    whole = bound
    if not text[bound - 1].isspace() and not text[bound].isspace():
        while bound > middle and unicodedata.combining(text[bound]):
            bound -= 1
    return bound if bound > middle else whole  # no letter has hundreds of accents


def _choose(units: Sequence[_Unit], length: int, limit: int) -> list[int]:
    """Offsets at which passages begin, of least cost over all ways to group the units."""
    most_chars = limit * CHARS_PER_TOKEN
    best = [0.0]  # best[i]: least cost of the units before i, as whole passages
    origin = [0]  # origin[i]: the unit at which the last of these passages begins
    starts = [unit.start for unit in units] + [length]
    sizes = [unit.tokens for unit in units]
    crosses = [unit.cross for unit in units]
    cuts = [*(unit.cut for unit in units[1:]), 0.0]
    closed = float("inf")
    cost_of = [EMPTINESS * empty * empty for empty in (1.0 - tokens / limit for tokens in range(limit + 1))]
    for i in range(1, len(units) + 1):
        tokens, crossed = sizes[i - 1], crosses[i - 1]
        least, chosen = best[i - 1] + 1.0 + cost_of[min(tokens, limit)], i - 1
        earliest = starts[i] - most_chars
        j = i - 2
        while crossed != closed and j >= 0:
            tokens += sizes[j]
            if tokens > limit or starts[j] < earliest:
                break
            cost = best[j] + crossed + 1.0 + cost_of[tokens]
            if cost < least:
                least, chosen = cost, j
            crossed += crosses[j]
            j -= 1
        best.append(least + cuts[i - 1])
        origin.append(chosen)
    begins: list[int] = []
    i = len(units)
    while i > 0:
        i = origin[i]
        begins.append(starts[i])
    return begins[::-1]


def _cut_out(
    spans: Sequence[tuple[int, int]], text: str, tokens: Encoding, limit: int
) -> list[tuple[int, int, Encoding]] | None:
    """Spans with their tokens, out of those of the text: between white space, these are what encoding each alone gives.

    None where a span begins or ends elsewhere, or has more than ``limit`` tokens."""
    if _JOINING.search(text) or not all(
        (start == 0 or text[start - 1] in _PLAIN_SPACE) and (end == len(text) or text[end] in _PLAIN_SPACE)
        for start, end in spans
    ):
        return None
    held = np.searchsorted(tokens.starts, np.array(spans, np.int64).reshape(-1, 2)).tolist()
    if any(last - first > limit for first, last in held):
        return None
    return [
        (
            start,
            end,
            Encoding(tokens.ids[i:j], tokens.starts[i:j] - np.int32(start), tokens.ends[i:j] - np.int32(start)),
        )
        for (start, end), (i, j) in zip(spans, held, strict=True)
    ]


def _fit(spans: list[tuple[int, int]], text: str, tokenizer: Tokenizer, limit: int) -> list[tuple[int, int, Encoding]]:
    """Encode spans, and halve those of more than ``limit`` tokens, until none has.

    Needed where a cut had to fall inside a word: its halves may have more tokens than the whole.
    """
    fitted: list[tuple[int, int, Encoding]] = []
    while spans:
        too_long: list[tuple[int, int]] = []
        encodings: list[Encoding] = []
        for first in range(0, len(spans), ENCODE_PARTS):
            encodings += tokenizer.encode_batch([text[a:b] for a, b in spans[first : first + ENCODE_PARTS]])
        for encoding, (start, end) in zip(encodings, spans, strict=True):
            if len(encoding) <= limit or end - start == 1:
                fitted.append((start, end, encoding))
                continue
            middle = (start + end) // 2
            space = text.rfind(" ", start, middle)
            middle = space if space > start else middle
            too_long += [span for span in (_trim(text, start, middle), _trim(text, middle, end)) if span[0] < span[1]]
        spans = too_long
    return sorted(fitted, key=lambda span: span[:2])


def _passages(document: Document, spans: Sequence[tuple[int, int]]) -> list[Passage]:
    text = document.text
    newlines = array("q", (match.start() for match in re.finditer("\n", text)))
    heading_starts = [heading.start for heading in document.headings]
    paths = _heading_paths(document.headings)
    block_ends = [block.end for block in document.blocks]
    passages = []
    for start, end in spans:
        page = max(1, bisect_right(document.page_starts, start)) if document.page_starts else None
        block = _main_block(document.blocks, block_ends, start, end)
        passages.append(
            Passage(
                text=text[start:end],
                start=start,
                end=end,
                line_start=bisect_right(newlines, start - 1) + document.first_line,
                line_end=bisect_right(newlines, end - 1) + document.first_line,
                page=page,
                title=document.title,
                heading_path=paths[bisect_right(heading_starts, start)],
                source=document.source,
                page_label=(document.page_labels[page - 1] or None) if page and document.page_labels else None,
                kind="prose" if block is None else block.kind,
                table_header=() if block is None else block.header,
                metadata=document.metadata,
            )
        )
    return passages


def _main_block(blocks: Sequence[Block], block_ends: Sequence[int], start: int, end: int) -> Block | None:
    """The block that covers most of [start, end), None where that is prose."""
    covered: dict[str, int] = {}
    longest: dict[str, tuple[int, Block]] = {}
    for i in range(bisect_right(block_ends, start), len(blocks)):
        block = blocks[i]
        if block.start >= end:
            break
        overlap = min(block.end, end) - max(block.start, start)
        covered[block.kind] = covered.get(block.kind, 0) + overlap
        if overlap > longest.get(block.kind, (0, block))[0]:
            longest[block.kind] = (overlap, block)
    kind = max(covered, key=lambda name: covered[name], default=None)
    if kind is None or covered[kind] < end - start - sum(covered.values()):
        return None
    return longest[kind][1]


def _heading_paths(headings: Sequence[Heading]) -> list[tuple[str, ...]]:
    """paths[i] is the path under which text stands that follows the first i headings."""
    paths: list[tuple[str, ...]] = [()]
    stack: list[Heading] = []
    for heading in headings:
        while stack and stack[-1].level >= heading.level:
            stack.pop()
        stack.append(heading)
        paths.append(tuple(h.text for h in stack[-LONGEST_PATH:]))
    return paths


def _has_word(text: str, start: int, end: int) -> bool:
    return any(char.isalnum() for char in text[start:end])


def _skip_space(text: str, offset: int) -> int:
    match = _TEXT.search(text, offset)
    return match.start() if match else len(text)


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    """[start, end) without white space at either end; ``end <= start`` where nothing else is in it."""
    part = text[start:end]
    return end - len(part.lstrip()), start + len(part.rstrip())
