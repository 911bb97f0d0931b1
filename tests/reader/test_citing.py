"""Citations quote the store byte for byte and point at the answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragyena.errors import IndexCorruptError
from ragyena.reader.citing import cite, closest, with_whole_code
from ragyena.reader.reader import Reading
from ragyena.types import AnswerKind, Block, Context, PackingLog, Passage, ScoredPassage, Span

TEXT = (
    "The old bridge fell in 1911.\n\n"
    "The new bridge was built in 1932 by Ada Stone. It has three arches.\n"
    "A plaque says so: built in 1932.\n\n"
    "Nobody knows what happened to the plans."
)


class Shelf:
    """Documents by id, each with the offsets at which its pages start."""

    def __init__(
        self, texts: dict[int, str], page_starts: tuple[int, ...] = (), blocks: tuple[Block, ...] = ()
    ) -> None:
        self.texts, self.page_starts, self.blocks = texts, page_starts, blocks

    def read(self, document_id: int, start: int, end: int) -> str:
        return self.texts[document_id][start:end]

    def page_at(self, document_id: int, offset: int) -> int | None:
        return sum(start <= offset for start in self.page_starts) or None

    def block_at(self, document_id: int, offset: int) -> Block | None:
        return next((block for block in self.blocks if block.start <= offset < block.end), None)


def passage(text: str, start: int, end: int, *, id: int = 0, page: int | None = None) -> Passage:
    return Passage(
        text=text[start:end],
        start=start,
        end=end,
        line_start=text.count("\n", 0, start) + 1,
        line_end=text.count("\n", 0, end) + 1,
        page=page,
        title="Bridges",
        heading_path=(),
        source="/docs/bridges.md",
        passage_id=id,
        document_id=1,
    )


def span(text: str, answer: str, *, slot: int = 0, after: int = 0, score: float = 0.9) -> Span:
    start = text.index(answer, after)
    return Span(slot, 0, 1, start, start + len(answer), answer, score)


def context(*passages: Passage) -> Context:
    empty = np.zeros((len(passages), 1), dtype=np.int32)
    mask = np.ones((len(passages), 1), dtype=np.bool_)
    log = PackingLog((), 8192, 1, 1, 1, 1)
    scored = tuple(ScoredPassage(p, 1.0) for p in passages)
    return Context("When?", np.zeros(1, dtype=np.int32), scored, empty, mask, mask, empty, empty, log)


def reading(text: str, *spans: Span, kind: AnswerKind = "extracted", withheld: str = "") -> Reading:
    return Reading(kind, text, 0.9, 0.1, spans, np.zeros(1, dtype=np.float32), withheld=withheld)


def test_a_citation_quotes_the_sentence_and_marks_the_answer() -> None:
    whole = context(passage(TEXT, 0, len(TEXT)))
    (citation,) = cite(reading("Ada Stone", span(TEXT, "Ada Stone")), whole, Shelf({1: TEXT}), limit=3)
    assert citation.quote == "The new bridge was built in 1932 by Ada Stone."
    assert TEXT[citation.start : citation.end] == citation.quote
    assert citation.quote[citation.answer_start : citation.answer_end] == "Ada Stone"
    assert (citation.line_start, citation.line_end, citation.page) == (3, 3, None)


def test_the_quote_may_begin_before_its_passage() -> None:
    start = TEXT.index("in 1932")
    cut = context(passage(TEXT, start, start + 30))
    (citation,) = cite(reading("1932", span(TEXT, "1932")), cut, Shelf({1: TEXT}), limit=3)
    assert citation.quote.startswith("The new bridge was built")
    assert (citation.start, citation.line_start) == (TEXT.index("The new"), 3)


def test_the_same_words_elsewhere_are_further_evidence_and_other_words_are_not() -> None:
    whole = context(passage(TEXT, 0, len(TEXT)))
    second = span(TEXT, "1932", after=TEXT.index("plaque"), score=0.05)
    read = reading("1932", span(TEXT, "1932"), span(TEXT, "1911", score=0.06), second)
    quotes = [citation.quote for citation in cite(read, whole, Shelf({1: TEXT}), limit=3)]
    assert quotes == ["The new bridge was built in 1932 by Ada Stone.", "A plaque says so: built in 1932."]


def test_the_same_words_where_they_hardly_are_the_answer_are_not_cited() -> None:
    whole = context(passage(TEXT, 0, len(TEXT)))
    second = span(TEXT, "1932", after=TEXT.index("plaque"), score=0.002)
    (citation,) = cite(reading("1932", span(TEXT, "1932"), second), whole, Shelf({1: TEXT}), limit=3)
    assert citation.quote == "The new bridge was built in 1932 by Ada Stone."


def test_a_sentence_is_cited_once_and_the_limit_holds() -> None:
    whole = context(passage(TEXT, 0, len(TEXT)))
    again = span(TEXT, "1932", score=0.2)
    later = span(TEXT, "1932", after=TEXT.index("plaque"), score=0.05)
    read = reading("1932", span(TEXT, "1932"), again, later)
    assert len(cite(read, whole, Shelf({1: TEXT}), limit=3)) == 2
    assert len(cite(read, whole, Shelf({1: TEXT}), limit=1)) == 1


def test_a_written_answer_cites_sentences_without_a_mark() -> None:
    whole = context(passage(TEXT, 0, len(TEXT)))
    (citation,) = cite(reading("by then", span(TEXT, "1932"), kind="written"), whole, Shelf({1: TEXT}), limit=3)
    assert citation.answer_start is None and citation.answer_end is None
    assert "1932" in citation.quote


def test_what_decides_is_cited_and_what_hardly_counts_is_not() -> None:
    whole = context(passage(TEXT, 0, len(TEXT)))
    faint = span(TEXT, "Nobody", score=0.001)
    read = reading("no", span(TEXT, "1932"), span(TEXT, "plaque", score=0.1), faint, kind="no")
    quotes = [citation.quote for citation in cite(read, whole, Shelf({1: TEXT}), limit=3)]
    assert quotes == ["The new bridge was built in 1932 by Ada Stone.", "A plaque says so: built in 1932."]


def test_a_heading_decides_nothing() -> None:
    text = "# Subletting\n\nThe tenant may not sublet. Nobody may."
    under = replace(passage(text, 0, len(text)), heading_path=("Subletting",))
    heading = span(text, "Subletting", score=0.5)
    read = reading("no", span(text, "tenant"), heading, span(text, "Nobody", score=0.4), kind="no")
    quotes = [citation.quote for citation in cite(read, context(under), Shelf({1: text}), limit=3)]
    assert quotes == ["The tenant may not sublet.", "Nobody may."]
    (only,) = cite(reading("no", heading, kind="no"), context(under), Shelf({1: text}), limit=3)
    assert only.quote == "# Subletting"


def test_what_is_withheld_has_no_evidence_but_a_candidate_with_its_place() -> None:
    whole = context(passage(TEXT, 0, len(TEXT)))
    best, faint = span(TEXT, "1932", score=0.001), span(TEXT, "1932", score=1e-9)
    candidate = closest(reading("", best, kind="withheld", withheld="1932"), whole, Shelf({1: TEXT}))
    assert candidate is not None and (candidate.text, candidate.probability) == ("1932", 0.9)
    assert candidate.citation.quote == "The new bridge was built in 1932 by Ada Stone."
    assert candidate.citation.answer_start is not None
    decided = closest(reading("", best, kind="withheld", withheld="no"), whole, Shelf({1: TEXT}))
    assert decided is not None and (decided.text, decided.citation.answer_start) == ("no", None)
    for nothing in (
        reading("", best, kind="withheld"),
        reading("", faint, kind="withheld", withheld="1932"),
        reading("1932", best),
    ):
        assert closest(nothing, whole, Shelf({1: TEXT})) is None
    assert cite(reading("", span(TEXT, "1932"), kind="withheld"), whole, Shelf({1: TEXT}), limit=3) == ()


ROWS = "Pumps\n\nName: small pump; Weight (kg): 3.9; Use: wells; ponds\nName: large pump; Weight (kg): 12.5\n\nEnd."


def test_a_cell_is_cited_with_its_whole_row_and_its_column() -> None:
    table = Block(ROWS.index("Name"), ROWS.index("\n\nEnd"), "table", ("Name", "Weight (kg)", "Use"))
    shelf = Shelf({1: ROWS}, blocks=(table,))
    whole = context(passage(ROWS, 0, len(ROWS)))
    (citation,) = cite(reading("3.9", span(ROWS, "3.9")), whole, shelf, limit=3)
    assert citation.quote == "Name: small pump; Weight (kg): 3.9; Use: wells; ponds"
    assert (citation.row, citation.column, citation.kind) == ("Name: small pump", "Weight (kg)", "table")
    assert citation.table_header == table.header
    assert citation.quote[citation.answer_start : citation.answer_end] == "3.9"
    (prose,) = cite(reading("End", span(ROWS, "End")), whole, shelf, limit=3)
    assert (prose.row, prose.column, prose.kind, prose.table_header) == (None, None, "prose", ())


def test_a_comparison_is_cited_with_both_rows() -> None:
    table = Block(ROWS.index("Name"), ROWS.index("\n\nEnd"), "table", ("Name", "Weight (kg)", "Use"))
    question = replace(context(passage(ROWS, 0, len(ROWS))), question="Which weighs less, the small or the large pump?")
    read, shelf = reading("small pump", span(ROWS, "small pump")), Shelf({1: ROWS}, blocks=(table,))
    first, second = cite(read, question, shelf, limit=3)
    assert (first.row, first.column) == ("Name: small pump", "Name")
    assert (second.row, second.column, second.quote) == (
        "Name: large pump",
        None,
        "Name: large pump; Weight (kg): 12.5",
    )
    assert second.answer_start is None
    assert len(cite(read, question, shelf, limit=1)) == 1


def test_an_answer_in_code_is_not_cut_and_one_in_prose_stays() -> None:
    text = "Use pump.start here.\n\n    queue retain telemetry.raw --keep 2h\n\nDone."
    code = Block(text.index("    queue"), text.index("\n\nDone"), "code")
    whole, shelf = context(passage(text, 0, len(text))), Shelf({1: text}, blocks=(code,))
    grown = with_whole_code(reading("raw --keep 2h", span(text, "raw --keep 2h")), whole, shelf)
    assert grown.text == grown.spans[0].text == "queue retain telemetry.raw --keep 2h"
    assert text[grown.spans[0].start : grown.spans[0].end] == grown.text
    for kept in (reading("start", span(text, "start")), reading("yes", span(text, "raw"), kind="yes")):
        same = with_whole_code(kept, whole, shelf)
        assert (same.text, same.spans) == (kept.text, kept.spans)
    withheld = with_whole_code(
        reading("", span(text, "raw --keep 2h"), kind="withheld", withheld="raw --keep 2h"), whole, shelf
    )
    assert withheld.withheld == withheld.spans[0].text
    assert (withheld.text, withheld.spans[0].text) == ("", "queue retain telemetry.raw --keep 2h")


def test_code_is_cited_by_its_lines() -> None:
    text = "Install it.\n\n    # a comment. Then this\n    pip install --no-deps ragyena\n\nDone."
    code = Block(text.index("    #"), text.index("\n\nDone"), "code")
    shelf = Shelf({1: text}, blocks=(code,))
    (citation,) = cite(
        reading("--no-deps", span(text, "--no-deps")), context(passage(text, 0, len(text))), shelf, limit=1
    )
    assert citation.quote == "pip install --no-deps ragyena"


def test_the_page_is_that_of_the_answer_not_of_the_passage() -> None:
    whole = context(passage(TEXT, 0, len(TEXT), page=1))
    shelf = Shelf({1: TEXT}, page_starts=(0, TEXT.index("A plaque")))
    late = span(TEXT, "plaque")
    assert cite(reading("plaque", late), whole, shelf, limit=1)[0].page == 2


def test_a_store_that_changed_is_an_error_and_not_a_citation() -> None:
    whole = context(passage(TEXT, 0, len(TEXT)))
    with pytest.raises(IndexCorruptError, match=r"bridges\.md"):
        cite(reading("1932", span(TEXT, "1932")), whole, Shelf({1: TEXT.replace("1932", "1933")}), limit=1)


@given(st.text(alphabet="ab .\n\U0001f600é", min_size=1, max_size=400), st.data())
def test_every_quote_is_the_stored_text(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    first = data.draw(st.integers(0, start))
    last = data.draw(st.integers(end, len(text)))
    evidence = Span(0, 0, 1, start, end, text[start:end], 0.5)
    (citation,) = cite(reading(evidence.text, evidence), context(passage(text, first, last)), Shelf({1: text}), limit=1)
    assert citation.quote == text[citation.start : citation.end]
    assert citation.start <= start and end <= citation.end
    assert citation.quote[citation.answer_start : citation.answer_end] == evidence.text
    assert citation.line_start == text.count("\n", 0, citation.start) + 1
    assert citation.line_end == text.count("\n", 0, citation.end) + 1
