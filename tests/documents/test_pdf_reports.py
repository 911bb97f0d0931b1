"""Tables of reports in PDF files: two below each other, names of columns and labels of rows on several lines."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from random_tables import LABELS, SERIES, Cell, Sheet, put_rows, share_read

from ragyena.config import IndexConfig
from ragyena.documents.pdf.elements import Page, Run
from ragyena.documents.pdf.layout import lay_out
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


def test_a_table_below_another_has_more_columns_than_it(tmp_path: Path) -> None:
    assets = [("EUR m", "30 June 2025", "30 June 2024"), ("Goodwill", "1,204", "1,102"), ("Cash", "88", "91")]
    sales = [("EUR m", "Q2 2025", "Q2 2024", "H1 2025", "H1 2024"), ("Net sales", "612", "547", "1,249", "1,188")]
    assert read_rows(
        tmp_path, spaced([*assets, ("Income statement",), *sales, ("EBITA", "121", "94", "246", "206")])
    ) == [
        "EUR m: Goodwill; 30 June 2025: 1,204; 30 June 2024: 1,102",
        "EUR m: Cash; 30 June 2025: 88; 30 June 2024: 91",
        "Income statement",
        "EUR m: Net sales; Q2 2025: 612; Q2 2024: 547; H1 2025: 1,249; H1 2024: 1,188",
        "EUR m: EBITA; Q2 2025: 121; Q2 2024: 94; H1 2025: 246; H1 2024: 206",
    ]


CAPTIONS = (
    "Balance sheet",
    "Segment information",
    "Key figures",
    "Note 7: Borrowings",
    "Table 2. Employees by function",
)


def draw_two(rng: random.Random, path: Path) -> list[Cell]:
    """A table close below another with its own names, and nothing, a caption, a note or some space between them."""
    sheet, bold, ruled = Sheet(path, rng), rng.random() < 0.3, rng.random() < 0.3
    labels, step = rng.sample(LABELS, 12), rng.choice([70, 85, 95])
    corners = (corner := rng.choice(["", "EUR m", "Item", "Division"]), rng.choice(["", corner, "EUR m"]))
    cells: list[Cell] = []
    for n, (names, corner) in enumerate(zip(rng.sample(SERIES, 2), corners, strict=True)):
        between = rng.choice(["", "", "space", "1) Average of the twelve month ends.", *CAPTIONS]) if n else ""
        sheet.next(1.7 if between == "space" else 1)
        if between not in ("", "space"):
            sheet.put(60, between)
            sheet.next()
        sheet.put(60, corner, bold=bold)
        rights = [210.0 + step * (i + 1) for i in range(len(names))]
        for right, name in zip(rights, names, strict=True):
            sheet.put(right, name, "right", bold=bold)
        if ruled:
            sheet.line(60, rights[-1])
        own = labels[6 * n : 6 * n + rng.randint(2, 6)]
        cells += put_rows(own, names, rights, rng, sheet, sheet.put)
    sheet.save()
    return cells


def test_tables_close_to_each_other_keep_their_own_names(tmp_path: Path) -> None:
    assert share_read(tmp_path, draw_two, 60) > 0.98


def test_a_row_of_words_below_a_text_that_heads_rows_is_data(tmp_path: Path) -> None:
    rows = [*RECORD, ("Governance",), ("Auditor", "Holm", "Holm", "Lund"), ("Directors", "9", "8", "8")]
    assert read_rows(tmp_path, spaced(rows))[-2:] == [
        "Governance > Auditor; 2024: Holm; 2023: Holm; 2022: Lund",
        "Governance > Directors; 2024: 9; 2023: 8; 2022: 8",
    ]


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


def test_tables_below_each_other_take_time_linear_in_their_number() -> None:
    rows = [*RECORD, ("Income statement",)] * 500
    runs = [
        Run(x, 12.0 * n - 8, x + 5 * len(text), 12.0 * n + 2, text, 12.0 * n, 10.0)
        for n, cells in enumerate(rows)
        for x, text in zip((72.0, 250.0, 320.0, 390.0), cells, strict=False)
        if text
    ]
    start = time.process_time()
    parts = lay_out(Page(612, 12.0 * len(rows) + 50, runs, [], [], [], []))
    assert time.process_time() - start < 5
    assert sum(part.kind == "table" for part in parts) == 500


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


SALES = ("Net sales Q3", "Net sales Q3")
NAMES: dict[str, tuple[list[Cells], list[str]]] = {
    "years": ([("", *SALES), ("", "2025", "2024")], ["", "Net sales Q3 2025", "Net sales Q3 2024"]),
    "a unit": ([("", *SALES), ("EUR m", "2025", "2024")], ["EUR m", "Net sales Q3 2025", "Net sales Q3 2024"]),
    "a short name on the first line": (
        [("Unit", *SALES, "Staff"), ("", "2025", "2024")],
        ["Unit", "Net sales Q3 2025", "Net sales Q3 2024", "Staff"],
    ),
    "a short name on the last line": (
        [("", *SALES), ("Unit", "2025", "2024", "Staff")],
        ["Unit", "Net sales Q3 2025", "Net sales Q3 2024", "Staff"],
    ),
    "one year": (
        [("", "Orders", "Sales", "Profit"), ("", "2025", "2025", "2025")],
        ["", "Orders 2025", "Sales 2025", "Profit 2025"],
    ),
    "words": ([("", "Net Sales", "Operating"), ("", "Growth", "Margin")], ["", "Net Sales Growth", "Operating Margin"]),
    "three lines": (
        [("", "Net", "Average"), ("", "sales", "number of"), ("", "2025", "employees")],
        ["", "Net sales 2025", "Average number of employees"],
    ),
}
UNITS = [("Pumps", "612", "588", "41"), ("Valves", "344", "351", "20"), ("Seals", "97", "90", "7")]


@pytest.mark.parametrize("pitch", [12.0, 18.0], ids=["as far apart as rows", "nearer than rows"])
@pytest.mark.parametrize(("lines", "names"), NAMES.values(), ids=NAMES)
def test_names_on_several_lines(tmp_path: Path, lines: list[Cells], names: list[str], pitch: float) -> None:
    below = 12.0 * (len(lines) - 1) + pitch
    records = [cells[: len(names)] for cells in UNITS]
    assert read_rows(tmp_path, [*spaced(lines, 0, 12), *spaced(records, below, pitch)]) == [
        "; ".join(f"{name}: {cell}" if name else cell for name, cell in zip(names, cells)) for cells in records
    ]


def test_years_below_names_over_figures_that_may_be_years(tmp_path: Path) -> None:
    rows = [("", *SALES), ("", "2025", "2024"), ("Pumps", "2041", "1988"), ("Valves", "1944", "1951")]
    assert read_rows(tmp_path, spaced(rows, 0, 12)) == [
        "Pumps; Net sales Q3 2025: 2041; Net sales Q3 2024: 1988",
        "Valves; Net sales Q3 2025: 1944; Net sales Q3 2024: 1951",
    ]


def test_names_set_at_the_foot_of_their_lines(tmp_path: Path) -> None:
    lines = [("", "Average", "", ""), ("", "number of", "Operating", ""), ("", "employees", "margin", "Staff")]
    line = "Pumps; Average number of employees: 612; Operating margin: 588; Staff: 41"
    assert read_rows(tmp_path, [*spaced(lines, 0, 12), *spaced(UNITS, 42, 18)])[0] == line


def test_a_name_over_one_column_takes_no_row_from_the_figures(tmp_path: Path) -> None:
    names = [("", "", "Restated"), ("", "Sales", "Sales")]
    lines = read_rows(tmp_path, [*spaced(names, 0, 12), *spaced([cells[:3] for cells in UNITS], 30, 18)], bold=(0, 12))
    assert lines[-3:] == [
        "Pumps; Sales: 612; Restated Sales: 588",
        "Valves; Sales: 344; Restated Sales: 351",
        "Seals; Sales: 97; Restated Sales: 90",
    ]


def test_short_names_halfway_down_the_others(tmp_path: Path) -> None:
    rows = [(0.0, ("", *SALES)), (6.0, ("Unit", "", "", "Staff")), (12.0, ("", "2025", "2024")), *spaced(UNITS, 30, 18)]
    line = "Unit: Pumps; Net sales Q3 2025: 612; Net sales Q3 2024: 588; Staff: 41"
    assert read_rows(tmp_path, rows)[0] == line


def test_names_in_bold_on_two_lines_with_a_plain_one_over_the_labels(tmp_path: Path) -> None:
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=(612, 792), invariant=True)
    for n, cells in enumerate([("", *SALES), ("Unit", "2025", "2024"), *(cells[:3] for cells in UNITS)]):
        for i, (x, text) in enumerate(zip((150, 280, 400), cells)):
            canvas.setFont("Helvetica-Bold" if n < 2 and i else "Helvetica", 10)
            canvas.drawRightString(x, 700 - 12 * n, text)
    canvas.save()
    (document,) = read(tmp_path / "a.pdf", IndexConfig(ocr="off"))
    assert isinstance(document, Document)
    assert document.text.split("\n")[0] == "Unit: Pumps; Net sales Q3 2025: 612; Net sales Q3 2024: 588"


@pytest.mark.parametrize("row", [("Founded", "1998", "2003"), ("Auditor", "Holm", "Lund")], ids=lambda row: row[0])
def test_a_first_row_of_years_or_words_with_a_label_is_data(tmp_path: Path, row: Cells) -> None:
    rows = [("", "Varn plc", "Orla Group"), row, *(cells[:3] for cells in UNITS)]
    assert read_rows(tmp_path, spaced(rows))[0] == f"{row[0]}; Varn plc: {row[1]}; Orla Group: {row[2]}"


@pytest.mark.parametrize("lefts", [(230, 310), (150, 260)], ids=["one", "all"])
def test_names_that_end_before_their_figures_begin(tmp_path: Path, lefts: tuple[float, float]) -> None:
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=(612, 792), invariant=True)
    for y, (label, change, staff) in enumerate([("Unit", "", ""), ("Pumps", "7.1%", "402"), ("Seals", "2%", "77")]):
        canvas.drawString(72, 720 - 15 * y, label)
        canvas.drawRightString(250, 720 - 15 * y, change)
        canvas.drawRightString(430, 720 - 15 * y, staff)
    for left, name in zip(lefts, ("Change", "Average number"), strict=True):
        canvas.drawString(left, 720, name)
    canvas.save()
    (document,) = read(tmp_path / "a.pdf", IndexConfig(ocr="off"))
    assert isinstance(document, Document)
    assert document.text.split("\n") == [
        "Unit: Pumps; Change: 7.1%; Average number: 402",
        "Unit: Seals; Change: 2%; Average number: 77",
    ]


STAFF = [("", "2024", "2023"), ("Sales", "41", "39")]
PAYROLL = ["Finance & Payroll; 2024: 12; 2023: 13", "Support; 2024: 25; 2023: 22", "Research; 2024: 30; 2023: 28"]


@pytest.mark.parametrize("pitch", [15.0, 20.0], ids=["as far apart as rows", "nearer than rows"])
@pytest.mark.parametrize("at", [0, 1], ids=["on the first line", "on the last line"])
def test_a_label_on_two_lines_that_ends_in_a_sign(tmp_path: Path, pitch: float, at: int) -> None:
    label = [("Finance &",), ("Payroll",)]
    label[at] = (*label[at], "12", "13")
    top = 2 * pitch
    rows = [*spaced(STAFF, 0, pitch), (top, label[0]), (top + min(pitch, 12), label[1])]
    rows += spaced([("Support", "25", "22"), ("Research", "30", "28")], top + min(pitch, 12) + pitch, pitch)
    assert read_rows(tmp_path, rows) == ["Sales; 2024: 41; 2023: 39", *PAYROLL]


def test_figures_halfway_down_a_label_on_two_lines(tmp_path: Path) -> None:
    rows = [*spaced(STAFF, 0, 20), (40.0, ("Finance &",)), (46.0, ("", "12", "13")), (52.0, ("Payroll",))]
    rows += spaced([("Support", "25", "22"), ("Research", "30", "28")], 72, 20)
    assert read_rows(tmp_path, rows) == ["Sales; 2024: 41; 2023: 39", *PAYROLL]


LEASED: dict[str, list[tuple[float, Cells]]] = {
    "figures on the first line": [(40.0, ("Depreciation of Leased", "7", "6")), (52.0, ("Buildings",))],
    "figures on the last line": [(40.0, ("Depreciation of Leased",)), (52.0, ("Buildings", "7", "6"))],
    "three lines": [(30.0, ("Depreciation",)), (41.0, ("of Leased",)), (52.0, ("Buildings", "7", "6"))],
}


@pytest.mark.parametrize("label", LEASED.values(), ids=LEASED)
def test_a_label_on_lines_nearer_to_each_other_than_rows(tmp_path: Path, label: list[tuple[float, Cells]]) -> None:
    shift = 40 - label[0][0]
    rows = [*spaced(STAFF, 0, 20), *((y + shift, cells) for y, cells in label)]
    rows += spaced([("Support", "25", "22"), ("Research", "30", "28")], 72 + shift, 20)
    assert read_rows(tmp_path, rows)[1:3] == ["Depreciation of Leased Buildings; 2024: 7; 2023: 6", PAYROLL[1]]


def test_a_label_that_goes_on_in_lower_case(tmp_path: Path) -> None:
    rows = [*STAFF, ("Proceeds from the sale of",), ("property and plant", "7", "6"), ("Support", "25", "22")]
    assert read_rows(tmp_path, spaced(rows))[1:] == [
        "Proceeds from the sale of property and plant; 2024: 7; 2023: 6",
        PAYROLL[1],
    ]


@pytest.mark.parametrize("head", ["Profit attributable to", "Adjustments for", "of which:"])
def test_a_text_that_asks_for_rows_below_it_heads_them(tmp_path: Path, head: str) -> None:
    rows = [*STAFF, (head,), ("owners", "7", "6"), ("others", "25", "22")]
    assert read_rows(tmp_path, spaced(rows)) == [
        "Sales; 2024: 41; 2023: 39",
        head,
        f"{head} > owners; 2024: 7; 2023: 6",
        f"{head} > others; 2024: 25; 2023: 22",
    ]


def test_a_source_close_below_the_last_row_is_no_part_of_its_label(tmp_path: Path) -> None:
    rows = [*spaced([*STAFF, ("Support", "25", "22")], 0, 20), (52.0, ("Source: own figures",))]
    assert read_rows(tmp_path, rows)[1:] == [PAYROLL[1], "Source: own figures"]


GROUPS = [RECORD[0], ("Assets",), ("Cash", "12", "11", "9"), ("Stock", "31", "30", "28")]
GROUPS += [("Liabilities",), ("Loans", "20", "22", "23"), ("Leases", "4", "5", "6")]


@pytest.mark.parametrize(
    "steps",
    [(15, 15, 15, 15, 15, 15), (15, 12, 12, 22, 12, 12), (22, 12, 12, 12, 12, 12), (22, 12, 16, 22, 12, 16)],
    ids=["even", "apart", "names apart", "nearer to their first rows"],
)
def test_texts_that_head_rows_are_no_labels(tmp_path: Path, steps: Sequence[float]) -> None:
    tops = [float(sum(steps[:n])) for n in range(len(GROUPS))]
    bold = (tops[1], tops[4]) if steps[1] < steps[2] else ()
    assert read_rows(tmp_path, list(zip(tops, GROUPS)), bold=bold)[1:] == [
        "Assets > Cash; 2024: 12; 2023: 11; 2022: 9",
        "Assets > Stock; 2024: 31; 2023: 30; 2022: 28",
        "Liabilities",
        "Liabilities > Loans; 2024: 20; 2023: 22; 2022: 23",
        "Liabilities > Leases; 2024: 4; 2023: 5; 2022: 6",
    ]
