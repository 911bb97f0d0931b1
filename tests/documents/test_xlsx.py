"""Workbooks: cells as they are shown, under the names of their columns."""

from __future__ import annotations

import time
import zipfile
from datetime import date, datetime, timedelta
from datetime import time as clock
from pathlib import Path

import openpyxl
import pytest
from openpyxl.comments import Comment
from openpyxl.worksheet.table import Table

from ragyena.config import IndexConfig
from ragyena.documents.loading import load
from ragyena.documents.sheets.number_formats import shown
from ragyena.errors import UnreadableDocumentError
from ragyena.types import Document, Skipped

NAMESPACE = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"


def sheet(rows: list[list[object]], name: str = "Sheet") -> openpyxl.Workbook:
    book = openpyxl.Workbook()
    book.active.title = name
    for row in rows:
        book.active.append(row)
    return book


def loaded(tmp_path: Path, book: openpyxl.Workbook, **settings: object) -> tuple[Document, list[Skipped]]:
    path = tmp_path / "book.xlsx"
    book.save(path)
    document, *skipped = load(path, IndexConfig.model_validate(settings))
    assert isinstance(document, Document)
    return document, [part for part in skipped if isinstance(part, Skipped)]


def lines(tmp_path: Path, book: openpyxl.Workbook, **settings: object) -> list[str]:
    return [line for line in loaded(tmp_path, book, **settings)[0].text.split("\n") if line]


def written(tmp_path: Path, cells: str, strings: str = "", above: str = "") -> Path:
    """A workbook whose sheet has this XML."""
    path = tmp_path / "written.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        relation = f'<Relationship Type="{RELATIONS}/%s" Target="%s" Id="%s"/>'
        relations = f'<Relationships xmlns="{PACKAGE}">%s</Relationships>'
        archive.writestr("_rels/.rels", relations % (relation % ("officeDocument", "xl/workbook.xml", "rId1")))
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            relations
            % (
                relation % ("worksheet", "worksheets/sheet1.xml", "rId1")
                + relation % ("sharedStrings", "sharedStrings.xml", "rId2")
            ),
        )
        archive.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{NAMESPACE}" xmlns:r="{RELATIONS}"><sheets>'
            '<sheet name="S" sheetId="1" r:id="rId1"/></sheets></workbook>',
        )
        archive.writestr("xl/sharedStrings.xml", f'<sst xmlns="{NAMESPACE}">{strings}</sst>')
        archive.writestr(
            "xl/worksheets/sheet1.xml",
            f'<worksheet xmlns="{NAMESPACE}">{above}<sheetData>{cells}</sheetData></worksheet>',
        )
    return path


def test_merged_rows_and_two_rows_of_names_and_formulas(tmp_path: Path) -> None:
    book = sheet(
        [
            ["Budget of the year"],
            ["Area", "Department", "Q1", None, "Q2", None],
            [None, None, "Plan", "Actual", "Plan", "Actual"],
            ["Staff", "Legal", 100, 120, 110, 95],
            [None, "IT", 200, 180, 210, 240],
            ["Total", None, "=SUM(C4:C5)", "=SUM(D4:D5)", "=E4+E5", "=IF(F4>F5,F4,F5)"],
        ],
        "Budget",
    )
    for area in ("A1:F1", "A2:A3", "B2:B3", "C2:D2", "E2:F2", "A4:A5"):
        book.active.merge_cells(area)
    document, _ = loaded(tmp_path, book)
    assert document.text.split("\n\n") == [
        "Budget",
        "Budget of the year",
        "Area: Staff; Department: Legal; Q1 Plan: 100; Q1 Actual: 120; Q2 Plan: 110; Q2 Actual: 95\n"
        "Area: Staff; Department: IT; Q1 Plan: 200; Q1 Actual: 180; Q2 Plan: 210; Q2 Actual: 240\n"
        "Area: Total; Q1 Plan: 300; Q1 Actual: 300; Q2 Plan: 320; Q2 Actual: 240",
    ]
    assert [(heading.level, heading.text) for heading in document.headings] == [
        (1, "Budget"),
        (2, "Budget of the year"),
    ]
    (block,) = document.blocks
    assert (block.kind, block.header[2]) == ("table", "Q1 Plan")


