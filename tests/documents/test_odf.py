"""OpenDocument texts and presentations: what a person sees in them is what is read."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from office_files import ODF, write_odf

from ragyena.config import IndexConfig
from ragyena.documents.loading import load
from ragyena.errors import UnreadableDocumentError
from ragyena.types import Document, Skipped

CONFIG = IndexConfig()


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Document]:
    def _read(body: str, name: str = "a_lamp.odt", config: IndexConfig = CONFIG, **more: object) -> Document:
        (document,) = load(write_odf(tmp_path / name, body, **more), config)
        assert isinstance(document, Document)
        return document

    return _read


def p(content: str, style: str = "") -> str:
    return f'<text:p text:style-name="{style}">{content}</text:p>'


def cell(content: str, attributes: str = "") -> str:
    return f"<table:table-cell {attributes}>{p(content)}</table:table-cell>"


def row(*cells: str, attributes: str = "") -> str:
    wrapped = (one if one.startswith("<") else cell(one) for one in cells)
    return f"<table:table-row {attributes}>{''.join(wrapped)}</table:table-row>"


def table(*rows: str) -> str:
    return f"<table:table>{''.join(rows)}</table:table>"


COVERED = "<table:covered-table-cell/>"


def test_text_keeps_its_spaces_and_deleted_text_is_not_read(read) -> None:
    changes = (
        '<text:tracked-changes><text:changed-region text:id="c1"><text:deletion>' + p("900") + "</text:deletion>"
        "</text:changed-region></text:tracked-changes>"
    )
    body = changes + p(
        'The  rent\nis <text:change text:change-id="c1"/><text:change-start text:change-id="c2"/>1250'
        '<text:change-end text:change-id="c2"/><text:s text:c="2"/><text:span>euros</text:span> a month.<text:tab/>Due'
        "<text:line-break/>now<text:a>, here</text:a>"
    )
    assert read(body).text == "The rent is 1250  euros a month.\tDue\nnow, here"


def test_notes_boxes_pictures_and_hidden_text(read) -> None:
    hidden = (
        '<style:style style:name="H" style:family="text"><style:text-properties text:display="none"/></style:style>'
        '<style:style style:name="H2" style:family="text" style:parent-style-name="H"/>'
    )
    note = (
        '<text:note text:note-class="footnote"><text:note-citation>1</text:note-citation><text:note-body>'
        + p("Except the battery.")
        + "</text:note-body></text:note>"
    )
    box = f"<draw:frame><draw:text-box>{p('The code is 5512.')}</draw:text-box></draw:frame>"
    picture = "<draw:frame><draw:image/><svg:title>x</svg:title><svg:desc>The tower at dusk</svg:desc></draw:frame>"
    body = (
        p(f"All parts are{note} covered{box}.")
        + p(f"Seen<text:span text:style-name='H2'> not</text:span>{picture}")
        + f'<text:section text:display="none">{p("Secret")}</text:section>'
        + p('<text:hidden-paragraph text:is-hidden="true"/>Hidden')
        + p("<text:ruby><text:ruby-base>灯</text:ruby-base><text:ruby-text>とう</text:ruby-text></text:ruby>台")
    )
    document = read(body, automatic=hidden)
    assert document.text == (
        "All parts are covered.\n\n[1] Except the battery.\n\nThe code is 5512.\n\nSeen\n\nThe tower at dusk\n\n灯台"
    )
    assert [block.kind for block in document.blocks] == ["footnote"]


def test_comments_are_read_on_request(read) -> None:
    body = p(
        f"Red.<office:annotation><dc:creator>Ann</dc:creator><dc:date>2024</dc:date>{p('Is it?')}</office:annotation>"
    )
    assert read(body).text == "Red."
    assert read(body, config=IndexConfig(comments=True)).text == "Red.\n\nComment by Ann: Is it?"


LISTS = (
    '<text:list-style style:name="L1"><text:list-level-style-number text:level="1" style:num-format="1" '
    'style:num-suffix="."/><text:list-level-style-number text:level="2" style:num-format="a" style:num-suffix=")" '
    'text:display-levels="2"/></text:list-style><text:list-style style:name="L2">'
    '<text:list-level-style-bullet text:level="1" text:bullet-char="•"/></text:list-style>'
)


def items(*texts: str, attributes: str = 'text:style-name="L1"') -> str:
    return (
        f"<text:list {attributes}>"
        + "".join(f"<text:list-item>{text}</text:list-item>" for text in texts)
        + "</text:list>"
    )


def test_items_carry_their_numbers(read) -> None:
    inner = items(p("below"), p("below"), attributes="")
    body = (
        items(p("one") + p("more of it") + inner, p("two") + inner)
        + p("Between.")
        + items(p("three"), attributes='text:style-name="L1" text:continue-numbering="true"')
        + items(p("one again"))
        + items(p("dot"), attributes='text:style-name="L2"')
    )
    assert read(body, automatic=LISTS).text == (
        "1. one\n\nmore of it\n\n  1.a) below\n  1.b) below\n2. two\n  2.a) below\n  2.b) below\n\nBetween.\n\n"
        "3. three\n1. one again\n- dot"
    )


def test_headings_carry_their_numbers_and_the_title_is_found(read) -> None:
    styles = (
        '<office:styles><text:outline-style><text:outline-level-style text:level="1" style:num-format="I"/>'
        '<text:outline-level-style text:level="2" style:num-format="1" text:display-levels="2"/></text:outline-style>'
        '<style:style style:name="Title" style:family="paragraph"/></office:styles>'
    )
    automatic = '<style:style style:name="P1" style:family="paragraph" style:parent-style-name="Title"/>'
    heading = '<text:h text:outline-level="{}">{}</text:h>'
    body = p("The Lamp", "P1") + heading.format(1, "Oil") + heading.format(2, "Price") + heading.format(1, "Gas")
    document = read(body, styles=styles, automatic=automatic)
    assert document.title == "The Lamp"
    assert [(h.level, h.text) for h in document.headings] == [(1, "I Oil"), (2, "I.1 Price"), (1, "II Gas")]
    assert read(p("Capacity", "Heading_20_2")).headings[0].level == 2


def test_tables_repeat_merged_cells_and_bound_repeated_ones(read) -> None:
    body = table(
        "<table:table-header-rows>"
        + row(cell("Region", 'table:number-rows-spanned="2"'), cell("Q1", 'table:number-columns-spanned="2"'), COVERED)
        + row(COVERED, "Plan", "Actual")
        + "</table:table-header-rows>",
        row(cell("North", 'table:number-rows-spanned="2"'), "12", "14"),
        row(COVERED, cell("13", 'table:number-columns-repeated="2"')),
        row(cell("", 'table:number-columns-repeated="1000000"'), attributes='table:number-rows-repeated="1000000"'),
    )
    assert read(body).text == ("Region: North; Q1 Plan: 12; Q1 Actual: 14\nRegion: North; Q1 Plan: 13; Q1 Actual: 13")
    square = table(
        row("a", "b", "c"),
        row(cell("wide", 'table:number-columns-spanned="2" table:number-rows-spanned="2"'), COVERED, "x1"),
        row(COVERED, COVERED, "x2"),
    )
    assert "a: wide; c: x2" in read(square).text


def test_headers_and_footers_are_read_once(read) -> None:
    footer = p("Eddystone Ltd<text:tab/>Page <text:page-number>3</text:page-number>")
    masters = "".join(
        f"<style:master-page><style:header>{p('Contract 2024-117')}</style:header><style:footer>{footer}</style:footer>"
        f'<style:header-left style:display="false">{p("Unused")}</style:header-left></style:master-page>'
        for _ in range(2)
    )
    document = read(p("Body."), styles=f"<office:master-styles>{masters}</office:master-styles>")
    assert document.text == "Contract 2024-117\n\nBody.\n\nEddystone Ltd"


def test_charts_and_formulas_of_their_own_files(read) -> None:
    chart = (
        f"<office:document-content {ODF}><office:body><office:chart><chart:chart><chart:title>{p('Lamps sold')}"
        "</chart:title>"
        + table(
            "<table:table-header-rows>" + row("", "North", "South") + "</table:table-header-rows>",
            row("Q1", "12", "13"),
            row("Q2", "14", "15"),
        )
        + "</chart:chart></office:chart></office:body></office:document-content>"
    )
    formula = f"<math:math {ODF}><math:msup><math:mi>x</math:mi><math:mn>2</math:mn></math:msup></math:math>"
    link = '<draw:frame><draw:object xlink:href="./{}"/></draw:frame>'
    document = read(
        p("Area " + link.format("Object 1")) + p(link.format("Object 2")),
        parts={"Object 1/content.xml": formula, "Object 2/content.xml": chart},
    )
    assert document.text == "Area x^2\n\nLamps sold\n\nQ1; North: 12; South: 13\nQ2; North: 14; South: 15"


def test_metadata_and_flat_files(read) -> None:
    meta = (
        "<dc:title>Lamps</dc:title><meta:initial-creator>Ann Other</meta:initial-creator><dc:creator>Bob</dc:creator>"
        "<meta:creation-date>2024-05-06T07:08:09</meta:creation-date><meta:keyword>lamp</meta:keyword>"
        "<meta:keyword>tower</meta:keyword>"
    )
    for name in ("a.odt", "a.fodt"):
        document = read(p("Text."), name=name, meta=meta)
        assert (document.text, document.title) == ("Text.", "Lamps")
        assert document.metadata == {"author": "Ann Other", "created": "2024-05-06", "keywords": "lamp, tower"}


def frame(content: str, kind: str = "", left: int = 0, top: int = 0) -> str:
    place = f'svg:x="{left}cm" svg:y="{top}cm" svg:width="5cm" svg:height="2cm"'
    return f'<draw:frame presentation:class="{kind}" {place}><draw:text-box>{content}</draw:text-box></draw:frame>'


def test_slides_are_pages_read_in_order_with_notes(tmp_path: Path) -> None:
    automatic = (
        '<style:style style:name="dp2" style:family="drawing-page">'
        '<style:drawing-page-properties presentation:visibility="hidden"/></style:style>'
    )
    bullets = (
        "<text:list>" + "".join(f"<text:list-item>{p(t)}</text:list-item>" for t in ("oil", "gas")) + "</text:list>"
    )
    notes = f"<presentation:notes>{frame(p('Say it slowly.'), 'notes')}</presentation:notes>"
    title = frame(p("The lamp"), "title", 1, 20)
    body = (
        f"<draw:page>{frame(p('below'), '', 1, 9)}{frame(bullets, 'outline', 1, 4)}{title}"
        f"<draw:g><draw:custom-shape svg:x='9cm' svg:y='4cm' svg:width='2cm' svg:height='1cm'>{p('grouped')}"
        f"</draw:custom-shape></draw:g>{notes}</draw:page>"
        f'<draw:page draw:style-name="dp2">{frame(p("Secret"), "title")}</draw:page>'
        f"<draw:page>{frame(p('Last'), 'title')}</draw:page>"
    )
    path = write_odf(tmp_path / "a.odp", body, kind="presentation", automatic=automatic)
    skipped, document = load(path, CONFIG)
    assert isinstance(skipped, Skipped) and isinstance(document, Document)
    assert (skipped.message, skipped.is_fault) == ("a.odp, slide 2 is hidden", False)
    assert document.text == "The lamp\n\n- oil\n- gas\n\ngrouped\n\nbelow\n\nSpeaker notes: Say it slowly.\n\nLast"
    assert (document.title, document.page_labels) == ("The lamp", ("1", "2", "3"))
    assert [block.kind for block in document.blocks] == ["list", "notes"]


def test_an_encrypted_file_is_named(tmp_path: Path) -> None:
    path = write_odf(tmp_path / "a.odt", p("x"), parts={"META-INF/manifest.xml": "<m><manifest:encryption-data/></m>"})
    with pytest.raises(UnreadableDocumentError, match="encrypted"):
        list(load(path, CONFIG))


@pytest.mark.parametrize(
    "body",
    [
        "<table:table><table:table-row><table:table-cell>" * 60
        + p("deep")
        + "</table:table-cell></table:table-row></table:table>" * 60,
        table(*[row(cell(str(i), 'table:number-columns-repeated="1000000"'), "b") for i in range(3000)]),
        table(row(cell("a" * 100), "b", attributes='table:number-rows-repeated="9999999"')) * 20,
        p('<text:s text:c="9999999"/>x') * 1000,
        '<table:table><table:table-row table:number-rows-repeated="99"><table:table-cell>' * 40
        + p("nested")
        + "</table:table-cell><table:table-cell><text:p>x</text:p></table:table-cell></table:table-row></table:table>"
        * 40,
    ],
    ids=["deep", "wide", "tall", "spaces", "repeated"],
)
def test_hostile_bodies_take_linear_time(read, body: str) -> None:
    begun = time.monotonic()
    assert len(read(body).text) < 5_000_000
    assert time.monotonic() - begun < 5
