"""Questions on tables with linked articles: those of people, and made-up ones that join a row and an article.

Of a thing that a row and an article are both about, the question says which one it is by a cell of the row and asks for
what the article tells (``Where was the pitcher whose score is 2-0 born?``), or by what the article tells and asks for a
cell (``What is the class of the one born in Houlton?``). Neither text alone holds the answer and shows that it does.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ragyena.data.hybrid import HybridDocument, HybridQuestion
from ragyena.data.qa_files import ContextRow
from ragyena.documents.sentences import sentence_span
from ragyena.train.augment.table_facts import Fact, facts

__all__ = ["Place", "TableQuestion", "table_questions"]

_LONGEST_CELL = 48  # chars of a cell that a question is made with
_FROM_ARTICLE, _FROM_TABLE = 3, 1  # made-up questions on an article, at most, by where the answer stands
_CELL_FORMS = ("What is the COLUMN of {}?", "Which COLUMN does {} have?", "What COLUMN is listed for {}?")
_SUPERLATIVE = 0.25  # of the descriptions, where a row has the largest or smallest number of its column
_NAMELESS = frozenset(("name", "title", "person", "no", "notes", "remarks", "ref", "details", "description", "result"))
_NUMBER = re.compile(r"\$?(\d[\d,]*(?:\.\d+)?)\b")


@dataclass(frozen=True, slots=True)
class Place:
    """Chars [start, end) of a text of the document: the table for the ``article`` ``None``."""

    article: str | None
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class TableQuestion:
    """A question on the document ``document``."""

    document: str
    question: str
    plain: str
    """The same with the thing's name, for a teacher that sees each passage alone and cannot join them."""
    answer: Place
    answer_text: str
    told: Place | None
    """What else is needed to find the answer; None where it is not known."""


@dataclass(frozen=True, slots=True)
class _Row:
    start: int
    end: int
    cells: dict[str, tuple[int, str]]
    """Of each column: where the cell stands in the table's text, and the cell."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A row, and an article on what is named in one of its cells."""

    row: int
    column: str
    article: ContextRow


def table_questions(
    asked: Iterable[HybridQuestion],
    documents: Iterable[HybridDocument],
    articles: Mapping[str, ContextRow],
    *,
    repeat: int,
) -> list[TableQuestion]:
    """The questions that were ``asked`` on the documents, ``repeat`` times each, and those that are made up; always the
    same ones. ``articles`` by id are all that the documents link to."""
    chooser = random.Random(4)
    questions: list[TableQuestion] = []
    by_id = {document.id: document for document in documents}
    for question in asked:
        gold = [key for key in question.gold_passages if key in articles]
        answer, told, name = _asked_place(
            question.question, question.answers[0], gold, by_id[question.doc_id], articles
        )
        if answer is not None:
            plain = f"{question.question.rstrip(' ?')} ({name})?"
            row = TableQuestion(question.doc_id, question.question, plain, answer, question.answers[0], told)
            questions += [row] * repeat
    for document in by_id.values():
        questions += _made(document, articles, chooser)
    return questions


# -- what people asked -------------------------------------------------------------------------------------------


def _asked_place(
    question: str,
    answer: str,
    gold: Sequence[str],
    document: HybridDocument,
    articles: Mapping[str, ContextRow],
) -> tuple[Place | None, Place | None, str]:
    """Where the answer stands in a linked article, beside most words of the question; the row that names the article;
    and its name."""
    asked = _words(question)
    rows = _rows(document)
    best: tuple[int, Place, Place | None, str] | None = None
    for key in gold:
        article = articles[key]
        name = _name(article.title)
        naming = [row for row in rows if name.lower() in _text_of(row).lower()]
        row = max(naming, key=lambda row: len(asked & _words(_text_of(row))), default=None)
        for match in re.finditer(rf"(?<!\w){re.escape(answer)}(?!\w)", article.text):
            first, last = sentence_span(article.text, *match.span())
            score = len(asked & _words(article.text[first:last])) + (len(asked & _words(_text_of(row))) if row else 0)
            if best is None or score > best[0]:
                told = Place(None, row.start, row.end) if row else None
                best = (score, Place(key, *match.span()), told, name)
    return best[1:] if best else (None, None, "")


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def _name(title: str) -> str:
    """A title without what tells it from others of the same name."""
    return re.sub(r" \([^()]*\)$", "", title)


# -- tables ------------------------------------------------------------------------------------------------------


def _rows(document: HybridDocument) -> list[_Row]:
    rows, start = [], 0
    for text in document.rows:
        cells: dict[str, tuple[int, str]] = {}
        offset = start
        for part in text.split("; "):
            column, colon, cell = part.partition(": ")
            if colon and column not in cells:
                cells[column] = (offset + len(column) + len(colon), cell)
            offset += len(part) + 2
        rows.append(_Row(start, start + len(text), cells))
        start += len(text) + 1
    return rows


def _text_of(row: _Row) -> str:
    return " ".join(cell for _, cell in row.cells.values())


def _entries(rows: Sequence[_Row], document: HybridDocument, articles: Mapping[str, ContextRow]) -> Iterator[_Entry]:
    """Articles whose name is in the cells of one row alone."""
    for key in document.passages:
        article = articles[key]
        name = _name(article.title).lower()
        naming = [
            _Entry(index, column, article)
            for index, row in enumerate(rows)
            for column, (_, cell) in row.cells.items()
            if name in cell.lower() and len(cell) < len(name) + 24
        ]
        if len({entry.row for entry in naming}) == 1:
            yield naming[0]


# -- made-up questions -------------------------------------------------------------------------------------------


