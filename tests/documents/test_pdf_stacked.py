"""Tables of reports in PDF files that stand below each other, with a heading, a note or nothing between."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from ragyena.config import IndexConfig
from ragyena.documents.reading import read
from ragyena.types import Document

Cells = Sequence[str]
RIGHTS = (280, 350, 420, 490)
"""Right borders of the columns of figures."""
RECORD = [("", "2024", "2023", "2022"), ("Revenue", "184,310", "178,764", "169,025")]
RECORD += [("Headcount", "1,146", "1,203", "1,188")]
RECORD_LINES = [
    "Revenue; 2024: 184,310; 2023: 178,764; 2022: 169,025",
    "Headcount; 2024: 1,146; 2023: 1,203; 2022: 1,188",
]


def read_rows(folder: Path, rows: Sequence[tuple[float, Cells]], *, bold: Sequence[float] = ()) -> list[str]:
    """The lines read of rows at distances from the top: a label at the left, figures and names at the right borders.

    Those at the distances ``bold`` are set in bold.
    """
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(folder / "a.pdf"), pagesize=(612, 792), invariant=True)
    canvas.drawString(72, 742, "The figures below are those of the group as its auditors have confirmed them in March.")
    for y, cells in rows:
        canvas.setFont("Helvetica-Bold" if y in bold else "Helvetica", 10)
        canvas.drawString(72, 722 - y, cells[0])
        for right, text in zip(RIGHTS, cells[1:], strict=False):
            canvas.drawRightString(right, 722 - y, text)
    canvas.save()
    (document,) = read(folder / "a.pdf", IndexConfig(ocr="off"))
    assert isinstance(document, Document)
    return [line for line in document.text.split("\n") if line][1:]


def spaced(rows: Sequence[Cells], top: float = 0, pitch: float = 15) -> list[tuple[float, Cells]]:
    return [(top + n * pitch, cells) for n, cells in enumerate(rows)]


INCOME = [("", "Note", "2024", "2023"), ("Revenue", "3", "184,310", "178,764")]
INCOME += [("Cost of sales", "", "(118,642)", "(117,905)"), ("Gross profit", "", "65,668", "60,859")]
INCOME_LINES = [
    "Revenue; Note: 3; 2024: 184,310; 2023: 178,764",
    "Cost of sales; 2024: (118,642); 2023: (117,905)",
    "Gross profit; 2024: 65,668; 2023: 60,859",
]


BETWEEN: dict[str, list[str]] = {
    "nothing": [],
    "a heading": ["Income statement"],
    "a note and a heading": ["1) Average of the year", "Income statement"],
    "a note below some of the columns": ["1) Average of the twelve month ends, without workers of agencies."],
}


@pytest.mark.parametrize("corner", ["", "EUR m"])
@pytest.mark.parametrize("between", BETWEEN.values(), ids=BETWEEN)
def test_a_table_below_another_has_its_own_years(tmp_path: Path, between: list[str], corner: str) -> None:
    names, *records = INCOME
    rows = spaced([*RECORD, *((line,) for line in between), (corner, *names[1:]), *records])
    above, below = read_rows(tmp_path, rows), INCOME_LINES
    assert above[:2] == RECORD_LINES
    if corner:
        below = [f"{corner}: {line}" for line in below]
    elif between[-1:] == ["Income statement"]:  # set like the labels below it, it may be their name
        below = [f"Income statement: {line}" for line in below]
    assert above[-3:] == below


SEGMENTS = [("Segment", "Revenue", "Profit", "Staff"), ("Pumps", "61,044", "8,120", "402")]
SEGMENTS += [("Valves", "44,266", "5,031", "377")]


@pytest.mark.parametrize(("gap", "bold"), [(0, (45, 60)), (15, ())], ids=["bold", "farther below"])
def test_a_table_below_another_has_its_own_names(tmp_path: Path, gap: float, bold: Sequence[float]) -> None:
    rows = [*spaced(RECORD), *spaced([("Segments",), *SEGMENTS], 45 + gap)]
    lines = read_rows(tmp_path, rows, bold=bold)
    assert lines[:3] == [*RECORD_LINES, "Segments"]
    assert lines[3:] == [
        "Segment: Pumps; Revenue: 61,044; Profit: 8,120; Staff: 402",
        "Segment: Valves; Revenue: 44,266; Profit: 5,031; Staff: 377",
    ]


def test_a_table_directly_below_one_with_the_same_columns_keeps_its_own_years(tmp_path: Path) -> None:
    older = [("", "2021", "2020", "2019"), ("Revenue", "151,880", "160,447", "158,012")]
    lines = read_rows(tmp_path, spaced([*RECORD, *older, ("Headcount", "1,097", "1,240", "1,251")]))
    assert lines == [
        *RECORD_LINES,
        "Revenue; 2021: 151,880; 2020: 160,447; 2019: 158,012",
        "Headcount; 2021: 1,097; 2020: 1,240; 2019: 1,251",
    ]


@pytest.mark.parametrize(
    "row",
    [
        ("Bonds due in", "2027", "2031", "2034"),
        ("Auditor", "Holm", "Holm", "Lund"),
        ("Founded", "1998", "2003", "2011"),
        ("Outlook", "n/a", "n/a", "n/a"),
    ],
    ids=lambda row: row[0],
)
def test_a_row_of_years_or_words_with_a_label_is_data(tmp_path: Path, row: Cells) -> None:
    lines = read_rows(tmp_path, spaced([*RECORD, row, ("Dividend", "1.20", "1.10", "1.00")]))
    assert lines == [
        *RECORD_LINES,
        f"{row[0]}; 2024: {row[1]}; 2023: {row[2]}; 2022: {row[3]}",
        "Dividend; 2024: 1.20; 2023: 1.10; 2022: 1.00",
    ]


def test_groups_of_rows_stay_in_their_table(tmp_path: Path) -> None:
    rows = [RECORD[0], ("Assets",), ("Cash", "12", "11", "9"), ("Stock", "31", "30", "28")]
    rows += [("Liabilities",), ("Loans", "20", "22", "23"), ("Leases", "4", "5", "6")]
    assert read_rows(tmp_path, spaced(rows))[1:] == [
        "Assets > Cash; 2024: 12; 2023: 11; 2022: 9",
        "Assets > Stock; 2024: 31; 2023: 30; 2022: 28",
        "Liabilities",
        "Liabilities > Loans; 2024: 20; 2023: 22; 2022: 23",
        "Liabilities > Leases; 2024: 4; 2023: 5; 2022: 6",
    ]
