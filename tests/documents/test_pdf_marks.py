"""Marks of footnotes in PDF files: no part of names, labels and values, apart from the words of running text."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest
from pdf_samples import put_all
from random_tables import LABELS, SERIES, Cell, Sheet, put_rows, share_read

from ragyena.config import IndexConfig
from ragyena.documents.raised_marks import is_mark
from ragyena.documents.reading import read
from ragyena.types import Document

MARKS = ("1", "2", "a", "b", "(a)", "(1)", "1)", "*", "1,2", "iii", "†")


def draw_with_marks(rng: random.Random, path: Path) -> list[Cell]:
    """A table with a mark at every fifth of its texts, smaller and raised, beside the figures or pushing them aside."""
    sheet = Sheet(path, rng)
    names = rng.choice(SERIES)
    size, rise = rng.choice([0.5, 0.6, 0.7, 0.8]) * sheet.size, rng.choice([0.25, 0.35, 0.5]) * sheet.size
    hangs, bold = rng.random() < 0.5, rng.random() < 0.4

    def put(x: float, text: str, at: str = "left", *, bold: bool = False) -> None:
        mark = rng.choice(MARKS) if rng.random() < 0.2 else ""
        aside = 0.0 if hangs or at == "left" else sheet.width(mark, size=size)
        end = sheet.put(x - aside, text, at, bold=bold)
        if mark:
            sheet.put(end + rng.choice([0, 0.5, 1]), mark, size=size, rise=rise)

    rights = [240.0 + rng.choice([80, 95]) * n for n in range(len(names))]
    for right, name in zip(rights, names, strict=True):
        put(right, name, "right", bold=bold)
    cells = put_rows(rng.sample(LABELS, rng.randint(3, 8)), names, rights, rng, sheet, put)
    sheet.save()
    return cells


def test_marks_are_no_part_of_cells(tmp_path: Path) -> None:
    assert share_read(tmp_path, draw_with_marks, 40) > 0.98


def read_lines(folder: Path, *lines: tuple[str, ...]) -> list[str]:
    """The paragraphs read of lines of texts, those after ``^`` raised."""
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(folder / "a.pdf"), pagesize=(612, 792), invariant=True)
    for n, texts in enumerate(lines):
        put_all(canvas, 72, 100 + 40 * n, *texts)
    canvas.save()
    return text_of(folder / "a.pdf").split("\n\n")


def text_of(path: Path) -> str:
    (document,) = read(path, IndexConfig(ocr="off"))
    assert isinstance(document, Document)
    return document.text


def test_words_are_found_without_their_marks(tmp_path: Path) -> None:
    lines = [("The lender", "^a", " pays 1,234", "^2", " crowns", "^(b)", ", the ship", "^3", ".")]
    lines += [("Seven of ten stones came from the quarry", "^*", " of the town", "^1", " by sea.")]
    assert read_lines(tmp_path, *lines) == [
        "The lender ᵃ pays 1,234 ² crowns⁽ᵇ⁾, the ship ³.",
        "Seven of ten stones came from the quarry* of the town ¹ by sea.",
    ]


def test_exponents_ordinals_and_signs_are_part_of_their_words(tmp_path: Path) -> None:
    lines = [("It weighs 3 × 10", "^6", " kg and burns 12 m", "^3", " on 9.5 km", "^2", " of the reef.")]
    lines += [
        ("On the 1", "^st", " of May the 22", "^nd", " lamp of Varnlux", "^TM", " was lit for an R", "^2", " of 0.9.")
    ]
    assert read_lines(tmp_path, *lines) == [
        "It weighs 3 × 10⁶ kg and burns 12 m³ on 9.5 km² of the reef.",
        "On the 1st of May the 22nd lamp of Varnlux™ was lit for an R² of 0.9.",
    ]


def table(canvas: Any, top: float, *rows: tuple[tuple[str, ...], ...], last: bool = False) -> None:
    """Draw texts at four places a row, those after ``^`` raised; ``last`` draws these after all others."""
    later: list[tuple[float, float, str]] = []
    for n, row in enumerate(rows):
        for x, texts in zip((72, 200, 300, 400), row, strict=False):
            put_all(canvas, x, top + 16 * n, *texts[: 1 if last else None])
            later += [(x + canvas.stringWidth(texts[0], "Helvetica", 10), top + 16 * n, texts[-1])] * (len(texts) - 1)
    for x, y, text in later if last else ():
        put_all(canvas, x, y, text)


@pytest.mark.parametrize("last", [False, True], ids=["marks in their places", "marks after all texts"])
@pytest.mark.parametrize("ruled", [False, True], ids=["no lines", "lines"])
def test_a_mark_before_a_text_and_powers_in_cells_stay(tmp_path: Path, ruled: bool, last: bool) -> None:
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=(612, 792), invariant=True)
    rows = [(("Hall",), ("Area", "^(1)"), ("Visits", "^a")), (("North", "^1"), ("1,234", "^2"), ("88",))]
    rows += [(("Class A", "^2"), ("1,310", "^(b)"), ("10", "^3")), (("South",), ("977 m", "^2"), ("61", "^1)"))]
    table(canvas, 100, *rows, last=last)
    for y in (88, 104, 120, 136, 152) if ruled else ():
        canvas.line(70, 792 - y, 380, 792 - y)
    for x in (70, 195, 295, 380) if ruled else ():
        canvas.line(x, 792 - 88, x, 792 - 152)
    table(canvas, 180, (("^1", " Without the yard that the town lets to the ferry."),))
    canvas.save()
    assert [line for line in text_of(tmp_path / "a.pdf").split("\n") if line] == [
        "Hall: North; Area: 1,234; Visits: 88",
        "Hall: Class A; Area: 1,310; Visits: 10³",
        "Hall: South; Area: 977 m²; Visits: 61",
        "¹ Without the yard that the town lets to the ferry.",
    ]


def test_long_raised_texts_take_linear_time() -> None:
    begun = time.process_time()
    assert is_mark("reef", "1" + ",2" * 50_000)
    assert not is_mark("reef", "1" + "," * 50_000 + "Okonjo-Reyes")
    assert time.process_time() - begun < 5
