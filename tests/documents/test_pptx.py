"""Slide decks: slides, their shapes in the order of reading, tables, charts, notes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import pptx
import pytest
from lxml import etree
from office_files import DIAGRAM
from pptx.chart.data import CategoryChartData, XyChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches

from ragyena.config import IndexConfig
from ragyena.documents.loading import load
from ragyena.types import Document, Skipped

CONFIG = IndexConfig()
A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
BLANK, TITLE_ONLY, BULLETS, TWO = 6, 5, 1, 3


@pytest.fixture
def deck() -> Any:
    return pptx.Presentation()


@pytest.fixture
def read(tmp_path: Path, deck: Any) -> Callable[..., Document]:
    def _read(config: IndexConfig = CONFIG) -> Document:
        deck.save(tmp_path / "a_deck.pptx")
        (document,) = (d for d in load(tmp_path / "a_deck.pptx", config) if isinstance(d, Document))
        return document

    return _read


def slide(deck: Any, layout: int = TITLE_ONLY, title: str = "") -> Any:
    added = deck.slides.add_slide(deck.slide_layouts[layout])
    if title:
        added.shapes.title.text = title
    return added


def box(shapes: Any, text: str, left: float, top: float, width: float = 2, height: float = 1) -> Any:
    shape = shapes.add_textbox(Inches(left), Inches(top), Inches(width), Inches(height))
    shape.text_frame.text = text
    return shape


def kinds(document: Document) -> list[tuple[str, str]]:
    return [(block.kind, document.text[block.start : block.end]) for block in document.blocks]


def test_bullets_are_a_list_with_levels_and_numbers(deck, read) -> None:
    frame = slide(deck, BULLETS, "The lamp").placeholders[1].text_frame
    for text, level in (("oil", 0), ("whale", 1), ("gas", 0)):
        paragraph = frame.paragraphs[0] if not frame.text else frame.add_paragraph()
        paragraph.text, paragraph.level = text, level
    second = slide(deck, BULLETS, "Steps").placeholders[1].text_frame
    for text in ("clean", "fill", "light"):
        paragraph = second.paragraphs[0] if not second.text else second.add_paragraph()
        paragraph.text = text
        etree.SubElement(paragraph._p.get_or_add_pPr(), f"{A}buAutoNum", type="arabicPeriod", startAt="3")
    slide(deck, BULLETS, "One").placeholders[1].text_frame.text = "A single point."
    assert read().text == (
        "The lamp\n\n- oil\n  - whale\n- gas\n\nSteps\n\n3. clean\n4. fill\n5. light\n\nOne\n\nA single point."
    )


def test_shapes_are_read_as_they_stand_and_groups_together(deck, read) -> None:
    shapes = slide(deck, title="Plan").shapes
    box(shapes, "bottom", 1, 6)
    group = shapes.add_group_shape()
    box(group.shapes, "right below", 6, 4)
    box(group.shapes, "right above", 6, 2)
    box(shapes, "left above", 1, 2)
    box(shapes, "left below", 1, 3.1)
    assert read().text == "Plan\n\nleft above\n\nleft below\n\nright above\n\nright below\n\nbottom"


def test_a_comparison_is_read_column_by_column(deck, read) -> None:
    two = slide(deck, 4, "Oil or gas")
    for number, text in ((3, "Gas"), (4, "It is bright."), (1, "Oil"), (2, "It is cheap.")):
        two.placeholders[number].text_frame.text = text
    assert read().text == "Oil or gas\n\nOil\n\nIt is cheap.\n\nGas\n\nIt is bright."


def test_tables_repeat_merged_cells(deck, read) -> None:
    table = slide(deck).shapes.add_table(4, 3, Inches(1), Inches(2), Inches(6), Inches(2)).table
    cells = ["Region", "Quarter", "Sales", "North", "Q1", "12", "", "Q2", "14", "Total", "", "26"]
    for i, text in enumerate(cells):
        table.cell(i // 3, i % 3).text = text
    table.cell(1, 0).merge(table.cell(2, 0))
    table.cell(3, 0).merge(table.cell(3, 1))
    document = read()
    assert "Region: North; Quarter: Q1; Sales: 12\nRegion: North; Quarter: Q2; Sales: 14" in document.text
    assert document.blocks[0].header == ("Region", "Quarter", "Sales")


def test_charts_are_tables(deck, read) -> None:
    data = CategoryChartData(number_format="0%")
    data.categories = ["Q1", "Q2"]
    data.add_series("North", (0.125, 0.5))
    data.add_series("South", (0.25, None))
    place = Inches(1), Inches(2), Inches(6), Inches(4)
    chart = slide(deck).shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, *place, data).chart
    chart.has_title = True
    chart.chart_title.text_frame.text = "Lamps sold"
    points = XyChartData()
    series = points.add_series("Beam")
    series.add_data_point(1.5, 20)
    series.add_data_point(2, 31.25)
    slide(deck).shapes.add_chart(XL_CHART_TYPE.XY_SCATTER, *place, points)
    text = read().text
    assert "Lamps sold\n\nQ1; North: 13%; South: 25%\nQ2; North: 50%" in text
    assert "x: 1.5" in text and "y: 31.25" in text


def test_notes_follow_their_slide_and_descriptions_of_pictures_are_read(deck, read, tmp_path: Path) -> None:
    added = slide(deck, title="One")
    added.notes_slide.notes_text_frame.text = "Say it slowly."
    png = bytes.fromhex(
        "89504e470d0a1a0a0000000d494844520000000100000001080600000"
        "01f15c4890000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
    )
    (tmp_path / "a.png").write_bytes(png)
    picture = added.shapes.add_picture(str(tmp_path / "a.png"), Inches(1), Inches(3))
    picture._element.nvPicPr.cNvPr.set("descr", "The tower at dusk")
    slide(deck, title="Two")
    document = read()
    assert document.text == "One\n\nThe tower at dusk\n\nSpeaker notes: Say it slowly.\n\nTwo"
    assert kinds(document) == [("notes", "Speaker notes: Say it slowly.")]


def test_footers_and_texts_of_the_master_are_read_once_and_slide_numbers_not(deck, read) -> None:
    box_on_master = deck.slide_master.shapes._spTree
    source = box(slide(deck, title="One").shapes, "Eddystone Ltd", 8, 7)
    box_on_master.append(source._element)
    for title in ("Two", "Three"):
        added = slide(deck, title=title)
        for kind, text in (("ftr", "Confidential"), ("sldNum", "7")):
            shape = box(added.shapes, text, 1, 7)
            properties = shape._element.nvSpPr.nvPr
            etree.SubElement(properties, f"{properties.tag.rpartition('}')[0]}}}ph", type=kind)
    assert read().text == "One\n\nEddystone Ltd\n\nTwo\n\nConfidential\n\nThree"


def test_hidden_slides_and_shapes_are_left_out_and_the_slides_said(deck, tmp_path: Path) -> None:
    slide(deck, title="Shown")
    slide(deck, title="Secret")._element.set("show", "0")
    last = slide(deck, title="Last")
    box(last.shapes, "unseen", 1, 3)._element.nvSpPr.cNvPr.set("hidden", "1")
    deck.save(tmp_path / "a.pptx")
    skipped, document = load(tmp_path / "a.pptx", CONFIG)
    assert isinstance(skipped, Skipped) and isinstance(document, Document)
    assert (skipped.message, skipped.is_fault) == ("a.pptx, slide 2 is hidden", False)
    assert document.text == "Shown\n\nLast"
    assert document.page_labels == ("1", "2", "3")
    assert document.page_starts == (0, 7, 7)
    (document,) = load(tmp_path / "a.pptx", IndexConfig(hidden=True))
    assert isinstance(document, Document) and document.text == "Shown\n\nSecret\n\nLast"


def test_the_title_is_the_first_slides_where_the_file_names_none(deck, read) -> None:
    deck.core_properties.title = "PowerPoint Presentation"
    deck.core_properties.author = "Ann Other"
    slide(deck, 0, "Lamps\vof old")
    document = read()
    assert document.title == "Lamps of old"
    assert document.metadata["author"] == "Ann Other"


def edited(path: Path, parts: dict[str, str], links: dict[str, str]) -> Path:
    """The file with parts added; ``links`` are relations of slide 1 by kind."""
    result = path.with_name("edited.pptx")
    with ZipFile(path) as old, ZipFile(result, "w", ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "ppt/slides/_rels/slide1.xml.rels":
                base = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
                added = "".join(
                    f'<Relationship Id="{kind}" Type="{base}/{kind}" Target="{to}"/>' for kind, to in links.items()
                )
                content = content.replace(b"</Relationships>", f"{added}</Relationships>".encode())
            new.writestr(name, content)
        for name, text in parts.items():
            new.writestr(name, text)
    return result


def test_diagrams_and_on_request_comments_are_read(deck, tmp_path: Path) -> None:
    tree = slide(deck, title="Work").shapes._spTree
    diagram = (
        '<p:graphicFrame xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" '
        'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"><a:graphic><a:graphicData>'
        '<dgm:relIds xmlns:dgm="http://schemas.openxmlformats.org/drawingml/2006/diagram" '
        'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" r:dm="diagramData"/>'
        "</a:graphicData></a:graphic></p:graphicFrame>"
    )
    tree.append(etree.fromstring(diagram))
    deck.save(tmp_path / "a.pptx")
    comments = (
        '<p:cmLst xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"><p:cm authorId="0">'
        "<p:text>Who pays?</p:text></p:cm></p:cmLst>"
    )
    path = edited(
        tmp_path / "a.pptx",
        {"ppt/data1.xml": DIAGRAM, "ppt/comments/c.xml": comments},
        {"diagramData": "../data1.xml", "comments": "/ppt/comments/c.xml"},
    )
    (document,) = load(path, CONFIG)
    assert isinstance(document, Document)
    assert document.text == "Work\n\n- Plan\n  - Ask the harbour master\n- Build"
    (document,) = load(path, IndexConfig(comments=True))
    assert isinstance(document, Document)
    assert document.text.endswith("- Build\n\nComment by an unnamed author: Who pays?")


def test_many_nested_and_scattered_shapes_take_linear_time(deck, read) -> None:
    shapes = slide(deck, title="Deep").shapes
    for _ in range(50):
        shapes = shapes.add_group_shape().shapes
    box(shapes, "inside", 1, 1)
    many = slide(deck, title="Many")
    template = box(many.shapes, "dot", 1, 1)._element
    for i in range(3000):
        copy = etree.fromstring(etree.tostring(template))
        next(copy.iter(f"{A}off")).set("x", str(i * 1_000_000))
        many.shapes._spTree.append(copy)
    begun = time.monotonic()
    assert read().text.count("dot") == 3001
    assert time.monotonic() - begun < 10


def test_raised_marks_and_exponents_are_told_apart(deck: Any, read: Callable[..., Document]) -> None:
    shape = slide(deck).shapes.add_textbox(0, 0, Inches(4), Inches(1))
    for n, piece in enumerate(["The reef of 4 km", "2", " was surveyed in 1964", "3", "."]):
        added = shape.text_frame.paragraphs[0].add_run()
        added.text = piece
        if n % 2:
            added.font._element.set("baseline", "30000")
    assert read().text == "The reef of 4 km² was surveyed in 1964 ³."
