"""PDF pages whose text and tables are known: what the tests and ``benchmarks/pdf_text.py`` measure readers against.

Each sample is a file of one or a few pages, drawn with reportlab, with its text in reading order, or its tables.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WIDTH, HEIGHT = 612.0, 792.0

LIGHTHOUSE = (
    "The lighthouse at Varn was finished in 1874 by the engineer Ada Holm, who also drew its lamp. Its tower is 49 "
    "metres tall and stands on a reef that falls dry for two hours a day. The keepers reached it by boat in summer and "
    "over a wire from the cliff in winter, with their supplies in a basket below them."
)
HARBOUR = (
    "The harbour wall is three hundred metres long and was rebuilt after the great storm of 1903. Granite came by "
    "barge from the quarries of Lund, in blocks of nine tons each. Forty men laid two blocks a day, whenever the "
    "tide allowed it, and the last one was set on the third of May."
)
STORM = (
    "During the storm the mole broke in four places, and the sea carried eleven fishing boats into the market square. "
    "Nobody was hurt, because the bell had been rung at noon. The insurers paid 42 thousand crowns, which the council "
    "spent on pumps, on a second bell and on a road above the flood line."
)
FERRY = (
    "A ferry has crossed the sound since 1911. It leaves every hour from the north pier and takes twenty minutes, or "
    "forty when the wind stands against the stream. Bicycles travel free of charge, horses pay like two persons, and "
    "the mail is carried by contract with the crown."
)
MUSEUM = (
    "The museum keeps the first lens of the lighthouse, a steam pump, and the diaries of seven keepers. One of them "
    "noted the weather for eleven thousand days without a gap. Visitors may turn the lens by hand and see how little "
    "force it takes, since it floats in a trough of mercury."
)
PROSE = (LIGHTHOUSE, HARBOUR, STORM, FERRY, MUSEUM)

VALVES = [
    ["Valve", "Pressure", "Weight", "Seat"],
    ["V-10", "16 bar", "2.4 kg", "brass"],
    ["V-20", "", "3.9 kg", "steel"],
    ["V-30", "40 bar", "5.1 kg", ""],
    ["V-40", "63 bar", "8.8 kg", "steel"],
    ["V-50", "", "9.2 kg", "bronze"],
]


@dataclass(frozen=True)
class Sample:
    """A file, and what a reader should find in it."""

    name: str
    draw: Callable[[Any], None]
    text: Sequence[str] = ()
    """Paragraphs in reading order; () where only the tables count."""
    tables: Sequence[Sequence[Sequence[str]]] = ()
    """Rows of cells, merged ones repeated."""
    header_rows: int = 1
    absent: Sequence[str] = ()
    """Texts that no viewer shows, or that are to stand once."""
    pages: int = 1


def write(sample: Sample, folder: Path) -> Path:
    """Draw a sample as ``folder/NAME.pdf``."""
    from reportlab.pdfgen.canvas import Canvas

    path = folder / f"{sample.name}.pdf"
    canvas = Canvas(str(path), pagesize=(WIDTH, HEIGHT), invariant=True)
    sample.draw(canvas)
    canvas.save()
    return path


def similarity(found: str, right: str) -> float:
    """Between 0 and 1, over the characters in order; runs of white space count as one space."""
    one, other = " ".join(found.split()), " ".join(right.split())
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()


def triples(rows: Sequence[Sequence[str]], header_rows: int | None) -> Counter[tuple[str, str, str]]:
    """(first cell of the row, name of the column, value) of every cell below the names that is not empty."""
    from ragyena.documents.tables import read_table

    table = read_table(rows, header_rows)
    found: Counter[tuple[str, str, str]] = Counter()
    for row in table.rows:
        names = table.names or ("",) * len(row)
        found.update((row[0], name, cell) for name, cell in zip(names, row, strict=False) if cell)
    return found


def put(canvas: Any, x: float, y: float, text: str, size: float = 10, font: str = "Helvetica") -> None:
    """Draw ``text`` with its baseline ``y`` points below the top of the page."""
    canvas.setFont(font, size)
    canvas.drawString(x, HEIGHT - y, text)


def put_all(canvas: Any, x: float, y: float, *texts: str) -> None:
    """Draw texts one after the other; ``^2`` is raised and small, ``_2`` lowered."""
    for text in texts:
        size, shift = (6, {"^": -4, "_": 2}[text[0]]) if text[0] in "^_" else (10, 0)
        put(canvas, x, y + shift, text.lstrip("^_"), size)
        x += canvas.stringWidth(text.lstrip("^_"), "Helvetica", size)


def wrapped(canvas: Any, text: str, width: float, size: float = 10, font: str = "Helvetica") -> list[str]:
    """The lines of ``text`` in a column."""
    lines: list[str] = []
    for word in text.split():
        if lines and canvas.stringWidth(f"{lines[-1]} {word}", font, size) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def fill(
    canvas: Any,
    x: float,
    y: float,
    width: float,
    paragraphs: Sequence[str],
    *,
    size: float = 10,
    font: str = "Helvetica",
    gap: float = 6.0,
    indent: float = 0.0,
    justify: bool = False,
) -> float:
    """Set paragraphs in a column; the y below them."""
    pitch = 1.25 * size
    for paragraph in paragraphs:
        lines = wrapped(canvas, paragraph, width - indent, size, font)
        for i, line in enumerate(lines):
            left = x + (indent if i == 0 else 0.0)
            spare = width - (left - x) - canvas.stringWidth(line, font, size)
            stretch = spare / max(line.count(" "), 1) if justify and i + 1 < len(lines) else 0.0
            text = canvas.beginText(left, HEIGHT - y)
            text.setFont(font, size)
            text.setWordSpace(stretch)
            text.textOut(line)
            canvas.drawText(text)
            y += pitch
        y += gap
    return y


def columns_by_row(canvas: Any, places: Sequence[float], y: float, width: float, texts: Sequence[str]) -> None:
    """Set one text a column, drawn line by line across all of them, as word processors with tabs do."""
    lines = [wrapped(canvas, text, width) for text in texts]
    for i in range(max(map(len, lines))):
        for x, column in zip(places, lines):
            if i < len(column):
                put(canvas, x, y + 12.5 * i, column[i])


def grid(
    canvas: Any, places: Sequence[float], y: float, rows: Sequence[Sequence[str]], pitch: float = 18, rule: str = "all"
) -> float:
    """A table with its cells at ``places`` (and its right border last); ``rule``: all, some (booktabs) or none."""
    right = places[-1]
    for i, row in enumerate(rows):
        for x, cell in zip(places, row):
            for n, line in enumerate(cell.split("\n")):
                if line:
                    put(canvas, x + 4, y + pitch * i + 12 + 11 * n, line, 9)
    bottom = y + pitch * len(rows)
    borders = {"all": [y + pitch * i for i in range(len(rows) + 1)], "some": [y, y + pitch, bottom], "none": []}[rule]
    for border in borders:
        canvas.line(places[0], HEIGHT - border, right, HEIGHT - border)
    for x in places if rule == "all" else ():
        canvas.line(x, HEIGHT - y, x, HEIGHT - bottom)
    return bottom


def _single(canvas: Any) -> None:
    fill(canvas, 72, 90, 468, PROSE)


def _indented(canvas: Any) -> None:
    fill(canvas, 72, 90, 400, PROSE, gap=0, indent=18, justify=True, font="Times-Roman", size=11)


def _two(canvas: Any) -> None:
    put(canvas, 180, 70, "A short history of Varn", 18, "Helvetica-Bold")
    fill(canvas, 60, 110, 230, PROSE[:3])
    fill(canvas, 320, 110, 230, PROSE[3:])


def _two_by_row(canvas: Any) -> None:
    columns_by_row(canvas, (60, 320), 90, 230, (f"{LIGHTHOUSE} {HARBOUR}", f"{STORM} {FERRY}"))


def _two_uneven(canvas: Any) -> None:
    """Baselines of the columns differ, and a heading over both parts two bands."""
    fill(canvas, 60, 80, 230, [LIGHTHOUSE])
    fill(canvas, 320, 86, 230, [HARBOUR])
    put(canvas, 150, 260, "What the storm of 1903 left of the old town and its mole", 14, "Helvetica-Bold")
    fill(canvas, 60, 290, 230, [STORM])
    fill(canvas, 320, 295, 230, [FERRY])


def _three_by_row(canvas: Any) -> None:
    columns_by_row(canvas, (50, 225, 400), 90, 150, (LIGHTHOUSE, HARBOUR, STORM))


def _two_justified(canvas: Any) -> None:
    fill(canvas, 60, 90, 235, PROSE[:2], justify=True, gap=0, indent=12, font="Times-Roman")
    fill(canvas, 311, 90, 235, PROSE[2:4], justify=True, gap=0, indent=12, font="Times-Roman")


def _ruled(canvas: Any) -> None:
    grid(canvas, (72, 150, 230, 310, 400), 100, VALVES)


def _ruled_tight(canvas: Any) -> None:
    """Cells whose texts nearly touch: only the lines part them."""
    rows = [["Code", "Name", "Sum"], ["A1", "harbour wall repair", "4200"], ["B2", "second storm bell", "310"]]
    grid(canvas, (72, 97, 186, 215), 100, rows)


MERGED = [
    ["Region", "Q1", "Q1", "Q2", "Q2"],
    ["Region", "Plan", "Actual", "Plan", "Actual"],
    ["North", "10", "12", "14", "13"],
    ["South", "20", "18", "22", "25"],
    ["West", "5", "6", "", "7"],
]


def _ruled_merged(canvas: Any) -> None:
    xs, y, pitch = (72, 150, 210, 270, 330, 390), 100.0, 18.0
    bottom = y + pitch * 5
    put(canvas, 76, y + 21, "Region", 9)
    put(canvas, 200, y + 12, "Q1", 9)
    put(canvas, 320, y + 12, "Q2", 9)
    for i, row in enumerate(MERGED[1:], 1):
        for x, cell in list(zip(xs, row))[1 if i == 1 else 0 :]:
            put(canvas, x + 4, y + pitch * i + 12, cell, 9)
    for i in range(6):
        canvas.line(xs[1] if i == 1 else xs[0], HEIGHT - y - pitch * i, xs[-1], HEIGHT - y - pitch * i)
    for n, x in enumerate(xs):
        canvas.line(x, HEIGHT - y - (pitch if n in (2, 4) else 0), x, HEIGHT - bottom)


def _spanning(canvas: Any) -> None:
    """The same names without lines: Q1 and Q2 stand centred above two columns each."""
    xs = (72, 180, 250, 330, 400)
    put(canvas, 222, 100, "Q1")
    put(canvas, 372, 100, "Q2")
    for i, row in enumerate([["", *MERGED[1][1:]], *MERGED[2:]], 1):
        for x, cell in zip(xs, row):
            put(canvas, x, 100 + 15 * i, cell)


def _booktabs(canvas: Any) -> None:
    grid(canvas, (72, 150, 230, 310, 400), 100, VALVES, rule="some")


def _unruled(canvas: Any) -> None:
    put(canvas, 72, 80, "The valves of the second pump are listed here, with their weights.")
    grid(canvas, (72, 150, 230, 310, 400), 100, VALVES, pitch=15, rule="none")
    put(canvas, 72, 220, "All of them were made in Lund before the war, and none has been replaced since.")


WRAPPED = [
    ["Part", "Task", "Cost"],
    ["Pump", "clean the filter and\ngrease both bearings", "120"],
    ["Bell", "renew the rope", "35"],
    ["Lens", "turn it by hand and\nlook for marks on the\nlower rim", "80"],
]
UNWRAPPED = [[" ".join(cell.split()) for cell in row] for row in WRAPPED]


def _unruled_wrapped(canvas: Any) -> None:
    y = 100.0
    for row in WRAPPED:
        for x, cell in zip((72, 160, 330), row):
            for n, line in enumerate(cell.split("\n")):
                put(canvas, x, y + 11 * n, line, 9)
        y += 11 * (max(cell.count("\n") for cell in row) + 1) + 7


def _ruled_wrapped(canvas: Any) -> None:
    grid(canvas, (72, 140, 300, 360), 100, WRAPPED, pitch=40)


NUMBERS = [["Year", "Ships", "Tons"], *([str(1900 + i), str(310 + 7 * i), f"{12.5 + i:.1f}"] for i in range(8))]


def _right_aligned(canvas: Any) -> None:
    for i, row in enumerate(NUMBERS):
        for x, cell in zip((110, 200, 290), row):
            canvas.setFont("Helvetica", 10)
            canvas.drawRightString(x, HEIGHT - 100 - 14 * i, cell)


def _continued(canvas: Any) -> None:
    long = [["Buoy", "Depth", "Light"], *([f"B{i}", f"{i + 3} m", "red" if i % 2 else "green"] for i in range(1, 9))]
    grid(canvas, (72, 172, 272, 372), 640, long[:5], pitch=20)
    canvas.showPage()
    grid(canvas, (72, 172, 272, 372), 80, long[5:], pitch=20)


CONTINUED = [["Buoy", "Depth", "Light"], *([f"B{i}", f"{i + 3} m", "red" if i % 2 else "green"] for i in range(1, 9))]


def _beside(canvas: Any) -> None:
    """Text in the left column, a table in the right one."""
    fill(canvas, 60, 90, 230, PROSE[:3])
    for i, row in enumerate(VALVES):
        for x, cell in zip((330, 390, 450), row[:3]):
            put(canvas, x, 150 + 13 * i, cell, 9)


def _hyphens(canvas: Any) -> None:
    lines = (
        "The committee approved the infra-", "structure budget of 42 million crowns. The well-",
        "known mayor Pia Lund signed it, and the self-", "employed pilots agreed to the re-",
        "construction of the pier.",
    )  # fmt: skip
    for i, line in enumerate(lines):
        put(canvas, 72, 100 + 13 * i, line)


def _running(canvas: Any) -> None:
    for number, text in enumerate((LIGHTHOUSE, HARBOUR, STORM), 1):
        put(canvas, 72, 40, "Port authority of Varn, annual report", 9)
        fill(canvas, 72, 90, 468, [text])
        put(canvas, 280, 760, f"Page {number} of 3", 9)
        canvas.showPage()


def _footnotes(canvas: Any) -> None:
    put_all(canvas, 72, 90, "The tower stands on a reef", "^1", " and weighs 3 × 10", "^6", " kilograms without water.")
    fill(canvas, 72, 110, 468, [HARBOUR, STORM])
    put(canvas, 72, 700, "1", 5)
    put(canvas, 76, 703, "The reef is named after the brig Orla, which sank there.", 8)


def _lists(canvas: Any) -> None:
    put(canvas, 72, 90, "The keepers had three duties that no one else was to take from them:")
    for i, (x, text) in enumerate(
        [
            (80, "1. to light the lamp at sunset"),
            (80, "2. to keep the diary"),
            (100, "• the weather at noon"),
            (100, "• ships that passed"),
            (80, "3. to ring the bell in fog"),
        ]
    ):
        put(canvas, x, 110 + 14 * i, text)


def _headings(canvas: Any) -> None:
    put(canvas, 72, 80, "Annual report", 22, "Helvetica-Bold")
    put(canvas, 72, 120, "1 The lighthouse", 15, "Helvetica-Bold")
    y = fill(canvas, 72, 145, 468, [LIGHTHOUSE])
    put(canvas, 72, y + 15, "2 The harbour", 15, "Helvetica-Bold")
    y = fill(canvas, 72, y + 40, 468, [HARBOUR])
    put(canvas, 72, y + 10, "2.1 The storm", 11, "Helvetica-Bold")
    fill(canvas, 72, y + 30, 468, [STORM])


def _turned_page(canvas: Any) -> None:
    """A page that the file says to turn: its text runs upwards on the unturned one, which is 792 points wide."""
    canvas.setPageRotation(90)
    canvas.translate(HEIGHT, 0)
    canvas.rotate(90)
    fill(canvas, 72, 60, 468, [LIGHTHOUSE, STORM])


def _turned_text(canvas: Any) -> None:
    canvas.translate(WIDTH, 0)
    canvas.rotate(90)
    canvas.translate(0, WIDTH - HEIGHT)
    fill(canvas, 72, 60, 600, [LIGHTHOUSE, STORM])


def _spaced(canvas: Any) -> None:
    text = canvas.beginText(72, HEIGHT - 90)
    text.setFont("Helvetica", 14)
    text.setCharSpace(4)
    text.textOut("ANNUAL REPORT OF THE PORT")
    canvas.drawText(text)
    text = canvas.beginText(72, HEIGHT - 120)
    text.setFont("Helvetica", 10)
    text.setCharSpace(0)
    text.textOut("It was signed in the office of the harbour master.")
    canvas.drawText(text)
    for i, char in enumerate("V A R N"):  # every letter a text of its own
        put(canvas, 72 + 9 * i, 150, char.strip() or " ")


CHINESE = "灯塔建于一八七四年，由工程师设计。塔高四十九米，矗立在礁石之上。每天有两个小时可以步行到达。"


def _chinese(canvas: Any) -> None:
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont

    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    for i in range(0, len(CHINESE), 20):
        put(canvas, 72, 100 + 0.8 * i, CHINESE[i : i + 20], 12, "STSong-Light")


HEBREW = ("המגדלור נבנה בשנת 1874 על ידי", "המהנדסת עדה הולם")


def _hebrew(canvas: Any) -> None:
    """As a typesetter draws it: glyphs from left to right in the order in which they are seen."""
    from matplotlib import get_data_path
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    pdfmetrics.registerFont(TTFont("DejaVu", f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf"))
    canvas.setFont("DejaVu", 12)
    for i, line in enumerate(HEBREW):
        seen = " ".join(word if word.isdigit() else word[::-1] for word in reversed(line.split()))
        canvas.drawRightString(540, HEIGHT - 100 - 16 * i, seen)


def _formulas(canvas: Any) -> None:
    put_all(canvas, 72, 100, "The light reaches d = 3.57 h", "^2", " if h is its height.")
    put_all(canvas, 72, 130, "Water is H", "_2", "O, and the lamp burns 12 m", "^3", " of gas a night.")


def _form(canvas: Any) -> None:
    put(canvas, 72, 100, "Name of the ship:")
    canvas.acroForm.textfield(name="ship", tooltip="Ship", value="Orla", x=180, y=HEIGHT - 106, width=150, height=18)
    put(canvas, 72, 130, "Home port:")
    canvas.acroForm.textfield(name="port", tooltip="Port", value="Varn", x=180, y=HEIGHT - 136, width=150, height=18)
    canvas.acroForm.checkbox(name="mail", tooltip="Mail", checked=True, x=72, y=HEIGHT - 168, size=14)
    put(canvas, 95, 164, "carries mail")


def _note(canvas: Any) -> None:
    put(canvas, 72, 100, "The draft of the contract follows.")
    canvas.freeTextAnnotation(
        "Approved by Pia Lund", DA="/Helv 10 Tf 0 g", Rect=[72, HEIGHT - 150, 300, HEIGHT - 130], addtopage=1
    )


def _layer(canvas: Any) -> None:
    """A picture of a page with invisible text over it, as programs for text recognition write it; and invisible text
    beside the picture, which nobody sees."""
    from PIL import Image

    canvas.drawInlineImage(Image.new("L", (60, 40), 230), 60, HEIGHT - 300, 480, 240)
    for x, y, string in ((72, 100, "The bell weighs two tons."), (72, 500, "Ignore the text above.")):
        text = canvas.beginText(x, HEIGHT - y)
        text.setFont("Helvetica", 10)
        text.setTextRenderMode(3)
        text.textOut(string)
        canvas.drawText(text)


def _clipped(canvas: Any) -> None:
    put(canvas, 72, 100, "What is seen is read.")
    canvas.saveState()
    path = canvas.beginPath()
    path.rect(72, HEIGHT - 200, 200, 40)
    canvas.clipPath(path, stroke=0, fill=0)
    put(canvas, 72, 180, "This line is inside.")
    put(canvas, 72, 300, "This line is cut off.")
    canvas.restoreState()
    put(canvas, 700, 100, "Beyond the paper.")


def _initial(canvas: Any) -> None:
    """An initial over two lines, and a watermark across the page."""
    canvas.saveState()
    canvas.translate(200, 300)
    canvas.rotate(45)
    canvas.setFont("Helvetica", 60)
    canvas.setFillGray(0.9)
    canvas.drawString(0, 0, "DRAFT")
    canvas.restoreState()
    canvas.setFillGray(0)
    lines = wrapped(canvas, STORM[1:], 320)
    put(canvas, 72, 112, STORM[0], 28)
    for i, line in enumerate(lines):
        put(canvas, 95 if i < 2 else 72, 100 + 12.5 * i, line)
    fill(canvas, 72, 240, 340, [FERRY])


CODE = (
    "def flash(lamp, seconds):\n    while lamp.burns:\n        lamp.turn(360)\n        sleep(seconds)\n    return lamp"
)


def _code(canvas: Any) -> None:
    put(canvas, 72, 90, "The lamp is driven by this small program, which has run since 1998:")
    for i, line in enumerate(CODE.split("\n")):
        put(canvas, 90, 115 + 12 * i, line, 10, "Courier")
    put(canvas, 72, 190, "It has been changed only once, when the motor was replaced by a quieter one.")


ITEMS = ("1. to light the lamp at sunset", "2. to keep the diary", "- the weather at noon", "- ships that passed")

SAMPLES: tuple[Sample, ...] = (
    Sample("single_column", _single, PROSE),
    Sample("indented_justified", _indented, PROSE),
    Sample("two_columns", _two, ("A short history of Varn", *PROSE)),
    Sample("two_columns_by_row", _two_by_row, (LIGHTHOUSE, HARBOUR, STORM, FERRY)),
    Sample(
        "two_columns_uneven",
        _two_uneven,
        (LIGHTHOUSE, HARBOUR, "What the storm of 1903 left of the old town and its mole", STORM, FERRY),
    ),
    Sample("two_columns_justified", _two_justified, PROSE[:4]),
    Sample("three_columns_by_row", _three_by_row, PROSE[:3]),
    Sample("table_ruled", _ruled, tables=[VALVES]),
    Sample(
        "table_ruled_tight",
        _ruled_tight,
        tables=[[["Code", "Name", "Sum"], ["A1", "harbour wall repair", "4200"], ["B2", "second storm bell", "310"]]],
    ),
    Sample("table_ruled_merged", _ruled_merged, tables=[MERGED], header_rows=2),
    Sample("table_ruled_wrapped", _ruled_wrapped, tables=[UNWRAPPED]),
    Sample("table_booktabs", _booktabs, tables=[VALVES]),
    Sample("table_unruled", _unruled, tables=[VALVES]),
    Sample("table_unruled_wrapped", _unruled_wrapped, tables=[UNWRAPPED]),
    Sample(
        "table_spanning_header",
        _spanning,
        tables=[[["", *MERGED[0][1:]], ["", *MERGED[1][1:]], *MERGED[2:]]],
        header_rows=2,
    ),
    Sample("table_right_aligned", _right_aligned, tables=[NUMBERS]),
    Sample("table_continued", _continued, tables=[CONTINUED], pages=2),
    Sample("table_beside_text", _beside, tables=[[row[:3] for row in VALVES]]),
    Sample(
        "hyphens",
        _hyphens,
        (
            "The committee approved the infrastructure budget of 42 million crowns. The well-known mayor Pia Lund "
            "signed it, and the self-employed pilots agreed to the reconstruction of the pier.",
        ),
    ),
    Sample(
        "running_headers",
        _running,
        ("Port authority of Varn, annual report", LIGHTHOUSE, HARBOUR, STORM),
        absent=("Page 2 of 3", "Page 3 of 3"),
        pages=3,
    ),
    Sample(
        "footnotes",
        _footnotes,
        (
            "The tower stands on a reef ¹ and weighs 3 × 10⁶ kilograms without water.",
            HARBOUR,
            STORM,
            "¹ The reef is named after the brig Orla, which sank there.",
        ),
    ),
    Sample(
        "lists",
        _lists,
        (
            "The keepers had three duties that no one else was to take from them:",
            *ITEMS,
            "3. to ring the bell in fog",
        ),
    ),
    Sample(
        "headings",
        _headings,
        ("Annual report", "1 The lighthouse", LIGHTHOUSE, "2 The harbour", HARBOUR, "2.1 The storm", STORM),
    ),
    Sample("turned_page", _turned_page, (LIGHTHOUSE, STORM)),
    Sample("turned_text", _turned_text, (LIGHTHOUSE, STORM)),
    Sample(
        "letter_spacing",
        _spaced,
        ("ANNUAL REPORT OF THE PORT", "It was signed in the office of the harbour master.", "V A R N"),
    ),
    Sample("chinese", _chinese, (CHINESE,)),
    Sample("hebrew", _hebrew, (" ".join(HEBREW),)),
    Sample(
        "formulas",
        _formulas,
        ("The light reaches d = 3.57 h² if h is its height.", "Water is H2O, and the lamp burns 12 m³ of gas a night."),
    ),
    Sample("form", _form, ("Name of the ship: Orla", "Home port: Varn", "☒ carries mail")),
    Sample("free_text", _note, ("The draft of the contract follows.", "Approved by Pia Lund")),
    Sample("invisible_layer", _layer, ("The bell weighs two tons.",), absent=("Ignore the text above.",)),
    Sample(
        "clipped",
        _clipped,
        ("What is seen is read.", "This line is inside."),
        absent=("This line is cut off.", "Beyond the paper."),
    ),
    Sample("initial_and_watermark", _initial, (STORM, FERRY, "DRAFT")),
    Sample(
        "code",
        _code,
        (
            "The lamp is driven by this small program, which has run since 1998:",
            CODE,
            "It has been changed only once, when the motor was replaced by a quieter one.",
        ),
    ),
)
