"""Questions that need several rows of a table: extremes, neighbours, thresholds, comparisons of two named rows.

People ask them of every table, and question sets on running text hold none. They are made of the tables of the texts
that are trained on anyway, as loaders write them. The answer is the cell that names a row, and no other row may be
meant: there are no ties, and no row that sums up others counts. Some name a row that the table does not have. Wordings
are in ``words/rows.yaml``.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import zip_longest

from ragyena.data.qa_files import Question
from ragyena.train.augment.row_tables import RowTable, Value, find_tables, value_of, values_of
from ragyena.train.augment.row_wordings import (
    NOT_MEASURED,
    column_words,
    comparative,
    filled,
    is_counted,
    lower,
    noun_of,
    superlative,
    threshold_words,
    worded,
)
from ragyena.train.augment.words import word_lists
from ragyena.types import Passage

__all__ = ["SOURCE", "Asked", "ask", "row_questions"]

SOURCE = "rows"
"""The source of the questions."""
_EACH = 16  # questions of a table, at most
_PLAIN = 4  # questions of a table without a column to measure
_TITLED = 0.25  # of the questions, those that say the table's title, where it has one that can be said
_NEAR = 3  # rows from one to another that it is compared with, at most
_LONGEST_CELL = 60  # chars of an answer, or of a row's name in a question
_WORDS = word_lists("rows")
_NOT_MEASURED_WORDS = frozenset(_WORDS["not_measured_words"].split())
_QUANTITY = re.compile(r"[\d.,:]+ ?(?:[^\W\d_]{1,3}\b|[^\w\s]|$)")
_DAY = re.compile(r"\b(?:date|day)\b", re.IGNORECASE)
_SAID = re.compile(r"[^\W_]")
_UNSAID = frozenset(_WORDS["unsaid"])
_TITLE = re.compile(r"[A-Za-z0-9][\w ,.'&()–-]{2,58}[\w)]")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question on a table. The rest recalls what it was made of, to be checked against the table."""

    question: str
    answer: int
    """The row whose name is the answer; -1 where there is none."""
    kind: str
    """``most``, ``least``, ``first``, ``last``, ``next``, ``previous``, ``above``, ``below`` or ``compare``."""
    column: str = ""
    """The measured column."""
    named: tuple[int, ...] = ()
    """The rows that the question names."""
    threshold: float = 0.0


def row_questions(contexts: Mapping[str, Sequence[Passage]], count: int, seed: int) -> list[Question]:
    """At most ``count`` questions on the tables in ``contexts``, evenly from all of them; the same ones for a ``seed``.

    ``contexts`` are the passages of each text by its id. What a question needs beside the answer stands in one passage
    with it, or does not matter: of any passages of a table, its largest value is the largest.
    """
    made: list[list[Question]] = []
    for key in sorted(contexts) if count else ():
        text, title = _text(contexts[key]), contexts[key][0].title if contexts[key] else ""
        for number, table in enumerate(find_tables(text)):
            chooser = random.Random(f"{seed} {key} {number}")
            if (naming := _naming(table)) is None:
                continue
            pieces = [_piece(contexts[key], row[naming].start) for row in table.rows]
            some = list(ask(table, naming, pieces, title, chooser))
            made.append([_question(f"{key}-{number}-{n}", key, table, naming, one) for n, one in enumerate(some)])
    random.Random(seed).shuffle(made)
    return [question for layer in zip_longest(*made) for question in layer if question is not None][:count]


def _text(passages: Sequence[Passage]) -> str:
    """The text that was cut into ``passages``; what is between two of them is white space."""
    text = ""
    for passage in passages:
        gap = passage.start - len(text)
        # a line break parts rows, so two rows; only a blank line, two tables
        text += (" " * (gap - 1) + "\n" if gap else "") + passage.text
    return text


def _piece(passages: Sequence[Passage], start: int) -> int:
    return next(number for number, passage in enumerate(passages) if start < passage.end)


def _question(key: str, context: str, table: RowTable, naming: str, asked: Asked) -> Question:
    if asked.answer < 0:
        return Question(f"{SOURCE} {key}", SOURCE, asked.question, (), context, -1)
    cell = table.rows[asked.answer][naming]
    return Question(f"{SOURCE} {key}", SOURCE, asked.question, (cell.text,), context, cell.start, answer_type="span")


