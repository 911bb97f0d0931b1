"""Questions that need several rows of a table, computed from all its rows.

Each operation answers where the question says which column is meant and every word of it is understood, and gives None
at any doubt: ties, empty cells, values that do not compare, words that are left over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from ragyena.documents.cell_values import value_of
from ragyena.documents.words import read_words
from ragyena.reader.tables.asked import AskedTable, Column, Mention, mentions_of
from ragyena.reader.tables.wording import (
    BESIDE,
    DEGREES,
    FUNCTION_WORDS,
    NEIGHBOURS,
    OPERATION_WORDS,
    ORDERS,
    PEOPLE,
    PLACES,
    POSITIONS,
    RANKS,
    UNMEASURED,
    Words,
    stem,
    words_of,
)

__all__ = ["Operation", "RowAnswer", "answer_by_rows"]

Operation = Literal["most", "order", "position", "neighbour", "compared"]

_SPARE: Mapping[Operation, int] = {"most": 0, "order": 0, "position": 0, "neighbour": 0, "compared": 1}
"""Words that an operation may leave over: where two rows are named, one more tells little."""
_DATES = frozenset(("date", "day", "year", "season", "month", "time", "number", "score"))
_ARTICLES = frozenset(("the", "a", "an"))
_DECIDED = frozenset(read_words(__file__, "deciding"))
_ASKING = frozenset(read_words(__file__, "asking"))
_LINKS = frozenset(read_words(__file__, "links"))


@dataclass(frozen=True, slots=True)
class RowAnswer:
    """A cell that answers a question, by its column and row in ``AskedTable``."""

    operation: Operation
    column: int
    row: int
    compared: tuple[int, ...] = ()
    """Rows that it was compared with, the nearest first."""
    measured: int | None = None
    """The column whose values were compared."""
    named: int = 0
    """The column of the cells that the question names."""
    sign: int = 0
    """1 for the most, the lastor the next; -1 for the other end."""


@dataclass(slots=True)
class _Question:
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
        """How many words are neither used, nor without meaning of their own, nor of the table's title."""
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


def answer_by_rows(question: str, table: AskedTable) -> RowAnswer | None:
    """The answer to a question that the rows of a table decide, None where they do not, or not surely."""
    words = words_of(question)
    if not words or len(table.rows) < 2:
        return None
    mentions = mentions_of(words, table)
    columns = [mention for mention in mentions if mention.column is not None]
    cells = [mention for mention in mentions if mention.column is None]
    operations: tuple[Callable[[_Question], RowAnswer | None], ...]
    if "or" in words:
        operations = (_compared,)
    elif words[0] in _DECIDED:
        return None
    else:
        operations = (_neighbour, _superlative, _ordered)
    answers = []
    for operation in operations:
        asked = _Question(words, table, columns, cells)
        answer = operation(asked)
        if answer is None or asked.not_understood > _SPARE[answer.operation]:
            continue
        if table.text(answer.column, answer.row):
            answers.append(answer)
    texts = {table.text(answer.column, answer.row) for answer in answers}
    return answers[0] if len(texts) == 1 else None


# -- what is asked for ---------------------------------------------------------------------------------------------


def _asked_column(asked: _Question, measured: int | None, otherwise: int | None) -> int | None:
    """The column of the answer: the one that is named first, or that holds what the question word asks for, or
    ``otherwise``. None where it is not clear."""
    table, words = asked.table, asked.words
    first = next((place for place, word in enumerate(words) if word in _ASKING), -1)
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


def _named_first(asked: _Question, place: int) -> Mention | None:
    """The column that is named at ``place``, or after words that are understood."""
    while place < len(asked.words):
        named = next((m for m in asked.columns if m.start == place and asked.is_free(m)), None)
        if named is not None or not (asked.words[place] in _LINKS or place in asked.used):
            return named
        place += 1
    return None


def _rows_meant(asked: _Question, columns: Iterable[int | None]) -> set[int] | None:
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


