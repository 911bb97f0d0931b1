"""A real file of every format, each with the same facts in it. The tests of formats run on all of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from pathlib import Path
from zipfile import ZipFile

from office_files import write_odf
from outlook import fixed, text, write_compound

FACT = "The Eddystone lamp flashes every 10 seconds."
SECOND = "Its tower is 49 metres tall."


def write_text(path: Path) -> None:
    path.write_text(f"Lighthouses\n\n{FACT}\n{SECOND}\n", encoding="utf-8")


def write_markdown(path: Path) -> None:
    path.write_text(f"# Lighthouses\n\n{FACT}\n\n## The `tower` of *stone*\n\n{SECOND}\n", encoding="utf-8")


def write_rst(path: Path) -> None:
    path.write_text(
        f"===========\nLighthouses\n===========\n\n{FACT}\n\nThe tower\n---------\n\n{SECOND}\n", encoding="utf-8"
    )


def write_html(path: Path) -> None:
    path.write_text(
        f"""<!doctype html><html><head><title>Lighthouses</title><style>p {{color: red}}</style>
        <script>var hidden = "secret script";</script></head><body>
        <nav><a href="/">Home link</a></nav>
        <main><h1>Lighthouses</h1><p>The Eddystone <b>lamp</b>
           flashes every&#32;10 seconds.</p><h2>The tower</h2><p>{SECOND}</p>
        <ul><li>granite</li><li>oak</li></ul>
        <table><tr><th>Year</th><th>Event</th></tr><tr><td>1698</td><td>first light</td></tr></table>
        <pre>line one\n  line two</pre></main></body></html>""",
        encoding="utf-8",
    )


def write_pdf(path: Path) -> None:
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(path))
    canvas.setTitle("Lighthouses")
    canvas.bookmarkPage("lamp")
    canvas.addOutlineEntry("The lamp", "lamp", 0)
    canvas.drawString(72, 720, "The lamp")
    canvas.drawString(72, 690, FACT)
    canvas.showPage()
    canvas.showPage()  # an empty page counts as a page
    canvas.drawString(72, 720, SECOND)
    canvas.save()


def write_docx(path: Path) -> None:
    import docx

    file = docx.Document()
    file.core_properties.title = "Lighthouses"
    file.add_heading("The lamp", level=1)
    file.add_paragraph(FACT)
    file.add_heading("The tower", level=2)
    file.add_paragraph(SECOND)
    file.add_paragraph("granite", style="List Bullet")
    table = file.add_table(rows=1, cols=2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = "1698", "first light"
    file.save(str(path))


def write_odt(path: Path) -> None:
    heading = '<text:h text:outline-level="{}">{}</text:h>'
    body = heading.format(1, "The lamp") + f"<text:p>{FACT}</text:p>" + heading.format(2, "The tower")
    write_odf(path, f"{body}<text:p>{SECOND}</text:p>", meta="<dc:title>Lighthouses</dc:title>")


def write_odp(path: Path) -> None:
    box = "<draw:text-box><text:p>{}</text:p></draw:text-box>"
    page = f'<draw:page><draw:frame presentation:class="title">{box}</draw:frame>{{}}'
    shape = "<draw:custom-shape><text:p>{}</text:p></draw:custom-shape></draw:page>"
    body = page.format("The lamp", shape.format(FACT)) + page.format("The tower", shape.format(SECOND))
    write_odf(path, body, kind="presentation", meta="<dc:title>Lighthouses</dc:title>")


def write_ods(path: Path) -> None:
    rows = (("place", "note"), ("Plymouth", FACT), ("Plymouth Hoe", SECOND))
    cell = "<table:table-cell><text:p>{}</text:p></table:table-cell>"
    body = "".join(f"<table:table-row>{''.join(map(cell.format, row))}</table:table-row>" for row in rows)
    table = f'<table:table table:name="Lamps">{body}</table:table>'
    write_odf(path, table, kind="spreadsheet", meta="<dc:title>Lighthouses</dc:title>")


def write_pptx(path: Path) -> None:
    import pptx

    deck = pptx.Presentation()
    deck.core_properties.title = "Lighthouses"
    for title, line in (("The lamp", FACT), ("The tower", SECOND)):
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = line
    deck.save(str(path))


def write_xlsx(path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    book.active.title = "Lamps"
    for row in (["place", "note", "height"], ["Plymouth", FACT, 49], ["Plymouth Hoe", SECOND, 22.5]):
        book.active.append(row)
    book.properties.title = "Lighthouses"
    book.save(path)


def write_csv(path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["title", "text", "year"], ["Lighthouses", FACT, "1698"], ["Lighthouses", SECOND, "1882"]])


def write_jsonl(path: Path) -> None:
    rows = [{"title": "Lighthouses", "text": FACT, "year": 1698}, {"title": "Lighthouses", "text": SECOND}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_eml(path: Path) -> None:
    mail = EmailMessage()
    mail["Subject"] = "Lighthouses"
    mail.set_content(f"{FACT}\n\n{SECOND}\n")
    path.write_bytes(mail.as_bytes())


def write_ipynb(path: Path) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Lighthouses\n", "\n", FACT]},
        {"cell_type": "code", "source": f"print({SECOND!r})", "outputs": []},
    ]
    path.write_text(json.dumps({"cells": cells, "nbformat": 4}), encoding="utf-8")


def write_msg(path: Path) -> None:
    write_compound(path, {**text(0x0037, "Lighthouses"), **text(0x1000, f"{FACT}\r\n{SECOND}"), **fixed(32, {})})


def write_epub(path: Path) -> None:
    package = (
        '<package xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Lighthouses</dc:title>'
        '<manifest><item id="c" href="c.xhtml"/></manifest><spine><itemref idref="c"/></spine></package>'
    )
    with ZipFile(path, "w") as archive:
        archive.writestr("book.opf", package)
        archive.writestr("c.xhtml", f"<html><body><h1>The lamp</h1><p>{FACT}</p><p>{SECOND}</p></body></html>")


def write_rtf(path: Path) -> None:
    path.write_text(f"{{\\rtf1{{\\info{{\\title Lighthouses}}}} {FACT}\\par {SECOND}\\par}}", encoding="ascii")


def write_vtt(path: Path) -> None:
    path.write_text(
        f"WEBVTT - Lighthouses\n\n00:01.000 --> 00:02.000\n{FACT}\n\n00:02.000 --> 00:03.000\n{SECOND}\n",
        encoding="utf-8",
    )


def write_org(path: Path) -> None:
    path.write_text(f"#+TITLE: Lighthouses\n* The lamp\n{FACT}\n* The tower\n{SECOND}\n", encoding="utf-8")


def write_asciidoc(path: Path) -> None:
    path.write_text(f"= Lighthouses\n\n{FACT}\n\n== The tower\n\n{SECOND}\n", encoding="utf-8")


def write_xml(path: Path) -> None:
    path.write_text(
        f"<book><title>Lighthouses</title><chapter><title>The lamp</title><para>{FACT}</para><para>{SECOND}</para>"
        "</chapter></book>",
        encoding="utf-8",
    )


def write_latex(path: Path) -> None:
    path.write_text(
        f"\\documentclass{{article}}\\title{{Lighthouses}}\\begin{{document}}\n{FACT}\n\n{SECOND}\n\\end{{document}}\n",
        encoding="utf-8",
    )


def write_code(path: Path) -> None:
    path.write_text(f'"""Lighthouses"""\n\n# {FACT}\n# {SECOND}\nSECONDS = 10\n', encoding="utf-8")


SAMPLES: Mapping[str, Callable[[Path], None]] = {
    ".txt": write_text,
    ".md": write_markdown,
    ".rst": write_rst,
    ".html": write_html,
    ".pdf": write_pdf,
    ".docx": write_docx,
    ".pptx": write_pptx,
    ".odt": write_odt,
    ".odp": write_odp,
    ".ods": write_ods,
    ".xlsx": write_xlsx,
    ".csv": write_csv,
    ".jsonl": write_jsonl,
    ".py": write_code,
    ".eml": write_eml,
    ".ipynb": write_ipynb,
    ".xml": write_xml,
    ".tex": write_latex,
    ".msg": write_msg,
    ".epub": write_epub,
    ".rtf": write_rtf,
    ".vtt": write_vtt,
    ".org": write_org,
    ".adoc": write_asciidoc,
}