@pytest.mark.parametrize(
    ("number", "code", "text"),
    [
        (45730, "yyyy-mm-dd", "2025-03-14"),
        (0.125, "0.0%", "12.5%"),
        (1.25, "[h]:mm", "30:00"),
        (1234.5, '#,##0.00 "EUR"', "1,234.50 EUR"),
        (45730, "dd.mm.yyyy", "14.03.2025"),
        (45730, "mm-dd-yy", "2025-03-14"),
        (45730, "[$-F800]dddd, mmmm dd, yyyy", "2025-03-14"),
        (45730.75, "yyyy-mm-dd h:mm:ss", "2025-03-14 18:00:00"),
        (45730, "yyyy-mm-dd h:mm:ss", "2025-03-14"),
        (45730, "d mmmm yyyy", "14 March 2025"),
        (0.75, "h:mm AM/PM", "6:00 PM"),
        (-1234, "#,##0_);(#,##0)", "(1,234)"),
        (-5, "$#,##0.00;[Red]-$#,##0.00", "-$5.00"),
        (1234.5, "#,##0.00 [$€-407]", "1,234.50 €"),
        (5.25, "# ?/?", "5 1/4"),
        (12, '[<100]"low";"high"', "low"),
        (0, '0;-0;"zero"', "zero"),
        (5, "00000", "00005"),
        (1.005, "0.00", "1.01"),
        (-0.3, "0", "0"),
        (12345, "0.00E+00", "1.23E+04"),
        (1 / 3, "General", "0.3333333333"),
        (0.1 + 0.2, "General", "0.3"),
        (4006381333931, "General", "4006381333931"),
        (1e300, "#,##0.0##", "1e+300"),
        (1e300, "yyyy-mm-dd", "1e+300"),
        (3, "0" * 5000, "3"),
    ],
)
def test_numbers_are_shown_in_their_format(number: float, code: str, text: str) -> None:
    assert shown(number, code) == text


def test_dates_of_the_system_of_1904() -> None:
    assert shown(44268, "yyyy-mm-dd", is_1904=True) == "2025-03-14"


def test_a_timesheet(tmp_path: Path) -> None:
    book = sheet([["Timesheet"], ["Employee:", "Ann Lee", None, "Week:", 12], []])
    book.active.append(["Day", "Date", "Start", "End", "Break", "Hours"])
    book.active.append(["Mon", date(2025, 3, 17), clock(8, 0), clock(16, 30), timedelta(minutes=30), "=D5-C5-E5"])
    book.active.append(["Tue", datetime(2025, 3, 18), clock(8, 0), clock(17, 0), timedelta(minutes=30), "=D6-C6-E6"])
    book.active.append(["Total", None, None, None, None, "=SUM(F5:F6)"])
    for row in (5, 6, 7):
        book.active.cell(row, 6).number_format = "[h]:mm"
        for column in (3, 4, 5):
            book.active.cell(row, column).number_format = "hh:mm"
    assert lines(tmp_path, book) == [
        "Sheet",
        "Timesheet",
        "Employee: Ann Lee; Week: 12",
        "Day: Mon; Date: 2025-03-17; Start: 08:00; End: 16:30; Break: 00:30; Hours: 8:00",
        "Day: Tue; Date: 2025-03-18; Start: 08:00; End: 17:00; Break: 00:30; Hours: 8:30",
        "Day: Total; Hours: 16:30",
    ]


def test_formulas_without_values_are_computed_or_said(tmp_path: Path) -> None:
    rows = [
        ["Item", "Price"],
        ["a", "=B9*2+10%"],
        ["b", '=IF(B2>10,"big","small")&"!"'],
        ["c", "=1/0"],
        ["d", "=IFERROR(B4,ROUND(AVERAGE(B8:B9),1))"],
        ["e", "=VLOOKUP(A2,X1:Y9,2,FALSE)"],
        ["f", "=B7"],
        ["g", 3],
        ["h", "=Other!A1-2^2"],
        ["i", True],
        ["j", "=SUM(B8,B6)"],
    ]
    book = sheet(rows)
    book.create_sheet("Other").append([11.5])
    text = lines(tmp_path, book)
    assert text[1:11] == [
        "Item: a; Price: 15.1",
        "Item: b; Price: big!",
        "Item: c; Price: #DIV/0!",
        "Item: d; Price: 5.3",
        "Item: e; Price: (formula VLOOKUP(A2,X1:Y9,2,FALSE), no stored value)",
        "Item: f; Price: (formula B7, no stored value)",
        "Item: g; Price: 3",
        "Item: h; Price: 7.5",
        "Item: i; Price: TRUE",
        "Item: j; Price: (formula SUM(B8,B6), no stored value)",
    ]


