"""Names of columns in PDF tables: over the labels alone, over several columns, halfway down, on several lines."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from random_tables import LABELS, Cell, Sheet, figure, share_read

from ragyena.config import IndexConfig
from ragyena.documents.reading import read
from ragyena.types import Document

ABOVE = "The fares below are valid on every line of the network from the first of January."
BELOW = "Children under six travel free of charge with an adult who has a ticket, on every day of the week."
X = (72, 160, 240, 320, 400)
SINGLES = {18: ("", "Adult", "Child"), 36: ("Single", "2.40", "1.20"), 54: ("Return", "3.60", "1.80")}
SINGLES |= {72: ("Day pass", "6.00", "3.00")}
GROUPS = {36: ("Single", "2.40", "3.60", "1.20", "1.80"), 54: ("Month", "39.00", "52.00", "20.00", "26.00")}
GROUPS |= {72: ("Year", "390.00", "520.00", "200.00", "260.00")}
ZONES = {18: ("", "1 zone", "2 zones", "1 zone", "2 zones")}


def read_table(
    folder: Path,
    rows: Mapping[float, Sequence[str]],
    texts: Sequence[tuple[float, float, str]] = (),
    *,
    lines: Sequence[tuple[float, float, float, float]] = (),
    bold: float = 0,
) -> list[str]:
    """The lines read of a table between two paragraphs. Heights count from the table's first baseline; those up to
    ``bold`` are set in bold."""
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(folder / "a.pdf"), pagesize=(612, 792), invariant=True)
    cells = [(x, y, text) for y, row in rows.items() for x, text in zip(X, row, strict=False) if text]
    for x, y, text in [(72, -18, ABOVE), *cells, *texts, (72, max(rows) + 18, BELOW)]:
        canvas.setFont("Helvetica-Bold" if 0 <= y < bold else "Helvetica", 10)
        canvas.drawString(x, 592 - y, text)
    for x0, y0, x1, y1 in lines:
        canvas.line(x0, 592 - y0, x1, 592 - y1)
    canvas.save()
    (document,) = read(folder / "a.pdf", IndexConfig(ocr="off"))
    assert isinstance(document, Document)
    first, *table, last = [line for line in document.text.split("\n") if line]
    assert (first, last) == (ABOVE, BELOW)
    return table


@pytest.mark.parametrize("bold", [0, 20], ids=["plain", "bold"])
def test_a_name_over_the_labels_alone(tmp_path: Path, bold: float) -> None:
    assert read_table(tmp_path, SINGLES, [(72, 0, "Ticket")], bold=bold) == [
        "Ticket: Single; Adult: 2.40; Child: 1.20",
        "Ticket: Return; Adult: 3.60; Child: 1.80",
        "Ticket: Day pass; Adult: 6.00; Child: 3.00",
    ]


def test_a_name_over_the_labels_alone_in_a_drawn_grid(tmp_path: Path) -> None:
    level = [(68, y, 300, y) for y in (-12, 6, 24, 42, 60, 78)]
    upright = [(x - 4, -12, x - 4, 78) for x in (72, 160, 240, 304)]
    assert read_table(tmp_path, SINGLES, [(72, 0, "Ticket")], lines=[*level, *upright])[0] == (
        "Ticket: Single; Adult: 2.40; Child: 1.20"
    )


@pytest.mark.parametrize("lines", [[], [(160, 4, 270, 4), (72, 22, 270, 22)]], ids=["no lines", "a line below it"])
def test_a_name_over_the_other_columns_alone(tmp_path: Path, lines: list[tuple[float, float, float, float]]) -> None:
    rows = SINGLES | {18: ("Ticket", "Adult", "Child")}
    assert read_table(tmp_path, rows, [(180, 0, "Fare in EUR")], lines=lines)[0] == (
        "Ticket: Single; Fare in EUR Adult: 2.40; Fare in EUR Child: 1.20"
    )


@pytest.mark.parametrize("height", [0, 9, 18])
def test_a_name_beside_two_rows_of_names(tmp_path: Path, height: float) -> None:
    texts = [(200, 0, "Adult"), (360, 0, "Child"), (72, height, "Ticket")]
    assert read_table(tmp_path, ZONES | GROUPS, texts)[0] == (
        "Ticket: Single; Adult 1 zone: 2.40; Adult 2 zones: 3.60; Child 1 zone: 1.20; Child 2 zones: 1.80"
    )


@pytest.mark.parametrize("height", [7, 12])
def test_names_on_two_lines(tmp_path: Path, height: float) -> None:
    rows = {0: ("", "One", "Two", "Whole"), 12: ("", "zone", "zones", "network")}
    rows |= {30: ("Single", "2.40", "3.60", "4.90"), 48: ("Month", "39.00", "52.00", "68.00")}
    rows |= {66: ("Year", "390.00", "520.00", "680.00")}
    assert read_table(tmp_path, rows, [(72, height, "Ticket")])[0] == (
        "Ticket: Single; One zone: 2.40; Two zones: 3.60; Whole network: 4.90"
    )


def test_the_end_of_a_paragraph_is_no_name(tmp_path: Path) -> None:
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=(612, 792), invariant=True)
    lines = ["All of these are the fares that the council of the town has agreed with the", "Harbour Board"]
    for n, line in enumerate(lines):
        canvas.drawString(72, 700 - 12 * n, line)
    for n, row in enumerate(SINGLES.values()):
        for x, text in zip(X, row, strict=False):
            canvas.drawString(x, 676 - 12 * n, text)
    canvas.save()
    (document,) = read(tmp_path / "a.pdf", IndexConfig(ocr="off"))
    assert isinstance(document, Document)
    assert " ".join(lines) in document.text
    assert "\nSingle; Adult: 2.40; Child: 1.20" in document.text


@pytest.mark.parametrize("alignment", ["left", "centre", "right"])
@pytest.mark.parametrize("ruled", [False, True], ids=["no lines", "a line below each name"])
def test_names_over_three_columns_and_over_two(tmp_path: Path, alignment: str, ruled: bool) -> None:
    from reportlab.platypus import SimpleDocTemplate, Table

    rows = [["", "Group", "", "", "Parent", ""], ["EUR m", "2025", "2024", "2023", "2025", "2024"]]
    rows += [
        ["Income", "611.4", "623.7", "(1,242.1)", "481.6", "484.9"],
        ["Costs", "(8.1)", "9.6", "18.2", "64.0", "52.3"],
    ]
    rows += [["Taxes", "56.9", "68.4", "136.0", "31.2", "(36.5)"]]
    style = [("ALIGN", (1, 1), (-1, -1), "RIGHT")]
    for first, last in ((1, 3), (4, 5)):
        style += [("SPAN", (first, 0), (last, 0)), ("ALIGN", (first, 0), (last, 0), alignment.upper())]
        style += [("LINEBELOW", (first, 0), (last, 0), 0.4, "black")] * ruled
    SimpleDocTemplate(str(tmp_path / "a.pdf"), invariant=1).build([Table(rows, style=style)])
    (document,) = read(tmp_path / "a.pdf", IndexConfig(ocr="off"))
    assert isinstance(document, Document)
    assert (
        "EUR m: Income; Group 2025: 611.4; Group 2024: 623.7; Group 2023: (1,242.1); "
        "Parent 2025: 481.6; Parent 2024: 484.9"
    ) in document.text


GROUP_NAMES = (
    "Group",
    "Parent",
    "Europe",
    "Asia Pacific",
    "Continuing operations",
    "Industrial",
    "Net sales",
    "EBITDA",
)
SERIES = (("2025", "2024"), ("2024", "2023", "2022"), ("Plan", "Actual"), ("31 Dec 2024", "31 Dec 2023"))
OWN_NAMES = ("Total", "Change", "Note", "Employees", "Target", "Full year", "Share of it")


def draw_groups(rng: random.Random, path: Path) -> list[Cell]:
    """A table of two or three names over the columns of one series, some with a column of its own name behind them."""
    sheet = Sheet(path, rng)
    series, own = rng.choice(SERIES), rng.sample(OWN_NAMES, 4)
    bold, at = rng.random() < 0.4, rng.choice(["left", "left", "left", "center", "right"])
    columns: list[tuple[str, str]] = [("", own.pop())] * (rng.random() < 0.3)
    for group in rng.sample(GROUP_NAMES, 2 if len(series) > 2 else rng.choice([2, 3])):
        columns += [(group, name) for name in series]
        columns += [("", own.pop())] * (rng.random() < 0.6)
    labels = rng.sample(LABELS, rng.randint(3, 8))
    figures = [[figure(rng) for _ in columns] for _ in labels]
    widths = [
        max(sheet.width(text, bold=bold) for text in (name, *(row[n] for row in figures)))
        for n, (_, name) in enumerate(columns)
    ]
    for group in {group for group, _ in columns if group}:
        places = [n for n, (name, _) in enumerate(columns) if name == group]
        spare = sheet.width(group, bold=bold) - sum(widths[n] for n in places) - 10 * (len(places) - 1)
        for n in places:
            widths[n] += max(0.0, spare) / len(places)
    lefts = [150.0]
    for width in widths:
        lefts.append(lefts[-1] + width + 10)
    sheet.next()
    for group in dict.fromkeys(group for group, _ in columns if group):
        places = [n for n, (name, _) in enumerate(columns) if name == group]
        left, right = lefts[places[0]], lefts[places[-1] + 1] - 10
        sheet.put({"left": left, "center": (left + right) / 2, "right": right}[at], group, at, bold=bold)
    for label, row in [("EUR m", [name for _, name in columns]), *zip(labels, figures, strict=True)]:
        sheet.next()
        sheet.put(60, label, bold=bold and label == "EUR m")
        for n, text in enumerate(row):
            sheet.put(lefts[n + 1] - 10, text, "right", bold=bold and label == "EUR m")
    sheet.save()
    return [
        (label, " ".join(filter(None, column)), text)
        for label, row in zip(labels, figures, strict=True)
        for column, text in zip(columns, row, strict=True)
    ]


def test_a_column_behind_a_name_of_others_keeps_its_own(tmp_path: Path) -> None:
    assert share_read(tmp_path, draw_groups, 60) > 0.97


@pytest.mark.parametrize("names", [("2025", "2024"), ("31 Dec 2024", "31 Dec 2023")], ids=["years", "dates"])
def test_one_name_stands_over_periods_alone(tmp_path: Path, names: tuple[str, str]) -> None:
    rows = {18: ("EUR m", *names, "Change"), 36: ("Income", "611.4", "623.7", "(2.0)"), 54: ("Costs", "8", "9", "1")}
    assert read_table(tmp_path, rows, [(160, 0, "Group")])[0] == (
        f"EUR m: Income; Group {names[0]}: 611.4; Group {names[1]}: 623.7; Change: (2.0)"
    )
