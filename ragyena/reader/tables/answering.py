"""A reading answered by the rows of the table that the reader points at."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Protocol

from ragyena.documents.whole_tables import WholeTable, titles_at, whole_table
from ragyena.model.confidence import Withholding
from ragyena.reader.reader import Reading
from ragyena.reader.tables.asked import AskedTable
from ragyena.reader.tables.operations import Operation, RowAnswer, answer_by_rows
from ragyena.reader.tables.wording import OPERATION_WORDS, stem, words_of
from ragyena.types import Context, Document, Passage, Span

__all__ = ["CONFIDENCE", "WholeDocuments", "with_row_answer"]

CONFIDENCE: Mapping[Operation, float] = {
    "most": 0.91,
    "order": 0.8,
    "position": 0.95,
    "neighbour": 0.91,
    "compared": 0.89,
}
"""The share of right answers of each operation, of 380 on half of the training tables of WikiTableQuestions, on
which nothing was chosen."""
_NOTES = re.compile(r"(?:\s*\[(?:\d{1,3}|[a-z]|(?:note|nb|citation)\b[^\]]{0,20})\])+$", re.IGNORECASE)
"""Marks of footnotes at the end of a cell, which are no part of what it says."""
_OCCASIONS = OPERATION_WORDS | {"or", "top", "bottom"}
"""Words of which one stands in every question that rows decide: the others cost nothing."""


class WholeDocuments(Protocol):
    """Access to what the passages of a context were cut from."""

    def whole(self, passage: Passage) -> Document | None:
        """The document of a passage; None where only passages are kept."""

    def passage_at(self, passage: Passage, offset: int) -> Passage | None:
        """The passage that holds an offset of the document of ``passage``."""


def with_row_answer(
    reading: Reading, context: Context, documents: WholeDocuments, *, most_chars: int, withholding: Withholding
) -> Reading:
    """The reading with the answer that the rows of a table give, where the reader's likeliest answer stands in that
    table and the question is one that its rows decide; else as it is.

    All rows of the table count, packed or not: they are taken from its document. Tables of more than ``most_chars`` are
    left to the reader, and so is a question that may be about another table with the same columns. An answer is
    withheld by ``withholding``.
    """
    words = words_of(context.question)
    if not reading.spans or not most_chars or _OCCASIONS.isdisjoint(words):
        return reading
    slot = reading.spans[0].slot
    passage = context.passages[slot].passage
    offset = _table_offset(reading.spans[0], passage)
    document = documents.whole(passage) if offset is not None else None
    if offset is None or document is None:
        return reading
    whole = whole_table(document, offset, most_chars)
    if whole is None:
        return reading
    titles = _words(titles_at(document, offset))
    if any(titles & said <= other for other in _others(whole, document, passage, context) for said in [_stems(words)]):
        return reading
    table = AskedTable(whole.rows, titles)
    answer = answer_by_rows(context.question, table)
    if answer is None:
        return reading
    places = []
    for row in (answer.row, *answer.compared):
        column = answer.column if row == answer.row else _shown_column(answer, table, row)
        cell = table.columns[column].cells[row]
        if cell is None:
            continue
        packed = _packed(context, passage, cell.start)
        own = documents.passage_at(passage, cell.start) if packed is None else context.passages[packed].passage
        if own is not None:
            shown = slot if packed is None else packed
            score = _score(reading, shown, cell.start)
            text = _NOTES.sub("", cell.text) or cell.text
            places.append((own, Span(shown, 0, 0, cell.start, cell.start + len(text), text, score)))
    if len(places) <= len(answer.compared):  # a place that cannot be cited
        return reading
    span, confidence = places[0][1], CONFIDENCE[answer.operation]
    none = min(reading.no_answer_probability, 1 - confidence)
    withheld = withholding.withholds(confidence, none)
    return replace(
        reading,
        kind="withheld" if withheld else "extracted",
        text="" if withheld else span.text,
        withheld=span.text if withheld else "",
        confidence=confidence,
        no_answer_probability=none,
        spans=(span, *(other for other in reading.spans if (other.start, other.end) != (span.start, span.end))),
        items=0,
        computed=_described(answer, table),
        rows=tuple(places),
    )


def _table_offset(span: Span, passage: Passage) -> int | None:
    """An offset in the table that the reader points at: the best span's, or where that is no cell, of its passage."""
    return span.start if passage.kind == "table" or passage.table_header else None


def _stems(words: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(stem, words))


def _words(titles: Iterator[str]) -> frozenset[str]:
    return frozenset(stem(word) for title in titles for word in words_of(title))


def _others(whole: WholeTable, document: Document, passage: Passage, context: Context) -> Iterator[frozenset[str]]:
    """The words of the titles of each other table with the same columns: in the document, and among what was read."""
    for offset in whole.alike:
        yield _words(titles_at(document, offset))
    for scored in context.passages:
        other = scored.passage
        if other.table_header == whole.header and other.source != passage.source:
            yield _words(iter((other.title, *other.heading_path)))


def _shown_column(answer: RowAnswer, table: AskedTable, row: int) -> int:
    """The column to cite of a row that the answer was compared with."""
    columns = (answer.measured, answer.column, table.key)
    return next((column for column in columns if column is not None and table.text(column, row)), answer.column)


def _packed(context: Context, passage: Passage, offset: int) -> int | None:
    """The slot of the passage of the same document that holds ``offset``."""
    for slot, scored in enumerate(context.passages):
        other = scored.passage
        is_same = (other.source, other.document_id) == (passage.source, passage.document_id)
        if is_same and other.start <= offset < other.end:
            return slot
    return None


def _score(reading: Reading, slot: int, start: int) -> float:
    """The probability of a place under the reader, 0 where it considered another."""
    return next((span.score for span in reading.spans if span.slot == slot and span.start <= start < span.end), 0.0)


def _described(answer: RowAnswer, table: AskedTable) -> str:
    """The way that the answer was found, in a few words."""
    count = f"{len(table.rows)} rows"
    name = table.columns[answer.measured].name if answer.measured is not None else ""
    match answer.operation:
        case "most" | "order":
            is_dated = answer.measured is not None and table.columns[answer.measured].is_dated
            ends = ("latest", "earliest") if is_dated else ("highest", "lowest")
            return f"{ends[answer.sign < 0]} {name} of {count}"
        case "position":
            return f"{'last' if answer.sign > 0 else 'first'} of {count}"
        case "neighbour":
            named = table.text(answer.named, answer.compared[0])
            return f"the row {'after' if answer.sign > 0 else 'before'} {named}"
        case "compared":
            return f"{'higher' if answer.sign > 0 else 'lower'} {name} of two rows"
