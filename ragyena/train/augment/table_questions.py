"""Questions on tables with linked articles: given ones, and synthetic ones that join a row and an article (two hops).

A row and an article are about one thing. A synthetic question identifies it by a cell of the row and asks for a fact of
the article (``Where was the pitcher whose score is 2-0 born?``), or identifies it by a fact and asks for a cell (``What
is the class of the one born in Houlton?``). Facts of articles are found by the patterns of ``words/facts.yaml``.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ragyena.data.clozes import DATE, NAME
from ragyena.data.hybrid import HybridDocument, HybridQuestion
from ragyena.data.qa_files import ContextRow
from ragyena.documents.sentences import sentence_span
from ragyena.train.augment.words import word_lists

__all__ = ["Fact", "Place", "TableQuestion", "facts", "table_questions"]

_LONGEST_CELL = 48  # chars of a cell that a question is made with
_LONGEST_FACT = 60  # chars of a fact that is an answer
_FROM_ARTICLE, _FROM_TABLE = 3, 1  # synthetic questions on an article, at most, by where the answer stands
_SUPERLATIVE = 0.25  # of the descriptions, where a row has the largest or smallest number of its column
_TABLE_WORDS = word_lists("tables")
_GENERIC_COLUMNS = frozenset(_TABLE_WORDS["generic_columns"].split())
_PLACE_COLUMN = re.compile("|".join(_TABLE_WORDS["place_columns"].split()))
_NUMBER = re.compile(r"\$?(\d[\d,]*(?:\.\d+)?)\b")


@dataclass(frozen=True, slots=True)
class Fact:
    """``text[start:end]`` of an article answers the ``questions``, in which ``{}`` stands for the article's subject."""

    start: int
    end: int
    questions: tuple[str, ...]
    descriptions: tuple[str, ...]
    """Ways to identify the subject by the fact: ``born in {}``, the fact for ``{}``. May be none."""


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
    """The same with the thing's name, for a teacher that reads each passage alone and cannot join them."""
    answer: Place
    answer_text: str
    evidence: Place | None
    """Further evidence that is needed to answer; None where it is not known."""


@dataclass(frozen=True, slots=True)
class _Row:
    start: int
    end: int
    cells: dict[str, tuple[int, str]]
    """The place of each column's cell in the table's text, and the cell."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A row, and an article on what is named in one of its cells."""

    row: int
    column: str
    article: ContextRow


def table_questions(
    given: Iterable[HybridQuestion],
    documents: Iterable[HybridDocument],
    articles: Mapping[str, ContextRow],
    *,
    repeat: int,
) -> list[TableQuestion]:
    """The ``given`` questions on the documents, ``repeat`` times each, and synthetic ones; always the same ones.
    ``articles`` by id are all that the documents link to."""
    chooser = random.Random(4)
    questions: list[TableQuestion] = []
    by_id = {document.id: document for document in documents}
    for question in given:
        placed = _placed(question, by_id[question.doc_id], articles)
        questions += [placed] * repeat if placed else []
    for document in by_id.values():
        questions += _synthetic(document, articles, chooser)
    return questions


# -- given questions ---------------------------------------------------------------------------------------------


def _placed(
    question: HybridQuestion, document: HybridDocument, articles: Mapping[str, ContextRow]
) -> TableQuestion | None:
    """The question with its answer's place in a linked article, where the sentence and the row that names the article
    share most words with it; None where no gold article holds the answer."""
    words, rows = _words(question.question), _rows(document)
    answer = question.answers[0]
    best: tuple[int, TableQuestion] | None = None
    for key in question.gold_passages:
        if key not in articles:
            continue
        article = articles[key]
        name = _name(article.title)
        naming = [row for row in rows if name.lower() in _text_of(row).lower()]
        row = max(naming, key=lambda row: len(words & _words(_text_of(row))), default=None)
        shared = len(words & _words(_text_of(row))) if row else 0
        evidence = Place(None, row.start, row.end) if row else None
        plain = f"{question.question.rstrip(' ?')} ({name})?"
        for match in re.finditer(rf"(?<!\w){re.escape(answer)}(?!\w)", article.text):
            first, last = sentence_span(article.text, *match.span())
            score = len(words & _words(article.text[first:last])) + shared
            if best is None or score > best[0]:
                place = Place(key, *match.span())
                best = (score, TableQuestion(document.id, question.question, plain, place, answer, evidence))
    return best[1] if best else None


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def _name(title: str) -> str:
    """A title without the words that distinguish it from others of its name: ``Mercury (planet)``."""
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
    """The articles whose name is in the cells of one row alone."""
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


# -- facts of articles -------------------------------------------------------------------------------------------

