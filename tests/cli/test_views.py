"""The printed answer: on a terminal with colour, in a pipe, in a narrow window."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from ragyena.cli.views import answer_view, evidence_view, packing_view
from ragyena.schemas import AnswerJson, answer_json
from ragyena.types import (
    Answer,
    AnswerKind,
    Citation,
    Closest,
    Evidence,
    EvidencePiece,
    PackingLog,
    PackingLogEntry,
    Passage,
    ScoredPassage,
)

QUOTE = "The new bridge was built in 1932\nby Ada Stone."


def passage(page: int | None = None) -> ScoredPassage:
    return ScoredPassage(
        Passage(QUOTE, 30, 30 + len(QUOTE), 3, 4, page, "Bridges", ("History",), "/docs/bridges.md", 7, 1), 0.03
    )


def answer(kind: AnswerKind = "extracted", *, page: int | None = None) -> Answer:
    at = QUOTE.index("1932") if kind == "extracted" else None
    citation = Citation(
        7, 1, "/docs/bridges.md", "Bridges", page, 3, 4, 30, 30 + len(QUOTE), QUOTE, at, at + 4 if at else None, 0.8
    )
    entries = (
        PackingLogEntry(7, "/docs/bridges.md", 0.03, "packed", 0, 20),
        PackingLogEntry(9, "/docs/copy.md", 0.02, "duplicate", None, 20, "same text as passage 7"),
    )
    return Answer(
        question="When?",
        text="" if kind == "withheld" else "1932",
        kind=kind,
        confidence=0.81,
        no_answer_probability=0.1,
        citations=() if kind == "withheld" else (citation,),
        passages=(passage(page),),
        timings={"retrieve": 0.012, "pack": 0.003, "read": 1.25, "total": 1.3},
        log=PackingLog(entries, 8192, 10, 240, 250, 30),
    )


def shown(view_of: Answer, *, width: int = 80, colour: bool = False) -> str:
    out = io.StringIO()
    console = Console(
        file=out,
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        highlight=False,
        markup=False,
    )
    console.print(answer_view(view_of, console))
    return out.getvalue()


def test_the_answer_comes_first_then_confidence_then_evidence_then_time() -> None:
    lines = [line.strip() for line in shown(answer()).splitlines() if line.strip()]
    assert lines == [
        "1932",
        "81% confident",
        "1  /docs/bridges.md, lines 3-4",
        '"The new bridge was built in **1932** by Ada Stone."',
        "retrieve 12 ms, pack 3 ms, read 1.2 s; 1 passage, 250 of 8,192 tokens",
    ]


def test_with_colour_the_answer_is_bold_in_the_quote_and_has_no_asterisks() -> None:
    text = shown(answer(), colour=True)
    assert "**" not in text
    assert "\x1b[1;32m1932\x1b[0m" in text.split("built in ")[1]


def test_a_page_is_named_where_there_is_one() -> None:
    assert "/docs/bridges.md, page 12" in shown(answer(page=12))


def test_what_is_withheld_is_worded_as_doubt_with_the_closest_candidate() -> None:
    withheld = answer("withheld")
    (citation,) = answer().citations
    near = replace(withheld, closest=Closest("1932", 0.12, citation))
    lines = [line.strip() for line in shown(near).splitlines() if line.strip()]
    assert lines[:-1] == [
        "Not found in what was read",
        "81% likely that the answer is not in it",
        "closest: 1932  12% likely to be the answer",
        "/docs/bridges.md, lines 3-4",
        '"The new bridge was built in **1932** by Ada Stone."',
    ]
    text = shown(withheld)
    assert "nothing in it comes close" in text and "bridges.md" not in text
    assert "nothing in the index matches" in shown(replace(withheld, passages=()))


def test_an_answer_that_is_likely_there_is_not_said_to_be_missing() -> None:
    (citation,) = answer().citations
    text = shown(replace(answer("withheld"), confidence=0.29, closest=Closest("1932", 0.15, citation)))
    assert "Not certain enough to answer" in text and "Not found" not in text
    text = shown(replace(answer("withheld"), confidence=0.01, closest=Closest("1932", 0.94, citation)))
    assert "Not certain enough to answer" in text and "Not found" not in text
    assert "1% likely that the answer is not in what was read" in text
    assert "closest: 1932  94% likely to be the answer" in text


def test_a_cell_stands_beside_its_column_and_in_its_row() -> None:
    row = "Name: small pump; Weight (kg): 3.9"
    (citation,) = answer().citations
    cell = replace(
        citation, quote=row, answer_start=31, answer_end=34, row="Name: small pump", column="Weight (kg)", kind="table"
    )
    text = shown(replace(answer(), text="3.9", citations=(cell,)))
    assert 'Weight (kg): 3.9 - row "Name: small pump; Weight (kg): **3.9**"' in text
    values = answer_json(replace(answer(), citations=(cell,))).citations[0]
    assert (values.row, values.column) == ("Name: small pump", "Weight (kg)")


def test_a_written_answer_says_so() -> None:
    text = shown(answer("written"))
    assert "written from the passages below" in text
    assert "**" not in text


@pytest.mark.parametrize("width", [20, 40, 200])
def test_nothing_is_wider_than_the_terminal(width: int) -> None:
    assert all(len(line) <= width for line in shown(answer(), width=width).splitlines())


def test_the_packing_log_accounts_for_every_candidate_and_token() -> None:
    out = io.StringIO()
    log = answer().log
    assert log is not None
    Console(file=out, width=120).print(packing_view(log))
    text = out.getvalue()
    assert "duplicate" in text and "same text as passage 7" in text
    assert "used 250, of which 220 padding; free 7,942" in " ".join(text.split())


def test_json_has_every_field_of_the_schema_and_reads_back() -> None:
    printed = answer_json(answer(), id="q1", explain=True)
    values = printed.model_dump(by_alias=True)
    assert values["schema"] == "ragyena.answer/2"
    assert AnswerJson.model_validate(values) == printed
    assert values["packing"]["entries"][1]["outcome"] == "duplicate"
    assert answer_json(answer()).packing is None
    withheld = answer_json(replace(answer("withheld"), closest=Closest("1932", 0.12, answer().citations[0])))
    assert withheld.answer is None and withheld.closest is not None
    assert (withheld.closest.text, withheld.closest.citation.document) == ("1932", "/docs/bridges.md")
    assert AnswerJson.model_validate(withheld.model_dump(by_alias=True)) == withheld


def test_evidence_is_shown_whole_with_its_place() -> None:
    piece = EvidencePiece(passage().passage, 0.934, 17)
    log = PackingLog((), 8192, 10, 240, 8000, 30)
    evidence = Evidence("When?", (piece,), {"retrieve": 0.012, "read": 1.25, "total": 1.3}, log)
    out = io.StringIO()
    Console(file=out, width=80).print(evidence_view(evidence))
    lines = [line.strip() for line in out.getvalue().splitlines() if line.strip()]
    assert lines[0] == "1  /docs/bridges.md, lines 3-4  93%, 17 tokens"
    assert lines[1:4] == ["Bridges > History", *QUOTE.splitlines()]
    assert lines[4] == "retrieve 12 ms, read 1.2 s; 1 piece, 17 tokens of 8,000 read"


@pytest.mark.parametrize(("slot_tokens", "reason"), [(240, "no sentence is short enough"), (0, "nothing in the index")])
def test_no_evidence_has_a_reason(slot_tokens: int, reason: str) -> None:
    out = io.StringIO()
    log = PackingLog((), 8192, 10, slot_tokens, 10, 10)
    Console(file=out, width=80).print(evidence_view(Evidence("When?", (), {}, log)))
    assert out.getvalue().startswith(reason)
