"""A table and the words of a question in it: the columns and rows that the question names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

from ragyena.documents.cell_values import CellValue, ValueKind, is_total, values_of
from ragyena.documents.table_rows import RowTable, TableCell, TableRow
from ragyena.reader.tables.wording import FUNCTION_WORDS, OPERATION_WORDS, SHORT_NAMES, Words, stem, words_of

__all__ = ["AskedTable", "Column", "Mention", "mentions_of"]

_LONGEST_MENTION = 12
"""Words of a cell that a question may name in full."""
_SHORTEST_PART = 3
"""Chars of a word that names a cell of several words."""
_DISTINCT, _FILLED = 0.9, 0.9
"""Shares of the cells of a column that names the rows."""
_BRACKETS = re.compile(r"\s*[(\[][^()\[\]]*[)\]]")

Place = tuple[int, int]
"""Column and row."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column without the cells of totals."""

    number: int
    name: str
    words: Words
    """The words of its name, stemmed, without a note in brackets."""
    cells: tuple[TableCell | None, ...] = field(repr=False)
    values: tuple[CellValue | None, ...] | None = field(repr=False)
    """The values of the cells, None where they do not compare."""

    @property
    def kind(self) -> ValueKind | None:
        return next((value.kind for value in self.values or () if value is not None), None)

    @property
    def texts(self) -> list[str]:
        return [cell.text for cell in self.cells if cell is not None]

    @property
    def holds_codes(self) -> bool:
        """True for short names without words: ``H-05``."""
        return self.values is None and sum(map(_is_code, self.texts)) > len(self.texts) / 2

    @property
    def is_dated(self) -> bool:
        return self.kind in ("year", "date", "day")

    @property
    def is_complete(self) -> bool:
        return self.values is not None and all(value is not None for value in self.values)

    @property
    def counts_rows(self) -> bool:
        """True for numbers of one step, which number the rows."""
        numbers = [value.number for value in self.values or () if value is not None]
        return len(numbers) > 2 and len({later - earlier for earlier, later in pairwise(numbers)}) == 1


@dataclass(frozen=True, slots=True)
class Mention:
    """Words ``[start, end)`` of a question that name a column, or cells."""

    start: int
    end: int
    column: int | None
    """The column that is named; None where cells are."""
    places: frozenset[Place] = frozenset()
    is_whole: bool = True
    """All words of the name, or of the cells, are said."""

    @property
    def rows_by_column(self) -> dict[int, set[int]]:
        rows: dict[int, set[int]] = {}
        for column, row in self.places:
            rows.setdefault(column, set()).add(row)
        return rows


class AskedTable:
    """The rows of a table that questions are about: those that sum up others are left out."""

    def __init__(self, table: RowTable, context: Iterable[str]) -> None:
        """``context`` are the words that say what the table is about: its titles."""
        self.rows: list[TableRow] = [row for row in table.rows if not _is_sum(row)]
        self.context = frozenset(map(stem, context))
        self.columns: list[Column] = []
        for number, name in enumerate(table.names):
            cells = tuple(row.cells.get(number) for row in self.rows)
            values = values_of([None if cell is None else cell.text for cell in cells])
            words = tuple(map(stem, words_of(_BRACKETS.sub("", name)) or words_of(name)))
            self.columns.append(Column(number, name, words, cells, None if values is None else tuple(values)))

    def text(self, column: int, row: int) -> str:
        cell = self.columns[column].cells[row]
        return cell.text if cell is not None else ""

    @cached_property
    def key(self) -> int | None:
        """The column that names the rows: the first of texts that nearly all differ, or else the first. None where
        these are codes or count the rows, and another column says what they are."""
        names = [column for column in self.columns if self._is_naming(column)]
        chosen = next((c for c in names if not c.holds_codes), names[0] if names else self.columns[0])
        others = any(c.values is None and c.number != chosen.number for c in self.columns)
        return None if (chosen.holds_codes or chosen.counts_rows) and others else chosen.number

    def _is_naming(self, column: Column) -> bool:
        texts = column.texts
        is_text = column.values is None and sum(any(c.isalpha() for c in text) for text in texts) > len(texts) / 2
        return is_text and len(texts) >= _FILLED * len(self.rows) and len(set(texts)) >= _DISTINCT * len(texts)

    @cached_property
    def by_words(self) -> dict[Words, set[Place]]:
        """The cells by all their words, with and without what stands in brackets."""
        places: dict[Words, set[Place]] = {}
        for column, row, cell in self._cells():
            for words in {words_of(cell.text), words_of(_BRACKETS.sub("", cell.text))}:
                places.setdefault(words, set()).add((column, row))
        return places

    @cached_property
    def by_word(self) -> dict[str, set[Place]]:
        """The cells by each of their words."""
        places: dict[str, set[Place]] = {}
        for column, row, cell in self._cells():
            for word in set(words_of(cell.text)):
                places.setdefault(word, set()).add((column, row))
        return places

    def holding(self, words: Words) -> frozenset[Place]:
        """The cells that hold these words one after the other."""
        sets = [self.by_word.get(word, set()) for word in words]
        places = set.intersection(*sets) if sets else set()
        return frozenset((c, r) for c, r in places if _holds(words_of(self.text(c, r)), words))

    def _cells(self) -> Iterable[tuple[int, int, TableCell]]:
        for column in self.columns:
            for row, cell in enumerate(column.cells):
                if cell is not None:
                    yield column.number, row, cell