# -- what is asked -----------------------------------------------------------------------------------------------


def ask(table: RowTable, naming: str, pieces: Sequence[int], title: str, chooser: random.Random) -> Iterator[Asked]:
    """Questions on a table whose rows are named by the column ``naming``, of different kinds.

    ``pieces`` are the numbers of the passages that the rows begin in.
    """
    measured = {name: values for name in table.names if name != naming and (values := _measured(table, name))}
    made: list[Asked] = []
    for name, values in measured.items():
        made += _extremes(table, naming, name, values, chooser)
        made += _compared(table, naming, name, values, pieces, chooser)
    made += _neighbours(table, naming, pieces, chooser)
    chooser.shuffle(made)
    seen: Counter[str] = Counter()
    turns: list[int] = []
    for one in made:
        turns.append(seen[one.kind] + (one.kind in ("next", "previous")))
        seen[one.kind] += 1
    # One of each kind, then a second. Neighbours, which every table has, come after what is measured.
    for _, one in sorted(zip(turns, made), key=lambda pair: pair[0])[: _EACH if measured else _PLAIN]:
        answer = table.rows[one.answer][naming].text if one.answer >= 0 else ""
        if _TITLE.fullmatch(title) and answer.lower() not in title.lower() and chooser.random() < _TITLED:
            form = chooser.choice(_WORDS["titled"])
            words = one.question if form.startswith("ASK") else lower(one.question)
            yield replace(one, question=filled(form, TITLE=title, ASK=words))
        else:
            yield one


def _naming(table: RowTable) -> str | None:
    """The column whose cells name the rows: the first of texts that all differ, else the first if it holds years."""
    for name in table.names:
        cells = [row.get(name) for row in table.rows]
        texts = [cell.text.lower() for cell in cells if cell is not None]
        if len(texts) < len(cells) or len(set(texts)) < len(texts) or max(map(len, texts)) > _LONGEST_CELL:
            continue
        is_text = all(any(char.isalpha() for char in text) and value_of(text) is None for text in texts)
        are_quantities = sum(bool(_QUANTITY.match(text)) for text in texts) > len(texts) / 2
        if are_quantities or _DAY.search(name) or any(not _SAID.search(text) or text in _UNSAID for text in texts):
            continue
        is_year = all(re.fullmatch(r"(?:1[5-9]|20)\d\d", text) for text in texts) and "year" in name.lower()
        if (is_text or is_year) and noun_of(name) is not None:
            return name
    return None


def _measured(table: RowTable, name: str) -> list[Value | None] | None:
    """The values of a column that extremes may be asked of."""
    words = name.lower().split()
    if not words or name.lower() in NOT_MEASURED or {words[0], words[-1]} & _NOT_MEASURED_WORDS:
        return None
    return values_of(table, name) if column_words(name) is not None else None


def _extremes(
    table: RowTable, naming: str, name: str, values: Sequence[Value | None], chooser: random.Random
) -> Iterator[Asked]:
    """The largest and the smallest value, and the only row above or below a round number between it and the next."""
    order = sorted((value.number, row) for row, value in enumerate(values) if value is not None)
    for (value, row), (other, _), is_most in ((order[-1], order[-2], True), (order[0], order[1], False)):
        if value == other:
            continue
        yield Asked(superlative(naming, name, values, is_most, chooser), row, "most" if is_most else "least", name)
        threshold = _between(value, other, values[row])
        if threshold is not None and not (threshold[0] <= 1 and is_counted(name)):
            bound, shown = threshold
            words = threshold_words(naming, name, values, is_most, shown, chooser)
            yield Asked(words, row, "above" if is_most else "below", name, threshold=bound)