def _ranked(column: Column, rows: set[int], sign: int) -> list[int] | None:
    """The rows by their values, the most or the least first; None where a value is missing."""
    values = [(column.values or ())[row] if column.values else None for row in rows]
    if any(value is None for value in values):
        return None
    numbers = {row: sign * value.number for row, value in zip(rows, values) if value is not None}
    return sorted(rows, key=lambda row: (-numbers[row], row))


def _value(column: Column, row: int) -> float | None:
    value = column.values[row] if column.values else None
    return None if value is None else value.number


def _phrases(asked: _Question, phrases: Iterable[Words]) -> list[tuple[int, int, Words]]:
    """Where one of the phrases stands, outside of what the question names; of two at one place the longer."""
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


# -- the operations ------------------------------------------------------------------------------------------------


def _superlative(asked: _Question) -> RowAnswer | None:
    """The most or the least of a column: "the highest price", "the cheapest"."""
    found = _phrases(asked, DEGREES)
    if len(found) != 1 or _phrases(asked, ORDERS):
        return None
    start, end, phrase = found[0]
    if start and asked.words[start - 1] == "at":
        return None
    measured = _measured(asked, end, phrase)
    if measured is None:
        return None
    mention, column, sign = measured
    if not _has_extreme(column):
        return None
    asked.used |= set(range(start, end))
    asked.use(mention)
    if mention is not None and not asked.has(_ASKING) and not asked.has(("by", "with")):
        return None  # "highest price" may ask for the price or for what has it
    if mention is not None and _asks_for_value(asked, start, mention):
        answer: int | None = column.number
    else:
        answer = _asked_column(asked, column.number, asked.table.key)
    if answer is None:
        return None
    return _extreme(asked, "most", column, sign, answer)


def _measured(asked: _Question, after: int, phrase: Words) -> tuple[Mention | None, Column, int] | None:
    """The column that a superlative measures, where it is named, and 1 where its largest value is meant, else -1."""
    degree = DEGREES[phrase]
    by = next((m for m in asked.columns if m.start and asked.words[m.start - 1] == "by"), None)
    named = by or asked.column_at(after)
    if named is not None and named.column is not None and asked.table.columns[named.column].values is not None:
        column = asked.table.columns[named.column]
        return (named, column, degree.sign) if not column.is_dated and column.kind != "time" else None
    typed = [(c, degree.sign) for c in asked.table.columns if c.values and degree.columns & set(c.words)]
    typed += [(c, -degree.sign) for c in asked.table.columns if c.values and degree.reversed_columns & set(c.words)]
    mentioned = {m.column: m for m in asked.columns}
    if len(typed) > 1:
        typed = [(column, sign) for column, sign in typed if column.number in mentioned]
    return (mentioned.get(typed[0][0].number), *typed[0]) if len(typed) == 1 else None


def _has_extreme(column: Column) -> bool:
    return not (set(column.words) & UNMEASURED or column.counts_rows)


def _asks_for_value(asked: _Question, start: int, measured: Mention) -> bool:
    """True for "what is the highest price": nothing is named before, and nobody that has it after."""
    before, after = set(asked.words[:start]), set(asked.words[measured.end :])
    return (
        measured.is_whole
        and before <= FUNCTION_WORDS - {"with"}
        and not {"which", "who", "whose", "where"} & before
        and not {"who", "that", "whose", "which"} & after
    )


def _extreme(asked: _Question, operation: Operation, column: Column, sign: int, answer: int) -> RowAnswer | None:
    rows = _rows_meant(asked, (answer, column.number))
    known = (answer, column.number, asked.table.key)
    if rows is None or any(asked.is_free(m) and m.column not in known for m in asked.columns):
        return None
    for mention in asked.columns:
        asked.use(mention)
    order = _ranked(column, rows, sign)
    if order is None or (_value(column, order[0]) or 0.0) < 0:  # of amounts below zero the most may be the least
        return None
    if len(order) > 1 and _value(column, order[0]) == _value(column, order[1]) and answer != column.number:
        return None
    return RowAnswer(operation, answer, order[0], tuple(order[1:2]), column.number, sign=sign)