def _is_code(text: str) -> bool:
    return len(text) < 3 or (" " not in text and any(c.isdigit() for c in text))


def _is_sum(row: TableRow) -> bool:
    return any(is_total(row.cells[column].text) for column in sorted(row.cells)[:2])


def _holds(whole: Words, part: Words) -> bool:
    return any(whole[start : start + len(part)] == part for start in range(len(whole) - len(part) + 1))


def mentions_of(words: Words, table: AskedTable) -> list[Mention]:
    """The columns and cells that the words of a question name, in order and apart; of two that overlap the longer, and
    of equally long ones the column. Words that are left over may name cells that have more words."""
    stems = tuple(map(stem, words))
    candidates = [*_columns(words, stems, table), *_whole_cells(words, table)]
    candidates.sort(key=lambda m: (m.start - m.end, m.column is None, not m.is_whole, m.start))
    taken = [False] * len(words)
    chosen: list[Mention] = []
    for mention in candidates:
        if not any(taken[mention.start : mention.end]):
            taken[mention.start : mention.end] = [True] * (mention.end - mention.start)
            chosen.append(mention)
    return sorted([*chosen, *_parts(words, taken, table)], key=lambda m: m.start)


def _columns(words: Words, stems: Words, table: AskedTable) -> Iterable[Mention]:
    spoken: dict[str, set[int]] = {}
    for column in table.columns:
        said = tuple(SHORT_NAMES.get(word, word) for word in column.words)
        for name in {column.words, said, tuple(map(stem, words_of(column.name)))}:
            for start in range(len(words) - len(name) + 1 if name else 0):
                if stems[start : start + len(name)] == name:
                    yield Mention(start, start + len(name), column.number)
        for word in set(said) - FUNCTION_WORDS:
            spoken.setdefault(word, set()).add(column.number)
    for place, word in enumerate(stems):
        if len(spoken.get(word, ())) == 1 and len(word) >= _SHORTEST_PART and words[place] not in OPERATION_WORDS:
            yield Mention(place, place + 1, next(iter(spoken[word])), is_whole=False)


def _whole_cells(words: Words, table: AskedTable) -> Iterable[Mention]:
    for size in range(min(_LONGEST_MENTION, len(words)), 0, -1):
        for start in range(len(words) - size + 1):
            said = words[start : start + size]
            places = table.by_words.get(said)
            if places and not set(said) <= FUNCTION_WORDS | OPERATION_WORDS:
                yield Mention(start, start + size, None, frozenset(places))


def _parts(words: Words, taken: Sequence[bool], table: AskedTable) -> Iterable[Mention]:
    """Cells that hold the words that are left over, as many together as possible."""
    free = [not t and w not in OPERATION_WORDS for t, w in zip(taken, words, strict=True)]
    start = 0
    while start < len(words):
        end = start
        if free[start] and words[start] not in FUNCTION_WORDS:
            while end < len(words) and free[end] and end - start < _LONGEST_MENTION:
                end += 1
        while end > start:
            said = words[start:end]
            long_enough = end - start > 1 or len(said[0]) >= _SHORTEST_PART
            if said[-1] not in FUNCTION_WORDS and long_enough and (places := table.holding(said)):
                yield Mention(start, end, None, places, is_whole=False)
                break
            end -= 1
        start = max(end, start + 1)