def _between(value: float, other: float, of: Value | None) -> tuple[float, str] | None:
    """The roundest number between the extreme ``value`` and the ``other`` next to it, and as it is written. Of dates it
    is a year that parts them; neither what is before 1950 nor what is after it is in 1950."""
    assert of is not None
    if of.kind == "date":
        first, second = date.fromordinal(int(min(value, other))).year, date.fromordinal(int(max(value, other))).year
        year = second if value < other else first
        day = date(year, 1, 1) if value < other else date(year, 12, 31)
        return (float(day.toordinal()), str(year)) if first < second else None
    low, high = sorted((value, other))
    if of.kind == "year":
        return (high, str(int(high))) if value < other else (low, str(int(low)))
    for power in range(int(math.log10(max(abs(low), abs(high), 1))), -3, -1):
        step = 10.0**power
        bound = round((math.floor(low / step) + 1) * step, 6)
        if low < bound < high:
            shown = f"{bound:,.0f}" if bound == int(bound) else f"{bound:g}"
            sign = of.unit if of.unit in ("$", "€", "£", "¥", "₹") else ""
            unit = "" if sign or not of.unit else of.unit if of.unit == "%" else f" {of.unit}"
            return (bound, f"{sign}{shown}{unit}") if bound >= 0 else None
    return None


def _neighbours(table: RowTable, naming: str, pieces: Sequence[int], chooser: random.Random) -> Iterator[Asked]:
    """The first and last row of a table in one passage, and rows before or after a named one of the same passage."""
    last, names = len(table.rows) - 1, [row[naming].text for row in table.rows]
    for kind, row in (("first", 0), ("last", last)):
        if len(set(pieces)) == 1 and row not in table.totals:
            yield Asked(worded(kind, naming, chooser), row, kind)
    # The year after 1998 is not the one below it in a table that begins with the latest.
    years = [int(name) for name in names if name.isdigit()]
    missing = _missing(table, naming, chooser)
    for kind, step in (("next", 1), ("previous", -1)):
        pairs = [
            (row, row + step)
            for row in range(len(table.rows) if not years or years == sorted(years) else 0)
            if 0 <= row + step <= last and pieces[row] == pieces[row + step] and not {row, row + step} & table.totals
        ]
        for row, answer in chooser.sample(pairs, min(2, len(pairs))):
            yield Asked(filled(worded(kind, naming, chooser), NAME=names[row]), answer, kind, named=(row,))
        if missing is not None and chooser.random() < 0.5:
            yield Asked(filled(worded(kind, naming, chooser), NAME=missing), -1, kind)


def _compared(
    table: RowTable,
    naming: str,
    name: str,
    values: Sequence[Value | None],
    pieces: Sequence[int],
    chooser: random.Random,
) -> Iterator[Asked]:
    """Two rows of one passage, near each other: the one that has more or is later."""
    names = [row[naming].text for row in table.rows]
    pairs = [
        (row, other)
        for row, value in enumerate(values)
        for other, against in enumerate(values)
        if value is not None and against is not None and value.number != against.number
        if row != other and abs(row - other) <= _NEAR and pieces[row] == pieces[other]
    ]
    if not pairs:
        return
    row, other = chooser.choice(pairs)
    words, is_more = comparative(naming, name, values, chooser)
    first, second = values[row], values[other]
    assert first is not None and second is not None
    answer = row if (first.number > second.number) == is_more else other
    question = filled(words, NAME=names[row], OTHER=names[other])
    yield Asked(question, answer, "compare", name, (row, other), threshold=float(is_more))
    missing = _missing(table, naming, chooser)
    if missing is not None and chooser.random() < 0.3:
        yield Asked(filled(words, NAME=names[row], OTHER=missing), -1, "compare", name)


def _missing(table: RowTable, naming: str, chooser: random.Random) -> str | None:
    """A name like those of the rows, of the beginning of one and the end of another, that no cell holds."""
    names = [row[naming].text for row in table.rows]
    halves = [name.split() for name in names]
    whole = " ".join(cell.text for row in table.rows for cell in row.values()).lower()
    for _ in range(8):
        one, other = chooser.choice(halves), chooser.choice(halves)
        if naming.lower() == "year" and one[0].isdigit():
            name = str(max(int(half[0]) for half in halves if half[0].isdigit()) + chooser.randint(2, 9))
        elif len(one) > 1 and len(other) > 1 and all(w[0].isupper() and w.isalpha() for w in (one[0], other[-1])):
            name = f"{one[0]} {other[-1]}"
        else:
            continue
        if name.lower() not in whole:
            return name
    return None
