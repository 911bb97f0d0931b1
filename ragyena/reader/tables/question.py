"""A question about a table: the columns and cells that its words name, and the rows and the column that it asks for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ragyena.documents.words import read_words
from ragyena.reader.tables.asked import AskedTable, Column, Mention
from ragyena.reader.tables.wording import ASKING, FUNCTION_WORDS, PEOPLE, PLACES, Words, stem

__all__ = ["TableQuestion", "asked_column", "phrases_in", "ranked", "rows_meant", "value_at"]

_LINKS = frozenset(read_words(__file__, "links"))


@dataclass(slots=True)
class TableQuestion:
    """A question with what its words name; ``used`` are the places of words that an operation understood."""

    words: Words
    table: AskedTable
    columns: list[Mention]
    cells: list[Mention]
    used: set[int] = field(default_factory=set)

    def use(self, mention: Mention | None) -> None:
        if mention is not None:
            self.used |= set(range(mention.start, mention.end))

    def is_free(self, mention: Mention) -> bool:
        return mention.start not in self.used

    def has(self, words: Iterable[str]) -> bool:
        return not set(words).isdisjoint(self.words)

    @property
    def not_understood(self) -> int:
        """The number of words that are neither used, nor without meaning of their own, nor of the table's title."""
        return sum(
            place not in self.used and word not in FUNCTION_WORDS and stem(word) not in self.table.context
            for place, word in enumerate(self.words)
        )

    def column_at(self, place: int, reach: int = 3) -> Mention | None:
        """The column named at ``place``, or after words without meaning."""
        for at in range(place, min(place + reach, len(self.words))):
            for mention in self.columns:
                if mention.start == at:
                    return mention
            if self.words[at] not in FUNCTION_WORDS:
                return None
        return None


def asked_column(asked: TableQuestion, measured: int | None, otherwise: int | None) -> int | None:
    """The column of the answer: the one that is named first, or that holds what the question word asks for, or
    ``otherwise``. None where it is not clear."""
    table, words = asked.table, asked.words
    first = next((place for place, word in enumerate(words) if word in ASKING), -1)
    named = _named_first(asked, first + 1)
    word = words[first] if first >= 0 else ""
    if word == "how":
        if not asked.has(("many", "much")):
            return None
        counted = asked.column_at(words.index("many" if "many" in words else "much") + 1, reach=1)
        if counted is None or table.columns[counted.column or 0].values is None:
            return None
        asked.use(counted)
        return counted.column
    if named is not None and word in ("which", "what", "name", "whose", "tell", "give", ""):
        after = named.end
        if after + 1 < len(words) and words[after] == "and" and any(m.start == after + 1 for m in asked.columns):
            return None  # two things are asked for
        asked.use(named)
        return named.column
    if word in ("who", "whom"):
        if named is not None and table.columns[named.column or 0].values is None:
            asked.use(named)
            return named.column
        people = [c.number for c in table.columns if PEOPLE & set(c.words) and c.values is None]
        column = people[0] if len(people) == 1 else otherwise if otherwise in people or not people else None
        return column if column is not None and table.columns[column].values is None else None
    if word == "when":
        dated = [column.number for column in table.columns if column.is_dated]
        return dated[0] if len(dated) == 1 else measured if measured in dated else None
    if word == "where":
        places = [column.number for column in table.columns if PLACES & set(column.words)]
        return places[0] if len(places) == 1 else None
    others = [m for m in asked.columns if asked.is_free(m) and m.column != measured]
    return None if others else otherwise


def _named_first(asked: TableQuestion, place: int) -> Mention | None:
    """The column that is named at ``place``, or after words that are understood."""
    while place < len(asked.words):
        named = next((m for m in asked.columns if m.start == place and asked.is_free(m)), None)
        if named is not None or not (asked.words[place] in _LINKS or place in asked.used):
            return named
        place += 1
    return None


def rows_meant(asked: TableQuestion, columns: Iterable[int | None]) -> set[int] | None:
    """The rows that meet what else the question says; None where that is not clear. ``columns`` hold the answer and
    what is measured, and so no condition."""
    rows = set(range(len(asked.table.rows)))
    for mention in asked.cells:
        if not asked.is_free(mention):
            continue
        by_column = mention.rows_by_column
        if any(len(named) == len(asked.table.rows) for named in by_column.values()):
            asked.use(mention)  # what all rows are is no condition
            continue
        if not mention.is_whole or len(by_column) > 1 or set(by_column) & set(columns):
            return None
        if mention.start and asked.words[mention.start - 1] in ("which", "what", "whose"):
            return None
        rows &= next(iter(by_column.values()))
        asked.use(mention)
    return rows if rows else None


def ranked(column: Column, rows: set[int], sign: int) -> list[int] | None:
    """The rows by their values, the most or the least first; None where a value is missing."""
    values = [(column.values or ())[row] if column.values else None for row in rows]
    if any(value is None for value in values):
        return None
    numbers = {row: sign * value.number for row, value in zip(rows, values) if value is not None}
    return sorted(rows, key=lambda row: (-numbers[row], row))


def value_at(column: Column, row: int) -> float | None:
    value = column.values[row] if column.values else None
    return None if value is None else value.number


def phrases_in(asked: TableQuestion, phrases: Iterable[Words]) -> list[tuple[int, int, Words]]:
    """The places of one of the phrases, outside of what the question names; of two at one place the longer."""
    named = {place for m in (*asked.columns, *asked.cells) for place in range(m.start, m.end)}
    found: list[tuple[int, int, Words]] = []
    for phrase in sorted(phrases, key=len, reverse=True):
        for start in range(len(asked.words) - len(phrase) + 1):
            end = start + len(phrase)
            if asked.words[start:end] != phrase or named & set(range(start, end)):
                continue
            if not any(start < other_end and other < end for other, other_end, _ in found):
                found.append((start, end, phrase))
    return sorted(found)