def test_what_is_hidden_is_left_out_and_named(tmp_path: Path) -> None:
    book = sheet(
        [["Name", "Pay", "City"], ["Ann", 1, "Oslo"], ["Bob", 2, "Rome"], ["Cid", 3, "Bern"], ["Dan", 4, "Kiel"]]
    )
    book.active.row_dimensions[3].hidden = True
    book.active.row_dimensions[4].hidden = True
    book.active.row_dimensions[4].outlineLevel = 1
    book.active.column_dimensions["B"].hidden = True
    book.create_sheet("Secret").append(["Reserve", "88 tonnes"])
    book["Secret"].sheet_state = "hidden"
    document, skipped = loaded(tmp_path, book)
    assert document.text == "Sheet\n\nName: Ann; City: Oslo\nName: Cid; City: Bern\nName: Dan; City: Kiel"
    assert [part.message.rpartition("the sheet ")[2] for part in skipped] == [
        "'Sheet' has hidden rows: 3",
        "'Sheet' has hidden columns: 2",
        "'Secret' is hidden",
    ]
    assert not any(part.is_fault for part in skipped) and all("index.hidden" in part.hint for part in skipped)
    document, skipped = loaded(tmp_path, book, hidden=True)
    assert "Name: Bob; Pay: 2; City: Rome" in document.text and "88 tonnes" in document.text and not skipped


def test_several_tables_in_a_sheet(tmp_path: Path) -> None:
    book = sheet(
        [["SKU", "Item", "Count"], ["A-1", "Bolt", 5], ["A-2", "Nut", 7], [], ["Reorder list"], [], ["SKU", "Order"]]
    )
    book.active.append(["A-2", 500])
    for row, (place, manager) in enumerate([("Place", "Manager"), ("Shelf", "Ann"), ("Floor", "Bob")], 1):
        book.active.cell(row, 5, place)
        book.active.cell(row, 6, manager)
    document, _ = loaded(tmp_path, book)
    assert document.text.split("\n\n") == [
        "Sheet",
        "SKU: A-1; Item: Bolt; Count: 5\nSKU: A-2; Item: Nut; Count: 7",
        "Place: Shelf; Manager: Ann\nPlace: Floor; Manager: Bob",
        "Reorder list",
        "SKU: A-2; Order: 500",
    ]
    assert [block.header for block in document.blocks] == [
        ("SKU", "Item", "Count"),
        ("Place", "Manager"),
        ("SKU", "Order"),
    ]


@pytest.mark.parametrize("gap", [[], [[]]], ids=["under the rows", "after an empty row"])
def test_notes_below_a_table_stand_alone(tmp_path: Path, gap: list[list[object]]) -> None:
    rows: list[list[object]] = [["Month", "Payment", "Rest"], [1, 212.47, 9829.2], [2, 212.47, 9657.68]]
    notes: list[list[object]] = [["Early repayment is possible."], ["The last payment may differ."]]
    assert lines(tmp_path, sheet(rows + gap + notes))[-2:] == [note for (note,) in notes]


@pytest.mark.parametrize("row", [0, 1, 3])
def test_a_note_beside_a_table_is_no_part_of_its_rows(tmp_path: Path, row: int) -> None:
    rows: list[list[object]] = [["Item", "Quoted", "Paid"], ["Barn", 2400, 800], ["Band", 950, 0], ["Cars", 480, 100]]
    rows[row] += [None, "Paid by:", "Ann 3000, Bob 2500"]
    assert lines(tmp_path, sheet(rows))[1:] == [
        "Item: Barn; Quoted: 2400; Paid: 800",
        "Item: Band; Quoted: 950; Paid: 0",
        "Item: Cars; Quoted: 480; Paid: 100",
        "Paid by: Ann 3000, Bob 2500",
    ]


def test_a_total_below_an_empty_row_has_the_names_above(tmp_path: Path) -> None:
    assert lines(tmp_path, sheet([["Item", "Price"], ["Lamp", 3], ["Chair", 4], [], ["Total", 7]]))[-1] == (
        "Item: Total; Price: 7"
    )


def test_tables_of_the_file_have_their_names(tmp_path: Path) -> None:
    book = sheet([["Year", "2024"], ["2023", "1"], ["2022", "3"]])
    book.active.add_table(Table(displayName="T", ref="A1:B3"))
    assert lines(tmp_path, book)[1:] == ["Year: 2023; 2024: 1", "Year: 2022; 2024: 3"]


def test_comments_on_request_and_properties(tmp_path: Path) -> None:
    book = sheet([["Item", "Price"], ["Lamp", 3]])
    book.active["B2"].comment = Comment("Ask Ann", "Bob")
    book.properties.title, book.properties.creator = "Prices", "Cid"
    document, _ = loaded(tmp_path, book)
    assert "Ask Ann" not in document.text
    assert (document.title, document.metadata["author"]) == ("Prices", "Cid")
    document, _ = loaded(tmp_path, book, comments=True)
    assert document.text.endswith("Comment on B2 (Bob): Ask Ann")
    assert document.blocks[-1].kind == "notes"


