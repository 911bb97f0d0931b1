"""Word documents: what a person sees in them is what is read."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from office_files import CHART, DIAGRAM, cell, paragraph, row, run, table, write_word

from ragyena.config import IndexConfig
from ragyena.documents.loading import load
from ragyena.errors import UnreadableDocumentError
from ragyena.types import Document

CONFIG = IndexConfig()


@pytest.fixture
def read(tmp_path: Path) -> object:
    def _read(body: str, parts: Mapping[str, str] | None = None, config: IndexConfig = CONFIG) -> Document:
        (document,) = load(write_word(tmp_path / "a_lamp.docx", body, parts), config)
        assert isinstance(document, Document)
        return document

    return _read


def blocks(document: Document, kind: str) -> list[str]:
    return [document.text[block.start : block.end] for block in document.blocks if block.kind == kind]


def style(identifier: str, content: str, name: str = "") -> str:
    named = f'<w:name w:val="{name or identifier}"/>'
    return f'<w:style w:type="paragraph" w:styleId="{identifier}">{named}{content}</w:style>'


def in_style(identifier: str) -> str:
    return f'<w:pStyle w:val="{identifier}"/>'


# --- tracked changes


def test_insertions_and_moved_text_are_read_and_deletions_are_not(read) -> None:
    changes = (
        run("The rent is ")
        + f"<w:del><w:r><w:delText>900</w:delText></w:r></w:del><w:ins>{run('1250')}</w:ins>"
        + run(" euros")
        + f"<w:moveFrom>{run(' a year')}</w:moveFrom><w:moveTo>{run(' a month')}</w:moveTo>"
        + f"<w:ins><w:del>{run(' (gross)')}</w:del></w:ins>"
        + run(".")
    )
    body = (
        paragraph(changes) + paragraph(changes, '<w:outlineLvl w:val="0"/>') + table(row(cell(paragraph(changes)), "x"))
    )
    sentence = "The rent is 1250 euros a month."
    assert read(body).text == f"{sentence}\n\n{sentence}\n\n{sentence} | x"


def test_a_deleted_paragraph_mark_joins_two_paragraphs(read) -> None:
    deleted = "<w:rPr><w:del/></w:rPr>"
    body = (
        paragraph("The tower ", deleted)
        + paragraph("is 49 metres tall.", '<w:outlineLvl w:val="9"/>')
        + paragraph("End.")
    )
    assert read(body).text == "The tower is 49 metres tall.\n\nEnd."
    gone = f"<w:p><w:pPr>{deleted}</w:pPr><w:del>{run('no')}</w:del></w:p>"
    assert read(paragraph("One.") + gone + paragraph("Two.")).text == "One.\n\nTwo."


def test_deleted_rows_and_cells_are_not_read(read) -> None:
    body = table(
        row("Model", "Weight"),
        row("V-10", "2 kg", properties="<w:del/>"),
        row("V-20", "3.9 kg", cell("old", "<w:cellDel/>"), properties="<w:ins/>"),
    )
    assert read(body).text == "Model: V-20; Weight: 3.9 kg"


# --- boxes, controls, alternatives


def box(text: str) -> str:
    content = f"<w:txbxContent>{paragraph(text)}</w:txbxContent>"
    return (
        f'<w:r><mc:AlternateContent><mc:Choice Requires="wps"><wps:txbx>{content}</wps:txbx></mc:Choice>'
        f"<mc:Fallback><w:pict><v:textbox>{content}</v:textbox></w:pict></mc:Fallback></mc:AlternateContent></w:r>"
    )


def test_a_text_box_is_read_once_after_its_paragraph(read) -> None:
    body = paragraph(run("The safe ") + box("Its code is 5512.") + run("is red."))
    assert read(body).text == "The safe is red.\n\nIts code is 5512."
    unknown = (
        box("Shown by nobody.").replace('Requires="wps"', 'Requires="v"').replace("<wps:txbx>", "<wps:txbx><w:x/>")
    )
    assert read(paragraph(unknown)).text == "Shown by nobody."
    vml = "<w:r><w:pict><v:textbox><w:txbxContent>{}</w:txbxContent></v:textbox></w:pict></w:r>"
    nested = paragraph(vml.format(paragraph(run("Outer.") + vml.format(paragraph("Inner.")))))
    assert read(nested).text == "Outer.\n\nInner."


def test_content_controls_are_read_at_every_level_and_their_prompts_are_not(read) -> None:
    def control(content: str, properties: str = "") -> str:
        return f"<w:sdt><w:sdtPr>{properties}</w:sdtPr><w:sdtContent>{content}</w:sdtContent></w:sdt>"

    prompt = "<w:showingPlcHdr/>"
    body = (
        control(paragraph("Serial number: QX-77120"))
        + paragraph(run("Colour: ") + control(run("red")) + control(run("Click to choose."), prompt))
        + table(
            row("Model", "Colour", "Unit"), control(row("V-20", control(cell("Choose."), prompt), control(cell("mm"))))
        )
        + paragraph(control(run("☒"), "<w14:checkbox/>") + run(" paid"))
    )
    assert read(body).text == "Serial number: QX-77120\n\nColour: red\n\nModel: V-20; Unit: mm\n\n☒ paid"


def test_fields_show_their_results(read) -> None:
    def mark(kind: str, content: str = "") -> str:
        return f'<w:r><w:fldChar w:fldCharType="{kind}">{content}</w:fldChar></w:r>'

    code = "<w:r><w:instrText> REF lamp \\h </w:instrText></w:r>"
    body = paragraph(
        run("See ")
        + mark("begin") + code + mark("separate") + run("section 4") + mark("end")
        + '<w:fldSimple w:instr=" DATE ">' + run(", 3 May") + "</w:fldSimple>"
        + "<w:hyperlink>" + run(", the site") + "</w:hyperlink>"
    )  # fmt: skip
    assert read(body).text == "See section 4, 3 May, the site"
    ticked = mark("begin", "<w:ffData><w:checkBox><w:default w:val='0'/><w:checked/></w:checkBox></w:ffData>") + mark(
        "end"
    )
    entries = "<w:result w:val='1'/><w:listEntry w:val='no'/><w:listEntry w:val='yes'/>"
    chosen = mark("begin", f"<w:ffData><w:ddList>{entries}</w:ddList></w:ffData>") + mark("end")
    assert read(paragraph(ticked + run(" insured: ") + chosen)).text == "☒ insured: yes"
    assert read(paragraph(mark("begin") + code) + paragraph("Still read.")).text == "Still read."


def test_hidden_text_and_rubies_are_left_out_and_symbols_read(read) -> None:
    body = (
        paragraph(run("Seen") + run(" hidden", "<w:vanish/>") + run(" and shown", '<w:vanish w:val="0"/>'))
        + paragraph(f"<w:ruby><w:rt>{run('とう')}</w:rt><w:rubyBase>{run('灯')}</w:rubyBase></w:ruby>" + run("台"))
        + paragraph('<w:r><w:sym w:font="Wingdings" w:char="F0FE"/><w:t>48</w:t><w:noBreakHyphen/><w:t>volt bat</w:t>'
                    "<w:softHyphen/><w:t>tery</w:t><w:tab/><w:t>new</w:t><w:br/><w:t>line</w:t></w:r>")
    )  # fmt: skip
    assert read(body).text == "Seen and shown\n\n灯台\n\n☑48-volt battery\tnew\nline"


def test_a_formula_is_a_line_of_text(read) -> None:
    body = (
        "<m:oMath><m:r><m:t>x=</m:t></m:r><m:f><m:num><m:r><m:t>a+b</m:t></m:r></m:num><m:den><m:rad><m:radPr/><m:deg/>"
        "<m:e><m:sSup><m:e><m:r><m:t>c</m:t></m:r></m:e><m:sup><m:r><m:t>2</m:t></m:r></m:sup></m:sSup></m:e></m:rad>"
        "</m:den></m:f></m:oMath>"
    )
    assert read(paragraph(body)).text == "x=(a+b)/(√(c^2))"


def picture(description: str) -> str:
    return f'<w:r><w:drawing><wp:inline><wp:docPr id="1" descr="{description}"/></wp:inline></w:drawing></w:r>'


def test_charts_diagrams_and_descriptions_of_pictures_are_read(read) -> None:
    body = paragraph(
        run("Sales.")
        + '<w:r><w:drawing><c:chart r:id="chart1"/></w:drawing></w:r>'
        + '<w:r><w:drawing><dgm:relIds r:dm="diagramData1"/></w:drawing></w:r>'
        + picture("The tower at dusk")
        + picture("A house. Description automatically generated")
    )
    document = read(body, {"chart1": CHART, "diagramData1": DIAGRAM})
    assert document.text == (
        "Sales.\n\nLamps sold\n\nQ1; North: 12.5%\nQ2; North: 30.0%; South: 0.3\n\n"
        "- Plan\n  - Ask the harbour master\n- Build\n\nThe tower at dusk"
    )
    assert blocks(document, "table") == ["Q1; North: 12.5%\nQ2; North: 30.0%; South: 0.3"]


# --- notes, headers, comments


def test_notes_stand_after_their_paragraph_or_table(read) -> None:
    def note(kind: str, identifier: int, attributes: str = "") -> str:
        return f'<w:r><w:{kind}Reference w:id="{identifier}" {attributes}/></w:r>'

    def notes(kind: str, **texts: str) -> str:
        return "".join(f'<w:{kind} w:id="{i[1:]}">{paragraph(text)}</w:{kind}>' for i, text in texts.items())

    body = (
        paragraph(run("All parts are covered.") + note("footnote", 2) + f"<w:del>{note('footnote', 4)}</w:del>")
        + table(row("Part", "Months"), row(cell(paragraph(run("Lamp") + note("footnote", 3))), "6"))
        + paragraph(run("See the law.") + note("endnote", 2) + note("footnote", 2))
    )
    parts = {
        "footnotes": notes("footnote", _0="", _2="Except the battery.", _3="With its glass.", _4="Deleted."),
        "endnotes": notes("endnote", _2="Of 1698."),
    }
    document = read(body, parts)
    assert document.text == (
        "All parts are covered.\n\n[1] Except the battery.\n\nPart: Lamp; Months: 6\n\n[2] With its glass.\n\n"
        "See the law.\n\n[i] Of 1698."
    )
    assert blocks(document, "footnote") == ["[1] Except the battery.", "[2] With its glass.", "[i] Of 1698."]


def test_headers_and_footers_are_read_once_without_page_numbers(read) -> None:
    page = '<w:fldSimple w:instr=" PAGE ">' + run("7") + "</w:fldSimple>"
    sections = [
        f'<w:sectPr><w:headerReference w:type="{kind}" r:id="{header}"/><w:footerReference r:id="footer1"/></w:sectPr>'
        for kind, header in (("default", "header1"), ("default", "header2"), ("first", "header3"))
    ]
    body = paragraph("One.", sections[0]) + paragraph("Two.", sections[1]) + paragraph("Three.") + sections[2]
    parts = {
        "header1": paragraph("Contract 2024-117"),
        "header2": paragraph("Contract 2024-117") + paragraph("Annex"),
        "header3": paragraph("Of a first page that no section has"),
        "footer1": paragraph(run("Eddystone Ltd") + "<w:r><w:tab/></w:r>" + run("Page ") + page + run(" of 9")),
    }
    assert read(body, parts).text == "Contract 2024-117\n\nAnnex\n\nOne.\n\nTwo.\n\nThree.\n\nEddystone Ltd"


def test_comments_are_read_on_request(read) -> None:
    body = paragraph(run("The lamp is red.") + '<w:r><w:commentReference w:id="5"/></w:r>')
    parts = {"comments": f'<w:comment w:id="5" w:author="Ann">{paragraph("Is it?")}</w:comment>'}
    assert read(body, parts).text == "The lamp is red."
    assert read(body, parts, IndexConfig(comments=True)).text == "The lamp is red.\n\nComment by Ann: Is it?"


# --- tables


def test_merged_cells_are_repeated_and_marked_header_rows_joined(read) -> None:
    body = table(
        row("Region", cell("Q1", '<w:gridSpan w:val="2"/>'), properties="<w:tblHeader/>"),
        row("", "Plan", "Actual", properties="<w:tblHeader/>"),
        row(cell("North", '<w:vMerge w:val="restart"/>'), "12", "14"),
        row(cell("", "<w:vMerge/>"), cell("none", '<w:gridSpan w:val="2"/>')),
    )
    document = read(body)
    assert document.text == ("Region: North; Q1 Plan: 12; Q1 Actual: 14\nRegion: North; Q1 Plan: none; Q1 Actual: none")
    assert document.blocks[0].header == ("Region", "Q1 Plan", "Q1 Actual")


def test_rows_that_begin_late_keep_their_columns(read) -> None:
    body = table(
        row("Model", "Weight", "Pressure"),
        row("V-10", "2 kg", "9 bar"),
        row("1 bar", properties='<w:gridBefore w:val="2"/>'),
    )
    assert read(body).text == "Model: V-10; Weight: 2 kg; Pressure: 9 bar\nPressure: 1 bar"


def test_a_row_of_one_cell_heads_the_rows_below_and_a_form_keeps_its_names(read) -> None:
    wide = '<w:gridSpan w:val="2"/>'
    body = table(
        row("Item", "Price"), row(cell("Fruit", wide)), row("Apple", "3"), row(cell("Drinks", wide)), row("Tea", "5")
    )
    text = read(body).text
    assert "Fruit > Item: Apple; Price: 3" in text and "Drinks > Item: Tea; Price: 5" in text
    form = table(row("Name", "Signature", properties="<w:tblHeader/>"), row("", ""), row("", ""))
    assert read(form).text == "Name | Signature"


def test_a_table_for_layout_is_prose_with_its_own_tables(read) -> None:
    inner = table(row("Model", "Weight"), row("V-20", "3.9 kg"))
    body = table(row(cell(paragraph("Data", '<w:outlineLvl w:val="1"/>') + inner + paragraph("As measured."))))
    document = read(body)
    assert document.text == "Data\n\nModel: V-20; Weight: 3.9 kg\n\nAs measured."
    assert [(h.level, h.text) for h in document.headings] == [(2, "Data")]
    outer = table(row("Item", "Details"), row("Pump", cell(paragraph("See:") + inner)), row("Hose", "long"))
    assert read(outer).text == "Item: Pump; Details: See: Model: V-20; Weight: 3.9 kg\nItem: Hose; Details: long"


def test_a_span_of_a_million_columns_is_as_wide_as_the_table(read) -> None:
    wide = cell("all", '<w:gridSpan w:val="999999999"/>')
    assert read(table(row("a", "b"), row(wide), row("c", "d"))).text.count("all") == 2


# --- headings, lists, titles


def level(number: int, style: str, text: str, more: str = "") -> str:
    count = f'<w:start w:val="1"/><w:numFmt w:val="{style}"/>{more}<w:lvlText w:val="{text}"/>'
    return f'<w:lvl w:ilvl="{number}">{count}</w:lvl>'


NUMBERING = (
    '<w:abstractNum w:abstractNumId="0">'
    + level(0, "decimal", "%1", '<w:pStyle w:val="H1"/>')
    + level(1, "decimal", "%1.%2", '<w:pStyle w:val="H2"/>')
    + level(2, "lowerLetter", "(%3)")
    + '</w:abstractNum><w:abstractNum w:abstractNumId="1">'
    + level(0, "upperRoman", "Article %1")
    + level(1, "decimal", "%1.%2", "<w:isLgl/>")
    + '</w:abstractNum><w:abstractNum w:abstractNumId="2">'
    + level(0, "bullet", "\uf0b7")
    + "</w:abstractNum>"
    + "".join(f'<w:num w:numId="{i + 1}"><w:abstractNumId w:val="{i}"/></w:num>' for i in range(3))
    + '<w:num w:numId="4"><w:abstractNumId w:val="1"/>'
    '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="5"/></w:lvlOverride></w:num>'
)


def item(text: str, list_id: int, level: int = 0) -> str:
    return paragraph(text, f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{list_id}"/></w:numPr>')


def test_items_carry_their_numbers(read) -> None:
    body = (
        item("one", 2) + item("below", 2, 1) + item("below", 2, 1) + item("two", 2) + item("again", 2, 1)
        + paragraph("Between.") + item("three", 2) + item("five", 4) + item("six", 2)
        + item("dot", 3) + paragraph("plain", '<w:numPr><w:numId w:val="0"/></w:numPr>')
    )  # fmt: skip
    document = read(body, {"numbering": NUMBERING})
    assert document.text == (
        "Article I one\n  1.1 below\n  1.2 below\nArticle II two\n  2.1 again\n\nBetween.\n\n"
        "Article III three\nArticle V five\nArticle VI six\n- dot\n\nplain"
    )
    assert len(blocks(document, "list")) == 2


def test_headings_are_known_by_level_in_every_language_and_carry_their_numbers(read) -> None:
    number = '<w:pPr><w:numPr>{}<w:numId w:val="1"/></w:numPr></w:pPr>'
    no_list = '<w:numPr><w:numId w:val="0"/></w:numPr>'
    styles = (
        style("H1", '<w:pPr><w:outlineLvl w:val="0"/><w:numPr><w:numId w:val="1"/></w:numPr></w:pPr>', "Kapitel")
        + style("H2", number.format('<w:ilvl w:val="1"/>'), "heading 2")
        + style("Mine", '<w:basedOn w:val="H2"/>')
        + style("Loop", '<w:basedOn w:val="Loop2"/>')
        + style("Loop2", '<w:basedOn w:val="Loop"/>')
        + style("Note", f'<w:basedOn w:val="H1"/><w:pPr><w:outlineLvl w:val="9"/>{no_list}</w:pPr>')
    )
    body = (
        paragraph("Scope", in_style("H1"))
        + paragraph("Terms", in_style("H2"))
        + paragraph("Duties", in_style("Mine"))
        + paragraph("Rent", in_style("H1"))
        + paragraph("Payment", in_style("H2"))
        + item("the first", 1, 2)
        + paragraph("No heading", in_style("Note"))
        + paragraph("Text", in_style("Loop"))
        + paragraph("Anhang", in_style("berschrift3"))
    )
    document = read(body, {"styles": styles, "numbering": NUMBERING})
    headings = [(1, "1 Scope"), (2, "1.1 Terms"), (2, "1.2 Duties"), (1, "2 Rent"), (2, "2.1 Payment"), (3, "Anhang")]
    assert [(h.level, h.text) for h in document.headings] == headings
    assert document.text.split("\n\n")[5:8] == ["    (a) the first", "No heading", "Text"]
    assert document.title == "1 Scope"


def test_the_title_is_what_the_file_says_it_is(tmp_path: Path, read) -> None:
    title = paragraph("The Lamp", in_style("Title"))
    assert read(paragraph("Text.")).title == "a lamp"
    assert read(paragraph("Text.", '<w:outlineLvl w:val="0"/>') + title).title == "The Lamp"
    core = (
        '<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/"><dc:title>{}</dc:title>'
        "<dc:creator>Ann Other</dc:creator><dcterms:created>2024-05-06T07:08:09Z</dcterms:created>"
        "<cp:keywords>lamp, tower</cp:keywords></cp:coreProperties>"
    )
    for given, expected in (("Lamps", "Lamps"), ("Word Document", "The Lamp"), ("", "The Lamp")):
        path = write_word(tmp_path / "b.docx", title)
        with ZipFile(path, "a") as archive:
            archive.writestr("docProps/core.xml", core.format(given))
        (document,) = load(path, CONFIG)
        assert isinstance(document, Document) and document.title == expected
        assert document.metadata == {"author": "Ann Other", "created": "2024-05-06", "keywords": "lamp, tower"}


def test_lines_of_code_stay_a_block(read) -> None:
    code = style("Code", "", "Source Code")
    document = read(
        paragraph("def f():", in_style("Code")) + paragraph("    return 1", in_style("Code")), {"styles": code}
    )
    assert blocks(document, "code") == ["def f():\n    return 1"]


# --- files


def test_a_strict_file_is_read(tmp_path: Path) -> None:
    path = write_word(tmp_path / "a.docx", paragraph("Strict."))
    strict = tmp_path / "strict.docx"
    with ZipFile(path) as old, ZipFile(strict, "w") as new:
        for name in old.namelist():
            content = old.read(name).decode()
            for part in ("wordprocessingml", "officeDocument"):
                content = content.replace(f"schemas.openxmlformats.org/{part}/2006", f"purl.oclc.org/ooxml/{part}")
            new.writestr(name.replace("/", "\\") if name == "word/document.xml" else name, content)
    (document,) = load(strict, CONFIG)
    assert isinstance(document, Document) and document.text == "Strict."


NESTED = (
    '<w:tbl><w:tr><w:tc><w:tcPr><w:gridSpan w:val="4"/><w:vMerge w:val="restart"/></w:tcPr>',
    "</w:tc><w:tc><w:p><w:r><w:t>a</w:t></w:r></w:p></w:tc></w:tr>"
    + '<w:tr><w:tc><w:tcPr><w:gridSpan w:val="4"/><w:vMerge/></w:tcPr></w:tc><w:tc/></w:tr>' * 7
    + "</w:tbl>",
)
MILLIONS = '<w:gridSpan w:val="999999999"/>'


@pytest.mark.parametrize(
    "body",
    [
        "<w:tbl><w:tr><w:tc>" * 80 + paragraph("deep") + "</w:tc></w:tr></w:tbl>" * 80,
        table(row(*[cell("", MILLIONS)] * 3000), *[row(cell("w", MILLIONS), str(i)) for i in range(3000)]),
        "<w:p><w:pPr><w:rPr><w:del/></w:rPr></w:pPr><w:r><w:t>joined</w:t></w:r></w:p>" * 20_000,
        paragraph("x") + '<w:r><w:fldChar w:fldCharType="begin"/></w:r>' * 20_000 + paragraph("seen"),
        paragraph("x" + "<w:tab/>" * 3) + "<w:tr><w:tc>" * 20 + paragraph("lost") + "</w:tc></w:tr>" * 20,
        NESTED[0] * 30 + paragraph("word " * 9) + NESTED[1] * 30,
    ],
    ids=["deep", "wide", "joined", "fields", "misplaced", "nested"],
)  # fmt: skip
def test_hostile_bodies_take_linear_time(read, body: str) -> None:
    begun = time.monotonic()
    assert read(body).text
    assert time.monotonic() - begun < 5


def test_a_part_that_unpacks_without_bound_is_not_unpacked(tmp_path: Path) -> None:
    path = write_word(tmp_path / "a.docx", paragraph("x"), {"styles": " " * 1_500_000})
    with pytest.raises(UnreadableDocumentError, match=r"its part word/styles.xml unpacks to more than 1 MB"):
        list(load(path, IndexConfig(max_file_mb=1)))


def test_entities_are_not_expanded(tmp_path: Path) -> None:
    path = write_word(tmp_path / "a.docx", paragraph("x"))
    secret = tmp_path / "secret.txt"
    secret.write_text("secret", encoding="utf-8")
    attack = tmp_path / "b.docx"
    with ZipFile(path) as old, ZipFile(attack, "w", ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name).decode()
            if name == "word/document.xml":
                content = f'<!DOCTYPE d [<!ENTITY e SYSTEM "{secret.as_uri()}">]>' + content.replace(">x<", ">x &e;<")
            new.writestr(name, content)
    (document,) = load(attack, CONFIG)
    assert isinstance(document, Document) and "secret" not in document.text


def test_raised_marks_and_exponents_are_told_apart(read) -> None:
    def raised(text: str) -> str:
        return run(text, '<w:vertAlign w:val="superscript"/>')

    pieces = ["A reef", "1", " of 4 km", "2", ", surveyed in 1964", "3", " on the 21", "st", " at 10", "-3", "."]
    runs = "".join(raised(piece) if n % 2 else run(piece) for n, piece in enumerate(pieces))
    document = read(f"<w:p>{runs}</w:p>")
    assert document.text == "A reef ¹ of 4 km², surveyed in 1964 ³ on the 21st at 10⁻³."