_PLACEHOLDERS = {"<PLACE>": rf"{NAME}(?:, {NAME}){{0,2}}", "<NAME>": NAME, "<DATE>": DATE}
_FULL_NAME = re.compile(rf"(?:The )?(?P<answer>{NAME})(?= \(|, | is | was )")
_FULL_NAME_QUESTIONS = tuple(word_lists("facts")["full_name"])


def _regex(pattern: str) -> re.Pattern[str]:
    for placeholder, regex in _PLACEHOLDERS.items():
        pattern = pattern.replace(placeholder, regex)
    return re.compile(pattern)


_PATTERNS = [
    (_regex(pattern["regex"]), pattern["ask"], pattern.get("tell", ())) for pattern in word_lists("facts")["patterns"]
]


def facts(text: str) -> Iterator[Fact]:
    """Facts that an article states about its subject: the first match of each pattern."""
    full_name = _FULL_NAME.match(text)
    if full_name is not None and len(full_name["answer"].split()) >= 3:
        yield Fact(*full_name.span("answer"), _FULL_NAME_QUESTIONS, ())
    for regex, questions, descriptions in _PATTERNS:
        match = regex.search(text)
        if match is None:
            continue
        start, end = match.span("answer")
        full_stop = re.search(r"\w{3}(?=\. )", match["answer"])  # a name that runs into the next sentence
        if full_stop is not None:
            end = start + full_stop.end()
        if not 1 < end - start <= _LONGEST_FACT or re.search(r"\b[A-Z]$", text[start:end]):  # an initial: it goes on
            continue
        verb = match["verb"] if "verb" in regex.groupindex else ""
        past = word_lists("facts")["past"].get(verb, verb)
        templates = (
            tuple(form.replace("VERB", verb).replace("PAST", past) for form in forms)
            for forms in (questions, descriptions)
        )
        yield Fact(start, end, *templates)


# -- synthetic questions -----------------------------------------------------------------------------------------


def _synthetic(
    document: HybridDocument, articles: Mapping[str, ContextRow], chooser: random.Random
) -> Iterator[TableQuestion]:
    rows = _rows(document)
    entries = list(_entries(rows, document, articles))
    facts_of = {entry.article.id: _facts(entry.article) for entry in entries}
    answers = [articles[key].text[fact.start : fact.end] for key, some in facts_of.items() for fact in some]
    for entry in entries:
        some, name = facts_of[entry.article.id], _name(entry.article.title)
        row, text = rows[entry.row], entry.article.text
        for fact in chooser.sample(some, min(_FROM_ARTICLE, len(some))):
            described, answer = _by_row(rows, entry, chooser), text[fact.start : fact.end]
            if described is not None and answer.lower() not in described.lower():
                form = chooser.choice(fact.questions)
                question, plain = (form.replace("{}", thing) for thing in (described, name))
                place, evidence = Place(entry.article.id, fact.start, fact.end), Place(None, row.start, row.end)
                yield TableQuestion(document.id, question, plain, place, answer, evidence)
        unique = [fact for fact in some if fact.descriptions and answers.count(text[fact.start : fact.end]) == 1]
        for fact in chooser.sample(unique, min(_FROM_TABLE, len(unique))):
            cell = _cell(row, entry, text[fact.start : fact.end], chooser)
            if cell is not None:
                column, answer, place = cell
                described = chooser.choice(fact.descriptions).replace("{}", text[fact.start : fact.end])
                form = chooser.choice(_TABLE_WORDS["cell_questions"]).replace("COLUMN", column.lower())
                described = f"{_kind(entry.column, chooser)} {described}"
                question, plain = (form.replace("{}", thing) for thing in (described, name))
                evidence = Place(entry.article.id, *sentence_span(text, fact.start, fact.end))
                yield TableQuestion(document.id, question, plain, place, answer, evidence)


def _facts(article: ContextRow) -> list[Fact]:
    """The facts of an article that its title does not hold."""
    name = article.title.lower()
    return [fact for fact in facts(article.text) if article.text[fact.start : fact.end].lower() not in name]


def _kind(column: str, chooser: random.Random) -> str:
    """The kind of thing in a column: ``the pitcher``."""
    noun = re.sub(r"\s*\(.*?\)|[*#†]", "", column).strip().lower()
    if not noun or noun in _GENERIC_COLUMNS or not noun[0].isalpha():
        return str(chooser.choice(_TABLE_WORDS["generic"]))
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
    if _PLACE_COLUMN.search(key):
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


def _cell(row: _Row, entry: _Entry, fact: str, chooser: random.Random) -> tuple[str, str, Place] | None:
    """A column of the row to ask for, its cell, and where that stands."""
    usable = [
        (column, cell, Place(None, at, at + len(cell)))
        for column, (at, cell) in row.cells.items()
        if column != entry.column and 0 < len(cell) <= _LONGEST_CELL and fact.lower() not in cell.lower()
    ]
    return chooser.choice(usable) if usable else None
