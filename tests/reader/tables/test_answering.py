"""Readings answered by the rows of the whole table, of which a part was read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from ragyena.documents.tables import read_table
from ragyena.model.confidence import Withholding
from ragyena.reader.answering import make_answer
from ragyena.reader.reader import Reading
from ragyena.reader.tables.answering import CONFIDENCE, with_row_answer
from ragyena.types import Block, Context, Document, PackingLog, Passage, ScoredPassage, Span

NAMES = ["Pump", "Flow", "Price"]
ROWS = [[f"P{n} pump", str(100 + 7 * n), f"${900 - 11 * n}"] for n in range(40)]
ROWS[31][2] = "$12"
MOST = 100_000


def document(source: str = "/prices.csv", title: str = "Prices 2024", rows: Sequence[Sequence[str]] = ROWS) -> Document:
    lines = [line for lines in read_table([NAMES, *rows], 1).lines() for line in lines]
    text = "\n".join(lines)
    return Document(source, text, title, blocks=(Block(0, len(text), "table", tuple(NAMES)),))


def passages(of: Document, document_id: int = 1, rows: int = 10) -> list[Passage]:
    """Passages of ``rows`` rows each."""
    made, start = [], 0
    lines = of.text.split("\n")
    for first in range(0, len(lines), rows):
        text = "\n".join(lines[first : first + rows])
        place = {"start": start, "end": start + len(text), "line_start": first + 1, "line_end": first + rows}
        made.append(
            Passage(
                text, **place, page=None, title=of.title, heading_path=(), source=of.source,
                passage_id=10 * document_id + first, document_id=document_id, kind="table", table_header=tuple(NAMES),
            )
        )  # fmt: skip
        start += len(text) + 1
    return made


class Library:
    """Documents with their passages, as an index has them."""

    def __init__(self, *documents: Document) -> None:
        self.documents = dict(enumerate(documents, 1))

    def whole(self, passage: Passage) -> Document | None:
        return self.documents.get(passage.document_id)

    def passage_at(self, passage: Passage, offset: int) -> Passage | None:
        held = passages(self.documents[passage.document_id], passage.document_id)
        return next((p for p in held if p.start <= offset < p.end), None)

    def read(self, document_id: int, start: int, end: int) -> str:
        return self.documents[document_id].text[start:end]

    def page_at(self, document_id: int, offset: int) -> int | None:
        return None

    def block_at(self, document_id: int, offset: int) -> Block | None:
        return self.documents[document_id].blocks[0]


def context(question: str, *packed: Passage) -> Context:
    none = np.zeros((len(packed), 1), np.int32)
    scored = tuple(ScoredPassage(passage, 1.0 - slot / 100) for slot, passage in enumerate(packed))
    log = PackingLog((), 0, 0, 0, 0, 0)
    return Context(question, none[0], scored, none, none > 0, none > 0, none, none, log)


def reading(passage: Passage, answer: str = "P3 pump") -> Reading:
    start = passage.start + passage.text.index(answer)
    span = Span(0, 0, 1, start, start + len(answer), answer, 0.4)
    return Reading("extracted", answer, 0.5, 0.3, (span,), np.zeros(1, np.float32))


def answered(question: str, library: Library, *packed: Passage, threshold: float = 0.0, most: int = MOST) -> Reading:
    given = reading(packed[0])
    return with_row_answer(
        given, context(question, *packed), library, most_chars=most, withholding=Withholding(threshold)
    )


def test_all_rows_count_where_one_passage_was_packed() -> None:
    library = Library(document())
    first, *_ = passages(library.documents[1])
    found = answered("Which pump is the cheapest?", library, first)
    assert (found.kind, found.text, found.confidence) == ("extracted", "P31 pump", CONFIDENCE["most"])
    assert found.computed == "lowest Price of 40 rows"


def test_the_answer_cites_its_row_and_the_next_best_where_they_stand() -> None:
    library = Library(document())
    first, *_ = passages(library.documents[1])
    question = "Which pump is the cheapest?"
    answer = make_answer(context(question, first), answered(question, library, first), library, limit=3)
    assert [citation.quote for citation in answer.citations] == [
        "Pump: P31 pump; Flow: 317; Price: $12",
        "Pump: P39 pump; Flow: 373; Price: $471",
    ]
    cited = answer.citations[0]
    assert cited.quote[cited.answer_start : cited.answer_end] == answer.text == "P31 pump"
    assert (cited.line_start, cited.column, cited.passage_id) == (32, "Pump", 40)
    assert answer.computed and answer.alternatives[0].text == "P3 pump"


@pytest.mark.parametrize("mark", ["[37]", "[a]", " [note 2][3]", "[citation needed]"])
def test_a_footnote_mark_is_no_part_of_the_answer(mark: str) -> None:
    library = Library(document(rows=[[name + mark * (name == "P31 pump"), *rest] for name, *rest in ROWS]))
    first, *_ = passages(library.documents[1])
    found = answered("Which pump is the cheapest?", library, first)
    assert found.text == "P31 pump"
    assert library.read(1, found.spans[0].start, found.spans[0].end) == "P31 pump"


def test_what_no_rows_decide_stays_as_it_was_read() -> None:
    library = Library(document())
    first, *_ = passages(library.documents[1])
    for question in ("What does the P3 pump cost?", "Which pump is the loudest?"):
        found = answered(question, library, first)
        assert (found.text, found.computed) == ("P3 pump", "")


def test_nothing_is_computed_over_the_limit_or_without_the_document() -> None:
    library = Library(document())
    first, *_ = passages(library.documents[1])
    question = "Which pump is the cheapest?"
    assert not answered(question, library, first, most=100).computed
    assert not answered(question, library, first, most=0).computed
    assert not answered(question, Library(), first).computed


def test_an_answer_under_the_threshold_is_withheld_with_its_place() -> None:
    library = Library(document())
    first, *_ = passages(library.documents[1])
    question = "Which pump is the cheapest?"
    found = answered(question, library, first, threshold=0.99)
    assert (found.kind, found.text, found.withheld) == ("withheld", "", "P31 pump")
    closest = make_answer(context(question, first), found, library, limit=3).closest
    assert closest is not None and closest.citation.quote.startswith("Pump: P31 pump")


@pytest.mark.parametrize(
    ("question", "right"), [("Which pump is the cheapest?", ""), ("Which pump is the cheapest in 2024?", "P31 pump")]
)
def test_of_two_tables_alike_the_question_names_one_or_none_is_taken(question: str, right: str) -> None:
    library = Library(document(), document("/old.csv", "Prices 2023"))
    first, *_ = passages(library.documents[1])
    other, *_ = passages(library.documents[2], 2)
    found = answered(question, library, first, other)
    assert (found.text if found.computed else "") == right


def test_a_reader_that_points_at_prose_is_left_alone() -> None:
    library = Library(document())
    first, *_ = passages(library.documents[1])
    prose = replace(first, kind="prose", table_header=())
    assert not answered("Which pump is the cheapest?", library, prose).computed
