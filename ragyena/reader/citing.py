"""Citations: the sentences that hold an answer, or the row of a table or the lines of code, read again from the store.

A reader works on text that has been cut, packed and tokenised. A citation trusts none of that: its quote comes from
the store, and it is made only if the stored text at the answer's offsets is the answer, byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from ragyena.documents.sentences import REACH, sentence_span
from ragyena.errors import IndexCorruptError
from ragyena.reader.cells import cell_at
from ragyena.reader.code_spans import whole_code
from ragyena.reader.comparing import compared_place
from ragyena.reader.deciding import LEAST_SHARE
from ragyena.types import Block, Citation, Closest, Context, Passage, Span

if TYPE_CHECKING:
    from ragyena.reader.reader import Reading

__all__ = ["DocumentStore", "check_text", "cite", "closest", "with_whole_code"]

_TRACE = 1e-7  # of probability: below it one of 23 candidates was the answer, above it 10 of 55
_LONGEST_LINES = 1200  # chars of a row or of lines of code that are quoted whole
MARGIN = 2 * REACH
"""Characters read on each side of a passage: as far as a quote reaches, and as far again to see its border."""


class DocumentStore(Protocol):
    """Access to the stored texts."""

    def read(self, document_id: int, start: int, end: int) -> str:
        """The document's text between two offsets, clipped to the document."""

    def page_at(self, document_id: int, offset: int) -> int | None:
        """The page that holds an offset; None where the document has no pages."""

    def block_at(self, document_id: int, offset: int) -> Block | None:
        """The block that holds an offset, in the offsets of ``read``; None for prose."""


def with_whole_code(reading: Reading, context: Context, store: DocumentStore) -> Reading:
    """The reading with answers that stand in code grown to whole words and commands; decided ones, and lists that are
    withheld, stay as they are."""
    if reading.rows:
        return reading
    count = max(reading.items, 1)
    answer = "; ".join(span.text for span in reading.spans[:count])
    if not answer or answer not in (reading.text, reading.withheld):
        return reading
    grown = tuple(_grown(span, context.passages[span.slot].passage, store) for span in reading.spans[:count])
    text = "; ".join(span.text for span in grown)
    reading = replace(reading, spans=(*grown, *reading.spans[count:]))
    return replace(reading, withheld=text) if reading.kind == "withheld" else replace(reading, text=text)


def _grown(span: Span, passage: Passage, store: DocumentStore) -> Span:
    block = store.block_at(passage.document_id, span.start)
    if block is None or block.kind != "code" or span.end > block.end:
        return span
    origin = max(block.start, passage.start - MARGIN)
    text = store.read(passage.document_id, origin, min(block.end, passage.end + MARGIN))
    start, end = span.start - origin, span.end - origin
    if text[start:end] != span.text:  # its citation is the place to say so
        return span
    start, end = whole_code(text, start, end)
    return replace(span, start=origin + start, end=origin + end, text=text[start:end])


def cite(reading: Reading, context: Context, store: DocumentStore, *, limit: int) -> tuple[Citation, ...]:
    """At most ``limit`` citations for ``reading``, best first; none where the answer is withheld.

    Every item of a list is cited, those of one sentence together. An extracted answer is cited where it was taken
    from, then where that stands which it is compared with, then at other places that hold the same words, unless the
    reader gives them a far lower probability: another country's profile says "civil law system" too. Yes, no and
    other written answers have no place of their own: they cite the sentences of the reader's best spans, within the
    same limit. An answer that was computed cites its row, then those that it was compared with.

    Raises IndexCorruptError where the store no longer holds the text that was read.
    """
    if reading.kind == "withheld":
        return ()
    if reading.rows:
        places = enumerate(reading.rows[:limit])
        return tuple(_citation(span, passage, store, mark=place == 0) for place, (passage, span) in places)
    marked = _is_marked(reading)
    limit = max(limit, reading.items)
    citations: list[Citation] = []
    for span in _evidence(reading):
        citation = _citation(span, context.passages[span.slot].passage, store, mark=marked)
        if citations and not marked and _is_heading(citation):
            continue
        if not any(_overlap(citation, other) for other in citations):
            citations.append(citation)
            if len(citations) == 1 < limit and reading.kind == "extracted":
                citations += _compared(span, citation, context, store)
        if len(citations) == limit:
            break
    return tuple(citations)


