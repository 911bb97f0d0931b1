"""Questions that need several rows of a table, computed from all its rows.

Each operation answers where the question says which column is meant and every word of it is understood, and gives None
at any doubt: ties, empty cells, values that do not compare, words that are left over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from ragyena.documents.cell_values import value_of
from ragyena.documents.words import read_words
from ragyena.reader.tables.asked import AskedTable, Column, Mention, mentions_of
from ragyena.reader.tables.question import TableQuestion, asked_column, phrases_in, ranked, rows_meant, value_at
from ragyena.reader.tables.wording import (
    ASKING,
    BESIDE,
    DEGREES,
    FUNCTION_WORDS,
    NEIGHBOURS,
    OPERATION_WORDS,
    ORDERS,
    POSITIONS,
    RANKS,
    UNMEASURED,
    Words,
    words_of,
)

__all__ = ["Operation", "RowAnswer", "answer_by_rows"]

Operation = Literal["most", "order", "position", "neighbour", "compared"]

_SPARE: Mapping[Operation, int] = {"most": 0, "order": 0, "position": 0, "neighbour": 0, "compared": 1}
"""Words that an operation may leave over: where two rows are named, one more tells little."""
_DATES = frozenset(("date", "day", "year", "season", "month", "time", "number", "score"))
_ARTICLES = frozenset(("the", "a", "an"))
_DECIDED = frozenset(read_words(__file__, "deciding"))


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
    """1 for the most, the last or the next; -1 for the other end."""


def answer_by_rows(question: str, table: AskedTable) -> RowAnswer | None:
    """The answer to a question that the rows of a table decide, None where they do not, or not surely."""
    words = words_of(question)
    if not words or len(table.rows) < 2:
        return None
    mentions = mentions_of(words, table)
    columns = [mention for mention in mentions if mention.column is not None]
    cells = [mention for mention in mentions if mention.column is None]
    operations: tuple[Callable[[TableQuestion], RowAnswer | None], ...]
    if "or" in words:
        operations = (_compared,)
    elif words[0] in _DECIDED:
        return None
    else:
        operations = (_neighbour, _superlative, _ordered)
    answers = []
    for operation in operations:
        asked = TableQuestion(words, table, columns, cells)
        answer = operation(asked)
        if answer is None or asked.not_understood > _SPARE[answer.operation]:
            continue
        if table.text(answer.column, answer.row):
            answers.append(answer)
    texts = {table.text(answer.column, answer.row) for answer in answers}
    return answers[0] if len(texts) == 1 else None


def _superlative(asked: TableQuestion) -> RowAnswer | None:
    """The most or the least of a column: "the highest price", "the cheapest"."""
    found = phrases_in(asked, DEGREES)
    if len(found) != 1 or phrases_in(asked, ORDERS):
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
    if mention is not None and not asked.has(ASKING) and not asked.has(("by", "with")):
        return None  # "highest price" may ask for the price or for what has it
    if mention is not None and _asks_for_value(asked, start, mention):
        answer: int | None = column.number
    else:
        answer = asked_column(asked, column.number, asked.table.key)
    if answer is None:
        return None
    return _extreme(asked, "most", column, sign, answer)


def _measured(asked: TableQuestion, after: int, phrase: Words) -> tuple[Mention | None, Column, int] | None:
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


def _asks_for_value(asked: TableQuestion, start: int, measured: Mention) -> bool:
    """True for "what is the highest price": nothing is named before, and nobody that has it after."""
    before, after = set(asked.words[:start]), set(asked.words[measured.end :])
    return (
        measured.is_whole
        and before <= FUNCTION_WORDS - {"with"}
        and not {"which", "who", "whose", "where"} & before
        and not {"who", "that", "whose", "which"} & after
    )


def _extreme(asked: TableQuestion, operation: Operation, column: Column, sign: int, answer: int) -> RowAnswer | None:
    rows = rows_meant(asked, (answer, column.number))
    known = (answer, column.number, asked.table.key)
    if rows is None or any(asked.is_free(m) and m.column not in known for m in asked.columns):
        return None
    for mention in asked.columns:
        asked.use(mention)
    order = ranked(column, rows, sign)
    if order is None or (value_at(column, order[0]) or 0.0) < 0:  # of amounts below zero the most may be the least
        return None
    if len(order) > 1 and value_at(column, order[0]) == value_at(column, order[1]) and answer != column.number:
        return None
    return RowAnswer(operation, answer, order[0], tuple(order[1:2]), column.number, sign=sign)


def _ordered(asked: TableQuestion) -> RowAnswer | None:
    """The first or the last: of the list where the question says so, else by the only column of dates."""
    found = phrases_in(asked, ORDERS)
    ends = [(p, p + 1, s) for p, w in enumerate(asked.words) if (s := {"top": -1, "bottom": 1}.get(w)) is not None]
    is_position = asked.has(POSITIONS)
    if len(found) + len(ends if is_position else []) != 1 or phrases_in(asked, DEGREES):
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
            answer = asked_column(asked, column.number, table.key)
    else:
        answer = _of_ordered(asked, start, named)
    return None if answer is None else _extreme(asked, "order", column, sign, answer)


def _of_ordered(asked: TableQuestion, start: int, named: Mention | None) -> int | None:
    """The column of the answer where the column ``named`` follows the "first" or "last" at ``start``: "the date of the
    last event" asks for the date, "the last event" for the event."""
    before = [m for m in asked.columns if m.end <= start]
    if named is not None and not before and not asked.has(("when", "where")):
        asked.use(named)
        return named.column
    asked.use(named)
    return asked_column(asked, None, asked.table.key)


def _neighbour(asked: TableQuestion) -> RowAnswer | None:
    """The row after or before a named one."""
    table = asked.table
    for start, end, phrase in phrases_in(asked, NEIGHBOURS):
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
        answer = asked_column(asked, None, column)
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


def _asks_for(asked: TableQuestion, column: Column) -> bool:
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
    numbers = [value_at(dated[0], row) or 0.0 for row in range(len(table.rows))]
    return -1 if numbers == sorted(numbers, reverse=True) and numbers[0] != numbers[-1] else 1


def _compared(asked: TableQuestion) -> RowAnswer | None:
    """The one of two named rows that has more, or less, of a column."""
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
    numbers = [value_at(column, row) for row in rows]
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


def _compared_by(asked: TableQuestion) -> tuple[Column, int] | None:
    """The column by which two rows are compared, and 1 where the larger value wins, else -1."""
    degrees, orders = phrases_in(asked, DEGREES), phrases_in(asked, ORDERS)
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
