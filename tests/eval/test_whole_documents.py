"""Whole documents put together from the passages of an evaluation."""

from __future__ import annotations

from dataclasses import replace

from ragyena.documents.whole_tables import whole_table
from ragyena.eval.contexts import Frozen, Kind
from ragyena.eval.whole_documents import OwnContexts
from ragyena.types import Passage

HEADER = ("Pump", "Price")
TEXT = (
    "Prices of the year\n\nPump: Amber; Price: 3\nPump: Basalt; Price: 2\n\nPump: Cobalt; Price: 9\n\nEnd of the list."
)


def passage(start: int, end: int, *, is_table: bool) -> Passage:
    text = TEXT[start:end].strip()
    start = TEXT.index(text, start)
    kind, header = ("table", HEADER) if is_table else ("prose", ())
    return Passage(
        text, start, start + len(text), 1, 1, None, "Pumps", (), "own",
        passage_id=start, kind=kind, table_header=header,
    )  # fmt: skip


def frozen(kind: Kind, *passages: Passage) -> Frozen:
    return Frozen(kind, {}, (), (), passages, {"own": tuple(range(len(passages)))}, {})


def test_a_table_has_the_rows_that_stand_in_a_passage_of_prose() -> None:
    cut = TEXT.index("Pump: Basalt")
    first, second = passage(0, cut, is_table=False), passage(cut, len(TEXT), is_table=True)
    document = OwnContexts(frozen("own", first, second)).whole(second)
    assert document is not None and document.text[second.start : second.end] == second.text
    table = whole_table(document, second.start, 1000)
    assert table is not None
    assert [row.cells[0].text for row in table.rows.rows] == ["Amber", "Basalt", "Cobalt"]


def test_what_was_searched_for_and_foreign_passages_are_not_known_whole() -> None:
    own = passage(0, len(TEXT), is_table=True)
    assert OwnContexts(frozen("search", own)).whole(own) is None
    assert OwnContexts(frozen("own", own)).whole(replace(own, source="other")) is None