def test_rich_texts_escapes_and_readings(tmp_path: Path) -> None:
    strings = (
        "<si><r><t>two </t></r><r><t>runs</t></r></si>"
        "<si><t>東京</t><rPh sb='0' eb='2'><t>トウキョウ</t></rPh></si><si><t>a_x000D_b</t></si>"
    )
    cells = (
        "<row>"
        + "".join(f'<c t="s"><v>{i}</v></c>' for i in (0, 1, 2, 9))
        + '<c t="d"><v>2025-03-14T00:00:00</v></c></row>'
    )
    (document,) = load(written(tmp_path, cells, strings), IndexConfig())
    assert isinstance(document, Document) and document.text == "S\n\ntwo runs | 東京 | a b | 2025-03-14"


def test_shared_formulas_are_moved_to_their_places(tmp_path: Path) -> None:
    cells = '<row r="1"><c r="A1"><f t="shared" si="0">B1*2</f></c><c r="B1"><v>3</v></c></row>'
    cells += '<row r="2"><c r="A2"><f t="shared" si="0"/></c><c r="B2"><v>4</v></c></row>'
    (document,) = load(written(tmp_path, cells), IndexConfig())
    assert isinstance(document, Document) and document.text == "S\n\n6 | 3\n8 | 4"


def test_a_long_number_stays_as_it_is(tmp_path: Path) -> None:
    (document,) = load(written(tmp_path, f"<row><c><v>{'9' * 5000}</v></c><c><v>1</v></c></row>"), IndexConfig())
    assert isinstance(document, Document) and "9" * 5000 in document.text


@pytest.mark.parametrize(
    ("cells", "above", "text"),
    [
        (
            '<row r="1"><c r="A1"><v>1</v></c></row><row r="1000000000"><c r="A1000000000"><v>2</v></c></row>',
            "",
            "1\n\n2",
        ),
        ('<row r="1"><c r="A1"><v>1</v></c><c r="XFD1"><v>2</v></c></row>', '<dimension ref="A1:XFD9999999"/>', "1"),
        ('<row><c r="A1" s="99999999999"><v>1</v></c><c t="s"><v>77777777777</v></c></row>', "", "1"),
        ("<row><c><v>1</v></c></row>", '<cols><col min="5" max="999999999" hidden="1"/></cols>', "1"),
        ('<row r="9"><c r="A99999999999"><v>1</v></c></row>', "", "1"),
    ],
    ids=["billion rows", "all columns", "bad indices", "all columns hidden", "bad place"],
)
def test_what_a_sheet_declares_costs_nothing(tmp_path: Path, cells: str, above: str, text: str) -> None:
    began = time.process_time()
    document, *_ = load(written(tmp_path, cells, above=above), IndexConfig())
    assert time.process_time() - began < 2
    assert isinstance(document, Document) and document.text.startswith(f"S\n\n{text}")


@pytest.mark.parametrize(
    "cells",
    [
        "".join(f'<row r="{r}"><c r="A{r}"><v>{r}</v></c><c r="XFD{r}"><v>1</v></c></row>' for r in range(1, 300)),
        '<row r="1">' + '<c t="s"><v>0</v></c>' * 300 + "</row>",
        "".join(
            f'<row r="{r}"><c r="A{r}"><f>SUM(B1:B3000)+A{r + 1}</f></c><c r="B{r}"><v>2</v></c></row>'
            for r in range(1, 500)
        ),
    ],
    ids=["far columns", "one long text", "formulas"],
)
def test_small_files_stay_small(tmp_path: Path, cells: str) -> None:
    path = written(tmp_path, cells, f"<si><t>{'x' * 1_000_000}</t></si>")
    began = time.process_time()
    document, *_ = load(path, IndexConfig())
    assert time.process_time() - began < 5
    assert isinstance(document, Document) and len(document.text) < 60_000_000


def test_a_document_type_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    source = written(tmp_path, "<row><c><v>1</v></c></row>")
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for item in old.infolist():
            content = old.read(item)
            if "sheet1" in item.filename:
                content = b'<!DOCTYPE w [<!ENTITY e "lol">]>' + content
            new.writestr(item.filename, content)
    with pytest.raises(UnreadableDocumentError, match="document type"):
        list(load(path, IndexConfig()))