def _compared(answer: Span, citation: Citation, context: Context, store: DocumentStore) -> list[Citation]:
    """The place of what the answer is compared with, where the question compares."""
    place = compared_place(context, answer, citation.quote)
    if place is None:
        return []
    other = _citation(place, context.passages[place.slot].passage, store, mark=False)
    return [] if _overlap(citation, other) else [other]


def closest(reading: Reading, context: Context, store: DocumentStore) -> Closest | None:
    """The withheld answer with its place; None where the reader gives it no more than a trace of probability.

    Raises IndexCorruptError as ``cite`` does.
    """
    if not reading.withheld or not reading.spans or (reading.spans[0].score < _TRACE and not reading.rows):
        return None
    span = reading.spans[0]
    passage = reading.rows[0][0] if reading.rows else context.passages[span.slot].passage
    citation = _citation(span, passage, store, mark=_is_marked(reading))
    return Closest(reading.withheld, reading.confidence, citation)


def _is_marked(reading: Reading) -> bool:
    """True for an answer of words that its citation holds; False for one that its citation decides."""
    if reading.kind == "withheld":
        return bool(reading.spans) and reading.withheld.startswith(reading.spans[0].text)
    return reading.kind in ("extracted", "list")


def _evidence(reading: Reading) -> Iterator[Span]:
    """The spans that support the answer."""
    if reading.items:
        yield from reading.spans[: reading.items]
        return
    marked = _is_marked(reading)
    for rank, span in enumerate(reading.spans):
        likely = span.score >= LEAST_SHARE * reading.spans[0].score
        if rank == 0 or (likely and (not marked or _words(span.text) == _words(reading.text))):
            yield span


def check_text(source: str, start: int, read: str, stored: str) -> None:
    """Raises IndexCorruptError where a document no longer holds what was read from its character ``start`` on."""
    if read != stored:
        raise IndexCorruptError(
            f"the index no longer holds what was read from {source} at characters {start}-{start + len(read)}",
            hint="`ragyena index verify` finds the damage; `ragyena index add` of the document repairs it",
        )


def _citation(span: Span, passage: Passage, store: DocumentStore, *, mark: bool) -> Citation:
    origin = max(0, passage.start - MARGIN)
    text = store.read(passage.document_id, origin, passage.end + MARGIN)
    start, end = span.start - origin, span.end - origin
    check_text(passage.source, span.start, span.text, text[start:end])
    block = store.block_at(passage.document_id, span.start)
    kind = block.kind if block else "prose"
    quote_start, quote_end = sentence_span(text, start, end)
    cell = None
    if block is not None and kind in ("table", "code"):
        first, last = _whole_lines(text, start, end)
        if kind == "table":
            cell = cell_at(text[first:last], start - first, end - first if mark else start - first, block.header)
        if last - first <= _LONGEST_LINES:
            quote_start, quote_end = first, last
    quote = text[quote_start:quote_end]
    line = passage.line_start + _lines(text, passage.start - origin, quote_start)
    page = store.page_at(passage.document_id, span.start)
    return Citation(
        passage_id=passage.passage_id,
        document_id=passage.document_id,
        source=passage.source,
        title=passage.title,
        page=page,
        line_start=line,
        line_end=line + quote.count("\n"),
        start=origin + quote_start,
        end=origin + quote_end,
        quote=quote,
        answer_start=start - quote_start if mark else None,
        answer_end=end - quote_start if mark else None,
        score=span.score,
        page_label=passage.page_label if page == passage.page else None,
        kind=kind,
        table_header=block.header if block else (),
        heading_path=passage.heading_path,
        row=cell.row if cell else None,
        column=cell.column if cell and mark else None,
    )


def _whole_lines(text: str, start: int, end: int) -> tuple[int, int]:
    """The lines that [start, end) stands in, without white space around them."""
    first = text.rfind("\n", 0, start) + 1
    last = text.find("\n", end)
    last = len(text) if last < 0 else last
    return start - len(text[first:start].lstrip()), end + len(text[end:last].rstrip())


def _is_heading(citation: Citation) -> bool:
    """True for the words of a heading, which decide nothing."""
    return citation.quote.strip("#= ") in citation.heading_path


def _lines(text: str, start: int, end: int) -> int:
    """Line breaks from ``start`` to ``end``; negative where ``end`` comes first."""
    return text.count("\n", start, end) if start <= end else -text.count("\n", end, start)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _overlap(one: Citation, other: Citation) -> bool:
    return one.document_id == other.document_id and one.start < other.end and other.start < one.end
