"""PDF files: reading order, tables, hyphens, headings, margins, forms, labels, metadata; scans; damaged files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from document_samples import SAMPLES

from ragyena.config import IndexConfig
from ragyena.documents import ocr
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