def _ordered(asked: _Question) -> RowAnswer | None:
    """The first or the last: of the list where the question says so, else by the only column of dates."""
    found = _phrases(asked, ORDERS)
    ends = [(p, p + 1, s) for p, w in enumerate(asked.words) if (s := {"top": -1, "bottom": 1}.get(w)) is not None]
    is_position = asked.has(POSITIONS)
    if len(found) + len(ends if is_position else []) != 1 or _phrases(asked, DEGREES):
        return None
    start, end = (found or ends)[0][:2]
    sign = ORDERS[found[0][2]] if found else ends[0][2]
    if asked.words[0] == "how":
        return None
    asked.used |= set(range(start, end))
    named = asked.column_at(end)
    table = asked.table
    if is_position:
        listed = _of_ordered(asked, start, named)
        if listed is None or any(asked.is_free(m) for m in (*asked.columns, *asked.cells)):
            return None
        filled = [row for row in range(len(table.rows)) if table.text(listed, row)]
        row = filled[-1] if sign > 0 else filled[0]
        return RowAnswer("position", listed, row, sign=sign) if row in (0, len(table.rows) - 1) else None
    dated = [column for column in table.columns if column.is_dated]
    if len(dated) != 1:
        return None
    column = dated[0]
    if named is not None and named.column == column.number:
        answer: int | None = column.number
        asked.use(named)
        if asked.words[0] in ("who", "where"):
            answer = _asked_column(asked, column.number, table.key)
    else:
        answer = _of_ordered(asked, start, named)
    return None if answer is None else _extreme(asked, "order", column, sign, answer)


def _of_ordered(asked: _Question, start: int, named: Mention | None) -> int | None:
    """The column of the answer where the column ``named`` follows the "first" or "last" at ``start``: "the date of the
    last event" asks for the date, "the last event" for the event."""
    before = [m for m in asked.columns if m.end <= start]
    if named is not None and not before and not asked.has(("when", "where")):
        asked.use(named)
        return named.column
    asked.use(named)
    return _asked_column(asked, None, asked.table.key)


def _neighbour(asked: _Question) -> RowAnswer | None:
    """The row after or before a named one."""
    table = asked.table
    for start, end, phrase in _phrases(asked, NEIGHBOURS):
        place = end
        while place < len(asked.words) and asked.words[place] in _ARTICLES:
            place += 1
        named = next((m for m in asked.cells if m.start == place and m.is_whole), None)
        if named is None:
            continue
        by_column = named.rows_by_column
        column = next(iter(by_column)) if len(by_column) == 1 else table.key
        if column is None:
            return None
        rows = by_column.get(column, set())
        if len(rows) != 1 or not _is_in_order(table.columns[column]):
            return None
        if table.columns[column].values is None and value_of(table.text(column, next(iter(rows)))) is not None:
            return None
        asked.used |= set(range(start, end))
        asked.used |= {n for n, word in enumerate(asked.words) if word in BESIDE}
        asked.use(named)
        answer = _asked_column(asked, None, column)
        if answer is None or any(asked.is_free(m) for m in (*asked.columns, *asked.cells)):
            return None
        if (
            answer != column
            and table.columns[answer].values is not None
            and not _asks_for(asked, table.columns[answer])
        ):
            return None  # "what opens after X" asks for no date
        if set(asked.words) & (OPERATION_WORDS - BESIDE - set(phrase)) - {"first", "last"}:
            return None
        sign = NEIGHBOURS[phrase]
        row = next(iter(rows))
        by_place = asked.has(POSITIONS) or phrase[0] in ("below", "above", "beneath")
        other = row + sign * (1 if by_place else _direction(table))
        if not 0 <= other < len(table.rows):
            return None
        return RowAnswer("neighbour", answer, other, (row,), None, column, sign)
    return None


