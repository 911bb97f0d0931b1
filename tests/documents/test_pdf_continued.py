"""Tables of a PDF that go on, on the next page or in the next column, and dots that lead from a name to its value."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from ragyena.config import IndexConfig
from ragyena.documents.pdf.rows import without_leader
from ragyena.documents.reading import read
from ragyena.types import Document

Texts = Sequence[tuple[float, float, str]]
"""Left side, distance of the baseline from the top of the page, text."""

NAMES = ("Section", "Limit", "Excess")
COVERS = [("Windscreen", "25,000", "90"), ("Belongings", "300", "0"), ("Child seats", "250", "0")]
COVERS += [("Keys", "750", "50"), ("Courtesy car", "14 days", "0"), ("Legal costs", "100,000", "0")]


def read_pages(folder: Path, *pages: Texts) -> str:
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(folder / "a.pdf"), pagesize=(612, 792), invariant=True)
    for page in pages:
        for x, y, text in page:
            canvas.setFont("Helvetica-Bold" if text in NAMES else "Helvetica", 10)
            canvas.drawString(x, 792 - y, text)
        canvas.showPage()
    canvas.save()
    (document,) = read(folder / "a.pdf", IndexConfig(ocr="off"))
    assert isinstance(document, Document)
    return document.text


def rows_at(top: float, rows: Sequence[Sequence[str]], *, step: float = 14, left: float = 72) -> Texts:
    return [(left + 90 * n, top + step * i, cell) for i, row in enumerate(rows) for n, cell in enumerate(row)]


def written(rows: Sequence[Sequence[str]]) -> list[str]:
    return ["; ".join(f"{name}: {cell}" for name, cell in zip(NAMES, row, strict=True)) for row in rows]


@pytest.mark.parametrize("on_first", [3, 4, 5], ids=["three left", "two left", "one left"])
def test_rows_far_apart_go_on_over_the_page(tmp_path: Path, on_first: int) -> None:
    step = 34
    top = 740 - step * on_first
    first = [(72, 60, "Tamar Insurance"), (72, 300, "Covers of this policy in the year of insurance")]
    first += rows_at(top, [NAMES, *COVERS[:on_first]], step=step)
    second = [*rows_at(90, COVERS[on_first:], step=step), (72, 400, "Ring us within two days of any accident at all.")]
    text = read_pages(tmp_path, first, second)
    assert [line for line in text.split("\n") if line.startswith("Section: ")] == written(COVERS)


def test_a_line_with_gaps_below_prose_is_no_row(tmp_path: Path) -> None:
    prose = "The harbour office is open from nine to five on every day of the week but Sunday."
    text = read_pages(
        tmp_path,
        [*rows_at(90, [NAMES, *COVERS]), (72, 400, prose)],
        [*rows_at(40, [("Tamar", "Insurance", "2025")]), (72, 90, prose)],
    )
    assert "Section: Tamar" not in text
    assert "Tamar Insurance 2025" in text


@pytest.mark.parametrize(
    ("line", "goes_on"),
    [("Table 3 (continued)", True), ("continued from the previous page", True), ("The works continued in May.", False)],
)
def test_a_line_between_may_say_that_a_table_goes_on(tmp_path: Path, line: str, goes_on: bool) -> None:
    page = [*rows_at(100, [NAMES, *COVERS[:3]]), (72, 180, line), *rows_at(220, COVERS[3:])]
    lines = read_pages(tmp_path, page).split("\n")
    assert [line for line in lines if line.startswith("Section: ")] == written(COVERS if goes_on else COVERS[:3])


def test_a_table_goes_on_in_the_next_column(tmp_path: Path) -> None:
    records = [(f"M{n:02d}", f"{n / 10 + 1:.1f}", str(150 + 3 * n)) for n in range(20)]
    prose = "The castings were made in one mould and of one melt, and each was cut, weighed and broken by hand."
    words = prose.split()
    lines = [" ".join(words[i : i + 9]) for i in range(0, len(words), 9)] * 6
    left = [(62.0, 90 + 14.0 * i, line) for i, line in enumerate(lines)]
    left += rows_at(120 + 14 * len(lines), [NAMES, *records[:8]], left=62)
    right = [*rows_at(90, records[8:], left=334)]
    right += [(330.0, 300 + 14.0 * i, line) for i, line in enumerate(lines)]
    text = read_pages(tmp_path, [*left, *right])
    assert [line for line in text.split("\n") if line.startswith("Section: ")] == written(records)


def test_dots_lead_to_values_a_line_each(tmp_path: Path) -> None:
    lines = ["Full set, warm .................. £92", "Trim ............................ £38"]
    lines += ["Gate hinge, pair . . . . . . . . . . from £110"]
    text = read_pages(tmp_path, [(72, 100, "Prices"), *((72, 130 + 14 * i, line) for i, line in enumerate(lines))])
    assert text == "Prices\n\nFull set, warm: £92\nTrim: £38\nGate hinge, pair: from £110"


def test_dots_lead_to_several_values_and_from_a_name_on_two_lines(tmp_path: Path) -> None:
    lines = ["A full service of the boiler, with new gaskets and a", "written report ............... £145 ........ 2 h"]
    lines += ["Bleeding ..................... £20 ......... 1 h"]
    text = read_pages(tmp_path, [(72, 100, "Work"), *((72, 130 + 14 * i, line) for i, line in enumerate(lines))])
    whole = "A full service of the boiler, with new gaskets and a written report"
    assert text == f"Work\n\n{whole} | £145 | 2 h\nBleeding | £20 | 1 h"


def test_lists_with_dots_side_by_side_are_read_one_after_the_other(tmp_path: Path) -> None:
    left = ["Soup .................. £4.50", "Tart .................. £6", "Cheese ................ £7"]
    right = ["Tea .................... £2", "Coffee ................. £3", "Juice .................. £4"]
    columns = [(x, 130.0 + 14 * i, line) for x, lines in ((72, left), (330, right)) for i, line in enumerate(lines)]
    text = read_pages(tmp_path, [(72, 100, "Menu"), *columns])
    assert " ".join(text.split()) == "Menu Soup: £4.50 Tart: £6 Cheese: £7 Tea: £2 Coffee: £3 Juice: £4"


def test_a_table_of_contents_keeps_its_dots(tmp_path: Path) -> None:
    lines = ["1 Rehearsals ..................... 2", "2 Money .......................... 3"]
    text = read_pages(tmp_path, [(72, 100, "Contents"), *((72, 130 + 14 * i, line) for i, line in enumerate(lines))])
    assert "1 Rehearsals ... 2" in text


def test_long_rows_of_dots_take_linear_time() -> None:
    begun = time.process_time()
    assert [without_leader(text) for text in ("Hire " + "." * 200_000, "Hire" + " ." * 200_000)] == ["Hire"] * 2
    assert without_leader("." * 200_000 + "x") == "." * 200_000 + "x"
    assert time.process_time() - begun < 5


def test_dots_are_no_part_of_a_label(tmp_path: Path) -> None:
    labels = ["Subscriptions ..........", "Bar ..................", "Hire of the hall ......."]
    figures = [("4,210", "3,980"), ("12,400", "11,020"), ("3,115", "2,990")]
    texts: list[tuple[float, float, str]] = [(300, 100, "2024"), (380, 100, "2023")]
    for i, (label, (one, two)) in enumerate(zip(labels, figures, strict=True)):
        texts += [(72, 114 + 14 * i, label), (300, 114 + 14 * i, one), (380, 114 + 14 * i, two)]
    text = read_pages(tmp_path, [(72, 80, "Income of the club"), *texts])
    assert "Hire of the hall; 2024: 3,115; 2023: 2,990" in text
    assert ".." not in text
