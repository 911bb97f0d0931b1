"""PDF files: reading order, tables, hyphens, headings, margins, forms, labels, metadata; scans; damaged files."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from document_samples import SAMPLES

from ragyena.config import IndexConfig
from ragyena.documents import ocr
from ragyena.documents.pdf.hyphens import Hyphens
from ragyena.documents.reading import read as load
from ragyena.errors import MissingDependencyError, UnreadableDocumentError
from ragyena.types import Document, Skipped

CONFIG = IndexConfig(ocr="off")


def canvas_of(path: Path) -> Any:
    from reportlab.pdfgen.canvas import Canvas

    return Canvas(str(path), pagesize=(612, 792), invariant=True)


def put(canvas: Any, *texts: tuple[float, float, str], size: float = 10, font: str = "Helvetica") -> None:
    """Draw texts at (x, y from the top of the page)."""
    canvas.setFont(font, size)
    for x, y, text in texts:
        canvas.drawString(x, 792 - y, text)


def read(path: Path, config: IndexConfig = CONFIG) -> Document:
    documents = [item for item in load(path, config) if isinstance(item, Document)]
    assert len(documents) == 1
    return documents[0]


def lines_at(x: float, texts: list[str], top: float = 92.0, pitch: float = 14.0) -> list[tuple[float, float, str]]:
    return [(x, top + i * pitch, text) for i, text in enumerate(texts)]


LEFT = ["The lighthouse at Varn", "was finished in 1874 by", "the engineer Ada Holm,", "who also drew its lamp."]
RIGHT = ["The harbour wall is", "three hundred metres", "long and was rebuilt", "after the great storm."]


@pytest.mark.parametrize("shift", [0.0, 5.0], ids=["level", "not level"])
def test_columns_drawn_row_by_row_are_read_one_by_one(tmp_path: Path, shift: float) -> None:
    canvas = canvas_of(tmp_path / "a.pdf")
    for left, right in zip(lines_at(50, LEFT), lines_at(320, RIGHT, 92 + shift)):
        put(canvas, left, right)
    canvas.save()
    text = read(tmp_path / "a.pdf").text
    assert text == f"{' '.join(LEFT)}\n\n{' '.join(RIGHT)}"


def test_a_table_without_lines_keeps_its_empty_cells(tmp_path: Path) -> None:
    canvas = canvas_of(tmp_path / "a.pdf")
    rows = [("Valve", "Pressure", "Weight"), ("V-10", "16 bar", "2.4 kg"), ("V-20", "", "3.9 kg")]
    for y, row in enumerate(rows):
        put(canvas, *((50 + 100 * x, 92 + 14 * y, cell) for x, cell in enumerate(row)))
    canvas.save()
    document = read(tmp_path / "a.pdf")
    assert document.text.splitlines() == [
        "Valve: V-10; Pressure: 16 bar; Weight: 2.4 kg",
        "Valve: V-20; Weight: 3.9 kg",
    ]
    assert [(block.kind, block.header) for block in document.blocks] == [("table", ("Valve", "Pressure", "Weight"))]


def test_a_form_with_a_line_under_every_row(tmp_path: Path) -> None:
    canvas = canvas_of(tmp_path / "a.pdf")
    rows = [("Tenant", "Ann Lee"), ("Flat", "second floor left"), ("Rent", "800 EUR a month"), ("Deposit", "paid")]
    for i, (label, value) in enumerate(rows):
        put(canvas, (50, 92 + 20 * i, label), (150, 92 + 20 * i, value))
        canvas.line(50, 792 - 97 - 20 * i, 300, 792 - 97 - 20 * i)
    canvas.save()
    assert read(tmp_path / "a.pdf").text == "\n".join(f"{label}: {value}" for label, value in rows)


def test_hyphens_at_line_ends(tmp_path: Path) -> None:
    canvas = canvas_of(tmp_path / "a.pdf")
    texts = [
        "The committee approved the infra-",
        "structure budget of 42 million crowns. The well-",
        "known mayor signed.",
    ]
    put(canvas, *lines_at(50, texts))
    canvas.save()
    text = read(tmp_path / "a.pdf").text
    assert text == "The committee approved the infrastructure budget of 42 million crowns. The well-known mayor signed."


@pytest.mark.parametrize(
    ("parted", "whole"),
    [
        ("the manage-|ment", "the management"),
        ("a state-|of-the-art lamp", "a state-of-the-art lamp"),
        ("a re-elec-|tion", "a re-election"),
        ("the self-|employed", "the self-employed"),
        ("an OP-|TIONAL field", "an OPTIONAL field"),
        ("the Rhine-|Main area", "the Rhine-Main area"),
        ("page 12-|14", "page 12-14"),
        ("soft\u00ad|ware", "software"),
    ],
)
def test_parted_words(parted: str, whole: str) -> None:
    assert Hyphens([parted]).join_lines(parted.replace("|", "\n")) == whole


def test_words_of_the_document_decide_on_hyphens(tmp_path: Path) -> None:
    canvas = canvas_of(tmp_path / "a.pdf")
    texts = [
        "A re-election is near, and so is the re-",
        "election of the mayor. A Zwibbelfisch is a zwibbel-",
        "fisch.",
    ]
    put(canvas, *lines_at(50, texts))
    canvas.save()
    text = read(tmp_path / "a.pdf").text
    assert "the re-election of the mayor" in text and "a zwibbelfisch." in text


def test_encrypted_without_a_reading_password_is_read(tmp_path: Path) -> None:
    from pypdf import PdfWriter

    plain = tmp_path / "plain.pdf"
    SAMPLES[".pdf"](plain)
    writer = PdfWriter(clone_from=plain)
    writer.encrypt("", owner_password="owner", algorithm="AES-256")
    writer.write(tmp_path / "owner.pdf")
    assert "Eddystone" in read(tmp_path / "owner.pdf").text


def scan(path: Path, *pages: list[str]) -> None:
    """A file whose pages are pictures of lines of text; text that begins with ``text:`` is drawn as text."""
    from PIL import Image, ImageDraw, ImageFont

    canvas = canvas_of(path)
    font = ImageFont.load_default(size=30)
    for lines in pages:
        if lines[0].startswith("text:"):
            put(canvas, *lines_at(72, lines))
        else:
            picture = Image.new("RGB", (1275, 800), "white")
            draw = ImageDraw.Draw(picture)
            for i, line in enumerate(lines):
                draw.text((100, 100 + 50 * i), line, fill="black", font=font)
            canvas.drawInlineImage(picture, 0, 400, 612, 384)
        canvas.showPage()
    canvas.save()


def test_a_file_of_scans_names_the_remedy(tmp_path: Path) -> None:
    scan(tmp_path / "scan.pdf", ["The lamp"], ["flashes."])
    with pytest.raises(UnreadableDocumentError, match=r"scan\.pdf holds no text on its 2 pages, only images"):
        read(tmp_path / "scan.pdf")


def test_scans_among_other_pages_are_named_and_the_others_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "is_installed", lambda: False)
    path = tmp_path / "mixed.pdf"
    scan(path, ["text: a page of text"], ["a picture"], ["text: more of it"])
    skipped, document = load(path, IndexConfig(ocr="auto"))
    assert isinstance(document, Document) and "more of it" in document.text and len(document.page_starts) == 3
    assert isinstance(skipped, Skipped) and "page 2 is a scan" in skipped.message and "ragyena[ocr]" in skipped.hint
    with pytest.raises(MissingDependencyError, match=r"ragyena\[ocr\]"):
        list(load(path, IndexConfig(ocr="on")))


@pytest.mark.slow
@pytest.mark.skipif(not ocr.is_installed(), reason="ragyena[ocr] is not installed")
def test_scans_are_recognised(tmp_path: Path) -> None:
    lines = ["The Eddystone lamp flashes every 10 seconds.", "Its tower is 49 metres tall."]
    scan(tmp_path / "mixed.pdf", ["text: a page of text"], lines)
    document = read(tmp_path / "mixed.pdf", IndexConfig(ocr="on"))
    assert document.text[document.page_starts[1] :] == " ".join(lines)


def test_a_word_parted_between_pages_is_whole_on_the_first(tmp_path: Path) -> None:
    canvas = canvas_of(tmp_path / "a.pdf")
    put(canvas, *lines_at(50, ["The committee approved the budget of the whole infra-"]))
    canvas.showPage()
    put(canvas, *lines_at(50, ["structure of the town."]))
    canvas.save()
    document = read(tmp_path / "a.pdf")
    assert document.text[document.page_starts[1] :] == "of the town."
    assert "whole infrastructure" in document.text


def test_headings_by_size_and_a_title_from_the_top(tmp_path: Path) -> None:
    canvas = canvas_of(tmp_path / "a.pdf")
    put(canvas, (50, 150, "Report of the port"), size=20)
    for i, title in enumerate(("The wall", "The lamp")):
        put(canvas, (50, 200 + 100 * i, title), size=14)
        put(canvas, *lines_at(50, [*LEFT, *RIGHT][:5], top=220 + 100 * i))
    canvas.save()
    document = read(tmp_path / "a.pdf")
    assert document.title == "Report of the port"
    assert [(h.level, h.text) for h in document.headings] == [
        (1, "Report of the port"),
        (2, "The wall"),
        (2, "The lamp"),
    ]
    assert all(document.text.startswith(h.text, h.start) for h in document.headings)


def test_the_outline_gives_the_headings(tmp_path: Path) -> None:
    canvas = canvas_of(tmp_path / "a.pdf")
    canvas.bookmarkPage("wall")
    canvas.addOutlineEntry("The wall", "wall", 0)
    canvas.bookmarkPage("stones")
    canvas.addOutlineEntry("Its  stones", "stones", 1)
    put(canvas, (50, 200, "1. The wall"), (50, 240, "Its stones"), (50, 280, "Granite, all of it."))
    canvas.save()
    assert [(h.level, h.text) for h in read(tmp_path / "a.pdf").headings] == [(1, "1. The wall"), (2, "Its stones")]


def test_metadata_and_page_labels(tmp_path: Path) -> None:
    from pypdf import PdfReader, PdfWriter

    canvas = canvas_of(tmp_path / "plain.pdf")
    for text in ("A preface.", "A chapter.", "More of it."):
        put(canvas, (50, 300, text))
        canvas.showPage()
    canvas.save()
    writer = PdfWriter(PdfReader(tmp_path / "plain.pdf"))
    writer.set_page_label(0, 0, style="/r", start=4)
    writer.set_page_label(1, 2, prefix="A-", style="/D", start=3)
    writer.add_metadata({"/Title": "The port", "/Author": "Ada Holm", "/Keywords": "stone, sea"})
    writer.add_metadata({"/CreationDate": "D:20250314091500+01'00'", "/ModDate": "D:202504"})
    writer.add_attachment("sums.csv", b"1,2")
    writer.write(tmp_path / "a.pdf")
    skipped, document = load(tmp_path / "a.pdf", CONFIG)
    assert isinstance(document, Document) and isinstance(skipped, Skipped)
    assert document.page_labels == ("iv", "A-3", "A-4") and document.title == "The port"
    expected = {"author": "Ada Holm", "keywords": "stone, sea", "created": "2025-03-14T09:15:00", "modified": "2025-04"}
    assert expected.items() <= document.metadata.items()
    assert "sums.csv" in skipped.message and not skipped.is_fault


def test_printed_page_numbers_are_labels_where_the_file_has_none(tmp_path: Path) -> None:
    canvas = canvas_of(tmp_path / "a.pdf")
    for number in range(37, 41):
        put(canvas, *lines_at(50, LEFT, top=200), (300, 760, str(number)))
        canvas.showPage()
    canvas.save()
    document = read(tmp_path / "a.pdf")
    assert document.page_labels == ("37", "38", "39", "40")
    assert "38" not in document.text


def test_a_field_without_a_printed_label_has_its_name(tmp_path: Path) -> None:
    canvas = canvas_of(tmp_path / "a.pdf")
    put(canvas, (50, 100, "Register of ships"))
    canvas.acroForm.textfield(name="s", tooltip="Ship", value="Orla", x=300, y=400, width=150, height=18)
    canvas.acroForm.textfield(name="p", tooltip="Pin", value="1234", x=300, y=300, fieldFlags="password")
    canvas.save()
    text = read(tmp_path / "a.pdf").text
    assert "Ship: Orla" in text and "1234" not in text


def test_a_file_cut_off_before_its_table_of_objects(tmp_path: Path) -> None:
    SAMPLES[".pdf"](tmp_path / "a.pdf")
    data = (tmp_path / "a.pdf").read_bytes()
    (tmp_path / "a.pdf").write_bytes(data[: data.index(b"xref\n")])
    assert "Eddystone" in read(tmp_path / "a.pdf").text


def test_a_file_of_pages_that_are_not_there(tmp_path: Path) -> None:
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R 2 0 R]/Count 4>>",  # its own child
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length 35>>stream\nBT /F1 9 Tf 72 700 Td (One page) Tj ET\nendstream",
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    )
    body = b"".join(b"%d 0 obj\n%s\nendobj\n" % (i, data) for i, data in enumerate(objects, 1))
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7\n" + body + b"trailer<</Root 1 0 R>>\n%%EOF\n")
    skipped, document = load(tmp_path / "a.pdf", CONFIG)
    assert isinstance(document, Document) and document.text.strip() == "One page"
    assert isinstance(skipped, Skipped) and "pages 2-4 are each damaged" in skipped.message


def test_layout_takes_time_linear_in_the_page(tmp_path: Path) -> None:
    """Rows in columns that no band holds, thousands of crossing lines, one row of thousands of cells."""
    canvas = canvas_of(tmp_path / "a.pdf")
    for i in range(3000):
        canvas.drawString(20 + 250 * (i % 2) + i % 7, 780 - 0.25 * i, f"(x)={i % 9}")
    canvas.showPage()
    for i in range(1500):
        canvas.line(0, i / 2, 612, i / 2)
        canvas.line(i / 3, 0, i / 3, 792)
    canvas.drawString(100, 100, "lines")
    canvas.showPage()
    for i in range(3000):
        canvas.drawString(i * 0.2, 500, str(i % 10))
    canvas.save()
    start = time.process_time()
    read(tmp_path / "a.pdf")
    assert time.process_time() - start < 10


def test_a_page_too_full_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ragyena.documents.pdf.content.MOST_CHARS", 1000)
    canvas = canvas_of(tmp_path / "a.pdf")
    put(canvas, (50, 100, "A page of some words."))
    canvas.showPage()
    put(canvas, *((50, 20 + 7 * i, "many words on a line of a page") for i in range(100)), size=6)
    canvas.save()
    skipped, document = load(tmp_path / "a.pdf", CONFIG)
    assert isinstance(document, Document) and document.text.strip() == "A page of some words."
    assert isinstance(skipped, Skipped) and "page 2 is too full" in skipped.message
    with pytest.raises(UnreadableDocumentError, match="holds 2 pages, more than 1"):
        read(tmp_path / "a.pdf", IndexConfig(max_document_pages=1))


WIDE = [
    "The keeper of the light is on duty from dusk until dawn, and he writes down",
    "each ship that passes the island on its way to the open sea, about",
]
REST = ["twelve of them in a night, in the book of the house.", "The book is kept for ten years."]


def test_a_running_footer_with_its_page_number_does_not_cut_a_sentence(tmp_path: Path) -> None:
    canvas = canvas_of(tmp_path / "a.pdf")
    for number, texts in enumerate([["1. The light", *WIDE], REST], 1):
        put(canvas, *lines_at(50, texts[: 1 if number == 1 else 0], top=400))
        put(canvas, *lines_at(50, texts[1 if number == 1 else 0 :], top=440 if number == 1 else 80))
        put(canvas, (50, 760, f"Port of Varn - rules 5/2024 Page {number}"), size=7)
        canvas.showPage()
    canvas.save()
    document = read(tmp_path / "a.pdf")
    assert document.text.endswith("ten years.\n\nPort of Varn - rules 5/2024")
    assert "about\ntwelve of them in a night" in document.text
    assert document.text[document.page_starts[1] :].startswith("twelve of them")


def test_a_lone_page_number_is_no_text_but_another_number_is(tmp_path: Path) -> None:
    for name, footer in (("a.pdf", "Page 1"), ("b.pdf", "1"), ("c.pdf", "48105")):
        canvas = canvas_of(tmp_path / name)
        put(canvas, *lines_at(50, LEFT, top=200), (500, 760, footer))
        canvas.save()
        assert read(tmp_path / name).text == " ".join(LEFT) + ("\n\n48105" if name == "c.pdf" else "")


def test_spaces_between_single_signs_stay_and_those_of_spaced_letters_do_not(tmp_path: Path) -> None:
    canvas = canvas_of(tmp_path / "a.pdf")
    put(canvas, (50, 100, "Sum A + B + C"), (50, 140, "7 of 3 × 3 m"), (50, 180, "L i g h t   t o w e r"))
    canvas.save()
    assert read(tmp_path / "a.pdf").text.split("\n\n") == ["Sum A + B + C", "7 of 3 × 3 m", "Light tower"]


def test_bold_words_over_a_line_end_leave_the_paragraph_whole(tmp_path: Path) -> None:
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import Paragraph, SimpleDocTemplate

    style = getSampleStyleSheet()["Normal"]
    text = (
        "The store of Old Mill Way in Stainborough, which we call the house, lets this unit to <b>Mrs Winifred Prosser "
    )
    text += "of Heron Rise and to Mr Alun Prosser of the same address</b>"
    SimpleDocTemplate(str(tmp_path / "a.pdf")).build(
        [Paragraph(text, style), Paragraph("<b>The unit</b>", getSampleStyleSheet()["Heading4"])]
    )
    assert (
        read(tmp_path / "a.pdf")
        .text.split("\n\n")[0]
        .endswith("unit to Mrs Winifred Prosser of Heron Rise and to Mr Alun Prosser of the same address")
    )


def test_packages_that_cannot_be_imported_are_not_blamed_on_the_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    ocr._engine.cache_clear()
    with pytest.raises(UnreadableDocumentError, match="cannot be imported") as caught:
        ocr.recognise(np.zeros((8, 8, 3), np.uint8))
    assert "ragyena[ocr]" in (caught.value.hint or "")


def test_a_left_column_with_a_table_is_read_to_its_end_before_the_right_one(tmp_path: Path) -> None:
    canvas = canvas_of(tmp_path / "a.pdf")
    put(canvas, *lines_at(50, 3 * [*LEFT, *RIGHT]), *lines_at(320, RIGHT), *lines_at(320, LEFT, top=260))
    for y in (160, 180, 200, 240):
        canvas.line(320, 792 - y, 520, 792 - y)
    for x in (320, 400, 520):
        canvas.line(x, 792 - 160, x, 792 - 240)
    put(canvas, *((x, y, f"cell {x} {y}") for y in (174, 194, 220) for x in (325, 405)))
    put(canvas, (50, 440, "Money"), size=14, font="Helvetica-Bold")
    put(canvas, (50, 458, "There is enough of it."))
    canvas.save()
    text = read(tmp_path / "a.pdf").text
    assert text.index("Money") < text.index("There is enough") < text.index("cell 325")
    assert text.endswith(" ".join(LEFT))


def test_names_at_the_foot_of_a_column_head_the_table_at_the_top_of_the_next(tmp_path: Path) -> None:
    canvas = canvas_of(tmp_path / "a.pdf")
    put(canvas, *lines_at(50, 3 * [*LEFT, *RIGHT]), *lines_at(320, 2 * LEFT, top=200))
    for x, top, rows in ((50, 460, 1), (320, 80, 3)):
        for n in range(rows + 1):
            canvas.line(x, 792 - top - 20 * n, x + 210, 792 - top - 20 * n)
        for column in (0, 70, 140, 210):
            canvas.line(x + column, 792 - top, x + column, 792 - top - 20 * rows)
    put(canvas, (124, 474, "Plan"), (194, 474, "Actual"))
    for n, (label, plan, actual) in enumerate((("Grants", 500, 500), ("Tools", 400, 522), ("Oil", 310, 288))):
        put(canvas, *((x, 94 + 20 * n, str(cell)) for x, cell in ((324, label), (394, plan), (464, actual))))
    canvas.save()
    text = read(tmp_path / "a.pdf").text
    assert "Grants; Plan: 500; Actual: 500\nTools; Plan: 400; Actual: 522" in text
    assert text.count("Plan") == 3


def test_a_full_line_without_an_end_goes_on_over_the_page_with_a_name_too(tmp_path: Path) -> None:
    canvas = canvas_of(tmp_path / "a.pdf")
    put(canvas, (50, 300, "The light"), *lines_at(50, [WIDE[0], f"{WIDE[1][:-6]} with Captain"], top=400))
    canvas.showPage()
    put(canvas, *lines_at(50, ["Ruys of the harbour office.", "Nobody else may."], top=300))
    canvas.save()
    document = read(tmp_path / "a.pdf")
    assert "with Captain\nRuys of the harbour office." in document.text
    assert document.text[document.page_starts[1] :].startswith("Ruys")


@pytest.mark.parametrize("longer", [0, 1], ids=["left", "right"])
@pytest.mark.parametrize("gap", [22, 26])
def test_a_heading_close_below_two_columns_is_read_after_both(tmp_path: Path, longer: int, gap: float) -> None:
    canvas = canvas_of(tmp_path / "a.pdf")
    columns = [3 * LEFT[:3], 3 * RIGHT[:3]]
    columns[longer] = [*columns[longer], *columns[longer]]
    put(canvas, *lines_at(50, columns[0], pitch=12.5), *lines_at(320, columns[1], pitch=12.5))
    bottom = 92 + 12.5 * 17
    put(canvas, (50, bottom + gap, "The harbour"), size=11, font="Helvetica-Bold")
    put(canvas, *lines_at(50, LEFT, bottom + gap + 18, 12.5), *lines_at(320, RIGHT, bottom + gap + 18, 12.5))
    canvas.save()
    *_, heading, left, right = read(tmp_path / "a.pdf").text.split("\n\n")
    assert (heading, left, right) == ("The harbour", " ".join(LEFT), " ".join(RIGHT))