def _asks_for(asked: _Question, column: Column) -> bool:
    """True for a column of texts, and where the question asks for values, not only with a verb that is its name."""
    return column.values is None or asked.has(("when", "how")) or not _DATES.isdisjoint(column.words)


def _is_in_order(column: Column) -> bool:
    """True for a column of texts, and of dates one after the other: of other values the next is not the next row."""
    if column.values is None:
        return True
    numbers = [value.number for value in column.values if value is not None]
    return column.is_dated and column.is_complete and numbers in (sorted(numbers), sorted(numbers, reverse=True))


def _direction(table: AskedTable) -> int:
    """-1 for a table whose latest row stands first: the one after a row is above it."""
    dated = [column for column in table.columns if column.is_dated and column.is_complete]
    if not dated:
        return 1
    numbers = [_value(dated[0], row) or 0.0 for row in range(len(table.rows))]
    return -1 if numbers == sorted(numbers, reverse=True) and numbers[0] != numbers[-1] else 1


def _compared(asked: _Question) -> RowAnswer | None:
    """Which of two named rows has more, or less, of a column."""
    table, words = asked.table, asked.words
    middle = len(words) - 1 - words[::-1].index("or")
    left = next((m for m in reversed(asked.cells) if m.end <= middle and set(words[m.end : middle]) <= _ARTICLES), None)
    right = next((m for m in asked.cells if m.start > middle and set(words[middle + 1 : m.start]) <= _ARTICLES), None)
    if left is None or right is None or not (left.is_whole and right.is_whole):
        return None
    ones, others = left.rows_by_column, right.rows_by_column
    named = [c for c in ones if c in others and len(ones[c]) == len(others[c]) == 1]
    names = table.key if table.key in named else named[0] if len(named) == 1 else None
    if names is None:
        return None
    rows = (*ones[names], *others[names])
    asked.used |= {middle}
    asked.use(left)
    asked.use(right)
    measured = _compared_by(asked)
    if measured is None or rows[0] == rows[1] or any(asked.is_free(m) for m in asked.cells):
        return None
    column, sign = measured
    numbers = [_value(column, row) for row in rows]
    if column.number == names or numbers[0] is None or numbers[1] is None or numbers[0] == numbers[1]:
        return None
    for mention in asked.columns:
        if mention.column not in (column.number, names):
            return None
        asked.use(mention)
    if min(numbers[0], numbers[1]) < 0:
        return None
    is_first = (numbers[0] > numbers[1]) == (sign > 0)
    return RowAnswer("compared", names, rows[not is_first], (rows[is_first],), column.number, names, sign)


def _compared_by(asked: _Question) -> tuple[Column, int] | None:
    """The column by which two rows are compared, and 1 where the larger value wins, else -1."""
    degrees, orders = _phrases(asked, DEGREES), _phrases(asked, ORDERS)
    if len(degrees) + len(orders) != 1:
        return None
    start, end, phrase = (degrees or orders)[0]
    asked.used |= set(range(start, end)) | ({end} if asked.words[end : end + 1] == ("than",) else set())
    if degrees:
        measured = _measured(asked, end, phrase)
        if measured is None:
            named = {m.column for m in asked.columns if asked.table.columns[m.column or 0].values is not None}
            if len(named) != 1 or DEGREES[phrase].columns:
                return None
            measured = None, asked.table.columns[next(iter(named)) or 0], DEGREES[phrase].sign
        column, sign = measured[1:]
        return (column, sign) if not set(column.words) & RANKS else None
    dated = [column for column in asked.table.columns if column.is_dated]
    said = [column for column in dated if any(m.column == column.number for m in asked.columns)]
    dated = said or dated
    return (dated[0], ORDERS[phrase]) if len(dated) == 1 else None