def _made(
    document: HybridDocument, articles: Mapping[str, ContextRow], chooser: random.Random
) -> Iterator[TableQuestion]:
    rows = _rows(document)
    entries = list(_entries(rows, document, articles))
    told = {entry.article.id: _facts(entry.article) for entry in entries}
    said = [articles[key].text[fact.start : fact.end] for key, those in told.items() for fact in those]
    for entry in entries:
        those, name = told[entry.article.id], _name(entry.article.title)
        row, text = rows[entry.row], entry.article.text
        for fact in chooser.sample(those, min(_FROM_ARTICLE, len(those))):
            described, answer = _by_row(rows, entry, chooser), text[fact.start : fact.end]
            if described is not None and answer.lower() not in described.lower():
                form = chooser.choice(fact.asked)
                question, plain = (form.replace("{}", thing) for thing in (described, name))
                place, needed = Place(entry.article.id, fact.start, fact.end), Place(None, row.start, row.end)
                yield TableQuestion(document.id, question, plain, place, answer, needed)
        telling = [fact for fact in those if fact.told and said.count(text[fact.start : fact.end]) == 1]
        for fact in chooser.sample(telling, min(_FROM_TABLE, len(telling))):
            cell = _asked_cell(row, entry, text[fact.start : fact.end], chooser)
            if cell is not None:
                column, answer, place = cell
                described = chooser.choice(fact.told).replace("{}", text[fact.start : fact.end])
                form = chooser.choice(_CELL_FORMS).replace("COLUMN", column.lower())
                question, plain = (
                    form.replace("{}", thing) for thing in (f"{_kind(entry.column, chooser)} {described}", name)
                )
                needed = Place(entry.article.id, *sentence_span(text, fact.start, fact.end))
                yield TableQuestion(document.id, question, plain, place, answer, needed)


def _facts(article: ContextRow) -> list[Fact]:
    """What the article tells beyond its name."""
    name = article.title.lower()
    return [fact for fact in facts(article.text) if article.text[fact.start : fact.end].lower() not in name]


def _kind(column: str, chooser: random.Random) -> str:
    """What is in a column: ``the pitcher``."""
    noun = re.sub(r"\s*\(.*?\)|[*#†]", "", column).strip().lower()
    if not noun or noun in _NAMELESS or not noun[0].isalpha():
        return chooser.choice(("the one", "the entry", "the item listed"))
    return f"the {noun}"


def _by_row(rows: Sequence[_Row], entry: _Entry, chooser: random.Random) -> str | None:
    """``the COLUMN whose OTHER COLUMN is CELL``, of a cell (or two) that no other row has; None where there is none."""
    kind, own = _kind(entry.column, chooser), rows[entry.row].cells
    usable = [c for c, (_, cell) in own.items() if c != entry.column and 0 < len(cell) <= _LONGEST_CELL]
    chooser.shuffle(usable)
    if chooser.random() < _SUPERLATIVE:
        for column in usable:
            extreme = _extreme(rows, entry.row, column)
            if extreme is not None:
                return f"{kind} with the {extreme} {column.lower()}"
    for column in usable:
        if sum(row.cells.get(column, (0, ""))[1] == own[column][1] for row in rows) == 1:
            return _with_cell(kind, column, own[column][1], chooser)
    for one in usable:
        for other in usable:
            pair = (own[one][1], own[other][1])
            same = [r for r in rows if (r.cells.get(one, (0, ""))[1], r.cells.get(other, (0, ""))[1]) == pair]
            if one != other and len(same) == 1:
                return f"{_with_cell(kind, one, pair[0], chooser)} and {other.lower()} {pair[1]}"
    return None


def _with_cell(kind: str, column: str, cell: str, chooser: random.Random) -> str:
    key = column.lower()
    forms = [f"{kind} whose {key} is {cell}", f"{kind} with {key} {cell}", f"{kind} with a {key} of {cell}"]
    forms += [f"{kind} listed with {cell}", f"{kind} of {cell}", f"{kind} that has {cell} as {key}"]
    if re.fullmatch(r"(?:\w+ )*(?:1[5-9]|20)\d\d", cell):
        forms += [f"{kind} in {cell}", f"{kind} from {cell}", f"the {cell} {kind.removeprefix('the ')}"]
    if re.search(r"city|town|location|country|county|state|place|region|venue", key):
        forms += [f"{kind} in {cell}", f"{kind} from {cell}", f"{kind} located in {cell}"] * 2
    return chooser.choice(forms)


def _extreme(rows: Sequence[_Row], index: int, column: str) -> str | None:
    """``highest`` or ``lowest`` where the row alone has that number of a column of numbers."""
    numbers = []
    for row in rows:
        match = _NUMBER.match(row.cells.get(column, (0, ""))[1])
        if match is None:
            return None
        numbers.append(float(match[1].replace(",", "")))
    own = numbers[index]
    if len(numbers) < 3 or numbers.count(own) > 1 or numbers == sorted(numbers):  # a column that only counts rows
        return None
    return "highest" if own == max(numbers) else "lowest" if own == min(numbers) else None


def _asked_cell(row: _Row, entry: _Entry, told: str, chooser: random.Random) -> tuple[str, str, Place] | None:
    """A column of the row to ask for, its cell, and where that stands."""
    usable = [
        (column, cell, Place(None, at, at + len(cell)))
        for column, (at, cell) in row.cells.items()
        if column != entry.column and 0 < len(cell) <= _LONGEST_CELL and told.lower() not in cell.lower()
    ]
    return chooser.choice(usable) if usable else None
